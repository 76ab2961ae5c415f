use serde_json::{Value, json};

use crate::{PNG, Sender, parameters, support};

const HEADERS: &str = "authorization: Bearer sk-test\r\n";

fn conversation() -> Value {
    json!({
        "model": "gpt-4o", "seed": 9_007_199_254_740_993_u64, "parallel_tool_calls": false, "stop": ["."],
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": parameters()}}],
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "The weather here?"},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": "low"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Zürich\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_2", "content": "rain"},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "sun"}]},
        ],
    })
}

fn sender() -> Sender {
    Sender::new(
        "/strict/v1/chat/completions",
        HEADERS,
        "/error/message",
        conversation(),
    )
}

#[test]
fn only_strict_paths_are_strict() {
    let lenient = Sender::new(
        "/v1/chat/completions",
        "",
        "/error/message",
        json!({"model": "m"}),
    );
    lenient.takes(&[("/anything", json!([]))]);
    let answer = support::request(
        &lenient.provider,
        "POST",
        "/strict/v1/chat/completions",
        "",
        "{}",
    );
    assert_eq!(answer.status, 401);
}

#[test]
fn fields() {
    let gpt = sender();
    gpt.takes(&[
        ("/logprobs", json!(true)),
        ("/top_logprobs", json!(2)),
        ("/user", json!("u")),
    ]);
    gpt.refuses(
        &[("/top_k", json!(1))],
        "Unrecognized request argument supplied: top_k",
    );
    gpt.refuses(
        &[("/messages/0/cache_control", json!({}))],
        "Unknown parameter: 'messages[0].cache_control'.",
    );
    gpt.refuses(
        &[("/messages/1/content/0/cache_control", json!({}))],
        "Unknown parameter: 'messages[1].content[0].cache_control'.",
    );
    gpt.refuses(
        &[("/model", Value::Null)],
        "you must provide a model parameter",
    );
    gpt.refuses(
        &[("/temperature", json!(2.5))],
        "Expected a value <= 2, but got 2.5 instead.",
    );
    gpt.refuses(&[("/n", json!(0))], "integer below minimum value");
    gpt.refuses(&[("/seed", json!(1.5))], "Invalid type for 'seed'");
    gpt.refuses(
        &[("/stop", json!(["a", "b", "c", "d", "e"]))],
        "maximum length 4",
    );
    gpt.refuses(
        &[
            ("/max_tokens", json!(5)),
            ("/max_completion_tokens", json!(5)),
        ],
        "at the same time",
    );
    gpt.refuses(
        &[("/model", json!("o3-mini")), ("/max_tokens", json!(5))],
        "Use 'max_completion_tokens' instead",
    );
    gpt.refuses(
        &[("/reasoning_effort", json!("low"))],
        "Unrecognized request argument supplied: reasoning_effort",
    );
    gpt.takes(&[
        ("/model", json!("o3-mini")),
        ("/reasoning_effort", json!("low")),
    ]);
    gpt.refuses(
        &[
            ("/model", json!("o3-mini")),
            ("/reasoning_effort", json!("max")),
        ],
        "Supported values are: 'none'",
    );
    gpt.refuses(
        &[("/top_logprobs", json!(2))],
        "only allowed when 'logprobs' is enabled",
    );
    gpt.refuses(
        &[("/stream_options", json!({"include_usage": true}))],
        "only allowed when 'stream' is enabled",
    );
    gpt.takes(&[
        ("/stream_options", json!({"include_usage": true})),
        ("/stream", json!(true)),
    ]);
    gpt.refuses(&[("/metadata", json!({"a": 1}))], "metadata");
}

#[test]
fn messages() {
    let gpt = sender();
    gpt.refuses(
        &[("/messages", json!([]))],
        "Invalid 'messages': empty array",
    );
    gpt.refuses(
        &[("/messages/0/role", json!("human"))],
        "Invalid value: 'human'",
    );
    gpt.refuses(
        &[("/messages/0/content", Value::Null)],
        "expected a string, got null",
    );
    gpt.refuses(
        &[("/messages/3", Value::Null)],
        "did not have response messages: call_2",
    );
    gpt.refuses(
        &[("/messages/2", Value::Null)],
        "must be a response to a preceeding message with 'tool_calls'",
    );
    gpt.refuses(
        &[("/messages/4", json!({"role": "user", "content": "x"}))],
        "did not have response messages: call_1",
    );
    gpt.refuses(
        &[("/messages/2/tool_calls", json!([]))],
        "'messages[2].tool_calls': empty array",
    );
    gpt.refuses(
        &[("/messages/2/tool_calls/0/id", json!("c".repeat(41)))],
        "maximum length 40",
    );
    gpt.refuses(
        &[("/messages/2/tool_calls/0/index", json!(0))],
        "Unknown parameter: 'messages[2].tool_calls[0].index'.",
    );
    gpt.refuses(
        &[("/messages/2/tool_calls/0/function/arguments", json!({}))],
        "expected a string",
    );
    gpt.refuses(
        &[(
            "/messages/2/content",
            json!([{"type": "image_url", "image_url": {"url": "https://x"}}]),
        )],
        "Invalid value: 'image_url'",
    );
}

#[test]
fn images() {
    let gpt = sender();
    let url = "/messages/1/content/1/image_url/url";
    gpt.takes(&[(url, json!("https://example.com/a.png"))]);
    gpt.refuses(&[(url, json!("a.png"))], "Expected a valid URL");
    gpt.refuses(
        &[(url, json!("data:image/png;base64,*"))],
        "Invalid base64 image_url",
    );
    gpt.refuses(
        &[(url, json!(format!("data:image/jpeg;base64,{PNG}")))],
        "unsupported image",
    );
}

#[test]
fn tools() {
    let gpt = sender();
    let name = "/tools/0/function/name";
    gpt.takes(&[(
        "/tool_choice",
        json!({"type": "function", "function": {"name": "get_weather"}}),
    )]);
    gpt.refuses(
        &[(name, json!("get.weather"))],
        "'tools[0].function.name': string does not match pattern",
    );
    gpt.refuses(&[(name, json!("a".repeat(65)))], "maximum length 64");
    gpt.refuses(
        &[("/tools/0/input_schema", json!({}))],
        "Unknown parameter: 'tools[0].input_schema'.",
    );
    gpt.refuses(
        &[("/tools/0/function/parameters", json!({"type": "string"}))],
        "got 'type: \"string\"'",
    );
    gpt.refuses(
        &[("/tools/0/function/strict", json!(true))],
        "'additionalProperties' is required to be supplied and to be false",
    );
    gpt.refuses(&[("/tools", json!([]))], "Invalid 'tools': empty array");
    gpt.refuses(
        &[("/tools", Value::Null)],
        "'parallel_tool_calls' is only allowed when 'tools' are specified",
    );
    gpt.refuses(&[("/tool_choice", json!("any"))], "Invalid value: 'any'");
    gpt.refuses(
        &[(
            "/tool_choice",
            json!({"type": "function", "name": "get_weather"}),
        )],
        "Missing required parameter",
    );
    gpt.refuses(
        &[(
            "/tool_choice",
            json!({"type": "function", "function": {"name": "x"}}),
        )],
        "not found in 'tools'",
    );
}

#[test]
fn formats() {
    let gpt = sender();
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let format = |name: &str, schema: &Value| {
        (
            "/response_format",
            json!({"type": "json_schema", "json_schema": {"name": name, "strict": true, "schema": schema}}),
        )
    };
    gpt.takes(&[format("answer", &schema)]);
    gpt.refuses(&[format("an answer", &schema)], "does not match pattern");
    gpt.refuses(
        &[format("answer", &parameters())],
        "Invalid schema for response_format 'answer': In context=(), 'additionalProperties'",
    );
    gpt.refuses(
        &[("/response_format", json!({"type": "json_object"}))],
        "must contain the word 'json'",
    );
    gpt.takes(&[
        ("/response_format", json!({"type": "json_object"})),
        ("/messages/0/content", json!("Answer in JSON.")),
    ]);
    gpt.refuses(
        &[("/response_format", json!({"type": "json"}))],
        "Invalid value: 'json'",
    );
}

#[test]
fn completions_and_embeddings() {
    let completions = Sender::new(
        "/strict/v1/completions",
        HEADERS,
        "/error/message",
        json!({"model": "m", "prompt": "x"}),
    );
    completions.refuses(
        &[("/messages", json!([]))],
        "Unrecognized request argument supplied: messages",
    );
    let embeddings = Sender::new(
        "/strict/v1/embeddings",
        HEADERS,
        "/error/message",
        json!({"model": "m", "input": ["a"], "dimensions": 4}),
    );
    embeddings.refuses(
        &[("/input_type", json!("query"))],
        "Unrecognized request argument supplied: input_type",
    );
    embeddings.refuses(&[("/input", json!([""]))], "'$.input' is invalid");
    embeddings.refuses(&[("/encoding_format", json!("int8"))], "encoding_format");
    let voyage = Sender::new(
        "/voyage/v1/embeddings",
        HEADERS,
        "/detail",
        json!({"model": "m", "input": ["a", "b"], "input_type": "query", "output_dimension": 4}),
    );
    assert_eq!(
        voyage.send(&[]).json()["data"][1]["embedding"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    voyage.refuses(
        &[("/dimensions", json!(4))],
        "Argument 'dimensions' is not supported",
    );
    voyage.refuses(&[("/encoding_format", json!("float"))], "encoding_format");
    voyage.refuses(&[("/input_type", json!("search_query"))], "input_type");
}
