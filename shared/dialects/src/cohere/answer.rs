//! Plain answers.

use std::borrow::Cow;

use crate::answer::{Answer, Choice, Citation, Finish, Usage};
use crate::dialect::Reply;
use crate::json::{Object, Problem, Writer};
use crate::request::{Content, Part};

use super::decode::{thought, tool_call};
use super::{reason, reason_word};

/// Reads a plain answer.
///
/// # Errors
/// It makes no sense.
pub fn decode_answer(body: &str) -> Result<Answer<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let mut message = object
        .object("message")?
        .ok_or_else(|| Problem::new("is missing").at("message"))?;
    let mut choice = Choice {
        finish: Finish::from(reason(
            &object.text("finish_reason")?.unwrap_or_default(),
        )),
        ..Choice::default()
    };
    if let Some(plan) = message.text("tool_plan")?.filter(|plan| !plan.is_empty()) {
        choice.parts.push(thought(plan));
    }
    for raw in message.array("content")?.unwrap_or_default() {
        let mut content = Object::of(raw)?;
        if let Some(text) = content.text("text")? {
            choice.parts.push(Content::text(text).into());
        } else if let Some(text) = content.text("thinking")? {
            choice.parts.push(thought(text));
        }
    }
    for raw in message.array("citations")?.unwrap_or_default() {
        let mut object = Object::of(raw)?;
        let index = object.integer("content_index")?;
        let citation = citation(object)?;
        let texts = |part: &&mut Part<'_>| matches!(part.content, Content::Text { .. });
        let index = index.and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        let part = match choice.parts.get(index).map(|part| &part.content) {
            Some(Content::Text { .. }) => choice.parts.get_mut(index),
            _ => choice.parts.iter_mut().find(texts),
        };
        if let Some(Part {
            content: Content::Text { citations, .. },
            ..
        }) = part
        {
            citations.push(citation);
        }
    }
    for raw in message.array("tool_calls")?.unwrap_or_default() {
        choice.parts.push(tool_call(raw)?.into());
    }
    Ok(Answer {
        id: object.text("id")?,
        usage: object.object("usage")?.map(usage).transpose()?,
        choices: vec![choice],
        ..Answer::default()
    })
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

/// The quoted text stands in the answer itself; the source tells where it is from.
pub(super) fn citation(mut object: Object<'_>) -> Result<Citation<'_>, Problem> {
    let mut citation = Citation {
        start: object.integer("start")?,
        end: object.integer("end")?,
        quote: object.text("text")?,
        ..Citation::default()
    };
    if let Some(source) = object.array("sources")?.unwrap_or_default().first() {
        let mut source = Object::of(source)?;
        let document = source.object("document")?;
        if let Some(mut document) = document {
            citation.title = document.text("title")?;
            citation.url = document.text("url")?;
        }
    }
    Ok(citation)
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
    let id = answer.id.as_deref().map_or(Cow::Borrowed(reply.id), Cow::Borrowed);
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
