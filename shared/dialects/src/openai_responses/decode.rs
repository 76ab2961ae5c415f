//! Reads requests of the Responses API: <https://platform.openai.com/docs/api-reference/responses/create>.

use std::borrow::Cow;

use super::input;
use crate::json::{Json, Object, Problem, Raw, elements, text};
use crate::request::{
    Content, Extra, Format, Reasoning, Request, Role, Sampling, Tool, ToolChoice, Turn,
};

/// Reads a request. `instructions` become a first system turn, `text.verbosity` the field `verbosity` that Chat Completions
/// has. Fields deeper down that only steer are told by their path among the fields without a word, so that a warning names
/// them where they cannot be sent on.
///
/// # Errors
/// It makes no sense, or has in a message what the model here has no word for.
pub fn decode_request(body: &str) -> Result<Request<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let mut extra = Vec::new();
    let model = object.required_text("model")?;
    let turns = turns(&mut object, &mut extra)?;
    stream_options(&mut object)?;
    let format = text_config(&mut object, &mut extra)?;
    let reasoning = reasoning(&mut object, &mut extra)?;
    let tools = tools(&mut object, &mut extra)?;
    let (top_logprobs, logprobs) = logprobs(&mut object, &mut extra)?;
    let mut request = Request {
        model,
        turns,
        tools,
        tool_choice: tool_choice(&mut object)?,
        parallel_tool_calls: object.boolean("parallel_tool_calls")?,
        max_tokens: object.integer("max_output_tokens")?,
        stop: Vec::new(),
        sampling: Sampling {
            temperature: object.number("temperature")?,
            top_p: object.number("top_p")?,
            ..Sampling::default()
        },
        choices: None,
        logprobs,
        top_logprobs,
        format,
        reasoning,
        metadata: json_object(&mut object, "metadata")?,
        user: object.text("user")?,
        service_tier: object.text("service_tier")?,
        store: object.boolean("store")?,
        stream: object.boolean("stream")?.unwrap_or(false),
        stream_usage: true,
        extra,
    };
    request.extra.extend(
        object
            .rest()
            .filter(|(name, raw)| !says_nothing(name, raw.get()))
            .map(|(name, raw)| Extra {
                name,
                value: raw.into(),
            }),
    );
    Ok(request)
}

/// Fields with the value that they have by default.
fn says_nothing(name: &str, value: &str) -> bool {
    matches!(
        (name, value),
        ("background", "false") | ("truncation", r#""disabled""#)
    )
}

/// Everything in an object must have been taken, since what it means is not known.
pub(super) fn nothing_else(object: Object<'_>) -> Result<(), Problem> {
    match object.rest().next() {
        Some((name, _)) => Err(Problem::new("is not known here").at(&name)),
        None => Ok(()),
    }
}

/// What is left is told by its path.
fn told<'a>(object: Object<'a>, path: &'static str) -> impl Iterator<Item = Extra<'a>> {
    object.rest().map(move |(name, raw)| Extra {
        name: format!("{path}.{name}").into(),
        value: raw.into(),
    })
}

fn json_object<'a>(object: &mut Object<'a>, name: &str) -> Result<Option<Json<'a>>, Problem> {
    match object.json(name) {
        Some(json) if !json.is_object() => Err(Problem::new("must be an object").at(name)),
        json => Ok(json),
    }
}

fn turns<'a>(
    object: &mut Object<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<Vec<Turn<'a>>, Problem> {
    let mut turns = Vec::new();
    if let Some(text) = object.text("instructions")?.filter(|text| !text.is_empty()) {
        turns.push(Turn {
            role: Role::System,
            name: None,
            parts: vec![Content::text(text).into()],
        });
    }
    // What the provider keeps is taken out by the caller with all else that is left.
    match object.take("input") {
        Some(raw) => {
            input::read(raw, &mut turns, extra).map_err(|problem| problem.at("input"))?;
        }
        None => {
            let kept = ["previous_response_id", "conversation", "prompt"];
            let found = kept
                .iter()
                .find_map(|name| Some((*name, object.take(name)?)));
            let Some((name, raw)) = found else {
                return Err(Problem::new("is missing").at("input"));
            };
            extra.push(Extra {
                name: name.into(),
                value: raw.into(),
            });
        }
    }
    Ok(turns)
}

fn stream_options(object: &mut Object<'_>) -> Result<(), Problem> {
    let Some(mut options) = object.object("stream_options")? else {
        return Ok(());
    };
    // Padding against eavesdroppers, which is the gateway's own matter towards its client.
    options
        .boolean("include_obfuscation")
        .and_then(|_| nothing_else(options))
        .map_err(|problem| problem.at("stream_options"))
}

fn text_config<'a>(
    object: &mut Object<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<Option<Format<'a>>, Problem> {
    let Some(mut config) = object.object("text")? else {
        return Ok(None);
    };
    let format = config
        .object("format")
        .and_then(|format| {
            format
                .map_or(Ok(None), format_of)
                .map_err(|problem| problem.at("format"))
        })
        .map_err(|problem| problem.at("text"))?;
    if let Some(value) = config.json("verbosity") {
        extra.push(Extra {
            name: "verbosity".into(),
            value,
        });
    }
    extra.extend(told(config, "text"));
    Ok(format)
}

fn format_of(mut object: Object<'_>) -> Result<Option<Format<'_>>, Problem> {
    let format = match &*object.required_text("type")? {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => Some(Format::Schema {
            name: object.text("name")?,
            description: object.text("description")?,
            schema: json_object(&mut object, "schema")?
                .ok_or_else(|| Problem::new("is missing").at("schema"))?,
            strict: object.boolean("strict")?,
        }),
        _ => return Err(Problem::new("must be text, json_object or json_schema").at("type")),
    };
    nothing_else(object)?;
    Ok(format)
}

fn reasoning<'a>(
    object: &mut Object<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<Option<Reasoning<'a>>, Problem> {
    let Some(mut config) = object.object("reasoning")? else {
        return Ok(None);
    };
    let mut read = || {
        let effort = config.text("effort")?;
        let summary = config.text("summary")?;
        // Its name before.
        let old = config.text("generate_summary")?;
        Ok(Reasoning {
            effort,
            summary: summary.or(old),
            ..Reasoning::default()
        })
    };
    let reasoning = read().map_err(|problem: Problem| problem.at("reasoning"))?;
    extra.extend(told(config, "reasoning"));
    Ok((reasoning != Reasoning::default()).then_some(reasoning))
}

/// `include` and `top_logprobs`. Seals of thoughts come in every answer here, so asking for them says nothing. What else may
/// be included belongs to OpenAI's own tools.
fn logprobs<'a>(
    object: &mut Object<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<(Option<u64>, Option<bool>), Problem> {
    let top = object.integer("top_logprobs")?.filter(|top| *top > 0);
    let mut wanted = top.is_some();
    let list = object.array("include")?.unwrap_or_default();
    let mut others = Vec::new();
    for (index, raw) in list.into_iter().enumerate() {
        let name = text(raw).map_err(|problem| problem.at_index(index).at("include"))?;
        match &*name {
            "message.output_text.logprobs" => wanted = true,
            "reasoning.encrypted_content" => {}
            _ => others.push(raw.get()),
        }
    }
    if let Some(value) = Json::parse(format!("[{}]", others.join(",")).into())
        && !others.is_empty()
    {
        extra.push(Extra {
            name: "include".into(),
            value,
        });
    }
    Ok((top, wanted.then_some(true)))
}

fn tools<'a>(
    object: &mut Object<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<Vec<Tool<'a>>, Problem> {
    let list = object.array("tools")?.unwrap_or_default();
    let mut tools = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let tool =
            tool(raw, index, extra).map_err(|problem| problem.at_index(index).at("tools"))?;
        tools.push(tool);
    }
    Ok(tools)
}

fn tool<'a>(raw: Raw<'a>, index: usize, extra: &mut Vec<Extra<'a>>) -> Result<Tool<'a>, Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.required_text("type")?;
    if kind != "function" {
        return Ok(Tool::Other {
            kind,
            value: raw.into(),
        });
    }
    let tool = Tool::Function {
        name: object.required_text("name")?,
        description: object.text("description")?,
        parameters: json_object(&mut object, "parameters")?,
        strict: object.boolean("strict")?,
        cache: None,
    };
    for name in ["allowed_callers", "async", "defer_loading", "output_schema"] {
        if let Some(value) = object.json(name) {
            extra.push(Extra {
                name: format!("tools[{index}].{name}").into(),
                value,
            });
        }
    }
    nothing_else(object)?;
    Ok(tool)
}

fn tool_choice<'a>(object: &mut Object<'a>) -> Result<Option<ToolChoice<'a>>, Problem> {
    object
        .take("tool_choice")
        .map(|raw| {
            if raw.get().starts_with('"') {
                match &*text(raw)? {
                    "auto" => Ok(ToolChoice::Auto),
                    "none" => Ok(ToolChoice::None),
                    "required" => Ok(ToolChoice::Required),
                    _ => Err(Problem::new("must be none, auto, required or an object")),
                }
            } else {
                let mut object = Object::of(raw)?;
                let kind = object.required_text("type")?;
                if kind == "allowed_tools" {
                    allowed(object)
                } else {
                    named(kind, object).map(ToolChoice::Named)
                }
            }
        })
        .transpose()
        .map_err(|problem| problem.at("tool_choice"))
}

/// A function or custom tool by its name; a tool of OpenAI's by its type, which is all the name it has.
fn named<'a>(kind: Cow<'a, str>, mut object: Object<'a>) -> Result<Cow<'a, str>, Problem> {
    let name = match &*kind {
        "function" | "custom" => object.required_text("name")?,
        _ => kind,
    };
    nothing_else(object)?;
    Ok(name)
}

fn allowed(mut object: Object<'_>) -> Result<ToolChoice<'_>, Problem> {
    let required = match &*object.required_text("mode")? {
        "auto" => false,
        "required" => true,
        _ => return Err(Problem::new("must be auto or required").at("mode")),
    };
    let raw = object
        .take("tools")
        .ok_or_else(|| Problem::new("is missing").at("tools"))?;
    nothing_else(object)?;
    let tools = elements(raw).map_err(|problem| problem.at("tools"))?;
    let mut names = Vec::with_capacity(tools.len());
    for (index, raw) in tools.into_iter().enumerate() {
        let read = Object::of(raw).and_then(|mut object| {
            let kind = object.required_text("type")?;
            named(kind, object)
        });
        names.push(read.map_err(|problem| problem.at_index(index).at("tools"))?);
    }
    Ok(ToolChoice::Allowed { names, required })
}
