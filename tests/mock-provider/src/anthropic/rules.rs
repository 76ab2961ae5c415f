//! What Anthropic refuses of a request as a whole, and of the order of its turns.
//!
//! <https://platform.claude.com/docs/en/api/messages/create>, the guides on tool use and extended thinking; the messages are
//! those that its API answers with.

use serde_json::Value;

use super::{Version, blocks, tools};
use crate::ask::{Object, Refusal, Verdict, items, text, unknown};

const MESSAGES: [&str; 20] = [
    "model",
    "diagnostics",
    "speed",
    "messages",
    "max_tokens",
    "cache_control",
    "container",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];
/// What the second version of the API has no more.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];
/// What needs a beta header.
const BETA: [&str; 4] = [
    "context_management",
    "mcp_servers",
    "output_format",
    "user_profile_id",
];
const COUNT_TOKENS: [&str; 8] = [
    "model",
    "messages",
    "cache_control",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
/// The most that any model puts out.
const MOST_TOKENS: u64 = 128_000;

/// Refuses the unknown fields of an object.
pub(super) fn only(object: &Object, known: &[&str], at: &str) -> Verdict {
    unknown(object, known).map_or(Ok(()), |name| {
        let dot = if at.is_empty() { "" } else { "." };
        Err(Refusal::bad(format!(
            "{at}{dot}{name}: Extra inputs are not permitted"
        )))
    })
}

/// An object, or what else it is refused as.
pub(super) fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Object, Refusal> {
    value.as_object().ok_or_else(|| {
        Refusal::bad(format!(
            "{at}: Input should be a valid dictionary or object to extract fields from"
        ))
    })
}

/// A text that must be there.
pub(super) fn string<'v>(value: &'v Value, name: &str, at: &str) -> Result<&'v str, Refusal> {
    match value.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::bad(format!(
            "{at}.{name}: Input should be a valid string"
        ))),
        None => Err(Refusal::bad(format!("{at}.{name}: Field required"))),
    }
}

/// What is refused of a request to `/v1/messages`.
pub(super) fn messages(value: &Value, version: Version, beta: bool) -> Verdict {
    let request = object(value, "body")?;
    if version == Version::Second
        && let Some(name) = SAMPLING.iter().find(|name| request.contains_key(**name))
    {
        return Err(Refusal::bad(format!(
            "{name}: Extra inputs are not permitted"
        )));
    }
    let known = [&MESSAGES[..], if beta { &BETA } else { &[] }].concat();
    only(request, &known, "")?;
    let tokens = value.get("max_tokens");
    let tokens = tokens.ok_or_else(|| Refusal::bad("max_tokens: Field required"))?;
    let tokens = tokens
        .as_u64()
        .ok_or_else(|| Refusal::bad("max_tokens: Input should be a valid integer"))?;
    if tokens > MOST_TOKENS {
        let message = format!(
            "max_tokens: {tokens} > {MOST_TOKENS}, which is the maximum allowed number of output tokens for {}",
            text(value, "model")
        );
        return Err(Refusal::bad(message));
    }
    for (name, low, high) in [
        ("temperature", 0.0, 1.0),
        ("top_p", 0.0, 1.0),
        ("top_k", 0.0, 1e9),
    ] {
        if let Some(set) = value.get(name)
            && !set
                .as_f64()
                .is_some_and(|number| (low..=high).contains(&number))
        {
            return Err(Refusal::bad(format!("{name}: range: {low}..{high}")));
        }
    }
    if let Some(stop) = value.get("stop_sequences") {
        let blank = |one: &Value| one.as_str().is_none_or(|text| text.trim().is_empty());
        if !stop.is_array() || items(Some(stop)).iter().any(blank) {
            return Err(Refusal::bad(
                "stop_sequences: each stop sequence must contain non-whitespace",
            ));
        }
    }
    if let Some(metadata) = value.get("metadata") {
        only(object(metadata, "metadata")?, &["user_id"], "metadata")?;
    }
    if !matches!(
        value.get("service_tier").map(Value::as_str),
        None | Some(Some("auto" | "standard_only"))
    ) {
        return Err(Refusal::bad(
            "service_tier: Input should be 'auto' or 'standard_only'",
        ));
    }
    if let Some(stream) = value.get("stream")
        && !stream.is_boolean()
    {
        return Err(Refusal::bad("stream: Input should be a valid boolean"));
    }
    common(value, version)?;
    thinking(value, tokens)
}

/// What is refused of a request to `/v1/messages/count_tokens`.
pub(super) fn count_tokens(value: &Value, version: Version, beta: bool) -> Verdict {
    let request = object(value, "body")?;
    let known = [&COUNT_TOKENS[..], if beta { &BETA } else { &[] }].concat();
    only(request, &known, "")?;
    common(value, version)?;
    thinking(value, MOST_TOKENS + 1)
}

fn common(value: &Value, version: Version) -> Verdict {
    match value.get("model") {
        Some(Value::String(model)) if !model.is_empty() => {}
        Some(Value::String(_)) => {
            return Err(Refusal::bad(
                "model: String should have at least 1 character",
            ));
        }
        _ => return Err(Refusal::bad("model: Field required")),
    }
    match value.get("system") {
        None | Some(Value::String(_)) => {}
        Some(Value::Array(parts)) => {
            for (number, part) in parts.iter().enumerate() {
                if text(part, "type") != "text" {
                    return Err(Refusal::bad(format!(
                        "system.{number}.type: Input should be 'text'"
                    )));
                }
                blocks::text_block(part, &format!("system.{number}"), "system")?;
            }
        }
        Some(_) => return Err(Refusal::bad("system: Input should be a valid list")),
    }
    let turns = value.get("messages");
    let turns = turns.ok_or_else(|| Refusal::bad("messages: Field required"))?;
    let turns = turns
        .as_array()
        .ok_or_else(|| Refusal::bad("messages: Input should be a valid list"))?;
    order(turns, version)?;
    tools::rules(value)?;
    output_config(value)?;
    markers(value)
}

fn order(turns: &[Value], version: Version) -> Verdict {
    if turns.is_empty() {
        return Err(Refusal::bad("messages: at least one message is required"));
    }
    for (number, turn) in turns.iter().enumerate() {
        let at = format!("messages.{number}");
        only(object(turn, &at)?, &["role", "content"], &at)?;
        let role = text(turn, "role");
        // The second version takes system messages between turns.
        let between = version == Version::Second && number > 0;
        if role == "system" && !between {
            return Err(Refusal::bad(
                "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.",
            ));
        }
        if !["user", "assistant", "system"].contains(&role) {
            return Err(Refusal::bad(format!(
                "{at}.role: Input should be 'user' or 'assistant'"
            )));
        }
        if number == 0 && role != "user" {
            return Err(Refusal::bad(
                "messages: first message must use the \"user\" role",
            ));
        }
        let last = number + 1 == turns.len();
        blocks::content(turn, &at, last)?;
        if version == Version::Second {
            blocks::second(turn, &at)?;
        }
    }
    for (number, turn) in turns.iter().enumerate() {
        let next = turns.get(number + 1);
        calls_are_answered(turn, next, number)?;
        let before = number.checked_sub(1).and_then(|number| turns.get(number));
        results_were_asked_for(turn, before, number)?;
    }
    Ok(())
}

fn ids<'v>(turn: Option<&'v Value>, kind: &'v str, field: &'v str) -> Vec<&'v str> {
    let blocks = items(turn.and_then(|turn| turn.get("content"))).iter();
    blocks
        .filter(|block| text(block, "type") == kind)
        .map(|block| text(block, field))
        .collect()
}

/// The results of all calls of a turn are in the very next one; turns of the same role are joined only after that.
fn calls_are_answered(turn: &Value, next: Option<&Value>, number: usize) -> Verdict {
    let calls = ids(Some(turn), "tool_use", "id");
    let results = ids(next, "tool_result", "tool_use_id");
    let open: Vec<&str> = calls
        .iter()
        .copied()
        .filter(|id| !results.contains(id))
        .collect();
    let repeated = calls
        .iter()
        .enumerate()
        .find(|(at, id)| calls[..*at].contains(id));
    if let Some((_, id)) = repeated {
        return Err(Refusal::bad(format!(
            "messages.{number}: `tool_use` ids must be unique: {id}"
        )));
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        open.join(", ")
    )))
}

fn results_were_asked_for(turn: &Value, before: Option<&Value>, number: usize) -> Verdict {
    let calls = ids(before, "tool_use", "id");
    let mut seen: Vec<&str> = Vec::new();
    let mut other = false;
    for (at, block) in items(turn.get("content")).iter().enumerate() {
        if text(block, "type") != "tool_result" {
            other = true;
            continue;
        }
        let id = text(block, "tool_use_id");
        if !calls.contains(&id) {
            return Err(Refusal::bad(format!(
                "messages.{number}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        if seen.contains(&id) {
            return Err(Refusal::bad(format!(
                "messages.{number}.content.{at}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
            )));
        }
        // The guide on tool use: results come first, text after them.
        if other {
            return Err(Refusal::bad(format!(
                "messages.{number}: `tool_result` blocks must come first in the content of a message"
            )));
        }
        seen.push(id);
    }
    Ok(())
}

fn thinking(value: &Value, max_tokens: u64) -> Verdict {
    let Some(thinking) = value.get("thinking") else {
        return Ok(());
    };
    let fields = object(thinking, "thinking")?;
    let kind = text(thinking, "type");
    match kind {
        "disabled" => return only(fields, &["type"], "thinking.disabled"),
        "adaptive" => only(fields, &["type", "display"], "thinking.adaptive")?,
        "between_tools" => only(fields, &["type"], "thinking.between_tools")?,
        "enabled" => {
            only(
                fields,
                &["type", "budget_tokens", "display"],
                "thinking.enabled",
            )?;
            let budget = thinking.get("budget_tokens");
            let budget = budget
                .ok_or_else(|| Refusal::bad("thinking.enabled.budget_tokens: Field required"))?;
            let Some(budget) = budget.as_u64().filter(|budget| *budget >= 1024) else {
                return Err(Refusal::bad(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                ));
            };
            if budget >= max_tokens {
                return Err(Refusal::bad(
                    "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
                ));
            }
        }
        _ => {
            let message = format!(
                "thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'"
            );
            return Err(Refusal::bad(message));
        }
    }
    if value
        .get("temperature")
        .and_then(Value::as_f64)
        .is_some_and(|temperature| temperature < 1.0)
    {
        return Err(Refusal::bad(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking",
        ));
    }
    if value
        .get("top_p")
        .and_then(Value::as_f64)
        .is_some_and(|top_p| top_p < 0.95)
    {
        return Err(Refusal::bad(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        ));
    }
    if value.get("top_k").is_some() {
        return Err(Refusal::bad(
            "`top_k` must be unset when thinking is enabled.",
        ));
    }
    if ["any", "tool"].contains(&text(&value["tool_choice"], "type")) {
        return Err(Refusal::bad(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    let turns = items(value.get("messages"));
    let Some((number, last)) = turns
        .iter()
        .enumerate()
        .rfind(|(_, turn)| text(turn, "role") == "assistant")
    else {
        return Ok(());
    };
    let first = items(last.get("content"))
        .first()
        .map_or("text", |block| text(block, "type"));
    let calls = !ids(Some(last), "tool_use", "id").is_empty();
    let is_thought = ["thinking", "redacted_thinking"].contains(&first);
    if kind == "enabled" && (calls || number + 1 == turns.len()) && !is_thought {
        return Err(Refusal::bad(format!(
            "messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
        )));
    }
    Ok(())
}

fn output_config(value: &Value) -> Verdict {
    let Some(config) = value.get("output_config") else {
        return Ok(());
    };
    only(
        object(config, "output_config")?,
        &["effort", "format", "task_budget"],
        "output_config",
    )?;
    if !matches!(
        config.get("effort").map(Value::as_str),
        None | Some(Some("low" | "medium" | "high" | "xhigh" | "max"))
    ) {
        return Err(Refusal::bad(
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        ));
    }
    let Some(format) = config.get("format").filter(|format| !format.is_null()) else {
        return Ok(());
    };
    let at = "output_config.format";
    only(object(format, at)?, &["type", "schema"], at)?;
    if text(format, "type") != "json_schema" {
        return Err(Refusal::bad(format!(
            "{at}.type: Input should be 'json_schema'"
        )));
    }
    let schema = format.get("schema").unwrap_or(&Value::Null);
    object(schema, &format!("{at}.schema"))?;
    tools::strict_schema(schema, &format!("{at}.schema"), 0)
}

/// At most four cache markers in all, and thoughts have none.
fn markers(value: &Value) -> Verdict {
    const MOST: usize = 4;
    let blocks = items(value.get("messages"))
        .iter()
        .flat_map(|turn| items(turn.get("content")));
    let everything = blocks
        .chain(items(value.get("system")))
        .chain(items(value.get("tools")));
    let marked = everything.filter(|block| {
        block
            .get("cache_control")
            .is_some_and(|marker| !marker.is_null())
    });
    let count = marked.count();
    if count > MOST {
        return Err(Refusal::bad(format!(
            "A maximum of {MOST} blocks with cache_control may be provided. Found {count}."
        )));
    }
    Ok(())
}

/// A cache marker.
pub(super) fn marker(block: &Value, at: &str) -> Verdict {
    let Some(marker) = block
        .get("cache_control")
        .filter(|marker| !marker.is_null())
    else {
        return Ok(());
    };
    let at = format!("{at}.cache_control");
    let fields = object(marker, &at)?;
    if text(marker, "type") != "ephemeral" {
        return Err(Refusal::bad(format!(
            "{at}.type: Input should be 'ephemeral'"
        )));
    }
    only(fields, &["type", "ttl"], &format!("{at}.ephemeral"))?;
    if !matches!(
        marker.get("ttl").map(Value::as_str),
        None | Some(Some("5m" | "1h"))
    ) {
        return Err(Refusal::bad(format!(
            "{at}.ephemeral.ttl: Input should be '5m' or '1h'"
        )));
    }
    Ok(())
}

/// Whether a field is a boolean, where it is there.
pub(super) fn boolean(value: &Value, name: &str, at: &str) -> Verdict {
    match value.get(name) {
        None | Some(Value::Bool(_) | Value::Null) => Ok(()),
        Some(_) => Err(Refusal::bad(format!(
            "{at}.{name}: Input should be a valid boolean"
        ))),
    }
}
