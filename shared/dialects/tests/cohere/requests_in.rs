//! Requests as they are read.

use lockgate_dialects::{
    Content, Dialect, Format, Reasoning, ReasoningMode, Request, Role, Source, Tool, ToolChoice,
    decode_request,
};

use crate::{call, json, result, said, turn};

fn read(body: &str) -> Request<'_> {
    decode_request(Dialect::Cohere, body).unwrap()
}

#[test]
fn a_conversation_is_read() {
    let body = r#"{"model": "m", "stream": true, "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "text", "text": ""},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}}]},
        {"role": "assistant", "tool_plan": "I will look.", "content": [{"type": "thinking", "thinking": "Hm"}],
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.0}"}},
                {"id": "b", "type": "function", "function": {"name": "f"}}], "citations": [{"start": 1}]},
        {"role": "tool", "tool_call_id": "a", "content": "Sunny"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "document", "document": {"data": {"t": 1.10}}}]},
        {"role": "assistant", "content": ""}]}"#;
    let thought = |text: &'static str| {
        Content::Reasoning {
            text: text.into(),
            signature: None,
            id: None,
        }
        .into()
    };
    let request = read(body);
    assert!(request.stream && request.stream_usage);
    assert_eq!(
        request.turns,
        [
            said(Role::System, "Be brief."),
            turn(
                Role::User,
                vec![
                    Content::text("What is this?").into(),
                    Content::Image {
                        source: Source::Base64 {
                            media_type: "image/png".into(),
                            data: "QUJD".into()
                        },
                        detail: Some("low".into())
                    }
                    .into(),
                ]
            ),
            turn(
                Role::Assistant,
                vec![
                    thought("I will look."),
                    thought("Hm"),
                    call("a", "f", r#"{"x": 1.0}"#),
                    call("b", "f", ""),
                ]
            ),
            turn(
                Role::Tool,
                vec![
                    result("a", vec![Content::text("Sunny").into()], false),
                    result(
                        "b",
                        vec![Content::text(r#"{"data": {"t": 1.10}}"#).into()],
                        false
                    ),
                ]
            ),
        ]
    );
}

#[test]
fn settings_are_read() {
    let body = r#"{"model": "m", "messages": [], "max_tokens": 100, "temperature": 0.30, "p": 0.9, "k": 40, "seed": 7,
        "frequency_penalty": 0.1, "presence_penalty": 0.2, "stop_sequences": ["END"], "logprobs": true,
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": { "type": "object" }}}],
        "strict_tools": true, "tool_choice": "REQUIRED", "thinking": {"type": "enabled", "token_budget": 500},
        "response_format": {"type": "json_object", "schema": {"type": "object"}}, "safety_mode": "STRICT", "priority": 1}"#;
    let request = read(body);
    assert_eq!(request.max_tokens, Some(100));
    let sampling = &request.sampling;
    assert_eq!(sampling.temperature, Some(json("0.30")));
    assert_eq!(sampling.top_p, Some(json("0.9")));
    assert_eq!(sampling.top_k, Some(json("40")));
    assert_eq!(sampling.seed, Some(json("7")));
    assert_eq!(sampling.frequency_penalty, Some(json("0.1")));
    assert_eq!(sampling.presence_penalty, Some(json("0.2")));
    assert_eq!(request.stop, ["END"]);
    assert_eq!(request.logprobs, Some(true));
    assert_eq!(
        request.tools,
        [Tool::Function {
            name: "f".into(),
            description: Some("d".into()),
            parameters: Some(json(r#"{ "type": "object" }"#)),
            strict: Some(true),
            cache: None
        }]
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Required));
    assert_eq!(
        request.reasoning,
        Some(Reasoning {
            mode: ReasoningMode::On,
            budget_tokens: Some(500),
            ..Reasoning::default()
        })
    );
    assert!(matches!(request.format, Some(Format::Schema { .. })));
    let names: Vec<_> = request.extra.iter().map(|extra| &*extra.name).collect();
    assert_eq!(names, ["safety_mode", "priority"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (body, problem) in [
        ("[]", "The body must be an object"),
        (r#"{"model":"m"}"#, "messages is missing"),
        (
            r#"{"messages":[{"role":"chatbot"}]}"#,
            "messages[0].role must be system, user, assistant or tool",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","x":1}]}]}"#,
            "messages[0].content[0].x is not known here",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"video"}]}]}"#,
            "messages[0].content[0].type is not known here",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u","detail":1}}]}]}"#,
            "messages[0].content[0].image_url.detail must be text",
        ),
        (
            r#"{"messages":[{"role":"tool","content":"x"}]}"#,
            "messages[0].tool_call_id is missing",
        ),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"arguments":""}}]}]}"#,
            "messages[0].tool_calls[0].function.name is missing",
        ),
        (
            r#"{"messages":[],"tools":[{"type":"function","function":{"name":"f","strict":true}}]}"#,
            "tools[0].function.strict is not known here",
        ),
        (
            r#"{"messages":[],"tool_choice":"AUTO"}"#,
            "tool_choice must be REQUIRED or NONE",
        ),
        (
            r#"{"messages":[],"thinking":{"type":"adaptive"}}"#,
            "thinking.type must be enabled or disabled",
        ),
        (
            r#"{"messages":[],"response_format":{"type":"xml"}}"#,
            "response_format.type must be text or json_object",
        ),
        (
            r#"{"messages":[],"stop_sequences":["a",1]}"#,
            "stop_sequences[1] must be text",
        ),
    ] {
        let said = decode_request(Dialect::Cohere, body).unwrap_err();
        assert_eq!(said.to_string(), problem, "{body}");
    }
}
