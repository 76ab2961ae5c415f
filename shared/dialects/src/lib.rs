//! Any surface to any provider: one chat model in the middle, and around it a module for each dialect.
//!
//! A dialect decodes and encodes requests ([`Request`]), answers ([`Answer`]) and stream events ([`Event`]) to and from
//! the model, so a new one costs one module and not one for each pair. All of it is pure: bytes in, bytes out. What
//! a dialect cannot say is refused or warned of, as its [`support`] table has it; nothing is dropped in silence.
//!
//! JSON that nobody here has to understand (schemas, arguments, numbers) stays the text it came as ([`Json`]), so integers
//! above 2^53, the digits of a fraction and the order of keys reach the other side as they were.
#![forbid(unsafe_code)]

mod answer;
pub mod anthropic;
pub mod bedrock;
pub mod cohere;
mod dialect;
pub mod embed;
mod error;
mod event;
pub mod gemini;
mod json;
pub mod openai_chat;
pub mod openai_responses;
mod request;
mod sse;
mod support;
mod translate;

pub use answer::{Answer, Choice, Citation, Finish, Reason, Usage};
pub use dialect::{
    Encoded, Reply, Target, decode_answer, decode_request, encode_answer, encode_request,
    stream_decoder, stream_encoder, support, surface,
};
pub use error::{Failure, FailureKind, Said};
pub use event::{Collector, Delta, Event, PartKind, replay};
pub use json::{Json, Object, Problem, Raw, Writer, elements, integer, object_text, text};
pub use lockgate_providers::Dialect;
pub use request::{
    Cache, Content, Extra, Format, Part, Reasoning, ReasoningMode, Request, Role, Sampling, Source,
    Tool, ToolChoice, Turn,
};
pub use sse::{Frame, Sse, event as sse_event};
pub use support::{Feature, Notes, Support, Unsupported};
pub use translate::{DecodeStream, EncodeStream, Frames, Outcome, StreamTranslator};
