//! Requests as they are written.

use lockgate_dialects::{
    Cache, Citation, Content, Dialect, Extra, Format, Part, Reasoning, Request, Role, Source, Tool,
    ToolChoice, encode_request,
};

use crate::{encode, hello, json, said, sent, target, turn};

fn messages(request: &Request<'_>) -> String {
    let body = sent(request);
    let (_, after) = body.split_once(r#""messages":"#).unwrap();
    after.strip_suffix('}').unwrap().to_owned()
}

fn call(id: &'static str) -> Part<'static> {
    Content::ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: None,
    }
    .into()
}

fn result(id: &'static str, parts: Vec<Part<'static>>) -> Part<'static> {
    Content::ToolResult {
        id: id.into(),
        name: None,
        parts,
        error: false,
    }
    .into()
}

fn function(name: &'static str, parameters: Option<&'static str>) -> Tool<'static> {
    Tool::Function {
        name: name.into(),
        description: None,
        parameters: parameters.map(json),
        strict: None,
        cache: None,
    }
}

#[test]
fn the_least_request() {
    assert_eq!(
        sent(&hello()),
        r#"{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]}"#
    );
}

#[test]
fn instructions_are_joined() {
    let mut request = hello();
    request.turns.insert(0, said(Role::System, "A"));
    assert!(sent(&request).contains(r#""system":"A","messages""#));
    request.turns.push(said(Role::Developer, "B"));
    assert!(sent(&request).contains(
        r#""system":[{"type":"text","text":"A"},{"type":"text","text":"B"}],"messages":[{"role":"user","content":"Hi"}]}"#
    ));
}

#[test]
fn results_and_what_the_user_says_next_are_one_message() {
    let mut request = hello();
    request.turns.extend([
        turn(Role::Assistant, vec![call("call.1"), call("b")]),
        turn(
            Role::Tool,
            vec![
                result("call.1", vec![Content::text(r#"{"a":"b"}"#).into()]),
                result("b", Vec::new()),
            ],
        ),
        said(Role::System, "Be brief."),
        said(Role::User, "And?"),
        said(Role::User, "Well?"),
    ]);
    assert_eq!(
        messages(&request),
        concat!(
            r#"[{"role":"user","content":"Hi"},"#,
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"call_2e_1","name":"f","input":{}},"#,
            r#"{"type":"tool_use","id":"b","name":"f","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_2e_1","content":"{\"a\":\"b\"}"},"#,
            r#"{"type":"tool_result","tool_use_id":"b"},{"type":"text","text":"And?"}]},"#,
            r#"{"role":"user","content":"Well?"}]"#
        )
    );
}

#[test]
fn empty_texts_are_never_sent() {
    let mut request = hello();
    request.turns.extend([
        turn(
            Role::Assistant,
            vec![
                Content::text("").into(),
                call("a"),
                Content::text(" \n").into(),
            ],
        ),
        turn(
            Role::Tool,
            vec![result("a", vec![Content::text("").into()])],
        ),
        said(Role::Assistant, ""),
        turn(
            Role::User,
            vec![Content::text("").into(), Content::text("x").into()],
        ),
    ]);
    assert_eq!(
        messages(&request),
        concat!(
            r#"[{"role":"user","content":"Hi"},"#,
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]},"#,
            r#"{"role":"user","content":[{"type":"text","text":"x"}]}]"#
        )
    );
}

#[test]
fn parts_keep_their_cache_markers() {
    let mut request = hello();
    let first = request.turns.first_mut().unwrap();
    first.parts.first_mut().unwrap().cache = Some(Cache {
        ttl: Some("1h".into()),
    });
    assert_eq!(
        messages(&request),
        r#"[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]"#
    );
}

#[test]
fn documents_are_pdf_or_text() {
    let send = |source: Source<'static>| {
        let mut request = hello();
        let file = Content::File { source, name: None };
        request.turns = vec![turn(Role::User, vec![file.into()])];
        encode(&request, "m").map(|encoded| String::from_utf8(encoded.body).unwrap())
    };
    let bytes = |media_type: &'static str, data: &'static str| Source::Base64 {
        media_type: media_type.into(),
        data: data.into(),
    };
    let text =
        r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"hé"}}"#;
    assert!(
        send(bytes("text/csv; charset=utf-8", "aMOp"))
            .unwrap()
            .contains(text)
    );
    assert!(send(Source::Text("hé".into())).unwrap().contains(text));
    assert!(send(bytes("application/pdf", "JVBE")).unwrap().contains(
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}"#
    ));
    for (media_type, data) in [
        ("text/plain", "/w=="),
        ("text/plain", "!"),
        ("application/zip", "UEsD"),
    ] {
        let refused = send(bytes(media_type, data)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Claude cannot do what `messages[0].file` asks for (files in base64 (PDF): documents are PDF or plain text in UTF-8)."
        );
    }
}

#[test]
fn schemas_are_sent_as_they_are() {
    let schema = r#"{"$schema":"x","type":"object","properties":{"n":{"maximum":1e400,"default":12345678901234567890.10}}}"#;
    let mut request = hello();
    request.tools = vec![
        function("a", Some(schema)),
        function("b", None),
        function("c", Some("{ }")),
    ];
    let body = sent(&request);
    let least = r#""input_schema":{"type":"object"}}"#;
    assert!(body.contains(&format!(
        r#""tools":[{{"name":"a","input_schema":{schema}}},{{"name":"b",{least},{{"name":"c",{least}]"#
    )));
}

#[test]
fn the_choice_of_tools() {
    let choice = |choice: Option<ToolChoice<'static>>, parallel: Option<bool>| {
        let mut request = hello();
        request.tools = vec![function("a", None), function("b", None)];
        request.tool_choice = choice;
        request.parallel_tool_calls = parallel;
        let body = sent(&request);
        let (_, tools) = body.split_once(r#""tools":["#).unwrap();
        let count = tools.matches("input_schema").count();
        let choice = tools.split_once(r#""tool_choice":"#);
        let choice = choice.map(|(_, rest)| rest.strip_suffix('}').unwrap().to_owned());
        (count, choice.unwrap_or_default())
    };
    let all = |text: &str| (2, text.to_owned());
    assert_eq!(choice(None, None), all(""));
    assert_eq!(choice(None, Some(true)), all(""));
    assert_eq!(
        choice(None, Some(false)),
        all(r#"{"type":"auto","disable_parallel_tool_use":true}"#)
    );
    assert_eq!(
        choice(Some(ToolChoice::Required), Some(true)),
        all(r#"{"type":"any","disable_parallel_tool_use":false}"#)
    );
    assert_eq!(
        choice(Some(ToolChoice::None), Some(false)),
        all(r#"{"type":"none"}"#)
    );
    assert_eq!(
        choice(Some(ToolChoice::Named("b".into())), None),
        all(r#"{"type":"tool","name":"b"}"#)
    );
    let some = ToolChoice::Allowed {
        names: vec!["b".into()],
        required: true,
    };
    assert_eq!(
        choice(Some(some), None),
        (1, r#"{"type":"any"}"#.to_owned())
    );
}

#[test]
fn without_tools_there_is_no_choice() {
    let mut request = hello();
    request.tool_choice = Some(ToolChoice::Auto);
    request.parallel_tool_calls = Some(false);
    assert_eq!(sent(&request), sent(&hello()));
}

#[test]
fn own_tools_are_sent_and_others_refused() {
    let other = |kind: &'static str, value: &'static str| {
        let mut request = hello();
        request.tools = vec![Tool::Other {
            kind: kind.into(),
            value: json(value),
        }];
        encode(&request, "m")
    };
    let bash = r#"{"type":"bash_20250124","name":"bash"}"#;
    let encoded = other("bash_20250124", bash).unwrap();
    assert!(
        String::from_utf8(encoded.body)
            .unwrap()
            .contains(&format!(r#""tools":[{bash}]"#))
    );
    let refused = other("web_search_preview", r#"{"type":"web_search_preview"}"#).unwrap_err();
    assert_eq!(refused.field, "tools[0] (web_search_preview)");
}

#[test]
fn thoughts_go_back_only_to_their_provider() {
    let think = |signature: Option<&'static str>, id: Option<&'static str>| {
        let mut request = hello();
        let thought = Content::Reasoning {
            text: "hm".into(),
            signature: signature.map(Into::into),
            id: id.map(Into::into),
        };
        let parts = vec![thought.into(), Content::text("Yes").into()];
        request
            .turns
            .extend([turn(Role::Assistant, parts), said(Role::User, "So?")]);
        let encoded = encode(&request, "m").unwrap();
        let body = String::from_utf8(encoded.body).unwrap();
        (body.contains("thinking"), encoded.warnings.len())
    };
    assert_eq!(think(Some("sig"), None), (true, 0));
    assert_eq!(think(None, None), (false, 1));
    assert_eq!(think(Some("sig"), Some("rs_1")), (false, 1));
}

#[test]
fn calls_whose_arguments_are_no_object_are_refused() {
    let mut request = hello();
    let call = Content::ToolCall {
        id: "a".into(),
        name: "f".into(),
        arguments: r#"{"cut"#.into(),
        signature: None,
    };
    request.turns.push(turn(Role::Assistant, vec![call.into()]));
    let refused = encode(&request, "m").unwrap_err();
    assert_eq!(refused.field, "messages[1].tool_calls.function.arguments");
}

#[test]
fn what_is_left_out_is_told() {
    let mut request = hello();
    request.turns.first_mut().unwrap().name = Some("ada".into());
    let cited = Content::Text {
        text: "Green.".into(),
        citations: vec![Citation::default()],
    };
    request.turns.extend([
        turn(Role::Assistant, vec![cited.into()]),
        said(Role::User, "Why?"),
    ]);
    request.sampling.seed = Some(json("7"));
    request.metadata = Some(json(r#"{"a":"b"}"#));
    request.service_tier = Some("flex".into());
    request.extra.push(Extra {
        name: "prompt_cache_key".into(),
        value: json("1"),
    });
    assert_eq!(
        encode(&request, "m").unwrap().warnings,
        [
            "`seed` was left out for Claude",
            "`metadata` was left out for Claude: it takes the user's id only",
            "`messages[0].name` was left out for Claude",
            "the citations of earlier answers were left out",
            "`service_tier` was left out for Claude: there is no such tier",
            "`prompt_cache_key` was left out for Claude",
        ]
    );
}

#[test]
fn what_says_nothing_is_no_loss() {
    let mut request = hello();
    request.choices = Some(1);
    request.logprobs = Some(false);
    request.top_logprobs = Some(0);
    request.store = Some(false);
    request.sampling.frequency_penalty = Some(json("0"));
    request.sampling.presence_penalty = Some(json("0.0"));
    request.sampling.logit_bias = Some(json("{}"));
    assert_eq!(sent(&request), sent(&hello()));
}

#[test]
fn what_cannot_be_done_is_refused() {
    let refused = |change: fn(&mut Request<'static>)| {
        let mut request = hello();
        change(&mut request);
        encode(&request, "m").unwrap_err().field
    };
    assert_eq!(refused(|r| r.choices = Some(2)), "n");
    assert_eq!(refused(|r| r.logprobs = Some(true)), "logprobs");
    assert_eq!(
        refused(|r| r.format = Some(Format::Json)),
        "response_format"
    );
    assert_eq!(refused(|r| r.stop = vec!["\n".into()]), "stop");
}

#[test]
fn settings_are_written() {
    let mut request = hello();
    request.stop = vec!["END".into()];
    request.user = Some("u".into());
    request.service_tier = Some("default".into());
    request.stream = true;
    request.format = Some(Format::Schema {
        name: Some("n".into()),
        description: None,
        schema: json(r#"{"type":"object"}"#),
        strict: None,
    });
    request.reasoning = Some(Reasoning {
        effort: Some("low".into()),
        ..Reasoning::default()
    });
    request.extra.push(Extra {
        name: "inference_geo".into(),
        value: json(r#""eu""#),
    });
    assert!(sent(&request).ends_with(concat!(
        r#""thinking":{"type":"adaptive"},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},"#,
        r#""stop_sequences":["END"],"metadata":{"user_id":"u"},"service_tier":"standard_only","stream":true,"inference_geo":"eu"}"#
    )));
}

#[test]
fn the_longest_answer_is_always_said() {
    let mut request = hello();
    request.max_tokens = None;
    let known = encode_request(Dialect::Anthropic, &request, &target("m", Some(64_000))).unwrap();
    assert!(
        String::from_utf8(known.body)
            .unwrap()
            .contains(r#""max_tokens":64000"#)
    );
    assert!(known.warnings.is_empty());
    let unknown = encode(&request, "m").unwrap();
    assert!(
        String::from_utf8(unknown.body)
            .unwrap()
            .contains(r#""max_tokens":8192"#)
    );
    assert_eq!(
        unknown.warnings,
        ["`max_tokens` was set to 8192: Claude must be told one"]
    );
}
