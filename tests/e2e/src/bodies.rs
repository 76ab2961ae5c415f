//! The whole body that reaches a provider, field by field, for one request that says nearly everything (FEATURES E4).

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::dialects::{PNG, Surface, World, parameters};

pub(crate) fn cases() -> Vec<Case> {
    cases!["bodies":
        chat_to_anthropic,
        chat_to_google,
        chat_to_cohere,
        chat_to_bedrock,
        messages_to_openai,
        responses_to_anthropic,
        same_dialects_untouched,
    ]
}

/// A chat with a system prompt, an image, a call with its result, tools, a choice and sampling.
fn chat() -> Value {
    let question = json!([
        {"type": "text", "text": "The weather here?"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}},
    ]);
    json!({
        "max_completion_tokens": 500, "temperature": 0.25, "top_p": 0.5, "stop": ["END"], "parallel_tool_calls": false,
        "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": parameters()}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": question},
            {"role": "assistant", "content": "Let me look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"n\":9007199254740993}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "user", "content": "So?"},
        ],
    })
}

/// Asserts what the provider was sent, in full.
fn reaches(env: &Env, provider: &'static str, surface: Surface, body: &Value, expected: &Value) {
    let world = World::new(env.gateway(), provider);
    world.answered(surface, "mock-model", body);
    let (sent, text) = world.sent();
    assert_eq!(
        &sent, expected,
        "{surface:?} to {provider}: {text}\nexpected: {expected}"
    );
}

fn chat_to_anthropic(env: &Env) {
    let expected = json!({
        "model": "mock-model", "max_tokens": 500, "temperature": 0.25, "top_p": 0.5, "stop_sequences": ["END"],
        "system": "Be brief.",
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "tools": [{"name": "get_weather", "description": "The weather.", "input_schema": parameters()}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "The weather here?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"n": 9_007_199_254_740_993_u64}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                {"type": "text", "text": "So?"},
            ]},
        ],
    });
    reaches(env, "anthropic", Surface::Chat, &chat(), &expected);
}

fn chat_to_google(env: &Env) {
    let mut body = chat();
    body.as_object_mut().unwrap().remove("parallel_tool_calls");
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"maxOutputTokens": 500, "temperature": 0.25, "topP": 0.5, "stopSequences": ["END"]},
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "tools": [{"functionDeclarations": [{"name": "get_weather", "description": "The weather.", "parametersJsonSchema": parameters()}]}],
        "contents": [
            {"role": "user", "parts": [
                {"text": "The weather here?"},
                {"inlineData": {"mimeType": "image/png", "data": PNG}},
            ]},
            {"role": "model", "parts": [
                {"text": "Let me look."},
                {"functionCall": {"id": "call_1", "name": "get_weather", "args": {"n": 9_007_199_254_740_993_u64}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "call_1", "name": "get_weather", "response": {"result": "sunny"}}}]},
            {"role": "user", "parts": [{"text": "So?"}]},
        ],
    });
    reaches(env, "google", Surface::Chat, &body, &expected);
}

fn chat_to_cohere(env: &Env) {
    let mut body = chat();
    body.as_object_mut().unwrap().remove("parallel_tool_calls");
    let expected = json!({
        "model": "mock-model", "stream": false, "max_tokens": 500, "temperature": 0.25, "p": 0.5, "stop_sequences": ["END"],
        "tool_choice": "REQUIRED",
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": parameters()}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "The weather here?"},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}},
            ]},
            {"role": "assistant", "content": "Let me look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"n\":9007199254740993}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "user", "content": "So?"},
        ],
    });
    reaches(env, "cohere", Surface::Chat, &body, &expected);
}

fn chat_to_bedrock(env: &Env) {
    let mut body = chat();
    body.as_object_mut().unwrap().remove("parallel_tool_calls");
    let expected = json!({
        "system": [{"text": "Be brief."}],
        // By which of the sequences it stopped is not told otherwise.
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "inferenceConfig": {"maxTokens": 500, "temperature": 0.25, "topP": 0.5, "stopSequences": ["END"]},
        "toolConfig": {
            "toolChoice": {"any": {}},
            "tools": [{"toolSpec": {"name": "get_weather", "description": "The weather.", "inputSchema": {"json": parameters()}}}],
        },
        "messages": [
            {"role": "user", "content": [
                {"text": "The weather here?"},
                {"image": {"format": "png", "source": {"bytes": PNG}}},
            ]},
            {"role": "assistant", "content": [
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "call_1", "name": "get_weather", "input": {"n": 9_007_199_254_740_993_u64}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "call_1", "content": [{"text": "sunny"}]}},
                {"text": "So?"},
            ]},
        ],
    });
    reaches(env, "bedrock", Surface::Chat, &body, &expected);
}

fn messages_to_openai(env: &Env) {
    let body = json!({
        "max_tokens": 500, "temperature": 0.25, "top_p": 0.5, "stop_sequences": ["END"], "system": "Be brief.",
        "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true},
        "tools": [{"name": "get_weather", "description": "The weather.", "input_schema": parameters()}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "The weather here?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"n": 9_007_199_254_740_993_u64}},
                {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "rainy"}]},
                {"type": "text", "text": "So?"},
            ]},
        ],
    });
    let expected = json!({
        "model": "mock-model", "max_completion_tokens": 500, "temperature": 0.25, "top_p": 0.5, "stop": ["END"],
        "parallel_tool_calls": false, "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": parameters()}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "The weather here?"},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}},
            ]},
            {"role": "assistant", "content": "Let me look.", "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"n\":9007199254740993}"}},
                {"id": "toolu_2", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "rainy"},
            {"role": "user", "content": "So?"},
        ],
    });
    reaches(env, "openai", Surface::Messages, &body, &expected);
}

fn responses_to_anthropic(env: &Env) {
    let body = json!({
        "instructions": "Be brief.", "max_output_tokens": 500, "parallel_tool_calls": false,
        "tools": [{"type": "function", "name": "get_weather", "description": "The weather.", "parameters": parameters(), "strict": false}],
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "The weather here?"},
                {"type": "input_image", "image_url": "https://example.com/cat.png", "detail": "auto"},
            ]},
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{\"n\":9007199254740993}"},
            {"type": "function_call", "call_id": "call_2", "name": "get_weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            {"type": "function_call_output", "call_id": "call_2", "output": "rainy"},
            {"role": "user", "content": "So?"},
        ],
    });
    let expected = json!({
        "model": "mock-model", "max_tokens": 500, "system": "Be brief.",
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "tools": [{"name": "get_weather", "description": "The weather.", "input_schema": parameters(), "strict": false}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "The weather here?"},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"n": 9_007_199_254_740_993_u64}},
                {"type": "tool_use", "id": "call_2", "name": "get_weather", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": "rainy"},
                {"type": "text", "text": "So?"},
            ]},
        ],
    });
    reaches(env, "anthropic", Surface::Responses, &body, &expected);
}

/// Where the provider has the surface itself, bytes pass: spacing, escapes and all, but for the prefix of the model.
fn same_dialects_untouched(env: &Env) {
    for (provider, surface, body) in [
        (
            "anthropic",
            Surface::Messages,
            r#"{ "model" : "anthropic/mock-model", "max_tokens":5 ,"messages":[{"role":"user","content":"Gr\u00fc\u00dfe"}],"temperature":1e0}"#,
        ),
        (
            "openai",
            Surface::Responses,
            r#"{ "model" : "openai/mock-model" , "input":"Gr\u00fc\u00dfe","temperature":1.50}"#,
        ),
    ] {
        let world = World::new(env.gateway(), provider);
        let call = crate::client::Call::post(surface.path())
            .bearer(&world.key)
            .text(body);
        call.header("anthropic-version", "2023-06-01")
            .run(world.gateway.url())
            .expect(200);
        let sent = world.sent().1;
        assert_eq!(sent, body.replace(&format!("{provider}/"), ""));
    }
}
