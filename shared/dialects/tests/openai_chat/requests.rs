//! Requests, both ways.

use lockgate_dialects::openai_chat::{decode_request, encode_request, support};
use lockgate_dialects::{
    Cache, Content, Encoded, Extra, Feature, Notes, Part, Reasoning, ReasoningMode, Request, Role,
    Source, Tool, ToolChoice, Turn, Unsupported,
};
use lockgate_providers::{Quirks, TokenLimit};
use proptest::prelude::*;

use super::arbitrary::{any_text, request};
use super::{QUIRKS, json, target};

fn encode_with(request: &Request<'_>, quirks: &Quirks) -> Result<Encoded, Unsupported> {
    let mut notes = Notes::new("Someone", support);
    let body = encode_request(request, &target(&request.model, quirks), &mut notes)?;
    Ok(Encoded {
        body,
        warnings: notes.into_warnings(),
    })
}

fn encode(request: &Request<'_>) -> (String, Vec<String>) {
    let encoded = encode_with(request, &QUIRKS).unwrap();
    (String::from_utf8(encoded.body).unwrap(), encoded.warnings)
}

fn said<'a>(role: Role, content: Content<'a>) -> Turn<'a> {
    Turn {
        role,
        name: None,
        parts: vec![content.into()],
    }
}

fn asks<'a>(turns: Vec<Turn<'a>>) -> Request<'a> {
    Request {
        model: "m".into(),
        turns,
        ..Request::default()
    }
}

proptest! {
    #[test]
    fn what_is_said_is_understood(request in request()) {
        let (body, warnings) = encode(&request);
        prop_assert_eq!(&warnings, &Vec::<String>::new());
        let understood = decode_request(&body);
        prop_assert_eq!(understood.as_ref(), Ok(&request), "{}", body);
    }

    #[test]
    fn nothing_panics_on_any_text(body in "(?s).{0,64}") {
        let _ = decode_request(&body);
    }

    #[test]
    fn nothing_panics_on_damaged_requests(
        request in request(), from in 0_usize..4_000, length in 0_usize..8, put in any_text()
    ) {
        let (body, _) = encode(&request);
        let mut characters: Vec<char> = body.chars().collect();
        let from = from % characters.len();
        let to = (from + length).min(characters.len());
        characters.splice(from..to, put.chars());
        let _ = decode_request(&characters.into_iter().collect::<String>());
    }
}

#[test]
fn messages_become_turns() {
    let request = decode_request(
        r#"{"model":"m","messages":[
            {"role":"developer","content":"Be brief."},
            {"role":"user","name":"ada","content":[{"type":"text","text":"Hi"},{"type":"text","text":""}]},
            {"role":"assistant","content":"","refusal":null,"annotations":[],"audio":null,"tool_calls":[
                {"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"n\":9007199254740993}"}},
                {"id":"b","function":{"name":"g","arguments":""}}]},
            {"role":"tool","tool_call_id":"a","content":"1"},
            {"role":"tool","tool_call_id":"b","name":"g","content":[{"type":"text","text":"2"}]}]}"#,
    )
    .unwrap();
    let roles: Vec<_> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(
        roles,
        [Role::Developer, Role::User, Role::Assistant, Role::Tool]
    );
    assert_eq!(request.turns[1].name.as_deref(), Some("ada"));
    assert_eq!(request.turns[1].parts, [Content::text("Hi").into()]);
    let call = |id: &'static str, name: &'static str, arguments: &'static str| {
        Part::from(Content::ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    assert_eq!(
        request.turns[2].parts,
        [
            call("a", "f", r#"{"n":9007199254740993}"#),
            call("b", "g", "")
        ]
    );
    let result = |id: &'static str, name: Option<&'static str>, text: &'static str| {
        Part::from(Content::ToolResult {
            id: id.into(),
            name: name.map(Into::into),
            parts: vec![Content::text(text).into()],
            error: false,
        })
    };
    assert_eq!(
        request.turns[3].parts,
        [result("a", None, "1"), result("b", Some("g"), "2")]
    );
}

#[test]
fn the_old_functions_are_tools() {
    let request = decode_request(
        r#"{"model":"m","functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"},
            "messages":[{"role":"user","content":"Hi"},
            {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
            {"role":"function","name":"f","content":"1"}]}"#,
    )
    .unwrap();
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".into())));
    let (body, _) = encode(&request);
    assert_eq!(
        body,
        concat!(
            r#"{"model":"m","messages":[{"role":"user","content":"Hi"},"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},"#,
            r#"{"role":"tool","tool_call_id":"call_1","content":"1"}],"#,
            r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"#,
            r#""tool_choice":{"type":"function","function":{"name":"f"}}}"#
        )
    );
}

#[test]
fn problems_say_where_they_are() {
    for (body, problem) in [
        ("", "The body cannot be read as JSON (column 0)"),
        ("[]", "The body must be an object"),
        (r#"{"messages":[]}"#, "model is missing"),
        (r#"{"model":"m"}"#, "messages is missing"),
        (
            r#"{"model":"m","messages":{}}"#,
            "messages must be an array",
        ),
        (
            r#"{"model":"m","model":"n","messages":[]}"#,
            "The body repeats `model`",
        ),
        (
            r#"{"model":"m","messages":[{"role":"robot","content":"Hi"}]}"#,
            "messages[0].role must be developer, system, user, assistant or tool",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hi","foo":1}]}]}"#,
            "messages[0].content[0].foo is not known here",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            "messages[0].content[0].text is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
            "messages[0].content must be text or a list of parts",
        ),
        (
            r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_1"}}]}"#,
            "messages[0].audio is not known here",
        ),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"f","input":""}}]}]}"#,
            "messages[0].tool_calls[0].type must be function: calls of other tools are not translated",
        ),
        (
            r#"{"model":"m","messages":[{"role":"tool","content":"1"}]}"#,
            "messages[0].tool_call_id is missing",
        ),
        (
            r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}"#,
            "tools[0].function.parameters must be an object",
        ),
        (
            r#"{"model":"m","messages":[],"tool_choice":"some"}"#,
            "tool_choice must be none, auto, required or an object",
        ),
        (
            r#"{"model":"m","messages":[],"stop":["a",1]}"#,
            "stop[1] must be text",
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":1,"max_completion_tokens":2}"#,
            "max_tokens cannot differ from max_completion_tokens",
        ),
        (
            r#"{"model":"m","messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"a"}}}"#,
            "response_format.json_schema.schema is missing",
        ),
        (
            r#"{"model":"m","messages":[],"temperature":"hot"}"#,
            "temperature must be a number",
        ),
        (
            r#"{"model":"m","messages":[],"stream_options":{"chunk":1}}"#,
            "stream_options.chunk is not known here",
        ),
    ] {
        assert_eq!(
            decode_request(body).unwrap_err().to_string(),
            problem,
            "{body}"
        );
    }
}

#[test]
fn fields_without_a_word_are_kept_aside() {
    let request = decode_request(
        r#"{"model":"m","messages":[],"verbosity":"low","made_up":{"a":1.0},"nothing":null}"#,
    )
    .unwrap();
    let extra = |name: &'static str, value: &'static str| Extra {
        name: name.into(),
        value: json(value),
    };
    assert_eq!(
        request.extra,
        [
            extra("verbosity", "\"low\""),
            extra("made_up", "{\"a\":1.0}")
        ]
    );
    let (body, warnings) = encode(&request);
    assert_eq!(body, r#"{"model":"m","messages":[],"verbosity":"low"}"#);
    assert_eq!(
        warnings,
        ["`made_up` was left out for Someone: the gateway does not know what it means"]
    );
}

#[test]
fn files_are_taken_as_clients_write_them() {
    for (file, source, name) in [
        (
            r#"{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}"#,
            Source::Base64 {
                media_type: "application/pdf".into(),
                data: "AAAA".into(),
            },
            Some("a.pdf"),
        ),
        (
            r#"{"filename":"a.txt","file_data":"AAAA"}"#,
            Source::Base64 {
                media_type: "text/plain".into(),
                data: "AAAA".into(),
            },
            Some("a.txt"),
        ),
        (
            r#"{"file_data":"https://example.com/a.pdf"}"#,
            Source::Url("https://example.com/a.pdf".into()),
            None,
        ),
        (r#"{"file_id":"file-1"}"#, Source::Id("file-1".into()), None),
    ] {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"file","file":{file}}}]}}]}}"#
        );
        let request = decode_request(&body).unwrap();
        assert_eq!(
            request.turns[0].parts[0].content,
            Content::File {
                source,
                name: name.map(Into::into),
            }
        );
    }
}

#[test]
fn thoughts_and_their_proofs_come_back() {
    let request = decode_request(
        r#"{"model":"m","messages":[{"role":"assistant","content":"4","reasoning_content":"2+2",
            "reasoning_details":[{"type":"reasoning.text","text":"2+2","signature":"s","format":"anthropic-claude-v1","index":0},
                {"type":"reasoning.encrypted","data":"xyz","index":1}],
            "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"},
                "extra_content":{"google":{"thought_signature":"g"}}}]}]}"#,
    )
    .unwrap();
    let contents: Vec<_> = request.turns[0]
        .parts
        .iter()
        .map(|part| part.content.clone())
        .collect();
    assert_eq!(
        contents,
        [
            Content::Reasoning {
                text: "2+2".into(),
                signature: Some("s".into()),
                id: None
            },
            Content::Redacted { data: "xyz".into() },
            Content::text("4"),
            Content::ToolCall {
                id: "a".into(),
                name: "f".into(),
                arguments: "{}".into(),
                signature: Some("g".into())
            },
        ]
    );
}

#[test]
fn marks_for_the_cache_are_read_in_both_forms() {
    for (mark, ttl) in [
        (
            r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#,
            Some("1h"),
        ),
        (r#""prompt_cache_breakpoint":{"mode":"explicit"}"#, None),
    ] {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"Hi",{mark}}}]}}]}}"#
        );
        let request = decode_request(&body).unwrap();
        let cache = Some(Cache {
            ttl: ttl.map(Into::into),
        });
        assert_eq!(request.turns[0].parts[0].cache, cache);
        let (_, warnings) = encode(&request);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}

#[test]
fn pictures_in_results_come_after_all_of_them() {
    let result = |id: &'static str, parts: Vec<Part<'static>>| {
        Part::from(Content::ToolResult {
            id: id.into(),
            name: None,
            parts,
            error: false,
        })
    };
    let picture = Content::Image {
        source: Source::Url("https://example.com/a.png".into()),
        detail: None,
    };
    let request = asks(vec![Turn {
        role: Role::Tool,
        name: None,
        parts: vec![
            result("a", vec![Content::text("Taken.").into(), picture.into()]),
            result("b", vec![]),
        ],
    }]);
    assert_eq!(
        encode(&request).0,
        concat!(
            r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"a","content":"Taken."},"#,
            r#"{"role":"tool","tool_call_id":"b","content":""},"#,
            r#"{"role":"user","content":[{"type":"text","text":"Result of tool call a:"},"#,
            r#"{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}"#
        )
    );
}

#[test]
fn reasoning_is_asked_for_in_efforts() {
    for (reasoning, field) in [
        (
            Reasoning {
                mode: ReasoningMode::On,
                budget_tokens: Some(10_000),
                ..Reasoning::default()
            },
            r#","reasoning_effort":"medium""#,
        ),
        (
            Reasoning {
                mode: ReasoningMode::Off,
                ..Reasoning::default()
            },
            r#","reasoning_effort":"none""#,
        ),
        (
            Reasoning {
                mode: ReasoningMode::On,
                ..Reasoning::default()
            },
            r#","reasoning_effort":"medium""#,
        ),
        (
            Reasoning {
                mode: ReasoningMode::Adaptive,
                ..Reasoning::default()
            },
            "",
        ),
        (
            Reasoning {
                effort: Some("max".into()),
                ..Reasoning::default()
            },
            r#","reasoning_effort":"max""#,
        ),
    ] {
        let mut request = asks(vec![]);
        request.reasoning = Some(reasoning);
        assert_eq!(
            encode(&request).0,
            format!(r#"{{"model":"m","messages":[]{field}}}"#)
        );
    }
}

#[test]
fn usage_of_streams_is_asked_for_when_it_is_wanted() {
    let mut request = asks(vec![]);
    request.stream = true;
    assert_eq!(
        encode(&request).0,
        r#"{"model":"m","messages":[],"stream":true}"#
    );
    request.stream_usage = true;
    assert_eq!(
        encode(&request).0,
        r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#
    );
    let quirks = Quirks {
        stream_usage: false,
        ..QUIRKS
    };
    assert_eq!(
        encode_with(&request, &quirks).unwrap().body,
        br#"{"model":"m","messages":[],"stream":true}"#
    );
}

/// A provider that departs from the dialect is told in its own words, or what it cannot do is refused or warned of.
#[test]
fn quirks_are_minded() {
    let mut request = asks(vec![
        said(Role::Developer, Content::text("Be brief.")),
        said(Role::User, Content::text("Hi")),
    ]);
    request.max_tokens = Some(5);
    request.sampling.seed = Some(json("7"));
    request.tools = vec![Tool::Function {
        name: "f".into(),
        description: None,
        parameters: None,
        strict: None,
        cache: None,
    }];
    request.tool_choice = Some(ToolChoice::Required);
    let quirks = Quirks {
        developer_role: false,
        max_tokens: TokenLimit::MaxTokens,
        seed: Some("random_seed"),
        required_tool_choice: "any",
        parallel_tool_calls: false,
        ..QUIRKS
    };
    request.parallel_tool_calls = Some(true);
    let encoded = encode_with(&request, &quirks).unwrap();
    assert_eq!(
        String::from_utf8(encoded.body).unwrap(),
        concat!(
            r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],"#,
            r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"any","max_tokens":5,"random_seed":7}"#
        )
    );
    assert!(encoded.warnings.is_empty(), "{:?}", encoded.warnings);
    request.parallel_tool_calls = Some(false);
    let refusal = encode_with(&request, &quirks).unwrap_err();
    assert_eq!(refusal.field, "parallel_tool_calls");
    assert_eq!(refusal.title, Feature::ParallelToolCallsOff.title());
}

#[test]
fn what_a_provider_lacks_is_refused_or_warned_of() {
    let lacks: &'static [&'static str] = &["n", "temperature", "images", "tools", "logprobs"];
    let quirks = Quirks {
        unsupported: lacks,
        ..QUIRKS
    };
    let mut request = asks(vec![said(Role::User, Content::text("Hi"))]);
    request.sampling.temperature = Some(json("0.5"));
    request.choices = Some(1);
    request.logprobs = Some(false);
    let encoded = encode_with(&request, &quirks).unwrap();
    assert_eq!(
        String::from_utf8(encoded.body).unwrap(),
        r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#
    );
    assert_eq!(
        encoded.warnings,
        ["`temperature` was left out for Someone: this provider departs from its dialect"]
    );
    request.choices = Some(2);
    assert_eq!(encode_with(&request, &quirks).unwrap_err().field, "n");
    request.choices = None;
    request.turns = vec![said(
        Role::User,
        Content::Image {
            source: Source::Url("https://example.com/a.png".into()),
            detail: None,
        },
    )];
    assert_eq!(
        encode_with(&request, &quirks).unwrap_err().title,
        Feature::ImageUrl.title()
    );
}
