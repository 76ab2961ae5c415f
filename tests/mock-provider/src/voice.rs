//! How a dialect answers a chat request.

use bytes::Bytes;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Refusal;
use crate::openai;
use crate::{anthropic, azure, bedrock, cohere, gemini};

/// The content type of server-sent events.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

use crate::reply::Reply;

/// Answers of one dialect to one request.
pub(crate) trait Voice: Send {
    /// The answer that is not streamed.
    fn whole(&self, reply: &Reply) -> Bytes;

    /// All events of a streamed answer, each on its own.
    fn events(&self, reply: &Reply) -> Vec<Bytes>;

    /// What an endless stream of text begins with.
    fn opening(&self) -> Vec<Bytes>;

    /// The event with this number (from 0) of such a stream.
    fn text(&self, number: usize, content: &str) -> Bytes;

    /// What such a stream ends with, after `count` events of text, whose contents are put together by `said`.
    fn closing(&self, count: usize, said: &dyn Fn() -> String) -> Vec<Bytes>;

    /// The event that says, after `count` events of text, that the provider failed.
    fn failure(&self, count: usize) -> Bytes;

    /// The content type of a stream.
    fn content_type(&self) -> &'static str {
        EVENT_STREAM
    }
}

/// Whose errors are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Azure,
    Anthropic,
    Gemini,
    Cohere,
    Bedrock,
}

impl Dialect {
    /// The provider's own answer to what it refuses.
    pub(crate) fn refuse(self, refusal: &Refusal) -> Answer {
        match self {
            Self::OpenAi => openai::refuse(refusal),
            Self::Azure => azure::refuse(refusal),
            Self::Anthropic => anthropic::refuse(refusal),
            Self::Gemini => gemini::refuse(refusal),
            Self::Cohere => cohere::refuse(refusal),
            Self::Bedrock => bedrock::refuse(refusal),
        }
    }

    /// What an account without money is told.
    pub(crate) fn quota(self) -> Refusal {
        match self {
            Self::OpenAi | Self::Azure => Refusal::new(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
            )
            .kind("insufficient_quota")
            .code("insufficient_quota"),
            // <https://platform.claude.com/docs/en/api/errors>
            Self::Anthropic => Refusal::new(
                402,
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
            ),
            Self::Gemini => Refusal::new(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
            )
            .param("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
            Self::Cohere => Refusal::new(
                402,
                "Please add or update your payment method at https://dashboard.cohere.com/billing to continue",
            ),
            Self::Bedrock => {
                Refusal::bad("Your request exceeds the service quota for your account.")
                    .kind("ServiceQuotaExceededException")
            }
        }
    }
}

/// `text` as JSON.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A server-sent event without a name.
pub(crate) fn unnamed(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

/// A server-sent event with its name.
pub(crate) fn named(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// An event whose name is its data's `type`.
pub(crate) fn typed(data: &Value) -> Bytes {
    named(crate::ask::text(data, "type"), data)
}
