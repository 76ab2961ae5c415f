//! Writes the turns of a request as items: <https://platform.openai.com/docs/api-reference/responses/create#responses_create-input>.
//!
//! A system turn of plain text at the beginning becomes `instructions`, which is where they are expected; all others
//! become messages.

use std::borrow::Cow;

use super::items;
use crate::dialect::Target;
use crate::json::Writer;
use crate::request::{Content, Part, Request, Role, Source, Turn};
use crate::support::{Feature, Notes, Unsupported};

/// Writes `instructions` and `input`.
///
/// # Errors
/// They have what the provider cannot do.
pub(super) fn write(
    writer: &mut Writer<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let mut turns = request.turns.as_slice();
    if let Some((first, rest)) = turns.split_first()
        && let Some(text) = instructions(first)
    {
        writer.text_field("instructions", text);
        turns = rest;
    }
    let mut items = Items {
        writer: writer.key("input").open_array(),
        target,
        notes,
        stored: request.store == Some(true),
    };
    for turn in turns {
        items.turn(turn)?;
    }
    items.writer.close_array();
    match request.turns.last() {
        Some(turn) if turn.role == Role::Assistant => notes.lacking(Feature::Prefill, "messages"),
        _ => Ok(()),
    }
}

fn instructions<'a>(turn: &'a Turn<'_>) -> Option<&'a str> {
    match turn.parts.as_slice() {
        [
            Part {
                content: Content::Text { text, .. },
                cache: None,
            },
        ] if turn.role == Role::System && turn.name.is_none() => Some(text),
        _ => None,
    }
}

struct Items<'w, 'o, 'r, 'n> {
    writer: &'w mut Writer<'o>,
    target: &'r Target<'r>,
    notes: &'n mut Notes,
    stored: bool,
}

impl Items<'_, '_, '_, '_> {
    /// A turn: what may stand in a message in as few messages as can be, calls, results and thoughts between them.
    fn turn(&mut self, turn: &Turn<'_>) -> Result<(), Unsupported> {
        if turn.name.is_some() {
            self.notes.lacking(Feature::Name, "messages[..].name")?;
        }
        for run in turn
            .parts
            .chunk_by(|a, b| is_said(&a.content) && is_said(&b.content))
        {
            match run {
                [part] if !is_said(&part.content) => self.item(part)?,
                said => self.message(turn.role, said)?,
            }
        }
        Ok(())
    }

    fn message(&mut self, role: Role, parts: &[Part<'_>]) -> Result<(), Unsupported> {
        let word = match role {
            Role::System => "system",
            Role::Developer if !self.target.quirks.developer_role => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => {
                return self.notes.lost(
                    Feature::ToolResults,
                    "messages[..].content",
                    "it stands outside of a tool's result",
                );
            }
        };
        self.writer
            .open()
            .text_field("type", "message")
            .text_field("role", word)
            .key("content");
        self.content(role, parts)?;
        self.writer.close();
        Ok(())
    }

    /// Content: one text as it is, anything else as a list.
    fn content(&mut self, role: Role, parts: &[Part<'_>]) -> Result<(), Unsupported> {
        if let [part] = parts
            && let Content::Text { text, citations } = &part.content
            && citations.is_empty()
        {
            self.mark(part)?;
            self.writer.text(text);
            return Ok(());
        }
        self.writer.open_array();
        for part in parts {
            self.mark(part)?;
            self.part(role, &part.content)?;
        }
        self.writer.close_array();
        Ok(())
    }

    fn mark(&mut self, part: &Part<'_>) -> Result<(), Unsupported> {
        if part.cache.is_some() {
            self.notes.lacking(Feature::Cache, "cache_control")?;
        }
        Ok(())
    }

    fn part(&mut self, role: Role, content: &Content<'_>) -> Result<(), Unsupported> {
        if let Some(feature) = media(content)
            && role == Role::Assistant
        {
            let why = "messages of the model may not have it";
            return self.notes.lost(feature, "messages[..].content", why);
        }
        match content {
            Content::Text { text, citations } if role == Role::Assistant => {
                items::output_text(self.writer, text, citations, None);
            }
            Content::Text { text, .. } => self.text(text),
            Content::Refusal { text } if role == Role::Assistant => {
                items::refusal(self.writer, text);
            }
            Content::Refusal { text } => self.text(text),
            Content::Image { source, detail } => self.image(source, detail.as_deref())?,
            Content::File { source, name } => self.file(source, name.as_deref())?,
            Content::Audio { .. } => self.notes.lacking(Feature::AudioInput, "input_audio")?,
            Content::ToolCall { .. }
            | Content::ToolResult { .. }
            | Content::Reasoning { .. }
            | Content::Redacted { .. } => {
                self.notes.lost(
                    Feature::ToolResults,
                    "messages[..].content",
                    "it stands in a tool's result",
                )?;
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.writer
            .open()
            .text_field("type", "input_text")
            .text_field("text", text)
            .close();
    }

    fn image(&mut self, source: &Source<'_>, detail: Option<&str>) -> Result<(), Unsupported> {
        if self.target.quirks.lacks("images") {
            return self.notes.lacking(image_feature(source), "image_url");
        }
        self.writer.open().text_field("type", "input_image");
        match source {
            Source::Id(id) => {
                self.writer.text_field("file_id", id);
            }
            source => {
                let Some(url) = source.to_url() else {
                    let why = "it takes images inline, by URL or by id";
                    return self.notes.lost(Feature::ImageBase64, "image_url", why);
                };
                self.writer.text_field("image_url", &url);
            }
        }
        self.writer.text_field_if("detail", detail).close();
        Ok(())
    }

    fn file(&mut self, source: &Source<'_>, name: Option<&str>) -> Result<(), Unsupported> {
        let (field, data) = match source {
            Source::Text(text) => {
                match name {
                    Some(name) => self.text(&format!("{name}:\n\n{text}")),
                    None => self.text(text),
                }
                return Ok(());
            }
            Source::Id(id) => ("file_id", Cow::Borrowed(&**id)),
            Source::Url(url) => ("file_url", Cow::Borrowed(&**url)),
            Source::Base64 { .. } => ("file_data", source.to_url().unwrap_or_default()),
        };
        // A name is demanded beside the bytes.
        let name = match source {
            Source::Base64 { .. } => name.or(Some("document.pdf")),
            _ => name,
        };
        self.writer
            .open()
            .text_field("type", "input_file")
            .text_field_if("filename", name)
            .text_field(field, &data)
            .close();
        Ok(())
    }

    /// What is an item of its own.
    fn item(&mut self, part: &Part<'_>) -> Result<(), Unsupported> {
        self.mark(part)?;
        match &part.content {
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                if signature.is_some() {
                    self.foreign()?;
                }
                self.writer
                    .open()
                    .text_field("type", "function_call")
                    .text_field("call_id", id)
                    .text_field("name", name)
                    .text_field("arguments", items::arguments(arguments))
                    .close();
            }
            Content::ToolResult {
                id, parts, error, ..
            } => {
                if *error {
                    self.notes
                        .lacking(Feature::ToolResultError, "messages[..].is_error")?;
                }
                self.writer
                    .open()
                    .text_field("type", "function_call_output")
                    .text_field("call_id", id)
                    .key("output");
                if parts.is_empty() {
                    self.writer.text("");
                } else {
                    self.content(Role::Tool, parts)?;
                }
                self.writer.close();
            }
            // What another model thought has no id of OpenAI's; without its seal, OpenAI has it only where it was stored.
            Content::Reasoning {
                text,
                signature,
                id: Some(id),
            } if signature.is_some() || self.stored => {
                items::reasoning(self.writer, id, text, signature.as_deref());
            }
            _ => self.foreign()?,
        }
        Ok(())
    }

    fn foreign(&mut self) -> Result<(), Unsupported> {
        self.notes.lost(
            Feature::ReasoningHistory,
            "messages[..].reasoning",
            "OpenAI has no record of it",
        )
    }
}

/// Whether it stands in a message, and is no item of its own.
fn is_said(content: &Content<'_>) -> bool {
    match content {
        Content::Text { .. }
        | Content::Image { .. }
        | Content::Audio { .. }
        | Content::File { .. }
        | Content::Refusal { .. } => true,
        Content::ToolCall { .. }
        | Content::ToolResult { .. }
        | Content::Reasoning { .. }
        | Content::Redacted { .. } => false,
    }
}

/// What messages of the model may not have.
fn media(content: &Content<'_>) -> Option<Feature> {
    match content {
        Content::Image { source, .. } => Some(image_feature(source)),
        Content::Audio { .. } => Some(Feature::AudioInput),
        Content::File { source, .. } => match source {
            Source::Text(_) => Some(Feature::FileText),
            Source::Url(_) => Some(Feature::FileUrl),
            Source::Base64 { .. } => Some(Feature::FileBase64),
            Source::Id(_) => Some(Feature::FileId),
        },
        _ => None,
    }
}

fn image_feature(source: &Source<'_>) -> Feature {
    match source {
        Source::Url(_) => Feature::ImageUrl,
        Source::Id(_) => Feature::FileId,
        Source::Base64 { .. } | Source::Text(_) => Feature::ImageBase64,
    }
}
