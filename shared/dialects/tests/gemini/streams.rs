//! Streams, both ways.

use std::cell::RefCell;
use std::rc::Rc;

use lockgate_dialects::gemini::{StreamDecoder, StreamEncoder, decode_answer};
use lockgate_dialects::{
    Answer, Collector, Content, DecodeStream, EncodeStream, Event, FailureKind, Finish, Frame,
    Frames, Outcome, Reason, Sse, StreamTranslator, Usage, replay,
};
use proptest::prelude::*;

use super::REPLY;
use super::arbitrary::answer;

/// Keeps what it is told.
#[derive(Default, Clone)]
struct Record(Rc<RefCell<(Collector, Vec<String>)>>);

impl EncodeStream for Record {
    fn event(&mut self, event: Event<'_>, _out: &mut Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        kept.1.push(format!("{event:?}"));
        kept.0.event(event);
    }
}

struct Read {
    outcome: Outcome,
    answer: Option<Answer<'static>>,
    events: Vec<String>,
    usage: Option<Usage>,
}

fn read(pieces: &[&[u8]]) -> Read {
    let record = Record::default();
    let mut translator = StreamTranslator::new(
        Frames::Sse(Sse::default()),
        Box::new(StreamDecoder::default()),
        Box::new(record.clone()),
    );
    for piece in pieces {
        translator.push(piece, &mut Vec::new());
    }
    translator.ended(&mut Vec::new());
    let (outcome, usage) = (translator.outcome().clone(), translator.usage());
    let (collector, events) = std::mem::take(&mut *record.0.borrow_mut());
    Read {
        outcome,
        answer: collector.finish().ok(),
        events,
        usage,
    }
}

fn written(answer: &Answer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = StreamEncoder::new(&REPLY);
    replay(answer, |event| encoder.event(event, &mut out));
    out
}

/// No line breaks are in an event, so the white space of arguments may be another.
fn in_one_line(mut answer: Answer<'_>) -> Answer<'_> {
    let parts = answer
        .choices
        .iter_mut()
        .flat_map(|choice| &mut choice.parts);
    for part in parts {
        if let Content::ToolCall { arguments, .. } = &mut part.content {
            *arguments = arguments.replace('\n', " ").into();
        }
    }
    answer
}

proptest! {
    #[test]
    fn what_is_said_is_understood(answer in answer(false)) {
        let bytes = written(&answer);
        let read = read(&[&bytes]);
        prop_assert_eq!(&read.outcome, &Outcome::Complete);
        let answer = in_one_line(answer);
        prop_assert_eq!(read.answer.as_ref(), Some(&answer), "{}", String::from_utf8_lossy(&bytes));
        prop_assert_eq!(read.usage, answer.usage);
    }

    #[test]
    fn streams_may_be_cut_anywhere(
        answer in answer(false), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)
    ) {
        let bytes = written(&answer);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(read(&pieces).events, read(&[&bytes]).events);
    }

    /// Each chunk is a response; put together they are the plain answer.
    #[test]
    fn a_plain_answer_is_one_event(answer in answer(false)) {
        let plain = lockgate_dialects::gemini::encode_answer(&answer, &REPLY);
        let plain = String::from_utf8(plain).unwrap().replace('\n', " ");
        let stream = format!("data: {plain}\r\n\r\n");
        let mut read = read(&[stream.as_bytes()]).answer.unwrap();
        // In a stream citations belong to the text that is open, which here is the last one alone.
        let mut expected = decode_answer(&plain).unwrap();
        for answer in [&mut read, &mut expected] {
            let parts = answer.choices.iter_mut().flat_map(|choice| &mut choice.parts);
            for part in parts {
                if let Content::Text { citations, .. } = &mut part.content {
                    citations.clear();
                }
            }
        }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn nothing_panics_on_any_frame(data in "(?s).{0,64}") {
        let frame = Frame { event: "", data: &data, exception: false };
        let mut decoder = StreamDecoder::default();
        let _ = decoder.frame(frame, &mut |_| {});
        decoder.ended(&mut |_| {});
    }

    #[test]
    fn nothing_panics_on_damaged_streams(
        answer in answer(false), at in any::<prop::sample::Index>(), put in any::<[u8; 3]>()
    ) {
        let mut bytes = written(&answer);
        let at = at.index(bytes.len());
        let end = (at + 3).min(bytes.len());
        bytes.splice(at..end, put);
        read(&[&bytes]);
    }
}

#[test]
fn a_stream_has_googles_form() {
    let answer = Answer {
        id: Some("r1".into()),
        model: Some("gemini-3-flash".into()),
        choices: vec![lockgate_dialects::Choice {
            parts: vec![
                Content::Reasoning {
                    text: "Hm.".into(),
                    signature: None,
                    id: None,
                }
                .into(),
                Content::text("A").into(),
                Content::ToolCall {
                    id: "a".into(),
                    name: "f".into(),
                    arguments: r#"{"n":1.0}"#.into(),
                    signature: Some("cw==".into()),
                }
                .into(),
            ],
            finish: Reason::ToolCalls.into(),
            logprobs: None,
        }],
        usage: Some(Usage {
            input: 5,
            output: 3,
            reasoning: Some(1),
            ..Usage::default()
        }),
        ..Answer::default()
    };
    let chunk = |part: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{part}],\"role\":\"model\"}},\"index\":0}}],\"modelVersion\":\"gemini-3-flash\",\"responseId\":\"r1\"}}\n\n"
        )
    };
    let expected = [
        chunk(r#"{"text":"Hm.","thought":true}"#),
        chunk(r#"{"text":"A"}"#),
        chunk(r#"{"functionCall":{"id":"a","name":"f","args":{"n":1.0}},"thoughtSignature":"cw=="}"#),
        concat!(
            r#"data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"#,
            r#""usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"totalTokenCount":8,"thoughtsTokenCount":1},"#,
            "\"modelVersion\":\"gemini-3-flash\",\"responseId\":\"r1\"}\n\n"
        )
        .to_owned(),
    ];
    assert_eq!(
        String::from_utf8(written(&answer)).unwrap(),
        expected.concat()
    );
}

/// As recorded of `gemini-3.1-flash-lite-preview` in March 2026: counts come late, the signature alone at the end.
#[test]
fn a_recorded_stream() {
    let stream = concat!(
        "data: {\"candidates\": [{\"content\": {\"role\": \"model\",\"parts\": [{\"text\": \"Hello!\"}]}}],\"usageMetadata\": {\"trafficType\": \"ON_DEMAND\"},\"modelVersion\": \"gemini-3.1-flash-lite-preview\",\"createTime\": \"2026-03-10T14:54:45.066123Z\",\"responseId\": \"tTCw\"}\r\n\r\n",
        "data: {\"candidates\": [{\"content\": {\"role\": \"model\",\"parts\": [{\"text\": \" How can I help?\"}]}}],\"usageMetadata\": {\"trafficType\": \"ON_DEMAND\"},\"modelVersion\": \"gemini-3.1-flash-lite-preview\",\"responseId\": \"tTCw\"}\r\n\r\n",
        "data: {\"candidates\": [{\"content\": {\"role\": \"model\",\"parts\": [{\"text\": \"\",\"thoughtSignature\": \"AY89\"}]},\"finishReason\": \"STOP\"}],\"usageMetadata\": {\"promptTokenCount\": 1,\"candidatesTokenCount\": 9,\"totalTokenCount\": 10},\"modelVersion\": \"gemini-3.1-flash-lite-preview\",\"responseId\": \"tTCw\"}\r\n\r\n",
    );
    let read = read(&[stream.as_bytes()]);
    assert_eq!(
        read.events,
        [
            r#"Start { id: Some("tTCw"), model: Some("gemini-3.1-flash-lite-preview"), created: None }"#,
            "Begin { choice: 0, part: 0, kind: Text }",
            r#"Delta { choice: 0, part: 0, delta: Text("Hello!") }"#,
            r#"Delta { choice: 0, part: 0, delta: Text(" How can I help?") }"#,
            "Begin { choice: 0, part: 1, kind: Reasoning { id: None } }",
            r#"Delta { choice: 0, part: 1, delta: Signature("AY89") }"#,
            "Finish { choice: 0, finish: Finish { reason: Stop, stop_sequence: None } }",
            "Usage(Usage { input: 1, cached: None, cache_written: None, output: 9, reasoning: None })",
            "End",
        ]
    );
}

#[test]
fn citations_come_before_the_signature() {
    let stream = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Él \"}]},\"index\":0}]}\n\n",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"jugó\",\"thoughtSignature\":\"cw==\"}]},\"finishReason\":\"STOP\",\"index\":0,",
        "\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}],\"groundingSupports\":[{\"segment\":{\"startIndex\":4,\"endIndex\":9},\"groundingChunkIndices\":[0]}]}}]}\n\n",
    );
    let answer = read(&[stream.as_bytes()]).answer.unwrap();
    let Content::Text { text, citations } = &answer.choices[0].parts[0].content else {
        panic!("no text");
    };
    assert_eq!(text, "Él jugó");
    assert_eq!((citations[0].start, citations[0].end), (Some(3), Some(7)));
    assert!(matches!(
        &answer.choices[0].parts[1].content,
        Content::Reasoning { signature: Some(signature), .. } if signature == "cw=="
    ));
}

/// There is no end marker: only reasons of all candidates make it complete.
#[test]
fn a_stream_without_its_reason_has_no_end() {
    let begun = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"A\"}]},\"index\":0},{\"content\":{\"parts\":[{\"text\":\"B\"}]},\"index\":1}]}\n\n";
    let one = "data: {\"candidates\":[{\"finishReason\":\"STOP\",\"index\":0}]}\n\n";
    let other = "data: {\"candidates\":[{\"finishReason\":\"MAX_TOKENS\",\"index\":1}]}\n\n";
    assert_eq!(read(&[]).outcome, Outcome::Open);
    assert_eq!(read(&[begun.as_bytes()]).outcome, Outcome::Open);
    assert_eq!(
        read(&[begun.as_bytes(), one.as_bytes()]).outcome,
        Outcome::Open
    );
    let all = read(&[begun.as_bytes(), one.as_bytes(), other.as_bytes()]);
    assert_eq!(all.outcome, Outcome::Complete);
    let reasons: Vec<_> = all.answer.unwrap().choices;
    assert_eq!(reasons[1].finish, Finish::from(Reason::Length));
}

#[test]
fn a_question_that_was_blocked_ends_at_once() {
    let stream = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":4}}\n\n";
    let read = read(&[stream.as_bytes()]);
    assert_eq!(read.outcome, Outcome::Complete);
    assert_eq!(
        read.answer.unwrap().choices[0].finish,
        Finish::from(Reason::ContentFilter)
    );
}

#[test]
fn a_question_may_be_blocked_when_it_is_half_answered() {
    let stream = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"A\"}]}}]}\n\n",
        "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n",
        "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n",
    );
    let read = read(&[stream.as_bytes()]);
    assert_eq!(read.outcome, Outcome::Complete);
    let choices = read.answer.unwrap().choices;
    assert_eq!(choices[0].parts, [Content::text("A").into()]);
    assert_eq!(choices[0].finish, Finish::from(Reason::ContentFilter));
    let finishes = read
        .events
        .iter()
        .filter(|event| event.starts_with("Finish"));
    assert_eq!(finishes.count(), 1);
}

#[test]
fn an_error_in_the_middle_fails() {
    for error in [
        r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
        r#"[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]"#,
    ] {
        let stream = format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"A\"}}]}}}}]}}\n\ndata: {error}\n\n"
        );
        let Outcome::Failed(failure) = read(&[stream.as_bytes()]).outcome else {
            panic!("{error}");
        };
        assert_eq!(failure.kind, FailureKind::Overloaded);
        assert_eq!(
            failure.said.message.as_deref(),
            Some("The model is overloaded.")
        );
    }
    let nonsense = read(&[b"data: <html>\n\n"]).outcome;
    assert!(matches!(nonsense, Outcome::Nonsense(_)), "{nonsense:?}");
}
