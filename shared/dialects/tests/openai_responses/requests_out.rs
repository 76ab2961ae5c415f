//! What requests are written as.

use lockgate_dialects::openai_responses::{encode_request, support};
use lockgate_dialects::{
    Content, Extra, Feature, Format, Notes, Part, Reasoning, ReasoningMode, Request, Role,
    Sampling, Source, Target, Tool, ToolChoice, Unsupported,
};
use lockgate_providers::Quirks;

use super::{QUIRKS, json, target, turn};

fn encode(request: &Request<'_>) -> Result<(String, Vec<String>), Unsupported> {
    encode_for(&target("gpt-5"), request)
}

fn encode_for(
    target: &Target<'_>,
    request: &Request<'_>,
) -> Result<(String, Vec<String>), Unsupported> {
    let mut notes = Notes::new(target.title, support);
    let body = encode_request(request, target, &mut notes)?;
    Ok((String::from_utf8(body).unwrap(), notes.into_warnings()))
}

/// The whole body, without a warning.
fn body(request: &Request<'_>) -> String {
    let (body, warnings) = encode(request).unwrap();
    assert_eq!(warnings, [""; 0]);
    body
}

fn asks(turns: Vec<lockgate_dialects::Turn<'static>>) -> Request<'static> {
    Request {
        model: "m".into(),
        turns,
        ..Request::default()
    }
}

fn hi() -> Request<'static> {
    asks(vec![turn(Role::User, vec![Content::text("Hi")])])
}

const HI: &str = r#"{"model":"gpt-5","input":[{"type":"message","role":"user","content":"Hi"}]"#;

#[test]
fn a_question_is_not_stored_unless_that_is_asked_for() {
    assert_eq!(body(&hi()), format!(r#"{HI},"store":false}}"#));
    let kept = Request {
        store: Some(true),
        ..hi()
    };
    assert_eq!(body(&kept), format!(r#"{HI},"store":true}}"#));
}

#[test]
fn a_conversation_is_items() {
    let call = |id: &'static str, arguments: &'static str| Content::ToolCall {
        id: id.into(),
        name: "weather".into(),
        arguments: arguments.into(),
        signature: None,
    };
    let result = |id: &'static str, parts: Vec<Content<'static>>| Content::ToolResult {
        id: id.into(),
        name: None,
        parts: parts.into_iter().map(Part::from).collect(),
        error: false,
    };
    let picture = Content::Image {
        source: Source::Base64 {
            media_type: "image/png".into(),
            data: "AAAA".into(),
        },
        detail: Some("low".into()),
    };
    let request = asks(vec![
        turn(Role::System, vec![Content::text("Be brief.")]),
        turn(Role::Developer, vec![Content::text("No jokes.")]),
        turn(Role::User, vec![Content::text("This?"), picture.clone()]),
        turn(
            Role::Assistant,
            vec![
                Content::Reasoning {
                    text: "Hm".into(),
                    signature: Some("gAAA".into()),
                    id: Some("rs_1".into()),
                },
                Content::text("A cat."),
                call("a", ""),
                call("b", r#"{"n":9007199254740993}"#),
            ],
        ),
        turn(
            Role::Tool,
            vec![
                result("a", vec![Content::text(r#"{"sun":true}"#)]),
                result("b", vec![picture]),
            ],
        ),
        turn(Role::System, vec![Content::text("Now rhyme.")]),
    ]);
    let image = r#"{"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"low"}"#;
    assert_eq!(
        body(&request),
        [
            r#"{"model":"gpt-5","instructions":"Be brief.","input":["#,
            r#"{"type":"message","role":"developer","content":"No jokes."},"#,
            r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"This?"},"#,
            image,
            r#"]},{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"gAAA"},"#,
            r#"{"type":"message","role":"assistant","content":"A cat."},"#,
            r#"{"type":"function_call","call_id":"a","name":"weather","arguments":"{}"},"#,
            r#"{"type":"function_call","call_id":"b","name":"weather","arguments":"{\"n\":9007199254740993}"},"#,
            r#"{"type":"function_call_output","call_id":"a","output":"{\"sun\":true}"},"#,
            r#"{"type":"function_call_output","call_id":"b","output":["#,
            image,
            r#"]},{"type":"message","role":"system","content":"Now rhyme."}],"#,
            r#""store":false,"include":["reasoning.encrypted_content"]}"#,
        ]
        .concat()
    );
}

#[test]
fn files_are_written_by_where_they_are() {
    let file = |source, name: Option<&'static str>| Content::File {
        source,
        name: name.map(Into::into),
    };
    let request = asks(vec![turn(
        Role::User,
        vec![
            file(
                Source::Base64 {
                    media_type: "application/pdf".into(),
                    data: "AAAA".into(),
                },
                None,
            ),
            file(Source::Url("https://e.com/a.pdf".into()), None),
            file(Source::Id("file-1".into()), None),
            file(Source::Text("Words".into()), Some("notes")),
        ],
    )]);
    let expected = [
        r#"{"type":"input_file","filename":"document.pdf","file_data":"data:application/pdf;base64,AAAA"},"#,
        r#"{"type":"input_file","file_url":"https://e.com/a.pdf"},"#,
        r#"{"type":"input_file","file_id":"file-1"},"#,
        r#"{"type":"input_text","text":"notes:\n\nWords"}]"#,
    ]
    .concat();
    assert!(body(&request).contains(&expected));
}

#[test]
fn tools_are_flat_and_their_schemas_untouched() {
    let request = Request {
        tools: vec![
            Tool::Function {
                name: "f".into(),
                description: Some("d".into()),
                parameters: Some(json(r#"{ "type":"object", "x":1.0 }"#)),
                strict: Some(true),
                cache: None,
            },
            Tool::Function {
                name: "g".into(),
                description: None,
                parameters: None,
                strict: None,
                cache: None,
            },
            Tool::Other {
                kind: "web_search".into(),
                value: json(r#"{"type":"web_search"}"#),
            },
            Tool::Other {
                kind: "custom".into(),
                value: json(r#"{"type":"custom","name":"c"}"#),
            },
        ],
        tool_choice: Some(ToolChoice::Allowed {
            names: vec!["g".into(), "web_search".into(), "c".into()],
            required: false,
        }),
        parallel_tool_calls: Some(false),
        ..hi()
    };
    assert_eq!(
        body(&request),
        [
            HI,
            r#","tools":[{"type":"function","name":"f","description":"d","parameters":{ "type":"object", "x":1.0 },"strict":true},"#,
            r#"{"type":"function","name":"g","parameters":null,"strict":false},"#,
            r#"{"type":"web_search"},{"type":"custom","name":"c"}],"#,
            r#""tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"},{"type":"web_search"},{"type":"custom","name":"c"}]},"#,
            r#""parallel_tool_calls":false,"store":false}"#,
        ]
        .concat()
    );
}

#[test]
fn tools_of_other_providers_are_refused() {
    for (kind, value) in [
        (
            "web_search_20250305",
            r#"{"type":"web_search_20250305","name":"web_search"}"#,
        ),
        ("googleSearch", r#"{"googleSearch":{}}"#),
        ("custom", r#"{"type":"custom","custom":{"name":"c"}}"#),
    ] {
        let request = Request {
            tools: vec![Tool::Other {
                kind: kind.into(),
                value: json(value),
            }],
            ..hi()
        };
        let refusal = encode(&request).unwrap_err();
        assert_eq!(refusal.field, format!("tools of type {kind}"));
    }
}

#[test]
fn the_answers_form_and_its_verbosity_stand_together() {
    let request = Request {
        format: Some(Format::Schema {
            name: None,
            description: None,
            schema: json(r#"{"type":"object"}"#),
            strict: None,
        }),
        extra: vec![Extra {
            name: "verbosity".into(),
            value: json(r#""low""#),
        }],
        ..hi()
    };
    assert_eq!(
        body(&request),
        [
            HI,
            r#","text":{"format":{"type":"json_schema","name":"answer","schema":{"type":"object"}},"verbosity":"low"},"store":false}"#
        ]
        .concat()
    );
    let request = Request {
        format: Some(Format::Json),
        ..hi()
    };
    assert!(body(&request).contains(r#""text":{"format":{"type":"json_object"}}"#));
}

#[test]
fn settings_keep_their_digits() {
    let request = Request {
        max_tokens: Some(100),
        sampling: Sampling {
            temperature: Some(json("0.10")),
            top_p: Some(json("1e-1")),
            ..Sampling::default()
        },
        logprobs: Some(true),
        top_logprobs: Some(2),
        reasoning: Some(Reasoning {
            effort: Some("high".into()),
            summary: Some("auto".into()),
            ..Reasoning::default()
        }),
        metadata: Some(json(r#"{ "a":"b" }"#)),
        user: Some("u".into()),
        service_tier: Some("standard_only".into()),
        stream: true,
        extra: vec![Extra {
            name: "include".into(),
            value: json(r#"["web_search_call.results"]"#),
        }],
        choices: Some(1),
        ..hi()
    };
    assert_eq!(
        body(&request),
        [
            HI,
            r#","max_output_tokens":100,"top_logprobs":2,"reasoning":{"effort":"high","summary":"auto"},"stream":true,"#,
            r#""temperature":0.10,"top_p":1e-1,"metadata":{ "a":"b" },"user":"u","service_tier":"default","store":false,"#,
            r#""include":["reasoning.encrypted_content","message.output_text.logprobs","web_search_call.results"]}"#,
        ]
        .concat()
    );
}

#[test]
fn budgets_become_efforts() {
    let effort = |reasoning: Reasoning<'static>| {
        let (body, _) = encode(&Request {
            reasoning: Some(reasoning),
            ..hi()
        })
        .unwrap();
        let (_, rest) = body.split_once(r#""reasoning":{"effort":""#)?;
        rest.split('"').next().map(str::to_owned)
    };
    let thinks = |mode, budget_tokens| Reasoning {
        mode,
        budget_tokens,
        ..Reasoning::default()
    };
    for (reasoning, expected) in [
        (thinks(ReasoningMode::On, Some(2_048)), Some("low")),
        (thinks(ReasoningMode::On, Some(8_192)), Some("medium")),
        (thinks(ReasoningMode::On, Some(32_000)), Some("high")),
        (thinks(ReasoningMode::On, None), Some("medium")),
        (thinks(ReasoningMode::Off, None), Some("none")),
        (thinks(ReasoningMode::Adaptive, None), None),
    ] {
        assert_eq!(effort(reasoning).as_deref(), expected);
    }
}

#[test]
fn what_is_changed_is_said() {
    let (body, warnings) = encode(&Request {
        max_tokens: Some(5),
        ..hi()
    })
    .unwrap();
    assert!(body.contains(r#""max_output_tokens":16"#));
    assert_eq!(warnings, ["`max_tokens` 5 became 16, the least there is"]);
}

#[test]
fn thoughts_of_other_models_are_left_out_with_a_warning() {
    let thought = |signature: Option<&'static str>, id: Option<&'static str>| Content::Reasoning {
        text: "Hm".into(),
        signature: signature.map(Into::into),
        id: id.map(Into::into),
    };
    let sent = |content, store| {
        let request = Request {
            store: Some(store),
            ..asks(vec![
                turn(Role::Assistant, vec![content, Content::text("A")]),
                turn(Role::User, vec![Content::text("B")]),
            ])
        };
        let (body, warnings) = encode(&request).unwrap();
        (body.contains(r#""type":"reasoning""#), warnings.len())
    };
    assert_eq!(sent(thought(Some("c2ln"), None), false), (false, 1));
    assert_eq!(sent(thought(None, Some("rs_1")), false), (false, 1));
    assert_eq!(sent(thought(None, Some("rs_1")), true), (true, 0));
    assert_eq!(sent(thought(Some("gAAA"), Some("rs_1")), false), (true, 0));
    assert_eq!(
        sent(Content::Redacted { data: "x".into() }, false),
        (false, 1)
    );
}

#[test]
fn what_the_api_lacks_is_refused_or_warned_of() {
    let refused = |request: Request<'_>| encode(&request).unwrap_err().title;
    assert_eq!(
        refused(Request {
            stop: vec!["END".into()],
            ..hi()
        }),
        Feature::Stop.title()
    );
    assert_eq!(
        refused(Request {
            choices: Some(2),
            ..hi()
        }),
        Feature::Choices.title()
    );
    let mut prefilled = hi();
    prefilled
        .turns
        .push(turn(Role::Assistant, vec![Content::text("Once")]));
    assert_eq!(refused(prefilled), Feature::Prefill.title());
    let drawn = asks(vec![turn(
        Role::Assistant,
        vec![Content::Image {
            source: Source::Url("https://e.com/a.png".into()),
            detail: None,
        }],
    )]);
    assert_eq!(refused(drawn), Feature::ImageUrl.title());
    let (_, warnings) = encode(&Request {
        sampling: Sampling {
            seed: Some(json("7")),
            top_k: Some(json("5")),
            ..Sampling::default()
        },
        extra: vec![Extra {
            name: "modalities".into(),
            value: json("[]"),
        }],
        ..hi()
    })
    .unwrap();
    assert_eq!(
        warnings,
        [
            "`top_k` was left out for Someone: it has no such field",
            "`seed` was left out for Someone: it has no such field",
            "`modalities` was left out for Someone: the gateway does not know what it means",
        ]
    );
}

#[test]
fn what_a_provider_does_not_take_is_not_sent() {
    let quirks = Quirks {
        unsupported: &["temperature", "metadata", "store", "safety_identifier"],
        developer_role: false,
        parallel_tool_calls: false,
        reasoning_effort: false,
        ..QUIRKS
    };
    let target = Target {
        quirks: &quirks,
        ..target("gpt-5")
    };
    let request = Request {
        sampling: Sampling {
            temperature: Some(json("1")),
            ..Sampling::default()
        },
        metadata: Some(json("{}")),
        parallel_tool_calls: Some(true),
        reasoning: Some(Reasoning {
            effort: Some("low".into()),
            ..Reasoning::default()
        }),
        extra: vec![Extra {
            name: "safety_identifier".into(),
            value: json("\"s\""),
        }],
        ..asks(vec![turn(Role::Developer, vec![Content::text("Hi")])])
    };
    let (body, warnings) = encode_for(&target, &request).unwrap();
    let hi = HI.replace("user", "system");
    assert_eq!(body, format!("{hi}}}"));
    assert_eq!(warnings.len(), 4, "{warnings:?}");
}
