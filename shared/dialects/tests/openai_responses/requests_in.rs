//! What requests are read as.

use lockgate_dialects::openai_responses::decode_request;
use lockgate_dialects::{
    Cache, Citation, Content, Dialect, Extra, Feature, Format, Reasoning, Request, Role, Source,
    Tool, ToolChoice, Turn, encode_request,
};

use super::{json, target, turn};

fn read(body: &str) -> Request<'_> {
    decode_request(body).unwrap()
}

fn problem(body: &str) -> String {
    decode_request(body).unwrap_err().to_string()
}

fn turns(input: &str) -> Vec<Turn<'static>> {
    let body = format!(r#"{{"model":"m","input":{input}}}"#);
    let body: &'static str = body.leak();
    read(body).turns
}

fn input_problem(input: &str) -> String {
    problem(&format!(r#"{{"model":"m","input":{input}}}"#))
}

fn extra(name: &'static str, value: &'static str) -> Extra<'static> {
    Extra {
        name: name.into(),
        value: json(value),
    }
}

#[test]
fn a_text_is_what_the_user_says() {
    let request = read(r#"{"model":"m","input":"Hi"}"#);
    assert_eq!(
        request,
        Request {
            model: "m".into(),
            turns: vec![turn(Role::User, vec![Content::text("Hi")])],
            stream_usage: true,
            ..Request::default()
        }
    );
}

#[test]
fn instructions_come_first() {
    let request = read(
        r#"{"model":"m","instructions":"Be brief.","input":[{"role":"developer","content":"No jokes."},{"role":"user","content":"Hi"}]}"#,
    );
    assert_eq!(
        request.turns,
        [
            turn(Role::System, vec![Content::text("Be brief.")]),
            turn(Role::Developer, vec![Content::text("No jokes.")]),
            turn(Role::User, vec![Content::text("Hi")]),
        ]
    );
}

#[test]
fn contents_are_known_by_their_types() {
    let parts = turns(
        r#"[{"type":"message","id":"msg_1","status":"completed","role":"user","content":[
            {"type":"input_text","text":"What is this?"},
            {"type":"input_image","image_url":"https://example.com/a.png","detail":"low"},
            {"type":"input_image","image_url":"data:image/png;base64,AAAA"},
            {"type":"input_image","file_id":"file-1"},
            {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,BBBB"},
            {"type":"input_file","filename":"a.csv","file_data":"CCCC"},
            {"type":"input_file","file_url":"https://example.com/a.pdf"},
            {"type":"input_file","file_id":"file-2"}]}]"#,
    );
    let file = |source, name: Option<&'static str>| Content::File {
        source,
        name: name.map(Into::into),
    };
    let image = |source, detail: Option<&'static str>| Content::Image {
        source,
        detail: detail.map(Into::into),
    };
    let inline = |media_type: &'static str, data: &'static str| Source::Base64 {
        media_type: media_type.into(),
        data: data.into(),
    };
    assert_eq!(
        parts,
        [turn(
            Role::User,
            vec![
                Content::text("What is this?"),
                image(Source::Url("https://example.com/a.png".into()), Some("low")),
                image(inline("image/png", "AAAA"), None),
                image(Source::Id("file-1".into()), None),
                file(inline("application/pdf", "BBBB"), Some("a.pdf")),
                file(inline("text/csv", "CCCC"), Some("a.csv")),
                file(Source::Url("https://example.com/a.pdf".into()), None),
                file(Source::Id("file-2".into()), None),
            ]
        )]
    );
}

#[test]
fn what_the_model_did_in_a_row_is_one_turn_and_so_are_the_results() {
    let turns = turns(
        r#"[{"role":"user","content":"Weather?"},
            {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Two"},{"type":"summary_text","text":"parts"}],"encrypted_content":"gAAA"},
            {"type":"message","id":"msg_1","role":"assistant","status":"completed","phase":"commentary","content":[
                {"type":"output_text","text":"I look.","annotations":[{"type":"url_citation","url":"https://e.com","title":"E","start_index":0,"end_index":1},{"type":"file_citation","file_id":"f","filename":"n","index":1}],"logprobs":[]}]},
            {"type":"function_call","id":"fc_1","call_id":"a","name":"weather","arguments":"{\"big\":9007199254740993}","status":"completed"},
            {"type":"function_call","call_id":"b","name":"time","arguments":""},
            {"type":"function_call_output","call_id":"a","output":"{\"sun\": true}"},
            {"type":"function_call_output","call_id":"b","output":[{"type":"input_text","text":"Noon"},{"type":"input_image","image_url":"https://e.com/clock.png"}]},
            {"role":"assistant","content":[{"type":"refusal","refusal":"No."}]}]"#,
    );
    let call = |id: &'static str, name: &'static str, arguments: &'static str| Content::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    };
    let result = |id: &'static str, parts: Vec<Content<'static>>| Content::ToolResult {
        id: id.into(),
        name: None,
        parts: parts.into_iter().map(Into::into).collect(),
        error: false,
    };
    assert_eq!(
        turns,
        [
            turn(Role::User, vec![Content::text("Weather?")]),
            turn(
                Role::Assistant,
                vec![
                    Content::Reasoning {
                        text: "Two\n\nparts".into(),
                        signature: Some("gAAA".into()),
                        id: Some("rs_1".into()),
                    },
                    Content::Text {
                        text: "I look.".into(),
                        citations: vec![Citation {
                            url: Some("https://e.com".into()),
                            title: Some("E".into()),
                            start: Some(0),
                            end: Some(1),
                            ..Citation::default()
                        }],
                    },
                    call("a", "weather", r#"{"big":9007199254740993}"#),
                    call("b", "time", ""),
                ]
            ),
            turn(
                Role::Tool,
                vec![
                    result("a", vec![Content::text("{\"sun\": true}")]),
                    result(
                        "b",
                        vec![
                            Content::text("Noon"),
                            Content::Image {
                                source: Source::Url("https://e.com/clock.png".into()),
                                detail: None,
                            },
                        ]
                    ),
                ]
            ),
            turn(
                Role::Assistant,
                vec![Content::Refusal { text: "No.".into() }]
            ),
        ]
    );
}

#[test]
fn thoughts_of_others_are_told_by_their_ids() {
    let turns = turns(
        r#"[{"type":"reasoning","id":"rs_sealed_x_0","summary":[],"encrypted_content":"SEALED"},
            {"type":"reasoning","id":"rs_x_1","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"SIGNED"},
            {"type":"reasoning","id":"rs_2","summary":[]},
            {"type":"reasoning","id":"rs_3","summary":[],"content":[{"type":"reasoning_text","text":"Aloud"}]},
            {"type":"function_call","call_id":"a","name":"f","arguments":"{}"},
            {"type":"reasoning","id":"rs_proof_x_3","summary":[],"encrypted_content":"PROOF"}]"#,
    );
    let thought =
        |id: &'static str, text: &'static str, seal: Option<&'static str>| Content::Reasoning {
            text: text.into(),
            signature: seal.map(Into::into),
            id: Some(id.into()),
        };
    assert_eq!(
        turns,
        [turn(
            Role::Assistant,
            vec![
                Content::Redacted {
                    data: "SEALED".into()
                },
                thought("rs_x_1", "Hm", Some("SIGNED")),
                thought("rs_3", "Aloud", None),
                Content::ToolCall {
                    id: "a".into(),
                    name: "f".into(),
                    arguments: "{}".into(),
                    signature: Some("PROOF".into()),
                },
            ]
        )]
    );
    assert_eq!(
        input_problem(
            r#"[{"type":"reasoning","id":"rs_proof_1","summary":[],"encrypted_content":"x"}]"#
        ),
        "input[0] must follow the call that it came with"
    );
}

#[test]
fn settings_keep_their_digits_and_their_text() {
    let request = read(
        r#"{"model":"m","input":"Hi","temperature":0.10,"top_p":1e-1,"max_output_tokens":100,"parallel_tool_calls":false,
            "metadata":{ "a" : "b" },"user":"u","service_tier":"flex","store":false,"stream":true,
            "stream_options":{"include_obfuscation":false},
            "reasoning":{"effort":"high","generate_summary":"auto","mode":"pro"},
            "text":{"format":{"type":"json_schema","name":"n","schema":{ "x":1.0 },"strict":true},"verbosity":"low"},
            "top_logprobs":2,"include":["reasoning.encrypted_content","message.output_text.logprobs","file_search_call.results"],
            "truncation":"disabled","background":false,"previous_response_id":null,
            "tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true,"defer_loading":true},
                     {"type":"web_search"}],
            "prompt_cache_key":"k","max_tool_calls":3}"#,
    );
    assert_eq!(
        request.sampling.temperature.as_ref().unwrap().as_str(),
        "0.10"
    );
    assert_eq!(request.sampling.top_p.as_ref().unwrap().as_str(), "1e-1");
    assert_eq!(request.max_tokens, Some(100));
    assert_eq!(request.parallel_tool_calls, Some(false));
    assert_eq!(request.metadata, Some(json(r#"{ "a" : "b" }"#)));
    assert_eq!(request.user.as_deref(), Some("u"));
    assert_eq!(request.service_tier.as_deref(), Some("flex"));
    assert_eq!(request.store, Some(false));
    assert!(request.stream && request.stream_usage);
    assert_eq!(
        request.reasoning,
        Some(Reasoning {
            effort: Some("high".into()),
            summary: Some("auto".into()),
            ..Reasoning::default()
        })
    );
    assert_eq!(
        request.format,
        Some(Format::Schema {
            name: Some("n".into()),
            description: None,
            schema: json(r#"{ "x":1.0 }"#),
            strict: Some(true),
        })
    );
    assert_eq!(
        (request.top_logprobs, request.logprobs),
        (Some(2), Some(true))
    );
    assert_eq!(
        request.tools,
        [
            Tool::Function {
                name: "f".into(),
                description: Some("d".into()),
                parameters: Some(json(r#"{"type":"object"}"#)),
                strict: Some(true),
                cache: None,
            },
            Tool::Other {
                kind: "web_search".into(),
                value: json(r#"{"type":"web_search"}"#),
            },
        ]
    );
    assert_eq!(
        request.extra,
        [
            extra("verbosity", r#""low""#),
            extra("reasoning.mode", r#""pro""#),
            extra("tools[0].defer_loading", "true"),
            extra("include", r#"["file_search_call.results"]"#),
            extra("prompt_cache_key", r#""k""#),
            extra("max_tool_calls", "3"),
        ]
    );
}

#[test]
fn tools_are_chosen_in_each_form() {
    let choice = |choice: &str| {
        let body = format!(r#"{{"model":"m","input":"Hi","tool_choice":{choice}}}"#);
        let body: &'static str = body.leak();
        read(body).tool_choice.unwrap()
    };
    assert_eq!(choice(r#""auto""#), ToolChoice::Auto);
    assert_eq!(choice(r#""none""#), ToolChoice::None);
    assert_eq!(choice(r#""required""#), ToolChoice::Required);
    assert_eq!(
        choice(r#"{"type":"function","name":"f"}"#),
        ToolChoice::Named("f".into())
    );
    assert_eq!(
        choice(r#"{"type":"custom","name":"c"}"#),
        ToolChoice::Named("c".into())
    );
    assert_eq!(
        choice(r#"{"type":"web_search_preview"}"#),
        ToolChoice::Named("web_search_preview".into())
    );
    assert_eq!(
        choice(
            r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"},{"type":"image_generation"}]}"#
        ),
        ToolChoice::Allowed {
            names: vec!["f".into(), "image_generation".into()],
            required: true,
        }
    );
}

#[test]
fn a_place_to_cache_up_to_is_a_marker() {
    let turns = turns(
        r#"[{"role":"user","content":[{"type":"input_text","text":"Long","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}]}]"#,
    );
    assert_eq!(turns[0].parts[0].cache, Some(Cache { ttl: None }));
}

#[test]
fn what_only_steers_is_warned_of_by_its_path() {
    let request = read(
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"f","detail":"low"}]},
            {"type":"function_call","call_id":"a","name":"n","arguments":"{}","namespace":"x"},
            {"type":"function_call_output","call_id":"a","output":""}],"reasoning":{"context":"auto"}}"#,
    );
    let names: Vec<_> = request.extra.iter().map(|extra| &*extra.name).collect();
    assert_eq!(
        names,
        [
            "input[0].content[0].detail",
            "input[1].namespace",
            "reasoning.context"
        ]
    );
    let encoded = encode_request(Dialect::OpenAiChat, &request, &target("m")).unwrap();
    assert!(encoded.warnings[0].starts_with("`input[0].content[0].detail` was left out"));
}

#[test]
fn what_the_provider_would_have_to_know_is_refused() {
    for field in [
        r#""previous_response_id":"resp_1""#,
        r#""conversation":"conv_1""#,
        r#""background":true"#,
        r#""prompt":{"id":"pmpt_1"}"#,
    ] {
        for input in [r#","input":"Hi""#, ""] {
            let body = format!(r#"{{"model":"m",{field}{input}}}"#);
            if input.is_empty() && field.contains("background") {
                assert_eq!(problem(&body), "input is missing");
                continue;
            }
            let request = read(&body);
            for dialect in [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Gemini] {
                let refusal = encode_request(dialect, &request, &target("m")).unwrap_err();
                assert_eq!(refusal.title, Feature::State.title());
                assert!(field.contains(&refusal.field), "{refusal}");
            }
            let same = encode_request(Dialect::OpenAiResponses, &request, &target("m")).unwrap();
            assert!(
                String::from_utf8(same.body).unwrap().contains(field),
                "{field}"
            );
            assert_eq!(same.warnings, [""; 0]);
        }
    }
}

#[test]
fn what_cannot_be_understood_is_refused_with_its_path() {
    let cases = [
        (r#"5"#, "input must be text or a list of items"),
        (
            r#"[{"type":"item_reference","id":"msg_1"}]"#,
            "input[0] must be an item itself: those that the provider keeps cannot be referred to here",
        ),
        (
            r#"[{"id":"msg_1"}]"#,
            "input[0] must be an item itself: those that the provider keeps cannot be referred to here",
        ),
        (
            r#"[{"role":"user","content":"a"},{"type":"web_search_call","id":"ws_1","status":"completed"}]"#,
            "input[1].type must be message, function_call, function_call_output or reasoning: items of the provider's own tools are not translated",
        ),
        (
            r#"[{"type":"custom_tool_call","call_id":"a","name":"c","input":"x"}]"#,
            "input[0].type must be of functions: calls of custom tools are not translated",
        ),
        (
            r#"[{"role":"robot","content":"a"}]"#,
            "input[0].role must be user, assistant, system or developer",
        ),
        (r#"[{"role":"user"}]"#, "input[0].content is missing"),
        (
            r#"[{"role":"user","content":[{"type":"input_text","text":"a","foo":1}]}]"#,
            "input[0].content[0].foo is not known here",
        ),
        (
            r#"[{"role":"user","content":[{"type":"input_text","text":5}]}]"#,
            "input[0].content[0].text must be text",
        ),
        (
            r#"[{"role":"user","content":[{"type":"input_image"}]}]"#,
            "input[0].content[0].image_url must be there, or else file_id",
        ),
        (
            r#"[{"type":"function_call","name":"f","arguments":"{}"}]"#,
            "input[0].call_id is missing",
        ),
        (
            r#"[{"type":"function_call_output","call_id":"a","output":[{"type":"input_video"}]}]"#,
            "input[0].output[0].type must be input_text, input_image, input_file, output_text or refusal",
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(input_problem(input), expected);
    }
    assert_eq!(problem(r#"{"model":"m"}"#), "input is missing");
    assert_eq!(problem(r#"{"input":"a"}"#), "model is missing");
    assert_eq!(
        problem(r#"{"model":"m","input":"a","tools":[{"type":"function"}]}"#),
        "tools[0].name is missing"
    );
    assert_eq!(
        problem(r#"{"model":"m","input":"a","text":{"format":{"type":"xml"}}}"#),
        "text.format.type must be text, json_object or json_schema"
    );
    assert_eq!(
        problem(r#"{"model":"m","input":"a","tool_choice":{"type":"mcp","server_label":"x"}}"#),
        "tool_choice.server_label is not known here"
    );
    assert_eq!(
        problem(r#"{"model":"m","input":"a","include":[1]}"#),
        "include[0] must be text"
    );
}
