//! Google's `Schema`, a part of OpenAPI's, and where it takes JSON Schema instead.
//!
//! <https://ai.google.dev/api/caching#Schema>, <https://ai.google.dev/gemini-api/docs/structured-output>

use serde_json::Value;

use super::rules::{object, only};
use crate::ask::{Refusal, Verdict, is_name, items, text, texts};

const KNOWN: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];
const TYPES: [&str; 7] = [
    "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL",
];
const DEEPEST: usize = 32;

/// Whether a function may have this name.
pub(super) fn is_function_name(name: &str) -> bool {
    let first = name.chars().next();
    is_name(name, &['_', '.', ':', '-'], 64)
        && first.is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
}

/// What is refused of a `Schema`.
pub(super) fn rules(schema: &Value, at: &str, depth: usize) -> Verdict {
    let fields = object(schema, at)?;
    only(fields, &KNOWN, at)?;
    if depth > DEEPEST {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}: schema is nested too deeply"
        )));
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.to_ascii_uppercase(),
        Some(Value::Array(_)) => {
            return Err(Refusal::bad(format!(
                "Invalid JSON payload received. Unknown name \"type\" at '{at}': Proto field is not repeating, cannot start list."
            )));
        }
        Some(other) => {
            return Err(Refusal::bad(format!(
                "Invalid value at '{at}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), {other}"
            )));
        }
        None if fields.contains_key("anyOf") => "ANY".to_owned(),
        None => {
            return Err(Refusal::bad(format!(
                "* GenerateContentRequest.{at}.type: must be specified"
            )));
        }
    };
    if kind != "ANY" && !TYPES.contains(&kind.as_str()) {
        return Err(Refusal::bad(format!(
            "Invalid value at '{at}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), \"{}\"",
            text(schema, "type")
        )));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if kind == "OBJECT" && properties.is_none_or(serde_json::Map::is_empty) {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.properties: should be non-empty for OBJECT type"
        )));
    }
    for (number, name) in texts(schema.get("required")).enumerate() {
        if properties.is_none_or(|properties| !properties.contains_key(name)) {
            return Err(Refusal::bad(format!(
                "* GenerateContentRequest.{at}.required[{number}]: property is not defined"
            )));
        }
    }
    if fields.contains_key("enum") && kind != "STRING" {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.enum: only allowed for STRING type"
        )));
    }
    if items(schema.get("enum")).iter().any(|one| !one.is_string()) {
        return Err(Refusal::bad(format!(
            "Invalid value at '{at}.enum' (TYPE_STRING)"
        )));
    }
    if kind == "ARRAY" && !fields.contains_key("items") {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.items: missing field."
        )));
    }
    let formats: &[&str] = match kind.as_str() {
        "STRING" => &["enum", "date-time"],
        "NUMBER" => &["float", "double"],
        "INTEGER" => &["int32", "int64"],
        _ => &[],
    };
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !formats.contains(&format)
    {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.format: only '{}' are supported for {kind} type",
            formats.join("' and '")
        )));
    }
    for (number, (_, one)) in properties.into_iter().flatten().enumerate() {
        rules(one, &format!("{at}.properties[{number}].value"), depth + 1)?;
    }
    if let Some(inner) = schema.get("items") {
        rules(inner, &format!("{at}.items"), depth + 1)?;
    }
    for (number, one) in items(schema.get("anyOf")).iter().enumerate() {
        rules(one, &format!("{at}.any_of[{number}]"), depth + 1)?;
    }
    Ok(())
}

/// What is refused of a JSON schema: what it refers to must be there.
pub(super) fn json_schema(schema: &Value, at: &str) -> Verdict {
    object(schema, at)?;
    let mut left = vec![schema];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let path = reference.strip_prefix('#');
                    if path.is_none_or(|path| schema.pointer(path).is_none()) {
                        return Err(Refusal::bad(format!(
                            "* GenerateContentRequest.{at}: reference to undefined schema at {reference}"
                        )));
                    }
                }
                left.extend(fields.values());
            }
            Value::Array(all) => left.extend(all),
            _ => {}
        }
    }
    Ok(())
}
