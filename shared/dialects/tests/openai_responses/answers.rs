//! Plain answers, both ways.

use lockgate_dialects::openai_responses::{decode_answer, encode_answer};
use lockgate_dialects::{Answer, Choice, Citation, Content, Finish, Part, Reason, Usage};

use super::{json, reply};

fn read(output: &'static str, more: &'static str) -> Answer<'static> {
    let body = format!(
        r#"{{"id":"resp_1","object":"response","created_at":1741476542,"model":"gpt-5","output":{output}{more}}}"#
    );
    decode_answer(body.leak()).unwrap()
}

fn parts(output: &'static str) -> Vec<Content<'static>> {
    let answer = read(output, r#","status":"completed""#);
    let choice = answer.choices.into_iter().next().unwrap();
    choice.parts.into_iter().map(|part| part.content).collect()
}

fn answer(parts: Vec<Content<'static>>, reason: Reason) -> Answer<'static> {
    Answer {
        choices: vec![Choice {
            parts: parts.into_iter().map(Part::from).collect(),
            finish: reason.into(),
            logprobs: None,
        }],
        ..Answer::default()
    }
}

fn written(answer: &Answer<'_>, request: &str) -> String {
    String::from_utf8(encode_answer(answer, &reply(request))).unwrap()
}

fn output(parts: Vec<Content<'static>>, reason: Reason) -> String {
    let body = written(&answer(parts, reason), "{}");
    let (_, rest) = body.split_once(r#""output":"#).unwrap();
    let (output, _) = rest.split_once(r#","previous_response_id""#).unwrap();
    output.to_owned()
}

#[test]
fn a_response_is_read_item_by_item() {
    assert_eq!(
        parts(
            r#"[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"A"},{"type":"summary_text","text":"B"}],"content":[{"type":"reasoning_text","text":"aloud"}],"encrypted_content":"gAAA"},
                {"id":"rs_2","type":"reasoning","summary":[],"encrypted_content":null},
                {"id":"ws_1","type":"web_search_call","status":"completed"},
                {"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[
                    {"type":"output_text","text":"It is sunny.","annotations":[{"type":"url_citation","start_index":0,"end_index":5,"url":"https://e.com","title":"E"},{"type":"file_path","file_id":"f","index":1}]},
                    {"type":"output_text","text":"","annotations":[]},
                    {"type":"refusal","refusal":"No more."}]},
                {"id":"fc_1","type":"function_call","status":"completed","arguments":"{\"n\":9007199254740993}","call_id":"call_1","name":"f"},
                {"id":"ctc_1","type":"custom_tool_call","call_id":"call_2","name":"run","input":"print(1)"}]"#
        ),
        [
            Content::Reasoning {
                text: "A\n\nB".into(),
                signature: Some("gAAA".into()),
                id: Some("rs_1".into()),
            },
            Content::Text {
                text: "It is sunny.".into(),
                citations: vec![Citation {
                    url: Some("https://e.com".into()),
                    title: Some("E".into()),
                    start: Some(0),
                    end: Some(5),
                    ..Citation::default()
                }],
            },
            Content::Refusal {
                text: "No more.".into()
            },
            Content::ToolCall {
                id: "call_1".into(),
                name: "f".into(),
                arguments: r#"{"n":9007199254740993}"#.into(),
                signature: None,
            },
            Content::ToolCall {
                id: "call_2".into(),
                name: "run".into(),
                arguments: "print(1)".into(),
                signature: None,
            },
        ]
    );
}

#[test]
fn how_it_ended_and_what_it_cost_are_read() {
    let answer = read(
        "[]",
        r#","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"service_tier":"flex","usage":{"input_tokens":10,
            "input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":17}"#,
    );
    assert_eq!(answer.id.as_deref(), Some("resp_1"));
    assert_eq!(answer.model.as_deref(), Some("gpt-5"));
    assert_eq!(answer.created, Some(1_741_476_542));
    assert_eq!(answer.service_tier.as_deref(), Some("flex"));
    assert_eq!(answer.choices[0].finish, Finish::from(Reason::Length));
    let usage = answer.usage.unwrap();
    assert_eq!(
        usage,
        Usage {
            input: 10,
            cached: Some(4),
            cache_written: Some(2),
            output: 7,
            reasoning: Some(5),
        }
    );
    assert_eq!((usage.fresh_input(), usage.total()), (4, 17));
}

#[test]
fn reasons_are_told_by_the_status_and_by_what_is_there() {
    const CALL: &str = r#"[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}]"#;
    const REFUSAL: &str = r#"[{"type":"message","content":[{"type":"refusal","refusal":"No."}]}]"#;
    const TEXT: &str =
        r#"[{"type":"message","content":[{"type":"output_text","text":"Hi","annotations":[]}]}]"#;
    for (output, more, expected) in [
        (TEXT, r#","status":"completed""#, Reason::Stop),
        (TEXT, "", Reason::Stop),
        (CALL, r#","status":"completed""#, Reason::ToolCalls),
        (REFUSAL, r#","status":"completed""#, Reason::Refusal),
        (
            CALL,
            r#","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}"#,
            Reason::Length,
        ),
        (
            TEXT,
            r#","status":"incomplete","incomplete_details":{"reason":"content_filter"}"#,
            Reason::ContentFilter,
        ),
        (
            TEXT,
            r#","status":"incomplete","incomplete_details":{"reason":"steered"}"#,
            Reason::Other,
        ),
        (TEXT, r#","status":"cancelled""#, Reason::Other),
    ] {
        assert_eq!(
            read(output, more).choices[0].finish,
            Finish::from(expected),
            "{output} {more}"
        );
    }
}

#[test]
fn log_probabilities_of_all_texts_are_one_list() {
    let answer = read(
        r#"[{"type":"message","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[{"token":"a","logprob":-0.10}]},
            {"type":"output_text","text":"b","annotations":[],"logprobs":[ {"token":"b"} ]}]}]"#,
        "",
    );
    assert_eq!(
        answer.choices[0].logprobs,
        Some(json(
            r#"{"content":[{"token":"a","logprob":-0.10},{"token":"b"}],"refusal":null}"#
        ))
    );
}

#[test]
fn a_failure_is_no_answer() {
    let body = r#"{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"It broke."},"output":[]}"#;
    assert_eq!(
        decode_answer(body).unwrap_err().to_string(),
        "error tells of a failure: It broke."
    );
    assert!(decode_answer("[]").is_err());
    assert!(decode_answer(r#"{"output":[{"id":"x"}]}"#).is_err());
}

#[test]
fn a_response_has_openais_form_and_defaults() {
    let answer = Answer {
        id: Some("msg_7".into()),
        usage: Some(Usage {
            input: 10,
            cached: Some(4),
            cache_written: None,
            output: 7,
            reasoning: None,
        }),
        ..answer(vec![Content::text("Hi")], Reason::StopSequence)
    };
    assert_eq!(
        written(&answer, "no request"),
        [
            r#"{"id":"resp_msg_7","object":"response","created_at":1700000000,"status":"completed","background":false,"error":null,"#,
            r#""incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"asked-for","#,
            r#""output":[{"id":"msg_abc123_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Hi"}],"role":"assistant"}],"#,
            r#""previous_response_id":null,"service_tier":null,"store":false,"parallel_tool_calls":true,"prompt_cache_key":null,"#,
            r#""reasoning":{"effort":null,"summary":null},"safety_identifier":null,"temperature":1.0,"text":{"format":{"type":"text"}},"#,
            r#""tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","user":null,"metadata":{},"#,
            r#""usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":0},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":17}}"#,
        ]
        .concat()
    );
}

#[test]
fn a_response_repeats_its_request_on_one_line() {
    let request = "{\"model\":\"m\",\"input\":\"Hi\",\"instructions\":\"Be\\nbrief.\",\r\n\"tools\":[\n  {\"type\":\"function\"}\n],\
        \"text\":{\"verbosity\":\"low\"},\"reasoning\":{\"effort\":\"high\",\"mode\":\"pro\"},\"temperature\":0.10,\"metadata\":{\"a\":\"b\"},\
        \"store\":true,\"previous_response_id\":\"resp_0\",\"tool_choice\":\"required\",\"parallel_tool_calls\":false,\"user\":null}";
    let body = written(&answer(Vec::new(), Reason::Stop), request);
    assert!(!body.contains(['\n', '\r']));
    for part in [
        r#""instructions":"Be\nbrief.""#,
        r#""tools":[  {"type":"function"}]"#,
        r#""text":{"format":{"type":"text"},"verbosity":"low"}"#,
        r#""reasoning":{"effort":"high","summary":null,"mode":"pro"}"#,
        r#""temperature":0.10"#,
        r#""metadata":{"a":"b"}"#,
        r#""tool_choice":"required""#,
        r#""parallel_tool_calls":false"#,
        r#""user":null"#,
        r#""store":false"#,
        r#""previous_response_id":null"#,
        r#""usage":null"#,
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
}

#[test]
fn parts_become_items() {
    let call = |id: &'static str, arguments: &'static str, signature: Option<&'static str>| {
        Content::ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: signature.map(Into::into),
        }
    };
    let citation = |start, end| Citation {
        url: Some("https://e.com".into()),
        title: None,
        quote: Some("q".into()),
        start,
        end,
        document: None,
    };
    assert_eq!(
        output(
            vec![
                Content::Reasoning {
                    text: "Hm".into(),
                    signature: Some("c2ln".into()),
                    id: None,
                },
                Content::Redacted { data: "RRR".into() },
                Content::Text {
                    text: "Grüße".into(),
                    citations: vec![
                        citation(None, None),
                        citation(Some(1), Some(2)),
                        Citation::default(),
                    ],
                },
                Content::Refusal { text: "No.".into() },
                call("a", "", Some("PPP")),
                call("b", r#"{"x":1.0}"#, None),
            ],
            Reason::ToolCalls
        ),
        [
            r#"[{"id":"rs_abc123_0","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"c2ln"},"#,
            r#"{"id":"rs_sealed_abc123_1","type":"reasoning","summary":[],"encrypted_content":"RRR"},"#,
            r#"{"id":"msg_abc123_2","type":"message","status":"completed","content":[{"type":"output_text","annotations":["#,
            r#"{"type":"url_citation","start_index":0,"end_index":5,"title":"","url":"https://e.com"},"#,
            r#"{"type":"url_citation","start_index":1,"end_index":2,"title":"","url":"https://e.com"}],"logprobs":[],"text":"Grüße"},"#,
            r#"{"type":"refusal","refusal":"No."}],"role":"assistant"},"#,
            r#"{"id":"fc_abc123_3","type":"function_call","status":"completed","arguments":"{}","call_id":"a","name":"f"},"#,
            r#"{"id":"rs_proof_abc123_4","type":"reasoning","summary":[],"encrypted_content":"PPP"},"#,
            r#"{"id":"fc_abc123_5","type":"function_call","status":"completed","arguments":"{\"x\":1.0}","call_id":"b","name":"f"}]"#,
        ]
        .concat()
    );
}

#[test]
fn every_reason_has_a_status() {
    let status = |reason, parts: Vec<Content<'static>>| {
        let body = written(&answer(parts, reason), "{}");
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        let word = |value: &serde_json::Value| value.as_str().unwrap_or("null").to_owned();
        (
            word(&value["status"]),
            word(&value["incomplete_details"]["reason"]),
            word(&value["output"][0]["status"]),
        )
    };
    let said = || vec![Content::text("Hi")];
    let refused = || vec![Content::Refusal { text: "No.".into() }];
    let expect =
        |status: &str, reason: &str| (status.to_owned(), reason.to_owned(), status.to_owned());
    for (reason, parts, expected) in [
        (Reason::Stop, said(), expect("completed", "null")),
        (Reason::StopSequence, said(), expect("completed", "null")),
        (Reason::ToolCalls, said(), expect("completed", "null")),
        (Reason::Other, said(), expect("completed", "null")),
        (
            Reason::Length,
            said(),
            expect("incomplete", "max_output_tokens"),
        ),
        (
            Reason::Pause,
            said(),
            expect("incomplete", "max_output_tokens"),
        ),
        (
            Reason::ContentFilter,
            said(),
            expect("incomplete", "content_filter"),
        ),
        (
            Reason::Refusal,
            said(),
            expect("incomplete", "content_filter"),
        ),
        (Reason::Refusal, refused(), expect("completed", "null")),
    ] {
        assert_eq!(status(reason, parts), expected, "{reason:?}");
    }
}

#[test]
fn only_what_was_cut_off_is_incomplete() {
    let call = Content::ToolCall {
        id: "a".into(),
        name: "f".into(),
        arguments: "{\"x".into(),
        signature: None,
    };
    let cut = output(vec![Content::text("Hi"), call.clone()], Reason::Length);
    assert!(cut.contains(r#""type":"message","status":"completed""#));
    assert!(cut.contains(r#""type":"function_call","status":"incomplete","arguments":"{\"x""#));
    let thought = Content::Reasoning {
        text: "Hm".into(),
        signature: None,
        id: None,
    };
    let cut = output(vec![Content::text("Hi"), thought], Reason::Length);
    assert!(cut.contains(r#""type":"message","status":"completed""#));
}
