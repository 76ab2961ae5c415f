//! Writing requests: <https://platform.claude.com/docs/en/api/messages#body-messages>.

use crate::dialect::Target;
use crate::json::{Json, Object, Writer};
use crate::request::{Content, Format, Part, Request, Role, Tool, ToolChoice, Turn};
use crate::support::{Feature, Notes, Unsupported};

use super::block;
use super::part::{is_plain, write_cache, write_parts};
use super::thinking::Plan;

/// Top-level fields of the API that the model has no word for: what comes under their names is sent.
const KNOWN_EXTRAS: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "speed",
];

/// Writes a request.
///
/// # Errors
/// It asks for what the API cannot do.
pub fn encode_request(
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>, Unsupported> {
    let plan = Plan::of(request, target, notes)?;
    refuse(request, notes)?;
    let mut out = Vec::with_capacity(2_048);
    let mut writer = Writer::new(&mut out);
    writer.open().text_field("model", target.model);
    writer.key("max_tokens").integer(plan.max_tokens);
    system(request, notes, &mut out)?;
    messages(request, notes, &mut out)?;
    tools(request, notes, &mut out)?;
    let mut writer = Writer::new(&mut out);
    plan.write(&mut writer);
    output_config(request, &plan, notes, &mut writer)?;
    if !request.stop.is_empty() {
        writer.key("stop_sequences").open_array();
        for text in &request.stop {
            writer.text(text);
        }
        writer.close_array();
    }
    if let Some(user) = &request.user {
        writer.key("metadata").open();
        writer.text_field("user_id", user).close();
    }
    match request.service_tier.as_deref() {
        Some("auto") => {
            writer.text_field("service_tier", "auto");
        }
        Some("default" | "standard_only") => {
            writer.text_field("service_tier", "standard_only");
        }
        Some(_) => {
            let why = "there is no such tier";
            notes.lost(Feature::ServiceTier, "service_tier", why)?;
        }
        None => {}
    }
    if request.stream {
        writer.key("stream").boolean(true);
    }
    for extra in &request.extra {
        if KNOWN_EXTRAS.contains(&&*extra.name) {
            writer.key(&extra.name).raw(&extra.value);
        } else {
            notes.lacking(Feature::Unknown, &extra.name)?;
        }
    }
    writer.close();
    Ok(out)
}

/// What the API has no word for. A value that says what holds anyway is no loss.
fn refuse(request: &Request<'_>, notes: &mut Notes) -> Result<(), Unsupported> {
    let says = |value: &Option<Json<'_>>| {
        let value = value.as_ref().map(Json::as_str);
        value.is_some_and(|text| text != "{}" && text.parse::<f64>() != Ok(0.0))
    };
    if request.stop.iter().any(|text| text.trim().is_empty()) {
        notes.lost(Feature::Stop, "stop", "white space alone does not stop it")?;
    }
    let sampling = &request.sampling;
    for (lost, feature, field) in [
        (
            request.choices.is_some_and(|n| n != 1),
            Feature::Choices,
            "n",
        ),
        (
            request.logprobs == Some(true),
            Feature::Logprobs,
            "logprobs",
        ),
        (
            request.top_logprobs.is_some_and(|n| n > 0),
            Feature::Logprobs,
            "top_logprobs",
        ),
        (sampling.seed.is_some(), Feature::Seed, "seed"),
        (
            says(&sampling.frequency_penalty),
            Feature::FrequencyPenalty,
            "frequency_penalty",
        ),
        (
            says(&sampling.presence_penalty),
            Feature::PresencePenalty,
            "presence_penalty",
        ),
        (says(&sampling.logit_bias), Feature::LogitBias, "logit_bias"),
        (request.metadata.is_some(), Feature::Metadata, "metadata"),
        (request.store == Some(true), Feature::Store, "store"),
    ] {
        if lost {
            notes.lacking(feature, field)?;
        }
    }
    Ok(())
}

fn is_instruction(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

/// All instructions, wherever they stand, since models before Opus 4.8 take none among the messages.
fn system(request: &Request<'_>, notes: &mut Notes, out: &mut Vec<u8>) -> Result<(), Unsupported> {
    let mut parts: Vec<(usize, &Part<'_>)> = Vec::new();
    for (at, turn) in request.turns.iter().enumerate() {
        if !is_instruction(turn.role) {
            continue;
        }
        name(at, turn, notes)?;
        for part in &turn.parts {
            if !matches!(part.content, Content::Text { .. }) {
                let field = format!("messages[{at}].content");
                notes.lost(Feature::System, &field, "instructions are text only")?;
            }
            parts.push((at, part));
        }
    }
    content("system", &parts, notes, out)?;
    Ok(())
}

/// The field `field` with these parts, as a text where that says all; nothing where they say nothing.
fn content(
    field: &str,
    parts: &[(usize, &Part<'_>)],
    notes: &mut Notes,
    out: &mut Vec<u8>,
) -> Result<bool, Unsupported> {
    let before = out.len();
    let mut writer = Writer::new(out);
    if let [(_, part)] = parts
        && let Some(text) = is_plain(part)
    {
        writer.text_field(field, text);
        return Ok(true);
    }
    writer.key(field).open_array();
    let open = out.len();
    write_parts(parts, notes, out)?;
    if out.len() == open {
        out.truncate(before);
        return Ok(false);
    }
    Writer::new(out).close_array();
    Ok(true)
}

fn name(at: usize, turn: &Turn<'_>, notes: &mut Notes) -> Result<(), Unsupported> {
    match turn.name {
        Some(_) => notes.lacking(Feature::Name, &format!("messages[{at}].name")),
        None => Ok(()),
    }
}

fn messages(
    request: &Request<'_>,
    notes: &mut Notes,
    out: &mut Vec<u8>,
) -> Result<(), Unsupported> {
    Writer::new(out).key("messages").open_array();
    let mut turns = request
        .turns
        .iter()
        .enumerate()
        .filter(|(_, turn)| !is_instruction(turn.role))
        .peekable();
    while let Some((at, turn)) = turns.next() {
        name(at, turn, notes)?;
        let mut parts: Vec<_> = turn.parts.iter().map(|part| (at, part)).collect();
        // All results of an assistant turn's calls, and what the user says next, are one message.
        let mut results = turn.role == Role::Tool;
        while results
            && let Some((at, next)) = turns.next_if(|(_, next)| next.role != Role::Assistant)
        {
            name(at, next, notes)?;
            parts.extend(next.parts.iter().map(|part| (at, part)));
            results = next.role == Role::Tool;
        }
        let before = out.len();
        let mut writer = Writer::new(out);
        writer.open();
        writer.text_field(
            "role",
            if turn.role == Role::Assistant {
                "assistant"
            } else {
                "user"
            },
        );
        if content("content", &parts, notes, out)? {
            Writer::new(out).close();
        } else {
            out.truncate(before);
        }
    }
    Writer::new(out).close_array();
    Ok(())
}

fn tools(request: &Request<'_>, notes: &mut Notes, out: &mut Vec<u8>) -> Result<(), Unsupported> {
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    let is_allowed = |name: &str| allowed.is_none_or(|names| names.iter().any(|n| n == name));
    let before = out.len();
    let mut writer = Writer::new(out);
    writer.key("tools").open_array();
    let mut any = false;
    for (at, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function { name, .. } if !is_allowed(name) => {}
            Tool::Function {
                name,
                description,
                parameters,
                strict,
                cache,
            } => {
                any = true;
                writer.open().text_field("name", name);
                writer.text_field_if("description", description.as_deref());
                writer.key("input_schema");
                block::write_schema(parameters.as_ref(), &mut writer);
                writer.boolean_field_if("strict", *strict);
                write_cache(cache.as_ref(), &mut writer);
                writer.close();
            }
            Tool::Other { kind, value } if is_own(kind) => {
                let name = Object::parse(value.as_str())
                    .and_then(|mut tool| tool.required_text("name").map(|n| n.into_owned()));
                if name.is_ok_and(|name| is_allowed(&name)) {
                    any = true;
                    writer.raw(value);
                }
            }
            Tool::Other { kind, .. } => {
                let kind: String = kind.chars().take(64).collect();
                notes.lacking(Feature::ToolOther, &format!("tools[{at}] ({kind})"))?;
            }
        }
    }
    if any {
        writer.close_array();
        tool_choice(request, &mut writer);
    } else {
        out.truncate(before);
    }
    Ok(())
}

/// The provider's own tools are dated, such as `web_search_20250305`; a toolset is named.
fn is_own(kind: &str) -> bool {
    let date = kind.rsplit('_').next().unwrap_or_default();
    kind == "mcp_toolset" || (date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()))
}

/// Only beside tools, since without them it says nothing and is refused.
fn tool_choice(request: &Request<'_>, writer: &mut Writer<'_>) {
    let (kind, name) = match &request.tool_choice {
        Some(
            ToolChoice::Auto
            | ToolChoice::Allowed {
                required: false, ..
            },
        ) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(&**name)),
        Some(ToolChoice::None) => ("none", None),
        None if request.parallel_tool_calls == Some(false) => ("auto", None),
        None => return,
    };
    writer.key("tool_choice").open().text_field("type", kind);
    writer.text_field_if("name", name);
    if kind != "none" {
        let one_at_a_time = request.parallel_tool_calls.map(|parallel| !parallel);
        writer.boolean_field_if("disable_parallel_tool_use", one_at_a_time);
    }
    writer.close();
}

fn output_config(
    request: &Request<'_>,
    plan: &Plan<'_>,
    notes: &mut Notes,
    writer: &mut Writer<'_>,
) -> Result<(), Unsupported> {
    let schema = match &request.format {
        Some(Format::Json) => {
            notes.lacking(Feature::JsonMode, "response_format")?;
            None
        }
        Some(Format::Schema {
            description,
            schema,
            ..
        }) => {
            if description.is_some() {
                notes.warn("the description of the JSON schema was left out".to_owned());
            }
            Some(schema)
        }
        None => None,
    };
    if schema.is_none() && plan.effort.is_none() {
        return Ok(());
    }
    writer.key("output_config").open();
    writer.text_field_if("effort", plan.effort.as_deref());
    if let Some(schema) = schema {
        writer.key("format").open();
        writer.text_field("type", "json_schema");
        writer.key("schema").raw(schema).close();
    }
    writer.close();
    Ok(())
}
