//! Streams, both ways.

use lockgate_dialects::openai_chat::{StreamDecoder, StreamEncoder, decode_answer};
use lockgate_dialects::{
    Answer, Collector, DecodeStream, Delta, EncodeStream, Event, FailureKind, Frame, Frames,
    Outcome, PartKind, Problem, Reason, Reply, Sse, StreamTranslator, Usage, replay,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::arbitrary::{answer, any_text};
use super::reply;

fn frame(data: &str) -> Frame<'_> {
    Frame {
        event: "",
        data,
        exception: false,
    }
}

/// The stream of an answer, as this dialect writes it.
fn written(answer: &Answer<'_>, reply: &Reply<'_>) -> String {
    let mut encoder = StreamEncoder::new(reply);
    let mut out = Vec::new();
    replay(answer, |event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

/// The data of each event; every one must be `data:` alone, with a blank line.
fn frames(stream: &str) -> Vec<&str> {
    let mut frames: Vec<_> = stream.split("\n\n").collect();
    assert_eq!(frames.pop(), Some(""));
    frames
        .into_iter()
        .map(|frame| frame.strip_prefix("data: ").unwrap())
        .collect()
}

fn collected(frames: &[&str]) -> Result<Answer<'static>, String> {
    let mut decoder = StreamDecoder::default();
    let mut collector = Collector::default();
    for data in frames {
        decoder
            .frame(frame(data), &mut |event| collector.event(event))
            .map_err(|problem| problem.to_string())?;
    }
    decoder.ended(&mut |event| collector.event(event));
    collector.finish().map_err(|failure| format!("{failure:?}"))
}

fn told(frames: &[&str]) -> Result<Vec<String>, Problem> {
    let mut decoder = StreamDecoder::default();
    let mut told = Vec::new();
    for data in frames {
        decoder.frame(frame(data), &mut |event| told.push(format!("{event:?}")))?;
    }
    decoder.ended(&mut |event| told.push(format!("{event:?}")));
    Ok(told)
}

fn names(events: Vec<Event<'_>>) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn translate(pieces: &[&[u8]], reply: &Reply<'_>) -> (Vec<u8>, Outcome) {
    let mut translator = StreamTranslator::new(
        Frames::Sse(Sse::default()),
        Box::new(StreamDecoder::default()),
        Box::new(StreamEncoder::new(reply)),
    );
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
    }
    translator.ended(&mut out);
    (out, translator.outcome().clone())
}

proptest! {
    #[test]
    fn events_together_are_the_answer(answer in answer()) {
        let stream = written(&answer, &reply("{}"));
        let expected = Answer { service_tier: None, ..answer };
        prop_assert_eq!(collected(&frames(&stream)), Ok(expected), "{}", stream);
    }

    #[test]
    fn pieces_may_end_anywhere(answer in answer(), cuts in vec(0_usize..5_000, 0..6)) {
        let stream = written(&answer, &reply("{}"));
        let whole = translate(&[stream.as_bytes()], &reply("{}"));
        prop_assert_eq!(&whole.1, &Outcome::Complete);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % stream.len()).collect();
        cuts.sort_unstable();
        let mut rest = stream.as_bytes();
        let mut at = 0;
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut - at);
            pieces.push(piece);
            (rest, at) = (after, cut);
        }
        pieces.push(rest);
        prop_assert_eq!(translate(&pieces, &reply("{}")), whole);
    }

    #[test]
    fn nothing_panics_on_any_text(data in vec("(?s).{0,32}", 0..4)) {
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        let _ = told(&data);
        translate(&data.iter().map(|data| data.as_bytes()).collect::<Vec<_>>(), &reply("{}"));
    }

    #[test]
    fn nothing_panics_on_damaged_streams(
        answer in answer(), from in 0_usize..9_000, length in 0_usize..8, put in any_text()
    ) {
        let mut characters: Vec<char> = written(&answer, &reply("{}")).chars().collect();
        let from = from % characters.len();
        let to = (from + length).min(characters.len());
        characters.splice(from..to, put.chars());
        translate(&[characters.into_iter().collect::<String>().as_bytes()], &reply("{}"));
    }
}

#[test]
fn a_stream_has_openais_form() {
    let answer = decode_answer(
        r#"{"id":"1","created":1,"model":"m","choices":[{"message":{"reasoning_content":"Hm","content":"Hi",
            "tool_calls":[{"id":"a","function":{"name":"f","arguments":""}},{"id":"b","function":{"name":"g","arguments":"{\"x\":1}"}}]},
            "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":2,"completion_tokens":1}}"#,
    )
    .unwrap();
    let chunk = |delta: &str, finish: &str| {
        format!(
            r#"{{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}],"usage":null}}"#
        )
    };
    let expected = [
        chunk(r#"{"role":"assistant","content":null,"refusal":null}"#, "null"),
        chunk(r#"{"reasoning_content":"Hm"}"#, "null"),
        chunk(r#"{"content":"Hi"}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
            "null",
        ),
        chunk(
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
            "null",
        ),
        chunk(
            r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}"#,
            "null",
        ),
        chunk(
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"{\"x\":1}"}}]}"#,
            "null",
        ),
        chunk("{}", r#""tool_calls""#),
        r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#.to_owned(),
        "[DONE]".to_owned(),
    ];
    assert_eq!(frames(&written(&answer, &reply("{}"))), expected);
}

#[test]
fn usage_is_told_only_where_it_was_asked_for() {
    let answer = decode_answer(
        r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1}}"#,
    )
    .unwrap();
    let reply = Reply {
        stream_usage: false,
        ..reply("{}")
    };
    assert!(!written(&answer, &reply).contains("usage"));
}

#[test]
fn clients_of_the_old_functions_get_their_form() {
    let answer = decode_answer(
        r#"{"id":"1","created":1,"model":"m","choices":[{"message":{
            "tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":"{}"}}]},
            "finish_reason":"tool_calls"}]}"#,
    )
    .unwrap();
    let stream = written(&answer, &reply(r#"{"functions":[]}"#));
    for part in [
        r#""function_call":{"name":"f","arguments":""}"#,
        r#""delta":{"function_call":{"arguments":"{}"}}"#,
        r#""tool_calls":[{"index":0,"id":"b","type":"function","function":{"name":"g","arguments":""}}]"#,
        r#""finish_reason":"function_call""#,
    ] {
        assert!(stream.contains(part), "{part}: {stream}");
    }
}

fn start(id: Option<&'static str>) -> Event<'static> {
    Event::Start {
        id: id.map(Into::into),
        model: None,
        created: None,
    }
}

fn finished(reason: Reason) -> Event<'static> {
    Event::Finish {
        choice: 0,
        finish: reason.into(),
    }
}

fn call(part: u32, id: &'static str, name: &'static str) -> Event<'static> {
    Event::Begin {
        choice: 0,
        part,
        kind: PartKind::ToolCall {
            id: id.into(),
            name: name.into(),
        },
    }
}

fn more(part: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta {
        choice: 0,
        part,
        delta,
    }
}

/// Azure's first chunk is about the prompt; it has neither id nor model.
#[test]
fn a_stream_begins_with_its_first_choice() {
    let events = told(&[
        r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#,
        r#"{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{}}]}"#,
        "[DONE]",
    ])
    .unwrap();
    assert_eq!(
        events,
        names(vec![start(Some("1")), finished(Reason::Stop), Event::End])
    );
}

/// Without `[DONE]` a stream is complete once every choice said why it ended; before that it is not.
#[test]
fn the_end_may_go_without_saying() {
    let hello = r#"{"choices":[{"delta":{"content":"Hi"}},{"index":1,"delta":{"content":"Ho"},"finish_reason":"stop"}]}"#;
    let events = told(&[hello]).unwrap();
    assert!(!events.contains(&"End".to_owned()));
    let events = told(&[
        hello,
        r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
    ])
    .unwrap();
    assert_eq!(events.last().unwrap(), "End");
    assert_eq!(told(&[]).unwrap(), [""; 0]);
}

#[test]
fn calls_are_told_apart_as_followers_number_them() {
    let expected = || {
        names(vec![
            start(None),
            call(0, "a", "f"),
            more(0, Delta::Arguments("{}".into())),
            call(1, "b", "f"),
            more(1, Delta::Arguments("{}".into())),
            finished(Reason::ToolCalls),
            Event::End,
        ])
    };
    let end = r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#;
    // All of them number 0.
    let same = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    assert_eq!(told(&[same, end]).unwrap(), expected());
    // No numbers.
    let none = r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}}]}"#;
    let rest = r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"}"}},{"id":"b","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let mut split = expected();
    split.splice(
        2..3,
        names(vec![
            more(0, Delta::Arguments("{".into())),
            more(0, Delta::Arguments("}".into())),
        ]),
    );
    assert_eq!(told(&[none, rest, end]).unwrap(), split);
    // The id and the name again in each chunk, and the name after the id.
    let again = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let empty = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#;
    let nameless = r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"arguments":"{}"}}]}}]}"#;
    let named = r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"name":"f"}}]}}]}"#;
    assert_eq!(
        told(&[empty, again, empty, nameless, named, end]).unwrap(),
        expected()
    );
}

#[test]
fn calls_without_ids_get_some() {
    let events = told(&[
        r#"{"id":"gen-1_x","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}},{"index":1,"function":{"name":"f"}}]}}]}"#,
    ])
    .unwrap();
    assert_eq!(
        events[1..],
        names(vec![
            call(0, "call_gen1x0", "f"),
            call(1, "call_gen1x1", "f")
        ])
    );
}

#[test]
fn what_makes_no_sense_is_a_problem() {
    let calls = |index: u64| {
        format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{index},"id":"{index}","function":{{"name":"f"}}}}]}}}}]}}"#
        )
    };
    let (first, second) = (calls(0), calls(1));
    let back =
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#;
    let late = r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"},{"delta":{"tool_calls":[{"id":"a","function":{"name":"f"}}]}}]}"#;
    let nameless =
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]},"finish_reason":"stop"}]}"#;
    for (frames, problem) in [
        (vec!["{"], "The body is no chunk of a chat completion"),
        (
            vec![r#"{"choices":[{"index":128}]}"#],
            "choices[0].index is out of bounds",
        ),
        (
            vec![&*first, &*second, back],
            "choices[0].delta.tool_calls[0] goes on with a call that has ended",
        ),
        (
            vec![late],
            "choices[1].delta.tool_calls[0] goes on after its end",
        ),
        (vec![nameless], "choices[0] has a call without a name"),
    ] {
        assert_eq!(told(&frames).unwrap_err().to_string(), problem);
    }
}

#[test]
fn failures_in_a_stream_are_told() {
    let begin = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
    for (event, data, kind) in [
        (
            "",
            r#"{"error":{"message":"Too many","type":"rate_limit_error"}}"#,
            FailureKind::RateLimited,
        ),
        (
            "",
            r#"{"object":"error","message":"Too many","type":"rate_limit_error"}"#,
            FailureKind::RateLimited,
        ),
        ("error", r#"{"message":"Too many"}"#, FailureKind::Provider),
        (
            "",
            r#"{"id":"1","choices":[{"delta":{},"finish_reason":"error"}],"error":{"code":429,"message":"Too many"}}"#,
            FailureKind::RateLimited,
        ),
    ] {
        let stream = format!("data: {begin}\n\nevent: {event}\ndata: {data}\n\ndata: [DONE]\n\n");
        let (out, outcome) = translate(&[stream.as_bytes()], &reply("{}"));
        let Outcome::Failed(failure) = outcome else {
            panic!("{data}: {outcome:?}");
        };
        assert_eq!(failure.kind, kind, "{data}");
        assert_eq!(failure.said.message.as_deref(), Some("Too many"));
        assert!(!String::from_utf8(out).unwrap().contains("[DONE]"));
    }
}

/// Chunks of OpenRouter: the thought's text in its own field and in the details, the proof in the details alone.
#[test]
fn proofs_of_thoughts_are_read() {
    let answer = collected(&[
        r#"{"choices":[{"delta":{"reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","text":"Hm","index":0}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"","reasoning_details":[{"type":"reasoning.text","signature":"sig","index":0}]}}]}"#,
        r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"xyz","index":1}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"4"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])
    .unwrap();
    let plain = decode_answer(
        r#"{"choices":[{"message":{"content":"4","reasoning":"Hm","reasoning_details":[
            {"type":"reasoning.text","text":"Hm","signature":"sig","index":0},{"type":"reasoning.encrypted","data":"xyz","index":1}]},
            "finish_reason":"stop"}]}"#,
    )
    .unwrap();
    assert_eq!(answer, plain);
}

#[test]
fn log_probabilities_come_bit_by_bit() {
    let chunk = |text: &str, logprobs: &str| {
        format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}},"logprobs":{logprobs}}}]}}"#)
    };
    let answer = collected(&[
        &chunk(
            "A",
            r#"{"content":[{"token":"A","logprob":-0.10}],"refusal":null}"#,
        ),
        &chunk(
            "B",
            r#"{"content":[{"token":"B","logprob":-3.7e-6}],"refusal":null}"#,
        ),
        &chunk("", "null"),
        r#"{"choices":[{"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])
    .unwrap();
    assert_eq!(
        answer.choices[0].logprobs.as_ref().unwrap().as_str(),
        r#"{"content":[{"token":"A","logprob":-0.10},{"token":"B","logprob":-3.7e-6}],"refusal":null}"#
    );
}

/// A line break in a stream's data would end it.
#[test]
fn what_is_passed_on_as_it_came_stays_on_its_line() {
    let answer = decode_answer(
        "{\"choices\":[{\"message\":{\"content\":\"A\"},\"logprobs\":{\n\"content\":[]\r\n}}]}",
    )
    .unwrap();
    let stream = written(&answer, &reply("{}"));
    assert!(collected(&frames(&stream)).is_ok(), "{stream}");
}

#[test]
fn usage_may_come_more_than_once() {
    let answer = collected(&[
        r#"{"choices":[{"delta":{"content":"4"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        "[DONE]",
    ])
    .unwrap();
    assert_eq!(
        answer.usage,
        Some(Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        })
    );
}
