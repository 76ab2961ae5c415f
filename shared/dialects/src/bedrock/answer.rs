//! Plain answers:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_ResponseSyntax>.

use crate::answer::{Answer, Choice, Finish, Usage};
use crate::dialect::Reply;
use crate::json::{Object, Problem, Writer};
use crate::request::{Content, Part};

use super::content::{
    self, required_object, union, write_call, write_citation, write_sealed, write_thought,
};
use super::{reason, reason_word};

/// Reads a plain answer, whose id is a header's and whose model is the URL's.
///
/// # Errors
/// It makes no sense.
pub fn decode_answer(body: &str) -> Result<Answer<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let mut output = required_object(&mut object, "output")?;
    let inside = |problem: Problem| problem.at("message").at("output");
    let mut message = required_object(&mut output, "message").map_err(|p| p.at("output"))?;
    let mut choice = Choice::default();
    let blocks = message
        .array("content")
        .map_err(inside)?
        .unwrap_or_default();
    for (at, raw) in blocks.into_iter().enumerate() {
        let content = union(raw).and_then(|(kind, raw)| {
            content::decode(&kind, raw).map_err(|problem| problem.at(&kind))
        });
        let content = content.map_err(|problem| inside(problem.at_index(at).at("content")))?;
        let says = |content: &Content<'_>| !matches!(content, Content::Text { text, .. } if text.is_empty());
        choice.parts.extend(content.filter(says).map(Part::from));
    }
    choice.finish = Finish::from(reason(&object.text("stopReason")?.unwrap_or_default()));
    if let Some(fields) = object.take("additionalModelResponseFields") {
        choice.finish.stop_sequence = stop_sequence(fields);
    }
    let service_tier = match object.object("serviceTier")? {
        Some(mut tier) => tier.text("type").map_err(|p| p.at("serviceTier"))?,
        None => None,
    };
    let usage = match object.object("usage")? {
        Some(counts) => Some(usage(counts).map_err(|p| p.at("usage"))?),
        None => None,
    };
    Ok(Answer {
        choices: vec![choice],
        usage,
        service_tier,
        ..Answer::default()
    })
}

/// The stop text that came up, where the model's own answer was asked for it.
pub(super) fn stop_sequence(fields: crate::json::Raw<'_>) -> Option<std::borrow::Cow<'_, str>> {
    Object::of(fields).ok()?.text("stop_sequence").ok()?
}

/// Bedrock's input is what no cache had to do with.
pub(super) fn usage(mut object: Object<'_>) -> Result<Usage, Problem> {
    let fresh = object.integer("inputTokens")?.unwrap_or(0);
    let cached = object.integer("cacheReadInputTokens")?;
    let cache_written = object.integer("cacheWriteInputTokens")?;
    Ok(Usage {
        input: fresh
            .saturating_add(cached.unwrap_or(0))
            .saturating_add(cache_written.unwrap_or(0)),
        cached,
        cache_written,
        output: object.integer("outputTokens")?.unwrap_or(0),
        reasoning: None,
    })
}

pub(super) fn write_usage(usage: &Usage, writer: &mut Writer<'_>) {
    writer.key("usage").open();
    writer.key("inputTokens").integer(usage.fresh_input());
    writer.key("outputTokens").integer(usage.output);
    writer.key("totalTokens").integer(usage.total());
    writer
        .integer_field_if("cacheReadInputTokens", usage.cached)
        .integer_field_if("cacheWriteInputTokens", usage.cache_written)
        .close();
}

/// How long it took is not known here; the field must be there.
pub(super) fn write_metrics(writer: &mut Writer<'_>) {
    writer.key("metrics").open();
    writer.key("latencyMs").integer(0).close();
}

pub(super) fn write_stop_sequence(finish: &Finish<'_>, writer: &mut Writer<'_>) {
    if let Some(text) = &finish.stop_sequence {
        writer.key("additionalModelResponseFields").open();
        writer.text_field("stop_sequence", text).close();
    }
}

/// Writes a plain answer: its first choice, since Bedrock gives one.
#[must_use]
pub fn encode_answer(answer: &Answer<'_>, _reply: &Reply<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    let mut writer = Writer::new(&mut out);
    let none = Choice::default();
    let choice = answer.choices.first().unwrap_or(&none);
    writer.open().key("output").open().key("message").open();
    writer.text_field("role", "assistant");
    writer.key("content").open_array();
    for part in &choice.parts {
        write_part(part, &mut writer);
    }
    writer.close_array().close().close();
    writer.text_field("stopReason", reason_word(choice.finish.reason));
    write_stop_sequence(&choice.finish, &mut writer);
    if let Some(usage) = &answer.usage {
        write_usage(usage, &mut writer);
    }
    write_metrics(&mut writer);
    if let Some(tier) = &answer.service_tier {
        writer.key("serviceTier").open();
        writer.text_field("type", tier).close();
    }
    writer.close();
    out
}

/// Nothing for what answers of this dialect never have.
fn write_part(part: &Part<'_>, writer: &mut Writer<'_>) {
    match &part.content {
        Content::Text { text, citations } if !citations.is_empty() => {
            writer.open().key("citationsContent").open();
            writer.key("content").open_array();
            writer.open().text_field("text", text).close();
            writer.close_array().key("citations").open_array();
            for citation in citations {
                write_citation(citation, writer);
            }
            writer.close_array().close().close();
        }
        Content::Text { text, .. } | Content::Refusal { text } => {
            writer.open().text_field("text", text).close();
        }
        Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } => write_call(id, name, arguments, writer),
        Content::Reasoning {
            text, signature, ..
        } => write_thought(text, signature.as_deref(), writer),
        Content::Redacted { data } => write_sealed(data, writer),
        Content::Image { .. }
        | Content::Audio { .. }
        | Content::File { .. }
        | Content::ToolResult { .. } => {}
    }
}
