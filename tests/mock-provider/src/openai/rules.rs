//! What OpenAI refuses of chat completions, completions and embeddings.
//!
//! <https://platform.openai.com/docs/api-reference/chat/create>; the messages are those that its API answers with.

use serde_json::Value;

use super::{messages, schema};
use crate::ask::{Object, Refusal, Verdict, is_name, items, text, unknown};

const CHAT: [&str; 36] = [
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
const COMPLETION: [&str; 18] = [
    "model",
    "prompt",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];
const EMBEDDING: [&str; 5] = ["input", "model", "dimensions", "encoding_format", "user"];

/// An object, or what else it is refused as.
pub(crate) fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Object, Refusal> {
    value.as_object().ok_or_else(|| {
        let message =
            format!("Invalid type for '{at}': expected an object, but got something else instead.");
        Refusal::bad(message).param(at).code("invalid_type")
    })
}

/// Refuses the unknown fields of an object inside a request.
pub(crate) fn only(object: &Object, known: &[&str], at: &str) -> Verdict {
    unknown(object, known).map_or(Ok(()), |name| {
        let at = format!("{at}.{name}");
        Err(Refusal::bad(format!("Unknown parameter: '{at}'."))
            .param(at)
            .code("unknown_parameter"))
    })
}

/// Refuses what lacks a field.
pub(crate) fn has(object: &Object, name: &str, at: &str) -> Verdict {
    if object.get(name).is_some_and(|value| !value.is_null()) {
        return Ok(());
    }
    let at = format!("{at}{}{name}", if at.is_empty() { "" } else { "." });
    Err(Refusal::bad(format!("Missing required parameter: '{at}'."))
        .param(at)
        .code("missing_required_parameter"))
}

/// Refuses a number outside its range.
pub(crate) fn range(
    request: &Object,
    name: &'static str,
    low: f64,
    high: f64,
    whole: bool,
) -> Verdict {
    let Some(value) = request.get(name).filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let kind = if whole { "integer" } else { "decimal" };
    let Some(number) = value
        .as_f64()
        .filter(|_| !whole || value.is_i64() || value.is_u64())
    else {
        let message = format!(
            "Invalid type for '{name}': expected {}, but got something else instead.",
            if whole { "an integer" } else { "a decimal" }
        );
        return Err(Refusal::bad(message).param(name).code("invalid_type"));
    };
    let (bound, sign, way, code) = if number < low {
        (low, ">=", "below minimum", "below_min_value")
    } else if number > high {
        (high, "<=", "above maximum", "above_max_value")
    } else {
        return Ok(());
    };
    let code = match (whole, code) {
        (true, "below_min_value") => "integer_below_min_value",
        (true, _) => "integer_above_max_value",
        (false, "below_min_value") => "decimal_below_min_value",
        (false, _) => "decimal_above_max_value",
    };
    let message = format!(
        "Invalid '{name}': {kind} {way} value. Expected a value {sign} {bound}, but got {value} instead."
    );
    Err(Refusal::bad(message).param(name).code(code))
}

fn top<'v>(value: &'v Value, known: &[&str]) -> Result<&'v Object, Refusal> {
    let request = value.as_object().ok_or_else(|| {
        Refusal::bad("We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)")
    })?;
    if let Some(name) = unknown(request, known) {
        return Err(Refusal::bad(format!(
            "Unrecognized request argument supplied: {name}"
        )));
    }
    if text(value, "model").is_empty() {
        return Err(Refusal::bad("you must provide a model parameter"));
    }
    Ok(request)
}

/// A refusal of a parameter.
pub(super) fn bad(param: &str, message: impl Into<String>) -> Refusal {
    Refusal::bad(message).param(param)
}

/// What is refused of a request to `/chat/completions`.
pub(crate) fn chat(value: &Value) -> Verdict {
    let request = top(value, &CHAT)?;
    let set = |name: &str| request.get(name).is_some_and(|value| !value.is_null());
    sampling(request)?;
    if set("max_tokens") && set("max_completion_tokens") {
        let message =
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(bad("max_tokens", message).code("invalid_parameter_combination"));
    }
    let model = text(value, "model");
    let reasons = ["o1", "o3", "o4", "gpt-5"]
        .iter()
        .any(|name| model.starts_with(name));
    if reasons && set("max_tokens") {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return Err(bad("max_tokens", message).code("unsupported_parameter"));
    }
    if model.starts_with("gpt-4") && set("reasoning_effort") {
        return Err(Refusal::bad(
            "Unrecognized request argument supplied: reasoning_effort",
        ));
    }
    let efforts = ["none", "minimal", "low", "medium", "high", "xhigh"];
    if set("reasoning_effort") && !efforts.contains(&text(value, "reasoning_effort")) {
        let message = format!(
            "Invalid value: {}. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', and 'xhigh'.",
            request["reasoning_effort"]
        );
        return Err(bad("reasoning_effort", message).code("invalid_value"));
    }
    if set("top_logprobs") && request.get("logprobs") != Some(&Value::Bool(true)) {
        return Err(bad(
            "top_logprobs",
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
        ));
    }
    stream(request)?;
    tools(request)?;
    has(request, "messages", "")?;
    messages::messages(items(request.get("messages")))?;
    response_format(request)
}

/// What is refused of a request to `/completions`.
pub(crate) fn completion(value: &Value) -> Verdict {
    let request = top(value, &COMPLETION)?;
    stream(request)?;
    sampling(request)
}

/// What is refused of a request to `/embeddings`.
pub(crate) fn embedding(value: &Value) -> Verdict {
    let request = top(value, &EMBEDDING)?;
    has(request, "input", "")?;
    let input = request.get("input");
    let empty =
        |value: &Value| value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty);
    if input.is_some_and(empty) || items(input).iter().any(empty) {
        return Err(bad(
            "input",
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
        ));
    }
    if !matches!(
        request.get("encoding_format").map(Value::as_str),
        None | Some(Some("float" | "base64"))
    ) {
        return Err(bad(
            "encoding_format",
            "Invalid value for 'encoding_format'. Supported values are: 'float' and 'base64'.",
        ));
    }
    range(request, "dimensions", 1.0, 3072.0, true)
}

fn sampling(request: &Object) -> Verdict {
    for (name, low, high, whole) in [
        ("temperature", 0.0, 2.0, false),
        ("top_p", 0.0, 1.0, false),
        ("frequency_penalty", -2.0, 2.0, false),
        ("presence_penalty", -2.0, 2.0, false),
        ("n", 1.0, 128.0, true),
        ("top_logprobs", 0.0, 20.0, true),
        ("max_tokens", 1.0, 1e9, true),
        ("max_completion_tokens", 1.0, 1e9, true),
        ("seed", -9.3e18, 9.3e18, true),
    ] {
        range(request, name, low, high, whole)?;
    }
    let stop = request.get("stop");
    if items(stop).len() > 4 {
        let message = format!(
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {} instead.",
            items(stop).len()
        );
        return Err(bad("stop", message).code("array_above_max_length"));
    }
    let is_text = matches!(stop, None | Some(Value::Null | Value::String(_)));
    if !is_text && (items(stop).is_empty() || !items(stop).iter().all(Value::is_string)) {
        return Err(bad(
            "stop",
            "Invalid 'stop': expected a string or an array of strings.",
        )
        .code("invalid_type"));
    }
    let pairs = request.get("metadata").and_then(Value::as_object);
    if pairs.is_some_and(|pairs| pairs.len() > 16 || !pairs.values().all(Value::is_string)) {
        return Err(bad(
            "metadata",
            "Invalid type for 'metadata': expected at most 16 pairs of strings.",
        )
        .code("invalid_type"));
    }
    Ok(())
}

fn stream(request: &Object) -> Verdict {
    let Some(options) = request
        .get("stream_options")
        .filter(|value| !value.is_null())
    else {
        return Ok(());
    };
    only(
        object(options, "stream_options")?,
        &["include_usage", "include_obfuscation"],
        "stream_options",
    )?;
    if request.get("stream") != Some(&Value::Bool(true)) {
        return Err(bad(
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ));
    }
    Ok(())
}

fn tools(request: &Object) -> Verdict {
    let Some(tools) = request.get("tools").filter(|value| !value.is_null()) else {
        for name in ["tool_choice", "parallel_tool_calls"] {
            if request.get(name).is_some_and(|value| !value.is_null()) {
                let message = format!(
                    "Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                );
                return Err(bad(name, message));
            }
        }
        return Ok(());
    };
    if items(Some(tools)).is_empty() {
        let message = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(bad("tools", message).code("empty_array"));
    }
    let mut names = Vec::new();
    for (at, tool) in items(Some(tools)).iter().enumerate() {
        let at = format!("tools[{at}]");
        let tool = object(tool, &at)?;
        has(tool, "type", &at)?;
        if tool.get("type").and_then(Value::as_str) == Some("custom") {
            continue;
        }
        only(tool, &["type", "function"], &at)?;
        has(tool, "function", &at)?;
        let at = format!("{at}.function");
        let function = object(&tool["function"], &at)?;
        only(
            function,
            &["name", "description", "parameters", "strict"],
            &at,
        )?;
        function_rules(function, &at, "function")?;
        names.push(text(&tool["function"], "name"));
    }
    tool_choice(request.get("tool_choice"), &names, "/function/name")
}

/// A function that may be called: its name, and its parameters.
pub(crate) fn function_rules(function: &Object, at: &str, what: &str) -> Verdict {
    has(function, "name", at)?;
    let name = function
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    name_rules(name, &format!("{at}.name"))?;
    let strict = function.get("strict") == Some(&Value::Bool(true));
    let Some(schema) = function.get("parameters").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let fault = schema::fault(schema, strict);
    fault.map_or(Ok(()), |fault| {
        let message = format!("Invalid schema for {what} '{name}': {fault}");
        Err(bad(&format!("{at}.parameters"), message).code("invalid_function_parameters"))
    })
}

/// A name: letters, digits, `_` and `-`, at most 64 of them.
pub(crate) fn name_rules(name: &str, at: &str) -> Verdict {
    if name.len() > 64 {
        let message = format!(
            "Invalid '{at}': string too long. Expected a string with maximum length 64, but got a string with length {} instead.",
            name.len()
        );
        return Err(bad(at, message).code("string_above_max_length"));
    }
    if !is_name(name, &['_', '-'], 64) {
        let message = format!(
            "Invalid '{at}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(bad(at, message).code("invalid_value"));
    }
    Ok(())
}

/// The choice of a tool is a word, or names one that there is.
pub(crate) fn tool_choice(choice: Option<&Value>, names: &[&str], pointer: &str) -> Verdict {
    match choice {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(mode)) if ["none", "auto", "required"].contains(&mode.as_str()) => {
            Ok(())
        }
        Some(Value::String(mode)) => {
            let message = format!(
                "Invalid value: '{mode}'. Supported values are: 'none', 'auto', and 'required'."
            );
            Err(bad("tool_choice", message).code("invalid_value"))
        }
        Some(choice) if ["allowed_tools", "custom"].contains(&text(choice, "type")) => Ok(()),
        Some(choice) => {
            let name = choice.pointer(pointer).and_then(Value::as_str);
            let Some(name) = name.filter(|_| text(choice, "type") == "function") else {
                let message = format!(
                    "Missing required parameter: 'tool_choice{}'.",
                    pointer.replace('/', ".")
                );
                return Err(bad("tool_choice", message).code("missing_required_parameter"));
            };
            if names.contains(&name) {
                return Ok(());
            }
            let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
            Err(bad("tool_choice", message))
        }
    }
}

fn response_format(request: &Object) -> Verdict {
    let Some(format) = request
        .get("response_format")
        .filter(|value| !value.is_null())
    else {
        return Ok(());
    };
    match text(format, "type") {
        "text" => only(
            object(format, "response_format")?,
            &["type"],
            "response_format",
        ),
        "json_object" => {
            let said = Value::from(items(request.get("messages"))).to_string();
            if said.to_ascii_lowercase().contains("json") {
                return only(
                    object(format, "response_format")?,
                    &["type"],
                    "response_format",
                );
            }
            Err(bad(
                "messages",
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            ))
        }
        "json_schema" => {
            only(
                object(format, "response_format")?,
                &["type", "json_schema"],
                "response_format",
            )?;
            let at = "response_format.json_schema";
            let of = format.get("json_schema").unwrap_or(&Value::Null);
            json_schema(object(of, at)?, at)
        }
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            );
            Err(bad("response_format.type", message).code("invalid_value"))
        }
    }
}

/// A schema with its name, as chat completions and responses have it.
pub(crate) fn json_schema(of: &Object, at: &str) -> Verdict {
    only(of, &["type", "name", "description", "schema", "strict"], at)?;
    has(of, "name", at)?;
    let name = of.get("name").and_then(Value::as_str).unwrap_or_default();
    name_rules(name, &format!("{at}.name"))?;
    has(of, "schema", at)?;
    let strict = of.get("strict") == Some(&Value::Bool(true));
    let fault = schema::fault(&of["schema"], strict);
    fault.map_or(Ok(()), |fault| {
        Err(bad(
            "response_format",
            format!("Invalid schema for response_format '{name}': {fault}"),
        ))
    })
}
