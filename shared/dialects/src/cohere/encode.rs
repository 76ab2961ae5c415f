//! Writing requests.

use crate::dialect::Target;
use crate::json::Writer;
use crate::request::{Content, Format, Part, Request, Role, Source, Tool, ToolChoice, Turn};
use crate::support::{Feature, Notes, Unsupported};

use super::OWN_FIELDS;

/// Writes a request.
///
/// # Errors
/// It asks for what Cohere cannot do.
pub fn encode_request(
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>, Unsupported> {
    let mut out = Vec::with_capacity(1_024);
    let mut writer = Writer::new(&mut out);
    writer
        .open()
        .text_field("model", target.model)
        .key("stream")
        .boolean(request.stream);
    writer.key("messages").open_array();
    for turn in &request.turns {
        message(turn, &mut writer, notes)?;
    }
    writer.close_array();
    tools(request, &mut writer, notes)?;
    settings(request, &mut writer, notes)?;
    for extra in &request.extra {
        if OWN_FIELDS.contains(&extra.name.as_ref()) {
            writer.key(&extra.name).raw(&extra.value);
        } else {
            notes.lacking(Feature::Unknown, &extra.name)?;
        }
    }
    writer.close();
    Ok(out)
}

fn settings(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let sampling = &request.sampling;
    writer
        .integer_field_if("max_tokens", request.max_tokens)
        .raw_field_if("temperature", sampling.temperature.as_ref())
        .raw_field_if("p", sampling.top_p.as_ref())
        .raw_field_if("k", sampling.top_k.as_ref())
        .raw_field_if("seed", sampling.seed.as_ref())
        .raw_field_if("frequency_penalty", sampling.frequency_penalty.as_ref())
        .raw_field_if("presence_penalty", sampling.presence_penalty.as_ref());
    if !request.stop.is_empty() {
        writer.key("stop_sequences").open_array();
        for stop in &request.stop {
            writer.text(stop);
        }
        writer.close_array();
    }
    match &request.format {
        None => {}
        Some(Format::Json) => {
            writer
                .key("response_format")
                .open()
                .text_field("type", "json_object")
                .close();
        }
        Some(Format::Schema { schema, .. }) => {
            writer
                .key("response_format")
                .open()
                .text_field("type", "json_object");
            writer.key("json_schema").raw(schema).close();
        }
    }
    if let Some(reasoning) = &request.reasoning {
        if let Some(wanted) = reasoning.wanted() {
            let word = if wanted { "enabled" } else { "disabled" };
            writer.key("thinking").open().text_field("type", word);
            if wanted {
                writer.integer_field_if("token_budget", reasoning.budget());
            }
            writer.close();
        }
        if reasoning.summary.is_some() {
            notes.lacking(Feature::ReasoningSummary, "reasoning.summary")?;
        }
    }
    let absent = [
        (sampling.logit_bias.is_some(), Feature::LogitBias, "logit_bias"),
        (request.choices.is_some_and(|n| n > 1), Feature::Choices, "n"),
        (request.logprobs == Some(true), Feature::Logprobs, "logprobs"),
        (request.metadata.is_some(), Feature::Metadata, "metadata"),
        (request.user.is_some(), Feature::User, "user"),
        (request.service_tier.is_some(), Feature::ServiceTier, "service_tier"),
        (request.store == Some(true), Feature::Store, "store"),
    ];
    for (there, feature, field) in absent {
        if there {
            notes.lacking(feature, field)?;
        }
    }
    Ok(())
}

fn tools(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        notes.lacking(Feature::ParallelToolCallsOff, "parallel_tool_calls")?;
    }
    let offered = |name: &str| match &request.tool_choice {
        Some(ToolChoice::Named(only)) => only == name,
        Some(ToolChoice::Allowed { names, .. }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    };
    if !request.tools.is_empty() {
        writer.key("tools").open_array();
        for tool in &request.tools {
            match tool {
                Tool::Function {
                    name,
                    description,
                    parameters,
                    cache,
                    ..
                } => {
                    if cache.is_some() {
                        notes.lacking(Feature::Cache, "cache_control")?;
                    }
                    if offered(name) {
                        writer.open().text_field("type", "function");
                        writer
                            .key("function")
                            .open()
                            .text_field("name", name)
                            .text_field_if("description", description.as_deref())
                            .raw_field_if("parameters", parameters.as_ref())
                            .close()
                            .close();
                    }
                }
                Tool::Other { kind, .. } => {
                    notes.lacking(Feature::ToolOther, &format!("tools ({kind})"))?;
                }
            }
        }
        writer.close_array();
    }
    strictness(request, writer, notes)?;
    match &request.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => {}
        Some(ToolChoice::None) => {
            writer.text_field("tool_choice", "NONE");
        }
        Some(
            ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. },
        ) => {
            writer.text_field("tool_choice", "REQUIRED");
        }
    }
    Ok(())
}

/// Cohere has one switch for all tools.
fn strictness(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let mut wishes = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function { strict, .. } => Some(*strict),
        Tool::Other { .. } => None,
    });
    let Some(first) = wishes.next() else {
        return Ok(());
    };
    if wishes.all(|strict| strict == first) {
        writer.boolean_field_if("strict_tools", first);
        return Ok(());
    }
    notes.lost(
        Feature::ToolStrict,
        "strict",
        "it has one switch for all tools, and some of these are strict and some not",
    )
}

fn message(
    turn: &Turn<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    if turn.name.is_some() {
        notes.lacking(Feature::Name, "name")?;
    }
    if turn.role == Role::Tool {
        for part in &turn.parts {
            tool_result(part, writer, notes)?;
        }
        return Ok(());
    }
    writer.open().text_field(
        "role",
        match turn.role {
            Role::System | Role::Developer => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        },
    );
    writer.key("content").open_array();
    for part in &turn.parts {
        content(part, writer, notes)?;
    }
    writer.close_array();
    let mut calls = turn.parts.iter().filter_map(|part| match &part.content {
        Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } => Some((id, name, arguments)),
        _ => None,
    });
    if let Some(first) = calls.next() {
        writer.key("tool_calls").open_array();
        for (id, name, arguments) in std::iter::once(first).chain(calls) {
            writer
                .open()
                .text_field("id", id)
                .text_field("type", "function");
            writer
                .key("function")
                .open()
                .text_field("name", name)
                .text_field("arguments", if arguments.is_empty() { "{}" } else { arguments })
                .close()
                .close();
        }
        writer.close_array();
    }
    writer.close();
    Ok(())
}

fn content(
    part: &Part<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    if part.cache.is_some() {
        notes.lacking(Feature::Cache, "cache_control")?;
    }
    match &part.content {
        Content::Text { text, .. } | Content::Refusal { text } => {
            writer
                .open()
                .text_field("type", "text")
                .text_field("text", text)
                .close();
        }
        Content::Image { source, detail } => {
            let Some(url) = source.to_url() else {
                return notes.lacking(Feature::FileId, "image");
            };
            writer.open().text_field("type", "image_url");
            writer
                .key("image_url")
                .open()
                .text_field("url", &url)
                .text_field_if("detail", detail.as_deref())
                .close()
                .close();
        }
        Content::Reasoning {
            text,
            signature: None,
            ..
        } => {
            writer
                .open()
                .text_field("type", "thinking")
                .text_field("thinking", text)
                .close();
        }
        Content::Reasoning { .. } | Content::Redacted { .. } => {
            notes.lacking(Feature::ReasoningHistory, "thinking")?;
        }
        Content::Audio { .. } => notes.lacking(Feature::AudioInput, "input_audio")?,
        Content::File { source, .. } => notes.lacking(
            match source {
                Source::Url(_) => Feature::FileUrl,
                Source::Base64 { .. } => Feature::FileBase64,
                Source::Id(_) => Feature::FileId,
                Source::Text(_) => Feature::FileText,
            },
            "file",
        )?,
        // Calls are written after the content; results have a message of their own.
        Content::ToolCall { .. } | Content::ToolResult { .. } => {}
    }
    Ok(())
}

fn tool_result(
    part: &Part<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let Content::ToolResult {
        id, parts, error, ..
    } = &part.content
    else {
        return Ok(());
    };
    if *error {
        notes.lacking(Feature::ToolResultError, "is_error")?;
    }
    if part.cache.is_some() {
        notes.lacking(Feature::Cache, "cache_control")?;
    }
    writer
        .open()
        .text_field("role", "tool")
        .text_field("tool_call_id", id);
    let texts = || {
        parts.iter().filter_map(|part| match &part.content {
            Content::Text { text, .. } => Some(text.as_ref()),
            _ => None,
        })
    };
    if texts().count() < parts.len() {
        notes.lacking(Feature::ToolResultImage, "tool result")?;
    }
    match texts().next() {
        Some(only) if parts.len() == 1 => {
            writer.text_field("content", only);
        }
        None => {
            writer.text_field("content", "");
        }
        Some(_) => {
            writer.key("content").open_array();
            for text in texts() {
                writer
                    .open()
                    .text_field("type", "text")
                    .text_field("text", text)
                    .close();
            }
            writer.close_array();
        }
    }
    writer.close();
    Ok(())
}
