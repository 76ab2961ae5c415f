//! Streams, read and written.

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Delta, Dialect, Event, FailureKind, Outcome, Part, PartKind,
    Reason, Usage, stream_encoder,
};

use crate::{REPLY, call, heard, listen};

fn written(events: Vec<Event<'_>>) -> String {
    let mut encoder = stream_encoder(Dialect::Cohere, &REPLY).unwrap();
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn begin(part: u32, kind: PartKind<'static>) -> Event<'static> {
    Event::Begin {
        choice: 0,
        part,
        kind,
    }
}

fn more(part: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta {
        choice: 0,
        part,
        delta,
    }
}

/// Events, each with its type in its data and before it.
fn stream(data: &[&str]) -> String {
    data.iter()
        .map(|data| {
            let value: serde_json::Value = serde_json::from_str(data).unwrap();
            format!(
                "event: {}\ndata: {data}\n\n",
                value["type"].as_str().unwrap()
            )
        })
        .collect()
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
fn a_stream_has_coheres_form() {
    let told = written(vec![
        Event::Start {
            id: Some("1".into()),
            model: None,
            created: None,
        },
        begin(0, PartKind::Reasoning { id: None }),
        more(0, Delta::Text("Hm".into())),
        begin(1, PartKind::Text),
        more(1, Delta::Text("Hi".into())),
        more(
            1,
            Delta::Citation(Citation {
                start: Some(0),
                end: Some(2),
                ..Citation::default()
            }),
        ),
        begin(
            2,
            PartKind::ToolCall {
                id: "a".into(),
                name: "f".into(),
            },
        ),
        more(2, Delta::Arguments("{}".into())),
        begin(
            3,
            PartKind::ToolCall {
                id: "b".into(),
                name: "f".into(),
            },
        ),
        Event::Finish {
            choice: 0,
            finish: Reason::ToolCalls.into(),
        },
        Event::Usage(Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        }),
        Event::End,
    ]);
    let expected = stream(&[
        r#"{"id":"1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_calls":[],"citations":[],"tool_plan":""}}}"#,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"Hm"}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":2,"sources":[],"type":"TEXT_CONTENT"}}}}"#,
        r#"{"type":"citation-end","index":0}"#,
        r#"{"type":"content-end","index":1}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","type":"function","function":{"name":"f","arguments":""}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{}"}}}}}"#,
        r#"{"type":"tool-call-end","index":0}"#,
        r#"{"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"id":"b","type":"function","function":{"name":"f","arguments":""}}}}}"#,
        r#"{"type":"tool-call-end","index":1}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":1,"output_tokens":2}}}}"#,
    ]);
    assert_eq!(told, expected);
}

#[test]
fn what_cohere_sends_is_read() {
    let stream = stream(&[
        r#"{"type":"message-start","id":"1","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
        r#"{"type":"debug"}"#,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"H"}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"m"}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-end","index":1}"#,
        r#"{"type":"content-start","index":2,"delta":{"message":{"content":{"type":"text","text":"2"}}}}"#,
        r#"{"type":"content-delta","index":2,"delta":{"message":{"content":{"text":"4"}}},"logprobs":{"token_ids":[1]}}"#,
        r#"{"type":"content-end","index":2}"#,
        r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":2,"text":"24","sources":[{"type":"tool","id":"t:0"},{"type":"tool","id":"t:1"}],"type":"TEXT_CONTENT"}}}}"#,
        r#"{"type":"citation-end","index":0}"#,
        r#"{"type":"citation-start","index":1,"delta":{"message":{"citations":{"start":0,"end":2,"text":"I","sources":[],"type":"PLAN"}}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":" look."}}}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","type":"function","function":{"name":"f","arguments":""}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\n"}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"}"}}}}}"#,
        r#"{"type":"tool-call-end","index":0}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":3,"output_tokens":2},"tokens":{"input_tokens":9,"output_tokens":4}}}}"#,
    ]);
    let citation = |id: &'static str| Citation {
        title: Some(id.into()),
        quote: Some("24".into()),
        start: Some(0),
        end: Some(2),
        ..Citation::default()
    };
    let expected = Answer {
        id: Some("1".into()),
        choices: vec![Choice {
            parts: vec![
                thought("Hm"),
                Content::Text {
                    text: "24".into(),
                    citations: vec![citation("t:0"), citation("t:1")],
                }
                .into(),
                thought("I will look."),
                call("a", "f", "{\n}"),
            ],
            finish: Reason::ToolCalls.into(),
            logprobs: None,
        }],
        usage: Some(Usage {
            input: 9,
            output: 4,
            ..Usage::default()
        }),
        ..Answer::default()
    };
    assert_eq!(heard(stream.as_bytes()).unwrap(), expected);
    // Without the names before the data, and with OpenAI's last words behind them.
    let data: String = stream
        .lines()
        .filter(|line| !line.starts_with("event"))
        .map(|line| format!("{line}\n"))
        .chain(["data: [DONE]\n\n".to_owned()])
        .collect();
    assert_eq!(heard(data.as_bytes()).unwrap(), expected);
}

#[test]
fn a_stream_that_breaks_off_has_no_end() {
    let begun = stream(&[
        r#"{"type":"message-start","id":"1"}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
    ]);
    assert_eq!(listen([begun.as_bytes()]).1, Outcome::Open);
}

#[test]
fn failures_are_told() {
    for (data, kind, message) in [
        (
            r#"{"type":"message-end","delta":{"error":"Out of \"luck\"","finish_reason":"ERROR"}}"#,
            FailureKind::Provider,
            Some("Out of \"luck\""),
        ),
        (
            r#"{"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}"#,
            FailureKind::Timeout,
            None,
        ),
        (
            r#"{"type":"error","message":"Bad"}"#,
            FailureKind::Provider,
            Some("Bad"),
        ),
    ] {
        let (_, outcome) = listen([stream(&[data]).as_bytes()]);
        let Outcome::Failed(failure) = outcome else {
            panic!("{data}: {outcome:?}");
        };
        assert_eq!(failure.kind, kind, "{data}");
        assert_eq!(failure.said.message.as_deref(), message);
    }
}

#[test]
fn nonsense_is_told() {
    for data in [
        "{",
        "[]",
        r#"{"type":"content-delta","delta":{"message":{"content":{"text":1}}}}"#,
        r#"{"type":"tool-call-start","delta":{"message":{"tool_calls":{}}}}"#,
        r#"{"type":"message-end"}"#,
    ] {
        let (_, outcome) = listen([format!("data: {data}\n\n").as_bytes()]);
        assert!(
            matches!(outcome, Outcome::Nonsense(_)),
            "{data}: {outcome:?}"
        );
    }
}
