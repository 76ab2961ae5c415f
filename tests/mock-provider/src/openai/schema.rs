//! What OpenAI asks of JSON schemas that are to be followed strictly.
//!
//! <https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>

use serde_json::Value;

use crate::ask::{Object, items, text};

/// How deep a schema may be.
const DEEPEST: usize = 10;

/// What is wrong with a schema of a function or a response format; `None` if nothing.
pub(crate) fn fault(schema: &Value, strict: bool) -> Option<String> {
    let kind = schema.get("type").cloned().unwrap_or_default();
    if kind != "object" {
        let shown = kind.as_str().unwrap_or("None");
        return Some(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{shown}\"'."
        ));
    }
    if let Some(required) = schema.get("required")
        && !required
            .as_array()
            .is_some_and(|names| names.iter().all(Value::is_string))
    {
        return Some(format!("{required} is not of type 'array'"));
    }
    if strict {
        below(schema, &mut Vec::new(), 0)
    } else {
        None
    }
}

fn below(schema: &Value, context: &mut Vec<String>, depth: usize) -> Option<String> {
    let shown = |context: &[String]| match context {
        [one] => format!("('{one}',)"),
        all => format!("('{}')", all.join("', '")).replace("('')", "()"),
    };
    if depth > DEEPEST {
        return Some(format!(
            "In context={}, schema is nested too deeply.",
            shown(context)
        ));
    }
    let Some(object) = schema.as_object() else {
        return Some(format!(
            "In context={}, {schema} is not a schema.",
            shown(context)
        ));
    };
    for keyword in [
        "allOf",
        "not",
        "dependentRequired",
        "dependentSchemas",
        "if",
        "then",
        "else",
        "oneOf",
        "patternProperties",
    ] {
        if object.contains_key(keyword) {
            return Some(format!(
                "In context={}, '{keyword}' is not permitted.",
                shown(context)
            ));
        }
    }
    let kinds = match object.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![text(schema, "type")],
    };
    if kinds.contains(&"object")
        && let Some(fault) = object_fault(object)
    {
        return Some(format!("In context={}, {fault}", shown(context)));
    }
    if kinds.contains(&"array") && !object.contains_key("items") {
        return Some(format!(
            "In context={}, array schema missing items.",
            shown(context)
        ));
    }
    let mut into = |name: &[&str], schema: &Value| {
        context.extend(name.iter().map(|&name| name.to_owned()));
        let fault = below(schema, context, depth + 1);
        context.truncate(context.len() - name.len());
        fault
    };
    for group in ["properties", "$defs", "definitions"] {
        let members = object.get(group).and_then(Value::as_object);
        for (name, schema) in members.into_iter().flatten() {
            if let Some(fault) = into(&[group, name], schema) {
                return Some(fault);
            }
        }
    }
    if let Some(items) = object.get("items")
        && let Some(fault) = into(&["items"], items)
    {
        return Some(fault);
    }
    for (at, schema) in items(object.get("anyOf")).iter().enumerate() {
        if let Some(fault) = into(&["anyOf", &at.to_string()], schema) {
            return Some(fault);
        }
    }
    None
}

/// Every object says that it has nothing else, and requires all that it has.
fn object_fault(object: &Object) -> Option<String> {
    if object.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Some(
            "'additionalProperties' is required to be supplied and to be false.".to_owned(),
        );
    }
    let properties = object.get("properties").and_then(Value::as_object);
    let required = items(object.get("required"));
    let names: Vec<&String> = properties.into_iter().flat_map(|all| all.keys()).collect();
    let every = "'required' is required to be supplied and to be an array including every key in properties.";
    if let Some(missing) = names
        .iter()
        .find(|name| !required.iter().any(|one| one == name.as_str()))
    {
        return Some(format!("{every} Missing '{missing}'."));
    }
    let mut required = required.iter().filter_map(Value::as_str);
    required
        .find(|one| !names.iter().any(|name| name == one))
        .map(|extra| format!("{every} Extra required key '{extra}' supplied."))
}

#[cfg(test)]
mod tests {
    use super::fault;
    use serde_json::json;

    #[test]
    fn strictness() {
        let good = json!({"type": "object", "additionalProperties": false, "required": ["a", "b"],
            "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/b"}},
            "$defs": {"b": {"type": ["array", "null"], "items": {"anyOf": [{"type": "integer"}]}}}});
        assert_eq!(fault(&good, true), None);
        let with = |pointer: &str, value| {
            let mut schema = good.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(parent) = schema.pointer_mut(parent) {
                parent[name] = value;
            }
            fault(&schema, true).unwrap_or_default()
        };
        assert!(
            with("/additionalProperties", json!(true))
                .contains("In context=(), 'additionalProperties' is required")
        );
        assert!(with("/required", json!(["a"])).contains("Missing 'b'."));
        assert!(with("/required", json!(["a", "b", "c"])).contains("Extra required key 'c'"));
        assert!(
            with("/$defs/b", json!({"type": "array"}))
                .contains("context=('$defs', 'b'), array schema missing items")
        );
        assert!(
            with("/properties/a", json!({"type": "object"}))
                .contains("context=('properties', 'a')")
        );
        assert!(with("/oneOf", json!([])).contains("'oneOf' is not permitted"));
        assert!(with("/type", json!("string")).contains("got 'type: \"string\"'"));
        assert_eq!(fault(&json!({"type": "object"}), false), None);
        assert!(fault(&json!({"type": "object", "required": true}), false).is_some());
    }
}
