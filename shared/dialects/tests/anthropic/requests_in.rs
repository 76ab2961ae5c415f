//! Requests as they are read.

use lockgate_dialects::{
    Cache, Content, Dialect, Extra, Format, Part, Problem, Reasoning, ReasoningMode, Request, Role,
    Source, Tool, ToolChoice, decode_request,
};

use crate::{hello, json, said, turn};

fn read(body: &str) -> Request<'_> {
    decode_request(Dialect::Anthropic, body).unwrap()
}

/// With these messages and nothing else.
fn refused(messages: &str) -> String {
    let body = format!(r#"{{"model":"m","max_tokens":1,"messages":{messages}}}"#);
    let problem: Problem = decode_request(Dialect::Anthropic, &body).unwrap_err();
    problem.to_string()
}

#[test]
fn text_is_read_as_text_or_as_blocks() {
    for content in [
        r#""Hi""#,
        r#"[{"type":"text","text":"Hi"}]"#,
        r#"[{"type":"text","text":""},{"type":"text","text":"Hi","citations":null}]"#,
    ] {
        let body = format!(
            r#"{{"model":"m","max_tokens":100,"messages":[{{"role":"user","content":{content}}}]}}"#
        );
        assert_eq!(read(&body), hello());
    }
}

#[test]
fn instructions_are_read_wherever_they_stand() {
    let request = read(
        r#"{"model":"m","system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[
            {"role":"user","content":[{"type":"text","text":"Hi"},
                {"type":"mid_conv_system","content":[{"type":"text","text":"B"}]},
                {"type":"text","text":"there"}]},
            {"role":"system","content":"C"}]}"#,
    );
    let mut first = said(Role::System, "A");
    first.parts.first_mut().unwrap().cache = Some(Cache {
        ttl: Some("1h".into()),
    });
    assert_eq!(
        request.turns,
        [
            first,
            said(Role::User, "Hi"),
            said(Role::System, "B"),
            said(Role::User, "there"),
            said(Role::System, "C"),
        ]
    );
}

#[test]
fn results_stand_in_one_turn_right_behind_the_calls() {
    let request = read(
        r#"{"model":"m","messages":[
            {"role":"assistant","content":[
                {"type":"tool_use","id":"a","name":"f","input":{"n":12345678901234567890,"x":1.10},"caller":{"type":"direct"}},
                {"type":"tool_use","id":"b","name":"g","input":{}}]},
            {"role":"user","content":[{"type":"text","text":"And?"},
                {"type":"tool_result","tool_use_id":"a","content":"1","is_error":true}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"b"}]}]}"#,
    );
    let call = |id: &'static str, name: &'static str, arguments: &'static str| {
        Part::from(Content::ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let result = |id: &'static str, parts: Vec<Part<'static>>, error| {
        Part::from(Content::ToolResult {
            id: id.into(),
            name: None,
            parts,
            error,
        })
    };
    assert_eq!(
        request.turns,
        [
            turn(
                Role::Assistant,
                vec![
                    call("a", "f", r#"{"n":12345678901234567890,"x":1.10}"#),
                    call("b", "g", "{}"),
                ]
            ),
            turn(
                Role::Tool,
                vec![
                    result("a", vec![Content::text("1").into()], true),
                    result("b", Vec::new(), false),
                ]
            ),
            said(Role::User, "And?"),
        ]
    );
}

#[test]
fn pictures_and_documents_are_read_from_every_source() {
    let request = read(
        r#"{"model":"m","messages":[{"role":"user","content":[
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},
            {"type":"image","source":{"type":"url","url":"https://a/b.png"}},
            {"type":"image","source":{"type":"file","file_id":"file_1"}},
            {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AA=="},"title":"T"},
            {"type":"document","source":{"type":"url","url":"https://a/b.pdf"},"citations":{"enabled":false}},
            {"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}}]}]}"#,
    );
    let image = |source| {
        Part::from(Content::Image {
            source,
            detail: None,
        })
    };
    let file = |source, name: Option<&'static str>| {
        Part::from(Content::File {
            source,
            name: name.map(Into::into),
        })
    };
    let bytes = |media_type: &'static str| Source::Base64 {
        media_type: media_type.into(),
        data: "AA==".into(),
    };
    let parts = vec![
        image(bytes("image/png")),
        image(Source::Url("https://a/b.png".into())),
        image(Source::Id("file_1".into())),
        file(bytes("application/pdf"), Some("T")),
        file(Source::Url("https://a/b.pdf".into()), None),
        file(Source::Text("words".into()), None),
    ];
    assert_eq!(request.turns, [turn(Role::User, parts)]);
    assert_eq!(request.extra, []);
}

#[test]
fn settings_are_read() {
    let request = read(
        r#"{"model":"m","messages":[],"max_tokens":4096,"stop_sequences":["a","b"],"stream":true,
            "temperature":0.70,"top_p":0.9,"top_k":5,"metadata":{"user_id":"u"},"service_tier":"standard_only",
            "tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true,"cache_control":{"type":"ephemeral"}},
                {"type":"web_search_20250305","name":"web_search","max_uses":5}],
            "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},
            "thinking":{"type":"enabled","budget_tokens":2048},
            "output_config":{"effort":"max","format":{"type":"json_schema","schema":{"type":"object"}}},
            "container":"c","cache_control":null}"#,
    );
    let mut expected = Request {
        model: "m".into(),
        max_tokens: Some(4096),
        stop: vec!["a".into(), "b".into()],
        stream: true,
        stream_usage: true,
        user: Some("u".into()),
        service_tier: Some("default".into()),
        tools: vec![
            Tool::Function {
                name: "f".into(),
                description: Some("d".into()),
                parameters: Some(json(r#"{"type":"object"}"#)),
                strict: Some(true),
                cache: Some(Cache { ttl: None }),
            },
            Tool::Other {
                kind: "web_search_20250305".into(),
                value: json(r#"{"type":"web_search_20250305","name":"web_search","max_uses":5}"#),
            },
        ],
        tool_choice: Some(ToolChoice::Named("f".into())),
        parallel_tool_calls: Some(false),
        reasoning: Some(Reasoning {
            mode: ReasoningMode::On,
            effort: Some("max".into()),
            budget_tokens: Some(2048),
            summary: Some("auto".into()),
        }),
        format: Some(Format::Schema {
            name: None,
            description: None,
            schema: json(r#"{"type":"object"}"#),
            strict: Some(true),
        }),
        extra: vec![Extra {
            name: "container".into(),
            value: json(r#""c""#),
        }],
        ..Request::default()
    };
    expected.sampling.temperature = Some(json("0.70"));
    expected.sampling.top_p = Some(json("0.9"));
    expected.sampling.top_k = Some(json("5"));
    assert_eq!(request, expected);
}

#[test]
fn thinking_is_read_in_each_form() {
    let reasoning = |config: &str| {
        let body = format!(r#"{{"model":"m","messages":[],"thinking":{config}}}"#);
        let request = read(&body);
        let reasoning = request.reasoning.unwrap();
        let told = reasoning.summary.is_some();
        (reasoning.mode, reasoning.budget_tokens, told)
    };
    let omitted = r#"{"type":"adaptive","display":"omitted"}"#;
    let summarized = r#"{"type":"adaptive","display":"summarized"}"#;
    for off in [r#"{"type":"disabled"}"#, r#"{"type":"between_tools"}"#] {
        assert_eq!(reasoning(off), (ReasoningMode::Off, None, false));
    }
    assert_eq!(reasoning(omitted), (ReasoningMode::Adaptive, None, false));
    assert_eq!(reasoning(summarized), (ReasoningMode::Adaptive, None, true));
    assert_eq!(
        reasoning(r#"{"type":"enabled","budget_tokens":1024}"#),
        (ReasoningMode::On, Some(1024), true)
    );
}

#[test]
fn what_only_steers_is_told_by_its_path() {
    let request = read(
        r#"{"model":"m","messages":[{"role":"user","content":[
            {"type":"text","text":"Hi"},
            {"type":"document","source":{"type":"text","data":"x"},"context":"c","citations":{"enabled":true}}]}],
            "tools":[{"name":"f","input_schema":{},"input_examples":[]}],"output_config":{"task_budget":{"type":"tokens"}}}"#,
    );
    let names: Vec<&str> = request.extra.iter().map(|extra| &*extra.name).collect();
    assert_eq!(
        names,
        [
            "messages[0].content[1].citations",
            "messages[0].content[1].context",
            "tools[0].input_examples",
            "output_config.task_budget",
        ]
    );
}

#[test]
fn a_calls_own_signature_comes_back_to_it() {
    let request = read(
        r#"{"model":"m","messages":[{"role":"assistant","content":[
            {"type":"thinking","thinking":"","signature":"mine"},
            {"type":"tool_use","id":"a","name":"f","input":{}},
            {"type":"thinking","thinking":"","signature":"tool_use:c2ln"}]}]}"#,
    );
    let parts = &request.turns.first().unwrap().parts;
    assert_eq!(parts.len(), 2);
    assert!(
        matches!(&parts.last().unwrap().content, Content::ToolCall { signature: Some(s), .. } if s == "c2ln")
    );
}

#[test]
fn problems_say_where_they_are() {
    for (messages, problem) in [
        ("1", "messages must be an array"),
        (
            r#"[{"role":"robot","content":""}]"#,
            "messages[0].role must be user, assistant or system",
        ),
        (r#"[{"role":"user"}]"#, "messages[0].content is missing"),
        (
            r#"[{"role":"user","content":1}]"#,
            "messages[0].content must be text or an array",
        ),
        (
            r#"[{"role":"user","content":[{"type":"text","text":1}]}]"#,
            "messages[0].content[0].text must be text",
        ),
        (
            r#"[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b","foo":1}]}]"#,
            "messages[1].content[0].foo is not known here",
        ),
        (
            r#"[{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}}]}]"#,
            "messages[0].content[0] is of the type `server_tool_use`, which the gateway cannot translate",
        ),
        (
            r#"[{"role":"user","content":[{"type":"image","source":{"type":"ftp"}}]}]"#,
            "messages[0].content[0].source.type must be base64, url, file, text or content",
        ),
        (
            r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text"}]}]}]"#,
            "messages[0].content[0].content[0].text is missing",
        ),
        (
            r#"[{"role":"system","content":[{"type":"image","source":{"type":"url","url":"u"}}]}]"#,
            "messages[0].content[0] must be text",
        ),
        (
            r#"[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"x"}}]}]"#,
            "messages[0].content[0].cache_control.type must be ephemeral",
        ),
    ] {
        assert_eq!(refused(messages), problem);
    }
}
