//! What followers of Chat Completions add for the model's thoughts; OpenAI's own has nothing for them.
//!
//! The thoughts' text is in `reasoning_content` (<https://api-docs.deepseek.com/guides/thinking_mode>) or `reasoning`; proofs
//! of thoughts are in `reasoning_details` (<https://openrouter.ai/docs/guides/best-practices/reasoning-tokens>), those of
//! calls in `extra_content` (<https://ai.google.dev/gemini-api/docs/thought-signatures>).

use std::borrow::Cow;

use super::decode::{nothing_else, parts};
use crate::json::{Object, Problem, Raw, Writer};
use crate::request::{Content, Part};

/// Takes a message's thoughts.
///
/// # Errors
/// They are in no known form.
pub(super) fn take<'a>(object: &mut Object<'a>) -> Result<Vec<Part<'a>>, Problem> {
    let content = object.text("reasoning_content")?;
    let plain = object.text("reasoning")?;
    let details = object.array("reasoning_details")?.unwrap_or_default();
    let mut parts = Vec::with_capacity(details.len());
    for (index, raw) in details.into_iter().enumerate() {
        let content =
            detail(raw).map_err(|problem| problem.at_index(index).at("reasoning_details"))?;
        parts.push(content.into());
    }
    Ok(or_text(parts, content.or(plain)))
}

/// Takes an answer's thoughts as far as they are in a known form, since the rest of the answer is good without them.
pub(super) fn take_known<'a>(object: &mut Object<'a>) -> Vec<Part<'a>> {
    let content = object.text("reasoning_content").ok().flatten();
    let plain = object.text("reasoning").ok().flatten();
    let details = object
        .array("reasoning_details")
        .ok()
        .flatten()
        .unwrap_or_default();
    let parts = details
        .into_iter()
        .filter_map(|raw| detail(raw).ok().map(Part::from))
        .collect();
    or_text(parts, content.or(plain))
}

/// The details say all that the text does, where there are any.
fn or_text<'a>(details: Vec<Part<'a>>, text: Option<Cow<'a, str>>) -> Vec<Part<'a>> {
    if !details.is_empty() {
        return details;
    }
    let thought = |text| Content::Reasoning {
        text,
        signature: None,
        id: None,
    };
    text.filter(|text| !text.is_empty())
        .map(|text| thought(text).into())
        .into_iter()
        .collect()
}

/// One of the details.
pub(super) fn detail(raw: Raw<'_>) -> Result<Content<'_>, Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.required_text("type")?;
    let id = object.text("id")?;
    // Where it came from, and which it was.
    object.take("format");
    object.take("index");
    let content = match &*kind {
        "reasoning.text" => Content::Reasoning {
            text: object.text("text")?.unwrap_or_default(),
            signature: object.text("signature")?,
            id,
        },
        "reasoning.summary" => Content::Reasoning {
            text: object.required_text("summary")?,
            signature: None,
            id,
        },
        "reasoning.encrypted" => Content::Redacted {
            data: object.required_text("data")?,
        },
        _ => {
            return Err(Problem::new(
                "must be reasoning.text, reasoning.summary or reasoning.encrypted",
            )
            .at("type"));
        }
    };
    nothing_else(object)?;
    Ok(content)
}

/// Takes a call's proof of the thought behind it.
pub(super) fn call_signature<'a>(object: &mut Object<'a>) -> Result<Option<Cow<'a, str>>, Problem> {
    let Some(extra) = object.object("extra_content")? else {
        return Ok(None);
    };
    signature_in(extra).map_err(|problem| problem.at("extra_content"))
}

/// The proof in a call's `extra_content`.
pub(super) fn signature_in(mut extra: Object<'_>) -> Result<Option<Cow<'_, str>>, Problem> {
    let signature = match extra.object("google")? {
        Some(mut google) => {
            let signature = google.text("thought_signature")?;
            nothing_else(google)?;
            signature
        }
        None => None,
    };
    nothing_else(extra)?;
    Ok(signature)
}

/// A list of texts that are thoughts, in a message's content (Mistral).
pub(super) fn thinking<'a>(object: &mut Object<'a>) -> Result<Content<'a>, Problem> {
    // Whether the thought is at its end; only a prefix may have one that is not.
    object.take("closed");
    let raw = object
        .take("thinking")
        .ok_or_else(|| Problem::new("is missing").at("thinking"))?;
    let mut texts = parts(raw)
        .map_err(|problem| problem.at("thinking"))?
        .into_iter()
        .filter_map(|part| match part.content {
            Content::Text { text, .. } => Some(text),
            _ => None,
        });
    let first = texts.next().unwrap_or_default();
    Ok(Content::Reasoning {
        text: texts.fold(first, |all, more| all + more),
        signature: None,
        id: None,
    })
}

/// The thoughts' text in one.
pub(super) fn joined<'a>(parts: &'a [Part<'_>]) -> Option<Cow<'a, str>> {
    super::answer::joined(parts, |content| match content {
        Content::Reasoning { text, .. } => Some(text),
        _ => None,
    })
}

/// Whether a thought is sealed or has a proof.
pub(super) fn has_proof(content: &Content<'_>) -> bool {
    matches!(
        content,
        Content::Redacted { .. }
            | Content::Reasoning {
                signature: Some(_),
                ..
            }
    )
}

/// Writes `reasoning_details`, where the thoughts have proofs; without them the text alone says it all. They are numbered
/// from `index` on; how many there were.
pub(super) fn write_details<'a>(
    writer: &mut Writer<'_>,
    index: u64,
    thoughts: impl Iterator<Item = &'a Content<'a>> + Clone,
) -> u64 {
    if !thoughts.clone().any(has_proof) {
        return 0;
    }
    writer.key("reasoning_details").open_array();
    let mut next = index;
    for content in thoughts {
        match content {
            Content::Reasoning {
                text,
                signature,
                id,
            } => {
                writer
                    .open()
                    .text_field("type", "reasoning.text")
                    .text_field("text", text)
                    .text_field_if("signature", signature.as_deref())
                    .text_field_if("id", id.as_deref());
            }
            Content::Redacted { data } => {
                writer
                    .open()
                    .text_field("type", "reasoning.encrypted")
                    .text_field("data", data);
            }
            _ => continue,
        }
        writer.key("index").integer(next).close();
        next += 1;
    }
    writer.close_array();
    next - index
}

/// Writes a call's proof.
pub(super) fn write_call_signature(writer: &mut Writer<'_>, signature: &str) {
    writer
        .key("extra_content")
        .open()
        .key("google")
        .open()
        .text_field("thought_signature", signature)
        .close()
        .close();
}
