//! Writing the turns of a request: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>.
//!
//! Roles alternate, so neighbours of one role are one message, and so are the results of an assistant's calls and what the
//! user says next. Where text of an earlier turn comes from (citations) is not sent back: it says nothing that the model needs.

use std::borrow::Cow;

use data_encoding::BASE64;

use crate::json::{Writer, object_text};
use crate::request::{Cache, Content, Part, Request, Role, Source, Turn};
use crate::support::{Feature, Notes, Unsupported};

use super::content::{
    call_id, document_format, image_format, write_call, write_sealed, write_thought,
};
use super::model::Family;

/// The longest name of a document.
const LONGEST_NAME: usize = 200;

/// Writes `messages`, and `system` with the instructions wherever they stand.
///
/// # Errors
/// They have what Bedrock cannot take.
pub(super) fn write(
    request: &Request<'_>,
    family: Family,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let is_instruction = |turn: &&Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
    Writer::new(out).key("messages").open_array();
    let mut messages = Messages {
        out,
        notes,
        family,
        open: None,
        text: false,
        document: false,
        names: Vec::new(),
    };
    let turns = request.turns.iter().enumerate();
    for (at, turn) in turns.filter(|(_, turn)| !is_instruction(turn)) {
        messages.turn(at, turn)?;
    }
    messages.close()?;
    Writer::new(messages.out).close_array();
    if request.turns.iter().any(|turn| is_instruction(&turn)) {
        Writer::new(out).key("system").open_array();
        let turns = request.turns.iter().enumerate();
        for (at, turn) in turns.filter(|(_, turn)| is_instruction(turn)) {
            system(at, turn, out, notes)?;
        }
        Writer::new(out).close_array();
    }
    Ok(())
}

fn system(
    at: usize,
    turn: &Turn<'_>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    if turn.name.is_some() {
        notes.lacking(Feature::Name, &format!("messages[{at}].name"))?;
    }
    for part in &turn.parts {
        let Content::Text { text, .. } = &part.content else {
            let field = format!("messages[{at}].content");
            notes.lost(Feature::System, &field, "instructions are text only")?;
            continue;
        };
        if !is_blank(text, notes) {
            Writer::new(out).open().text_field("text", text).close();
        }
        write_cache(part.cache.as_ref(), out, notes)?;
    }
    Ok(())
}

/// Bedrock refuses texts of white space alone.
fn is_blank(text: &str, notes: &mut Notes) -> bool {
    let blank = text.trim().is_empty();
    if blank && !text.is_empty() {
        notes.warn("a text of white space alone was left out".to_owned());
    }
    blank
}

/// Writes a marker behind what is to be cached.
pub(super) fn write_cache(
    cache: Option<&Cache<'_>>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let Some(cache) = cache else {
        return Ok(());
    };
    let mut ttl = cache.ttl.as_deref();
    if ttl.is_some_and(|ttl| !matches!(ttl, "5m" | "1h")) {
        notes.lost(Feature::Cache, "cache_control.ttl", "it is 5m or 1h")?;
        ttl = None;
    }
    let mut writer = Writer::new(out);
    writer.open().key("cachePoint").open();
    writer
        .text_field("type", "default")
        .text_field_if("ttl", ttl)
        .close()
        .close();
    Ok(())
}

struct Messages<'o, 'n> {
    out: &'o mut Vec<u8>,
    notes: &'n mut Notes,
    family: Family,
    /// Whose message is open.
    open: Option<&'static str>,
    /// Whether it has a text.
    text: bool,
    /// Whether it has a document, which needs one.
    document: bool,
    /// The names of the documents so far, in lower case, since no two may have the same.
    names: Vec<String>,
}

impl Messages<'_, '_> {
    fn turn(&mut self, at: usize, turn: &Turn<'_>) -> Result<(), Unsupported> {
        if turn.name.is_some() {
            self.notes
                .lacking(Feature::Name, &format!("messages[{at}].name"))?;
        }
        let role = match turn.role {
            Role::Assistant => "assistant",
            Role::User | Role::Tool | Role::System | Role::Developer => "user",
        };
        for part in &turn.parts {
            self.part(at, role, part)?;
        }
        Ok(())
    }

    /// A message is opened by its first block.
    fn block(&mut self, role: &'static str) -> Result<Writer<'_>, Unsupported> {
        if self.open != Some(role) {
            if self.open.is_none() && role == "assistant" {
                let why = "a conversation must begin with the user";
                self.notes.lost(Feature::MultiTurn, "messages", why)?;
            }
            self.close()?;
            self.open = Some(role);
            let mut writer = Writer::new(self.out);
            writer.open().text_field("role", role);
            writer.key("content").open_array();
        }
        Ok(Writer::new(self.out))
    }

    fn close(&mut self) -> Result<(), Unsupported> {
        if self.open.is_some() {
            Writer::new(self.out).close_array().close();
        }
        let alone = std::mem::take(&mut self.document) && !self.text;
        self.text = false;
        if alone {
            let why = "a turn with a file must have a text too";
            self.notes.lost(Feature::FileBase64, "messages", why)?;
        }
        Ok(())
    }

    fn part(&mut self, at: usize, role: &'static str, part: &Part<'_>) -> Result<(), Unsupported> {
        let mut cache = part.cache.as_ref();
        match &part.content {
            Content::Text { text, .. } | Content::Refusal { text } => {
                if !is_blank(text, self.notes) {
                    self.block(role)?.open().text_field("text", text).close();
                    self.text = true;
                }
            }
            Content::Image { source, detail } => {
                self.detail(at, detail.as_deref())?;
                let image = self.image(at, source)?;
                if let Some(image) = image {
                    image.write(&mut self.block(role)?);
                }
            }
            Content::Audio { data, format } => {
                let mut writer = self.block(role)?;
                writer.open().key("audio").open();
                writer.text_field("format", format);
                write_bytes(data, &mut writer);
                writer.close().close();
            }
            Content::File { source, name } => {
                let document = self.document(at, source, name.as_deref())?;
                if let Some(document) = document {
                    document.write(&mut self.block(role)?);
                    self.document = true;
                }
            }
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                if object_text(arguments).is_none() {
                    let field = format!("messages[{at}].tool_calls ({name}).arguments");
                    let why = "it is not a JSON object";
                    self.notes.lost(Feature::MultiTurn, &field, why)?;
                }
                if signature.is_some() {
                    let field = format!("messages[{at}].tool_calls ({name}).signature");
                    let why = "only the provider that signed the call can use it";
                    self.notes.lost(Feature::ReasoningHistory, &field, why)?;
                }
                write_call(id, name, arguments, &mut self.block(role)?);
            }
            Content::ToolResult {
                id, parts, error, ..
            } => {
                self.result(at, role, id, parts, *error)?;
                cache = cache.or_else(|| parts.iter().rev().find_map(|part| part.cache.as_ref()));
            }
            Content::Reasoning {
                text,
                signature,
                id,
            } => {
                // By its id OpenAI's is told from others'.
                let signature = signature.as_deref().filter(|_| id.is_none());
                if self.family.is_claude() && signature.is_none() {
                    let field = format!("messages[{at}].reasoning");
                    let why = "it is not signed by this provider";
                    return self.notes.lost(Feature::ReasoningHistory, &field, why);
                }
                write_thought(text, signature, &mut self.block(role)?);
                cache = self.unmarked(cache)?;
            }
            Content::Redacted { data } => {
                write_sealed(data, &mut self.block(role)?);
                cache = self.unmarked(cache)?;
            }
        }
        if self.open == Some(role) {
            write_cache(cache, self.out, self.notes)?;
        }
        Ok(())
    }

    /// Behind a thought there may be no marker.
    fn unmarked<'c, 'd>(
        &mut self,
        cache: Option<&'c Cache<'d>>,
    ) -> Result<Option<&'c Cache<'d>>, Unsupported> {
        if cache.is_some() {
            let why = "a thought cannot be marked";
            self.notes.lost(Feature::Cache, "cache_control", why)?;
        }
        Ok(None)
    }

    fn detail(&mut self, at: usize, detail: Option<&str>) -> Result<(), Unsupported> {
        // What it does anyway.
        if detail.is_some_and(|detail| detail != "auto") {
            let field = format!("messages[{at}].content.image_url.detail");
            self.notes.lacking(Feature::ImageDetail, &field)?;
        }
        Ok(())
    }

    /// `None` where it cannot be sent and need not be.
    fn image<'s>(
        &mut self,
        at: usize,
        source: &'s Source<'_>,
    ) -> Result<Option<Blob<'s>>, Unsupported> {
        let field = format!("messages[{at}].content.image_url");
        let place = match source {
            Source::Base64 { media_type, data } => match image_format(media_type) {
                Some(format) => {
                    return Ok(Some(Blob {
                        kind: "image",
                        format: Some(format),
                        name: None,
                        place: Place::Bytes(Cow::Borrowed(data)),
                    }));
                }
                None => {
                    let why = "images are PNG, JPEG, GIF or WebP";
                    self.notes.lost(Feature::ImageBase64, &field, why)?;
                    return Ok(None);
                }
            },
            Source::Url(url) => bucket(url),
            Source::Id(_) | Source::Text(_) => {
                self.notes.lacking(Feature::FileId, &field)?;
                return Ok(None);
            }
        };
        // Its name tells what it is.
        let format = place
            .and_then(|url| url.rsplit_once('.'))
            .and_then(|(_, ending)| image_format(&format!("image/{}", ending.to_lowercase())));
        match (place, format) {
            (Some(url), Some(format)) => Ok(Some(Blob {
                kind: "image",
                format: Some(format),
                name: None,
                place: Place::Bucket(url),
            })),
            _ => {
                self.notes.lacking(Feature::ImageUrl, &field)?;
                Ok(None)
            }
        }
    }

    /// `None` where it cannot be sent and need not be.
    fn document<'s>(
        &mut self,
        at: usize,
        source: &'s Source<'_>,
        name: Option<&str>,
    ) -> Result<Option<Blob<'s>>, Unsupported> {
        let field = format!("messages[{at}].content.file");
        let (format, place) = match source {
            Source::Base64 { media_type, data } => match document_format(media_type) {
                Some(format) => (Some(format), Place::Bytes(Cow::Borrowed(&**data))),
                None => {
                    let why = "files are PDF, Word, Excel, CSV, HTML, Markdown or plain text";
                    self.notes.lost(Feature::FileBase64, &field, why)?;
                    return Ok(None);
                }
            },
            Source::Text(text) => {
                let data = BASE64.encode(text.as_bytes());
                (Some("txt"), Place::Bytes(Cow::Owned(data)))
            }
            Source::Url(url) => match bucket(url) {
                Some(url) => {
                    let ending = url.rsplit_once('.').map(|(_, ending)| ending);
                    (ending.and_then(format_of_ending), Place::Bucket(url))
                }
                None => {
                    self.notes.lacking(Feature::FileUrl, &field)?;
                    return Ok(None);
                }
            },
            Source::Id(_) => {
                self.notes.lacking(Feature::FileId, &field)?;
                return Ok(None);
            }
        };
        Ok(Some(Blob {
            kind: "document",
            format,
            name: Some(self.name(name)),
            place,
        }))
    }

    /// A name as the API takes it, and no other document has it.
    fn name(&mut self, given: Option<&str>) -> String {
        let fits =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '(' | ')' | '[' | ']');
        let fitting: String = given
            .unwrap_or_default()
            .chars()
            .map(|c| if fits(c) { c } else { '-' })
            .take(LONGEST_NAME - 8)
            .collect();
        let words: Vec<&str> = fitting.split(' ').filter(|word| !word.is_empty()).collect();
        let mut name = words.join(" ");
        if name.is_empty() {
            name.push_str("document");
        }
        let taken = |names: &[String], name: &str| names.contains(&name.to_lowercase());
        let mut number = self.names.len();
        let mut free = name.clone();
        while taken(&self.names, &free) {
            number += 1;
            free = format!("{name} {number}");
        }
        self.names.push(free.to_lowercase());
        if given.is_some_and(|given| given != free) {
            self.notes
                .warn(format!("a file's name was sent as `{free}`"));
        }
        free
    }

    fn result(
        &mut self,
        at: usize,
        role: &'static str,
        id: &str,
        parts: &[Part<'_>],
        error: bool,
    ) -> Result<(), Unsupported> {
        let error = error && {
            let takes = self.family.takes_status();
            if !takes {
                let field = format!("messages[{at}].content.is_error");
                let why = "this model cannot be told";
                self.notes.lost(Feature::ToolResultError, &field, why)?;
            }
            takes
        };
        let mut writer = self.block(role)?;
        writer.open().key("toolResult").open();
        writer.text_field("toolUseId", &call_id(id));
        writer.key("content").open_array();
        for part in parts {
            match &part.content {
                Content::Text { text, .. } | Content::Refusal { text } => {
                    if !is_blank(text, self.notes) {
                        Writer::new(self.out)
                            .open()
                            .text_field("text", text)
                            .close();
                    }
                }
                Content::Image { source, detail } => {
                    self.detail(at, detail.as_deref())?;
                    if let Some(image) = self.image(at, source)? {
                        image.write(&mut Writer::new(self.out));
                    }
                }
                Content::File { source, name } => {
                    if let Some(document) = self.document(at, source, name.as_deref())? {
                        document.write(&mut Writer::new(self.out));
                    }
                }
                _ => {
                    let field = format!("messages[{at}].content");
                    let why = "results are text, images and files";
                    self.notes.lost(Feature::ToolResults, &field, why)?;
                }
            }
        }
        let mut writer = Writer::new(self.out);
        writer.close_array();
        writer.text_field_if("status", error.then_some("error"));
        writer.close().close();
        Ok(())
    }
}

/// The address of an object in S3.
fn bucket(url: &str) -> Option<&str> {
    url.starts_with("s3://").then_some(url)
}

fn format_of_ending(ending: &str) -> Option<&'static str> {
    let ending = ending.to_lowercase();
    let formats = [
        "pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md",
    ];
    formats.into_iter().find(|format| *format == ending)
}

/// An image or document.
struct Blob<'s> {
    kind: &'static str,
    format: Option<&'static str>,
    name: Option<String>,
    place: Place<'s>,
}

enum Place<'s> {
    Bytes(Cow<'s, str>),
    Bucket(&'s str),
}

impl Blob<'_> {
    fn write(&self, writer: &mut Writer<'_>) {
        writer.open().key(self.kind).open();
        writer
            .text_field_if("format", self.format)
            .text_field_if("name", self.name.as_deref());
        match &self.place {
            Place::Bytes(data) => write_bytes(data, writer),
            Place::Bucket(uri) => {
                writer.key("source").open().key("s3Location").open();
                writer.text_field("uri", uri).close().close();
            }
        }
        writer.close().close();
    }
}

fn write_bytes(data: &str, writer: &mut Writer<'_>) {
    writer.key("source").open();
    writer.text_field("bytes", data).close();
}
