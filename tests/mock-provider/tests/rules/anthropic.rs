use serde_json::{Value, json};

use crate::{PNG, Sender, parameters, support};

const HEADERS: &str = "x-api-key: sk-ant-test\r\nanthropic-version: 2023-06-01\r\n";

/// A conversation with a system prompt, an image, two calls and their results.
fn conversation() -> Value {
    json!({
        "model": "claude-sonnet-4-5", "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "tools": [
            {"name": "get_weather", "description": "The weather.", "input_schema": parameters()},
            {"name": "no_arguments", "input_schema": {"type": "object"}},
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "The weather here?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Zürich"}},
                {"type": "tool_use", "id": "toolu_2", "name": "no_arguments", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "no"}], "is_error": true},
                {"type": "text", "text": "So?"},
            ]},
        ],
    })
}

fn sender() -> Sender {
    Sender::new("/v1/messages", HEADERS, "/error/message", conversation())
}

#[test]
fn fields() {
    let claude = sender();
    claude.takes(&[
        ("/metadata", json!({"user_id": "u"})),
        ("/stop_sequences", json!(["."])),
        ("/top_k", json!(3)),
    ]);
    claude.refuses(&[("/n", json!(1))], "n: Extra inputs are not permitted");
    claude.refuses(
        &[("/messages/0/name", json!("x"))],
        "messages.0.name: Extra inputs are not permitted",
    );
    claude.refuses(
        &[("/messages/0/content/0/index", json!(0))],
        "messages.0.content.0.text.index: Extra inputs are not permitted",
    );
    claude.refuses(
        &[("/tools/0/parameters", json!({}))],
        "tools.0.custom.parameters: Extra inputs are not permitted",
    );
    claude.refuses(
        &[("/metadata", json!({"trace": "x"}))],
        "metadata.trace: Extra inputs are not permitted",
    );
    claude.refuses(
        &[("/max_tokens", Value::Null)],
        "max_tokens: Field required",
    );
    claude.refuses(&[("/max_tokens", json!(1e6))], "max_tokens");
    claude.refuses(&[("/model", Value::Null)], "model: Field required");
    claude.refuses(&[("/temperature", json!(1.5))], "temperature: range: 0..1");
    claude.refuses(&[("/stop_sequences", json!([" "]))], "non-whitespace");
    claude.refuses(
        &[("/stream", json!("yes"))],
        "stream: Input should be a valid boolean",
    );
    claude.refuses(&[("/service_tier", json!("flex"))], "service_tier");
    claude.refuses(
        &[("/output_format", json!({}))],
        "output_format: Extra inputs are not permitted",
    );
}

#[test]
fn headers() {
    let claude = sender();
    for (headers, status, kind) in [
        (
            "anthropic-version: 2023-06-01\r\n",
            401,
            "authentication_error",
        ),
        ("x-api-key: k\r\n", 400, "invalid_request_error"),
        (
            "x-api-key: k\r\nanthropic-version: 1\r\n",
            400,
            "invalid_request_error",
        ),
        (
            "x-api-key: sk-ant-revoked\r\nanthropic-version: 2023-06-01\r\n",
            401,
            "authentication_error",
        ),
        (
            "x-api-key: forbidden\r\nanthropic-version: 2023-06-01\r\n",
            403,
            "permission_error",
        ),
    ] {
        let body = conversation().to_string();
        let answer = support::request(&claude.provider, "POST", "/v1/messages", headers, &body);
        assert_eq!(answer.status, status, "{headers}");
        let answer = answer.json();
        assert_eq!(
            (&answer["type"], &answer["error"]["type"]),
            (&json!("error"), &json!(kind))
        );
    }
}

#[test]
fn turns() {
    let claude = sender();
    // Turns of one role are joined.
    claude.takes(&[("/messages/-", json!({"role": "user", "content": "More."}))]);
    claude.refuses(
        &[("/messages", json!([]))],
        "at least one message is required",
    );
    claude.refuses(
        &[("/messages/0/role", json!("system"))],
        "Unexpected role \"system\"",
    );
    claude.refuses(&[("/messages/0/role", json!("tool"))], "messages.0.role");
    claude.refuses(
        &[("/messages", json!([{"role": "assistant", "content": "Hi"}]))],
        "first message must use the \"user\" role",
    );
    claude.refuses(
        &[(
            "/messages/-",
            json!({"role": "assistant", "content": "And "}),
        )],
        "trailing whitespace",
    );
    claude.refuses(&[("/messages/0/content", json!(""))], "non-empty content");
    claude.refuses(
        &[("/messages/0/content/0/text", json!(""))],
        "text content blocks must be non-empty",
    );
    claude.refuses(
        &[("/system/0/text", json!(""))],
        "system: text content blocks must be non-empty",
    );
}

#[test]
fn tool_results() {
    let claude = sender();
    claude.refuses(&[("/messages/2/content/1", Value::Null)], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_2");
    claude.refuses(
        &[("/messages/2", Value::Null)],
        "ids were found without `tool_result` blocks immediately after: toolu_1, toolu_2",
    );
    claude.refuses(
        &[("/messages/1", Value::Null)],
        "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1",
    );
    // Split over two turns.
    let second = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_2", "content": "no"}]});
    claude.refuses(
        &[
            ("/messages/2/content/1", Value::Null),
            ("/messages/-", second),
        ],
        "immediately after: toolu_2",
    );
    // Text before them.
    let text = json!({"type": "text", "text": "first"});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1"});
    let other = json!({"type": "tool_result", "tool_use_id": "toolu_2"});
    claude.takes(&[("/messages/2/content", json!([result, other]))]);
    claude.refuses(
        &[("/messages/2/content", json!([text, result, other]))],
        "must come first",
    );
    claude.refuses(
        &[("/messages/2/content", json!([result, result, other]))],
        "single result",
    );
    claude.refuses(
        &[("/messages/1/content/1/input", json!("{}"))],
        "tool_use.input: Input should be a valid dictionary",
    );
    claude.refuses(
        &[("/messages/1/content/1/id", json!("a b"))],
        "tool_use.id: String should match pattern",
    );
    claude.refuses(
        &[("/messages/2/content/0/content", json!({}))],
        "tool_result.content: Input should be a valid list",
    );
}

#[test]
fn images() {
    let claude = sender();
    let source = "/messages/0/content/1/source";
    let with =
        |media: &str, data: &str| json!({"type": "base64", "media_type": media, "data": data});
    claude.takes(&[(
        source,
        json!({"type": "url", "url": "https://example.com/a.png"}),
    )]);
    claude.refuses(
        &[(
            source,
            json!({"type": "url", "url": "http://example.com/a.png"}),
        )],
        "Only HTTPS URLs",
    );
    claude.refuses(
        &[(source, with("image/png", "not base64!"))],
        "Invalid base64 data",
    );
    claude.refuses(
        &[(source, with("image/bmp", PNG))],
        "Input should be 'image/jpeg'",
    );
    claude.refuses(
        &[(source, with("image/jpeg", PNG))],
        "appears to be a image/png image",
    );
    claude.refuses(
        &[(source, with("image/png", "aGVsbG8="))],
        "Could not process image",
    );
    let document = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
    claude.takes(&[("/messages/0/content/1", document)]);
}

#[test]
fn tools() {
    let claude = sender();
    claude.takes(&[(
        "/tool_choice",
        json!({"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true}),
    )]);
    claude.refuses(
        &[("/tools/0/name", json!("get.weather"))],
        "tools.0.custom.name: String should match pattern",
    );
    claude.refuses(
        &[("/tools/0/name", json!("a".repeat(129)))],
        "tools.0.custom.name",
    );
    claude.refuses(
        &[("/tools/0/name", json!("no_arguments"))],
        "Tool names must be unique",
    );
    claude.refuses(
        &[("/tools/0/input_schema", json!({}))],
        "tools.0.custom.input_schema.type: Field required",
    );
    claude.refuses(
        &[("/tools/0/input_schema", json!({"type": "array"}))],
        "Input should be 'object'",
    );
    claude.refuses(
        &[("/tools/0/input_schema", Value::Null)],
        "tools.0.custom.input_schema: Field required",
    );
    claude.refuses(
        &[("/tools/0/input_schema/anyOf", json!([{}]))],
        "does not support oneOf, allOf, or anyOf",
    );
    claude.refuses(
        &[(
            "/tools/0/input_schema/properties/city/required",
            json!(true),
        )],
        "JSON schema is invalid",
    );
    claude.refuses(
        &[(
            "/tools/0/input_schema/properties/city",
            json!({"$ref": "#/$defs/x"}),
        )],
        "JSON schema is invalid",
    );
    claude.refuses(
        &[("/tools/0/strict", json!(true))],
        "'additionalProperties' must be explicitly set to false",
    );
    claude.refuses(&[("/tool_choice", json!("auto"))], "tool_choice");
    claude.refuses(
        &[("/tool_choice", json!({"type": "required"}))],
        "does not match any of the expected tags",
    );
    claude.refuses(
        &[("/tool_choice", json!({"type": "tool", "name": "x"}))],
        "Tool 'x' not found",
    );
    claude.refuses(
        &[(
            "/tool_choice",
            json!({"type": "none", "disable_parallel_tool_use": true}),
        )],
        "Extra inputs",
    );
    claude.refuses(
        &[
            ("/messages", json!([{"role": "user", "content": "x"}])),
            ("/tools", json!([])),
            ("/tool_choice", json!({"type": "auto"})),
        ],
        "may only be specified while providing tools",
    );
}

#[test]
fn thinking() {
    let claude = sender();
    let question = ("/messages", json!([{"role": "user", "content": "x"}]));
    let enabled = (
        "/thinking",
        json!({"type": "enabled", "budget_tokens": 1024}),
    );
    let with = |more: (&'static str, Value)| [question.clone(), enabled.clone(), more];
    claude.takes(&[question.clone(), enabled.clone()]);
    claude.takes(&[question.clone(), ("/thinking", json!({"type": "adaptive"}))]);
    claude.refuses(
        &[(
            "/thinking",
            json!({"type": "enabled", "budget_tokens": 512}),
        )],
        "greater than or equal to 1024",
    );
    claude.refuses(
        &[("/thinking", json!({"type": "enabled"}))],
        "budget_tokens: Field required",
    );
    claude.refuses(
        &with(("/max_tokens", json!(1024))),
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    );
    claude.refuses(
        &with(("/temperature", json!(0.5))),
        "`temperature` may only be set to 1",
    );
    claude.refuses(&with(("/top_p", json!(0.5))), "`top_p` must be");
    claude.refuses(&with(("/top_k", json!(5))), "`top_k` must be unset");
    claude.refuses(
        &with(("/tool_choice", json!({"type": "any"}))),
        "Thinking may not be enabled when tool_choice forces tool use",
    );
    claude.refuses(
        std::slice::from_ref(&enabled),
        "Expected `thinking` or `redacted_thinking`, but found `text`",
    );
    let thought = |signature: &str| {
        (
            "/messages/1/content/0",
            json!({"type": "thinking", "thinking": "Hm.", "signature": signature}),
        )
    };
    claude.takes(&[enabled.clone(), thought(mock_provider::THOUGHT_SIGNATURE)]);
    claude.refuses(
        &[enabled, thought("c29tZXRoaW5nIGVsc2U=")],
        "Invalid `signature` in `thinking` block",
    );
}

#[test]
fn cache_and_output() {
    let claude = sender();
    let marker = json!({"type": "ephemeral", "ttl": "1h"});
    claude.takes(&[
        ("/messages/0/content/0/cache_control", marker.clone()),
        ("/tools/1/cache_control", marker.clone()),
    ]);
    claude.refuses(
        &[(
            "/tools/1/cache_control",
            json!({"type": "ephemeral", "ttl": "2h"}),
        )],
        "cache_control.ephemeral.ttl",
    );
    let many: Vec<_> = [
        "/messages/0/content/0/cache_control",
        "/messages/0/content/1/cache_control",
        "/tools/0/cache_control",
        "/tools/1/cache_control",
    ]
    .map(|at| (at, marker.clone()))
    .into();
    claude.refuses(
        &many,
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    );
    let format = |schema: Value| {
        (
            "/output_config",
            json!({"effort": "high", "format": {"type": "json_schema", "schema": schema}}),
        )
    };
    claude.takes(&[format(json!({"type": "object", "additionalProperties": false, "properties": {"a": {"type": "string"}}}))]);
    claude.refuses(
        &[format(parameters())],
        "'additionalProperties' must be explicitly set to false",
    );
    claude.refuses(
        &[format(json!({"type": "string", "maxLength": 3}))],
        "For 'string' type, properties maxLength are not supported",
    );
    claude.refuses(
        &[("/output_config", json!({"effort": "minimal"}))],
        "output_config.effort",
    );
}

#[test]
fn counting() {
    let mut body = conversation();
    body.as_object_mut().unwrap().remove("max_tokens");
    let counter = Sender::new("/v1/messages/count_tokens", HEADERS, "/error/message", body);
    assert_eq!(counter.send(&[]).json(), json!({"input_tokens": 14}));
    counter.refuses(
        &[("/max_tokens", json!(1))],
        "max_tokens: Extra inputs are not permitted",
    );
    counter.refuses(&[("/messages", Value::Null)], "messages: Field required");
}

#[test]
fn the_second_version() {
    const SECOND: &str = "authorization: Bearer sk-ant-test\r\nanthropic-version: 2026-10-21\r\n";
    let claude = Sender::new("/v1/messages", SECOND, "/error/message", conversation());
    for name in ["temperature", "top_p", "top_k"] {
        let why = format!("{name}: Extra inputs are not permitted");
        claude.refuses(&[(&format!("/{name}"), json!(1))], &why);
        sender().takes(&[(&format!("/{name}"), json!(1))]);
    }
    let system = json!({"role": "system", "content": "Now be long."});
    claude.takes(&[("/messages/-", system.clone())]);
    sender().refuses(&[("/messages/-", system)], "Unexpected role \"system\"");
    let document = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
    claude.refuses(
        &[("/messages/1/content/0", document.clone())],
        "not permitted in assistant messages",
    );
    sender().takes(&[("/messages/1/content/0", document)]);
    let citations = json!([{"type": "char_location"}]);
    claude.refuses(
        &[("/messages/0/content/0/citations", citations.clone())],
        "citations are not permitted",
    );
    sender().takes(&[("/messages/0/content/0/citations", citations)]);
}
