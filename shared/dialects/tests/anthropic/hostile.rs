//! Whatever comes in: no decoder panics, and what it understands can be written again.

use lockgate_dialects::{
    Dialect, decode_answer, decode_request, encode_answer, replay, stream_encoder,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::{REPLY, encode, listen, recorded};

fn swallow(body: &str) {
    if let Ok(request) = decode_request(Dialect::Anthropic, body) {
        for model in ["m", "claude-sonnet-4-5", "claude-opus-5"] {
            if let Ok(encoded) = encode(&request, model) {
                serde_json::from_slice::<Value>(&encoded.body).unwrap();
            }
        }
    }
    if let Ok(answer) = decode_answer(Dialect::Anthropic, body) {
        let body = encode_answer(Dialect::Anthropic, &answer, &REPLY);
        serde_json::from_slice::<Value>(&body).unwrap();
        let mut encoder = stream_encoder(Dialect::Anthropic, &REPLY).unwrap();
        let mut out = Vec::new();
        replay(&answer, |event| encoder.event(event, &mut out));
    }
    let _ = listen([format!("data: {}\n\n", body.replace('\n', " ")).as_bytes()]);
}

const NAMES: &[&str] = &[
    "type",
    "role",
    "content",
    "messages",
    "model",
    "system",
    "text",
    "thinking",
    "signature",
    "id",
    "name",
    "input",
    "source",
    "data",
    "media_type",
    "url",
    "tools",
    "tool_choice",
    "input_schema",
    "cache_control",
    "tool_use_id",
    "is_error",
    "citations",
    "usage",
    "input_tokens",
    "output_tokens",
    "stop_reason",
    "delta",
    "index",
    "content_block",
    "message",
    "partial_json",
    "citation",
    "budget_tokens",
    "output_config",
    "effort",
    "format",
    "schema",
    "metadata",
    "user_id",
    "stop_sequences",
    "max_tokens",
    "stop_details",
    "explanation",
];

const WORDS: &[&str] = &[
    "text",
    "image",
    "document",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "mid_conv_system",
    "user",
    "assistant",
    "system",
    "base64",
    "url",
    "file",
    "ephemeral",
    "auto",
    "any",
    "tool",
    "none",
    "enabled",
    "adaptive",
    "disabled",
    "json_schema",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
    "ping",
    "text_delta",
    "thinking_delta",
    "input_json_delta",
    "signature_delta",
    "citations_delta",
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
        let documents = [recorded("request.json"), recorded("answer.json")].concat();
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
