//! Writes a conversation: <https://ai.google.dev/api/caching#Content>, <https://ai.google.dev/gemini-api/docs/function-calling>.
//!
//! Google wants the responses to a turn's calls in the content right after it, as many as the calls and with nothing beside
//! them, and no content without parts.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{NO_SIGNATURE, media, model};
use crate::dialect::Target;
use crate::json::{Json, Writer, object_text};
use crate::request::{Content, Part, Request, Role, Source, Turn};
use crate::support::{Feature, Notes, Unsupported};

/// What OpenAI's sealed reasoning begins with: a Fernet token's version and time.
const OPENAI: &str = "gAAAA";

/// Writes the field `contents`.
pub(super) fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    Writer::new(out).key("contents").open_array();
    let mut names: HashMap<&str, &str> = HashMap::new();
    for turn in &request.turns {
        if matches!(turn.role, Role::System | Role::Developer) {
            if turn.name.is_some() {
                notes.lacking(Feature::Name, "messages[].name")?;
            }
            continue;
        }
        if turn.role == Role::Assistant {
            let calls = turn.parts.iter().filter_map(|part| match &part.content {
                Content::ToolCall { id, name, .. } => Some((&**id, &**name)),
                _ => None,
            });
            names.extend(calls);
        }
        content(turn, target, &names, out, notes)?;
    }
    Writer::new(out).close_array();
    Ok(())
}

fn content(
    turn: &Turn<'_>,
    target: &Target<'_>,
    names: &HashMap<&str, &str>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    if turn.name.is_some() {
        notes.lacking(Feature::Name, "messages[].name")?;
    }
    let before = out.len();
    let role = if turn.role == Role::Assistant {
        "model"
    } else {
        "user"
    };
    Writer::new(out)
        .open()
        .text_field("role", role)
        .key("parts")
        .open_array();
    let empty = out.len();
    parts(turn, target, names, &mut Writer::new(out), notes)?;
    if out.len() == empty {
        out.truncate(before);
    } else {
        Writer::new(out).close_array().close();
    }
    Ok(())
}

fn parts(
    turn: &Turn<'_>,
    target: &Target<'_>,
    names: &HashMap<&str, &str>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let signed = |part: &Part<'_>| {
        matches!(
            part.content,
            Content::ToolCall {
                signature: Some(_),
                ..
            }
        )
    };
    // The first call of a turn must have a signature; one that never had any says so.
    let mut unsigned = model::wants_signatures(target.model) && !turn.parts.iter().any(signed);
    // The proof of a text that is still to come.
    let mut proof: Option<&str> = None;
    let mut parts = turn.parts.iter().peekable();
    while let Some(part) = parts.next() {
        if part.cache.is_some() {
            notes.lacking(Feature::Cache, "cache_control")?;
        }
        if let Content::Text { text, .. } | Content::Refusal { text } = &part.content {
            if text.is_empty() {
                continue;
            }
            let own = parts.next_if(|next| lone_proof(next).is_some());
            let own = own.and_then(lone_proof);
            if own.is_some() {
                write_proof(writer, proof.take());
            }
            writer
                .open()
                .text_field("text", text)
                .text_field_if("thoughtSignature", own.or(proof.take()))
                .close();
            continue;
        }
        write_proof(writer, proof.take());
        match &part.content {
            Content::Text { .. } | Content::Refusal { .. } => {}
            Content::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    notes.lacking(Feature::ImageDetail, "image_url.detail")?;
                }
                media::write(source, true, writer, notes)?;
            }
            Content::Audio { data, format } => media::write_audio(writer, format, data),
            Content::File { source, .. } => media::write(source, false, writer, notes)?,
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                let proof = signature
                    .as_deref()
                    .or(std::mem::take(&mut unsigned).then_some(NO_SIGNATURE));
                call(id, name, arguments, proof, writer, notes)?;
            }
            Content::ToolResult {
                id,
                name,
                parts,
                error,
            } => {
                let Some(name) = name.as_deref().or_else(|| names.get(&**id).copied()) else {
                    return notes.lost(
                        Feature::ToolResults,
                        "messages[].tool_call_id",
                        "no call before it has this id, and it needs the function's name",
                    );
                };
                result(id, name, parts, *error, target, writer, notes)?;
            }
            Content::Reasoning {
                text, signature, ..
            } if text.is_empty() => {
                proof = signature.as_deref();
                if proof.is_some_and(|proof| proof.starts_with(OPENAI)) {
                    proof = None;
                    notes.lost(
                        Feature::ReasoningHistory,
                        "reasoning.encrypted_content",
                        "only the provider that sealed it can use it",
                    )?;
                }
            }
            // Google proves texts and calls, not thoughts, and refuses the proofs of others.
            Content::Reasoning { text, .. } => {
                writer
                    .open()
                    .text_field("text", text)
                    .key("thought")
                    .boolean(true)
                    .close();
            }
            Content::Redacted { .. } => {
                notes.lost(
                    Feature::ReasoningHistory,
                    "redacted_thinking",
                    "it cannot read what another provider sealed",
                )?;
            }
        }
    }
    write_proof(writer, proof);
    Ok(())
}

/// The signature that stands for itself.
pub(super) fn lone_proof<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match &part.content {
        Content::Reasoning {
            text, signature, ..
        } if text.is_empty() => signature.as_deref(),
        _ => None,
    }
}

/// A signature without a text to stand on has an empty one, as in Google's own streams.
pub(super) fn write_proof(writer: &mut Writer<'_>, proof: Option<&str>) {
    if let Some(proof) = proof {
        writer
            .open()
            .text_field("text", "")
            .text_field("thoughtSignature", proof)
            .close();
    }
}

fn call(
    id: &str,
    name: &str,
    arguments: &str,
    signature: Option<&str>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let Some(args) = object_text(arguments) else {
        return notes.lost(
            Feature::MultiTurn,
            "messages[].tool_calls[].function.arguments",
            "it is not a JSON object",
        );
    };
    write_call(writer, id, name, &args, signature);
    Ok(())
}

/// Writes a part that is a call.
pub(super) fn write_call(
    writer: &mut Writer<'_>,
    id: &str,
    name: &str,
    args: &Json<'_>,
    signature: Option<&str>,
) {
    writer
        .open()
        .key("functionCall")
        .open()
        .text_field("id", id)
        .text_field("name", name)
        .key("args")
        .raw(args)
        .close()
        .text_field_if("thoughtSignature", signature)
        .close();
}

fn result(
    id: &str,
    name: &str,
    parts: &[Part<'_>],
    error: bool,
    target: &Target<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    writer
        .open()
        .key("functionResponse")
        .open()
        .text_field("id", id)
        .text_field("name", name)
        .key("response");
    if parts.iter().any(|part| part.cache.is_some()) {
        notes.lacking(Feature::Cache, "cache_control")?;
    }
    let texts = parts.iter().filter_map(|part| match &part.content {
        Content::Text { text, .. } => Some(Cow::Borrowed(&**text)),
        _ => None,
    });
    let text = texts
        .reduce(|all, more| all + "\n" + more)
        .unwrap_or_default();
    let object = Json::parse(Cow::Borrowed(&*text)).filter(Json::is_object);
    match (object, error) {
        (Some(object), false) => {
            writer.raw(&object);
        }
        (Some(object), true) => {
            writer.open().key("error").raw(&object).close();
        }
        (None, error) => {
            let name = if error { "error" } else { "result" };
            writer.open().text_field(name, &text).close();
        }
    }
    let mut media = parts
        .iter()
        .filter(|part| !matches!(part.content, Content::Text { .. }))
        .peekable();
    if media.peek().is_some() {
        if model::counts_thoughts(target.model) {
            let why = "only Gemini 3 and newer look at pictures in results";
            notes.lost(Feature::ToolResultImage, "tool result", why)?;
        }
        writer.key("parts").open_array();
        for part in media {
            match &part.content {
                Content::Image {
                    source: source @ (Source::Base64 { .. } | Source::Text(_)),
                    ..
                }
                | Content::File {
                    source: source @ (Source::Base64 { .. } | Source::Text(_)),
                    ..
                } => media::write(source, true, writer, notes)?,
                _ => notes.lost(
                    Feature::ToolResultImage,
                    "tool result",
                    "it takes them in base64 only",
                )?,
            }
        }
        writer.close_array();
    }
    writer.close().close();
    Ok(())
}
