//! The OpenAI dialect: what is asked, and what is answered.

use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// When every answer was created, so that answers are the same each time.
const CREATED: u64 = 1_700_000_000;
const PROMPT_TOKENS: u64 = 9;

/// The plain answer, in the parts that a stream sends it in.
pub(crate) const WORDS: [&str; 6] = ["Hello", " from", " the", " mock", " provider", "."];
/// An answer with characters of two, three and four bytes.
pub(crate) const UNICODE_WORDS: [&str; 5] = ["Grüße", " aus 東京", " 🌍🚀", " — naïve", " ✓"];
/// The end of a stream.
pub(crate) const DONE: &[u8] = b"data: [DONE]\n\n";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    Chat,
    Completions,
    Embeddings,
}

impl Surface {
    /// By the end of the path, whatever is in front of it.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path.ends_with("/chat/completions") {
            Some(Self::Chat)
        } else if path.ends_with("/completions") {
            Some(Self::Completions)
        } else if path.ends_with("/embeddings") {
            Some(Self::Embeddings)
        } else {
            None
        }
    }
}

/// The part of a request that matters here.
#[derive(Deserialize)]
pub(crate) struct Request<'r> {
    #[serde(borrow, default)]
    pub(crate) model: Cow<'r, str>,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(borrow, default)]
    input: Option<&'r RawValue>,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(borrow, default)]
    encoding_format: Option<Cow<'r, str>>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl Request<'_> {
    fn include_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.is_some_and(|options| options.include_usage)
    }

    /// How many texts are to be embedded: a text or a list of tokens is one.
    fn inputs(&self) -> usize {
        let input = self.input.map(|raw| serde_json::from_str(raw.get()));
        match input {
            Some(Ok(Value::Array(list))) if !list.iter().all(Value::is_number) => list.len(),
            _ => 1,
        }
    }
}

/// Whole answers and stream events for one request, with the fields in OpenAI's own order.
pub(crate) struct Writer {
    surface: Surface,
    /// The model's name as JSON.
    model: String,
    include_usage: bool,
    /// What every event begins with, up to its choices, and ends with.
    event_start: String,
    event_end: &'static str,
}

impl Writer {
    pub(crate) fn new(surface: Surface, request: &Request<'_>) -> Self {
        let (id, object) = match surface {
            Surface::Chat => ("chatcmpl-mock", "chat.completion.chunk"),
            _ => ("cmpl-mock", "text_completion"),
        };
        let model = quoted(&request.model);
        let include_usage = request.include_usage();
        Self {
            surface,
            include_usage,
            event_start: format!(
                r#"data: {{"id":"{id}","object":"{object}","created":{CREATED},"model":{model},"system_fingerprint":"fp_mock","choices":["#
            ),
            // With usage asked for, every chunk has the field and only the last one a value.
            event_end: if include_usage {
                "],\"usage\":null}\n\n"
            } else {
                "]}\n\n"
            },
            model,
        }
    }

    /// A chat completion or text completion whose answer is `content`.
    pub(crate) fn completion(&self, content: &str, tokens: usize) -> Bytes {
        let (model, content, usage) = (&self.model, quoted(content), usage(tokens));
        match self.surface {
            Surface::Chat => format!(
                r#"{{"id":"chatcmpl-mock","object":"chat.completion","created":{CREATED},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":{content},"refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{usage},"system_fingerprint":"fp_mock"}}"#
            ),
            _ => format!(
                r#"{{"id":"cmpl-mock","object":"text_completion","created":{CREATED},"model":{model},"choices":[{{"text":{content},"index":0,"logprobs":null,"finish_reason":"stop"}}],"usage":{usage},"system_fingerprint":"fp_mock"}}"#
            ),
        }
        .into()
    }

    /// One event of a stream.
    pub(crate) fn event(&self, content: &str) -> Bytes {
        let content = quoted(content);
        let choice = match self.surface {
            Surface::Chat => format!(
                r#"{{"index":0,"delta":{{"content":{content}}},"logprobs":null,"finish_reason":null}}"#
            ),
            _ => format!(r#"{{"text":{content},"index":0,"logprobs":null,"finish_reason":null}}"#),
        };
        self.chunk(&choice)
    }

    /// The event that says who speaks, before the first content.
    pub(crate) fn opening(&self) -> Option<Bytes> {
        let choice = r#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}"#;
        (self.surface == Surface::Chat).then(|| self.chunk(choice))
    }

    /// The events after the last content: the reason, the usage if it was asked for, the end.
    pub(crate) fn closing(&self, tokens: usize) -> Vec<Bytes> {
        let choice = match self.surface {
            Surface::Chat => r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#,
            _ => r#"{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}"#,
        };
        let mut events = vec![self.chunk(choice)];
        if self.include_usage {
            let (start, usage) = (&self.event_start, usage(tokens));
            events.push(format!("{start}],\"usage\":{usage}}}\n\n").into());
        }
        events.push(Bytes::from_static(DONE));
        events
    }

    fn chunk(&self, choice: &str) -> Bytes {
        [&self.event_start, choice, self.event_end].concat().into()
    }
}

/// `text` as JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn usage(tokens: usize) -> String {
    let total = PROMPT_TOKENS + tokens as u64;
    format!(
        r#"{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{tokens},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
    )
}

/// The answer to a request for embeddings. The vectors are made up and always the same.
pub(crate) fn embeddings(request: &Request<'_>) -> Bytes {
    const MAX_DIMENSIONS: usize = 65_536;
    let inputs = request.inputs();
    let dimensions = request.dimensions.unwrap_or(1536).min(MAX_DIMENSIONS);
    let base64 = request.encoding_format.as_deref() == Some("base64");
    let data = (0..inputs).map(|input| {
        let vector = (0..dimensions).map(|at| component(input, at));
        let embedding = if base64 {
            let bytes: Vec<u8> = vector.flat_map(f32::to_le_bytes).collect();
            Value::from(BASE64.encode(&bytes))
        } else {
            vector.collect()
        };
        json!({"object": "embedding", "index": input, "embedding": embedding})
    });
    let tokens = PROMPT_TOKENS * inputs as u64;
    json!({
        "object": "list", "data": data.collect::<Vec<_>>(), "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
    .to_string()
    .into()
}

/// Between -1 and 1, in steps that a 32-bit float holds exactly.
fn component(input: usize, at: usize) -> f32 {
    let step = (input * 31 + at * 7) % 257;
    #[expect(clippy::cast_precision_loss, reason = "at most 256")]
    let step = step as f32;
    step / 128.0 - 1.0
}

/// The list of models.
pub(crate) fn models() -> Bytes {
    let data = ["mock-model", "mock-model-large", "gpt-4o-mini"].map(model);
    json!({"object": "list", "data": data}).to_string().into()
}

/// One model.
pub(crate) fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": CREATED, "owned_by": "mock"})
}

/// An error in OpenAI's form.
pub(crate) fn error(message: &str, kind: &str, code: Option<&str>) -> Bytes {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
        .to_string()
        .into()
}

/// What OpenAI calls errors of a status: type and code.
pub(crate) fn error_names(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => (
            "invalid_request_error",
            Some("unsupported_country_region_territory"),
        ),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}
