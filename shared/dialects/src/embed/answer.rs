//! Writes providers' vectors in OpenAI's form: <https://platform.openai.com/docs/api-reference/embeddings/object>.
//!
//! Google does not count the tokens of embeddings in all its versions; where it does not, the usage is zero.

use data_encoding::BASE64;
use lockgate_providers::Dialect;
use serde::Deserialize;

use super::{Embeddings, Encoding};
use crate::dialect::Reply;
use crate::json::{Problem, Raw, Writer, elements};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Google<'a> {
    #[serde(borrow)]
    embedding: Option<Values<'a>>,
    #[serde(borrow)]
    embeddings: Option<Vec<Values<'a>>>,
    usage_metadata: Option<GoogleUsage>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GoogleUsage {
    prompt_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct Cohere<'a> {
    #[serde(borrow)]
    embeddings: CohereVectors<'a>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct CohereVectors<'a> {
    #[serde(borrow)]
    float: Vec<Raw<'a>>,
}

#[derive(Deserialize)]
struct Meta {
    billed_units: Option<Billed>,
}

#[derive(Deserialize)]
struct Billed {
    /// A whole number, though some versions write it with a fraction.
    input_tokens: Option<f64>,
}

#[derive(Deserialize)]
struct Voyage<'a> {
    #[serde(borrow)]
    data: Vec<VoyageVector<'a>>,
    model: Option<String>,
    usage: Option<VoyageUsage>,
}

#[derive(Deserialize)]
struct VoyageVector<'a> {
    #[serde(borrow)]
    embedding: Raw<'a>,
    index: Option<usize>,
}

#[derive(Deserialize)]
struct VoyageUsage {
    total_tokens: Option<u64>,
}

/// What every provider answers.
struct Vectors<'a> {
    all: Vec<Raw<'a>>,
    model: Option<String>,
    tokens: u64,
}

/// Writes the provider's answer in OpenAI's form.
///
/// # Errors
/// It makes no sense, or has not one vector for each input.
pub fn translate_answer(
    dialect: Dialect,
    body: &str,
    request: &Embeddings<'_>,
    reply: &Reply<'_>,
) -> Result<Vec<u8>, Problem> {
    let vectors = match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => return Ok(body.as_bytes().to_vec()),
        Dialect::Gemini => google(read(body)?),
        Dialect::Cohere => cohere(read(body)?),
        Dialect::Voyage => voyage(read(body)?),
        _ => return Err(Problem::new("is in a dialect that has no embeddings")),
    };
    if vectors.all.len() != request.input.len() {
        return Err(Problem::new(format!(
            "has {} vectors for {} inputs",
            vectors.all.len(),
            request.input.len()
        )));
    }
    let mut out = Vec::with_capacity(body.len());
    let mut writer = Writer::new(&mut out);
    writer
        .open()
        .text_field("object", "list")
        .key("data")
        .open_array();
    for (raw, index) in vectors.all.into_iter().zip(0..) {
        writer
            .open()
            .text_field("object", "embedding")
            .key("index")
            .integer(index)
            .key("embedding");
        if request.encoding == Encoding::Base64 && raw.get().starts_with('[') {
            writer.text(&base64(raw).map_err(|problem| problem.at("embedding"))?);
        } else {
            writer.raw(&raw.into());
        }
        writer.close();
    }
    writer
        .close_array()
        .text_field("model", vectors.model.as_deref().unwrap_or(reply.model))
        .key("usage")
        .open()
        .key("prompt_tokens")
        .integer(vectors.tokens)
        .key("total_tokens")
        .integer(vectors.tokens)
        .close()
        .close();
    Ok(out)
}

fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Problem> {
    serde_json::from_str(body).map_err(|error| {
        Problem::new(format!(
            "cannot be read as embeddings (column {})",
            error.column()
        ))
    })
}

fn google(answer: Google<'_>) -> Vectors<'_> {
    let all = answer.embedding.into_iter();
    let all = all.chain(answer.embeddings.into_iter().flatten());
    Vectors {
        all: all.map(|vector| vector.values).collect(),
        model: None,
        tokens: answer
            .usage_metadata
            .and_then(|usage| usage.prompt_token_count)
            .unwrap_or(0),
    }
}

fn cohere(answer: Cohere<'_>) -> Vectors<'_> {
    let billed = answer.meta.and_then(|meta| meta.billed_units);
    let tokens = billed.and_then(|billed| billed.input_tokens);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count: what is no whole number is cut to one"
    )]
    let tokens = tokens.map_or(0, |tokens| tokens as u64);
    Vectors {
        all: answer.embeddings.float,
        model: None,
        tokens,
    }
}

fn voyage(answer: Voyage<'_>) -> Vectors<'_> {
    let mut all = answer.data;
    all.sort_by_key(|vector| vector.index);
    Vectors {
        all: all.into_iter().map(|vector| vector.embedding).collect(),
        model: answer.model,
        tokens: answer
            .usage
            .and_then(|usage| usage.total_tokens)
            .unwrap_or(0),
    }
}

/// The 32-bit floats of an array, the lowest byte first, in base64.
fn base64(raw: Raw<'_>) -> Result<String, Problem> {
    let numbers = elements(raw)?;
    let mut bytes = Vec::with_capacity(numbers.len() * 4);
    for (index, number) in numbers.into_iter().enumerate() {
        let number: f32 = number
            .get()
            .parse()
            .map_err(|_| Problem::new("must be a number").at_index(index))?;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(BASE64.encode(&bytes))
}
