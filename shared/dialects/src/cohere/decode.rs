//! Reading requests.

use std::borrow::Cow;

use crate::json::{Object, Problem, Raw, elements, text};
use crate::request::{
    Content, Extra, Format, Part, Reasoning, ReasoningMode, Request, Role, Sampling, Source, Tool,
    ToolChoice, Turn,
};

/// Reads a request.
///
/// # Errors
/// It makes no sense.
pub fn decode_request(body: &str) -> Result<Request<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let mut request = Request {
        model: object.text("model")?.unwrap_or_default(),
        stream: object.boolean("stream")?.unwrap_or(false),
        stream_usage: true,
        max_tokens: object.integer("max_tokens")?,
        sampling: Sampling {
            temperature: object.number("temperature")?,
            top_p: object.number("p")?,
            top_k: object.number("k")?,
            frequency_penalty: object.number("frequency_penalty")?,
            presence_penalty: object.number("presence_penalty")?,
            seed: object.number("seed")?,
            logit_bias: None,
        },
        logprobs: object.boolean("logprobs")?,
        ..Request::default()
    };
    for (at, raw) in object
        .array("stop_sequences")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let stop = text(raw).map_err(|problem| problem.at_index(at).at("stop_sequences"))?;
        request.stop.push(stop);
    }
    let messages = object
        .array("messages")?
        .ok_or_else(|| Problem::new("is missing").at("messages"))?;
    for (at, raw) in messages.into_iter().enumerate() {
        message(raw, &mut request.turns).map_err(|problem| problem.at_index(at).at("messages"))?;
    }
    let strict = object.boolean("strict_tools")?;
    for (at, raw) in object
        .array("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let tool = tool(raw, strict).map_err(|problem| problem.at_index(at).at("tools"))?;
        request.tools.push(tool);
    }
    request.tool_choice = match object.text("tool_choice")?.as_deref() {
        None => None,
        Some("REQUIRED") => Some(ToolChoice::Required),
        Some("NONE") => Some(ToolChoice::None),
        Some(_) => return Err(Problem::new("must be REQUIRED or NONE").at("tool_choice")),
    };
    if let Some(format) = object.object("response_format")? {
        request.format = response_format(format).map_err(|p| p.at("response_format"))?;
    }
    if let Some(config) = object.object("thinking")? {
        request.reasoning = Some(thinking(config).map_err(|problem| problem.at("thinking"))?);
    }
    request.extra = object
        .rest()
        .map(|(name, value)| Extra {
            name,
            value: value.into(),
        })
        .collect();
    Ok(request)
}

fn message<'a>(raw: Raw<'a>, turns: &mut Vec<Turn<'a>>) -> Result<(), Problem> {
    let mut object = Object::of(raw)?;
    let role = match object.required_text("role")?.as_ref() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(Problem::new("must be system, user, assistant or tool").at("role")),
    };
    let mut parts = Vec::new();
    if let Some(plan) = object.text("tool_plan")?.filter(|plan| !plan.is_empty()) {
        parts.push(thought(plan));
    }
    if let Some(content) = object.take("content") {
        contents(content, &mut parts).map_err(|problem| problem.at("content"))?;
    }
    for (at, raw) in object
        .array("tool_calls")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let call = tool_call(raw).map_err(|problem| problem.at_index(at).at("tool_calls"))?;
        parts.push(call.into());
    }
    // Where the answer's own citations are sent back, they say nothing that the model needs.
    let _ = object.take("citations");
    if role == Role::Tool {
        let result = Content::ToolResult {
            id: object.required_text("tool_call_id")?,
            name: None,
            parts,
            error: false,
        };
        match turns.last_mut() {
            Some(turn) if turn.role == Role::Tool => turn.parts.push(result.into()),
            _ => turns.push(Turn {
                role,
                name: None,
                parts: vec![result.into()],
            }),
        }
    } else if !parts.is_empty() {
        turns.push(Turn {
            role,
            name: None,
            parts,
        });
    }
    nothing_left(object)
}

/// Nothing may be left of an object.
fn nothing_left(object: Object<'_>) -> Result<(), Problem> {
    match object.rest().next() {
        Some((name, _)) => Err(Problem::new("is not known here").at(&name)),
        None => Ok(()),
    }
}

fn thinking(mut config: Object<'_>) -> Result<Reasoning<'_>, Problem> {
    let mode = match config.required_text("type")?.as_ref() {
        "enabled" => ReasoningMode::On,
        "disabled" => ReasoningMode::Off,
        _ => return Err(Problem::new("must be enabled or disabled").at("type")),
    };
    let reasoning = Reasoning {
        mode,
        budget_tokens: config.integer("token_budget")?,
        ..Reasoning::default()
    };
    nothing_left(config)?;
    Ok(reasoning)
}

pub(super) fn thought(text: Cow<'_, str>) -> Part<'_> {
    Content::Reasoning {
        text,
        signature: None,
        id: None,
    }
    .into()
}

fn contents<'a>(raw: Raw<'a>, parts: &mut Vec<Part<'a>>) -> Result<(), Problem> {
    if raw.get().starts_with('"') {
        let text = text(raw)?;
        if !text.is_empty() {
            parts.push(Content::text(text).into());
        }
        return Ok(());
    }
    for (at, raw) in elements(raw)?.into_iter().enumerate() {
        if let Some(part) = content(raw).map_err(|problem| problem.at_index(at))? {
            parts.push(part);
        }
    }
    Ok(())
}

fn content(raw: Raw<'_>) -> Result<Option<Part<'_>>, Problem> {
    let mut object = Object::of(raw)?;
    let part = match object.required_text("type")?.as_ref() {
        "text" => {
            let text = object.required_text("text")?;
            (!text.is_empty()).then(|| Content::text(text).into())
        }
        "thinking" => {
            let text = object.required_text("thinking")?;
            (!text.is_empty()).then(|| thought(text))
        }
        "image_url" => {
            let mut image = object
                .object("image_url")?
                .ok_or_else(|| Problem::new("is missing").at("image_url"))?;
            let inside = |problem: Problem| problem.at("image_url");
            let url = image.required_text("url").map_err(inside)?;
            let content = Content::Image {
                source: Source::of_url(url),
                detail: image.text("detail").map_err(inside)?,
            };
            nothing_left(image).map_err(inside)?;
            Some(content.into())
        }
        "document" => {
            let document = object
                .json("document")
                .ok_or_else(|| Problem::new("is missing").at("document"))?;
            let text = Cow::Owned(document.as_str().to_owned());
            Some(Content::text(text).into())
        }
        _ => return Err(Problem::new("is not known here").at("type")),
    };
    nothing_left(object)?;
    Ok(part)
}

pub(super) fn tool_call(raw: Raw<'_>) -> Result<Content<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let mut function = object
        .object("function")?
        .ok_or_else(|| Problem::new("is missing").at("function"))?;
    Ok(Content::ToolCall {
        id: object.required_text("id")?,
        name: function
            .required_text("name")
            .map_err(|problem| problem.at("function"))?,
        arguments: function
            .text("arguments")
            .map_err(|problem| problem.at("function"))?
            .unwrap_or_default(),
        signature: None,
    })
}

fn tool(raw: Raw<'_>, strict: Option<bool>) -> Result<Tool<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.text("type")?.unwrap_or(Cow::Borrowed("function"));
    if kind != "function" {
        return Ok(Tool::Other {
            kind,
            value: raw.into(),
        });
    }
    let mut function = object
        .object("function")?
        .ok_or_else(|| Problem::new("is missing").at("function"))?;
    let inside = |problem: Problem| problem.at("function");
    let tool = Tool::Function {
        name: function.required_text("name").map_err(inside)?,
        description: function.text("description").map_err(inside)?,
        parameters: function.json("parameters"),
        strict,
        cache: None,
    };
    nothing_left(function).map_err(inside)?;
    nothing_left(object)?;
    Ok(tool)
}

fn response_format(mut format: Object<'_>) -> Result<Option<Format<'_>>, Problem> {
    let kind = format.required_text("type")?;
    let schema = format.json("json_schema").or(format.json("schema"));
    nothing_left(format)?;
    match (kind.as_ref(), schema) {
        ("text", None) => Ok(None),
        ("json_object", None) => Ok(Some(Format::Json)),
        ("json_object", Some(schema)) => Ok(Some(Format::Schema {
            name: None,
            description: None,
            schema,
            strict: None,
        })),
        _ => Err(Problem::new("must be text or json_object").at("type")),
    }
}
