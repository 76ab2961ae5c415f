//! OpenAI's chat completions, completions and embeddings, and what compatible providers make of them.
//!
//! <https://platform.openai.com/docs/api-reference/chat>. Compatible providers take nearly anything, so under most base paths
//! nothing is validated; under one that contains `/strict/` or `/openai/` everything is, as OpenAI does (`rules`).

pub(crate) mod embeddings;
pub(crate) mod messages;
pub(crate) mod rules;
pub(crate) mod schema;
mod writer;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, Refusal, items, text};
use crate::perform;
use crate::reply::Wish;
use crate::voice::Dialect;
use writer::Writer;

/// When every answer was created, so that answers are the same each time.
pub(crate) const CREATED: u64 = 1_700_000_000;

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

/// The part of a request that matters to every answer.
#[derive(Deserialize)]
struct Request<'r> {
    #[serde(borrow, default)]
    model: Cow<'r, str>,
    #[serde(default)]
    stream: bool,
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
}

/// Whether what comes under this path is validated.
pub(crate) fn is_strict(path: &str) -> bool {
    path.contains("/strict/") || path.contains("/openai/")
}

/// The answer to a request; a deployment of Azure has its model from its path.
pub(crate) fn answer(
    ask: &Ask<'_>,
    surface: Surface,
    deployment: Option<&str>,
) -> Result<Answer, Refusal> {
    let invalid = |error| Refusal::bad(format!("The request is not valid JSON: {error}"));
    if surface == Surface::Embeddings && ask.path.contains("/voyage/") {
        return embeddings::voyage(ask);
    }
    let mut request: Request<'_> = serde_json::from_slice(ask.body).map_err(invalid)?;
    let dialect = if deployment.is_some() {
        Dialect::Azure
    } else {
        Dialect::OpenAi
    };
    // What is not validated may be more than a tree of values holds.
    let mut value: Value = serde_json::from_slice(ask.body).unwrap_or_default();
    if let Some(deployment) = deployment {
        request.model = Cow::Owned(deployment.to_owned());
        value["model"] = deployment.into();
    }
    if is_strict(ask.path) {
        authorised(ask)?;
        match surface {
            Surface::Chat => rules::chat(&value)?,
            Surface::Completions => rules::completion(&value)?,
            Surface::Embeddings => rules::embedding(&value)?,
        }
    }
    if surface == Surface::Embeddings {
        let whole = embeddings::answer(&request);
        return perform::unary(dialect, &request.model, &whole);
    }
    let wish = wish(&request, &value);
    let writer = Writer::new(surface, &request, &wish, deployment.is_some());
    perform::chat(dialect, &wish, Box::new(writer))
}

/// Whether a key came in a header that OpenAI or Azure reads.
pub(crate) fn authorised(ask: &Ask<'_>) -> Result<(), Refusal> {
    let bearer = ask.header("authorization").is_some_and(|value| {
        let scheme = value.get(..7);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
    });
    let azure = ask.path.contains("/openai/") && ask.headers.contains_key("api-key");
    if bearer || azure {
        return Ok(());
    }
    Err(Refusal::new(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    ))
}

fn wish(request: &Request<'_>, value: &Value) -> Wish {
    let messages = items(value.get("messages"));
    let mut tools: Vec<String> = items(value.get("tools"))
        .iter()
        .filter_map(|tool| tool.get("function"))
        .map(|function| text(function, "name").to_owned())
        .collect();
    choose(&mut tools, value.get("tool_choice"), |choice| {
        choice.pointer("/function/name")
    });
    let format = value.get("response_format");
    Wish {
        model: request.model.clone().into_owned(),
        stream: request.stream,
        tools,
        parallel: value.get("parallel_tool_calls") != Some(&Value::Bool(false)),
        answered: messages
            .last()
            .is_some_and(|last| text(last, "role") == "tool"),
        schema: format
            .and_then(|format| format.pointer("/json_schema/schema"))
            .cloned(),
        count: value
            .get("n")
            .and_then(Value::as_u64)
            .and_then(|count| usize::try_from(count).ok())
            .map_or(1, |count| count.clamp(1, 16)),
        turns: messages.len(),
    }
}

/// Leaves the tools that a choice in OpenAI's form allows, the one it forces first.
pub(crate) fn choose(
    tools: &mut Vec<String>,
    choice: Option<&Value>,
    name: impl Fn(&Value) -> Option<&Value>,
) {
    match choice {
        Some(Value::String(mode)) if mode == "none" => tools.clear(),
        Some(choice) => {
            if let Some(forced) = name(choice).and_then(Value::as_str) {
                tools.retain(|tool| tool == forced);
            }
        }
        None => {}
    }
}

/// The list of models, or one of them.
pub(crate) fn models(one: Option<&str>) -> Answer {
    let model =
        |id: &str| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "mock"});
    let body = match one {
        Some(id) => model(id),
        None => {
            let data = ["mock-model", "mock-model-large", "gpt-4o-mini"].map(model);
            json!({"object": "list", "data": data})
        }
    };
    Answer::json(200, body.to_string().into())
}

/// A refusal in OpenAI's form. <https://platform.openai.com/docs/guides/error-codes>
pub(crate) fn refuse(refusal: &Refusal) -> Answer {
    let (kind, code) = match refusal.status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => (
            "invalid_request_error",
            Some("unsupported_country_region_territory"),
        ),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    let body = json!({"error": {
        "message": refusal.message,
        "type": refusal.kind.unwrap_or(kind),
        "param": refusal.param,
        "code": refusal.code.or(code),
    }});
    Answer::json(refusal.status, body.to_string().into())
}

/// What a stream says when the provider fails in its middle.
fn failure() -> Bytes {
    let error = json!({"error": {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error", "param": null, "code": null,
    }});
    crate::voice::unnamed(&error)
}
