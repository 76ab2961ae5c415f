//! Reading requests:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_RequestSyntax>.

use std::borrow::Cow;

use crate::json::{Json, Object, Problem, Raw, Writer, elements, text};
use crate::request::{
    Cache, Content, Extra, Format, Part, Reasoning, ReasoningMode, Request, Role, Tool, ToolChoice,
    Turn,
};

use super::STOP_SEQUENCE;
use super::content::{self, nothing_left, required_object, union};

/// Reads a request. The model stands in the URL, as does whether the answer is streamed.
///
/// # Errors
/// It makes no sense; the field and what it must be.
pub fn decode_request(body: &str) -> Result<Request<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let mut request = Request {
        model: object.text("modelId")?.unwrap_or_default(),
        stream_usage: true,
        ..Request::default()
    };
    let mut system = Vec::new();
    each(&mut object, "system", |raw| {
        let (kind, raw) = union(raw)?;
        match &*kind {
            "text" => push(&mut system, Content::text(text(raw)?)),
            "cachePoint" => cache_point(raw, system.last_mut()).map_err(|p| p.at("cachePoint"))?,
            _ => return Err(Problem::new("is not known here").at(&kind)),
        }
        Ok(())
    })?;
    push_turn(&mut request.turns, Role::System, system);
    each(&mut object, "messages", |raw| {
        message(raw, &mut request.turns)
    })?;
    inference_config(&mut object, &mut request).map_err(|p| p.at("inferenceConfig"))?;
    if let Some(config) = object.object("toolConfig")? {
        tool_config(config, &mut request).map_err(|p| p.at("toolConfig"))?;
    }
    if let Some(fields) = object.object("additionalModelRequestFields")? {
        additional(fields, &mut request).map_err(|p| p.at("additionalModelRequestFields"))?;
    }
    if let Some(config) = object.object("outputConfig")? {
        request.format = output_config(config).map_err(|p| p.at("outputConfig"))?;
    }
    request.metadata = object.json("requestMetadata");
    if let Some(mut tier) = object.object("serviceTier")? {
        let tier = tier.required_text("type");
        request.service_tier = Some(tier.map_err(|p| p.at("serviceTier"))?);
    }
    for (name, raw) in object.rest() {
        // The gateway asks for the stop text itself.
        let ours = name == "additionalModelResponseFieldPaths"
            && !request.stop.is_empty()
            && is_stop_path(raw);
        if !ours {
            let value = raw.into();
            request.extra.push(Extra { name, value });
        }
    }
    Ok(request)
}

fn is_stop_path(raw: Raw<'_>) -> bool {
    let paths = elements(raw).unwrap_or_default();
    matches!(paths.as_slice(), [only] if text(only).is_ok_and(|path| path == STOP_SEQUENCE))
}

/// Reads the array `name` element by element, so that problems say where they are.
fn each<'a>(
    object: &mut Object<'a>,
    name: &str,
    mut read: impl FnMut(Raw<'a>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let list = object.array(name)?.unwrap_or_default();
    for (at, raw) in list.into_iter().enumerate() {
        read(raw).map_err(|problem| problem.at_index(at).at(name))?;
    }
    Ok(())
}

/// An empty text says nothing.
fn push<'a>(parts: &mut Vec<Part<'a>>, content: Content<'a>) {
    if !matches!(&content, Content::Text { text, .. } if text.is_empty()) {
        parts.push(content.into());
    }
}

fn push_turn<'a>(turns: &mut Vec<Turn<'a>>, role: Role, parts: Vec<Part<'a>>) {
    if !parts.is_empty() {
        turns.push(Turn {
            role,
            name: None,
            parts,
        });
    }
}

/// Marks what stands before it.
fn cache_point<'a>(raw: Raw<'a>, before: Option<&mut Part<'a>>) -> Result<(), Problem> {
    let cache = cache(raw)?;
    match before {
        Some(part) => part.cache = Some(cache),
        None => return Err(Problem::new("must stand behind what is to be cached")),
    }
    Ok(())
}

fn cache(raw: Raw<'_>) -> Result<Cache<'_>, Problem> {
    let mut object = Object::of(raw)?;
    if object.required_text("type")? != "default" {
        return Err(Problem::new("must be default").at("type"));
    }
    let ttl = object.text("ttl")?;
    nothing_left(object)?;
    Ok(Cache { ttl })
}

/// Results stand first in a user's message, since they answer the turn before it.
fn message<'a>(raw: Raw<'a>, turns: &mut Vec<Turn<'a>>) -> Result<(), Problem> {
    let mut object = Object::of(raw)?;
    let role = match &*object.required_text("role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(Problem::new("must be user or assistant").at("role")),
    };
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut results: Vec<Part<'a>> = Vec::new();
    let mut after_result = false;
    each(&mut object, "content", |raw| {
        let (kind, raw) = union(raw)?;
        let inside = |problem: Problem| problem.at(&kind);
        match &*kind {
            "toolResult" if role == Role::User => {
                results.push(tool_result(raw).map_err(inside)?.into());
                after_result = true;
            }
            "cachePoint" => {
                let list = if after_result {
                    &mut results
                } else {
                    &mut parts
                };
                cache_point(raw, list.last_mut()).map_err(inside)?;
            }
            _ => match content::decode(&kind, raw).map_err(inside)? {
                Some(content) => {
                    push(&mut parts, content);
                    after_result = false;
                }
                None => return Err(inside(Problem::new("is not known here"))),
            },
        }
        Ok(())
    })?;
    nothing_left(object)?;
    push_turn(turns, Role::Tool, results);
    push_turn(turns, role, parts);
    Ok(())
}

fn tool_result(raw: Raw<'_>) -> Result<Content<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let mut parts = Vec::new();
    each(&mut object, "content", |raw| {
        let (kind, raw) = union(raw)?;
        let content = match &*kind {
            "json" => Some(Content::text(raw.get())),
            "text" | "image" | "document" => {
                content::decode(&kind, raw).map_err(|problem| problem.at(&kind))?
            }
            _ => None,
        };
        let unknown = || Problem::new("is not known here").at(&kind);
        push(&mut parts, content.ok_or_else(unknown)?);
        Ok(())
    })?;
    let error = match object.text("status")?.as_deref() {
        None | Some("success") => false,
        Some("error") => true,
        Some(_) => return Err(Problem::new("must be success or error").at("status")),
    };
    let content = Content::ToolResult {
        id: object.required_text("toolUseId")?,
        name: None,
        parts,
        error,
    };
    nothing_left(object)?;
    Ok(content)
}

fn inference_config<'a>(object: &mut Object<'a>, request: &mut Request<'a>) -> Result<(), Problem> {
    let Some(mut config) = object.object("inferenceConfig")? else {
        return Ok(());
    };
    request.max_tokens = config.integer("maxTokens")?;
    request.sampling.temperature = config.number("temperature")?;
    request.sampling.top_p = config.number("topP")?;
    each(&mut config, "stopSequences", |raw| {
        request.stop.push(text(raw)?);
        Ok(())
    })?;
    nothing_left(config)
}

fn tool_config<'a>(mut config: Object<'a>, request: &mut Request<'a>) -> Result<(), Problem> {
    each(&mut config, "tools", |raw| {
        let (kind, value) = union(raw)?;
        match (&*kind, request.tools.last_mut()) {
            ("toolSpec", _) => request
                .tools
                .push(tool(value).map_err(|problem| problem.at("toolSpec"))?),
            ("cachePoint", Some(Tool::Function { cache: before, .. })) => {
                *before = Some(cache(value).map_err(|problem| problem.at("cachePoint"))?);
            }
            ("systemTool", _) => request.tools.push(Tool::Other {
                kind,
                value: raw.into(),
            }),
            _ => return Err(Problem::new("is not known here").at(&kind)),
        }
        Ok(())
    })?;
    if let Some(raw) = config.take("toolChoice") {
        request.tool_choice = Some(tool_choice(raw).map_err(|problem| problem.at("toolChoice"))?);
    }
    nothing_left(config)
}

fn tool(raw: Raw<'_>) -> Result<Tool<'_>, Problem> {
    let mut spec = Object::of(raw)?;
    let mut schema = required_object(&mut spec, "inputSchema")?;
    let tool = Tool::Function {
        name: spec.required_text("name")?,
        description: spec.text("description")?,
        parameters: schema.json("json"),
        strict: spec.boolean("strict")?,
        cache: None,
    };
    nothing_left(schema).map_err(|problem| problem.at("inputSchema"))?;
    nothing_left(spec)?;
    Ok(tool)
}

fn tool_choice(raw: Raw<'_>) -> Result<ToolChoice<'_>, Problem> {
    let (kind, raw) = union(raw)?;
    match &*kind {
        "auto" => Ok(ToolChoice::Auto),
        "any" => Ok(ToolChoice::Required),
        "tool" => {
            let name = Object::of(raw).and_then(|mut tool| tool.required_text("name"));
            Ok(ToolChoice::Named(name.map_err(|p| p.at("tool"))?))
        }
        _ => Err(Problem::new("is not known here").at(&kind)),
    }
}

/// What is enforced is strict.
fn output_config(mut config: Object<'_>) -> Result<Option<Format<'_>>, Problem> {
    let Some(mut format) = config.object("textFormat")? else {
        nothing_left(config)?;
        return Ok(None);
    };
    nothing_left(config)?;
    let mut read = || {
        if format.required_text("type")? != "json_schema" {
            return Err(Problem::new("must be json_schema").at("type"));
        }
        let mut structure = required_object(&mut format, "structure")?;
        let mut schema = required_object(&mut structure, "jsonSchema")?;
        let json = Json::parse(schema.required_text("schema")?)
            .ok_or_else(|| Problem::new("must be the text of a JSON schema").at("schema"))?;
        let format = Format::Schema {
            name: schema.text("name")?,
            description: schema.text("description")?,
            schema: json,
            strict: Some(true),
        };
        nothing_left(schema)?;
        Ok(Some(format))
    };
    read().map_err(|problem: Problem| problem.at("textFormat"))
}

/// What the models' makers have beside Converse; what has no word in the model stays together.
fn additional<'a>(mut fields: Object<'a>, request: &mut Request<'a>) -> Result<(), Problem> {
    request.sampling.top_k = fields.number("top_k")?;
    let mut reasoning = None;
    if let Some(mut thinking) = fields.object("thinking")? {
        let mode = match &*thinking.required_text("type")? {
            "enabled" => ReasoningMode::On,
            "adaptive" => ReasoningMode::Adaptive,
            "disabled" => ReasoningMode::Off,
            _ => return Err(Problem::new("must be enabled, adaptive or disabled").at("type")),
        };
        reasoning = Some(Reasoning {
            mode,
            effort: None,
            budget_tokens: thinking.integer("budget_tokens")?,
            summary: thinking
                .text("display")?
                .filter(|display| display == "summarized")
                .map(|_| Cow::Borrowed("auto")),
        });
    }
    if let Some(mut config) = fields.object("output_config")? {
        if let Some(effort) = config.text("effort")? {
            reasoning.get_or_insert_default().effort = Some(effort);
        }
        nothing_left(config).map_err(|problem| problem.at("output_config"))?;
    }
    request.reasoning = reasoning;
    if let Some(mut choice) = fields.object("tool_choice")? {
        let one_at_a_time = choice.boolean("disable_parallel_tool_use")?;
        request.parallel_tool_calls = one_at_a_time.map(|one| !one);
        match choice.text("type")?.as_deref() {
            None | Some("auto") => {}
            Some("none") => request.tool_choice = Some(ToolChoice::None),
            Some(_) => return Err(Problem::new("must be auto or none").at("type")),
        }
        nothing_left(choice).map_err(|problem| problem.at("tool_choice"))?;
    }
    let mut rest = Vec::new();
    let mut writer = Writer::new(&mut rest);
    writer.open();
    let mut any = false;
    for (name, raw) in fields.rest() {
        any = true;
        writer.key(&name).raw(&raw.into());
    }
    writer.close();
    let rest = String::from_utf8(rest).ok().filter(|_| any);
    if let Some(value) = rest.and_then(|rest| Json::parse(Cow::Owned(rest))) {
        request.extra.push(Extra {
            name: Cow::Borrowed("additionalModelRequestFields"),
            value,
        });
    }
    Ok(())
}
