//! Embeddings: from OpenAI's form (<https://platform.openai.com/docs/api-reference/embeddings>) to Google's, Cohere's and
//! Voyage's, and their answers back.
//!
//! Vectors stay the digits they came as. Where a client wants base64, which OpenAI's own libraries do unless told otherwise,
//! it is made of them as OpenAI makes it: of 32-bit floats, the lowest byte first.

mod answer;
mod encode;

use std::borrow::Cow;

pub use answer::translate_answer;
pub use encode::encode_request;

use crate::json::{Json, Object, Problem, Raw, elements, integer, text};
use crate::request::Extra;

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embeddings<'a> {
    /// The model, as the client names it.
    pub model: Cow<'a, str>,
    /// What is to be embedded; each becomes a vector.
    pub input: Vec<Input<'a>>,
    /// How long the vectors are to be.
    pub dimensions: Option<u64>,
    /// How they are to be written.
    pub encoding: Encoding,
    /// The end user, an opaque id.
    pub user: Option<Cow<'a, str>>,
    /// Fields that OpenAI does not have.
    pub extra: Vec<Extra<'a>>,
}

/// Something to embed.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// The numbers of OpenAI's tokens, an array.
    Tokens(Json<'a>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// An array of numbers.
    #[default]
    Float,
    /// Base64 of 32-bit floats, the lowest byte first.
    Base64,
}

impl Embeddings<'_> {
    /// Whether it takes the call for several inputs, where the provider has one of its own for that (Google).
    #[must_use]
    pub fn many(&self) -> bool {
        self.input.len() != 1
    }
}

/// Reads a request in OpenAI's form.
///
/// # Errors
/// It makes no sense.
pub fn decode_request(body: &str) -> Result<Embeddings<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let raw = object
        .take("input")
        .ok_or_else(|| Problem::new("is missing").at("input"))?;
    Ok(Embeddings {
        model: object.required_text("model")?,
        input: input(raw).map_err(|problem| problem.at("input"))?,
        dimensions: object.integer("dimensions")?,
        encoding: match object.text("encoding_format")?.as_deref() {
            None | Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            Some(_) => {
                return Err(Problem::new("must be float or base64").at("encoding_format"));
            }
        },
        user: object.text("user")?,
        extra: object
            .rest()
            .map(|(name, raw)| Extra {
                name,
                value: raw.into(),
            })
            .collect(),
    })
}

/// A text, several, the tokens of one, or those of several.
fn input(raw: Raw<'_>) -> Result<Vec<Input<'_>>, Problem> {
    if raw.get().starts_with('"') {
        return Ok(vec![Input::Text(text(raw)?)]);
    }
    let all =
        elements(raw).map_err(|_| Problem::new("must be text, a list of texts, or tokens"))?;
    let Some(first) = all.first() else {
        return Err(Problem::new("must not be empty"));
    };
    if first.get().starts_with(|c: char| c.is_ascii_digit()) {
        tokens(&all)?;
        return Ok(vec![Input::Tokens(raw.into())]);
    }
    let one = |(index, raw): (usize, Raw<'_>)| {
        if raw.get().starts_with('[') {
            elements(raw).and_then(|all| tokens(&all))
        } else {
            text(raw).map(drop)
        }
        .map_err(|problem| problem.at_index(index))
    };
    all.iter().copied().enumerate().try_for_each(one)?;
    Ok(all.into_iter().map(several).collect())
}

/// One of several inputs, whose kind has been looked at.
fn several(raw: Raw<'_>) -> Input<'_> {
    text(raw).map_or_else(|_| Input::Tokens(raw.into()), Input::Text)
}

fn tokens(all: &[Raw<'_>]) -> Result<(), Problem> {
    if all.is_empty() {
        return Err(Problem::new("must not be empty"));
    }
    for (index, raw) in all.iter().enumerate() {
        integer(raw).map_err(|problem| problem.at_index(index))?;
    }
    Ok(())
}
