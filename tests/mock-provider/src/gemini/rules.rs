//! What Google refuses of requests to generate and to embed.
//!
//! <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/api/caching#Content>,
//! <https://ai.google.dev/gemini-api/docs/function-calling>; the messages are those that its API answers with.

use serde_json::Value;

use super::contents::{order, parts, signatures};
use super::{functions, schema};
use crate::ask::{Object, Refusal, Verdict, items, text, texts, unknown};

const REQUEST: [&str; 9] = [
    "model",
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "systemInstruction",
    "generationConfig",
    "cachedContent",
    "store",
];
const CONFIG: [&str; 22] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "responseFormat",
    "translationConfig",
];
const TOOL: [&str; 7] = [
    "functionDeclarations",
    "googleSearchRetrieval",
    "codeExecution",
    "googleSearch",
    "computerUse",
    "urlContext",
    "googleMaps",
];

/// `likeThis` as Google's messages write it.
pub(super) fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut name, c| {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
        name
    })
}

/// Refuses the unknown fields of an object at a place.
pub(super) fn only(object: &Object, known: &[&str], at: &str) -> Verdict {
    unknown(object, known).map_or(Ok(()), |name| {
        let place = if at.is_empty() {
            String::new()
        } else {
            format!(" at '{at}'")
        };
        Err(Refusal::bad(format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
        ))
        .param(at))
    })
}

/// An object, or what else it is refused as.
pub(super) fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Object, Refusal> {
    value
        .as_object()
        .ok_or_else(|| Refusal::bad(format!("Invalid value at '{at}' (type.googleapis.com/google.ai.generativelanguage.v1beta), {value}")).param(at))
}

/// A value of the wrong type.
pub(super) fn invalid(at: &str, kind: &str, value: &Value) -> Refusal {
    Refusal::bad(format!("Invalid value at '{at}' ({kind}), {value}")).param(at)
}

/// What is refused of a request to generate.
pub(super) fn generate(value: &Value, model: &str) -> Verdict {
    only(object(value, "")?, &REQUEST, "")?;
    if let Some(system) = value.get("systemInstruction") {
        let at = "system_instruction";
        only(object(system, at)?, &["role", "parts"], at)?;
        parts(system, at, "user")?;
        if items(system.get("parts"))
            .iter()
            .any(|part| part.get("text").is_none())
        {
            return Err(Refusal::bad(
                "* GenerateContentRequest.system_instruction.parts: only text is supported in system instructions.",
            ));
        }
    }
    tools(value)?;
    tool_config(value)?;
    if let Some(config) = value.get("generationConfig") {
        generation_config(config)?;
    }
    for (number, setting) in items(value.get("safetySettings")).iter().enumerate() {
        let at = format!("safety_settings[{number}]");
        only(
            object(setting, &at)?,
            &["category", "threshold", "method"],
            &at,
        )?;
    }
    let turns = items(value.get("contents"));
    if turns.is_empty() {
        return Err(Refusal::bad(
            "* GenerateContentRequest.contents: contents is not specified",
        ));
    }
    for (number, turn) in turns.iter().enumerate() {
        let at = format!("contents[{number}]");
        only(object(turn, &at)?, &["role", "parts"], &at)?;
        let role = turn.get("role").and_then(Value::as_str).unwrap_or("user");
        if !["user", "model", "function"].contains(&role) {
            return Err(Refusal::bad("Please use a valid role: user, model."));
        }
        parts(turn, &at, role)?;
    }
    order(turns)?;
    signatures(turns, model)
}

fn tools(value: &Value) -> Verdict {
    let mut names: Vec<&str> = Vec::new();
    for (number, tool) in items(value.get("tools")).iter().enumerate() {
        let at = format!("tools[{number}]");
        only(object(tool, &at)?, &TOOL, &at)?;
        for (number, function) in items(tool.get("functionDeclarations")).iter().enumerate() {
            let at = format!("{at}.function_declarations[{number}]");
            let known = [
                "name",
                "description",
                "behavior",
                "parameters",
                "parametersJsonSchema",
                "response",
                "responseJsonSchema",
            ];
            let fields = object(function, &at)?;
            only(fields, &known, &at)?;
            let name = text(function, "name");
            if !schema::is_function_name(name) {
                return Err(Refusal::bad(format!(
                    "* GenerateContentRequest.{at}.name: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
                )));
            }
            if names.contains(&name) {
                return Err(Refusal::bad(format!(
                    "Duplicate function declaration found: {name}"
                )));
            }
            names.push(name);
            if fields.contains_key("parameters") && fields.contains_key("parametersJsonSchema") {
                return Err(Refusal::bad(format!(
                    "* GenerateContentRequest.{at}: only one of parameters and parameters_json_schema may be set."
                )));
            }
            if let Some(parameters) = function.get("parameters") {
                schema::rules(parameters, &format!("{at}.parameters"), 0)?;
            }
            if let Some(parameters) = function.get("parametersJsonSchema") {
                schema::json_schema(parameters, &format!("{at}.parameters_json_schema"))?;
            }
        }
    }
    Ok(())
}

fn tool_config(value: &Value) -> Verdict {
    let Some(config) = value.get("toolConfig") else {
        return Ok(());
    };
    only(
        object(config, "tool_config")?,
        &[
            "functionCallingConfig",
            "retrievalConfig",
            "includeServerSideToolInvocations",
        ],
        "tool_config",
    )?;
    let Some(calling) = config.get("functionCallingConfig") else {
        return Ok(());
    };
    let at = "tool_config.function_calling_config";
    only(object(calling, at)?, &["mode", "allowedFunctionNames"], at)?;
    let mode = text(calling, "mode");
    if !["", "MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"].contains(&mode) {
        return Err(invalid(
            &format!("{at}.mode"),
            "type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode",
            &calling["mode"],
        ));
    }
    let allowed = calling.get("allowedFunctionNames");
    if allowed.is_some() && !["ANY", "VALIDATED"].contains(&mode) {
        return Err(Refusal::bad(
            "allowed_function_names should only be set when the function calling mode is ANY.",
        ));
    }
    let known: Vec<&str> = functions(value)
        .map(|function| text(function, "name"))
        .collect();
    if known.is_empty() && ["ANY", "VALIDATED"].contains(&mode) {
        return Err(Refusal::bad(
            "Function calling config is set without function_declarations.",
        ));
    }
    match texts(allowed).find(|name| !known.contains(name)) {
        Some(name) => Err(Refusal::bad(format!(
            "allowed_function_names contains '{name}', which is not among the function declarations."
        ))),
        None => Ok(()),
    }
}

fn generation_config(config: &Value) -> Verdict {
    let at = "generation_config";
    let fields = object(config, at)?;
    only(fields, &CONFIG, at)?;
    let whole = |name: &str, low: i64, high: i64, said: &str| match config.get(name) {
        None => Ok(()),
        Some(value) => match value.as_i64() {
            None => Err(invalid(
                &format!("{at}.{}", snake(name)),
                "TYPE_INT32",
                value,
            )),
            Some(number) if i32::try_from(number).is_err() => Err(invalid(
                &format!("{at}.{}", snake(name)),
                "TYPE_INT32",
                value,
            )),
            Some(number) if (low..=high).contains(&number) => Ok(()),
            Some(_) => Err(Refusal::bad(format!(
                "* GenerateContentRequest.{at}.{}: {said}",
                snake(name)
            ))),
        },
    };
    whole(
        "candidateCount",
        1,
        8,
        "candidate_count must be in the range [1, 8].",
    )?;
    whole(
        "maxOutputTokens",
        1,
        i64::from(i32::MAX),
        "max_output_tokens must be positive.",
    )?;
    whole("topK", 1, i64::from(i32::MAX), "top_k must be positive.")?;
    whole("seed", i64::from(i32::MIN), i64::from(i32::MAX), "")?;
    whole("logprobs", 0, 20, "logprobs must be in the range [0, 20].")?;
    for (name, low, high) in [
        ("temperature", 0.0, 2.0),
        ("topP", 0.0, 1.0),
        ("presencePenalty", -2.0, 2.0),
        ("frequencyPenalty", -2.0, 2.0),
    ] {
        match config.get(name).map(|value| (value, value.as_f64())) {
            None => {}
            Some((value, None)) => {
                return Err(invalid(
                    &format!("{at}.{}", snake(name)),
                    "TYPE_FLOAT",
                    value,
                ));
            }
            Some((_, Some(number))) if (low..=high).contains(&number) => {}
            Some(_) => {
                return Err(Refusal::bad(format!(
                    "* GenerateContentRequest.{at}.{0}: {0} must be in the range [{low}, {high}].",
                    snake(name)
                )));
            }
        }
    }
    if config.get("logprobs").is_some()
        && config.get("responseLogprobs") != Some(&Value::Bool(true))
    {
        return Err(Refusal::bad(
            "logprobs is only allowed when response_logprobs is true.",
        ));
    }
    let stop = items(config.get("stopSequences"));
    if stop.len() > 5
        || stop
            .iter()
            .any(|one| one.as_str().is_none_or(str::is_empty))
    {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.stop_sequences: at most 5 stop sequences, none of them empty, are allowed."
        )));
    }
    let media = text(config, "responseMimeType");
    if ![
        "",
        "text/plain",
        "application/json",
        "application/xml",
        "application/yaml",
        "text/x.enum",
    ]
    .contains(&media)
    {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.response_mime_type: allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`."
        )));
    }
    let (narrow, wide) = (
        config.get("responseSchema"),
        config.get("responseJsonSchema"),
    );
    if narrow.is_some() && wide.is_some() {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}: only one of response_schema and response_json_schema may be set."
        )));
    }
    if (narrow.is_some() || wide.is_some()) && !["application/json", "text/x.enum"].contains(&media)
    {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.{at}.response_mime_type: response_mime_type must be `application/json` or `text/x.enum` when a response schema is set."
        )));
    }
    if let Some(narrow) = narrow {
        schema::rules(narrow, &format!("{at}.response_schema"), 0)?;
    }
    if let Some(wide) = wide {
        schema::json_schema(wide, &format!("{at}.response_json_schema"))?;
    }
    let Some(thinking) = config.get("thinkingConfig") else {
        return Ok(());
    };
    let at = "generation_config.thinking_config";
    let fields = object(thinking, at)?;
    only(
        fields,
        &["includeThoughts", "thinkingBudget", "thinkingLevel"],
        at,
    )?;
    if fields.contains_key("thinkingBudget") && fields.contains_key("thinkingLevel") {
        return Err(Refusal::bad(
            "You can only set only one of thinking budget and thinking level.",
        ));
    }
    let budget = thinking.get("thinkingBudget");
    if budget.is_some_and(|budget| {
        budget
            .as_i64()
            .is_none_or(|budget| !(-1..=32_768).contains(&budget))
    }) {
        return Err(Refusal::bad(
            "The thinking budget is invalid. Please choose a value between 0 and 32768, or -1.",
        ));
    }
    let level = text(thinking, "thinkingLevel").to_ascii_lowercase();
    if !["", "minimal", "low", "medium", "high"].contains(&level.as_str()) {
        return Err(invalid(
            &format!("{at}.thinking_level"),
            "type.googleapis.com/google.ai.generativelanguage.v1beta.ThinkingConfig.ThinkingLevel",
            &thinking["thinkingLevel"],
        ));
    }
    Ok(())
}

/// What is refused of a request to embed one content.
pub(super) fn embed(value: &Value, at: &str) -> Verdict {
    only(
        object(value, at)?,
        &[
            "model",
            "content",
            "taskType",
            "title",
            "outputDimensionality",
        ],
        at,
    )?;
    let Some(content) = value.get("content") else {
        return Err(Refusal::bad(
            "* EmbedContentRequest.content: content is not specified",
        ));
    };
    let at = format!("{at}{}content", if at.is_empty() { "" } else { "." });
    only(object(content, &at)?, &["role", "parts"], &at)?;
    parts(content, &at, "user")?;
    let tasks = [
        "",
        "RETRIEVAL_QUERY",
        "RETRIEVAL_DOCUMENT",
        "SEMANTIC_SIMILARITY",
        "CLASSIFICATION",
        "CLUSTERING",
        "QUESTION_ANSWERING",
        "FACT_VERIFICATION",
        "CODE_RETRIEVAL_QUERY",
    ];
    if !tasks.contains(&text(value, "taskType")) {
        return Err(invalid(
            "task_type",
            "type.googleapis.com/google.ai.generativelanguage.v1beta.TaskType",
            &value["taskType"],
        ));
    }
    match value.get("outputDimensionality") {
        None => Ok(()),
        Some(number)
            if number
                .as_u64()
                .is_some_and(|number| (1..=3072).contains(&number)) =>
        {
            Ok(())
        }
        Some(number) => Err(invalid("output_dimensionality", "TYPE_INT32", number)),
    }
}

/// What is refused of a request to embed several contents: each says the model once more.
pub(super) fn batch(value: &Value, model: &str) -> Verdict {
    const MOST: usize = 100;
    only(object(value, "")?, &["requests"], "")?;
    let requests = items(value.get("requests"));
    if requests.is_empty() {
        return Err(Refusal::bad(
            "* BatchEmbedContentsRequest.requests: requests is not specified",
        ));
    }
    if requests.len() > MOST {
        return Err(Refusal::bad(format!(
            "* BatchEmbedContentsRequest.requests: at most {MOST} requests can be in one batch"
        )));
    }
    for (number, one) in requests.iter().enumerate() {
        let at = format!("requests[{number}]");
        embed(one, &at)?;
        if text(one, "model") != format!("models/{model}") {
            return Err(Refusal::bad(format!(
                "* BatchEmbedContentsRequest.{at}.model: model must match the model specified in BatchEmbedContentsRequest"
            )));
        }
    }
    Ok(())
}
