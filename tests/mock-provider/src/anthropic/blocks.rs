//! What Anthropic refuses of the blocks in a message.

use serde_json::Value;

use super::rules::{boolean, marker, object, only, string};
use crate::ask::{Refusal, Verdict, base64, image_type, is_name, items, text};
use crate::reply::SIGNATURE;

const USER: [&str; 6] = [
    "text",
    "image",
    "document",
    "search_result",
    "tool_result",
    "container_upload",
];
const ASSISTANT: [&str; 7] = [
    "text",
    "document",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "server_tool_use",
    "web_search_tool_result",
];
const RESULT: [&str; 5] = [
    "text",
    "image",
    "document",
    "search_result",
    "tool_reference",
];

/// The content of a message; only the last one of the assistant may be empty.
pub(super) fn content(turn: &Value, at: &str, last: bool) -> Verdict {
    let role = text(turn, "role");
    let empty = || {
        if last && role == "assistant" {
            return Ok(());
        }
        Err(Refusal::bad(format!(
            "{at}: all messages must have non-empty content except for the optional final assistant message"
        )))
    };
    let ends_blank =
        |text: &str| last && role == "assistant" && text.ends_with(char::is_whitespace);
    let blank = || {
        Err(Refusal::bad(
            "messages: final assistant content cannot end with trailing whitespace",
        ))
    };
    match turn.get("content") {
        None => Err(Refusal::bad(format!("{at}.content: Field required"))),
        Some(Value::String(text)) if text.is_empty() => empty(),
        Some(Value::String(text)) if ends_blank(text) => blank(),
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) if blocks.is_empty() => empty(),
        Some(Value::Array(blocks)) => {
            let kinds: &[&str] = match role {
                "user" => &USER,
                "assistant" => &ASSISTANT,
                _ => &["text"],
            };
            for (number, one) in blocks.iter().enumerate() {
                block(one, &format!("{at}.content.{number}"), kinds)?;
            }
            let end = blocks.last().map_or("", |block| text(block, "text"));
            if ends_blank(end) { blank() } else { Ok(()) }
        }
        Some(_) => Err(Refusal::bad(format!(
            "{at}.content: Input should be a valid list"
        ))),
    }
}

fn block(block: &Value, at: &str, kinds: &[&str]) -> Verdict {
    let fields = object(block, at)?;
    let kind = string(block, "type", at)?;
    if !kinds.contains(&kind) {
        let message = format!(
            "{at}: Input tag '{kind}' found using 'type' does not match any of the expected tags: '{}'",
            kinds.join("', '")
        );
        return Err(Refusal::bad(message));
    }
    let inner = format!("{at}.{kind}");
    let known: &[&str] = match kind {
        "text" => return text_block(block, &inner, "messages"),
        "image" => &["type", "source", "cache_control", "transformations"],
        "document" => &[
            "type",
            "source",
            "title",
            "context",
            "citations",
            "cache_control",
        ],
        "tool_use" => &["type", "id", "name", "input", "cache_control", "caller"],
        "tool_result" => &[
            "type",
            "tool_use_id",
            "content",
            "is_error",
            "cache_control",
        ],
        "thinking" => &["type", "thinking", "signature"],
        "redacted_thinking" => &["type", "data"],
        // What the provider's own tools left is not looked into.
        _ => return Ok(()),
    };
    only(fields, known, &inner)?;
    marker(block, &inner)?;
    match kind {
        "image" | "document" => source(block, &inner, kind),
        "tool_use" => tool_use(block, &inner),
        "tool_result" => tool_result(block, &inner),
        "thinking" => {
            string(block, "thinking", &inner)?;
            if string(block, "signature", &inner)? == SIGNATURE {
                return Ok(());
            }
            Err(Refusal::bad(format!(
                "{at}: Invalid `signature` in `thinking` block"
            )))
        }
        _ => string(block, "data", &inner).map(drop),
    }
}

/// A block of text, of a message or of the system prompt.
pub(super) fn text_block(block: &Value, at: &str, whole: &str) -> Verdict {
    only(
        object(block, at)?,
        &["type", "text", "cache_control", "citations"],
        at,
    )?;
    if string(block, "text", at)?.is_empty() {
        return Err(Refusal::bad(format!(
            "{whole}: text content blocks must be non-empty"
        )));
    }
    marker(block, at)
}

/// What the second version of the API refuses besides.
pub(super) fn second(turn: &Value, at: &str) -> Verdict {
    for (number, block) in items(turn.get("content")).iter().enumerate() {
        let at = format!("{at}.content.{number}");
        let kind = text(block, "type");
        if text(turn, "role") == "assistant" && kind == "document" {
            return Err(Refusal::bad(format!(
                "{at}: `document` blocks are not permitted in assistant messages"
            )));
        }
        if text(turn, "role") == "user"
            && kind == "text"
            && !items(block.get("citations")).is_empty()
        {
            return Err(Refusal::bad(format!(
                "{at}.text.citations: citations are not permitted in user messages"
            )));
        }
    }
    Ok(())
}

fn source(block: &Value, at: &str, kind: &str) -> Verdict {
    let at = format!("{at}.source");
    let Some(source) = block.get("source") else {
        return Err(Refusal::bad(format!("{at}: Field required")));
    };
    let fields = object(source, &at)?;
    let how = string(source, "type", &at)?;
    let at = format!("{at}.{how}");
    match how {
        "base64" => {
            only(fields, &["type", "media_type", "data"], &at)?;
            let media = string(source, "media_type", &at)?;
            let data = string(source, "data", &at)?;
            let expected = if kind == "image" {
                "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
            } else {
                "'application/pdf'"
            };
            if !expected.contains(&format!("'{media}'")) {
                return Err(Refusal::bad(format!(
                    "{at}.media_type: Input should be {expected}"
                )));
            }
            let Some(bytes) = base64(data) else {
                return Err(Refusal::bad(format!("{at}.data: Invalid base64 data")));
            };
            if kind == "document" {
                if bytes.starts_with(b"%PDF-") {
                    return Ok(());
                }
                return Err(Refusal::bad(format!(
                    "{at}.data: The PDF specified was not valid."
                )));
            }
            match image_type(&bytes) {
                Some(real) if real == media => Ok(()),
                Some(real) => Err(Refusal::bad(format!(
                    "{at}: The image was specified using the {media} media type, but the image appears to be a {real} image"
                ))),
                None => Err(Refusal::bad("Could not process image")),
            }
        }
        "url" => {
            only(fields, &["type", "url"], &at)?;
            if string(source, "url", &at)?.starts_with("https://") {
                return Ok(());
            }
            Err(Refusal::bad("Only HTTPS URLs are supported."))
        }
        "file" => {
            only(fields, &["type", "file_id"], &at)?;
            string(source, "file_id", &at).map(drop)
        }
        "text" if kind == "document" => {
            only(fields, &["type", "media_type", "data"], &at)?;
            if string(source, "media_type", &at)? == "text/plain" {
                return string(source, "data", &at).map(drop);
            }
            Err(Refusal::bad(format!(
                "{at}.media_type: Input should be 'text/plain'"
            )))
        }
        "content" if kind == "document" => only(fields, &["type", "content"], &at),
        _ => Err(Refusal::bad(format!(
            "{at}: Input tag '{how}' found using 'type' does not match any of the expected tags: 'base64', 'url', 'file'"
        ))),
    }
}

fn tool_use(block: &Value, at: &str) -> Verdict {
    if !is_name(string(block, "id", at)?, &['_', '-'], 256) {
        return Err(Refusal::bad(format!(
            "{at}.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        )));
    }
    let name = string(block, "name", at)?;
    if name.is_empty() || name.len() > 200 {
        return Err(Refusal::bad(format!(
            "{at}.name: String should have at most 200 characters"
        )));
    }
    match block.get("input") {
        Some(Value::Object(_)) => Ok(()),
        Some(_) => Err(Refusal::bad(format!(
            "{at}.input: Input should be a valid dictionary"
        ))),
        None => Err(Refusal::bad(format!("{at}.input: Field required"))),
    }
}

fn tool_result(block: &Value, at: &str) -> Verdict {
    string(block, "tool_use_id", at)?;
    boolean(block, "is_error", at)?;
    match block.get("content") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(_)) => {
            for (number, one) in items(block.get("content")).iter().enumerate() {
                self::block(one, &format!("{at}.content.{number}"), &RESULT)?;
            }
            Ok(())
        }
        Some(_) => Err(Refusal::bad(format!(
            "{at}.content: Input should be a valid list"
        ))),
    }
}
