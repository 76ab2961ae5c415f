//! Reads requests of Chat Completions: <https://platform.openai.com/docs/api-reference/chat/create>.

use std::borrow::Cow;

use super::reasoning;
use crate::json::{Json, Object, Problem, Raw, elements, text};
use crate::request::{
    Cache, Content, Extra, Format, Part, Reasoning, Request, Role, Sampling, Source, Tool,
    ToolChoice, Turn,
};

/// Reads a request.
///
/// # Errors
/// It makes no sense, or has in a message what the model here has no word for.
pub fn decode_request(body: &str) -> Result<Request<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let model = object.required_text("model")?;
    let messages = object
        .array("messages")?
        .ok_or_else(|| Problem::new("is missing").at("messages"))?;
    let turns = turns(messages).map_err(|problem| problem.at("messages"))?;
    let (stream_usage, stream) = (
        stream_usage(&mut object)?,
        object.boolean("stream")?.unwrap_or(false),
    );
    Ok(Request {
        model,
        turns,
        tools: tools(&mut object)?,
        tool_choice: tool_choice(&mut object)?,
        parallel_tool_calls: object.boolean("parallel_tool_calls")?,
        max_tokens: max_tokens(&mut object)?,
        stop: stop(&mut object)?,
        sampling: Sampling {
            temperature: object.number("temperature")?,
            top_p: object.number("top_p")?,
            top_k: object.number("top_k")?,
            frequency_penalty: object.number("frequency_penalty")?,
            presence_penalty: object.number("presence_penalty")?,
            seed: object.number("seed")?,
            logit_bias: json_object(&mut object, "logit_bias")?,
        },
        choices: object.integer("n")?,
        logprobs: object.boolean("logprobs")?,
        top_logprobs: object.integer("top_logprobs")?,
        format: format(&mut object)?,
        reasoning: object.text("reasoning_effort")?.map(|effort| Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        }),
        metadata: json_object(&mut object, "metadata")?,
        user: object.text("user")?,
        service_tier: object.text("service_tier")?,
        store: object.boolean("store")?,
        stream,
        stream_usage,
        extra: object
            .rest()
            .map(|(name, raw)| Extra {
                name,
                value: raw.into(),
            })
            .collect(),
    })
}

fn json_object<'a>(object: &mut Object<'a>, name: &str) -> Result<Option<Json<'a>>, Problem> {
    match object.json(name) {
        Some(json) if !json.is_object() => Err(Problem::new("must be an object").at(name)),
        json => Ok(json),
    }
}

/// Everything in an object must have been taken, since what it means is not known.
pub(super) fn nothing_else(object: Object<'_>) -> Result<(), Problem> {
    match object.rest().next() {
        Some((name, _)) => Err(Problem::new("is not known here").at(&name)),
        None => Ok(()),
    }
}

fn stream_usage(object: &mut Object<'_>) -> Result<bool, Problem> {
    let Some(mut options) = object.object("stream_options")? else {
        return Ok(false);
    };
    let mut read = || -> Result<_, Problem> {
        let usage = options.boolean("include_usage")?.unwrap_or(false);
        // Padding against eavesdroppers, which is the gateway's own matter towards its client.
        options.boolean("include_obfuscation")?;
        Ok(usage)
    };
    let usage = read().map_err(|problem| problem.at("stream_options"))?;
    nothing_else(options).map_err(|problem| problem.at("stream_options"))?;
    Ok(usage)
}

fn max_tokens(object: &mut Object<'_>) -> Result<Option<u64>, Problem> {
    let old = object.integer("max_tokens")?;
    let new = object.integer("max_completion_tokens")?;
    match (old, new) {
        (Some(old), Some(new)) if old != new => {
            Err(Problem::new("cannot differ from max_completion_tokens").at("max_tokens"))
        }
        _ => Ok(new.or(old)),
    }
}

fn stop<'a>(object: &mut Object<'a>) -> Result<Vec<Cow<'a, str>>, Problem> {
    let Some(raw) = object.take("stop") else {
        return Ok(Vec::new());
    };
    let texts = if raw.get().starts_with('"') {
        vec![raw]
    } else {
        elements(raw).map_err(|_| Problem::new("must be text or a list of texts").at("stop"))?
    };
    texts
        .into_iter()
        .enumerate()
        .map(|(index, raw)| text(raw).map_err(|problem| problem.at_index(index).at("stop")))
        .collect()
}

fn format<'a>(object: &mut Object<'a>) -> Result<Option<Format<'a>>, Problem> {
    let Some(mut format) = object.object("response_format")? else {
        return Ok(None);
    };
    let mut read = || -> Result<_, Problem> {
        let kind = format.required_text("type")?;
        Ok(match &*kind {
            "text" => None,
            "json_object" => Some(Format::Json),
            "json_schema" => {
                let mut schema = format
                    .object("json_schema")?
                    .ok_or_else(|| Problem::new("is missing").at("json_schema"))?;
                let read = schema_format(&mut schema).and_then(|format| {
                    nothing_else(schema)?;
                    Ok(format)
                });
                Some(read.map_err(|problem| problem.at("json_schema"))?)
            }
            _ => {
                return Err(Problem::new("must be text, json_object or json_schema").at("type"));
            }
        })
    };
    let read = read().map_err(|problem| problem.at("response_format"))?;
    nothing_else(format).map_err(|problem| problem.at("response_format"))?;
    Ok(read)
}

fn schema_format<'a>(object: &mut Object<'a>) -> Result<Format<'a>, Problem> {
    Ok(Format::Schema {
        name: object.text("name")?,
        description: object.text("description")?,
        schema: json_object(object, "schema")?
            .ok_or_else(|| Problem::new("is missing").at("schema"))?,
        strict: object.boolean("strict")?,
    })
}

fn tools<'a>(object: &mut Object<'a>) -> Result<Vec<Tool<'a>>, Problem> {
    let mut tools = Vec::new();
    for (index, raw) in object
        .array("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        tools.push(tool(raw).map_err(|problem| problem.at_index(index).at("tools"))?);
    }
    let old = object.array("functions")?.unwrap_or_default();
    for (index, raw) in old.into_iter().enumerate() {
        let read = Object::of(raw).and_then(|object| function(object, None));
        tools.push(read.map_err(|problem| problem.at_index(index).at("functions"))?);
    }
    Ok(tools)
}

fn tool(raw: Raw<'_>) -> Result<Tool<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.required_text("type")?;
    if kind != "function" {
        return Ok(Tool::Other {
            kind,
            value: raw.into(),
        });
    }
    let cache = cache(&mut object)?;
    let inner = object
        .object("function")?
        .ok_or_else(|| Problem::new("is missing").at("function"))?;
    nothing_else(object)?;
    function(inner, cache).map_err(|problem| problem.at("function"))
}

fn function<'a>(mut object: Object<'a>, cache: Option<Cache<'a>>) -> Result<Tool<'a>, Problem> {
    let tool = Tool::Function {
        name: object.required_text("name")?,
        description: object.text("description")?,
        parameters: json_object(&mut object, "parameters")?,
        strict: object.boolean("strict")?,
        cache,
    };
    nothing_else(object)?;
    Ok(tool)
}

fn tool_choice<'a>(object: &mut Object<'a>) -> Result<Option<ToolChoice<'a>>, Problem> {
    let new = object.take("tool_choice");
    let old = object.take("function_call");
    let (raw, name) = match (new, old) {
        (Some(raw), _) => (raw, "tool_choice"),
        (None, Some(raw)) => (raw, "function_call"),
        (None, None) => return Ok(None),
    };
    let read = if raw.get().starts_with('"') {
        match &*text(raw)? {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            // `any` is Mistral's word.
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(Problem::new("must be none, auto, required or an object")),
        }
    } else if name == "function_call" {
        Object::of(raw).and_then(named)
    } else {
        Object::of(raw).and_then(chosen)
    };
    read.map(Some).map_err(|problem| problem.at(name))
}

fn named(mut object: Object<'_>) -> Result<ToolChoice<'_>, Problem> {
    let name = object.required_text("name")?;
    nothing_else(object)?;
    Ok(ToolChoice::Named(name))
}

fn chosen(mut object: Object<'_>) -> Result<ToolChoice<'_>, Problem> {
    let kind = object.required_text("type")?;
    let choice = match &*kind {
        "function" | "custom" => {
            let inner = object
                .object(&kind)?
                .ok_or_else(|| Problem::new("is missing").at(&kind))?;
            named(inner).map_err(|problem| problem.at(&kind))?
        }
        "allowed_tools" => {
            let inner = object
                .object("allowed_tools")?
                .ok_or_else(|| Problem::new("is missing").at("allowed_tools"))?;
            allowed(inner).map_err(|problem| problem.at("allowed_tools"))?
        }
        _ => {
            return Err(Problem::new("must be function, custom or allowed_tools").at("type"));
        }
    };
    nothing_else(object)?;
    Ok(choice)
}

fn allowed(mut object: Object<'_>) -> Result<ToolChoice<'_>, Problem> {
    let required = match &*object.required_text("mode")? {
        "auto" => false,
        "required" => true,
        _ => return Err(Problem::new("must be auto or required").at("mode")),
    };
    let tools = object
        .array("tools")?
        .ok_or_else(|| Problem::new("is missing").at("tools"))?;
    nothing_else(object)?;
    let mut names = Vec::with_capacity(tools.len());
    for (index, raw) in tools.into_iter().enumerate() {
        let read = Object::of(raw).and_then(chosen).and_then(|one| match one {
            ToolChoice::Named(name) => Ok(name),
            _ => Err(Problem::new("must name one tool")),
        });
        names.push(read.map_err(|problem| problem.at_index(index).at("tools"))?);
    }
    Ok(ToolChoice::Allowed { names, required })
}

/// A call of the old kind, which has no id: its name, and the id that is made for it.
type OldCall<'a> = (Cow<'a, str>, String);

fn turns(messages: Vec<Raw<'_>>) -> Result<Vec<Turn<'_>>, Problem> {
    let mut turns = Vec::with_capacity(messages.len());
    let mut old_call = None;
    for (index, raw) in messages.into_iter().enumerate() {
        message(index, raw, &mut turns, &mut old_call)
            .map_err(|problem| problem.at_index(index))?;
    }
    Ok(turns)
}

fn message<'a>(
    index: usize,
    raw: Raw<'a>,
    turns: &mut Vec<Turn<'a>>,
    old_call: &mut Option<OldCall<'a>>,
) -> Result<(), Problem> {
    let mut object = Object::of(raw)?;
    let word = object.required_text("role")?;
    let name = object.text("name")?;
    let role = match &*word {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => {
            return Err(
                Problem::new("must be developer, system, user, assistant or tool").at("role"),
            );
        }
    };
    let (name, parts) = match role {
        Role::System | Role::Developer | Role::User => (name, content(&mut object)?),
        Role::Assistant => (name, assistant(&mut object, index, old_call)?),
        Role::Tool => (
            None,
            vec![tool_result(&mut object, &word, name, old_call)?.into()],
        ),
    };
    nothing_else(object)?;
    match turns.last_mut() {
        Some(last) if role == Role::Tool && last.role == Role::Tool => last.parts.extend(parts),
        _ if parts.is_empty() => {}
        _ => turns.push(Turn { role, name, parts }),
    }
    Ok(())
}

fn tool_result<'a>(
    object: &mut Object<'a>,
    role: &str,
    name: Option<Cow<'a, str>>,
    old_call: &mut Option<OldCall<'a>>,
) -> Result<Content<'a>, Problem> {
    let id = if role == "tool" {
        object.required_text("tool_call_id")?
    } else {
        match old_call.take() {
            Some((called, id)) if Some(&called) == name.as_ref() => Cow::Owned(id),
            _ => return Err(Problem::new("must be that of the function called before").at("name")),
        }
    };
    Ok(Content::ToolResult {
        id,
        name,
        parts: content(object)?,
        error: false,
    })
}

fn assistant<'a>(
    object: &mut Object<'a>,
    index: usize,
    old_call: &mut Option<OldCall<'a>>,
) -> Result<Vec<Part<'a>>, Problem> {
    let mut parts = reasoning::take(object)?;
    parts.extend(content(object)?);
    let citations = super::answer::annotations(object);
    let last = parts
        .iter_mut()
        .rev()
        .find_map(|part| match &mut part.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
    if let Some(last) = last {
        last.extend(citations);
    }
    if let Some(text) = object.text("refusal")?.filter(|text| !text.is_empty()) {
        parts.push(Content::Refusal { text }.into());
    }
    let calls = object.array("tool_calls")?.unwrap_or_default();
    for (at, raw) in calls.into_iter().enumerate() {
        let call = tool_call(raw).map_err(|problem| problem.at_index(at).at("tool_calls"))?;
        parts.push(call.into());
    }
    if let Some(mut call) = object.object("function_call")? {
        let mut read = || {
            Ok((
                call.required_text("name")?,
                call.required_text("arguments")?,
            ))
        };
        let (name, arguments) = read().map_err(|problem: Problem| problem.at("function_call"))?;
        let id = format!("call_{index}");
        *old_call = Some((name.clone(), id.clone()));
        parts.push(
            Content::ToolCall {
                id: id.into(),
                name,
                arguments,
                signature: None,
            }
            .into(),
        );
    }
    Ok(parts)
}

fn tool_call(raw: Raw<'_>) -> Result<Content<'_>, Problem> {
    let mut object = Object::of(raw)?;
    if object.text("type")?.is_some_and(|kind| kind != "function") {
        return Err(
            Problem::new("must be function: calls of other tools are not translated").at("type"),
        );
    }
    // Streams number the calls, and clients that put them together leave the number in.
    object.take("index");
    let id = object.required_text("id")?;
    let signature = reasoning::call_signature(&mut object)?;
    let mut function = object
        .object("function")?
        .ok_or_else(|| Problem::new("is missing").at("function"))?;
    nothing_else(object)?;
    let mut read = || {
        Ok((
            function.required_text("name")?,
            function.text("arguments")?.unwrap_or_default(),
        ))
    };
    let (name, arguments) = read().map_err(|problem: Problem| problem.at("function"))?;
    nothing_else(function).map_err(|problem| problem.at("function"))?;
    Ok(Content::ToolCall {
        id,
        name,
        arguments,
        signature,
    })
}

fn content<'a>(object: &mut Object<'a>) -> Result<Vec<Part<'a>>, Problem> {
    let Some(raw) = object.take("content") else {
        return Ok(Vec::new());
    };
    parts(raw).map_err(|problem| problem.at("content"))
}

/// Content as a text or a list of parts; empty texts are none.
pub(super) fn parts(raw: Raw<'_>) -> Result<Vec<Part<'_>>, Problem> {
    if raw.get().starts_with('"') {
        let text = text(raw)?;
        return Ok(if text.is_empty() {
            Vec::new()
        } else {
            vec![Content::text(text).into()]
        });
    }
    let list = elements(raw).map_err(|_| Problem::new("must be text or a list of parts"))?;
    let mut parts = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let part = part(raw).map_err(|problem| problem.at_index(index))?;
        let empty = matches!(&part.content, Content::Text { text, .. } | Content::Refusal { text } if text.is_empty());
        if !empty {
            parts.push(part);
        }
    }
    Ok(parts)
}

fn part(raw: Raw<'_>) -> Result<Part<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.required_text("type")?;
    let content = match &*kind {
        "text" => Content::text(object.required_text("text")?),
        "refusal" => Content::Refusal {
            text: object.required_text("refusal")?,
        },
        "image_url" => inside(&mut object, "image_url", image)?,
        "input_audio" => inside(&mut object, "input_audio", |object| {
            Ok(Content::Audio {
                data: object.required_text("data")?,
                format: object.required_text("format")?,
            })
        })?,
        "file" => inside(&mut object, "file", file)?,
        "thinking" => reasoning::thinking(&mut object)?,
        _ => {
            return Err(
                Problem::new("must be text, image_url, input_audio, file or refusal").at("type"),
            );
        }
    };
    let cache = cache(&mut object)?;
    nothing_else(object)?;
    Ok(Part { content, cache })
}

fn inside<'a>(
    object: &mut Object<'a>,
    name: &str,
    read: impl FnOnce(&mut Object<'a>) -> Result<Content<'a>, Problem>,
) -> Result<Content<'a>, Problem> {
    let mut inner = object
        .object(name)?
        .ok_or_else(|| Problem::new("is missing").at(name))?;
    read(&mut inner)
        .and_then(|content| {
            nothing_else(inner)?;
            Ok(content)
        })
        .map_err(|problem| problem.at(name))
}

fn image<'a>(object: &mut Object<'a>) -> Result<Content<'a>, Problem> {
    Ok(Content::Image {
        source: Source::of_url(object.required_text("url")?),
        detail: object.text("detail")?,
    })
}

/// `file_data` is a `data:` URL or base64 alone; OpenRouter takes URLs there too.
fn file<'a>(object: &mut Object<'a>) -> Result<Content<'a>, Problem> {
    let name = object.text("filename")?;
    let source = match (object.text("file_id")?, object.text("file_data")?) {
        (Some(id), None) => Source::Id(id),
        (None, Some(data)) => match Source::of_url(data) {
            Source::Url(url) if url.starts_with("data:") => {
                return Err(Problem::new("must have its bytes in base64").at("file_data"));
            }
            Source::Url(data) if !data.contains(':') => Source::Base64 {
                media_type: media_type(name.as_deref()).into(),
                data,
            },
            source => source,
        },
        _ => return Err(Problem::new("must be there, or else file_data").at("file_id")),
    };
    Ok(Content::File { source, name })
}

/// What a file is by the end of its name; OpenAI documents PDF only.
fn media_type(name: Option<&str>) -> &'static str {
    match name.and_then(|name| name.rsplit_once('.')) {
        Some((_, "txt")) => "text/plain",
        Some((_, "md")) => "text/markdown",
        Some((_, "csv")) => "text/csv",
        Some((_, "html")) => "text/html",
        Some((_, "json")) => "application/json",
        _ => "application/pdf",
    }
}

/// A mark that the prompt is to be cached up to here: OpenAI's own, or Anthropic's as OpenRouter takes it.
fn cache<'a>(object: &mut Object<'a>) -> Result<Option<Cache<'a>>, Problem> {
    let own = marker(object, "prompt_cache_breakpoint", "mode", "explicit")?;
    Ok(marker(object, "cache_control", "type", "ephemeral")?.or(own))
}

fn marker<'a>(
    object: &mut Object<'a>,
    name: &str,
    key: &str,
    word: &'static str,
) -> Result<Option<Cache<'a>>, Problem> {
    let Some(mut marker) = object.object(name)? else {
        return Ok(None);
    };
    let mut read = || {
        if marker.required_text(key)? != word {
            return Err(Problem::new(format!("must be {word}")).at(key));
        }
        marker.text("ttl")
    };
    let ttl = read().map_err(|problem| problem.at(name))?;
    nothing_else(marker).map_err(|problem| problem.at(name))?;
    Ok(Some(Cache { ttl }))
}
