//! The plain answers of the OpenAI dialect, and refusals by key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use data_encoding::BASE64;
use mock_provider::MockProvider;
use serde_json::{Value, json};
use support::{chat, request};

const HELLO: &str = "Hello from the mock provider.";

fn post(provider: &MockProvider, path: &str, body: &Value) -> support::Answer {
    request(provider, "POST", path, "", &body.to_string())
}

#[test]
fn chat_under_any_base_path() {
    let provider = MockProvider::start(0);
    for path in [
        "/v1/chat/completions",
        "/chat/completions",
        "/a/b/v9/chat/completions?x=1",
    ] {
        let answer = post(&provider, path, &json!({"model": "gpt-\"4o\""}));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let answer = answer.json();
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(answer["model"], "gpt-\"4o\"");
        assert_eq!(answer["choices"][0]["message"]["content"], HELLO);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert_eq!(answer["usage"]["total_tokens"], 15);
    }
}

#[test]
fn chat_streams_one_event_a_chunk() {
    let provider = MockProvider::start(0);
    let answer = chat(&provider, "gpt-4o", true);
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert!(answer.whole);
    assert_eq!(answer.content(), HELLO);
    let events = answer.events();
    assert_eq!(events.len(), 9);
    assert_eq!(answer.chunks.len(), events.len());
    assert_eq!(events.last().unwrap(), "[DONE]");
    let first: Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert!(first.get("usage").is_none());
    let last: Value = serde_json::from_str(&events[7]).unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
}

#[test]
fn usage_is_streamed_if_asked_for() {
    let provider = MockProvider::start(0);
    let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
    for (path, count) in [("/v1/chat/completions", 10), ("/v1/completions", 9)] {
        let events = post(&provider, path, &body).events();
        assert_eq!(events.len(), count);
        let first: Value = serde_json::from_str(&events[0]).unwrap();
        assert_eq!(first.get("usage"), Some(&Value::Null));
        let usage: Value = serde_json::from_str(&events[count - 2]).unwrap();
        assert_eq!(usage["choices"], json!([]));
        assert_eq!(usage["usage"]["completion_tokens"], 6);
    }
}

#[test]
fn completions_plain_and_streamed() {
    let provider = MockProvider::start(0);
    let body = json!({"model": "m", "prompt": "hi"});
    let answer = post(&provider, "/v1/completions", &body).json();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"][0]["text"], HELLO);
    let body = json!({"model": "m", "prompt": "hi", "stream": true});
    let events = post(&provider, "/v1/completions", &body).events();
    let texts = events
        .iter()
        .filter(|event| *event != "[DONE]")
        .map(|event| {
            let event: Value = serde_json::from_str(event).unwrap();
            event["choices"][0]["text"].as_str().unwrap().to_owned()
        });
    assert_eq!(texts.collect::<String>(), HELLO);
}

#[test]
fn embeddings_by_input_and_encoding() {
    let provider = MockProvider::start(0);
    let embed = |body: Value| post(&provider, "/v1/embeddings", &body).json();
    for (input, count) in [
        (json!("one text"), 1),
        (json!(["a", "b", "c"]), 3),
        (json!([1, 2, 3, 4]), 1),
        (json!([[1, 2], [3]]), 2),
    ] {
        let answer = embed(json!({"model": "m", "input": input}));
        let data = answer["data"].as_array().unwrap();
        assert_eq!(data.len(), count);
        for (at, one) in data.iter().enumerate() {
            assert_eq!(one["index"], at);
            assert_eq!(one["embedding"].as_array().unwrap().len(), 1536);
        }
    }
    let body = |format: &str| json!({"model": "m", "input": ["a", "b"], "dimensions": 5, "encoding_format": format});
    let (floats, base64) = (embed(body("float")), embed(body("base64")));
    for at in 0..2 {
        let floats: Vec<f32> = floats["data"][at]["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_f64().unwrap() as f32)
            .collect();
        let bytes = BASE64
            .decode(base64["data"][at]["embedding"].as_str().unwrap().as_bytes())
            .unwrap();
        let decoded: Vec<f32> = bytes
            .chunks(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(floats.len(), 5);
        assert_eq!(floats, decoded);
    }
}

#[test]
fn models() {
    let provider = MockProvider::start(0);
    let list = request(&provider, "GET", "/v1/models", "", "").json();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"][0]["id"], "mock-model");
    let one = request(&provider, "GET", "/v1/models/org/name", "", "").json();
    assert_eq!(one["id"], "org/name");
}

#[test]
fn what_is_not_there() {
    let provider = MockProvider::start(0);
    for (method, path) in [
        ("POST", "/v1/nothing"),
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/models"),
    ] {
        let answer = request(&provider, method, path, "", "");
        assert_eq!(answer.status, 404, "{method} {path}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    let answer = request(&provider, "POST", "/v1/chat/completions", "", "{");
    assert_eq!(answer.status, 400);
}

#[test]
fn keys_that_are_refused() {
    let provider = MockProvider::start(0);
    for (headers, status, message) in [
        (
            "authorization: Bearer sk-revoked-0123456789\r\n",
            401,
            "Incorrect API key provided: sk-revok********6789.",
        ),
        (
            "x-api-key: sk-revoked-echo\r\n",
            401,
            "Incorrect API key provided: sk-revoked-echo.",
        ),
        (
            "authorization: bearer forbidden\r\n",
            403,
            "The key forbidde********dden has no access to this.",
        ),
    ] {
        let answer = request(&provider, "GET", "/v1/models", headers, "");
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["message"], message);
        if status == 401 {
            assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
        }
    }
}
