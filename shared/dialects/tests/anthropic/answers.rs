//! Plain answers, read and written.

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Dialect, Finish, Reason, Usage, decode_answer, encode_answer,
};

use crate::REPLY;

fn read(body: &str) -> Answer<'_> {
    decode_answer(Dialect::Anthropic, body).unwrap()
}

fn write(answer: &Answer<'_>) -> String {
    String::from_utf8(encode_answer(Dialect::Anthropic, answer, &REPLY)).unwrap()
}

fn of(parts: Vec<Content<'static>>, finish: impl Into<Finish<'static>>) -> Answer<'static> {
    Answer {
        choices: vec![Choice {
            parts: parts.into_iter().map(Into::into).collect(),
            finish: finish.into(),
            logprobs: None,
        }],
        ..Answer::default()
    }
}

fn call(arguments: &'static str, signature: Option<&'static str>) -> Content<'static> {
    Content::ToolCall {
        id: "toolu_1".into(),
        name: "f".into(),
        arguments: arguments.into(),
        signature: signature.map(Into::into),
    }
}

#[test]
fn an_answer_is_read() {
    let answer = read(
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
            {"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"xx"},
            {"type":"server_tool_use","id":"s","name":"web_search","input":{}},
            {"type":"web_search_tool_result","tool_use_id":"s","content":[]},
            {"type":"text","text":"Green","citations":[
                {"type":"char_location","cited_text":"The grass is green. ","document_index":0,"document_title":"My Document","start_char_index":0,"end_char_index":20},
                {"type":"web_search_result_location","cited_text":"q","url":"https://a","title":null,"encrypted_index":"E"}]},
            {"type":"tool_use","id":"t","name":"f","input":{"n": 12345678901234567890}}],
            "stop_reason":"tool_use","stop_sequence":null,
            "usage":{"input_tokens":20,"cache_creation_input_tokens":300,"cache_read_input_tokens":4000,"output_tokens":50,
                "output_tokens_details":{"thinking_tokens":30},"service_tier":"standard"}}"#,
    );
    let cited = Content::Text {
        text: "Green".into(),
        citations: vec![
            Citation {
                title: Some("My Document".into()),
                quote: Some("The grass is green. ".into()),
                document: Some(0),
                ..Citation::default()
            },
            Citation {
                url: Some("https://a".into()),
                quote: Some("q".into()),
                ..Citation::default()
            },
        ],
    };
    let mut expected = of(
        vec![
            Content::Reasoning {
                text: "hm".into(),
                signature: Some("sig".into()),
                id: None,
            },
            Content::Redacted { data: "xx".into() },
            cited,
            Content::ToolCall {
                id: "t".into(),
                name: "f".into(),
                arguments: r#"{"n": 12345678901234567890}"#.into(),
                signature: None,
            },
        ],
        Reason::ToolCalls,
    );
    expected.id = Some("msg_1".into());
    expected.model = Some("claude".into());
    expected.service_tier = Some("default".into());
    expected.usage = Some(Usage {
        input: 4_320,
        cached: Some(4_000),
        cache_written: Some(300),
        output: 50,
        reasoning: Some(30),
    });
    assert_eq!(answer, expected);
    assert_eq!(answer.usage.unwrap().fresh_input(), 20);
}

#[test]
fn every_stop_reason_is_read() {
    for (stop_reason, reason) in [
        (r#""end_turn""#, Reason::Stop),
        (r#""stop_sequence""#, Reason::StopSequence),
        (r#""max_tokens""#, Reason::Length),
        (r#""model_context_window_exceeded""#, Reason::Length),
        (r#""tool_use""#, Reason::ToolCalls),
        (r#""pause_turn""#, Reason::Pause),
        (r#""refusal""#, Reason::Refusal),
        (r#""compaction""#, Reason::Other),
        ("null", Reason::Other),
    ] {
        let body = format!(r#"{{"content":[],"stop_reason":{stop_reason}}}"#);
        assert_eq!(read(&body).choices.first().unwrap().finish.reason, reason);
    }
}

#[test]
fn every_reason_is_written() {
    for (reason, stop_reason) in [
        (Reason::Stop, "end_turn"),
        (Reason::StopSequence, "stop_sequence"),
        (Reason::Length, "max_tokens"),
        (Reason::ToolCalls, "tool_use"),
        (Reason::ContentFilter, "refusal"),
        (Reason::Refusal, "refusal"),
        (Reason::Pause, "pause_turn"),
        (Reason::Other, "end_turn"),
    ] {
        let body = write(&of(Vec::new(), reason));
        assert!(
            body.contains(&format!(r#""stop_reason":"{stop_reason}""#)),
            "{body}"
        );
    }
    let body = write(&of(vec![call("{}", None)], Reason::Stop));
    assert!(body.contains(r#""stop_reason":"tool_use""#), "{body}");
    let refusal = Content::Refusal { text: "No.".into() };
    let body = write(&of(vec![refusal], Reason::Stop));
    assert!(
        body.contains(r#""content":[{"type":"text","text":"No."}],"stop_reason":"refusal""#),
        "{body}"
    );
}

#[test]
fn an_answer_is_written() {
    let mut answer = of(
        vec![
            Content::Reasoning {
                text: "hm".into(),
                signature: None,
                id: None,
            },
            Content::text("Yes"),
            call("{\"a\" : 1.0}", None),
        ],
        Finish {
            reason: Reason::StopSequence,
            stop_sequence: Some("END".into()),
        },
    );
    answer.service_tier = Some("default".into());
    answer.usage = Some(Usage {
        input: 100,
        cached: Some(30),
        cache_written: None,
        output: 7,
        reasoning: Some(5),
    });
    assert_eq!(
        write(&answer),
        concat!(
            r#"{"id":"msg_0123456789abcdef","type":"message","role":"assistant","model":"asked-for","content":["#,
            r#"{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"Yes"},"#,
            r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{"a" : 1.0}}],"#,
            r#""stop_reason":"stop_sequence","stop_sequence":"END","#,
            r#""usage":{"input_tokens":70,"cache_read_input_tokens":30,"output_tokens":7,"#,
            r#""output_tokens_details":{"thinking_tokens":5},"service_tier":"standard"}}"#
        )
    );
}

#[test]
fn an_answer_without_anything_is_still_a_message() {
    assert_eq!(
        write(&Answer::default()),
        concat!(
            r#"{"id":"msg_0123456789abcdef","type":"message","role":"assistant","model":"asked-for","content":[],"#,
            r#""stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}"#
        )
    );
}

#[test]
fn arguments_that_broke_off_are_still_an_object() {
    let body = write(&of(vec![call(r#"{"city":"Par"#, None)], Reason::Length));
    assert!(
        body.contains(r#""input":{"_invalid_json":"{\"city\":\"Par"}"#),
        "{body}"
    );
}

#[test]
fn citations_are_written() {
    let citation = |url: Option<&'static str>, document| Citation {
        url: url.map(Into::into),
        title: Some("T".into()),
        quote: Some("q".into()),
        document,
        ..Citation::default()
    };
    let text = Content::Text {
        text: "x".into(),
        citations: vec![citation(Some("https://a"), None), citation(None, Some(2))],
    };
    let body = write(&of(vec![text], Reason::Stop));
    assert!(
        body.contains(concat!(
            r#""citations":[{"type":"web_search_result_location","cited_text":"q","url":"https://a","title":"T","encrypted_index":""},"#,
            r#"{"type":"char_location","cited_text":"q","document_index":2,"document_title":"T","start_char_index":0,"end_char_index":0}]"#
        )),
        "{body}"
    );
}

#[test]
fn a_calls_own_signature_follows_it() {
    let body = write(&of(vec![call("{}", Some("c2ln"))], Reason::ToolCalls));
    assert!(
        body.contains(concat!(
            r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{}},"#,
            r#"{"type":"thinking","thinking":"","signature":"tool_use:c2ln"}]"#
        )),
        "{body}"
    );
}

#[test]
fn why_it_declined_is_kept() {
    let answer = read(
        r#"{"content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"Because."}}"#,
    );
    let refusal = Content::Refusal {
        text: "Because.".into(),
    };
    assert_eq!(answer, of(vec![refusal], Reason::Refusal));
}

#[test]
fn nonsense_is_told() {
    for (body, problem) in [
        ("[]", "The body must be an object"),
        ("{}", "content is missing"),
        (
            r#"{"content":[{"text":"a"}]}"#,
            "content[0].type is missing",
        ),
        (
            r#"{"content":[],"usage":{"input_tokens":-1}}"#,
            "usage.input_tokens must be a whole number that is not negative",
        ),
    ] {
        let told = decode_answer(Dialect::Anthropic, body).unwrap_err();
        assert_eq!(told.to_string(), problem);
    }
}
