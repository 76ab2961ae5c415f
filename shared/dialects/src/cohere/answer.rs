//! Plain answers.

use std::borrow::Cow;

use crate::answer::{Answer, Choice, Citation, Finish, Usage};
use crate::dialect::Reply;
use crate::json::{Object, Problem, Raw, Writer, text};
use crate::request::{Content, Part};

use super::decode::{thought, tool_call};
use super::{reason, reason_word};

/// Reads a plain answer.
///
/// # Errors
/// It makes no sense.
pub fn decode_answer(body: &str) -> Result<Answer<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let message = object
        .object("message")?
        .ok_or_else(|| Problem::new("is missing").at("message"))?;
    let parts = parts(message).map_err(|problem| problem.at("message"))?;
    let usage = match object.object("usage")? {
        Some(counts) => Some(usage(counts).map_err(|problem| problem.at("usage"))?),
        None => None,
    };
    Ok(Answer {
        id: object.text("id")?,
        usage,
        choices: vec![Choice {
            parts,
            finish: Finish::from(reason(&object.text("finish_reason")?.unwrap_or_default())),
            logprobs: None,
        }],
        ..Answer::default()
    })
}

/// A plan is told before the content, and calls after it.
fn parts(mut message: Object<'_>) -> Result<Vec<Part<'_>>, Problem> {
    let mut parts = Vec::new();
    if let Some(plan) = message.text("tool_plan")?.filter(|plan| !plan.is_empty()) {
        parts.push(thought(plan));
    }
    // Which part is which element of the content; an empty one is none.
    let mut places = Vec::new();
    let content = message.array("content")?.unwrap_or_default();
    for (at, raw) in content.into_iter().enumerate() {
        let said = said(raw).map_err(|problem| problem.at_index(at).at("content"))?;
        places.push(said.is_some().then_some(parts.len()));
        parts.extend(said);
    }
    let cited = message.array("citations")?.unwrap_or_default();
    for (at, raw) in cited.into_iter().enumerate() {
        cite(raw, &places, &mut parts).map_err(|p| p.at_index(at).at("citations"))?;
    }
    let calls = message.array("tool_calls")?.unwrap_or_default();
    for (at, raw) in calls.into_iter().enumerate() {
        let call = tool_call(raw).map_err(|problem| problem.at_index(at).at("tool_calls"))?;
        parts.push(call.into());
    }
    Ok(parts)
}

fn said(raw: Raw<'_>) -> Result<Option<Part<'_>>, Problem> {
    let mut content = Object::of(raw)?;
    let is_said = |text: &Cow<'_, str>| !text.is_empty();
    if let Some(text) = content.text("text")?.filter(is_said) {
        return Ok(Some(Content::text(text).into()));
    }
    Ok(content.text("thinking")?.filter(is_said).map(thought))
}

/// Gives citations to the text that they are of.
fn cite<'a>(raw: Raw<'a>, places: &[Option<usize>], parts: &mut [Part<'a>]) -> Result<(), Problem> {
    let mut object = Object::of(raw)?;
    let index = object.integer("content_index")?.unwrap_or(0);
    let of_text = is_of_text(&mut object)?;
    let place = usize::try_from(index).ok().and_then(|at| *places.get(at)?);
    let part = place.and_then(|at| parts.get_mut(at));
    if let Some(Part {
        content: Content::Text { citations, .. },
        ..
    }) = part
        && of_text
    {
        self::citations(object, |citation| citations.push(citation))?;
    }
    Ok(())
}

/// Whether a citation is of the text, and not of a plan or thought, where citations have no place.
pub(super) fn is_of_text(object: &mut Object<'_>) -> Result<bool, Problem> {
    let kind = object.text("type")?;
    Ok(kind.is_none_or(|kind| kind == "TEXT_CONTENT"))
}

/// `tokens` are what the model saw and wrote; `billed_units` leave out what Cohere adds of its own.
pub(super) fn usage(mut object: Object<'_>) -> Result<Usage, Problem> {
    let cached = object.integer("cached_tokens")?;
    let counted = match object.object("tokens")? {
        Some(tokens) => Some(tokens),
        None => object.object("billed_units")?,
    };
    let Some(mut counted) = counted else {
        return Ok(Usage {
            cached,
            ..Usage::default()
        });
    };
    Ok(Usage {
        input: counted.integer("input_tokens")?.unwrap_or(0),
        output: counted.integer("output_tokens")?.unwrap_or(0),
        cached,
        ..Usage::default()
    })
}

pub(super) fn write_usage(usage: &Usage, writer: &mut Writer<'_>) {
    writer.key("usage").open();
    for name in ["billed_units", "tokens"] {
        writer
            .key(name)
            .open()
            .key("input_tokens")
            .integer(usage.input)
            .key("output_tokens")
            .integer(usage.output)
            .close();
    }
    writer
        .integer_field_if("cached_tokens", usage.cached)
        .close();
}

/// One for each source. The quoted text stands in the answer itself; a source tells where it is from.
pub(super) fn citations<'a>(
    mut object: Object<'a>,
    mut tell: impl FnMut(Citation<'a>),
) -> Result<(), Problem> {
    let citation = Citation {
        start: object.integer("start")?,
        end: object.integer("end")?,
        quote: object.text("text")?,
        ..Citation::default()
    };
    let sources = object.array("sources")?.unwrap_or_default();
    if sources.is_empty() {
        tell(citation);
        return Ok(());
    }
    for (at, raw) in sources.into_iter().enumerate() {
        let inside = |problem: Problem| problem.at_index(at).at("sources");
        let mut source = Object::of(raw).map_err(inside)?;
        let mut citation = citation.clone();
        // What a tool told has no title; its id tells which call it was.
        citation.title = source.text("id").map_err(inside)?;
        if let Some(mut document) = source.object("document").map_err(inside)? {
            citation.title = match word(&mut document, "title") {
                None => citation.title,
                title => title,
            };
            citation.url = word(&mut document, "url");
        }
        tell(citation);
    }
    Ok(())
}

/// A text of the caller's own document, where it is one.
fn word<'a>(document: &mut Object<'a>, name: &str) -> Option<Cow<'a, str>> {
    text(document.take(name)?).ok()
}

pub(super) fn write_citation(citation: &Citation<'_>, writer: &mut Writer<'_>) {
    writer
        .open()
        .integer_field_if("start", citation.start)
        .integer_field_if("end", citation.end)
        .text_field_if("text", citation.quote.as_deref());
    writer.key("sources").open_array();
    if citation.title.is_some() || citation.url.is_some() {
        writer.open().text_field("type", "document");
        writer
            .key("document")
            .open()
            .text_field_if("title", citation.title.as_deref())
            .text_field_if("url", citation.url.as_deref())
            .close()
            .close();
    }
    writer.close_array().text_field("type", "TEXT_CONTENT");
}

/// Writes a plain answer: its first choice, since Cohere gives one.
#[must_use]
pub fn encode_answer(answer: &Answer<'_>, reply: &Reply<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    let mut writer = Writer::new(&mut out);
    let none = Choice::default();
    let choice = answer.choices.first().unwrap_or(&none);
    let id = answer
        .id
        .as_deref()
        .map_or(Cow::Borrowed(reply.id), Cow::Borrowed);
    writer
        .open()
        .text_field("id", &id)
        .text_field("finish_reason", reason_word(choice.finish.reason));
    writer.key("message").open().text_field("role", "assistant");
    writer.key("content").open_array();
    let mut cited = Vec::new();
    let mut written = 0_u64;
    for part in &choice.parts {
        match &part.content {
            Content::Text { text, citations } => {
                writer
                    .open()
                    .text_field("type", "text")
                    .text_field("text", text)
                    .close();
                cited.extend(citations.iter().map(|citation| (written, citation)));
            }
            Content::Refusal { text } => {
                writer
                    .open()
                    .text_field("type", "text")
                    .text_field("text", text)
                    .close();
            }
            Content::Reasoning { text, .. } => {
                writer
                    .open()
                    .text_field("type", "thinking")
                    .text_field("thinking", text)
                    .close();
            }
            _ => continue,
        }
        written += 1;
    }
    writer.close_array();
    if !cited.is_empty() {
        writer.key("citations").open_array();
        for (index, citation) in cited {
            write_citation(citation, &mut writer);
            writer.key("content_index").integer(index).close();
        }
        writer.close_array();
    }
    write_calls(choice, &mut writer);
    writer.close();
    if let Some(usage) = &answer.usage {
        write_usage(usage, &mut writer);
    }
    writer.close();
    out
}

fn write_calls(choice: &Choice<'_>, writer: &mut Writer<'_>) {
    let is_call = |part: &&Part<'_>| matches!(part.content, Content::ToolCall { .. });
    if !choice.parts.iter().any(|part| is_call(&part)) {
        return;
    }
    writer.key("tool_calls").open_array();
    for part in &choice.parts {
        if let Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } = &part.content
        {
            writer
                .open()
                .text_field("id", id)
                .text_field("type", "function");
            writer
                .key("function")
                .open()
                .text_field("name", name)
                .text_field("arguments", arguments)
                .close()
                .close();
        }
    }
    writer.close_array();
}
