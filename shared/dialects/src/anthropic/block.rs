//! Content blocks that requests and answers have in common.

use std::borrow::Cow;

use crate::answer::Citation;
use crate::json::{Json, Object, Problem, Raw, Writer, elements, object_text};
use crate::request::{Content, Part};

/// Before the signature of a thinking block without text, right behind a tool call: the signature is the call's own, as
/// Google gives them. So it comes back with the next request, since clients repeat an assistant's blocks as they are.
pub(super) const OF_CALL: &str = "tool_use:";

/// A text, thinking, sealed thinking or call; `None` for any other `kind`.
pub(super) fn decode<'a>(
    kind: &str,
    object: &mut Object<'a>,
) -> Result<Option<Content<'a>>, Problem> {
    Ok(Some(match kind {
        "text" => Content::Text {
            text: object.required_text("text")?,
            citations: citations(object)?,
        },
        "thinking" => Content::Reasoning {
            text: object.required_text("thinking")?,
            signature: object.text("signature")?.filter(|text| !text.is_empty()),
            id: None,
        },
        "redacted_thinking" => Content::Redacted {
            data: object.required_text("data")?,
        },
        "tool_use" => Content::ToolCall {
            id: object.required_text("id")?,
            name: object.required_text("name")?,
            arguments: match object.take("input") {
                Some(input) => Cow::Borrowed(input.get()),
                None => Cow::Borrowed("{}"),
            },
            signature: None,
        },
        _ => return Ok(None),
    }))
}

fn citations<'a>(object: &mut Object<'a>) -> Result<Vec<Citation<'a>>, Problem> {
    let Some(raw) = object.take("citations") else {
        return Ok(Vec::new());
    };
    let list = elements(raw).map_err(|problem| problem.at("citations"))?;
    list.into_iter()
        .enumerate()
        .map(|(at, raw)| citation(raw).map_err(|problem| problem.at_index(at).at("citations")))
        .collect()
}

/// One citation, whatever its type: <https://platform.claude.com/docs/en/build-with-claude/citations>. It belongs to the
/// whole block. Where the quote stands in its document (characters, pages or blocks) has no word in the model.
pub(super) fn citation(raw: Raw<'_>) -> Result<Citation<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let url = match object.text("url")? {
        Some(url) => Some(url),
        None => object.text("source")?,
    };
    let title = match object.text("title")? {
        Some(title) => Some(title),
        None => object.text("document_title")?,
    };
    Ok(Citation {
        url,
        title,
        quote: object.text("cited_text")?.filter(|text| !text.is_empty()),
        start: None,
        end: None,
        document: object.integer("document_index")?,
    })
}

/// A citation, as a web search's where it has a URL, else as a document's. What the model does not know and the type
/// demands (the search's key, the place in the document) is empty.
pub(super) fn write_citation(citation: &Citation<'_>, writer: &mut Writer<'_>) {
    let title = citation.title.as_deref();
    let quote = citation.quote.as_deref().unwrap_or_default();
    writer.open();
    if let Some(url) = &citation.url {
        writer.text_field("type", "web_search_result_location");
        writer.text_field("cited_text", quote);
        writer.text_field("url", url);
        nullable(writer, "title", title);
        writer.text_field("encrypted_index", "");
        writer.integer_field_if("document_index", citation.document);
    } else {
        writer.text_field("type", "char_location");
        writer.text_field("cited_text", quote);
        writer
            .key("document_index")
            .integer(citation.document.unwrap_or(0));
        nullable(writer, "document_title", title);
        writer.key("start_char_index").integer(0);
        writer.key("end_char_index").integer(0);
    }
    writer.close();
}

fn nullable(writer: &mut Writer<'_>, name: &str, text: Option<&str>) {
    writer.key(name);
    match text {
        Some(text) => writer.text(text),
        None => writer.null(),
    };
}

/// Opens a call's block up to its `input`, whose value follows.
pub(super) fn open_call(id: &str, name: &str, writer: &mut Writer<'_>) {
    writer.open().text_field("type", "tool_use");
    writer.text_field("id", &call_id(id));
    writer.text_field("name", name).key("input");
}

/// A thinking block.
pub(super) fn write_thinking(text: &str, signature: &str, writer: &mut Writer<'_>) {
    writer.open().text_field("type", "thinking");
    writer.text_field("thinking", text);
    writer.text_field("signature", signature).close();
}

/// A sealed thinking block.
pub(super) fn write_redacted(data: &str, writer: &mut Writer<'_>) {
    writer.open().text_field("type", "redacted_thinking");
    writer.text_field("data", data).close();
}

/// A block of an answer; nothing for what answers of this dialect never have.
pub(super) fn write_answer_part(part: &Part<'_>, writer: &mut Writer<'_>) {
    match &part.content {
        Content::Text { text, citations } => {
            writer.open().text_field("type", "text");
            writer.text_field("text", text);
            if !citations.is_empty() {
                writer.key("citations").open_array();
                for citation in citations {
                    write_citation(citation, writer);
                }
                writer.close_array();
            }
            writer.close();
        }
        Content::Refusal { text } => {
            writer.open().text_field("type", "text");
            writer.text_field("text", text).close();
        }
        Content::Reasoning {
            text, signature, ..
        } => write_thinking(text, signature.as_deref().unwrap_or_default(), writer),
        Content::Redacted { data } => write_redacted(data, writer),
        Content::ToolCall {
            id,
            name,
            arguments,
            signature,
        } => {
            open_call(id, name, writer);
            match object_text(arguments) {
                Some(input) => writer.raw(&input),
                None => writer.open().text_field("_invalid_json", arguments).close(),
            };
            writer.close();
            if let Some(signature) = signature {
                write_thinking("", &format!("{OF_CALL}{signature}"), writer);
            }
        }
        Content::Image { .. }
        | Content::Audio { .. }
        | Content::File { .. }
        | Content::ToolResult { .. } => {}
    }
}

/// An id as the API takes it, `^[a-zA-Z0-9_-]+$`: any other character becomes its code point, so that different ids stay
/// different.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.is_empty() {
        return Cow::Borrowed("call");
    }
    if id.chars().all(fits) {
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
    Cow::Owned(fitting)
}

/// A schema as `input_schema` must be: an object that says so. An empty one, or none, is the least that is taken.
pub(super) fn write_schema(parameters: Option<&Json<'_>>, writer: &mut Writer<'_>) {
    let says = |schema: &&Json<'_>| {
        let inside = schema.as_str().strip_prefix('{');
        let inside = inside.and_then(|rest| rest.strip_suffix('}'));
        inside.is_none_or(|inside| !inside.trim_ascii().is_empty())
    };
    match parameters.filter(says) {
        Some(schema) => writer.raw(schema),
        None => writer.open().text_field("type", "object").close(),
    };
}
