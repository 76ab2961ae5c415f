//! What Bedrock refuses of a conversation.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html> and the pages of its types; the
//! messages are those that its API answers with.

use serde_json::Value;

use crate::ask::{Object, Refusal, Verdict, base64, image_type, is_name, items, text, unknown};
use crate::reply::SIGNATURE;

const REQUEST: [&str; 12] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "promptVariables",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];
const BLOCKS: [&str; 11] = [
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
];
const RESULT: [&str; 6] = ["text", "json", "image", "document", "video", "searchResult"];
const DOCUMENTS: [&str; 9] = [
    "pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md",
];

fn only(object: &Object, known: &[&str], at: &str) -> Verdict {
    unknown(object, known).map_or(Ok(()), |name| {
        Err(Refusal::bad(format!(
            "#{}{at}: extraneous key [{name}] is not permitted",
            if at.is_empty() { "" } else { "/" }
        )))
    })
}

fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Object, Refusal> {
    value.as_object().ok_or_else(|| malformed(at))
}

fn malformed(at: &str) -> Refusal {
    Refusal::bad(format!(
        "The format of the value at {at} is invalid. Provide a json object for the field and try again."
    ))
}

fn constraint(at: &str, what: &str) -> Refusal {
    Refusal::bad(format!(
        "1 validation error detected: Value at '{at}' failed to satisfy constraint: {what}"
    ))
}

/// The schema of the answer, which stands in a text.
pub(super) fn schema(value: &Value) -> Option<Value> {
    let schema = value.pointer("/outputConfig/textFormat/structure/jsonSchema/schema")?;
    serde_json::from_str(schema.as_str()?).ok()
}

/// What is refused of a request to converse.
pub(super) fn rules(value: &Value) -> Verdict {
    only(object(value, "the body")?, &REQUEST, "")?;
    inference(value)?;
    for (number, block) in items(value.get("system")).iter().enumerate() {
        let at = format!("system.{number}");
        union(block, &["text", "guardContent", "cachePoint"], &at)?;
        blank(block, &at)?;
    }
    tools(value)?;
    if let Some(format) = value.pointer("/outputConfig/textFormat") {
        only(
            object(format, "outputConfig.textFormat")?,
            &["type", "structure"],
            "outputConfig/textFormat",
        )?;
        if text(format, "type") != "json_schema" || schema(value).is_none() {
            return Err(constraint(
                "outputConfig.textFormat",
                "Member must be a json_schema whose schema is a JSON text",
            ));
        }
    }
    let turns = items(value.get("messages"));
    if turns.is_empty() {
        return Err(constraint(
            "messages",
            "Member must have length greater than or equal to 1",
        ));
    }
    for (number, turn) in turns.iter().enumerate() {
        turn_rules(turn, number)?;
    }
    order(turns)?;
    let uses_tools = |turn: &Value| {
        let blocks = items(turn.get("content")).iter();
        blocks
            .into_iter()
            .any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some())
    };
    if value.get("toolConfig").is_none() && turns.iter().any(uses_tools) {
        return Err(Refusal::bad(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    Ok(())
}

fn inference(value: &Value) -> Verdict {
    let Some(config) = value.get("inferenceConfig") else {
        return Ok(());
    };
    let at = "inferenceConfig";
    only(
        object(config, at)?,
        &["maxTokens", "temperature", "topP", "stopSequences"],
        at,
    )?;
    for name in ["temperature", "topP"] {
        let Some(number) = config.get(name) else {
            continue;
        };
        if number
            .as_f64()
            .is_none_or(|number| !(0.0..=1.0).contains(&number))
        {
            return Err(constraint(
                &format!("{at}.{name}"),
                "Member must have value less than or equal to 1",
            ));
        }
    }
    if config
        .get("maxTokens")
        .is_some_and(|tokens| tokens.as_u64().is_none_or(|tokens| tokens == 0))
    {
        return Err(constraint(
            &format!("{at}.maxTokens"),
            "Member must have value greater than or equal to 1",
        ));
    }
    if items(config.get("stopSequences"))
        .iter()
        .any(|one| one.as_str().is_none_or(str::is_empty))
    {
        return Err(constraint(
            &format!("{at}.stopSequences"),
            "Member must have length greater than or equal to 1",
        ));
    }
    Ok(())
}

fn tools(value: &Value) -> Verdict {
    let Some(config) = value.get("toolConfig") else {
        return Ok(());
    };
    only(
        object(config, "toolConfig")?,
        &["tools", "toolChoice"],
        "toolConfig",
    )?;
    let tools = items(config.get("tools"));
    if tools.is_empty() {
        return Err(constraint(
            "toolConfig.tools",
            "Member must have length greater than or equal to 1",
        ));
    }
    let mut names = Vec::new();
    for (number, tool) in tools.iter().enumerate() {
        let at = format!("toolConfig.tools.{number}");
        if union(tool, &["toolSpec", "cachePoint", "systemTool"], &at)? != "toolSpec" {
            continue;
        }
        let at = format!("{at}.toolSpec");
        let spec = &tool["toolSpec"];
        only(
            object(spec, &at)?,
            &["name", "description", "inputSchema", "strict"],
            &at,
        )?;
        if !is_name(text(spec, "name"), &['_', '-'], 64) {
            return Err(constraint(
                &format!("{at}.name"),
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
            ));
        }
        names.push(text(spec, "name"));
        if spec
            .get("description")
            .is_some_and(|description| description.as_str().is_none_or(str::is_empty))
        {
            return Err(constraint(
                &format!("{at}.description"),
                "Member must have length greater than or equal to 1",
            ));
        }
        let at = format!("{at}.inputSchema");
        let schema = spec.get("inputSchema").unwrap_or(&Value::Null);
        union(schema, &["json"], &at)?;
        object(&schema["json"], &format!("{at}.json"))?;
        if text(&schema["json"], "type") != "object" {
            return Err(Refusal::bad(format!(
                "The value at {at}.json.type must be one of the following: object."
            )));
        }
    }
    let Some(choice) = config.get("toolChoice") else {
        return Ok(());
    };
    let kind = union(choice, &["auto", "any", "tool"], "toolConfig.toolChoice")?;
    let inner = &choice[kind];
    let known: &[&str] = if kind == "tool" { &["name"] } else { &[] };
    only(
        object(inner, "toolConfig.toolChoice")?,
        known,
        "toolConfig/toolChoice",
    )?;
    if kind == "tool" && !names.contains(&text(inner, "name")) {
        return Err(Refusal::bad(format!(
            "The tool {} in toolChoice is not among the tools.",
            text(inner, "name")
        )));
    }
    Ok(())
}

/// The one member of a union.
fn union<'v>(value: &'v Value, known: &[&str], at: &str) -> Result<&'v str, Refusal> {
    let fields = object(value, at)?;
    only(fields, known, &at.replace('.', "/"))?;
    match fields.keys().collect::<Vec<_>>()[..] {
        [one] => Ok(one),
        _ => Err(Refusal::bad(format!(
            "The value at {at} is empty or has several members. Set exactly one of {}.",
            known.join(", ")
        ))),
    }
}

fn blank(block: &Value, at: &str) -> Verdict {
    match block.get("text") {
        Some(Value::String(text)) if text.trim().is_empty() => Err(Refusal::bad(format!(
            "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
        ))),
        None | Some(Value::String(_)) => Ok(()),
        Some(_) => Err(malformed(&format!("{at}.text"))),
    }
}

fn turn_rules(turn: &Value, number: usize) -> Verdict {
    let at = format!("messages.{number}");
    only(
        object(turn, &at)?,
        &["role", "content"],
        &at.replace('.', "/"),
    )?;
    let role = text(turn, "role");
    if !["user", "assistant"].contains(&role) {
        return Err(constraint(
            &format!("{at}.role"),
            "Member must satisfy enum value set: [user, assistant]",
        ));
    }
    let blocks = items(turn.get("content"));
    if blocks.is_empty() {
        return Err(Refusal::bad(format!(
            "The content field in the Message object at {at} is empty. Add a ContentBlock object to the content field and try again."
        )));
    }
    for (number, one) in blocks.iter().enumerate() {
        block(one, &format!("{at}.content.{number}"), role)?;
    }
    let has = |kind: &str| blocks.iter().any(|block| block.get(kind).is_some());
    if has("document") && !has("text") {
        return Err(Refusal::bad(format!(
            "The content field in the Message object at {at} must have a text block when it has a document."
        )));
    }
    Ok(())
}

fn block(block: &Value, at: &str, role: &str) -> Verdict {
    let kind = union(block, &BLOCKS, at)?;
    let inner = &block[kind];
    let users = [
        "image",
        "document",
        "video",
        "audio",
        "toolResult",
        "guardContent",
    ];
    let assistants = ["toolUse", "reasoningContent", "citationsContent"];
    if (role == "assistant" && users.contains(&kind))
        || (role == "user" && assistants.contains(&kind))
    {
        return Err(Refusal::bad(format!(
            "The {kind} block at {at} is not allowed in a message of the role {role}."
        )));
    }
    match kind {
        "text" => blank(block, at),
        "image" | "document" => source(inner, kind, &format!("{at}.{kind}")),
        "cachePoint" => {
            only(object(inner, at)?, &["type", "ttl"], at)?;
            if text(inner, "type") == "default" {
                return Ok(());
            }
            Err(constraint(
                &format!("{at}.cachePoint.type"),
                "Member must satisfy enum value set: [default]",
            ))
        }
        "toolUse" => {
            let at = format!("{at}.toolUse");
            only(
                object(inner, &at)?,
                &["toolUseId", "name", "input", "type"],
                &at,
            )?;
            id(inner, &at)?;
            if !is_name(text(inner, "name"), &['_', '-'], 64) {
                return Err(constraint(
                    &format!("{at}.name"),
                    "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
                ));
            }
            let input = inner.get("input").unwrap_or(&Value::Null);
            object(input, &format!("{at}.input")).map(drop)
        }
        "toolResult" => {
            let at = format!("{at}.toolResult");
            only(
                object(inner, &at)?,
                &["toolUseId", "content", "status", "type"],
                &at,
            )?;
            id(inner, &at)?;
            if !matches!(
                inner.get("status").map(Value::as_str),
                None | Some(Some("success" | "error"))
            ) {
                return Err(constraint(
                    &format!("{at}.status"),
                    "Member must satisfy enum value set: [success, error]",
                ));
            }
            let Some(Value::Array(parts)) = inner.get("content") else {
                return Err(constraint(
                    &format!("{at}.content"),
                    "Member must not be null",
                ));
            };
            for (number, part) in parts.iter().enumerate() {
                let at = format!("{at}.content.{number}");
                let kind = union(part, &RESULT, &at)?;
                match kind {
                    "text" => blank(part, &at)?,
                    "json" => drop(object(&part["json"], &format!("{at}.json"))?),
                    "image" | "document" => source(&part[kind], kind, &format!("{at}.{kind}"))?,
                    _ => {}
                }
            }
            Ok(())
        }
        "reasoningContent" => {
            let at = format!("{at}.reasoningContent");
            if union(inner, &["reasoningText", "redactedContent"], &at)? == "redactedContent" {
                return Ok(());
            }
            let thought = &inner["reasoningText"];
            only(object(thought, &at)?, &["text", "signature"], &at)?;
            if text(thought, "signature") == SIGNATURE {
                return Ok(());
            }
            Err(Refusal::bad(format!(
                "The model returned the following errors: {at}: Invalid `signature` in `thinking` block"
            )))
        }
        _ => Ok(()),
    }
}

fn id(value: &Value, at: &str) -> Verdict {
    if is_name(text(value, "toolUseId"), &['_', '-', '.', ':'], 64) {
        return Ok(());
    }
    Err(constraint(
        &format!("{at}.toolUseId"),
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+",
    ))
}

fn source(block: &Value, kind: &str, at: &str) -> Verdict {
    let known: &[&str] = if kind == "image" {
        &["format", "source"]
    } else {
        &["format", "name", "source", "context", "citations"]
    };
    only(object(block, at)?, known, &at.replace('.', "/"))?;
    let format = text(block, "format");
    let images = ["png", "jpeg", "gif", "webp"];
    let formats = if kind == "image" {
        &images[..]
    } else {
        &DOCUMENTS
    };
    if !formats.contains(&format) {
        return Err(constraint(
            &format!("{at}.format"),
            &format!(
                "Member must satisfy enum value set: [{}]",
                formats.join(", ")
            ),
        ));
    }
    if kind == "document" {
        let name = text(block, "name");
        if !is_name(name, &[' ', '-', '(', ')', '[', ']'], 200) || name.contains("  ") {
            return Err(Refusal::bad(
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.",
            ));
        }
    }
    let source = block.get("source").unwrap_or(&Value::Null);
    let at = format!("{at}.source");
    let how = union(source, &["bytes", "s3Location", "text", "content"], &at)?;
    if how != "bytes" {
        return Ok(());
    }
    let Some(bytes) = base64(text(source, "bytes")) else {
        return Err(Refusal::bad("Invalid base64 in a blob.").kind("SerializationException"));
    };
    let real = image_type(&bytes).and_then(|media| media.strip_prefix("image/"));
    if kind == "image" && real != Some(format) {
        return Err(Refusal::bad(
            "The model returned the following errors: Could not process image",
        ));
    }
    Ok(())
}

/// The ids of the calls or of the results in a turn.
fn ids<'v>(turn: Option<&'v Value>, kind: &'v str) -> Vec<&'v str> {
    let blocks = items(turn.and_then(|turn| turn.get("content"))).iter();
    blocks
        .filter_map(|block| block.get(kind))
        .map(|inner| text(inner, "toolUseId"))
        .collect()
}

fn order(turns: &[Value]) -> Verdict {
    if turns
        .first()
        .is_some_and(|first| text(first, "role") != "user")
    {
        return Err(Refusal::bad(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ));
    }
    for (number, turn) in turns.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|number| turns.get(number));
        if before.is_some_and(|before| text(before, "role") == text(turn, "role")) {
            return Err(Refusal::bad(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
            ));
        }
        let (calls, results) = (ids(before, "toolUse"), ids(Some(turn), "toolResult"));
        let open: Vec<&str> = calls
            .iter()
            .copied()
            .filter(|id| !results.contains(id))
            .collect();
        if !open.is_empty() {
            return Err(Refusal::bad(format!(
                "Expected toolResult blocks at messages.{number}.content for the following Ids: {}",
                open.join(", ")
            )));
        }
        if results.len() > calls.len() {
            return Err(Refusal::bad(format!(
                "The number of toolResult blocks at messages.{number}.content exceeds the number of toolUse blocks of previous turn."
            )));
        }
    }
    let open = ids(turns.last(), "toolUse");
    if !open.is_empty() {
        return Err(Refusal::bad(format!(
            "Expected toolResult blocks at messages.{}.content for the following Ids: {}",
            turns.len(),
            open.join(", ")
        )));
    }
    Ok(())
}
