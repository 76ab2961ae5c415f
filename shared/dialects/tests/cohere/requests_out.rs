//! Requests as they are written.

use lockgate_dialects::{
    Content, Extra, Format, Part, Reasoning, ReasoningMode, Request, Role, Source, Tool, ToolChoice,
};

use crate::{beside, call, encode, hello, json, result, said, sent, turn};

fn messages(request: &Request<'_>, model: &str) -> (String, Vec<String>) {
    let encoded = encode(request, model).unwrap();
    let body = String::from_utf8(encoded.body).unwrap();
    let (_, after) = body.split_once(r#""messages":"#).unwrap();
    (
        after.strip_suffix('}').unwrap().to_owned(),
        encoded.warnings,
    )
}

fn function(name: &'static str, strict: Option<bool>) -> Tool<'static> {
    Tool::Function {
        name: name.into(),
        description: None,
        parameters: None,
        strict,
        cache: None,
    }
}

fn thought(signature: Option<&'static str>) -> Part<'static> {
    Content::Reasoning {
        text: "Hm".into(),
        signature: signature.map(Into::into),
        id: None,
    }
    .into()
}

#[test]
fn the_least_request() {
    assert_eq!(beside(&hello()), (String::new(), Vec::new()));
    let request = Request {
        choices: Some(1),
        logprobs: Some(false),
        top_logprobs: Some(0),
        store: Some(false),
        parallel_tool_calls: Some(false),
        tool_choice: Some(ToolChoice::Required),
        ..hello()
    };
    assert_eq!(beside(&request), (String::new(), Vec::new()));
}

#[test]
fn turns_are_messages_and_results_one_each() {
    let mut request = hello();
    request.turns.insert(0, said(Role::Developer, "Be brief."));
    request.turns[1].parts.push(
        Content::Image {
            source: Source::Base64 {
                media_type: "image/png".into(),
                data: "QUJD".into(),
            },
            detail: Some("low".into()),
        }
        .into(),
    );
    request.turns.extend([
        turn(
            Role::Assistant,
            vec![call("a", "f", r#"{"x": 1.0}"#), call("b", "f", "")],
        ),
        turn(
            Role::Tool,
            vec![
                result("a", vec![Content::text(r#"{"a":"b"}"#).into()], false),
                result(
                    "b",
                    vec![Content::text("x").into(), Content::text("y").into()],
                    false,
                ),
                result("c", Vec::new(), false),
            ],
        ),
        turn(
            Role::Assistant,
            vec![Content::Refusal { text: "No.".into() }.into()],
        ),
    ]);
    let expected = concat!(
        r#"[{"role":"system","content":"Be brief."},"#,
        r#"{"role":"user","content":[{"type":"text","text":"Hi"},"#,
        r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD","detail":"low"}}]},"#,
        r#"{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1.0}"}},"#,
        r#"{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"a","content":"{\"a\":\"b\"}"},"#,
        r#"{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]},"#,
        r#"{"role":"tool","tool_call_id":"c","content":"{}"},"#,
        r#"{"role":"assistant","content":"No."}]"#
    );
    assert_eq!(messages(&request, "m"), (expected.to_owned(), Vec::new()));
}

#[test]
fn thoughts_go_back_as_the_model_has_them() {
    let mut request = hello();
    request.turns = vec![turn(
        Role::Assistant,
        vec![thought(None), call("a", "f", "{}")],
    )];
    let calls =
        r#""tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
    for model in ["m", "command-a-reasoning-08-2025"] {
        let thinks = format!(
            r#"[{{"role":"assistant","content":[{{"type":"thinking","thinking":"Hm"}}],{calls}}}]"#
        );
        assert_eq!(messages(&request, model), (thinks, Vec::new()));
    }
    for model in ["command-r7b-12-2024", "command-a-03-2025"] {
        let plans = format!(r#"[{{"role":"assistant","tool_plan":"Hm",{calls}}}]"#);
        assert_eq!(messages(&request, model), (plans, Vec::new()));
    }
    // A plan of nothing has no place, and a turn of nothing is none.
    request.turns = vec![turn(Role::Assistant, vec![thought(None)])];
    assert_eq!(
        messages(&request, "command-a-03-2025"),
        (
            "[]".to_owned(),
            vec!["`thinking` was left out for Cohere: this model does not think".to_owned()]
        )
    );
    request.turns = vec![turn(
        Role::Assistant,
        vec![
            thought(Some("sig")),
            Content::Redacted { data: "x".into() }.into(),
        ],
    )];
    assert_eq!(
        messages(&request, "m"),
        (
            "[]".to_owned(),
            vec![
                "`thinking` was left out for Cohere: thoughts go back only without a signature"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let file: Part<'_> = Content::File {
        source: Source::Text("x".into()),
        name: None,
    }
    .into();
    let image: Part<'_> = Content::Image {
        source: Source::Id("file-1".into()),
        detail: None,
    }
    .into();
    for part in [file.clone(), image] {
        let mut request = hello();
        request.turns[0].parts.push(part);
        assert!(encode(&request, "m").is_err());
    }
    let mut request = hello();
    request
        .turns
        .push(turn(Role::Tool, vec![result("a", vec![file], false)]));
    assert!(encode(&request, "m").is_err());
    for request in [
        Request {
            choices: Some(2),
            ..hello()
        },
        Request {
            top_logprobs: Some(2),
            ..hello()
        },
        Request {
            stop: vec!["a".into(); 6],
            ..hello()
        },
        Request {
            tools: vec![function("f", None)],
            parallel_tool_calls: Some(false),
            ..hello()
        },
    ] {
        assert!(encode(&request, "m").is_err());
    }
}

#[test]
fn numbers_are_moved_to_the_nearest_and_else_keep_their_digits() {
    let with = |temperature, top_p, top_k, penalty| {
        let mut request = hello();
        let sampling = &mut request.sampling;
        sampling.temperature = Some(json(temperature));
        sampling.top_p = Some(json(top_p));
        sampling.top_k = Some(json(top_k));
        sampling.frequency_penalty = Some(json(penalty));
        sampling.presence_penalty = Some(json(penalty));
        request
    };
    assert_eq!(
        beside(&with("0.30", "0.50", "0", "1")),
        (
            r#""temperature":0.30,"p":0.50,"k":0,"frequency_penalty":1,"presence_penalty":1"#
                .to_owned(),
            Vec::new()
        )
    );
    let (body, warnings) = beside(&with("2", "1", "501", "-2.0"));
    assert_eq!(
        body,
        r#""temperature":1,"p":0.99,"k":500,"frequency_penalty":0,"presence_penalty":0"#
    );
    assert_eq!(
        warnings,
        [
            "`temperature` was set to 1, the nearest here",
            "`p` was set to 0.99, the nearest here",
            "`k` was set to 500, the nearest here",
            "`frequency_penalty` was set to 0, the nearest here",
            "`presence_penalty` was set to 0, the nearest here",
        ]
    );
}

#[test]
fn tools_and_choices_of_them() {
    let tool = |name: &str| {
        format!(
            r#"{{"type":"function","function":{{"name":"{name}","parameters":{{"type":"object"}}}}}}"#
        )
    };
    let both = format!(r#""tools":[{},{}]"#, tool("f"), tool("g"));
    let only = format!(r#""tools":[{}]"#, tool("g"));
    let some = |required| {
        Some(ToolChoice::Allowed {
            names: vec!["g".into()],
            required,
        })
    };
    for (choice, expected) in [
        (None, both.clone()),
        (Some(ToolChoice::Auto), both.clone()),
        (
            Some(ToolChoice::Required),
            format!(r#"{both},"tool_choice":"REQUIRED""#),
        ),
        (
            Some(ToolChoice::None),
            format!(r#"{both},"tool_choice":"NONE""#),
        ),
        (
            Some(ToolChoice::Named("g".into())),
            format!(r#"{only},"tool_choice":"REQUIRED""#),
        ),
        (some(true), format!(r#"{only},"tool_choice":"REQUIRED""#)),
        (some(false), only.clone()),
        (Some(ToolChoice::Named("h".into())), String::new()),
    ] {
        let request = Request {
            tools: vec![function("f", None), function("g", None)],
            tool_choice: choice,
            ..hello()
        };
        assert_eq!(beside(&request), (expected, Vec::new()));
    }
}

#[test]
fn strictness_is_for_all_tools_or_none() {
    let with = |a, b| Request {
        tools: vec![function("f", a), function("g", b)],
        ..hello()
    };
    assert!(sent(&with(Some(true), Some(true))).contains(r#""strict_tools":true"#));
    assert!(sent(&with(Some(false), Some(false))).contains(r#""strict_tools":false"#));
    let (body, warnings) = beside(&with(Some(true), None));
    assert!(!body.contains("strict_tools"));
    assert!(warnings[0].contains("it has one switch for all tools"));
}

#[test]
fn a_schema_keeps_its_text() {
    let schema = Format::Schema {
        name: Some("city".into()),
        description: Some("A city.".into()),
        schema: json(r#"{ "type":"object","maximum":9007199254740993 }"#),
        strict: Some(true),
    };
    let with = |format| Request {
        format: Some(format),
        ..hello()
    };
    assert_eq!(
        beside(&with(schema)),
        (
            r#""response_format":{"type":"json_object","json_schema":{ "type":"object","maximum":9007199254740993 }}"#.to_owned(),
            vec!["the description of the JSON schema was left out".to_owned()]
        )
    );
    assert_eq!(
        beside(&with(Format::Json)).0,
        r#""response_format":{"type":"json_object"}"#
    );
}

#[test]
fn reasoning() {
    let with = |reasoning| {
        beside(&Request {
            reasoning: Some(reasoning),
            ..hello()
        })
        .0
    };
    let mode = |mode, budget_tokens| Reasoning {
        mode,
        budget_tokens,
        ..Reasoning::default()
    };
    assert_eq!(
        with(mode(ReasoningMode::Off, None)),
        r#""thinking":{"type":"disabled"}"#
    );
    assert_eq!(
        with(mode(ReasoningMode::On, None)),
        r#""thinking":{"type":"enabled"}"#
    );
    assert_eq!(
        with(mode(ReasoningMode::On, Some(500))),
        r#""thinking":{"type":"enabled","token_budget":500}"#
    );
    let effort = Reasoning {
        effort: Some("medium".into()),
        ..Reasoning::default()
    };
    assert_eq!(
        with(effort),
        r#""thinking":{"type":"enabled","token_budget":8192}"#
    );
    assert_eq!(with(Reasoning::default()), "");
}

#[test]
fn fields_of_its_own_pass() {
    let extra = |name: &'static str, value: &'static str| Extra {
        name: name.into(),
        value: json(value),
    };
    let request = Request {
        extra: vec![
            extra("safety_mode", r#""STRICT""#),
            extra("citation_options", r#"{"mode":"FAST"}"#),
            extra("never_heard_of", "1"),
        ],
        ..hello()
    };
    assert_eq!(
        beside(&request),
        (
            r#""safety_mode":"STRICT","citation_options":{"mode":"FAST"}"#.to_owned(),
            vec!["`never_heard_of` was left out for Cohere".to_owned()]
        )
    );
}
