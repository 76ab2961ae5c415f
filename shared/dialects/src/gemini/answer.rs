//! Plain answers: <https://ai.google.dev/api/generate-content#generatecontentresponse>.

use super::contents::{lone_proof, write_call, write_proof};
use super::{build, grounding, logprobs, media, settings, wire};
use crate::answer::{Answer, Choice, Citation, Finish, Reason};
use crate::dialect::Reply;
use crate::json::{Json, Problem, Writer, object_text};
use crate::request::{Content, Source};

/// Reads a plain answer. A question that was blocked has no candidates: it is an answer without parts.
///
/// # Errors
/// It makes no sense.
pub fn decode_answer(body: &str) -> Result<Answer<'_>, Problem> {
    let response = wire::read(body)?;
    let id = response.response_id.map(|id| id.0);
    let mut choices = Vec::new();
    for (number, candidate) in response
        .candidates
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let choice = build::choice(candidate, number, id.as_deref())
            .map_err(|problem| problem.at_index(number).at("candidates"))?;
        choices.push(choice);
    }
    if choices.is_empty() {
        if !blocked(response.prompt_feedback.as_ref()) {
            return Err(Problem::new("is missing").at("candidates"));
        }
        choices.push(Choice {
            finish: Finish::from(Reason::ContentFilter),
            ..Choice::default()
        });
    }
    let counts = response.usage_metadata;
    Ok(Answer {
        id,
        model: response.model_version.map(|model| model.0),
        created: None,
        choices,
        usage: counts.as_ref().and_then(wire::Counts::usage),
        service_tier: counts
            .and_then(|counts| counts.service_tier)
            .and_then(|tier| settings::tier(tier.0)),
    })
}

/// Whether the question was.
pub(super) fn blocked(feedback: Option<&wire::Feedback<'_>>) -> bool {
    feedback.is_some_and(|feedback| {
        feedback.block_reason.is_some() || feedback.block_reason_message.is_some()
    })
}

/// Writes a plain answer.
#[must_use]
pub fn encode_answer(answer: &Answer<'_>, reply: &Reply<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    let mut writer = Writer::new(&mut out);
    writer.open().key("candidates").open_array();
    for (choice, index) in answer.choices.iter().zip(0..) {
        candidate(choice, index, &mut writer);
    }
    writer.close_array();
    if let Some(usage) = &answer.usage {
        let tier = answer.service_tier.as_deref().map(settings::tier_word);
        wire::write_usage(&mut writer, usage, tier);
    }
    writer
        .text_field(
            "modelVersion",
            answer.model.as_deref().unwrap_or(reply.model),
        )
        .text_field("responseId", answer.id.as_deref().unwrap_or(reply.id))
        .close();
    out
}

fn candidate(choice: &Choice<'_>, index: u64, writer: &mut Writer<'_>) {
    writer.open().key("content").open();
    let mut texts: Vec<(usize, &str, &[Citation<'_>])> = Vec::new();
    if !choice.parts.is_empty() {
        writer.key("parts").open_array();
        let mut number = 0;
        let mut parts = choice.parts.iter().peekable();
        while let Some(part) = parts.next() {
            let wrote = match &part.content {
                Content::Text { text, citations } if !text.is_empty() => {
                    let proof = parts.next_if(|next| lone_proof(next).is_some());
                    texts.push((number, text, citations));
                    words(writer, text, proof.and_then(lone_proof));
                    true
                }
                Content::Refusal { text } if !text.is_empty() => {
                    words(writer, text, None);
                    true
                }
                Content::Reasoning {
                    text, signature, ..
                } if !text.is_empty() => {
                    thought(writer, text, signature.as_deref());
                    true
                }
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                    signature,
                } => {
                    function_call(writer, id, name, arguments, signature.as_deref());
                    true
                }
                Content::Image {
                    source: Source::Base64 { media_type, data },
                    ..
                }
                | Content::File {
                    source: Source::Base64 { media_type, data },
                    ..
                } => {
                    media::write_inline(writer, media_type, data);
                    true
                }
                Content::Audio { data, format } => {
                    media::write_audio(writer, format, data);
                    true
                }
                _ => {
                    let proof = lone_proof(part);
                    write_proof(writer, proof);
                    proof.is_some()
                }
            };
            number += usize::from(wrote);
        }
        writer.close_array();
    }
    writer
        .text_field("role", "model")
        .close()
        .text_field("finishReason", wire::reason_word(choice.finish.reason))
        .key("index")
        .integer(index);
    grounding::write(writer, &texts);
    if let Some(json) = &choice.logprobs {
        logprobs::write(json, writer);
    }
    writer.close();
}

/// Writes a part that is text.
pub(super) fn words(writer: &mut Writer<'_>, text: &str, proof: Option<&str>) {
    writer
        .open()
        .text_field("text", text)
        .text_field_if("thoughtSignature", proof)
        .close();
}

/// Writes a part that is a thought.
pub(super) fn thought(writer: &mut Writer<'_>, text: &str, proof: Option<&str>) {
    writer
        .open()
        .text_field("text", text)
        .key("thought")
        .boolean(true)
        .text_field_if("thoughtSignature", proof)
        .close();
}

/// Writes a part that is a call. What the model wrote that is no object, cut off maybe, is kept as a text.
pub(super) fn function_call(
    writer: &mut Writer<'_>,
    id: &str,
    name: &str,
    arguments: &str,
    proof: Option<&str>,
) {
    match object_text(arguments) {
        Some(args) => write_call(writer, id, name, &args, proof),
        None => {
            let broken = serde_json::json!({ "_invalid_json": arguments });
            write_call(writer, id, name, &Json::from(&broken), proof);
        }
    }
}
