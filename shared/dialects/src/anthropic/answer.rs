//! Plain answers: <https://platform.claude.com/docs/en/api/messages#response>.

use crate::answer::{Answer, Choice, Finish};
use crate::dialect::Reply;
use crate::json::{Object, Problem, Raw, Writer};
use crate::request::{Content, Part};

use super::block;
use super::finish::{Counts, Had, explanation, reason, write_finish, write_usage};

/// Reads a plain answer.
///
/// # Errors
/// It is no message, or a part of it is not what the API says.
pub fn decode_answer(body: &str) -> Result<Answer<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let blocks = object
        .array("content")?
        .ok_or_else(|| Problem::new("is missing").at("content"))?;
    let mut parts = Vec::with_capacity(blocks.len());
    for (at, raw) in blocks.into_iter().enumerate() {
        let part = part(raw).map_err(|problem| problem.at_index(at).at("content"))?;
        parts.extend(part);
    }
    let stop_reason = object.text("stop_reason")?;
    if let Some(text) = explanation(&mut object)? {
        parts.push(Content::Refusal { text }.into());
    }
    let mut answer = Answer {
        id: object.text("id")?,
        model: object.text("model")?,
        created: None,
        choices: vec![Choice {
            parts,
            finish: Finish {
                reason: reason(stop_reason.as_deref()),
                stop_sequence: object.text("stop_sequence")?,
            },
            logprobs: None,
        }],
        usage: None,
        service_tier: None,
    };
    if let Some(raw) = object.take("usage") {
        let mut counts = Counts::default();
        answer.service_tier = counts.read(raw).map_err(|problem| problem.at("usage"))?;
        answer.usage = Some(counts.usage());
    }
    Ok(answer)
}

fn part(raw: Raw<'_>) -> Result<Option<Part<'_>>, Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.required_text("type")?;
    Ok(block::decode(&kind, &mut object)?.map(Part::from))
}

/// Writes a plain answer. There is one: whoever asked for several was refused before.
#[must_use]
pub fn encode_answer(answer: &Answer<'_>, reply: &Reply<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut writer = Writer::new(&mut out);
    writer.open();
    match &answer.id {
        Some(id) => writer.text_field("id", id),
        None => writer.text_field("id", &format!("msg_{}", reply.id)),
    };
    writer.text_field("type", "message");
    writer.text_field("role", "assistant");
    writer.text_field("model", answer.model.as_deref().unwrap_or(reply.model));
    writer.key("content").open_array();
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    for part in &choice.parts {
        block::write_answer_part(part, &mut writer);
    }
    writer.close_array();
    let has = |wanted: fn(&Content<'_>) -> bool| choice.parts.iter().any(|p| wanted(&p.content));
    let had = Had {
        call: has(|content| matches!(content, Content::ToolCall { .. })),
        refusal: has(|content| matches!(content, Content::Refusal { .. })),
    };
    write_finish(&choice.finish, had, &mut writer);
    write_usage(answer.usage, answer.service_tier.as_deref(), &mut writer);
    writer.close();
    out
}
