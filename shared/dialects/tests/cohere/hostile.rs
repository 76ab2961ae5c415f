//! Whatever comes in: no decoder panics, and what it understands can be written again.

use lockgate_dialects::{Dialect, decode_answer, decode_request, encode_answer};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::both_ways::streamed;
use crate::{REPLY, encode, listen, recorded};

fn swallow(body: &str) {
    if let Ok(request) = decode_request(Dialect::Cohere, body) {
        for model in ["m", "command-a-03-2025"] {
            if let Ok(encoded) = encode(&request, model) {
                serde_json::from_slice::<Value>(&encoded.body).unwrap();
            }
        }
    }
    if let Ok(answer) = decode_answer(Dialect::Cohere, body) {
        let body = encode_answer(Dialect::Cohere, &answer, &REPLY);
        serde_json::from_slice::<Value>(&body).unwrap();
        streamed(&answer);
    }
    let _ = listen([format!("data: {}\n\n", body.replace('\n', " ")).as_bytes()]);
}

const NAMES: &[&str] = &[
    "type",
    "role",
    "content",
    "messages",
    "model",
    "text",
    "thinking",
    "tool_plan",
    "tool_calls",
    "tool_call_id",
    "id",
    "function",
    "name",
    "arguments",
    "description",
    "parameters",
    "tools",
    "strict_tools",
    "tool_choice",
    "image_url",
    "url",
    "detail",
    "document",
    "documents",
    "citations",
    "sources",
    "start",
    "end",
    "title",
    "content_index",
    "message",
    "delta",
    "index",
    "finish_reason",
    "error",
    "usage",
    "tokens",
    "billed_units",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "stop_sequences",
    "temperature",
    "p",
    "k",
    "response_format",
    "json_schema",
    "schema",
    "token_budget",
    "max_tokens",
];

const WORDS: &[&str] = &[
    "text",
    "thinking",
    "image_url",
    "document",
    "function",
    "user",
    "assistant",
    "system",
    "tool",
    "REQUIRED",
    "NONE",
    "json_object",
    "enabled",
    "disabled",
    "message-start",
    "content-start",
    "content-delta",
    "content-end",
    "tool-plan-delta",
    "tool-call-start",
    "tool-call-delta",
    "tool-call-end",
    "citation-start",
    "citation-end",
    "message-end",
    "error",
    "COMPLETE",
    "TOOL_CALL",
    "TEXT_CONTENT",
    "PLAN",
    "data:image/png;base64,QUJD",
    "{}",
    "",
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
        for (case, stream) in recorded("stream.txt") {
            let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
            documents.extend(data.map(|data| (case.clone(), data.to_owned())));
        }
        let (_, text) = case.get(&documents);
        let mut document: Value = serde_json::from_str(text).unwrap();
        replace(&mut document, &mut at.clone(), &with);
        swallow(&document.to_string());
    }

    #[test]
    fn recorded_streams_with_bytes_gone_wrong(case in any::<Index>(), at in any::<Index>(), gone in 0usize..40, with in any::<u8>()) {
        let streams = recorded("stream.txt");
        let mut bytes = case.get(&streams).1.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        bytes.drain(at..(at + gone).min(bytes.len()));
        let _ = listen([&bytes[..]]);
    }
}
