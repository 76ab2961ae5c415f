//! Content blocks that requests and answers have in common:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html>.

use std::borrow::Cow;

use data_encoding::BASE64;

use crate::answer::Citation;
use crate::json::{Object, Problem, Raw, Writer, elements, object_text, text};
use crate::request::{Content, Source};

/// What images may be.
const IMAGES: &[&str] = &["png", "jpeg", "gif", "webp"];

/// What documents may be, and the media types that say so.
const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

/// The only member of a union: its name and value.
pub(super) fn union(raw: Raw<'_>) -> Result<(Cow<'_, str>, Raw<'_>), Problem> {
    let mut members = Object::of(raw)?.rest();
    match (members.next(), members.next()) {
        (Some(member), None) => Ok(member),
        _ => Err(Problem::new("must have exactly one member")),
    }
}

/// Nothing may be left of an object.
pub(super) fn nothing_left(object: Object<'_>) -> Result<(), Problem> {
    match object.rest().next() {
        Some((name, _)) => Err(Problem::new("is not known here").at(&name)),
        None => Ok(()),
    }
}

/// The field `name`, which must be an object.
pub(super) fn required_object<'a>(
    object: &mut Object<'a>,
    name: &str,
) -> Result<Object<'a>, Problem> {
    object
        .object(name)?
        .ok_or_else(|| Problem::new("is missing").at(name))
}

/// The block of this kind; `None` for one that has no word in the model. An empty text is told as it is.
pub(super) fn decode<'a>(kind: &str, raw: Raw<'a>) -> Result<Option<Content<'a>>, Problem> {
    let content = match kind {
        "text" => Content::text(text(raw)?),
        "image" => {
            let mut object = Object::of(raw)?;
            let format = object.required_text("format")?;
            if !IMAGES.contains(&&*format) {
                return Err(Problem::new("must be png, jpeg, gif or webp").at("format"));
            }
            let source = source(&mut object, || Cow::Owned(format!("image/{format}")))?;
            nothing_left(object)?;
            Content::Image {
                source,
                detail: None,
            }
        }
        "document" => document(Object::of(raw)?)?,
        "audio" => {
            let mut object = Object::of(raw)?;
            let format = object.required_text("format")?;
            let mut source = required_object(&mut object, "source")?;
            let data = source
                .required_text("bytes")
                .map_err(|problem| problem.at("source"))?;
            nothing_left(source).map_err(|problem| problem.at("source"))?;
            nothing_left(object)?;
            Content::Audio { data, format }
        }
        "toolUse" => {
            let mut object = Object::of(raw)?;
            if object.take("type").is_some() {
                return Ok(None);
            }
            let content = Content::ToolCall {
                id: object.required_text("toolUseId")?,
                name: object.required_text("name")?,
                arguments: match object.take("input") {
                    Some(input) => Cow::Borrowed(input.get()),
                    None => Cow::Borrowed("{}"),
                },
                signature: None,
            };
            nothing_left(object)?;
            content
        }
        "reasoningContent" => reasoning(raw)?,
        "citationsContent" => cited(Object::of(raw)?)?,
        _ => return Ok(None),
    };
    Ok(Some(content))
}

/// Where it is: the bytes here, or in a bucket, which is a URL of its own kind.
fn source<'a>(
    object: &mut Object<'a>,
    media_type: impl FnOnce() -> Cow<'a, str>,
) -> Result<Source<'a>, Problem> {
    let raw = object
        .take("source")
        .ok_or_else(|| Problem::new("is missing").at("source"))?;
    let read = || {
        let (kind, raw) = union(raw)?;
        let inside = |problem: Problem| problem.at(&kind);
        match &*kind {
            "bytes" => Ok(Source::Base64 {
                media_type: media_type(),
                data: text(raw).map_err(inside)?,
            }),
            "text" => Ok(Source::Text(text(raw).map_err(inside)?)),
            "content" => {
                let blocks = elements(raw).map_err(inside)?;
                let [only] = blocks.as_slice() else {
                    return Err(inside(Problem::new("must have exactly one text")));
                };
                let mut block = Object::of(only).map_err(inside)?;
                Ok(Source::Text(block.required_text("text").map_err(inside)?))
            }
            "s3Location" => {
                let mut location = Object::of(raw).map_err(inside)?;
                let uri = location.required_text("uri").map_err(inside)?;
                nothing_left(location).map_err(inside)?;
                Ok(Source::Url(uri))
            }
            _ => Err(inside(Problem::new("is not known here"))),
        }
    };
    read().map_err(|problem| problem.at("source"))
}

fn document(mut object: Object<'_>) -> Result<Content<'_>, Problem> {
    let format = object.text("format")?.unwrap_or(Cow::Borrowed("txt"));
    let Some((_, media_type)) = DOCUMENTS.iter().find(|(known, _)| *known == format) else {
        return Err(Problem::new("is no format of documents").at("format"));
    };
    let name = object.required_text("name")?;
    let mut source = source(&mut object, || Cow::Borrowed(media_type))?;
    if let Source::Base64 { media_type, data } = &source
        && media_type == "text/plain"
        && let Some(text) = BASE64.decode(data.as_bytes()).ok()
        && let Ok(text) = String::from_utf8(text)
    {
        source = Source::Text(Cow::Owned(text));
    }
    // Off is the default.
    if let Some(mut citations) = object.object("citations")?
        && citations.boolean("enabled")? == Some(true)
    {
        return Err(Problem::new("cannot be said to this provider").at("citations"));
    }
    nothing_left(object)?;
    Ok(Content::File {
        source,
        name: Some(name),
    })
}

fn reasoning(raw: Raw<'_>) -> Result<Content<'_>, Problem> {
    let (kind, raw) = union(raw)?;
    let read = || match &*kind {
        "reasoningText" => {
            let mut thought = Object::of(raw)?;
            let content = Content::Reasoning {
                text: thought.required_text("text")?,
                signature: thought.text("signature")?.filter(|text| !text.is_empty()),
                id: None,
            };
            nothing_left(thought)?;
            Ok(content)
        }
        "redactedContent" => Ok(Content::Redacted { data: text(raw)? }),
        _ => Err(Problem::new("is not known here")),
    };
    read().map_err(|problem: Problem| problem.at(&kind))
}

/// Texts with their sources.
fn cited(mut object: Object<'_>) -> Result<Content<'_>, Problem> {
    let mut said = Cow::Borrowed("");
    for (at, raw) in list(&mut object, "content")? {
        let text = Object::of(raw)
            .and_then(|mut block| block.text("text"))
            .map_err(|problem| problem.at_index(at).at("content"))?;
        match text {
            Some(text) if said.is_empty() => said = text,
            Some(text) => said.to_mut().push_str(&text),
            None => {}
        }
    }
    let mut citations = Vec::new();
    for (at, raw) in list(&mut object, "citations")? {
        let citation = citation(raw).map_err(|p| p.at_index(at).at("citations"))?;
        citations.push(citation);
    }
    Ok(Content::Text {
        text: said,
        citations,
    })
}

fn list<'a>(
    object: &mut Object<'a>,
    name: &str,
) -> Result<impl Iterator<Item = (usize, Raw<'a>)>, Problem> {
    let list = object.array(name)?.unwrap_or_default();
    Ok(list.into_iter().enumerate())
}

/// One citation, whole or as a stream tells it. Where the quote stands in its document has no word in the model.
pub(super) fn citation(raw: Raw<'_>) -> Result<Citation<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let mut citation = Citation {
        title: object.text("title")?,
        ..Citation::default()
    };
    let mut quote: Option<Cow<'_, str>> = None;
    for (_, raw) in list(&mut object, "sourceContent")? {
        if let Some(text) = Object::of(raw)?.text("text")? {
            match &mut quote {
                Some(quote) => quote.to_mut().push_str(&text),
                None => quote = Some(text),
            }
        }
    }
    citation.quote = quote;
    if let Some(raw) = object.take("location") {
        let (kind, raw) = union(raw)?;
        let mut location = Object::of(raw)?;
        if kind == "web" {
            citation.url = location.text("url")?;
        } else {
            citation.document = location.integer("documentIndex")?;
        }
    }
    if citation.url.is_none() {
        citation.url = object.text("source")?;
    }
    Ok(citation)
}

/// Writes a citation: of a page where it has a URL and no document, else of a document.
pub(super) fn write_citation(citation: &Citation<'_>, writer: &mut Writer<'_>) {
    writer
        .open()
        .text_field_if("title", citation.title.as_deref());
    if let Some(quote) = &citation.quote {
        writer.key("sourceContent").open_array();
        writer.open().text_field("text", quote).close();
        writer.close_array();
    }
    match (&citation.url, citation.document) {
        (url, Some(document)) => {
            writer.text_field_if("source", url.as_deref());
            writer.key("location").open().key("documentChar").open();
            writer.key("documentIndex").integer(document);
            writer.close().close();
        }
        (Some(url), None) => {
            writer.key("location").open().key("web").open();
            writer.text_field("url", url).close().close();
        }
        (None, None) => {}
    }
    writer.close();
}

/// Writes the block of a call. Arguments that are no object, which a model may well write, are told as they are.
pub(super) fn write_call(id: &str, name: &str, arguments: &str, writer: &mut Writer<'_>) {
    writer.open().key("toolUse").open();
    writer.text_field("toolUseId", &call_id(id));
    writer.text_field("name", name).key("input");
    match object_text(arguments) {
        Some(input) => writer.raw(&input),
        None => writer.open().text_field("_invalid_json", arguments).close(),
    };
    writer.close().close();
}

/// Writes a thought.
pub(super) fn write_thought(text: &str, signature: Option<&str>, writer: &mut Writer<'_>) {
    writer.open().key("reasoningContent").open();
    writer.key("reasoningText").open();
    writer
        .text_field("text", text)
        .text_field_if("signature", signature);
    writer.close().close().close();
}

/// Writes a sealed thought.
pub(super) fn write_sealed(data: &str, writer: &mut Writer<'_>) {
    writer.open().key("reasoningContent").open();
    writer.text_field("redactedContent", data).close().close();
}

/// The format of an image of this media type.
pub(super) fn image_format(media_type: &str) -> Option<&'static str> {
    let name = media_type.strip_prefix("image/")?;
    let name = if name == "jpg" { "jpeg" } else { name };
    IMAGES.iter().find(|known| **known == name).copied()
}

/// The format of a document of this media type, whose parameters (`charset`) do not matter.
pub(super) fn document_format(media_type: &str) -> Option<&'static str> {
    let plain = media_type.split(';').next()?.trim();
    let (format, _) = DOCUMENTS.iter().find(|(_, known)| *known == plain)?;
    Some(format)
}

/// The longest that an id may be.
const LONGEST_ID: usize = 64;

/// An id as the API takes it, `[a-zA-Z0-9_.:-]{1,64}`: any other character becomes its code point, and a long one ends in a
/// hash of itself, so that different ids stay different.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if id.is_empty() {
        return Cow::Borrowed("call");
    }
    if id.len() <= LONGEST_ID && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let mut fitting = String::with_capacity(id.len() + 8);
    for c in id.chars() {
        if fits(c) {
            fitting.push(c);
        } else {
            fitting.push_str(&format!("_{:x}_", u32::from(c)));
        }
    }
    if fitting.len() > LONGEST_ID {
        fitting.truncate(LONGEST_ID - 17);
        fitting.push_str(&format!("-{:016x}", hash(id)));
    }
    Cow::Owned(fitting)
}

/// FNV-1a: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
