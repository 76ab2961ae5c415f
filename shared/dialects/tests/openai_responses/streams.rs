//! Streams, both ways.

use lockgate_dialects::openai_responses::{StreamEncoder, encode_answer};
use lockgate_dialects::{
    Answer, Choice, Citation, Content, Delta, EncodeStream, Event, Failure, FailureKind, Outcome,
    Part, PartKind, Reason, Said, Usage,
};

use super::{frames, in_words, json, reply, told, translate, written};

fn delta(part: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta {
        choice: 0,
        part,
        delta,
    }
}

fn begin(part: u32, kind: PartKind<'static>) -> Event<'static> {
    Event::Begin {
        choice: 0,
        part,
        kind,
    }
}

fn start() -> Event<'static> {
    Event::Start {
        id: Some("resp_1".into()),
        model: Some("gpt-5".into()),
        created: Some(1),
    }
}

const CREATED: &str = r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","created_at":1,"model":"gpt-5","status":"in_progress","output":[]}}"#;

fn finish(reason: Reason) -> Event<'static> {
    Event::Finish {
        choice: 0,
        finish: reason.into(),
    }
}

#[test]
fn a_stream_has_openais_events() {
    let answer = Answer {
        id: Some("resp_1".into()),
        model: Some("gpt-5".into()),
        created: Some(1),
        choices: vec![Choice {
            parts: [
                Content::Reasoning {
                    text: "Hm".into(),
                    signature: Some("gAAA".into()),
                    id: Some("rs_1".into()),
                },
                Content::Text {
                    text: "Hi".into(),
                    citations: vec![Citation {
                        url: Some("https://e.com".into()),
                        title: Some("E".into()),
                        ..Citation::default()
                    }],
                },
                Content::Refusal { text: "No.".into() },
                Content::ToolCall {
                    id: "a".into(),
                    name: "f".into(),
                    arguments: "{}".into(),
                    signature: Some("PPP".into()),
                },
            ]
            .map(Part::from)
            .into(),
            finish: Reason::ToolCalls.into(),
            logprobs: None,
        }],
        usage: Some(Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        }),
        service_tier: None,
    };
    let plain = String::from_utf8(encode_answer(&answer, &reply("{}"))).unwrap();
    let nothing = Answer {
        id: Some("resp_1".into()),
        model: Some("gpt-5".into()),
        created: Some(1),
        ..Answer::default()
    };
    let begun = String::from_utf8(encode_answer(&nothing, &reply("{}"))).unwrap();
    let begun = begun.replacen("completed", "in_progress", 1);
    let text = r#"{"type":"output_text","annotations":[{"type":"url_citation","start_index":0,"end_index":2,"title":"E","url":"https://e.com"}],"logprobs":[],"text":"Hi"}"#;
    let citation = r#"{"type":"url_citation","start_index":0,"end_index":2,"title":"E","url":"https://e.com"}"#;
    let expected = [
        ("response.created", format!(r#""response":{begun}"#)),
        ("response.in_progress", format!(r#""response":{begun}"#)),
        (
            "response.output_item.added",
            r#""output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}"#.into(),
        ),
        (
            "response.reasoning_summary_part.added",
            r#""item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}"#.into(),
        ),
        (
            "response.reasoning_summary_text.delta",
            r#""item_id":"rs_1","output_index":0,"summary_index":0,"delta":"Hm""#.into(),
        ),
        (
            "response.reasoning_summary_text.done",
            r#""item_id":"rs_1","output_index":0,"summary_index":0,"text":"Hm""#.into(),
        ),
        (
            "response.reasoning_summary_part.done",
            r#""item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"Hm"}"#.into(),
        ),
        (
            "response.output_item.done",
            r#""output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"gAAA"}"#.into(),
        ),
        (
            "response.output_item.added",
            r#""output_index":1,"item":{"id":"msg_abc123_1","type":"message","status":"in_progress","content":[],"role":"assistant"}"#.into(),
        ),
        (
            "response.content_part.added",
            r#""item_id":"msg_abc123_1","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}"#.into(),
        ),
        (
            "response.output_text.delta",
            r#""item_id":"msg_abc123_1","output_index":1,"content_index":0,"delta":"Hi","logprobs":[]"#.into(),
        ),
        (
            "response.output_text.annotation.added",
            format!(r#""item_id":"msg_abc123_1","output_index":1,"content_index":0,"annotation_index":0,"annotation":{citation}"#),
        ),
        (
            "response.output_text.done",
            r#""item_id":"msg_abc123_1","output_index":1,"content_index":0,"text":"Hi","logprobs":[]"#.into(),
        ),
        (
            "response.content_part.done",
            format!(r#""item_id":"msg_abc123_1","output_index":1,"content_index":0,"part":{text}"#),
        ),
        (
            "response.content_part.added",
            r#""item_id":"msg_abc123_1","output_index":1,"content_index":1,"part":{"type":"refusal","refusal":""}"#.into(),
        ),
        (
            "response.refusal.delta",
            r#""item_id":"msg_abc123_1","output_index":1,"content_index":1,"delta":"No.""#.into(),
        ),
        (
            "response.refusal.done",
            r#""item_id":"msg_abc123_1","output_index":1,"content_index":1,"refusal":"No.""#.into(),
        ),
        (
            "response.content_part.done",
            r#""item_id":"msg_abc123_1","output_index":1,"content_index":1,"part":{"type":"refusal","refusal":"No."}"#.into(),
        ),
        (
            "response.output_item.done",
            format!(r#""output_index":1,"item":{{"id":"msg_abc123_1","type":"message","status":"completed","content":[{text},{{"type":"refusal","refusal":"No."}}],"role":"assistant"}}"#),
        ),
        (
            "response.output_item.added",
            r#""output_index":2,"item":{"id":"fc_abc123_2","type":"function_call","status":"in_progress","arguments":"","call_id":"a","name":"f"}"#.into(),
        ),
        (
            "response.function_call_arguments.delta",
            r#""item_id":"fc_abc123_2","output_index":2,"delta":"{}""#.into(),
        ),
        (
            "response.function_call_arguments.done",
            r#""item_id":"fc_abc123_2","output_index":2,"arguments":"{}""#.into(),
        ),
        (
            "response.output_item.done",
            r#""output_index":2,"item":{"id":"fc_abc123_2","type":"function_call","status":"completed","arguments":"{}","call_id":"a","name":"f"}"#.into(),
        ),
        (
            "response.output_item.added",
            r#""output_index":3,"item":{"id":"rs_proof_abc123_3","type":"reasoning","summary":[],"encrypted_content":"PPP"}"#.into(),
        ),
        (
            "response.output_item.done",
            r#""output_index":3,"item":{"id":"rs_proof_abc123_3","type":"reasoning","summary":[],"encrypted_content":"PPP"}"#.into(),
        ),
        ("response.completed", format!(r#""response":{plain}"#)),
    ];
    let stream = written(&answer, &reply("{}"));
    let made = frames(&stream);
    for ((number, (name, fields)), frame) in expected.iter().enumerate().zip(&made) {
        let data = format!(r#"{{"type":"{name}","sequence_number":{number},{fields}}}"#);
        assert_eq!(*frame, (*name, data.as_str()));
    }
    assert_eq!(made.len(), expected.len());
}

#[test]
fn an_incomplete_stream_ends_so() {
    let answer = |reason: Reason| Answer {
        choices: vec![Choice {
            parts: vec![Content::text("Hi").into()],
            finish: reason.into(),
            logprobs: None,
        }],
        ..Answer::default()
    };
    for (reason, word) in [
        (Reason::Length, "max_output_tokens"),
        (Reason::ContentFilter, "content_filter"),
    ] {
        let stream = written(&answer(reason), &reply("{}"));
        let frames = frames(&stream);
        let (name, data) = frames.last().unwrap();
        assert_eq!(*name, "response.incomplete");
        assert!(data.contains(&format!(r#""incomplete_details":{{"reason":"{word}"}}"#)));
        let (_, item) = frames[frames.len() - 2];
        assert!(item.contains(r#""status":"incomplete""#), "{item}");
    }
}

#[test]
fn nothing_is_written_for_other_choices_and_for_failures() {
    let mut encoder = StreamEncoder::new(&reply("{}"));
    let mut out = Vec::new();
    encoder.event(start(), &mut out);
    let before = out.len();
    encoder.event(
        Event::Begin {
            choice: 1,
            part: 0,
            kind: PartKind::Text,
        },
        &mut out,
    );
    encoder.event(
        Event::Delta {
            choice: 1,
            part: 0,
            delta: Delta::Text("x".into()),
        },
        &mut out,
    );
    encoder.event(Event::Failed(Failure::provider("It broke.")), &mut out);
    assert_eq!(out.len(), before);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let mut encoder = StreamEncoder::new(&reply("{}"));
    let mut out = Vec::new();
    for event in [
        start(),
        begin(
            0,
            PartKind::ToolCall {
                id: "a".into(),
                name: "f".into(),
            },
        ),
        finish(Reason::ToolCalls),
        Event::End,
    ] {
        encoder.event(event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""output_index":0,"arguments":"{}"}"#));
    assert!(out.contains(r#""status":"completed","arguments":"{}","call_id":"a""#));
}

#[test]
fn log_probabilities_stand_at_the_text_they_are_of() {
    let mut encoder = StreamEncoder::new(&reply("{}"));
    let mut out = Vec::new();
    let logprobs = |list: &'static str| Event::Logprobs {
        choice: 0,
        logprobs: json(list),
    };
    for event in [
        start(),
        begin(0, PartKind::Text),
        delta(0, Delta::Text("ab".into())),
        logprobs(r#"{"content":[{"token":"a"}]}"#),
        logprobs("{\"content\":[\n{\"token\":\n\"b\"}],\"refusal\":null}"),
        finish(Reason::Stop),
        Event::End,
    ] {
        encoder.event(event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    let list = r#""logprobs":[{"token":"a"},{"token":"b"}]"#;
    assert_eq!(out.matches(list).count(), 4, "{out}");
}

#[test]
fn events_are_read_as_they_come() {
    let data = [
        CREATED,
        r#"{"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1"}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":"A","obfuscation":"x"}"#,
        r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":1,"delta":"B"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"A"},{"type":"summary_text","text":"B"}],"encrypted_content":"gAAA"}}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"ws_1","type":"web_search_call","status":"in_progress"}}"#,
        r#"{"type":"response.web_search_call.searching","output_index":1,"item_id":"ws_1"}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"ws_1","type":"web_search_call","status":"completed"}}"#,
        r#"{"type":"response.output_item.added","output_index":2,"item":{"id":"msg_1","type":"message","content":[]}}"#,
        r#"{"type":"response.content_part.added","output_index":2,"content_index":0,"part":{"type":"output_text","text":""}}"#,
        r#"{"type":"response.output_text.delta","output_index":2,"content_index":0,"delta":"Gr\u00fc\n"}"#,
        r#"{"type":"response.output_text.annotation.added","output_index":2,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","url":"u","title":"t","start_index":0,"end_index":1}}"#,
        r#"{"type":"response.content_part.done","output_index":2,"content_index":0,"part":{"type":"output_text","text":"Gr\u00fc\n","annotations":[{"type":"url_citation","url":"u","title":"t","start_index":0,"end_index":1}]}}"#,
        r#"{"type":"response.output_item.done","output_index":2,"item":{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"Gr\u00fc\n","annotations":[{"type":"url_citation","url":"u","title":"t","start_index":0,"end_index":1}]}]}}"#,
        r#"{"type":"response.output_item.added","output_index":3,"item":{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":3,"delta":"{\"x\":"}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":3,"delta":"1}"}"#,
        r#"{"type":"response.function_call_arguments.done","output_index":3,"arguments":"{\"x\":1}"}"#,
        r#"{"type":"response.output_item.done","output_index":3,"item":{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1}"}}"#,
        r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":2}}}"#,
    ];
    let (events, read) = told(&data);
    assert_eq!(read, Ok(()));
    assert_eq!(
        events,
        in_words(&[
            start(),
            begin(
                0,
                PartKind::Reasoning {
                    id: Some("rs_1".into())
                }
            ),
            delta(0, Delta::Text("A".into())),
            delta(0, Delta::Text("\n\n".into())),
            delta(0, Delta::Text("B".into())),
            delta(0, Delta::Signature("gAAA".into())),
            begin(1, PartKind::Text),
            delta(1, Delta::Text("Grü\n".into())),
            delta(
                1,
                Delta::Citation(Citation {
                    url: Some("u".into()),
                    title: Some("t".into()),
                    start: Some(0),
                    end: Some(1),
                    ..Citation::default()
                })
            ),
            begin(
                2,
                PartKind::ToolCall {
                    id: "a".into(),
                    name: "f".into()
                }
            ),
            delta(2, Delta::Arguments("{\"x\":".into())),
            delta(2, Delta::Arguments("1}".into())),
            finish(Reason::ToolCalls),
            Event::Usage(Usage {
                input: 1,
                output: 2,
                ..Usage::default()
            }),
            Event::End,
        ])
    );
}

#[test]
fn what_no_delta_told_is_taken_from_where_it_is_told_whole() {
    let data = [
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}]}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"A","annotations":[]},{"type":"refusal","refusal":"B"}]}}"#,
        r#"{"type":"response.output_item.done","output_index":2,"item":{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":"{}"}}"#,
        r#"{"type":"response.output_item.added","output_index":3,"item":{"id":"fc_2","type":"function_call","call_id":"b","name":"g","arguments":""}}"#,
        r#"{"type":"response.output_item.done","output_index":3,"item":{"id":"fc_2","type":"function_call","call_id":"b","name":"g","arguments":"[]"}}"#,
        r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
        "[DONE]",
    ];
    let call = |id: &'static str, name: &'static str| PartKind::ToolCall {
        id: id.into(),
        name: name.into(),
    };
    let (events, read) = told(&data);
    assert_eq!(read, Ok(()));
    assert_eq!(
        events,
        in_words(&[
            Event::Start {
                id: None,
                model: None,
                created: None
            },
            begin(
                0,
                PartKind::Reasoning {
                    id: Some("rs_1".into())
                }
            ),
            delta(0, Delta::Text("Hm".into())),
            begin(1, PartKind::Text),
            delta(1, Delta::Text("A".into())),
            begin(2, PartKind::Refusal),
            delta(2, Delta::Text("B".into())),
            begin(3, call("a", "f")),
            delta(3, Delta::Arguments("{}".into())),
            begin(4, call("b", "g")),
            delta(4, Delta::Arguments("[]".into())),
            finish(Reason::Length),
            Event::End,
        ])
    );
}

#[test]
fn failures_are_told_with_their_kind() {
    for (data, kind, message) in [
        (
            r#"{"type":"response.failed","response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"It broke."}}}"#,
            FailureKind::Provider,
            Some("It broke."),
        ),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"Slow."}}}"#,
            FailureKind::RateLimited,
            Some("Slow."),
        ),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"invalid_image_url","message":"Bad."}}}"#,
            FailureKind::Invalid,
            Some("Bad."),
        ),
        (
            r#"{"type":"response.failed","response":{"error":null}}"#,
            FailureKind::Provider,
            None,
        ),
        (
            r#"{"type":"error","sequence_number":3,"code":"insufficient_quota","message":"Empty.","param":null}"#,
            FailureKind::Quota,
            Some("Empty."),
        ),
        (
            r#"{"type":"error","error":{"type":"server_error","code":null,"message":"It broke.","param":null}}"#,
            FailureKind::Provider,
            Some("It broke."),
        ),
    ] {
        let stream = format!("data: {CREATED}\n\ndata: {data}\n\ndata: {CREATED}\n\n");
        let (_, outcome) = translate(&[stream.as_bytes()], &reply("{}"));
        let Outcome::Failed(failure) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            (failure.kind, failure.said.message.as_deref()),
            (kind, message)
        );
    }
    let (events, _) =
        told(&[r#"{"type":"error","code":"invalid_prompt","message":"Bad.","param":"input"}"#]);
    let failed = Event::Failed(Failure {
        kind: FailureKind::Invalid,
        said: Said {
            message: Some("Bad.".into()),
            code: Some("invalid_prompt".into()),
            param: Some("input".into()),
        },
    });
    assert_eq!(events, in_words(&[failed]));
}

#[test]
fn a_stream_that_breaks_off_has_no_end() {
    let text =
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi"}"#;
    let stream = format!("data: {CREATED}\n\ndata: {text}\n\n");
    let (out, outcome) = translate(&[stream.as_bytes()], &reply("{}"));
    assert_eq!(outcome, Outcome::Open);
    assert!(
        !String::from_utf8(out)
            .unwrap()
            .contains("response.completed")
    );
}

#[test]
fn streams_that_make_no_sense_are_known() {
    let text = |index: u32, content: u32| {
        format!(
            r#"{{"type":"response.output_text.delta","output_index":{index},"content_index":{content},"delta":"x"}}"#
        )
    };
    let problem = |data: &[&str]| told(data).1.unwrap_err().to_string();
    assert_eq!(problem(&["5"]), "The body must be an event with a type");
    assert_eq!(
        problem(&[&text(1, 0), &text(0, 0)]),
        "output_index goes back to an item before"
    );
    assert_eq!(
        problem(&[&text(0, 1), &text(0, 0)]),
        "content_index goes back to a part before"
    );
    assert_eq!(
        problem(&[
            r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"x"}"#
        ]),
        "The body is of no call that has begun"
    );
    assert_eq!(
        problem(&[
            r#"{"type":"response.completed","response":{"output":[{"type":"function_call","call_id":"a","name":"f"}]}}"#
        ]),
        "response.output has items that no event has told"
    );
}
