//! Embeddings in OpenAI's form, and in Voyage's. The vectors are made up and always the same.

use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::Request;
use crate::answer::Answer;
use crate::ask::{Ask, Refusal, text, unknown};
use crate::perform;
use crate::reply::PROMPT_TOKENS;
use crate::voice::Dialect;

/// A vector for the input with this number.
pub(crate) fn vector(input: usize, dimensions: usize) -> impl Iterator<Item = f32> {
    const MOST: usize = 65_536;
    (0..dimensions.min(MOST)).map(move |at| component(input, at))
}

/// Between -1 and 1, in steps that a 32-bit float holds exactly.
fn component(input: usize, at: usize) -> f32 {
    let step = (input * 31 + at * 7) % 257;
    #[expect(clippy::cast_precision_loss, reason = "at most 256")]
    let step = step as f32;
    step / 128.0 - 1.0
}

/// A vector as base64 of its 32-bit floats.
pub(crate) fn packed(vector: impl Iterator<Item = f32>) -> String {
    let bytes: Vec<u8> = vector.flat_map(f32::to_le_bytes).collect();
    BASE64.encode(&bytes)
}

/// How many texts are to be embedded: a text or a list of tokens is one.
fn inputs(input: Option<&Value>) -> usize {
    match input {
        Some(Value::Array(list)) if !list.iter().all(Value::is_number) => list.len(),
        _ => 1,
    }
}

fn data(inputs: usize, dimensions: usize, base64: bool) -> Vec<Value> {
    let one = |input| {
        let vector = vector(input, dimensions);
        let embedding: Value = if base64 {
            packed(vector).into()
        } else {
            vector.collect()
        };
        json!({"object": "embedding", "index": input, "embedding": embedding})
    };
    (0..inputs).map(one).collect()
}

pub(super) fn answer(request: &Request<'_>) -> Bytes {
    let input = request.input.map(|raw| serde_json::from_str(raw.get()));
    let inputs = inputs(input.and_then(Result::ok).as_ref());
    let base64 = request.encoding_format.as_deref() == Some("base64");
    let tokens = PROMPT_TOKENS * inputs as u64;
    json!({
        "object": "list", "model": request.model,
        "data": data(inputs, request.dimensions.unwrap_or(1536), base64),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
    .to_string()
    .into()
}

/// Voyage's embeddings. <https://docs.voyageai.com/reference/embeddings-api>
pub(super) fn voyage(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let done = voyage_answer(ask);
    Ok(done.unwrap_or_else(|refusal| {
        let body = json!({"detail": refusal.message});
        Answer::json(refusal.status, body.to_string().into())
    }))
}

fn voyage_answer(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let Ok(Value::Object(request)) = serde_json::from_slice(ask.body) else {
        return Err(Refusal::bad("The request body is not valid JSON."));
    };
    if ask.secret.is_none() {
        return Err(Refusal::new(401, "Provided API key is invalid."));
    }
    let known = [
        "input",
        "model",
        "input_type",
        "truncation",
        "output_dimension",
        "output_dtype",
        "encoding_format",
    ];
    if let Some(name) = unknown(&request, &known) {
        let message = format!(
            "Argument '{name}' is not supported by our API. Please check our API reference for the list of supported arguments."
        );
        return Err(Refusal::bad(message));
    }
    let request = Value::Object(request);
    let format = request.get("encoding_format");
    if !matches!(format, None | Some(Value::Null)) && text(&request, "encoding_format") != "base64"
    {
        return Err(Refusal::bad(
            "Value for 'encoding_format' must be null or 'base64'.",
        ));
    }
    let kinds = [Value::Null, "query".into(), "document".into()];
    if request
        .get("input_type")
        .is_some_and(|kind| !kinds.contains(kind))
    {
        return Err(Refusal::bad(
            "Value for 'input_type' must be null, 'query' or 'document'.",
        ));
    }
    let inputs = inputs(request.get("input"));
    let dimensions = request.get("output_dimension").and_then(Value::as_u64);
    let dimensions = dimensions.and_then(|number| usize::try_from(number).ok());
    let model = text(&request, "model");
    let whole = json!({
        "object": "list", "model": model,
        "data": data(inputs, dimensions.unwrap_or(1024), format.is_some_and(Value::is_string)),
        "usage": {"total_tokens": PROMPT_TOKENS * inputs as u64},
    });
    perform::unary(Dialect::OpenAi, model, &whole.to_string().into())
}
