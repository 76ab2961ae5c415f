//! What Anthropic refuses of tools, of the choice among them, and of schemas.
//!
//! <https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools>,
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>.

use serde_json::Value;

use super::rules::{boolean, marker, object, only, string};
use crate::ask::{Refusal, Verdict, flag, is_name, items, text};

const CUSTOM: [&str; 10] = [
    "type",
    "name",
    "description",
    "input_schema",
    "cache_control",
    "strict",
    "defer_loading",
    "allowed_callers",
    "input_examples",
    "eager_input_streaming",
];
/// What schemas that are followed strictly cannot have, by type.
const UNSUPPORTED: [(&str, &[&str]); 4] = [
    ("string", &["minLength", "maxLength"]),
    (
        "integer",
        &[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ],
    ),
    (
        "number",
        &[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ],
    ),
    ("array", &["maxItems", "uniqueItems"]),
];

/// What is refused of the tools of a request.
pub(super) fn rules(value: &Value) -> Verdict {
    let mut names: Vec<&str> = Vec::new();
    match value.get("tools") {
        None | Some(Value::Array(_)) => {}
        Some(_) => return Err(Refusal::bad("tools: Input should be a valid list")),
    }
    for (number, tool) in items(value.get("tools")).iter().enumerate() {
        let at = format!("tools.{number}");
        object(tool, &at)?;
        if matches!(
            tool.get("type").map(Value::as_str),
            None | Some(None | Some("custom"))
        ) {
            custom(tool, &format!("{at}.custom"))?;
        }
        let name = text(tool, "name");
        if names.contains(&name) {
            return Err(Refusal::bad("tools: Tool names must be unique."));
        }
        names.push(name);
    }
    let Some(choice) = value.get("tool_choice") else {
        return Ok(());
    };
    if names.is_empty() {
        return Err(Refusal::bad(
            "tool_choice: tool_choice may only be specified while providing tools.",
        ));
    }
    let fields = object(choice, "tool_choice")?;
    let kind = text(choice, "type");
    let at = format!("tool_choice.{kind}");
    match kind {
        "auto" | "any" => only(fields, &["type", "disable_parallel_tool_use"], &at)?,
        "none" => only(fields, &["type"], &at)?,
        "tool" => {
            only(fields, &["type", "name", "disable_parallel_tool_use"], &at)?;
            let name = string(choice, "name", &at)?;
            if !names.contains(&name) {
                return Err(Refusal::bad(format!(
                    "Tool '{name}' not found in provided tools"
                )));
            }
        }
        _ => {
            return Err(Refusal::bad(format!(
                "tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
            )));
        }
    }
    boolean(choice, "disable_parallel_tool_use", &at)
}

fn custom(tool: &Value, at: &str) -> Verdict {
    only(object(tool, at)?, &CUSTOM, at)?;
    if !is_name(string(tool, "name", at)?, &['_', '-'], 128) {
        return Err(Refusal::bad(format!(
            "{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        )));
    }
    if tool
        .get("description")
        .is_some_and(|description| !description.is_string())
    {
        return Err(Refusal::bad(format!(
            "{at}.description: Input should be a valid string"
        )));
    }
    marker(tool, at)?;
    boolean(tool, "strict", at)?;
    let at = format!("{at}.input_schema");
    let Some(schema) = tool.get("input_schema") else {
        return Err(Refusal::bad(format!("{at}: Field required")));
    };
    object(schema, &at)?;
    match schema.get("type") {
        Some(kind) if kind == "object" => {}
        Some(_) => return Err(Refusal::bad(format!("{at}.type: Input should be 'object'"))),
        None => return Err(Refusal::bad(format!("{at}.type: Field required"))),
    }
    if ["oneOf", "allOf", "anyOf"]
        .iter()
        .any(|name| schema.get(name).is_some())
    {
        return Err(Refusal::bad(format!(
            "{at}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )));
    }
    if !is_schema(schema, schema, 0) {
        return Err(Refusal::bad(format!(
            "{at}: JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12). Learn more about tool use at https://docs.claude.com/en/docs/tool-use."
        )));
    }
    if flag(tool, "strict") {
        return strict_schema(schema, &at, 0);
    }
    Ok(())
}

/// Whether something is a JSON schema, as far as the keywords go that clients use, and what it refers to is there.
fn is_schema(schema: &Value, root: &Value, depth: usize) -> bool {
    const DEEPEST: usize = 64;
    if schema.is_boolean() {
        return true;
    }
    let Some(fields) = schema.as_object().filter(|_| depth < DEEPEST) else {
        return false;
    };
    fields.iter().all(|(name, value)| match name.as_str() {
        "type" => {
            let known = [
                "object", "array", "string", "number", "integer", "boolean", "null",
            ];
            let known = |kind: &Value| kind.as_str().is_some_and(|kind| known.contains(&kind));
            known(value) || (!items(Some(value)).is_empty() && items(Some(value)).iter().all(known))
        }
        "properties" | "$defs" | "definitions" | "patternProperties" => value
            .as_object()
            .is_some_and(|all| all.values().all(|one| is_schema(one, root, depth + 1))),
        "items" | "additionalProperties" | "not" => is_schema(value, root, depth + 1),
        "anyOf" | "oneOf" | "allOf" => {
            !items(Some(value)).is_empty()
                && items(Some(value))
                    .iter()
                    .all(|one| is_schema(one, root, depth + 1))
        }
        "required" => value
            .as_array()
            .is_some_and(|all| all.iter().all(Value::is_string)),
        "enum" => value.is_array(),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            value.is_number()
        }
        "description" | "title" | "pattern" | "format" | "$schema" => value.is_string(),
        "$ref" => {
            let path = value.as_str().and_then(|path| path.strip_prefix('#'));
            path.is_some_and(|path| root.pointer(path).is_some())
        }
        _ => true,
    })
}

/// What a schema that is followed strictly may have.
pub(super) fn strict_schema(schema: &Value, at: &str, depth: usize) -> Verdict {
    const DEEPEST: usize = 64;
    let Some(fields) = schema.as_object().filter(|_| depth < DEEPEST) else {
        return Ok(());
    };
    let kind = text(schema, "type");
    if kind == "object" && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(Refusal::bad(format!(
            "{at}: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )));
    }
    for (name, unsupported) in UNSUPPORTED {
        let found: Vec<&str> = unsupported
            .iter()
            .copied()
            .filter(|field| fields.contains_key(*field))
            .collect();
        if kind == name && !found.is_empty() {
            return Err(Refusal::bad(format!(
                "{at}: For '{name}' type, properties {} are not supported",
                found.join(", ")
            )));
        }
    }
    for group in ["properties", "$defs", "definitions"] {
        let members = schema.get(group).and_then(Value::as_object);
        for (name, one) in members.into_iter().flatten() {
            strict_schema(one, &format!("{at}.{group}.{name}"), depth + 1)?;
        }
    }
    if let Some(inner) = schema.get("items") {
        strict_schema(inner, &format!("{at}.items"), depth + 1)?;
    }
    for (number, one) in items(schema.get("anyOf")).iter().enumerate() {
        strict_schema(one, &format!("{at}.anyOf.{number}"), depth + 1)?;
    }
    Ok(())
}
