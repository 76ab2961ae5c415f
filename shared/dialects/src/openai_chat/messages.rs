//! Writes the messages of a request: <https://platform.openai.com/docs/api-reference/chat/create#chat_create-messages>.

use super::answer::joined;
use super::reasoning;
use crate::dialect::Target;
use crate::json::Writer;
use crate::request::{Content, Part, Request, Role, Source, Turn};
use crate::support::{Feature, Notes, Unsupported};

/// Writes `messages`.
///
/// # Errors
/// They have what the provider cannot do.
pub(super) fn write(
    writer: &mut Writer<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let mut messages = Messages {
        writer: writer.key("messages").open_array(),
        target,
        notes,
    };
    for turn in &request.turns {
        messages.turn(turn)?;
    }
    messages.writer.close_array();
    match request.turns.last() {
        Some(turn) if turn.role == Role::Assistant => notes.lacking(Feature::Prefill, "messages"),
        _ => Ok(()),
    }
}

struct Messages<'w, 'o, 'r, 'n> {
    writer: &'w mut Writer<'o>,
    target: &'r Target<'r>,
    notes: &'n mut Notes,
}

impl Messages<'_, '_, '_, '_> {
    fn turn(&mut self, turn: &Turn<'_>) -> Result<(), Unsupported> {
        let role = match turn.role {
            Role::Tool => return self.results(&turn.parts),
            Role::Developer if self.target.quirks.developer_role => "developer",
            Role::System | Role::Developer => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        self.writer
            .open()
            .text_field("role", role)
            .text_field_if("name", turn.name.as_deref());
        if turn.role == Role::Assistant {
            self.assistant(&turn.parts)?;
        } else {
            let parts: Vec<&Part<'_>> = turn.parts.iter().collect();
            self.writer.key("content");
            self.texts(turn.role, &parts)?;
        }
        self.writer.close();
        Ok(())
    }

    /// Notes what a part has beside its content.
    fn mark(&mut self, part: &Part<'_>) -> Result<(), Unsupported> {
        if part.cache.is_some() {
            self.notes.lacking(Feature::Cache, "cache_control")?;
        }
        if let Content::Text { citations, .. } = &part.content
            && !citations.is_empty()
        {
            self.notes
                .warn("citations in earlier turns were left out".to_owned());
        }
        Ok(())
    }

    fn part(&mut self, role: Role, part: &Part<'_>) -> Result<(), Unsupported> {
        self.mark(part)?;
        if let Some(feature) = media(&part.content)
            && role != Role::User
        {
            let why = "only messages of users may have it";
            return self.notes.lost(feature, "messages[..].content", why);
        }
        match &part.content {
            Content::Text { text, .. } => self.text(text),
            Content::Image { source, detail } => self.image(source, detail.as_deref())?,
            Content::Audio { data, format } => {
                if self.target.quirks.lacks("audio") {
                    return self.notes.lacking(Feature::AudioInput, "input_audio");
                }
                self.writer
                    .open()
                    .text_field("type", "input_audio")
                    .key("input_audio")
                    .open()
                    .text_field("data", data)
                    .text_field("format", format)
                    .close()
                    .close();
            }
            Content::File { source, name } => self.file(source, name.as_deref())?,
            Content::Refusal { .. }
            | Content::ToolCall { .. }
            | Content::ToolResult { .. }
            | Content::Reasoning { .. }
            | Content::Redacted { .. } => {
                self.notes.lost(
                    Feature::MultiTurn,
                    "messages[..].content",
                    "it stands in a message of the wrong role",
                )?;
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.writer
            .open()
            .text_field("type", "text")
            .text_field("text", text)
            .close();
    }

    fn image(&mut self, source: &Source<'_>, detail: Option<&str>) -> Result<(), Unsupported> {
        let feature = image_feature(source);
        if self.target.quirks.lacks("images") {
            return self.notes.lacking(feature, "image_url");
        }
        let Some(url) = source.to_url() else {
            let why = "it takes images inline or by URL";
            return self.notes.lost(feature, "image_url", why);
        };
        self.writer
            .open()
            .text_field("type", "image_url")
            .key("image_url")
            .open()
            .text_field("url", &url)
            .text_field_if("detail", detail)
            .close()
            .close();
        Ok(())
    }

    fn file(&mut self, source: &Source<'_>, name: Option<&str>) -> Result<(), Unsupported> {
        match source {
            Source::Text(text) => {
                match name {
                    Some(name) => self.text(&format!("{name}:\n\n{text}")),
                    None => self.text(text),
                }
                return Ok(());
            }
            Source::Url(_) => return self.notes.lacking(Feature::FileUrl, "file_url"),
            Source::Id(_) | Source::Base64 { .. } => {}
        }
        self.writer
            .open()
            .text_field("type", "file")
            .key("file")
            .open();
        match source {
            Source::Id(id) => {
                self.writer.text_field("file_id", id);
                self.writer.text_field_if("filename", name);
            }
            _ => {
                // OpenAI demands a name beside the bytes.
                self.writer
                    .text_field("filename", name.unwrap_or("document.pdf"))
                    .text_field("file_data", &source.to_url().unwrap_or_default());
            }
        }
        self.writer.close().close();
        Ok(())
    }

    /// Content is texts, or else one refusal; a refusal beside texts has its own field.
    fn assistant(&mut self, parts: &[Part<'_>]) -> Result<(), Unsupported> {
        let said: Vec<&Part<'_>> = parts.iter().filter(|part| is_said(&part.content)).collect();
        let calls = parts
            .iter()
            .any(|part| matches!(part.content, Content::ToolCall { .. }));
        let refusal = joined(parts, |content| match content {
            Content::Refusal { text } => Some(text),
            _ => None,
        });
        self.writer.key("content");
        match (said.as_slice(), &refusal) {
            ([], None) if calls => {
                self.writer.null();
            }
            ([], None) => {
                self.writer.text("");
            }
            ([], Some(refusal)) => {
                self.writer
                    .open_array()
                    .open()
                    .text_field("type", "refusal")
                    .text_field("refusal", refusal)
                    .close()
                    .close_array();
            }
            (said, refusal) => {
                self.texts(Role::Assistant, said)?;
                self.writer.text_field_if("refusal", refusal.as_deref());
            }
        }
        self.thoughts(parts)?;
        if calls {
            self.writer.key("tool_calls").open_array();
            for part in parts {
                self.call(part)?;
            }
            self.writer.close_array();
        }
        Ok(())
    }

    /// One text as it is, anything else as a list.
    fn texts(&mut self, role: Role, parts: &[&Part<'_>]) -> Result<(), Unsupported> {
        if let [part] = parts
            && let Content::Text { text, .. } = &part.content
        {
            self.mark(part)?;
            self.writer.text(text);
            return Ok(());
        }
        self.writer.open_array();
        for part in parts {
            self.part(role, part)?;
        }
        self.writer.close_array();
        Ok(())
    }

    fn thoughts(&mut self, parts: &[Part<'_>]) -> Result<(), Unsupported> {
        let sealed = parts
            .iter()
            .any(|part| matches!(part.content, Content::Redacted { .. }));
        let text = reasoning::joined(parts);
        match (text, self.target.quirks.reasoning) {
            (Some(text), Some(field)) => {
                self.writer.text_field(field, &text);
                if sealed {
                    self.notes
                        .lacking(Feature::ReasoningHistory, "messages[..].reasoning")?;
                }
            }
            (None, _) if !sealed => {}
            _ => self
                .notes
                .lacking(Feature::ReasoningHistory, "messages[..].reasoning")?,
        }
        Ok(())
    }

    fn call(&mut self, part: &Part<'_>) -> Result<(), Unsupported> {
        let Content::ToolCall {
            id,
            name,
            arguments,
            signature,
        } = &part.content
        else {
            return Ok(());
        };
        self.mark(part)?;
        if signature.is_some() {
            self.notes
                .lacking(Feature::ReasoningHistory, "messages[..].reasoning")?;
        }
        self.writer
            .open()
            .text_field("id", id)
            .text_field("type", "function")
            .key("function")
            .open()
            .text_field("name", name)
            .text_field("arguments", arguments_text(arguments))
            .close()
            .close();
        Ok(())
    }

    /// One message for each result, and what they may not have in a user's message behind them all.
    fn results(&mut self, parts: &[Part<'_>]) -> Result<(), Unsupported> {
        let mut pictures = false;
        for part in parts {
            self.mark(part)?;
            let Content::ToolResult {
                id, parts, error, ..
            } = &part.content
            else {
                self.part(Role::Tool, part)?;
                continue;
            };
            if *error {
                self.notes
                    .lacking(Feature::ToolResultError, "messages[..].is_error")?;
            }
            pictures |= parts.iter().any(|part| goes_behind(&part.content));
            let texts: Vec<&Part<'_>> = parts
                .iter()
                .filter(|part| !goes_behind(&part.content))
                .collect();
            self.writer
                .open()
                .text_field("role", "tool")
                .text_field("tool_call_id", id)
                .key("content");
            if texts.is_empty() {
                self.writer.text("");
            } else {
                self.texts(Role::Tool, &texts)?;
            }
            self.writer.close();
        }
        if pictures {
            self.behind(parts)?;
        }
        Ok(())
    }

    fn behind(&mut self, parts: &[Part<'_>]) -> Result<(), Unsupported> {
        self.writer
            .open()
            .text_field("role", "user")
            .key("content")
            .open_array();
        for part in parts {
            let Content::ToolResult { id, parts, .. } = &part.content else {
                continue;
            };
            let mut parts = parts
                .iter()
                .filter(|part| goes_behind(&part.content))
                .peekable();
            if parts.peek().is_some() {
                self.text(&format!("Result of tool call {id}:"));
            }
            for part in parts {
                self.part(Role::User, part)?;
            }
        }
        self.writer.close_array().close();
        Ok(())
    }
}

/// Whether it is content of an assistant's message, and not a field beside it.
fn is_said(content: &Content<'_>) -> bool {
    !matches!(
        content,
        Content::Refusal { .. }
            | Content::Reasoning { .. }
            | Content::Redacted { .. }
            | Content::ToolCall { .. }
    )
}

/// Whether a tool's message cannot have it.
fn goes_behind(content: &Content<'_>) -> bool {
    media(content).is_some()
}

/// What only users' messages may have.
fn media(content: &Content<'_>) -> Option<Feature> {
    match content {
        Content::Image { source, .. } => Some(image_feature(source)),
        Content::Audio { .. } => Some(Feature::AudioInput),
        Content::File { source, .. } => match source {
            Source::Text(_) => None,
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

/// A call without arguments has an empty object, as OpenAI's models write it.
pub(super) fn arguments_text(arguments: &str) -> &str {
    if arguments.trim_ascii().is_empty() {
        "{}"
    } else {
        arguments
    }
}
