//! Cohere's dialect: its mappings one by one, what goes through it both ways, and that nothing makes it panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod answers;
mod arbitrary;
mod both_ways;
mod hostile;
mod requests_in;
mod requests_out;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use lockgate_dialects::{
    Answer, Collector, Dialect, EncodeStream, Encoded, Event, Failure, Frames, Outcome, Request,
    Sse, StreamTranslator, Target, Unsupported, encode_request, stream_decoder,
};
use lockgate_providers::Quirks;

use support::{REPLY, call, hello, json, result, said, turn};

fn target<'a>(model: &'a str, quirks: &'a Quirks) -> Target<'a> {
    Target {
        model,
        max_output: None,
        quirks,
        title: "Cohere",
    }
}

fn encode(request: &Request<'_>, model: &str) -> Result<Encoded, Unsupported> {
    encode_request(Dialect::Cohere, request, &target(model, &Quirks::default()))
}

/// The body, and no warning.
fn sent(request: &Request<'_>) -> String {
    let encoded = encode(request, "m").unwrap();
    assert_eq!(encoded.warnings, Vec::<String>::new());
    String::from_utf8(encoded.body).unwrap()
}

/// What is sent beside the conversation `Hi`, and what is warned of.
fn beside(request: &Request<'_>) -> (String, Vec<String>) {
    let encoded = encode(request, "m").unwrap();
    let body = String::from_utf8(encoded.body).unwrap();
    let begin = r#"{"model":"m","stream":false,"messages":[{"role":"user","content":"Hi"}]"#;
    let rest = body.strip_prefix(begin).unwrap().strip_suffix('}').unwrap();
    let rest = rest.strip_prefix(',').unwrap_or(rest).to_owned();
    (rest, encoded.warnings)
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
        Frames::Sse(Sse::default()),
        stream_decoder(Dialect::Cohere).unwrap(),
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

/// The recorded cases that have this file, with its content.
fn recorded(file: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cohere");
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
