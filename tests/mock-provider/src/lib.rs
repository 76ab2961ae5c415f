//! A provider that records what it receives and misbehaves on request. A test tool: it is no part of the gateway.
//!
//! It speaks, under any base path, the dialects of several providers, told by the end of the path:
//!
//! | dialect | paths | validated |
//! |---|---|---|
//! | OpenAI | `/chat/completions`, `/completions`, `/embeddings`, `GET /models` | under `/strict/` and `/openai/` only, as most who speak it take anything |
//! | OpenAI Responses | `/responses` | but under `/lenient/` |
//! | OpenAI's other calls | `/images/…`, `/audio/…`, `/moderations`, `/files…`, `/batches…` | never |
//! | Azure OpenAI | `/openai/deployments/<deployment>/…?api-version=` | always; the model is the deployment |
//! | Voyage | `/voyage/…/embeddings` | always |
//! | Anthropic | `/messages`, `/messages/count_tokens`, `GET /models` with `anthropic-version` | always |
//! | Google Gemini | `/models/<model>:generateContent`, `:streamGenerateContent?alt=sse`, `:embedContent`, `:batchEmbedContents`, `GET /v1beta/models` | always |
//! | Cohere | `/v2/chat`, `/v2/embed` | always |
//! | AWS Bedrock | `/model/<id>/converse`, `/converse-stream`, `GET /foundation-models` | always, and the signature with [`AWS_SECRET_KEY`] |
//!
//! Validated means: what the provider would refuse is refused with its status, its error object and nearly its words.
//!
//! The model's name says how it behaves, so that a test can choose through any gateway; what is in front of the last `/` of
//! the name does not matter. `n` and `ms` are numbers.
//!
//! | model | behaviour |
//! |---|---|
//! | any other name, `mock-model…` | a plain answer |
//! | `mock-status-<n>` | that status with the dialect's error; 429 with `retry-after: 7` where the provider sends it |
//! | `mock-quota` | what an account without money is told; OpenAI: 429 with the code `insufficient_quota` |
//! | `mock-limited`, `mock-limited-1` | 429 without `retry-after`, and with `retry-after: 1` |
//! | `mock-reset` | the connection is reset before the answer begins |
//! | `mock-slow-head-<ms>` | a plain answer, begun that much later |
//! | `mock-silent` | never answers |
//! | `mock-events-<n>-<ms>` | streams `n` content events, one each `ms`, then the closing ones |
//! | `mock-burst-<n>` | streams `n` content events, as many with one write as there is room for; the others write each event on its own |
//! | `mock-break-<n>` | `n` events, then the connection drops in the middle of a chunk |
//! | `mock-cut-<n>` | `n` events, then a clean end of HTTP without `[DONE]` |
//! | `mock-stall-<n>` | `n` events, then silence |
//! | `mock-bytes-<n>` | a plain answer whose content is `n` bytes long |
//! | `mock-split` | events in pieces of a few bytes, cut inside UTF-8 sequences, with SSE comments, CRLF, empty lines |
//! | `mock-split-ids` | the same with `id:` and `retry:` fields: valid, yet the OpenAI SDK for Python fails on an empty line after an id |
//! | `mock-html-502` | a 502 with an HTML page |
//! | `mock-truncated-json` | fewer bytes than `content-length` says, then the connection drops |
//! | `mock-redirect` | 302 to `/redirected` |
//! | `mock-cookies` | a plain answer with cookies, hop-by-hop, provider and rate-limit headers |
//! | `mock-big-headers`, `mock-big-headers-<n>-<n>` | a plain answer with 64 headers of 1,000 bytes; count and size |
//! | `mock-invalid-json` | a 200 that is not JSON; streamed: one event in the middle is not |
//! | `mock-tool`, `mock-tools-<n>` | calls the first tool (or the first `n`, if it may call several at once) that was offered, until the last turn has results; the arguments, streamed in fragments, are `{"city":"Zürich","n":9007199254740993,"x":0.1}` |
//! | `mock-signed-tool` | the same; Google's calls have a signature, without which they are refused when they come back, as from Gemini 3 on |
//! | `mock-reasoning` | thoughts with a signature, then text; a signature that comes back must be that one |
//! | `mock-reasoning-content`, `mock-reasoning-text` | the same; OpenAI's chat completions, which do not tell thoughts otherwise, have them in `reasoning_content` or `reasoning` |
//! | `mock-refusal`, `mock-length`, `mock-filter` | ends because the model would not, because of the limit, because of a content filter |
//! | `mock-json` | a JSON text that fits the schema which was asked for |
//! | `mock-cached` | usage: 100 tokens of input, 64 read from a cache and 16 written to it; 30 of output, 20 of them thoughts |
//! | `mock-error-mid-<n>` | `n` events, then the dialect's own error inside the stream |
//!
//! An unknown `mock-…` name is a 404 that says so. The streaming ones stream only if `"stream": true` asks for it;
//! break, cut and stall otherwise do the same in the middle of the JSON.
//!
//! A key that contains `revoked` is refused with 401 (Google: 400, Bedrock: 403), one that contains `forbidden` with 403, one that contains `limited` with 429, and if it
//! contains `echo` too, the error message repeats it in full. Bedrock refuses every access key but [`AWS_ACCESS_KEY`].
//!
//! `GET /_mock/requests` answers with what was recorded as JSON, `DELETE /_mock/requests` forgets it.
#![forbid(unsafe_code)]

mod admin;
mod answer;
mod anthropic;
mod ask;
mod azure;
mod bedrock;
mod behaviour;
mod cohere;
mod gemini;
mod openai;
mod passthrough;
mod perform;
mod play;
mod record;
mod reply;
mod responses;
mod server;
mod voice;
mod wire;

pub use record::{Outcome, Recorded};
pub use server::{MockProvider, Options};

/// The access key that Bedrock knows; one of AWS's documentation.
pub const AWS_ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// The secret that belongs to it.
pub const AWS_SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The signature that the mock's thoughts have, and must have when they come back.
pub const THOUGHT_SIGNATURE: &str = reply::SIGNATURE;
