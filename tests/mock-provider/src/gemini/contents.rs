//! What Google refuses of the contents of a request, and of their order.
//!
//! <https://ai.google.dev/api/caching#Content>, <https://ai.google.dev/gemini-api/docs/function-calling>

use serde_json::Value;

use super::rules::{invalid, object, only, snake};
use crate::ask::{Refusal, Verdict, base64, image_type, items, text};
use crate::reply::SIGNATURE;

/// Of these a part has exactly one.
const DATA: [&str; 7] = [
    "text",
    "inlineData",
    "functionCall",
    "functionResponse",
    "fileData",
    "executableCode",
    "codeExecutionResult",
];

const PART: [&str; 4] = [
    "thought",
    "thoughtSignature",
    "videoMetadata",
    "mediaResolution",
];

const MIME_TYPES: [&str; 12] = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/heic",
    "image/heif",
    "image/gif",
    "application/pdf",
    "text/plain",
    "audio/wav",
    "audio/mpeg",
    "audio/mp3",
    "video/mp4",
];

fn have<'v>(turn: Option<&'v Value>, kind: &'v str) -> Vec<&'v Value> {
    let parts = items(turn.and_then(|turn| turn.get("parts"))).iter();
    parts.filter_map(|part| part.get(kind)).collect()
}

/// Responses follow at once on the calls they belong to, and are as many.
pub(super) fn order(turns: &[Value]) -> Verdict {
    for (number, turn) in turns.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|number| turns.get(number));
        let (calls, responses) = (
            have(Some(turn), "functionCall"),
            have(Some(turn), "functionResponse"),
        );
        if !calls.is_empty() && before.is_none_or(|before| text(before, "role") == "model") {
            return Err(Refusal::bad(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
            ));
        }
        let asked = have(before, "functionCall");
        if !responses.is_empty() && asked.is_empty() {
            return Err(Refusal::bad(
                "Please ensure that function response turn comes immediately after a function call turn.",
            ));
        }
        if asked.len() != responses.len() {
            return Err(Refusal::bad(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            ));
        }
        let name = |all: &[&Value]| {
            let mut names: Vec<String> =
                all.iter().map(|one| text(one, "name").to_owned()).collect();
            names.sort();
            names
        };
        if name(&asked) != name(&responses) {
            return Err(Refusal::bad(
                "Please ensure that the function response names match the function call names of the function call turn.",
            ));
        }
    }
    let last = turns.last();
    if !have(last, "functionCall").is_empty() {
        return Err(Refusal::bad(
            "Please ensure that multiturn requests ends with a user role or a function response.",
        ));
    }
    Ok(())
}

/// From Gemini 3 on, the calls of the current turn have the signature they came with.
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>
pub(super) fn signatures(turns: &[Value], model: &str) -> Verdict {
    if !model.starts_with("gemini-3") && !model.ends_with("signed-tool") {
        return Ok(());
    }
    let is_question = |turn: &Value| {
        text(turn, "role") != "model" && have(Some(turn), "functionResponse").is_empty()
    };
    let current = turns.iter().rposition(is_question).unwrap_or_default();
    for (number, turn) in turns.iter().enumerate().skip(current) {
        let call = items(turn.get("parts")).iter().enumerate();
        let first = call
            .into_iter()
            .find(|(_, part)| part.get("functionCall").is_some());
        if let Some((at, part)) = first
            && part.get("thoughtSignature").is_none()
        {
            return Err(Refusal::bad(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{}` , position {}.{at}",
                text(&part["functionCall"], "name"),
                number + 1
            )));
        }
    }
    Ok(())
}

/// The parts of a content: at least one.
pub(super) fn parts(turn: &Value, at: &str, role: &str) -> Verdict {
    let parts = items(turn.get("parts"));
    if parts.is_empty() {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.parts: contents.parts must not be empty."
        )));
    }
    for (number, one) in parts.iter().enumerate() {
        part(one, &format!("{at}.parts[{number}]"), role)?;
    }
    Ok(())
}

fn part(part: &Value, at: &str, role: &str) -> Verdict {
    let fields = object(part, at)?;
    only(fields, &[&DATA[..], &PART].concat(), at)?;
    let data: Vec<&str> = DATA
        .into_iter()
        .filter(|name| fields.contains_key(*name))
        .collect();
    let [kind] = data[..] else {
        if data.is_empty() {
            return Err(Refusal::bad(format!(
                "* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field"
            )));
        }
        return Err(Refusal::bad(format!(
            "Invalid value at '{at}' (oneof), oneof field 'data' is already set. Cannot set '{}'",
            snake(data[1])
        )));
    };
    if let Some(signature) = part.get("thoughtSignature")
        && signature != SIGNATURE
    {
        let at = format!("{at}.thought_signature");
        let known = signature.as_str().and_then(base64);
        return Err(match known {
            None => Refusal::bad(format!(
                "Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed for {signature}"
            )),
            Some(_) => Refusal::bad("Thought signature is not valid."),
        });
    }
    let inner = &part[kind];
    let at = format!("{at}.{}", snake(kind));
    match kind {
        "text" => match inner {
            // Vertex AI says so; the Gemini API is not better served by them.
            Value::String(text) if text.is_empty() => Err(Refusal::bad(
                "Unable to submit request because it has an empty text parameter. Add a value to the parameter and try again.",
            )),
            Value::String(_) => Ok(()),
            other => Err(invalid(&at, "TYPE_STRING", other)),
        },
        "inlineData" => {
            only(
                object(inner, &at)?,
                &["mimeType", "data", "displayName"],
                &at,
            )?;
            let media = text(inner, "mimeType");
            if !MIME_TYPES.contains(&media) {
                return Err(Refusal::bad(format!("Unsupported MIME type: {media}")));
            }
            let Some(bytes) = base64(text(inner, "data")) else {
                return Err(Refusal::bad(format!(
                    "Invalid value at '{at}.data' (TYPE_BYTES), Base64 decoding failed for {}",
                    inner["data"]
                )));
            };
            let known = ["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&media);
            if known && image_type(&bytes) != Some(media) {
                return Err(Refusal::bad(
                    "Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
                ));
            }
            Ok(())
        }
        "fileData" => {
            only(
                object(inner, &at)?,
                &["mimeType", "fileUri", "displayName"],
                &at,
            )?;
            let uri = text(inner, "fileUri");
            if uri.starts_with("https://") || uri.starts_with("gs://") {
                return Ok(());
            }
            Err(Refusal::bad("Invalid or unsupported file uri."))
        }
        "functionCall" => {
            only(object(inner, &at)?, &["id", "name", "args"], &at)?;
            named(inner, &at)?;
            if role != "model" {
                return Err(Refusal::bad(
                    "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
                ));
            }
            free(inner.get("args"), &format!("{at}.args"))
        }
        "functionResponse" => {
            only(
                object(inner, &at)?,
                &[
                    "id",
                    "name",
                    "response",
                    "willContinue",
                    "scheduling",
                    "parts",
                ],
                &at,
            )?;
            named(inner, &at)?;
            if role == "model" {
                return Err(Refusal::bad(
                    "Please ensure that function response turn comes immediately after a function call turn.",
                ));
            }
            if inner.get("response").is_none() {
                return Err(Refusal::bad(format!(
                    "* GenerateContentRequest.{at}.response: response must be set"
                )));
            }
            free(inner.get("response"), &format!("{at}.response"))
        }
        _ => Ok(()),
    }
}

fn named(value: &Value, at: &str) -> Verdict {
    if text(value, "name").is_empty() {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.name: Name cannot be empty."
        )));
    }
    Ok(())
}

/// An object of any content.
fn free(value: Option<&Value>, at: &str) -> Verdict {
    match value {
        None | Some(Value::Object(_)) => Ok(()),
        Some(other) => Err(invalid(
            at,
            "type.googleapis.com/google.protobuf.Struct",
            other,
        )),
    }
}
