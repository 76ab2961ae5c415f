//! Not written yet.

use crate::answer::Answer;
use crate::dialect::{Reply, Target};
use crate::event::Event;
use crate::json::Problem;
use crate::request::Request;
use crate::sse::Frame;
use crate::support::{Feature, Notes, Support, Unsupported};
use crate::translate::{DecodeStream, EncodeStream};

/// What the dialect can say.
#[must_use]
pub fn support(feature: Feature) -> Support {
    match feature {
        _ => Support::Lacking("not written yet"),
    }
}

/// Reads a request.
///
/// # Errors
/// [`Problem`].
pub fn decode_request(_body: &str) -> Result<Request<'_>, Problem> {
    Err(Problem::new("is in a dialect that is not written yet"))
}

/// Writes a request.
///
/// # Errors
/// [`Unsupported`].
pub fn encode_request(
    _request: &Request<'_>,
    _target: &Target<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>, Unsupported> {
    notes.lacking(Feature::MultiTurn, "messages")?;
    Ok(Vec::new())
}

/// Reads a plain answer.
///
/// # Errors
/// [`Problem`].
pub fn decode_answer(_body: &str) -> Result<Answer<'_>, Problem> {
    Err(Problem::new("is in a dialect that is not written yet"))
}

/// Writes a plain answer.
#[must_use]
pub fn encode_answer(_answer: &Answer<'_>, _reply: &Reply<'_>) -> Vec<u8> {
    Vec::new()
}

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {}

impl DecodeStream for StreamDecoder {
    fn frame(
        &mut self,
        _frame: Frame<'_>,
        _emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        Err(Problem::new("is in a dialect that is not written yet"))
    }
}

/// Writes a stream.
#[derive(Debug)]
pub struct StreamEncoder {}

impl StreamEncoder {
    /// An encoder for this client.
    #[must_use]
    pub fn new(_reply: &Reply<'_>) -> Self {
        Self {}
    }
}

impl EncodeStream for StreamEncoder {
    fn event(&mut self, _event: Event<'_>, _out: &mut Vec<u8>) {}
}
