//! The Responses API: what each thing becomes, and that nothing is lost on the way there and back.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "openai_responses/answers.rs"]
mod answers;
#[path = "openai_responses/arbitrary.rs"]
mod arbitrary;
#[path = "openai_responses/both_ways.rs"]
mod both_ways;
#[path = "openai_responses/recorded.rs"]
mod recorded;
#[path = "openai_responses/requests_in.rs"]
mod requests_in;
#[path = "openai_responses/requests_out.rs"]
mod requests_out;
#[path = "openai_responses/streams.rs"]
mod streams;

use lockgate_dialects::openai_responses::{StreamDecoder, StreamEncoder};
use lockgate_dialects::{
    Answer, Collector, Content, DecodeStream, EncodeStream, Event, Frame, Frames, Json, Outcome,
    Part, Problem, Reply, Role, Sse, StreamTranslator, Target, Turn, replay,
};
use lockgate_providers::{Quirks, TokenLimit};

/// A follower that takes everything.
const QUIRKS: Quirks = Quirks {
    done_marker: true,
    stream_usage: true,
    max_tokens: TokenLimit::Both,
    developer_role: true,
    seed: Some("seed"),
    required_tool_choice: "required",
    reasoning: None,
    reasoning_effort: true,
    json_schema: true,
    parallel_tool_calls: true,
    unsupported: &[],
};

fn target(model: &str) -> Target<'_> {
    Target {
        model,
        max_output: None,
        quirks: &QUIRKS,
        title: "Someone",
    }
}

fn reply(request: &str) -> Reply<'_> {
    Reply {
        id: "abc123",
        model: "asked-for",
        created: 1_700_000_000,
        stream_usage: true,
        request,
    }
}

fn json(text: &'static str) -> Json<'static> {
    Json::parse(text.into()).unwrap()
}

fn turn<'a>(role: Role, parts: Vec<Content<'a>>) -> Turn<'a> {
    Turn {
        role,
        name: None,
        parts: parts.into_iter().map(Part::from).collect(),
    }
}

/// The stream of an answer, as this dialect writes it.
fn written(answer: &Answer<'_>, reply: &Reply<'_>) -> String {
    let mut encoder = StreamEncoder::new(reply);
    let mut out = Vec::new();
    replay(answer, |event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

/// The name and data of each event; every one must be these two lines and a blank one.
fn frames(stream: &str) -> Vec<(&str, &str)> {
    let mut frames: Vec<_> = stream.split("\n\n").collect();
    assert_eq!(frames.pop(), Some(""), "{stream}");
    frames
        .into_iter()
        .map(|frame| {
            let (event, data) = frame.split_once('\n').unwrap();
            (
                event.strip_prefix("event: ").unwrap(),
                data.strip_prefix("data: ").unwrap(),
            )
        })
        .collect()
}

/// The events of these data, each in words, as far as they make sense.
fn told(data: &[&str]) -> (Vec<String>, Result<(), Problem>) {
    let mut decoder = StreamDecoder::default();
    let mut told = Vec::new();
    for data in data {
        let frame = Frame {
            event: "",
            data,
            exception: false,
        };
        let read = decoder.frame(frame, &mut |event: Event<'_>| {
            told.push(format!("{event:?}"));
        });
        if read.is_err() {
            return (told, read);
        }
    }
    (told, Ok(()))
}

fn in_words(events: &[Event<'_>]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn collected(stream: &str) -> Result<Answer<'static>, String> {
    let mut decoder = StreamDecoder::default();
    let mut collector = Collector::default();
    for (event, data) in frames(stream) {
        let frame = Frame {
            event,
            data,
            exception: false,
        };
        decoder
            .frame(frame, &mut |event| collector.event(event))
            .map_err(|problem| problem.to_string())?;
    }
    collector.finish().map_err(|failure| format!("{failure:?}"))
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
