//! Streams, read and written.

use std::borrow::Cow;

use lockgate_dialects::{
    Answer, Citation, Delta, Dialect, Event, FailureKind, Finish, Outcome, PartKind, Reason, Usage,
    decode_answer, stream_encoder,
};

use crate::{REPLY, heard, listen, recorded};

fn written(events: Vec<Event<'_>>) -> String {
    let mut encoder = stream_encoder(Dialect::Anthropic, &REPLY).unwrap();
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

fn delta(part: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta {
        choice: 0,
        part,
        delta,
    }
}

fn finish(reason: Reason) -> Event<'static> {
    Event::Finish {
        choice: 0,
        finish: Finish::from(reason),
    }
}

fn start() -> Event<'static> {
    Event::Start {
        id: Some("msg_1".into()),
        model: Some("claude".into()),
        created: None,
    }
}

const STARTED: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","#,
    r#""content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}"#,
    "\n\n"
);

/// Events by their names, each with its data.
fn stream(events: &[(&str, &str)]) -> String {
    events
        .iter()
        .map(|(name, rest)| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n"))
        .collect()
}

#[test]
fn a_stream_is_written_as_the_api_would() {
    let usage = Usage {
        input: 30,
        cached: Some(10),
        cache_written: None,
        output: 9,
        reasoning: None,
    };
    let events = vec![
        start(),
        begin(0, PartKind::Reasoning { id: None }),
        delta(0, Delta::Text("hm".into())),
        delta(0, Delta::Signature("sig".into())),
        begin(1, PartKind::Redacted { data: "xx".into() }),
        begin(2, PartKind::Text),
        delta(2, Delta::Text("Hé \"you\"\n".into())),
        delta(
            2,
            Delta::Citation(Citation {
                document: Some(1),
                ..Citation::default()
            }),
        ),
        begin(
            3,
            PartKind::ToolCall {
                id: "t:1".into(),
                name: "f".into(),
            },
        ),
        delta(3, Delta::Arguments("{\"a\":".into())),
        delta(3, Delta::Arguments("1}".into())),
        finish(Reason::ToolCalls),
        Event::Usage(usage),
        Event::End,
    ];
    let expected = stream(&[
        (
            "content_block_start",
            r#","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}"#,
        ),
        (
            "content_block_delta",
            r#","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}"#,
        ),
        (
            "content_block_delta",
            r#","index":0,"delta":{"type":"signature_delta","signature":"sig"}"#,
        ),
        ("content_block_stop", r#","index":0"#),
        (
            "content_block_start",
            r#","index":1,"content_block":{"type":"redacted_thinking","data":"xx"}"#,
        ),
        ("content_block_stop", r#","index":1"#),
        (
            "content_block_start",
            r#","index":2,"content_block":{"type":"text","text":""}"#,
        ),
        (
            "content_block_delta",
            r#","index":2,"delta":{"type":"text_delta","text":"Hé \"you\"\n"}"#,
        ),
        (
            "content_block_delta",
            r#","index":2,"delta":{"type":"citations_delta","citation":{"type":"char_location","cited_text":"","document_index":1,"document_title":null,"start_char_index":0,"end_char_index":0}}"#,
        ),
        ("content_block_stop", r#","index":2"#),
        (
            "content_block_start",
            r#","index":3,"content_block":{"type":"tool_use","id":"t_3a_1","name":"f","input":{}}"#,
        ),
        (
            "content_block_delta",
            r#","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}"#,
        ),
        (
            "content_block_delta",
            r#","index":3,"delta":{"type":"input_json_delta","partial_json":"1}"}"#,
        ),
        ("content_block_stop", r#","index":3"#),
        (
            "message_delta",
            r#","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":20,"cache_read_input_tokens":10,"output_tokens":9}"#,
        ),
        ("message_stop", ""),
    ]);
    assert_eq!(written(events), format!("{STARTED}{expected}"));
}

#[test]
fn a_calls_own_signature_follows_it() {
    let call = PartKind::ToolCall {
        id: "t".into(),
        name: "f".into(),
    };
    let events = vec![
        start(),
        begin(0, call),
        delta(0, Delta::Signature("c2".into())),
        delta(0, Delta::Signature("ln".into())),
        finish(Reason::Stop),
        Event::End,
    ];
    let expected = stream(&[
        (
            "content_block_start",
            r#","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}"#,
        ),
        ("content_block_stop", r#","index":0"#),
        (
            "content_block_start",
            r#","index":1,"content_block":{"type":"thinking","thinking":"","signature":""}"#,
        ),
        (
            "content_block_delta",
            r#","index":1,"delta":{"type":"signature_delta","signature":"tool_use:c2ln"}"#,
        ),
        ("content_block_stop", r#","index":1"#),
        (
            "message_delta",
            r#","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":0,"output_tokens":0}"#,
        ),
        ("message_stop", ""),
    ]);
    assert_eq!(written(events), format!("{STARTED}{expected}"));
}

#[test]
fn only_what_belongs_to_the_open_block_of_the_first_choice_is_written() {
    let mut elsewhere = vec![start(), begin(0, PartKind::Text)];
    let before = written(vec![start(), begin(0, PartKind::Text)]);
    elsewhere.push(delta(1, Delta::Text("x".into())));
    elsewhere.push(delta(0, Delta::Signature("x".into())));
    elsewhere.push(Event::Delta {
        choice: 1,
        part: 0,
        delta: Delta::Text("x".into()),
    });
    elsewhere.push(Event::Failed(lockgate_dialects::Failure::provider("x")));
    assert_eq!(written(elsewhere), before);
}

#[test]
fn a_stream_without_a_beginning_gets_one() {
    let out = written(vec![begin(0, PartKind::Text)]);
    assert!(out.starts_with("event: message_start\n"), "{out}");
    assert!(
        out.contains(r#""id":"msg_0123456789abcdef""#) && out.contains(r#""model":"asked-for""#)
    );
}

#[test]
fn recorded_streams_say_what_the_plain_answers_say() {
    for (case, text) in recorded("stream.txt") {
        let answers = recorded("answer.json");
        let (_, plain) = answers.iter().find(|(name, _)| *name == case).unwrap();
        let mut expected = decode_answer(Dialect::Anthropic, plain).unwrap();
        expected.service_tier = None;
        assert_eq!(heard(text.as_bytes()).unwrap(), expected, "{case}");
    }
}

#[test]
fn recorded_streams_may_be_cut_anywhere() {
    for (case, text) in recorded("stream.txt") {
        let whole = listen([text.as_bytes()]).0.events;
        for at in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(at);
            assert_eq!(listen([head, tail]).0.events, whole, "{case} at {at}");
        }
        assert_eq!(listen(text.as_bytes().chunks(1)).0.events, whole, "{case}");
    }
}

/// Blocks of the provider's own tools are passed over; the parts around them keep running numbers.
#[test]
fn blocks_without_a_word_are_passed_over() {
    let text = stream(&[
        (
            "message_start",
            r#","message":{"id":"msg_1","model":"claude","usage":{"input_tokens":5,"output_tokens":1}}"#,
        ),
        ("ping", ""),
        (
            "content_block_start",
            r#","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#,
        ),
        (
            "content_block_delta",
            r#","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}"#,
        ),
        ("content_block_stop", r#","index":0"#),
        (
            "content_block_start",
            r#","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"s","content":[]}"#,
        ),
        ("content_block_stop", r#","index":1"#),
        ("something_new", r#","index":1"#),
        (
            "content_block_start",
            r#","index":2,"content_block":{"type":"text","text":""}"#,
        ),
        (
            "content_block_delta",
            r#","index":2,"delta":{"type":"something_new","text":"x"}"#,
        ),
        (
            "content_block_delta",
            r#","index":2,"delta":{"type":"text_delta","text":"Sunny."}"#,
        ),
        (
            "content_block_delta",
            r#","index":2,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","cited_text":"q","url":"https://a","title":"T","encrypted_index":"E"}}"#,
        ),
        ("content_block_stop", r#","index":2"#),
        (
            "content_block_start",
            r#","index":3,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}"#,
        ),
        (
            "content_block_delta",
            r#","index":3,"delta":{"type":"input_json_delta","partial_json":""}"#,
        ),
        ("content_block_stop", r#","index":3"#),
        (
            "message_delta",
            r#","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":7}"#,
        ),
        ("message_stop", ""),
    ]);
    let plain = concat!(
        r#"{"id":"msg_1","model":"claude","content":[{"type":"text","text":"Sunny.","citations":["#,
        r#"{"type":"web_search_result_location","cited_text":"q","url":"https://a","title":"T"}]},"#,
        r#"{"type":"tool_use","id":"t","name":"f","input":{}}],"stop_reason":"tool_use","#,
        r#""usage":{"input_tokens":5,"output_tokens":7}}"#
    );
    let expected: Answer<'_> = decode_answer(Dialect::Anthropic, plain).unwrap();
    assert_eq!(heard(text.as_bytes()).unwrap(), expected);
}

/// Some of the dialect's followers send a call's arguments at once.
#[test]
fn blocks_may_begin_with_all_they_have() {
    let text = stream(&[
        ("message_start", r#","message":{}"#),
        (
            "content_block_start",
            r#","index":0,"content_block":{"type":"thinking","thinking":"hm","signature":"s"}"#,
        ),
        (
            "content_block_start",
            r#","index":1,"content_block":{"type":"text","text":"a"}"#,
        ),
        (
            "content_block_delta",
            r#","index":1,"delta":{"type":"text_delta","text":"b"}"#,
        ),
        (
            "content_block_start",
            r#","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"n":1.0}}"#,
        ),
        ("message_delta", r#","delta":{"stop_reason":"tool_use"}"#),
        ("message_stop", ""),
    ]);
    let plain = concat!(
        r#"{"content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"ab"},"#,
        r#"{"type":"tool_use","id":"t","name":"f","input":{"n":1.0}}],"stop_reason":"tool_use"}"#
    );
    let expected = decode_answer(Dialect::Anthropic, plain).unwrap();
    assert_eq!(heard(text.as_bytes()).unwrap(), expected);
}

#[test]
fn a_failure_in_the_middle_is_told() {
    let text = concat!(
        "event: error\n",
        r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
    );
    let (_, outcome) = listen([text.as_bytes()]);
    let told = match outcome {
        Outcome::Failed(failure) => Some((failure.kind, failure.said.message)),
        _ => None,
    };
    assert_eq!(
        told,
        Some((FailureKind::Overloaded, Some("Overloaded".to_owned())))
    );
}

#[test]
fn a_stream_that_breaks_off_has_no_end() {
    for (case, text) in recorded("stream.txt") {
        let (head, _) = text.rsplit_once("event: message_stop").unwrap();
        let (heard, outcome) = listen([head.as_bytes()]);
        assert_eq!(outcome, Outcome::Open, "{case}");
        assert_eq!(heard.collector.finish(), Err(None), "{case}");
    }
}

#[test]
fn nonsense_is_told() {
    for (data, problem) in [
        ("nothing", "The body cannot be read as JSON (column 2)"),
        ("[1]", "The body is not an event of this dialect"),
        (
            r#"{"type":"content_block_start","index":0}"#,
            "content_block is missing",
        ),
        (
            r#"{"type":"message_start","message":{"id":5}}"#,
            "message.id must be text",
        ),
        (
            r#"{"type":"message_delta","delta":{"stop_reason":1}}"#,
            "delta.stop_reason must be text",
        ),
        (
            r#"{"type":"message_delta","usage":{"output_tokens":"x"}}"#,
            "usage.output_tokens must be a whole number that is not negative",
        ),
    ] {
        let text = format!("data: {data}\n\n");
        let (_, outcome) = listen([text.as_bytes()]);
        assert_eq!(outcome, Outcome::Nonsense(problem.to_owned()));
    }
}

/// A follower may end without having said why.
#[test]
fn an_end_without_a_reason_is_still_an_end() {
    let text = stream(&[("message_start", r#","message":{}"#), ("message_stop", "")]);
    let answer = heard(text.as_bytes()).unwrap();
    let finish = &answer.choices.first().unwrap().finish;
    assert_eq!(
        (finish.reason, finish.stop_sequence.as_deref()),
        (Reason::Other, None::<&str>)
    );
    let _: Option<Cow<'_, str>> = answer.id;
}
