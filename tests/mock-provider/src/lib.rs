//! A provider that records what it receives and misbehaves on request. A test tool: it is no part of the gateway.
//!
//! It speaks the OpenAI dialect under any base path: `POST …/chat/completions`, `…/completions`, `…/embeddings`,
//! `GET …/models`. The model's name says how it behaves, so that a test can choose through any gateway; what is in front of the last `/` of
//! the name does not matter. `n` and `ms` are numbers.
//!
//! | model | behaviour |
//! |---|---|
//! | any other name, `mock-model…` | a plain answer |
//! | `mock-status-<n>` | that status with an OpenAI-shaped error; 429 with `retry-after: 7` |
//! | `mock-quota` | 429 with the code `insufficient_quota` |
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
//!
//! An unknown `mock-…` name is a 404 that says so. The streaming ones stream only if `"stream": true` asks for it;
//! break, cut and stall otherwise do the same in the middle of the JSON.
//!
//! A key that contains `revoked` is refused with 401, one that contains `forbidden` with 403, and if it contains `echo` too, the error
//! message repeats it in full.
//!
//! `GET /_mock/requests` answers with what was recorded as JSON, `DELETE /_mock/requests` forgets it.
#![forbid(unsafe_code)]

mod admin;
mod answer;
mod behaviour;
mod openai;
mod play;
mod record;
mod server;
mod wire;

pub use record::{Outcome, Recorded};
pub use server::{MockProvider, Options};
