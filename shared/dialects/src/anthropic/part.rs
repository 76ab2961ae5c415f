//! A request's content blocks, written.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64_NOPAD};

use crate::json::{Writer, object_text};
use crate::request::{Cache, Content, Part, Source};
use crate::support::{Feature, Notes, Unsupported};

use super::block;

/// The text, where a part is nothing more. The API refuses texts that are empty or white space only.
pub(super) fn is_plain<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match &part.content {
        Content::Text { text, citations }
            if part.cache.is_none() && citations.is_empty() && !text.trim().is_empty() =>
        {
            Some(text)
        }
        _ => None,
    }
}

/// A cache marker.
pub(super) fn write_cache(cache: Option<&Cache<'_>>, writer: &mut Writer<'_>) {
    if let Some(cache) = cache {
        writer.key("cache_control").open();
        writer.text_field("type", "ephemeral");
        writer.text_field_if("ttl", cache.ttl.as_deref()).close();
    }
}

/// Parts, each with the number of its turn.
pub(super) fn write_parts(
    parts: &[(usize, &Part<'_>)],
    notes: &mut Notes,
    out: &mut Vec<u8>,
) -> Result<(), Unsupported> {
    let mut writer = Writer::new(out);
    for (at, part) in parts {
        write_part(*at, part, notes, &mut writer)?;
    }
    Ok(())
}

fn write_part(
    at: usize,
    part: &Part<'_>,
    notes: &mut Notes,
    writer: &mut Writer<'_>,
) -> Result<(), Unsupported> {
    let field = |name: &str| format!("messages[{at}].{name}");
    match &part.content {
        Content::Text { text, citations } => {
            if !citations.is_empty() {
                notes.warn("the citations of earlier answers were left out".to_owned());
            }
            if text.trim().is_empty() {
                return Ok(());
            }
            writer.open().text_field("type", "text");
            writer.text_field("text", text);
        }
        Content::Refusal { text } => {
            if text.trim().is_empty() {
                return Ok(());
            }
            writer.open().text_field("type", "text");
            writer.text_field("text", text);
        }
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                notes.lacking(Feature::ImageDetail, "image_url.detail")?;
            }
            writer.open().text_field("type", "image");
            write_source(source, writer);
        }
        Content::Audio { .. } => return notes.lacking(Feature::AudioInput, &field("input_audio")),
        Content::File { source, name } => {
            writer.open().text_field("type", "document");
            write_document(source, &field("file"), notes, writer)?;
            writer.text_field_if("title", name.as_deref());
        }
        Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } => {
            let Some(input) = object_text(arguments) else {
                let field = field("tool_calls.function.arguments");
                return notes.lost(Feature::MultiTurn, &field, "they are not a JSON object");
            };
            block::open_call(id, name, writer);
            writer.raw(&input);
        }
        Content::ToolResult {
            id, parts, error, ..
        } => {
            writer.open().text_field("type", "tool_result");
            writer.text_field("tool_use_id", &block::call_id(id));
            write_result(at, parts, notes, writer)?;
            writer.boolean_field_if("is_error", error.then_some(true));
        }
        Content::Reasoning {
            text,
            signature,
            id,
        } => {
            let Some(signature) = signature.as_deref().filter(|_| id.is_none()) else {
                let why = "it is not signed by this provider";
                return notes.lost(Feature::ReasoningHistory, &field("reasoning"), why);
            };
            unmarked(part, notes)?;
            block::write_thinking(text, signature, writer);
            return Ok(());
        }
        Content::Redacted { data } => {
            unmarked(part, notes)?;
            block::write_redacted(data, writer);
            return Ok(());
        }
    }
    write_cache(part.cache.as_ref(), writer);
    writer.close();
    Ok(())
}

/// Thoughts take no cache marker: <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>.
fn unmarked(part: &Part<'_>, notes: &mut Notes) -> Result<(), Unsupported> {
    match part.cache {
        Some(_) => notes.lost(Feature::Cache, "cache_control", "thinking cannot be marked"),
        None => Ok(()),
    }
}

/// The content of a tool's result, a text where it is one; none where it is empty.
fn write_result(
    at: usize,
    parts: &[Part<'_>],
    notes: &mut Notes,
    writer: &mut Writer<'_>,
) -> Result<(), Unsupported> {
    let says = |part: &&Part<'_>| !matches!(&part.content, Content::Text { text, .. } if text.trim().is_empty());
    let mut parts = parts.iter().filter(says).peekable();
    let Some(first) = parts.next() else {
        return Ok(());
    };
    writer.key("content");
    match is_plain(first) {
        Some(text) if parts.peek().is_none() => {
            writer.text(text);
        }
        _ => {
            writer.open_array();
            for part in std::iter::once(first).chain(parts) {
                match part.content {
                    Content::ToolResult { .. } | Content::ToolCall { .. } => {
                        let field = format!("messages[{at}].content");
                        notes.lost(Feature::ToolResults, &field, "results do not nest")?;
                    }
                    _ => write_part(at, part, notes, writer)?,
                }
            }
            writer.close_array();
        }
    }
    Ok(())
}

fn write_source(source: &Source<'_>, writer: &mut Writer<'_>) {
    writer.key("source").open();
    match source {
        Source::Url(url) => {
            writer.text_field("type", "url").text_field("url", url);
        }
        Source::Base64 { media_type, data } => {
            writer.text_field("type", "base64");
            writer.text_field("media_type", media_type);
            writer.text_field("data", data);
        }
        Source::Id(id) => {
            writer.text_field("type", "file").text_field("file_id", id);
        }
        Source::Text(text) => {
            writer.text_field("type", "text");
            writer.text_field("media_type", "text/plain");
            writer.text_field("data", text);
        }
    }
    writer.close();
}

/// A document's source. Bytes are a PDF; text in base64 is sent as the text that it is:
/// <https://platform.claude.com/docs/en/build-with-claude/files#working-with-other-file-formats>.
fn write_document(
    source: &Source<'_>,
    field: &str,
    notes: &mut Notes,
    writer: &mut Writer<'_>,
) -> Result<(), Unsupported> {
    if let Source::Base64 { media_type, data } = source
        && !media_type.eq_ignore_ascii_case("application/pdf")
    {
        let Some(text) = plain_text(media_type, data) else {
            let why = "documents are PDF or plain text in UTF-8";
            return notes.lost(Feature::FileBase64, field, why);
        };
        write_source(&Source::Text(Cow::Owned(text)), writer);
    } else {
        write_source(source, writer);
    }
    Ok(())
}

fn plain_text(media_type: &str, data: &str) -> Option<String> {
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    let is_text = kind
        .get(..5)
        .is_some_and(|t| t.eq_ignore_ascii_case("text/"))
        || kind.eq_ignore_ascii_case("application/json");
    if !is_text {
        return None;
    }
    let bytes = if data.len().is_multiple_of(4) {
        BASE64.decode(data.as_bytes())
    } else {
        BASE64_NOPAD.decode(data.as_bytes())
    };
    String::from_utf8(bytes.ok()?).ok()
}
