//! Requests as they are read.

use lockgate_dialects::{
    Cache, Content, Dialect, Format, Reasoning, ReasoningMode, Request, Role, Source, Tool,
    ToolChoice, decode_request,
};

use crate::{call, json, result, turn};

fn read(body: &str) -> Request<'_> {
    decode_request(Dialect::Bedrock, body).unwrap()
}

#[test]
fn a_conversation_is_read() {
    let body = r#"{
        "system": [{"text": "Be brief."}, {"text": ""}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [{"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": "QUJD"}}},
                {"document": {"name": "notes", "source": {"bytes": "QUJD"}, "citations": {"enabled": false}}},
                {"document": {"format": "pdf", "name": "a", "source": {"s3Location": {"uri": "s3://b/a.pdf"}}}},
                {"document": {"format": "txt", "name": "b", "source": {"content": [{"text": "Words"}]}}}]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "sig"}}},
                {"reasoningContent": {"redactedContent": "QUJD"}},
                {"citationsContent": {"content": [{"text": "A"}, {"text": "B"}], "citations": []}},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"n": 123456789012345678901234567890}}}]},
            {"role": "user", "content": [{"text": "And?"},
                {"toolResult": {"toolUseId": "t1", "status": "error", "content": [{"json": {"a": 1.10}}, {"text": "x"}]}},
                {"cachePoint": {"type": "default"}}]}
        ]}"#;
    let part = |content: Content<'static>| content.into();
    let file = |name: &'static str, source| {
        part(Content::File {
            source,
            name: Some(name.into()),
        })
    };
    let mut system = turn(Role::System, vec![part(Content::text("Be brief."))]);
    system.parts[0].cache = Some(Cache {
        ttl: Some("1h".into()),
    });
    let mut answered = result(
        "t1",
        vec![
            part(Content::text(r#"{"a": 1.10}"#)),
            part(Content::text("x")),
        ],
        true,
    );
    answered.cache = Some(Cache { ttl: None });
    assert_eq!(
        read(body).turns,
        [
            system,
            turn(
                Role::User,
                vec![
                    part(Content::text("What is this?")),
                    part(Content::Image {
                        source: Source::Base64 {
                            media_type: "image/png".into(),
                            data: "QUJD".into()
                        },
                        detail: None
                    }),
                    file("notes", Source::Text("ABC".into())),
                    file("a", Source::Url("s3://b/a.pdf".into())),
                    file("b", Source::Text("Words".into())),
                ]
            ),
            turn(
                Role::Assistant,
                vec![
                    part(Content::Reasoning {
                        text: "Hm".into(),
                        signature: Some("sig".into()),
                        id: None
                    }),
                    part(Content::Redacted {
                        data: "QUJD".into()
                    }),
                    part(Content::text("AB")),
                    call("t1", "f", r#"{"n": 123456789012345678901234567890}"#),
                ]
            ),
            turn(Role::Tool, vec![answered]),
            turn(Role::User, vec![part(Content::text("And?"))]),
        ]
    );
}

#[test]
fn settings_are_read() {
    let body = r#"{
        "modelId": "m", "messages": [],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.50, "topP": 0.9, "stopSequences": ["END"]},
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "description": "d", "strict": true,
            "inputSchema": {"json": { "type": "object" }}}}, {"cachePoint": {"type": "default"}}, {"systemTool": {"name": "nova_grounding"}}],
            "toolChoice": {"tool": {"name": "f"}}},
        "additionalModelRequestFields": {"top_k": 40, "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tool_choice": {"disable_parallel_tool_use": true}, "anthropic_beta": ["x"], "n": 1e2},
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"name": "s", "schema": "{ \"type\": \"object\" }"}}}},
        "requestMetadata": {"a": "b"}, "serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "optimized"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"]}"#;
    let request = read(body);
    assert_eq!(request.model, "m");
    assert_eq!(request.max_tokens, Some(100));
    assert_eq!(request.sampling.temperature, Some(json("0.50")));
    assert_eq!(request.sampling.top_p, Some(json("0.9")));
    assert_eq!(request.sampling.top_k, Some(json("40")));
    assert_eq!(request.stop, ["END"]);
    assert_eq!(
        request.tools,
        [
            Tool::Function {
                name: "f".into(),
                description: Some("d".into()),
                parameters: Some(json(r#"{ "type": "object" }"#)),
                strict: Some(true),
                cache: Some(Cache { ttl: None })
            },
            Tool::Other {
                kind: "systemTool".into(),
                value: json(r#"{"systemTool": {"name": "nova_grounding"}}"#)
            },
        ]
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!(request.parallel_tool_calls, Some(false));
    assert_eq!(
        request.reasoning,
        Some(Reasoning {
            mode: ReasoningMode::On,
            budget_tokens: Some(2_000),
            ..Reasoning::default()
        })
    );
    assert_eq!(
        request.format,
        Some(Format::Schema {
            name: Some("s".into()),
            description: None,
            schema: json(r#"{ "type": "object" }"#),
            strict: Some(true)
        })
    );
    assert_eq!(request.metadata, Some(json(r#"{"a": "b"}"#)));
    assert_eq!(request.service_tier.as_deref(), Some("flex"));
    let extra: Vec<_> = request
        .extra
        .iter()
        .map(|extra| (&*extra.name, extra.value.as_str()))
        .collect();
    assert_eq!(
        extra,
        [
            (
                "additionalModelRequestFields",
                r#"{"anthropic_beta":["x"],"n":1e2}"#
            ),
            ("performanceConfig", r#"{"latency": "optimized"}"#),
        ]
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (body, problem) in [
        ("[]", "The body must be an object"),
        (r#"{"messages":{}}"#, "messages must be an array"),
        (
            r#"{"messages":[{"role":"tool"}]}"#,
            "messages[0].role must be user or assistant",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"text":"a"},{"text":"b","image":{}}]}]}"#,
            "messages[0].content[1] must have exactly one member",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"guardContent":{}}]}]}"#,
            "messages[0].content[0].guardContent is not known here",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"video":{}}]}]}"#,
            "messages[0].content[0].video is not known here",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"image":{"format":"bmp","source":{"bytes":""}}}]}]}"#,
            "messages[0].content[0].image.format must be png, jpeg, gif or webp",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/a","bucketOwner":"1"}}}}]}]}"#,
            "messages[0].content[0].image.source.s3Location.bucketOwner is not known here",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"document":{"format":"pdf","name":"a","source":{"bytes":""},"citations":{"enabled":true}}}]}]}"#,
            "messages[0].content[0].document.citations cannot be said to this provider",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"cachePoint":{"type":"default"}}]}]}"#,
            "messages[0].content[0].cachePoint must stand behind what is to be cached",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"toolResult":{"toolUseId":"a","content":[{"video":{}}]}}]}]}"#,
            "messages[0].content[0].toolResult.content[0].video is not known here",
        ),
        (
            r#"{"inferenceConfig":{"topK":4}}"#,
            "inferenceConfig.topK is not known here",
        ),
        (
            r#"{"toolConfig":{"toolChoice":{"none":{}}}}"#,
            "toolConfig.toolChoice.none is not known here",
        ),
        (
            r#"{"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{"}}}}}"#,
            "outputConfig.textFormat.schema must be the text of a JSON schema",
        ),
        (
            r#"{"additionalModelRequestFields":{"thinking":{"type":"maybe"}}}"#,
            "additionalModelRequestFields.type must be enabled, adaptive or disabled",
        ),
    ] {
        let said = decode_request(Dialect::Bedrock, body).unwrap_err();
        assert_eq!(said.to_string(), problem, "{body}");
    }
}
