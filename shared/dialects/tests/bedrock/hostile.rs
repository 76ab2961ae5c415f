//! Whatever comes in: no decoder panics, and what it understands can be written again.

use lockgate_dialects::bedrock::message;
use lockgate_dialects::{Dialect, decode_answer, decode_request, encode_answer};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::both_ways::streamed;
use crate::{CLAUDE, REPLY, as_sent, encode, listen, recorded};

const EVENTS: &[&str] = &[
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "initial-response",
];

fn swallow(body: &str) {
    if let Ok(request) = decode_request(Dialect::Bedrock, body) {
        for model in [
            "m",
            CLAUDE,
            "anthropic.claude-opus-5",
            "amazon.nova-2-lite-v1:0",
            "openai.gpt-oss-20b-1:0",
            "meta.llama3-3-70b-instruct-v1:0",
        ] {
            if let Ok(encoded) = encode(&request, model) {
                serde_json::from_slice::<Value>(&encoded.body).unwrap();
            }
        }
    }
    if let Ok(answer) = decode_answer(Dialect::Bedrock, body) {
        let body = encode_answer(Dialect::Bedrock, &answer, &REPLY);
        serde_json::from_slice::<Value>(&body).unwrap();
        streamed(&answer);
    }
    for event in EVENTS {
        let _ = listen([&message(event, body.as_bytes(), false)[..]]);
    }
    let _ = listen([&message("throttlingException", body.as_bytes(), true)[..]]);
}

const NAMES: &[&str] = &[
    "messages",
    "role",
    "content",
    "system",
    "text",
    "image",
    "document",
    "audio",
    "format",
    "name",
    "source",
    "bytes",
    "s3Location",
    "uri",
    "toolUse",
    "toolUseId",
    "input",
    "toolResult",
    "status",
    "json",
    "reasoningContent",
    "reasoningText",
    "signature",
    "redactedContent",
    "cachePoint",
    "type",
    "ttl",
    "citationsContent",
    "citations",
    "citation",
    "sourceContent",
    "location",
    "web",
    "url",
    "documentChar",
    "documentIndex",
    "inferenceConfig",
    "maxTokens",
    "stopSequences",
    "toolConfig",
    "tools",
    "toolSpec",
    "inputSchema",
    "toolChoice",
    "tool",
    "additionalModelRequestFields",
    "thinking",
    "tool_choice",
    "outputConfig",
    "textFormat",
    "structure",
    "jsonSchema",
    "schema",
    "requestMetadata",
    "serviceTier",
    "output",
    "message",
    "stopReason",
    "usage",
    "inputTokens",
    "cacheReadInputTokens",
    "delta",
    "start",
    "contentBlockIndex",
    "additionalModelResponseFields",
    "stop_sequence",
];

const WORDS: &[&str] = &[
    "user",
    "assistant",
    "png",
    "pdf",
    "txt",
    "default",
    "1h",
    "success",
    "error",
    "json_schema",
    "enabled",
    "adaptive",
    "disabled",
    "auto",
    "none",
    "end_turn",
    "tool_use",
    "s3://b/a.png",
    "{}",
    "QUJD",
    "",
    " ",
    "\u{1F600}",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        select(WORDS).prop_map(|word| Value::String(word.to_owned())),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((select(NAMES), inner), 0..8).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

/// Puts `with` in place of the `at`th value of a document, counted from outside.
fn replace(document: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *document = with.clone();
    }
    *at = at.wrapping_sub(1);
    match document {
        Value::Array(list) => list.iter_mut().for_each(|inner| replace(inner, at, with)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|inner| replace(inner, at, with)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn bytes(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        swallow(&String::from_utf8_lossy(&bytes));
        let _ = listen([&bytes[..]]);
    }

    #[test]
    fn documents(value in value()) {
        swallow(&value.to_string());
    }

    #[test]
    fn recorded_documents_with_something_else_in_them(case in any::<Index>(), at in 0usize..60, with in value()) {
        let mut documents = [recorded("request.json"), recorded("answer.json")].concat();
        for (case, lines) in recorded("stream.jsonl") {
            documents.extend(lines.lines().map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                (case.clone(), line["data"].to_string())
            }));
        }
        let (_, text) = case.get(&documents);
        let mut document: Value = serde_json::from_str(text).unwrap();
        replace(&mut document, &mut at.clone(), &with);
        swallow(&document.to_string());
    }

    #[test]
    fn recorded_streams_with_bytes_gone_wrong(case in any::<Index>(), at in any::<Index>(), gone in 0usize..40, with in any::<u8>()) {
        let streams = recorded("stream.jsonl");
        let mut bytes = as_sent(&case.get(&streams).1);
        let at = at.index(bytes.len());
        bytes[at] = with;
        bytes.drain(at..(at + gone).min(bytes.len()));
        let _ = listen([&bytes[..]]);
    }
}
