//! Writes requests: <https://ai.google.dev/api/generate-content#request-body>.

use super::settings::{GENERATION, TOOLS, tier_word, write_generation, write_tool_config};
use super::{contents, model};
use crate::dialect::Target;
use crate::json::{Object, Writer};
use crate::request::{Content, Request, Role, Tool};
use crate::support::{Feature, Notes, Unsupported};

/// Writes a request. The model and whether it is streamed go into the URL.
///
/// # Errors
/// It asks for what Google cannot do.
pub fn encode_request(
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>, Unsupported> {
    let mut out = Vec::with_capacity(1_024);
    if request
        .turns
        .last()
        .is_some_and(|turn| turn.role == Role::Assistant)
        && !model::takes_prefill(target.model)
    {
        notes.lacking(Feature::Prefill, "messages")?;
    }
    Writer::new(&mut out).open();
    contents::write(request, target, &mut out, notes)?;
    filled(&mut out, "systemInstruction", |writer| {
        instructions(request, writer, notes)
    })?;
    tools(request, &mut out, notes)?;
    filled(&mut out, "toolConfig", |writer| {
        write_tool_config(request, writer);
        Ok(())
    })?;
    filled(&mut out, "generationConfig", |writer| {
        write_generation(request, target, writer, notes)
    })?;
    rest(request, &mut Writer::new(&mut out), notes)?;
    Writer::new(&mut out).close();
    Ok(out)
}

/// Writes a field that is an object, unless nothing comes into it.
fn filled(
    out: &mut Vec<u8>,
    name: &str,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), Unsupported>,
) -> Result<(), Unsupported> {
    let before = out.len();
    Writer::new(out).key(name).open();
    let empty = out.len();
    write(&mut Writer::new(out))?;
    if out.len() == empty {
        out.truncate(before);
    } else {
        Writer::new(out).close();
    }
    Ok(())
}

/// All system turns, wherever they stand: Google has one place for them.
fn instructions(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let turns = request
        .turns
        .iter()
        .filter(|turn| matches!(turn.role, Role::System | Role::Developer));
    let mut parts = turns.flat_map(|turn| &turn.parts).peekable();
    if parts.peek().is_none() {
        return Ok(());
    }
    writer.key("parts").open_array();
    for part in parts {
        if part.cache.is_some() {
            notes.lacking(Feature::Cache, "cache_control")?;
        }
        match &part.content {
            Content::Text { text, .. } => {
                writer.open().text_field("text", text).close();
            }
            _ => notes.lost(
                Feature::System,
                "messages",
                "its instructions are text only",
            )?,
        }
    }
    writer.close_array();
    Ok(())
}

/// The functions in one `Tool`, and Google's own tools in one each.
fn tools(request: &Request<'_>, out: &mut Vec<u8>, notes: &mut Notes) -> Result<(), Unsupported> {
    if request.tools.is_empty() {
        return Ok(());
    }
    if request.parallel_tool_calls == Some(false) {
        notes.lacking(Feature::ParallelToolCallsOff, "parallel_tool_calls")?;
    }
    let mut writer = Writer::new(out);
    writer.key("tools").open_array();
    let is_function = |tool: &Tool<'_>| matches!(tool, Tool::Function { .. });
    if request.tools.iter().any(is_function) {
        writer.open().key("functionDeclarations").open_array();
        for tool in &request.tools {
            if let Tool::Function {
                name,
                description,
                parameters,
                cache,
                ..
            } = tool
            {
                if cache.is_some() {
                    notes.lacking(Feature::Cache, "tools[].cache_control")?;
                }
                writer
                    .open()
                    .text_field("name", name)
                    .text_field_if("description", description.as_deref())
                    .raw_field_if("parametersJsonSchema", parameters.as_ref())
                    .close();
            }
        }
        writer.close_array().close();
    }
    for tool in &request.tools {
        if let Tool::Other { kind, value } = tool {
            let own = Object::parse(value.as_str()).is_ok_and(|mut object| {
                object.take(kind).is_some() && object.rest().next().is_none()
            });
            if own {
                writer.raw(value);
            } else {
                let field = format!("tools[].type: {kind}");
                notes.lost(Feature::ToolOther, &field, "it is not a tool of Google's")?;
            }
        }
    }
    writer.close_array();
    Ok(())
}

fn rest(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    if request.metadata.is_some() {
        notes.lacking(Feature::Metadata, "metadata")?;
    }
    if request.user.is_some() {
        notes.lacking(Feature::User, "user")?;
    }
    match request.service_tier.as_deref() {
        // What Google does by itself is what is asked for.
        None | Some("auto") => {}
        Some(tier @ ("default" | "standard" | "standard_only" | "flex" | "priority")) => {
            writer.text_field("serviceTier", tier_word(tier));
        }
        Some(_) => notes.lost(
            Feature::ServiceTier,
            "service_tier",
            "its tiers are default, flex and priority",
        )?,
    }
    writer.boolean_field_if("store", request.store);
    for extra in &request.extra {
        match &*extra.name {
            "safetySettings" | "safety_settings" => {
                writer.key("safetySettings").raw(&extra.value);
            }
            "cachedContent" | "cached_content" => {
                writer.key("cachedContent").raw(&extra.value);
            }
            name if name.starts_with(GENERATION) || name.starts_with(TOOLS) => {}
            name => notes.lacking(Feature::Unknown, name)?,
        }
    }
    Ok(())
}
