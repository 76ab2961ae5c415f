//! Requests as they are written.

use lockgate_dialects::{
    Cache, Citation, Content, Extra, Format, Part, Request, Role, Source, Tool, ToolChoice,
};

use crate::{CLAUDE, beside, call, encode, hello, json, result, said, sent, sent_to, turn};

pub(crate) const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";

fn messages(request: &Request<'_>) -> String {
    let body = sent(request);
    let (_, after) = body.split_once(r#""messages":"#).unwrap();
    let end = after.find(r#","toolConfig""#).unwrap_or(after.len() - 1);
    after[..end].to_owned()
}

pub(crate) fn function(name: &'static str, parameters: Option<&'static str>) -> Tool<'static> {
    Tool::Function {
        name: name.into(),
        description: None,
        parameters: parameters.map(json),
        strict: None,
        cache: None,
    }
}

pub(crate) fn with_tools(names: &[&'static str]) -> Request<'static> {
    Request {
        tools: names.iter().map(|name| function(name, None)).collect(),
        ..hello()
    }
}

fn file(name: Option<&'static str>, source: Source<'static>) -> Part<'static> {
    Content::File {
        source,
        name: name.map(Into::into),
    }
    .into()
}

fn base64(media_type: &'static str) -> Source<'static> {
    Source::Base64 {
        media_type: media_type.into(),
        data: "QUJD".into(),
    }
}

#[test]
fn the_least_request() {
    assert_eq!(
        sent(&hello()),
        r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#
    );
}

#[test]
fn whether_to_stream_is_in_the_url() {
    let request = Request {
        stream: true,
        stream_usage: true,
        ..hello()
    };
    assert_eq!(sent(&request), sent(&hello()));
}

#[test]
fn instructions_are_joined() {
    let mut request = hello();
    request.turns.insert(0, said(Role::System, "A"));
    request.turns.push(said(Role::Developer, "B"));
    assert_eq!(
        beside(&request, CLAUDE),
        r#""system":[{"text":"A"},{"text":"B"}]"#
    );
}

#[test]
fn results_of_one_turn_and_what_the_user_says_next_are_one_message() {
    let mut request = with_tools(&["f"]);
    request.turns.extend([
        turn(
            Role::Assistant,
            vec![call("call/1", "f", "{}"), call("b", "f", "")],
        ),
        turn(
            Role::Tool,
            vec![
                result("call/1", vec![Content::text(r#"{"a":"b"}"#).into()], false),
                result("b", Vec::new(), true),
            ],
        ),
        said(Role::System, "Be brief."),
        said(Role::User, "And?"),
        said(Role::User, "Well?"),
    ]);
    assert_eq!(
        messages(&request),
        concat!(
            r#"[{"role":"user","content":[{"text":"Hi"}]},"#,
            r#"{"role":"assistant","content":[{"toolUse":{"toolUseId":"call_2f_1","name":"f","input":{}}},"#,
            r#"{"toolUse":{"toolUseId":"b","name":"f","input":{}}}]},"#,
            r#"{"role":"user","content":[{"toolResult":{"toolUseId":"call_2f_1","content":[{"text":"{\"a\":\"b\"}"}]}},"#,
            r#"{"toolResult":{"toolUseId":"b","content":[],"status":"error"}},"#,
            r#"{"text":"And?"},{"text":"Well?"}]}],"system":[{"text":"Be brief."}]"#
        )
    );
}

#[test]
fn long_ids_stay_apart() {
    let long = "x".repeat(100);
    let other = format!("{}y", "x".repeat(99));
    let mut request = with_tools(&["f"]);
    request.turns.push(turn(
        Role::Assistant,
        vec![call(&long, "f", "{}"), call(&other, "f", "{}")],
    ));
    let body: serde_json::Value = serde_json::from_str(&sent(&request)).unwrap();
    let id = |at: usize| body["messages"][1]["content"][at]["toolUse"]["toolUseId"].as_str();
    assert_eq!(id(0).unwrap().len(), 64);
    assert_ne!(id(0), id(1));
}

#[test]
fn numbers_keep_their_digits() {
    let mut request = with_tools(&["f"]);
    request.tools = vec![function(
        "f",
        Some(r#"{"type":"object","properties":{"n":{"maximum":9007199254740993}}}"#),
    )];
    request.sampling.temperature = Some(json("0.10"));
    request.turns.push(turn(
        Role::Assistant,
        vec![call("a", "f", r#"{"n":12345678901234567890,"x":1.0}"#)],
    ));
    let body = sent(&request);
    for part in [
        r#""input":{"n":12345678901234567890,"x":1.0}"#,
        r#""inputSchema":{"json":{"type":"object","properties":{"n":{"maximum":9007199254740993}}}}"#,
        r#""inferenceConfig":{"temperature":0.10}"#,
    ] {
        assert!(body.contains(part), "{body}");
    }
}

#[test]
fn pictures_files_and_sounds() {
    let mut request = hello();
    request.turns[0].parts.extend([
        Content::Image {
            source: base64("image/jpg"),
            detail: Some("auto".into()),
        }
        .into(),
        Content::Image {
            source: Source::Url("s3://b/a.PNG".into()),
            detail: None,
        }
        .into(),
        Content::Audio {
            data: "QUJD".into(),
            format: "wav".into(),
        }
        .into(),
        file(Some("a"), base64("application/pdf")),
        file(Some("b"), base64("text/csv; charset=utf-8")),
        file(Some("c"), Source::Text("ABC".into())),
        file(None, Source::Url("s3://b/a.docx".into())),
    ]);
    assert_eq!(
        messages(&request),
        concat!(
            r#"[{"role":"user","content":[{"text":"Hi"},"#,
            r#"{"image":{"format":"jpeg","source":{"bytes":"QUJD"}}},"#,
            r#"{"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/a.PNG"}}}},"#,
            r#"{"audio":{"format":"wav","source":{"bytes":"QUJD"}}},"#,
            r#"{"document":{"format":"pdf","name":"a","source":{"bytes":"QUJD"}}},"#,
            r#"{"document":{"format":"csv","name":"b","source":{"bytes":"QUJD"}}},"#,
            r#"{"document":{"format":"txt","name":"c","source":{"bytes":"QUJD"}}},"#,
            r#"{"document":{"format":"docx","name":"document","source":{"s3Location":{"uri":"s3://b/a.docx"}}}}]}]"#
        )
    );
}

#[test]
fn names_of_documents_fit_and_differ() {
    let mut request = hello();
    request.turns[0].parts.extend([
        file(Some("Q3  report.pdf"), base64("application/pdf")),
        file(Some("q3 REPORT-pdf"), base64("application/pdf")),
        file(None, base64("application/pdf")),
        file(None, base64("application/pdf")),
        file(Some("ü"), base64("application/pdf")),
    ]);
    let encoded = encode(&request, CLAUDE).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&encoded.body).unwrap();
    let content = body["messages"][0]["content"].as_array().unwrap();
    let names: Vec<_> = content[1..]
        .iter()
        .map(|block| block["document"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "Q3 report-pdf",
            "q3 REPORT-pdf 2",
            "document",
            "document 4",
            "-"
        ]
    );
    assert_eq!(
        encoded.warnings,
        [
            "a file's name was sent as `Q3 report-pdf`",
            "a file's name was sent as `q3 REPORT-pdf 2`",
            "a file's name was sent as `-`",
        ]
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let image = |source| -> Part<'static> {
        Content::Image {
            source,
            detail: None,
        }
        .into()
    };
    for (part, why) in [
        (
            image(Source::Url("https://example.com/a.png".into())),
            "images by URL: it takes bytes and `s3://` only",
        ),
        (
            image(Source::Url("s3://b/a".into())),
            "images by URL: it takes bytes and `s3://` only",
        ),
        (image(base64("image/tiff")), "PNG, JPEG, GIF or WebP"),
        (
            image(Source::Id("file-1".into())),
            "files and images by the provider's id",
        ),
        (
            file(None, Source::Url("https://example.com/a.pdf".into())),
            "files by URL",
        ),
        (file(None, base64("application/zip")), "files are PDF, Word"),
        (call("a", "f", "[1]"), "it is not a JSON object"),
    ] {
        let mut request = with_tools(&["f"]);
        request.turns[0].parts.push(part);
        let refusal = encode(&request, CLAUDE).unwrap_err().to_string();
        assert!(refusal.contains(why), "{refusal}");
    }
    let alone = Request {
        turns: vec![turn(
            Role::User,
            vec![file(Some("a"), base64("application/pdf"))],
        )],
        ..hello()
    };
    let refusal = encode(&alone, CLAUDE).unwrap_err().to_string();
    assert!(refusal.contains("a turn with a file must have a text too"));
    let begun = Request {
        turns: vec![said(Role::Assistant, "Hi")],
        ..hello()
    };
    let refusal = encode(&begun, CLAUDE).unwrap_err().to_string();
    assert!(refusal.contains("a conversation must begin with the user"));
}

#[test]
fn what_says_nothing_is_left_out() {
    let mut request = hello();
    request.turns[0].parts.push(Content::text(" \n").into());
    let encoded = encode(&request, CLAUDE).unwrap();
    assert_eq!(encoded.body, sent(&hello()).as_bytes());
    assert_eq!(
        encoded.warnings,
        ["a text of white space alone was left out"]
    );
    let request = Request {
        choices: Some(1),
        logprobs: Some(false),
        top_logprobs: Some(0),
        store: Some(false),
        parallel_tool_calls: Some(false),
        tool_choice: Some(ToolChoice::Auto),
        service_tier: Some("auto".into()),
        metadata: Some(json("{}")),
        ..hello()
    };
    assert_eq!(sent(&request), sent(&hello()));
}

#[test]
fn thoughts_go_back_where_they_are_signed() {
    let thought = |signature: Option<&'static str>| -> Part<'static> {
        Content::Reasoning {
            text: "Hm".into(),
            signature: signature.map(Into::into),
            id: None,
        }
        .into()
    };
    let mut request = hello();
    request.turns.push(turn(
        Role::Assistant,
        vec![
            thought(Some("sig")),
            Content::Redacted {
                data: "QUJD".into(),
            }
            .into(),
            Content::Refusal { text: "No.".into() }.into(),
        ],
    ));
    assert!(sent(&request).ends_with(concat!(
        r#"{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Hm","signature":"sig"}}},"#,
        r#"{"reasoningContent":{"redactedContent":"QUJD"}},{"text":"No."}]}]}"#
    )));
    request.turns[1].parts[0] = thought(None);
    let warnings = encode(&request, CLAUDE).unwrap().warnings;
    assert_eq!(
        warnings,
        ["`messages[1].reasoning` was left out for Bedrock: it is not signed by this provider"]
    );
    assert!(sent_to(&request, LLAMA).contains(r#"{"reasoningText":{"text":"Hm"}}"#));
    // OpenAI's, and one that is marked.
    request.turns[1].parts[0].content = Content::Reasoning {
        text: "Hm".into(),
        signature: Some("sig".into()),
        id: Some("rs_1".into()),
    };
    request.turns[1].parts[1].cache = Some(Cache { ttl: None });
    assert_eq!(
        encode(&request, CLAUDE).unwrap().warnings,
        [
            "`messages[1].reasoning` was left out for Bedrock: it is not signed by this provider",
            "`cache_control` was left out for Bedrock: a thought cannot be marked"
        ]
    );
}

#[test]
fn citations_are_not_sent_back() {
    let mut request = hello();
    request.turns.push(turn(
        Role::Assistant,
        vec![
            Content::Text {
                text: "A".into(),
                citations: vec![Citation::default()],
            }
            .into(),
        ],
    ));
    assert!(sent(&request).ends_with(r#"{"role":"assistant","content":[{"text":"A"}]}]}"#));
}

#[test]
fn marks_stand_behind_what_is_cached() {
    let mark = |ttl: Option<&'static str>| {
        Some(Cache {
            ttl: ttl.map(Into::into),
        })
    };
    let mut request = with_tools(&["f", "g"]);
    request.turns.insert(0, said(Role::System, "A"));
    request.turns[0].parts[0].cache = mark(Some("1h"));
    request.turns[1].parts[0].cache = mark(None);
    if let Tool::Function { cache, .. } = &mut request.tools[0] {
        *cache = mark(Some("5m"));
    }
    let body = sent(&request);
    for part in [
        r#""content":[{"text":"Hi"},{"cachePoint":{"type":"default"}}]"#,
        r#""system":[{"text":"A"},{"cachePoint":{"type":"default","ttl":"1h"}}]"#,
        r#"}},{"cachePoint":{"type":"default","ttl":"5m"}},{"toolSpec":{"name":"g""#,
    ] {
        assert!(body.contains(part), "{body}");
    }
    // A mark inside of a result stands behind it, and one of an unknown age has none.
    let mut inside: Part<'_> = Content::text("x").into();
    inside.cache = mark(Some("7d"));
    request.turns.extend([
        turn(Role::Assistant, vec![call("a", "f", "{}")]),
        turn(Role::Tool, vec![result("a", vec![inside], false)]),
    ]);
    let encoded = encode(&request, CLAUDE).unwrap();
    let body = String::from_utf8(encoded.body).unwrap();
    assert!(body.contains(r#""content":[{"text":"x"}]}},{"cachePoint":{"type":"default"}}]}]"#));
    assert_eq!(
        encoded.warnings,
        ["`cache_control.ttl` was left out for Bedrock: it is 5m or 1h"]
    );
}

#[test]
fn stop_texts_are_asked_back() {
    let request = Request {
        stop: vec!["END".into()],
        ..hello()
    };
    assert_eq!(
        beside(&request, CLAUDE),
        r#""inferenceConfig":{"stopSequences":["END"]},"additionalModelResponseFieldPaths":["/stop_sequence"]"#
    );
}

#[test]
fn a_schema_is_a_text() {
    let request = Request {
        format: Some(Format::Schema {
            name: Some("city".into()),
            description: Some("A city.".into()),
            schema: json(r#"{ "type":"object","title":"é" }"#),
            strict: None,
        }),
        ..hello()
    };
    assert_eq!(
        beside(&request, CLAUDE),
        concat!(
            r#""outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"#,
            r#""schema":"{ \"type\":\"object\",\"title\":\"é\" }","name":"city","description":"A city."}}}}"#
        )
    );
}

#[test]
fn metadata_and_tier() {
    let with = |metadata: &'static str, tier: &'static str| Request {
        metadata: Some(json(metadata)),
        service_tier: Some(tier.into()),
        ..hello()
    };
    assert_eq!(
        beside(&with(r#"{"a b":"c-d","e":null}"#, "priority"), CLAUDE),
        r#""requestMetadata":{"a b":"c-d"},"serviceTier":{"type":"priority"}"#
    );
    assert_eq!(
        beside(&with("{}", "standard_only"), CLAUDE),
        r#""serviceTier":{"type":"default"}"#
    );
    let pairs: Vec<_> = (0..17).map(|n| format!(r#""{n}":"""#)).collect();
    let many = format!("{{{}}}", pairs.join(","));
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(257));
    for metadata in [
        r#"{"a":1}"#,
        r#"{"a":"ü"}"#,
        r#"{"":"a"}"#,
        "[]",
        &many,
        &long,
    ] {
        let request = Request {
            metadata: Some(json(metadata)),
            ..hello()
        };
        let encoded = encode(&request, CLAUDE).unwrap();
        assert_eq!(encoded.body, sent(&hello()).as_bytes(), "{metadata}");
        assert!(encoded.warnings[0].starts_with("`metadata` was left out"));
    }
    let encoded = encode(&with("{}", "scale"), CLAUDE).unwrap();
    assert!(encoded.warnings[0].contains("there is no such tier"));
}

#[test]
fn fields_of_its_own_pass() {
    let extra = |name: &'static str, value: &'static str| Extra {
        name: name.into(),
        value: json(value),
    };
    let mut request = hello();
    request.sampling.top_k = Some(json("40"));
    request.stop = vec!["END".into()];
    request.extra = vec![
        extra("guardrailConfig", r#"{"guardrailIdentifier":"g"}"#),
        extra("additionalModelResponseFieldPaths", r#"["/id"]"#),
        extra(
            "additionalModelRequestFields",
            r#"{"top_k":1,"anthropic_beta":["x"]}"#,
        ),
        extra("never_heard_of", "1"),
    ];
    let encoded = encode(&request, CLAUDE).unwrap();
    let body = String::from_utf8(encoded.body).unwrap();
    assert!(body.ends_with(concat!(
        r#""additionalModelRequestFields":{"top_k":40,"anthropic_beta":["x"]},"#,
        r#""guardrailConfig":{"guardrailIdentifier":"g"},"additionalModelResponseFieldPaths":["/id"]}"#
    )));
    assert_eq!(
        encoded.warnings,
        [
            "`additionalModelRequestFields.top_k` was left out for Bedrock: another field says it",
            "`never_heard_of` was left out for Bedrock",
        ]
    );
}
