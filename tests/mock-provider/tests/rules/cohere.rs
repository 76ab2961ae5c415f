use serde_json::{Value, json};

use crate::{PNG, Sender, parameters, support};

const HEADERS: &str = "authorization: Bearer co-test\r\n";

#[test]
fn chats() {
    let good = json!({
        "model": "command-a", "temperature": 0.3, "p": 0.5, "k": 10, "seed": 18_446_744_073_709_551_615_u64, "stop_sequences": ["."],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": parameters()}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}}]},
            {"role": "assistant", "tool_plan": "Look.", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "sun"},
        ],
    });
    let cohere = Sender::new("/v2/chat", HEADERS, "/message", good);
    cohere.takes(&[
        ("/thinking", json!({"type": "enabled", "token_budget": 5})),
        ("/tool_choice", json!("REQUIRED")),
    ]);
    cohere.refuses(
        &[("/top_p", json!(1))],
        "unknown field: parameter 'top_p' is not a valid field",
    );
    cohere.refuses(
        &[("/messages/0/name", json!("x"))],
        "parameter 'messages[0].name'",
    );
    cohere.refuses(
        &[("/temperature", json!(1.5))],
        "temperature must be between 0 and 1",
    );
    cohere.refuses(&[("/p", json!(1.0))], "p must be between 0.01 and 0.99");
    cohere.refuses(
        &[("/stop_sequences", json!(["1", "2", "3", "4", "5", "6"]))],
        "at most 5",
    );
    cohere.refuses(
        &[("/messages/0/role", json!("developer"))],
        "role must be one of",
    );
    cohere.refuses(
        &[("/messages/3", Value::Null)],
        "all tool calls must be followed by tool messages, missing: a",
    );
    cohere.refuses(
        &[("/messages/2", Value::Null)],
        "has no corresponding tool call",
    );
    cohere.refuses(&[("/messages/3/content", json!(""))], "must not be empty");
    cohere.refuses(
        &[("/messages/1/content/1/image_url/url", json!("http://x"))],
        "https or a base64 data URL",
    );
    cohere.refuses(
        &[("/tool_choice", json!("auto"))],
        "tool_choice must be one of",
    );
    cohere.refuses(
        &[("/tools/0/function/parameters", json!({}))],
        "of type 'object'",
    );
    cohere.refuses(
        &[("/tools/0/function/strict", json!(true))],
        "parameter 'tools[0].function.strict'",
    );
    cohere.refuses(
        &[("/response_format", json!({"type": "json_object"}))],
        "not supported with tools",
    );
    cohere.refuses(
        &[("/thinking", json!({"type": "adaptive"}))],
        "thinking.type",
    );
    let answer = support::request(&cohere.provider, "POST", "/v2/chat", "", "{}");
    assert_eq!(
        (answer.status, answer.json()["message"].as_str()),
        (401, Some("no api key supplied"))
    );
}

#[test]
fn formats() {
    let with = |schema: Value| {
        [(
            "/response_format",
            json!({"type": "json_object", "json_schema": schema}),
        )]
    };
    let good = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let cohere = Sender::new("/v2/chat", HEADERS, "/message", good);
    cohere.takes(&with(parameters()));
    cohere.refuses(&with(json!({"type": "array"})), "must be of type 'object'");
    cohere.refuses(
        &with(json!({"type": "object", "properties": {}})),
        "at least one required field",
    );
    cohere.refuses(&with(json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "minLength": 3}}})), "'minLength' is not supported");
    cohere.refuses(
        &[("/response_format", json!({"type": "json_schema"}))],
        "response_format.type",
    );
    cohere.refuses(
        &[("/tool_choice", json!("NONE"))],
        "only allowed with tools",
    );
}

#[test]
fn embeddings() {
    let good = json!({"model": "embed-v4.0", "input_type": "search_query", "texts": ["a", "b"], "embedding_types": ["float", "base64"], "output_dimension": 256});
    let cohere = Sender::new("/v2/embed", HEADERS, "/message", good);
    let answer = cohere.send(&[]).json();
    assert_eq!(
        answer["embeddings"]["float"][1].as_array().unwrap().len(),
        256
    );
    assert!(answer["embeddings"]["base64"][1].is_string());
    cohere.refuses(
        &[("/input_type", Value::Null)],
        "valid input_type must be provided",
    );
    cohere.refuses(
        &[("/input", json!(["a"]))],
        "parameter 'input' is not a valid field",
    );
    cohere.refuses(
        &[("/output_dimension", json!(4))],
        "output_dimension must be one of",
    );
    cohere.refuses(
        &[("/texts", json!(vec!["a"; 97]))],
        "at most 96 - received 97",
    );
    cohere.refuses(&[("/embedding_types", json!(["f32"]))], "embedding_types");
}
