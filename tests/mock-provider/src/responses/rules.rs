//! What OpenAI refuses of a request for a response.
//!
//! <https://platform.openai.com/docs/api-reference/responses/create>; the messages are those that its API answers with.

use serde_json::Value;

use crate::ask::{Object, Refusal, Verdict, items, text, unknown};
use crate::openai::messages::image;
use crate::openai::rules::{function_rules, has, json_schema, object, only, range, tool_choice};

const KNOWN: [&str; 31] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
const ROLES: [&str; 4] = ["user", "assistant", "system", "developer"];

fn bad(param: &str, message: impl Into<String>) -> Refusal {
    Refusal::bad(message).param(param)
}

/// What is refused of a request to `/responses`.
pub(super) fn rules(value: &Value) -> Verdict {
    let request = object(value, "body")?;
    if let Some(name) = unknown(request, &KNOWN) {
        return Err(bad(name, format!("Unknown parameter: '{name}'.")).code("unknown_parameter"));
    }
    has(request, "model", "")?;
    for (name, low, high, whole) in [
        ("temperature", 0.0, 2.0, false),
        ("top_p", 0.0, 1.0, false),
        ("max_output_tokens", 16.0, 1e9, true),
        ("max_tool_calls", 1.0, 1e9, true),
        ("top_logprobs", 0.0, 20.0, true),
    ] {
        range(request, name, low, high, whole)?;
    }
    let pairs = request.get("metadata").and_then(Value::as_object);
    if pairs.is_some_and(|pairs| pairs.len() > 16 || !pairs.values().all(Value::is_string)) {
        return Err(bad(
            "metadata",
            "Invalid type for 'metadata': expected at most 16 pairs of strings.",
        )
        .code("invalid_type"));
    }
    if let Some(reasoning) = request.get("reasoning").filter(|value| !value.is_null()) {
        let fields = object(reasoning, "reasoning")?;
        only(
            fields,
            &["effort", "summary", "generate_summary", "context"],
            "reasoning",
        )?;
        let efforts = ["none", "minimal", "low", "medium", "high", "xhigh"];
        one_of(reasoning, "effort", &efforts, "reasoning")?;
        one_of(
            reasoning,
            "summary",
            &["auto", "concise", "detailed"],
            "reasoning",
        )?;
    }
    one_of(value, "truncation", &["auto", "disabled"], "")?;
    if let Some(options) = request
        .get("stream_options")
        .filter(|value| !value.is_null())
    {
        only(
            object(options, "stream_options")?,
            &["include_obfuscation"],
            "stream_options",
        )?;
    }
    tools(request)?;
    format(request)?;
    match request.get("input") {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(all)) => input(all, request.contains_key("previous_response_id")),
        None if request.contains_key("prompt") => Ok(()),
        None => has(request, "input", ""),
        Some(_) => Err(bad("input", "Invalid type for 'input': expected one of an array of objects or string, but got something else instead.").code("invalid_type")),
    }
}

/// A field that is a word of a list, where it is there.
fn one_of(value: &Value, name: &str, known: &[&str], at: &str) -> Verdict {
    match value.get(name) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(word)) if known.contains(&word.as_str()) => Ok(()),
        Some(other) => {
            let at = format!("{at}{}{name}", if at.is_empty() { "" } else { "." });
            let message = format!(
                "Invalid value: {other}. Supported values are: '{}'.",
                known.join("', '")
            );
            Err(bad(&at, message).code("invalid_value"))
        }
    }
}

fn tools(request: &Object) -> Verdict {
    let mut names = Vec::new();
    for (number, tool) in items(request.get("tools")).iter().enumerate() {
        let at = format!("tools[{number}]");
        let fields = object(tool, &at)?;
        has(fields, "type", &at)?;
        if text(tool, "type") == "function" {
            has(fields, "name", &at)?;
            let known = [
                "type",
                "name",
                "description",
                "parameters",
                "strict",
                "defer_loading",
            ];
            only(fields, &known, &at)?;
            function_rules(fields, &at, "function")?;
            names.push(text(tool, "name"));
        }
    }
    tool_choice(request.get("tool_choice"), &names, "/name")
}

fn format(request: &Object) -> Verdict {
    let Some(text_config) = request.get("text").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    only(
        object(text_config, "text")?,
        &["format", "verbosity"],
        "text",
    )?;
    one_of(text_config, "verbosity", &["low", "medium", "high"], "text")?;
    let Some(format) = text_config.get("format").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let at = "text.format";
    let fields = object(format, at)?;
    match text(format, "type") {
        "text" => only(fields, &["type"], at),
        "json_object" => {
            only(fields, &["type"], at)?;
            let said = request.get("input").cloned().unwrap_or_default().to_string();
            if said.to_ascii_lowercase().contains("json") {
                return Ok(());
            }
            Err(bad("input", "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'."))
        }
        "json_schema" => json_schema(fields, at),
        other => Err(bad("text.format.type", format!("Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'.")).code("invalid_value")),
    }
}

fn input(all: &[Value], continued: bool) -> Verdict {
    let of = |kind: &str| -> Vec<&str> {
        let items = all.iter().filter(|item| text(item, "type") == kind);
        items.map(|item| text(item, "call_id")).collect()
    };
    let (calls, outputs) = (of("function_call"), of("function_call_output"));
    if let Some(open) = calls.iter().find(|id| !outputs.contains(id)) {
        return Err(bad(
            "input",
            format!("No tool output found for function call {open}."),
        ));
    }
    if let Some(lost) = outputs.iter().find(|id| !calls.contains(id) && !continued) {
        return Err(bad(
            "input",
            format!("No tool call found for function call output with call_id {lost}."),
        ));
    }
    for (number, one) in all.iter().enumerate() {
        item(one, &format!("input[{number}]"))?;
    }
    Ok(())
}

fn item(item: &Value, at: &str) -> Verdict {
    let fields = object(item, at)?;
    let begins = |prefix: &str| match item.get("id") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(id)) if id.starts_with(prefix) => Ok(()),
        Some(id) => {
            let id = id.as_str().unwrap_or_default();
            let message =
                format!("Invalid '{at}.id': '{id}'. Expected an ID that begins with '{prefix}'.");
            Err(bad(&format!("{at}.id"), message).code("invalid_value"))
        }
    };
    let kind = if fields.contains_key("role") && !fields.contains_key("type") {
        "message"
    } else {
        text(item, "type")
    };
    match kind {
        "message" => {
            only(
                fields,
                &["type", "role", "content", "id", "status", "phase"],
                at,
            )?;
            begins("msg")?;
            let role = text(item, "role");
            if !ROLES.contains(&role) {
                let message = format!(
                    "Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
                );
                return Err(bad(&format!("{at}.role"), message).code("invalid_value"));
            }
            has(fields, "content", at)?;
            content(item.get("content"), role, &format!("{at}.content"))
        }
        "function_call" => {
            let known = [
                "type",
                "call_id",
                "name",
                "arguments",
                "id",
                "status",
                "namespace",
            ];
            only(fields, &known, at)?;
            begins("fc")?;
            for name in ["call_id", "name", "arguments"] {
                has(fields, name, at)?;
            }
            if text(item, "call_id").len() > 64 {
                let message = format!(
                    "Invalid '{at}.call_id': string too long. Expected a string with maximum length 64."
                );
                return Err(bad(&format!("{at}.call_id"), message).code("string_above_max_length"));
            }
            if item["arguments"].is_string() {
                return Ok(());
            }
            let message = format!("Invalid type for '{at}.arguments': expected a string.");
            Err(bad(&format!("{at}.arguments"), message).code("invalid_type"))
        }
        "function_call_output" => {
            only(fields, &["type", "call_id", "output", "id", "status"], at)?;
            has(fields, "call_id", at)?;
            has(fields, "output", at)?;
            content(item.get("output"), "user", &format!("{at}.output"))
        }
        "reasoning" => {
            let known = [
                "type",
                "id",
                "summary",
                "encrypted_content",
                "content",
                "status",
            ];
            only(fields, &known, at)?;
            begins("rs")?;
            has(fields, "id", at)?;
            has(fields, "summary", at)
        }
        "" => has(fields, "type", at),
        // What OpenAI's own tools left is not looked into.
        _ => Ok(()),
    }
}

fn content(content: Option<&Value>, role: &str, at: &str) -> Verdict {
    let parts = match content {
        Some(Value::String(_)) => return Ok(()),
        Some(Value::Array(parts)) => parts,
        _ => {
            return Err(bad(
                at,
                format!("Invalid type for '{at}': expected one of an array of objects or string."),
            )
            .code("invalid_type"));
        }
    };
    let kinds: &[&str] = match role {
        "assistant" => &["output_text", "refusal"],
        _ => &["input_text", "input_image", "input_file", "input_audio"],
    };
    for (number, part) in parts.iter().enumerate() {
        let at = format!("{at}[{number}]");
        let fields = object(part, &at)?;
        let kind = text(part, "type");
        if !kinds.contains(&kind) {
            let message = format!(
                "Invalid value: '{kind}'. Supported values are: '{}'.",
                kinds.join("', '")
            );
            return Err(bad(&format!("{at}.type"), message).code("invalid_value"));
        }
        match kind {
            "input_text" => {
                only(fields, &["type", "text"], &at)?;
                has(fields, "text", &at)?;
            }
            "output_text" => {
                only(fields, &["type", "text", "annotations", "logprobs"], &at)?;
                has(fields, "text", &at)?;
            }
            "refusal" => only(fields, &["type", "refusal"], &at)?,
            "input_image" => {
                only(fields, &["type", "image_url", "file_id", "detail"], &at)?;
                if let Some(url) = part.get("image_url").filter(|url| !url.is_null()) {
                    image(url.as_str().unwrap_or_default(), &format!("{at}.image_url"))?;
                }
            }
            "input_file" => {
                let known = [
                    "type",
                    "file_id",
                    "file_data",
                    "file_url",
                    "filename",
                    "detail",
                ];
                only(fields, &known, &at)?;
            }
            _ => {}
        }
    }
    Ok(())
}
