//! What Cohere refuses of requests to chat and to embed.
//!
//! <https://docs.cohere.com/reference/chat>, <https://docs.cohere.com/docs/structured-outputs>,
//! <https://docs.cohere.com/reference/embed>

use serde_json::Value;

use crate::ask::{
    Object, Refusal, Verdict, base64, data_url, image_type, is_name, items, text, texts, unknown,
};

const CHAT: [&str; 22] = [
    "model",
    "messages",
    "stream",
    "tools",
    "strict_tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "tool_choice",
    "thinking",
    "priority",
    "raw_prompting",
];
const EMBED: [&str; 10] = [
    "model",
    "input_type",
    "texts",
    "images",
    "inputs",
    "max_tokens",
    "output_dimension",
    "embedding_types",
    "truncate",
    "priority",
];

fn bad(message: impl std::fmt::Display) -> Refusal {
    Refusal::bad(format!("invalid request: {message}"))
}

fn only(object: &Object, known: &[&str], at: &str) -> Verdict {
    let dot = if at.is_empty() { "" } else { "." };
    unknown(object, known).map_or(Ok(()), |name| {
        Err(bad(format!(
            "unknown field: parameter '{at}{dot}{name}' is not a valid field"
        )))
    })
}

fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Object, Refusal> {
    value
        .as_object()
        .ok_or_else(|| bad(format!("{at} must be an object")))
}

fn range(value: &Value, name: &str, low: f64, high: f64) -> Verdict {
    match value.get(name) {
        None => Ok(()),
        Some(set)
            if set
                .as_f64()
                .is_some_and(|number| (low..=high).contains(&number)) =>
        {
            Ok(())
        }
        Some(set) => Err(bad(format!(
            "{name} must be between {low} and {high} inclusive, received {set}"
        ))),
    }
}

/// What is refused of a chat.
pub(super) fn chat(value: &Value) -> Verdict {
    only(object(value, "the body")?, &CHAT, "")?;
    if text(value, "model").is_empty() {
        return Err(bad("model is required"));
    }
    range(value, "temperature", 0.0, 1.0)?;
    range(value, "p", 0.01, 0.99)?;
    range(value, "k", 0.0, 500.0)?;
    range(value, "frequency_penalty", 0.0, 1.0)?;
    range(value, "presence_penalty", 0.0, 1.0)?;
    range(value, "seed", 0.0, 18_446_744_073_709_551_615.0)?;
    range(value, "max_tokens", 0.0, 1e9)?;
    if items(value.get("stop_sequences")).len() > 5 {
        return Err(bad("stop_sequences must have at most 5 elements"));
    }
    tools(value)?;
    if let Some(thinking) = value.get("thinking") {
        only(
            object(thinking, "thinking")?,
            &["type", "token_budget"],
            "thinking",
        )?;
        if !["enabled", "disabled"].contains(&text(thinking, "type")) {
            return Err(bad("thinking.type must be one of 'enabled', 'disabled'"));
        }
    }
    response_format(value)?;
    messages(items(value.get("messages")))
}

fn tools(value: &Value) -> Verdict {
    let tools = items(value.get("tools"));
    for (number, tool) in tools.iter().enumerate() {
        let at = format!("tools[{number}]");
        only(object(tool, &at)?, &["type", "function"], &at)?;
        let function = tool.get("function").unwrap_or(&Value::Null);
        let at = format!("{at}.function");
        only(
            object(function, &at)?,
            &["name", "description", "parameters"],
            &at,
        )?;
        if text(tool, "type") != "function" {
            return Err(bad(format!("{at}: type must be 'function'")));
        }
        if !is_name(text(function, "name"), &['_', '-'], 64) {
            return Err(bad(format!(
                "{at}.name must only contain letters, digits, '_' and '-'"
            )));
        }
        // Strict tools must have a required parameter each; without them, parameters are an object all the same.
        let parameters = function.get("parameters").unwrap_or(&Value::Null);
        if text(parameters, "type") != "object" {
            return Err(bad(format!(
                "{at}.parameters must be a JSON schema of type 'object'"
            )));
        }
        if value.get("strict_tools") == Some(&Value::Bool(true))
            && items(parameters.get("required")).is_empty()
        {
            return Err(bad(format!(
                "{at}.parameters: at least one required parameter is needed with strict_tools"
            )));
        }
    }
    match value.get("tool_choice") {
        None => Ok(()),
        Some(_) if tools.is_empty() => Err(bad("tool_choice is only allowed with tools")),
        Some(choice) if choice == "REQUIRED" || choice == "NONE" => Ok(()),
        Some(choice) => Err(bad(format!(
            "tool_choice must be one of 'REQUIRED', 'NONE', received {choice}"
        ))),
    }
}

fn response_format(value: &Value) -> Verdict {
    let Some(format) = value.get("response_format") else {
        return Ok(());
    };
    only(
        object(format, "response_format")?,
        &["type", "schema", "json_schema"],
        "response_format",
    )?;
    match text(format, "type") {
        "text" => Ok(()),
        "json_object" => {
            if !items(value.get("tools")).is_empty() || !items(value.get("documents")).is_empty() {
                return Err(bad(
                    "response_format is not supported with tools or documents",
                ));
            }
            let Some(schema) = format.get("json_schema").or(format.get("schema")) else {
                return Ok(());
            };
            if text(schema, "type") != "object" {
                return Err(bad(
                    "the top level of a JSON schema must be of type 'object'",
                ));
            }
            required(schema, 0)
        }
        other => Err(bad(format!(
            "response_format.type must be one of 'text', 'json_object', received '{other}'"
        ))),
    }
}

/// Every object requires at least one field, and some keywords are not there.
fn required(schema: &Value, depth: usize) -> Verdict {
    const DEEPEST: usize = 64;
    let Some(fields) = schema.as_object().filter(|_| depth < DEEPEST) else {
        return Ok(());
    };
    if text(schema, "type") == "object" && items(schema.get("required")).is_empty() {
        return Err(bad(
            "every object of a JSON schema must have at least one required field",
        ));
    }
    for keyword in [
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "uniqueItems",
        "oneOf",
        "not",
    ] {
        if fields.contains_key(keyword) {
            return Err(bad(format!(
                "the JSON schema keyword '{keyword}' is not supported"
            )));
        }
    }
    for group in ["properties", "$defs", "definitions"] {
        for (_, one) in fields
            .get(group)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            required(one, depth + 1)?;
        }
    }
    fields
        .get("items")
        .map_or(Ok(()), |inner| required(inner, depth + 1))
}

fn messages(messages: &[Value]) -> Verdict {
    if messages.is_empty() {
        return Err(bad("messages must not be empty"));
    }
    let mut waiting: Vec<&str> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let at = format!("messages[{number}]");
        let fields = object(message, &at)?;
        let role = text(message, "role");
        if role != "tool" && !waiting.is_empty() {
            return Err(bad(format!(
                "{at}: all tool calls must be followed by tool messages, missing: {}",
                waiting.join(", ")
            )));
        }
        let known: &[&str] = match role {
            "system" | "user" => &["role", "content"],
            "assistant" => &["role", "content", "tool_calls", "tool_plan", "citations"],
            "tool" => &["role", "content", "tool_call_id"],
            _ => {
                return Err(bad(format!(
                    "{at}: role must be one of 'user', 'assistant', 'system', 'tool', received '{role}'"
                )));
            }
        };
        only(fields, known, &at)?;
        if role == "tool" {
            let id = text(message, "tool_call_id");
            let found = waiting.iter().position(|waits| *waits == id);
            let found = found.ok_or_else(|| {
                bad(format!(
                    "{at}: tool_call_id '{id}' has no corresponding tool call"
                ))
            })?;
            waiting.remove(found);
        }
        for (number, call) in items(message.get("tool_calls")).iter().enumerate() {
            let at = format!("{at}.tool_calls[{number}]");
            only(object(call, &at)?, &["id", "type", "function"], &at)?;
            let function = call.get("function").unwrap_or(&Value::Null);
            only(object(function, &at)?, &["name", "arguments"], &at)?;
            if text(call, "id").is_empty()
                || !function.get("arguments").is_some_and(Value::is_string)
            {
                return Err(bad(format!(
                    "{at}: id and function.arguments, a string, are required"
                )));
            }
            waiting.push(text(call, "id"));
        }
        content(message, role, &at)?;
    }
    if waiting.is_empty() {
        return Ok(());
    }
    Err(bad(format!(
        "all tool calls must be followed by tool messages, missing: {}",
        waiting.join(", ")
    )))
}

fn content(message: &Value, role: &str, at: &str) -> Verdict {
    let kinds: &[&str] = match role {
        "user" => &["text", "image_url"],
        "assistant" => &["text", "thinking"],
        "tool" => &["text", "document"],
        _ => &["text"],
    };
    match message.get("content") {
        Some(Value::String(text)) if text.is_empty() => {
            Err(bad(format!("{at}.content must not be empty")))
        }
        Some(Value::String(_)) => Ok(()),
        None if role == "assistant" && !items(message.get("tool_calls")).is_empty() => Ok(()),
        Some(Value::Array(parts)) if !parts.is_empty() => {
            for (number, part) in parts.iter().enumerate() {
                let at = format!("{at}.content[{number}]");
                let kind = text(part, "type");
                if !kinds.contains(&kind) {
                    return Err(bad(format!(
                        "{at}: type must be one of '{}', received '{kind}'",
                        kinds.join("', '")
                    )));
                }
                only(object(part, &at)?, &["type", kind], &at)?;
                if kind == "image_url" {
                    image(part, &at)?;
                } else if ["text", "thinking"].contains(&kind) && text(part, kind).is_empty() {
                    return Err(bad(format!("{at}.{kind} must not be empty")));
                }
            }
            Ok(())
        }
        _ => Err(bad(format!("{at}.content is required"))),
    }
}

fn image(part: &Value, at: &str) -> Verdict {
    let inner = part.get("image_url").unwrap_or(&Value::Null);
    only(
        object(inner, at)?,
        &["url", "detail"],
        &format!("{at}.image_url"),
    )?;
    let url = text(inner, "url");
    let fits = |(media, data)| base64(data).is_some_and(|bytes| image_type(&bytes) == Some(media));
    if url.starts_with("https://") || data_url(url).is_some_and(fits) {
        return Ok(());
    }
    Err(bad(format!(
        "{at}.image_url.url must be an https or a base64 data URL of an image"
    )))
}

/// What is refused of a request to embed.
pub(super) fn embed(value: &Value) -> Verdict {
    const MOST: usize = 96;
    only(object(value, "the body")?, &EMBED, "")?;
    if text(value, "model").is_empty() {
        return Err(bad("model is required"));
    }
    let kinds = [
        "search_document",
        "search_query",
        "classification",
        "clustering",
        "image",
    ];
    if !kinds.contains(&text(value, "input_type")) {
        return Err(bad(
            "valid input_type must be provided with the provided model",
        ));
    }
    let given = ["texts", "images", "inputs"]
        .iter()
        .filter(|name| value.get(name).is_some());
    if given.count() != 1 {
        return Err(bad(
            "exactly one of texts, images and inputs must be provided",
        ));
    }
    let inputs = items(value.get("texts"));
    if inputs.len() > MOST {
        return Err(bad(format!(
            "total number of texts must be at most {MOST} - received {}",
            inputs.len()
        )));
    }
    if inputs
        .iter()
        .any(|one| one.as_str().is_none_or(str::is_empty))
    {
        return Err(bad(
            "each element of texts must be a string that is not empty",
        ));
    }
    let known = ["float", "int8", "uint8", "binary", "ubinary", "base64"];
    if let Some(kind) = texts(value.get("embedding_types")).find(|kind| !known.contains(kind)) {
        return Err(bad(format!(
            "embedding_types must be among '{}', received '{kind}'",
            known.join("', '")
        )));
    }
    match value.get("output_dimension").map(Value::as_u64) {
        None | Some(Some(256 | 512 | 1024 | 1536)) => Ok(()),
        _ => Err(bad("output_dimension must be one of 256, 512, 1024, 1536")),
    }
}
