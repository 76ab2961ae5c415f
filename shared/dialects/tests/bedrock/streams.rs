//! Streams, read and written.

use lockgate_dialects::bedrock::{EventStream, message};
use lockgate_dialects::{
    Answer, Choice, Citation, Content, Delta, Dialect, Event, FailureKind, Outcome, PartKind,
    Reason, Usage, decode_answer, stream_encoder,
};

use crate::{REPLY, call, framed, heard, listen};

/// The events and their data in a written stream.
fn written(events: Vec<Event<'_>>) -> Vec<(String, String)> {
    let mut encoder = stream_encoder(Dialect::Bedrock, &REPLY).unwrap();
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, &mut out);
    }
    let mut told = Vec::new();
    EventStream::default()
        .push(&out, |frame| {
            assert!(!frame.exception);
            told.push((frame.event.to_owned(), frame.data.to_owned()));
        })
        .unwrap();
    told
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

fn start() -> Event<'static> {
    Event::Start {
        id: None,
        model: None,
        created: None,
    }
}

#[test]
fn a_stream_has_bedrocks_form() {
    let told = written(vec![
        start(),
        begin(0, PartKind::Reasoning { id: None }),
        more(0, Delta::Text("Hm".into())),
        more(0, Delta::Signature("sig".into())),
        begin(
            1,
            PartKind::Redacted {
                data: "QUJD".into(),
            },
        ),
        begin(2, PartKind::Text),
        more(2, Delta::Text("\"Hi\"".into())),
        begin(
            3,
            PartKind::ToolCall {
                id: "a b".into(),
                name: "f".into(),
            },
        ),
        more(3, Delta::Arguments("{\"x\":".into())),
        more(3, Delta::Arguments("1}".into())),
        more(3, Delta::Signature("google's".into())),
        Event::Finish {
            choice: 0,
            finish: Reason::ToolCalls.into(),
        },
        Event::Usage(Usage {
            input: 12,
            cached: Some(2),
            output: 3,
            ..Usage::default()
        }),
        Event::End,
    ]);
    let expected = [
        ("messageStart", r#"{"role":"assistant"}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"sig"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"QUJD"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":2,"delta":{"text":"\"Hi\""}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"a_20_b","name":"f"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"x\":"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"1}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
        (
            "metadata",
            r#"{"usage":{"inputTokens":10,"outputTokens":3,"totalTokens":15,"cacheReadInputTokens":2},"metrics":{"latencyMs":0}}"#,
        ),
    ];
    assert_eq!(
        told,
        expected.map(|(event, data)| (event.to_owned(), data.to_owned()))
    );
}

#[test]
fn what_aws_sends_is_read() {
    // With the padding that AWS adds, an empty delta and events of its own.
    let stream = framed(&[
        ("initial-response", "{}"),
        ("messageStart", r#"{"p":"abcd","role":"assistant"}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"H\u006d"}},"p":"ab"}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"sig"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"text":""}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"text":"Par"}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"text":"is"}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"citation":{"title":"Atlas","location":{"documentChar":{"documentIndex":1,"start":0,"end":2}}}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":2,"start":{"toolUse":{"name":"nova_grounding","toolUseId":"s","type":"server_tool_use"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":3,"start":{"toolUse":{"name":"f","toolUseId":"a"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":""}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"x\":1.0}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
        (
            "messageStop",
            r#"{"stopReason":"tool_use","additionalModelResponseFields":{"stop_sequence":"END"}}"#,
        ),
        (
            "metadata",
            r#"{"metrics":{"latencyMs":7},"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}"#,
        ),
    ]);
    let plain = decode_answer(
        Dialect::Bedrock,
        r#"{"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"text":"Hm","signature":"sig"}}},
            {"citationsContent":{"content":[{"text":"Paris"}],"citations":[{"title":"Atlas","location":{"documentChar":{"documentIndex":1}}}]}},
            {"toolUse":{"toolUseId":"a","name":"f","input":{"x":1.0}}}]}},"stopReason":"tool_use",
            "additionalModelResponseFields":{"stop_sequence":"END"},"usage":{"inputTokens":1,"outputTokens":2}}"#,
    )
    .unwrap();
    assert_eq!(heard(&stream).unwrap(), plain);
}

/// Calls may be told apart by their index alone, and a model may go from text to a call within one block's index.
#[test]
fn blocks_without_an_end_are_told_apart() {
    let stream = framed(&[
        ("messageStart", "{}"),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"A"}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"text":"B"}}"#,
        ),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":2,"start":{"toolUse":{"name":"f","toolUseId":"a"}}}"#,
        ),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":3,"start":{"toolUse":{"name":"f","toolUseId":"b"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{}"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":9,"delta":{"toolUse":{"input":"of no call"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":9,"delta":{"image":{}}}"#,
        ),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
        ("metadata", "{}"),
    ]);
    let expected = Answer {
        choices: vec![Choice {
            parts: vec![
                Content::text("A").into(),
                Content::text("B").into(),
                call("a", "f", ""),
                call("b", "f", "{}"),
            ],
            finish: Reason::ToolCalls.into(),
            logprobs: None,
        }],
        ..Answer::default()
    };
    assert_eq!(heard(&stream).unwrap(), expected);
}

#[test]
fn a_citation_may_come_before_its_text() {
    let stream = framed(&[
        ("messageStart", "{}"),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"citation":{"title":"T"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"A"}}"#,
        ),
        ("messageStop", r#"{"stopReason":"end_turn"}"#),
        ("metadata", "{}"),
    ]);
    let answer = heard(&stream).unwrap();
    assert_eq!(
        answer.choices[0].parts[0].content,
        Content::Text {
            text: "A".into(),
            citations: vec![Citation {
                title: Some("T".into()),
                ..Citation::default()
            }]
        }
    );
}

#[test]
fn the_end_may_come_without_metadata_but_not_without_a_reason() {
    let begun = [
        ("messageStart", "{}"),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"A"}}"#,
        ),
    ];
    assert_eq!(listen([&framed(&begun)[..]]).1, Outcome::Open);
    let early = [&begun[..], &[("metadata", r#"{"usage":{}}"#)]].concat();
    assert_eq!(listen([&framed(&early)[..]]).1, Outcome::Open);
    let stopped = [
        &begun[..],
        &[("messageStop", r#"{"stopReason":"end_turn"}"#)],
    ]
    .concat();
    assert_eq!(listen([&framed(&stopped)[..]]).1, Outcome::Complete);
    let whole = [&stopped[..], &[("metadata", "{}")]].concat();
    assert_eq!(listen([&framed(&whole)[..]]).1, Outcome::Complete);
}

#[test]
fn exceptions_are_failures() {
    for (event, kind) in [
        ("throttlingException", FailureKind::RateLimited),
        ("validationException", FailureKind::Invalid),
        ("serviceUnavailableException", FailureKind::Overloaded),
        ("modelTimeoutException", FailureKind::Timeout),
        ("internalServerException", FailureKind::Provider),
        ("modelStreamErrorException", FailureKind::Provider),
    ] {
        let mut stream = framed(&[("messageStart", "{}")]);
        stream.extend(message(event, br#"{"message":"Too bad"}"#, true));
        let (heard, outcome) = listen([&stream[..]]);
        let Outcome::Failed(failure) = outcome else {
            panic!("{event}: {outcome:?}");
        };
        assert_eq!(failure.kind, kind, "{event}");
        assert_eq!(failure.said.message.as_deref(), Some("Too bad"));
        assert_eq!(failure.said.code.as_deref(), Some(event));
        assert_eq!(heard.events.len(), 1);
    }
}

#[test]
fn nonsense_is_told() {
    for events in [
        [("contentBlockDelta", "{")],
        [("contentBlockDelta", r#"{"delta":{"text":1}}"#)],
        [("contentBlockStart", r#"{"start":{"toolUse":{}}}"#)],
        [("messageStop", "[]")],
        [("metadata", r#"{"usage":{"inputTokens":"1"}}"#)],
    ] {
        let (_, outcome) = listen([&framed(&events)[..]]);
        assert!(
            matches!(outcome, Outcome::Nonsense(_)),
            "{events:?}: {outcome:?}"
        );
    }
    let mut damaged = framed(&[("messageStart", "{}")]);
    damaged[20] ^= 1;
    assert!(matches!(listen([&damaged[..]]).1, Outcome::Nonsense(_)));
}
