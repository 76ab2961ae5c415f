//! What OpenAI refuses of the messages of a chat.
//!
//! <https://platform.openai.com/docs/api-reference/chat/create>

use serde_json::Value;

use super::rules::{bad, has, name_rules, object, only};
use crate::ask::{Object, Refusal, Verdict, base64, data_url, image_type, items, text};

const ROLES: [&str; 6] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
];

/// How long the id of a tool call may be.
const LONGEST_ID: usize = 40;

/// The messages, in their order.
pub(super) fn messages(messages: &[Value]) -> Verdict {
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(bad("messages", message).code("empty_array"));
    }
    // The calls that wait for their results.
    let mut waiting: Vec<&str> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let at = format!("messages[{number}]");
        let fields = object(message, &at)?;
        let role = text(message, "role");
        if !ROLES.contains(&role) {
            let message = format!(
                "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
            );
            return Err(bad(&format!("{at}.role"), message).code("invalid_value"));
        }
        if role == "tool" {
            has(fields, "tool_call_id", &at)?;
            let id = text(message, "tool_call_id");
            let Some(found) = waiting.iter().position(|waits| *waits == id) else {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
                return Err(bad(&format!("messages.[{number}].role"), message));
            };
            waiting.remove(found);
        } else {
            answered(&waiting, number)?;
        }
        let more: &[&str] = match role {
            "assistant" => &[
                "name",
                "tool_calls",
                "refusal",
                "audio",
                "function_call",
                "annotations",
            ],
            "tool" => &["tool_call_id"],
            _ => &["name"],
        };
        only(fields, &[&["role", "content"], more].concat(), &at)?;
        content(fields, role, &at)?;
        if let Some(calls) = fields.get("tool_calls") {
            waiting = tool_calls(calls, &at)?;
        }
    }
    answered(&waiting, messages.len())
}

fn answered(waiting: &[&str], number: usize) -> Verdict {
    if waiting.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        waiting.join(", ")
    );
    Err(bad(&format!("messages.[{number}].role"), message))
}

fn tool_calls<'v>(calls: &'v Value, at: &str) -> Result<Vec<&'v str>, Refusal> {
    let at = format!("{at}.tool_calls");
    if items(Some(calls)).is_empty() {
        let message = format!(
            "Invalid '{at}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        );
        return Err(bad(&at, message).code("empty_array"));
    }
    let mut ids = Vec::new();
    for (number, call) in items(Some(calls)).iter().enumerate() {
        let at = format!("{at}[{number}]");
        let fields = object(call, &at)?;
        only(fields, &["id", "type", "function", "custom"], &at)?;
        has(fields, "id", &at)?;
        has(fields, "type", &at)?;
        let id = text(call, "id");
        if id.len() > LONGEST_ID {
            let message = format!(
                "Invalid '{at}.id': string too long. Expected a string with maximum length {LONGEST_ID}, but got a string with length {} instead.",
                id.len()
            );
            return Err(bad(&format!("{at}.id"), message).code("string_above_max_length"));
        }
        ids.push(id);
        if text(call, "type") == "custom" {
            continue;
        }
        has(fields, "function", &at)?;
        let at = format!("{at}.function");
        let function = object(&fields["function"], &at)?;
        only(function, &["name", "arguments"], &at)?;
        name_rules(text(&fields["function"], "name"), &format!("{at}.name"))?;
        if !function.get("arguments").is_some_and(Value::is_string) {
            let message = format!(
                "Invalid type for '{at}.arguments': expected a string, but got something else instead."
            );
            return Err(bad(&format!("{at}.arguments"), message).code("invalid_type"));
        }
    }
    Ok(ids)
}

fn content(message: &Object, role: &str, at: &str) -> Verdict {
    let at = format!("{at}.content");
    match message.get("content") {
        Some(Value::String(_)) => Ok(()),
        None | Some(Value::Null) => {
            let other = ["tool_calls", "refusal", "audio", "function_call"];
            if role == "assistant" && other.iter().any(|name| message.get(*name).is_some_and(|value| !value.is_null())) {
                return Ok(());
            }
            Err(bad(&at, "Invalid value for 'content': expected a string, got null."))
        }
        Some(Value::Array(parts)) if !parts.is_empty() => {
            for (number, one) in parts.iter().enumerate() {
                part(one, role, &format!("{at}[{number}]"))?;
            }
            Ok(())
        }
        Some(_) => Err(bad(&at, format!("Invalid type for '{at}': expected one of a string or array of objects, but got something else instead.")).code("invalid_type")),
    }
}

fn part(part: &Value, role: &str, at: &str) -> Verdict {
    let fields = object(part, at)?;
    let kinds: &[&str] = match role {
        "user" => &["text", "image_url", "input_audio", "file"],
        "assistant" => &["text", "refusal"],
        _ => &["text"],
    };
    let kind = text(part, "type");
    if !kinds.contains(&kind) {
        let message = format!(
            "Invalid value: '{kind}'. Supported values are: '{}'.",
            kinds.join("', '")
        );
        return Err(bad(&format!("{at}.type"), message).code("invalid_value"));
    }
    only(fields, &["type", kind], at)?;
    has(fields, kind, at)?;
    let inner = &part[kind];
    match kind {
        "image_url" => {
            let at = format!("{at}.image_url");
            only(object(inner, &at)?, &["url", "detail"], &at)?;
            image(text(inner, "url"), &format!("{at}.url"))
        }
        "file" => only(
            object(inner, at)?,
            &["file_data", "file_id", "filename"],
            &format!("{at}.file"),
        ),
        "input_audio" => only(
            object(inner, at)?,
            &["data", "format"],
            &format!("{at}.input_audio"),
        ),
        _ if inner.is_string() => Ok(()),
        _ => Err(bad(
            at,
            format!("Invalid type for '{at}.{kind}': expected a string."),
        )
        .code("invalid_type")),
    }
}

/// An image by its address, or in it.
pub(crate) fn image(url: &str, at: &str) -> Verdict {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    let Some((media, data)) = data_url(url) else {
        let message = format!(
            "Invalid '{at}'. Expected a valid URL, but got a value with an invalid format."
        );
        return Err(bad(at, message).code("invalid_value"));
    };
    let Some(bytes) = base64(data) else {
        return Err(bad(at, "Invalid base64 image_url.").code("invalid_base64"));
    };
    if image_type(&bytes) == Some(media) {
        return Ok(());
    }
    let message = "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].";
    Err(bad(at, message).code("invalid_image_format"))
}
