//! Embeddings, from OpenAI's form to others and back.

use lockgate_providers::Dialect;

use crate::dialect::{Encoded, Reply, Target};
use crate::json::Problem;
use crate::support::{Feature, Notes, Support, Unsupported};

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embeddings<'a> {
    body: &'a str,
}

impl Embeddings<'_> {
    /// Whether there are several inputs.
    #[must_use]
    pub fn many(&self) -> bool {
        false
    }
}

/// Reads a request in OpenAI's form.
///
/// # Errors
/// It makes no sense.
pub fn decode_request(body: &str) -> Result<Embeddings<'_>, Problem> {
    Ok(Embeddings { body })
}

/// Writes a request in the provider's form.
///
/// # Errors
/// It asks for what the provider cannot do.
pub fn encode_request(
    _dialect: Dialect,
    request: &Embeddings<'_>,
    target: &Target<'_>,
) -> Result<Encoded, Unsupported> {
    let mut notes = Notes::new(target.title, |_| Support::Lacking("not written yet"));
    notes.lacking(Feature::MultiTurn, "input")?;
    Ok(Encoded {
        body: request.body.as_bytes().to_vec(),
        warnings: notes.into_warnings(),
    })
}

/// Writes the provider's answer in OpenAI's form.
///
/// # Errors
/// It makes no sense.
pub fn translate_answer(
    _dialect: Dialect,
    _body: &str,
    _request: &Embeddings<'_>,
    _reply: &Reply<'_>,
) -> Result<Vec<u8>, Problem> {
    Err(Problem::new("is in a form that is not written yet"))
}
