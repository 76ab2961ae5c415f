//! Bedrock's dialect: its mappings one by one, its framing, what goes through it both ways, and that nothing makes it panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod answers;
mod arbitrary;
mod both_ways;
mod framing;
mod hostile;
mod models;
mod requests_in;
mod requests_out;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod tools;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use lockgate_dialects::bedrock::{EventStream, message};
use lockgate_dialects::{
    Answer, Collector, Dialect, EncodeStream, Encoded, Event, Failure, Frames, Outcome, Request,
    StreamTranslator, Target, Unsupported, encode_request, stream_decoder,
};
use lockgate_providers::Quirks;
use serde_json::value::RawValue;

use support::{REPLY, call, hello, json, result, said, turn};

fn target<'a>(model: &'a str, quirks: &'a Quirks) -> Target<'a> {
    Target {
        model,
        max_output: None,
        quirks,
        title: "Bedrock",
    }
}

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn encode(request: &Request<'_>, model: &str) -> Result<Encoded, Unsupported> {
    encode_request(
        Dialect::Bedrock,
        request,
        &target(model, &Quirks::default()),
    )
}

/// The body for a model of this name, and no warning.
fn sent_to(request: &Request<'_>, model: &str) -> String {
    let encoded = encode(request, model).unwrap();
    assert_eq!(encoded.warnings, Vec::<String>::new());
    String::from_utf8(encoded.body).unwrap()
}

fn sent(request: &Request<'_>) -> String {
    sent_to(request, CLAUDE)
}

/// What is sent beside the conversation `Hi`.
fn beside(request: &Request<'_>, model: &str) -> String {
    let body = sent_to(request, model);
    let begin = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]"#;
    let rest = body.strip_prefix(begin).unwrap().strip_suffix('}').unwrap();
    rest.strip_prefix(',').unwrap_or(rest).to_owned()
}

/// What a stream says, put together and event by event.
#[derive(Default)]
struct Heard {
    collector: Collector,
    events: Vec<String>,
}

struct Listener(Rc<RefCell<Heard>>);

impl EncodeStream for Listener {
    fn event(&mut self, event: Event<'_>, _out: &mut Vec<u8>) {
        let mut heard = self.0.borrow_mut();
        heard.events.push(format!("{event:?}"));
        heard.collector.event(event);
    }
}

fn listen<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Heard, Outcome) {
    let heard = Rc::new(RefCell::new(Heard::default()));
    let mut translator = StreamTranslator::new(
        Frames::EventStream(EventStream::default()),
        stream_decoder(Dialect::Bedrock).unwrap(),
        Box::new(Listener(Rc::clone(&heard))),
    );
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
    }
    translator.ended(&mut out);
    let outcome = translator.outcome().clone();
    drop(translator);
    let heard = Rc::into_inner(heard).unwrap().into_inner();
    (heard, outcome)
}

fn heard(stream: &[u8]) -> Result<Answer<'static>, Option<Failure>> {
    listen([stream]).0.collector.finish()
}

/// The messages of events, one after the other.
fn framed(events: &[(&str, &str)]) -> Vec<u8> {
    let messages = events
        .iter()
        .map(|(event, data)| message(event, data.as_bytes(), false));
    messages.collect::<Vec<_>>().concat()
}

/// A recorded stream, an event and its data a line, as it was sent.
fn as_sent(lines: &str) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        event: String,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let mut bytes = Vec::new();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        bytes.extend(message(&line.event, line.data.get().as_bytes(), false));
    }
    bytes
}

/// The recorded cases that have this file, with its content.
fn recorded(file: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bedrock");
    let mut cases = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap();
        if let Ok(text) = fs::read_to_string(folder.path().join(file)) {
            cases.push((folder.file_name().into_string().unwrap(), text));
        }
    }
    assert!(!cases.is_empty(), "no case has {file}");
    cases
}
