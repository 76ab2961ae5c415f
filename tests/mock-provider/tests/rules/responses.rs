use serde_json::{Value, json};

use crate::{PNG, Sender, parameters};

fn conversation() -> Value {
    json!({
        "model": "gpt-5", "instructions": "Be brief.", "max_output_tokens": 4096, "parallel_tool_calls": false,
        "reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"},
        "tools": [{"type": "function", "name": "get_weather", "parameters": parameters(), "strict": false}],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "The weather here?"}, {"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}")}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sun"},
        ],
    })
}

#[test]
fn everything() {
    let gpt = Sender::new(
        "/v1/responses",
        "authorization: Bearer sk-test\r\n",
        "/error/message",
        conversation(),
    );
    gpt.takes(&[
        ("/input", json!("hello")),
        ("/user", json!("u")),
        (
            "/tool_choice",
            json!({"type": "function", "name": "get_weather"}),
        ),
    ]);
    gpt.refuses(
        &[("/messages", json!([]))],
        "Unknown parameter: 'messages'.",
    );
    gpt.refuses(
        &[("/max_tokens", json!(100))],
        "Unknown parameter: 'max_tokens'.",
    );
    gpt.refuses(
        &[("/response_format", json!({}))],
        "Unknown parameter: 'response_format'.",
    );
    gpt.refuses(
        &[("/max_output_tokens", json!(15))],
        "Expected a value >= 16, but got 15 instead.",
    );
    gpt.refuses(
        &[("/input", Value::Null)],
        "Missing required parameter: 'input'.",
    );
    gpt.refuses(
        &[("/reasoning/effort", json!("max"))],
        "Supported values are: 'none'",
    );
    gpt.refuses(
        &[("/input/3", Value::Null)],
        "No tool call found for function call output with call_id call_1.",
    );
    gpt.refuses(
        &[("/input/4", Value::Null)],
        "No tool output found for function call call_1.",
    );
    gpt.refuses(&[("/input/0/role", json!("tool"))], "Invalid value: 'tool'");
    gpt.refuses(
        &[("/input/0/content/0/type", json!("text"))],
        "Supported values are: 'input_text'",
    );
    gpt.refuses(
        &[("/input/2/content/0/type", json!("input_text"))],
        "Supported values are: 'output_text', 'refusal'.",
    );
    gpt.refuses(
        &[("/input/0/content/1/image_url", json!({"url": "https://x"}))],
        "Expected a valid URL",
    );
    gpt.refuses(
        &[("/input/3/id", json!("call_1"))],
        "Expected an ID that begins with 'fc'.",
    );
    gpt.refuses(
        &[("/input/2/id", json!("x"))],
        "Expected an ID that begins with 'msg'.",
    );
    gpt.refuses(&[("/input/3/arguments", json!({}))], "expected a string");
    gpt.refuses(
        &[(
            "/tools/0",
            json!({"type": "function", "function": {"name": "x"}}),
        )],
        "Missing required parameter: 'tools[0].name'.",
    );
    gpt.refuses(
        &[("/tools/0/strict", json!(true))],
        "Invalid schema for function 'get_weather'",
    );
    gpt.refuses(
        &[(
            "/tool_choice",
            json!({"type": "function", "function": {"name": "get_weather"}}),
        )],
        "Missing required parameter: 'tool_choice.name'.",
    );
    gpt.refuses(
        &[(
            "/text",
            json!({"format": {"type": "json_schema", "json_schema": {}}}),
        )],
        "Unknown parameter: 'text.format.json_schema'.",
    );
    gpt.refuses(
        &[(
            "/text",
            json!({"format": {"type": "json_schema", "schema": parameters()}}),
        )],
        "Missing required parameter: 'text.format.name'.",
    );
    gpt.takes(&[(
        "/text",
        json!({"format": {"type": "json_schema", "name": "answer", "schema": parameters()}}),
    )]);
    gpt.refuses(
        &[("/text", json!({"format": {"type": "json_object"}}))],
        "must contain the word 'json'",
    );
    gpt.refuses(&[("/metadata", json!({"a": 1}))], "metadata");
}
