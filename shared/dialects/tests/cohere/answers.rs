//! Plain answers, read and written.

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Dialect, Part, Reason, Usage, decode_answer, encode_answer,
};

use crate::{REPLY, call};

fn written(answer: &Answer<'_>) -> String {
    String::from_utf8(encode_answer(Dialect::Cohere, answer, &REPLY)).unwrap()
}

fn answer(parts: Vec<Part<'static>>, reason: Reason) -> Answer<'static> {
    Answer {
        choices: vec![Choice {
            parts,
            finish: reason.into(),
            logprobs: None,
        }],
        ..Answer::default()
    }
}

fn thought(text: &'static str) -> Part<'static> {
    Content::Reasoning {
        text: text.into(),
        signature: None,
        id: None,
    }
    .into()
}

#[test]
fn an_answer_is_read() {
    let body = r#"{"id": "c14c80c3", "finish_reason": "TOOL_CALL", "message": {"role": "assistant", "tool_plan": "I will look.",
        "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": ""}, {"type": "text", "text": "24°C"}],
        "citations": [
            {"start": 0, "end": 4, "text": "24°C", "type": "TEXT_CONTENT", "content_index": 2, "sources": [
                {"type": "tool", "id": "get_weather_1:0", "tool_output": {"t": "24"}},
                {"type": "document", "id": "doc:1", "document": {"id": "doc:1", "title": "Weather", "url": "https://example.com", "n": 1}},
                {"type": "document", "id": "doc:2", "document": {"title": 5}}]},
            {"start": 0, "end": 1, "text": "H", "type": "THINKING_CONTENT", "content_index": 0, "sources": []},
            {"start": 0, "end": 1, "text": "I", "type": "PLAN", "sources": []},
            {"start": 9, "end": 9, "content_index": 99}],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.0}"}}]},
        "usage": {"billed_units": {"input_tokens": 37.0, "output_tokens": 28.0}, "tokens": {"input_tokens": 913.0, "output_tokens": 83.0},
            "cached_tokens": 800}}"#;
    let citation = |title: &'static str, url: Option<&'static str>| Citation {
        url: url.map(Into::into),
        title: Some(title.into()),
        quote: Some("24°C".into()),
        start: Some(0),
        end: Some(4),
        document: None,
    };
    let expected = Answer {
        id: Some("c14c80c3".into()),
        usage: Some(Usage {
            input: 913,
            cached: Some(800),
            output: 83,
            ..Usage::default()
        }),
        ..answer(
            vec![
                thought("I will look."),
                thought("Hm"),
                Content::Text {
                    text: "24°C".into(),
                    citations: vec![
                        citation("get_weather_1:0", None),
                        citation("Weather", Some("https://example.com")),
                        citation("doc:2", None),
                    ],
                }
                .into(),
                call("a", "f", r#"{"x": 1.0}"#),
            ],
            Reason::ToolCalls,
        )
    };
    assert_eq!(decode_answer(Dialect::Cohere, body).unwrap(), expected);
}

#[test]
fn an_answer_is_written() {
    let answer = Answer {
        usage: Some(Usage {
            input: 913,
            cached: Some(800),
            output: 83,
            ..Usage::default()
        }),
        ..answer(
            vec![
                thought("Hm"),
                Content::Text {
                    text: "Hi".into(),
                    citations: vec![Citation {
                        title: Some("T".into()),
                        start: Some(0),
                        end: Some(2),
                        ..Citation::default()
                    }],
                }
                .into(),
                call("a", "f", "{}"),
            ],
            Reason::ToolCalls,
        )
    };
    assert_eq!(
        written(&answer),
        concat!(
            r#"{"id":"0123456789abcdef","finish_reason":"TOOL_CALL","message":{"role":"assistant","content":["#,
            r#"{"type":"thinking","thinking":"Hm"},{"type":"text","text":"Hi"}],"#,
            r#""citations":[{"start":0,"end":2,"sources":[{"type":"document","document":{"title":"T"}}],"type":"TEXT_CONTENT","content_index":1}],"#,
            r#""tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"#,
            r#""usage":{"billed_units":{"input_tokens":913,"output_tokens":83},"tokens":{"input_tokens":913,"output_tokens":83},"cached_tokens":800}}"#
        )
    );
}

#[test]
fn reasons_both_ways() {
    let read = |word: &str| {
        let body = format!(r#"{{"message":{{}},"finish_reason":"{word}"}}"#);
        let answer = decode_answer(Dialect::Cohere, &body).unwrap();
        answer.choices[0].finish.reason
    };
    for (word, reason) in [
        ("COMPLETE", Reason::Stop),
        ("STOP_SEQUENCE", Reason::StopSequence),
        ("MAX_TOKENS", Reason::Length),
        ("TOOL_CALL", Reason::ToolCalls),
        ("ERROR", Reason::Other),
        ("TIMEOUT", Reason::Other),
        ("NEVER_HEARD_OF", Reason::Other),
    ] {
        assert_eq!(read(word), reason, "{word}");
    }
    for (reason, word) in [
        (Reason::Stop, "COMPLETE"),
        (Reason::StopSequence, "STOP_SEQUENCE"),
        (Reason::Length, "MAX_TOKENS"),
        (Reason::ToolCalls, "TOOL_CALL"),
        (Reason::ContentFilter, "ERROR_TOXIC"),
        (Reason::Refusal, "COMPLETE"),
        (Reason::Pause, "COMPLETE"),
        (Reason::Other, "ERROR"),
    ] {
        let body = written(&answer(Vec::new(), reason));
        assert!(body.contains(&format!(r#""finish_reason":"{word}""#)));
    }
}

#[test]
fn what_was_billed_counts_where_nothing_else_is_told() {
    let body = r#"{"message":{},"usage":{"billed_units":{"input_tokens":1,"output_tokens":2}}}"#;
    let answer = decode_answer(Dialect::Cohere, body).unwrap();
    assert_eq!(
        answer.usage,
        Some(Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        })
    );
}

#[test]
fn what_makes_no_sense_is_a_problem() {
    for (body, problem) in [
        ("{}", "message is missing"),
        (
            r#"{"message":{"content":["x"]}}"#,
            "message.content[0] must be an object",
        ),
        (
            r#"{"message":{"tool_calls":[{"id":"a"}]}}"#,
            "message.tool_calls[0].function is missing",
        ),
        (
            r#"{"message":{"content":[{"text":"a"}],"citations":[{"sources":[1]}]}}"#,
            "message.citations[0].sources[0] must be an object",
        ),
        (
            r#"{"message":{},"usage":{"tokens":{"input_tokens":"1"}}}"#,
            "usage.input_tokens must be a whole number that is not negative",
        ),
    ] {
        let said = decode_answer(Dialect::Cohere, body).unwrap_err();
        assert_eq!(said.to_string(), problem);
    }
}
