//! The dialects by name: each call goes to the dialect's own module.

use lockgate_providers::{Dialect, Quirks};

use crate::answer::Answer;
use crate::json::Problem;
use crate::request::Request;
use crate::support::{Feature, Notes, Support, Unsupported};
use crate::translate::{DecodeStream, EncodeStream};
use crate::{anthropic, bedrock, cohere, gemini, openai_chat, openai_responses};

/// Whom a request is encoded for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model, as the provider knows it.
    pub model: &'a str,
    /// The longest answer the model can give, in tokens, where that is known.
    pub max_output: Option<u64>,
    /// Where the provider departs from its dialect.
    pub quirks: &'a Quirks,
    /// The provider's title, for messages.
    pub title: &'a str,
}

/// An encoded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Vec<u8>,
    /// What was left out or changed.
    pub warnings: Vec<String>,
}

/// To whom an answer is encoded: what the client's own request and the gateway contribute to it.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Letters and digits to make ids of, where the provider gave none.
    pub id: &'a str,
    /// The model that was asked for, where the provider does not say which one answered.
    pub model: &'a str,
    /// Seconds since the Unix epoch, where the provider does not say when.
    pub created: u64,
    /// Whether a stream is to tell the usage, where that is a choice.
    pub stream_usage: bool,
    /// The client's request, from which OpenAI's Responses repeats fields in the answer.
    pub request: &'a str,
}

macro_rules! each {
    ($dialect:expr, $module:ident => $call:expr, $none:expr) => {
        match $dialect {
            Dialect::OpenAiChat => {
                use openai_chat as $module;
                $call
            }
            Dialect::OpenAiResponses => {
                use openai_responses as $module;
                $call
            }
            Dialect::Anthropic => {
                use anthropic as $module;
                $call
            }
            Dialect::Gemini => {
                use gemini as $module;
                $call
            }
            Dialect::Cohere => {
                use cohere as $module;
                $call
            }
            Dialect::Bedrock => {
                use bedrock as $module;
                $call
            }
            _ => $none,
        }
    };
}

/// What the dialect can say.
#[must_use]
pub fn support(dialect: Dialect) -> fn(Feature) -> Support {
    each!(dialect, module => module::support, |_| Support::Lacking("it has no chat"))
}

/// Reads a request.
///
/// # Errors
/// It makes no sense; the field and what it must be.
pub fn decode_request(dialect: Dialect, body: &str) -> Result<Request<'_>, Problem> {
    each!(dialect, module => module::decode_request(body), Err(no_chat()))
}

/// Writes a request.
///
/// # Errors
/// It asks for what the provider cannot do.
pub fn encode_request(
    dialect: Dialect,
    request: &Request<'_>,
    target: &Target<'_>,
) -> Result<Encoded, Unsupported> {
    let support = support(dialect);
    let mut notes = Notes::new(target.title, support);
    if matches!(support(Feature::State), Support::Lacking(_)) {
        for extra in request.extra.iter().filter(|extra| extra.is_state()) {
            notes.lacking(Feature::State, &extra.name)?;
        }
    }
    let body = each!(
        dialect,
        module => module::encode_request(request, target, &mut notes)?,
        {
            notes.lost(Feature::MultiTurn, "model", "it has no chat")?;
            Vec::new()
        }
    );
    Ok(Encoded {
        body,
        warnings: notes.into_warnings(),
    })
}

/// Reads a plain answer.
///
/// # Errors
/// It makes no sense.
pub fn decode_answer(dialect: Dialect, body: &str) -> Result<Answer<'_>, Problem> {
    each!(dialect, module => module::decode_answer(body), Err(no_chat()))
}

/// Writes a plain answer.
#[must_use]
pub fn encode_answer(dialect: Dialect, answer: &Answer<'_>, reply: &Reply<'_>) -> Vec<u8> {
    each!(dialect, module => module::encode_answer(answer, reply), Vec::new())
}

/// Reads a stream.
#[must_use]
pub fn stream_decoder(dialect: Dialect) -> Option<Box<dyn DecodeStream>> {
    each!(dialect, module => Some(Box::new(module::StreamDecoder::default())), None)
}

/// Writes a stream.
#[must_use]
pub fn stream_encoder(dialect: Dialect, reply: &Reply<'_>) -> Option<Box<dyn EncodeStream>> {
    each!(dialect, module => Some(Box::new(module::StreamEncoder::new(reply))), None)
}

/// The same for the dialects that clients of the gateway speak. A program that calls only these does not carry what the
/// others would need to be spoken by a client.
pub mod surface {
    use super::{
        Answer, Dialect, EncodeStream, Problem, Reply, Request, anthropic, no_chat, openai_chat,
        openai_responses,
    };

    macro_rules! each {
        ($dialect:expr, $module:ident => $call:expr, $none:expr) => {
            match $dialect {
                Dialect::OpenAiChat => {
                    use openai_chat as $module;
                    $call
                }
                Dialect::OpenAiResponses => {
                    use openai_responses as $module;
                    $call
                }
                Dialect::Anthropic => {
                    use anthropic as $module;
                    $call
                }
                _ => $none,
            }
        };
    }

    /// Reads a client's request.
    ///
    /// # Errors
    /// It makes no sense; the field and what it must be.
    pub fn decode_request(dialect: Dialect, body: &str) -> Result<Request<'_>, Problem> {
        each!(dialect, module => module::decode_request(body), Err(no_chat()))
    }

    /// Writes a plain answer to a client.
    #[must_use]
    pub fn encode_answer(dialect: Dialect, answer: &Answer<'_>, reply: &Reply<'_>) -> Vec<u8> {
        each!(dialect, module => module::encode_answer(answer, reply), Vec::new())
    }

    /// Writes a stream to a client.
    #[must_use]
    pub fn stream_encoder(dialect: Dialect, reply: &Reply<'_>) -> Option<Box<dyn EncodeStream>> {
        each!(dialect, module => Some(Box::new(module::StreamEncoder::new(reply))), None)
    }
}

fn no_chat() -> Problem {
    Problem::new("is in a dialect that has no chat")
}
