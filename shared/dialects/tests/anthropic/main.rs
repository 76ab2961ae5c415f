//! Anthropic's dialect: its mappings one by one, what goes through it both ways, and that nothing makes it panic.
#![allow(clippy::unwrap_used)]

mod answers;
mod arbitrary;
mod both_ways;
mod hostile;
mod requests_in;
mod requests_out;
mod sampling;
mod streams;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use lockgate_dialects::{
    Answer, Collector, Content, Dialect, EncodeStream, Encoded, Event, Failure, Frames, Json,
    Outcome, Part, Reply, Request, Role, Sse, StreamTranslator, Target, Turn, Unsupported,
    encode_request, stream_decoder,
};
use lockgate_providers::{Quirks, TokenLimit};

const QUIRKS: Quirks = Quirks {
    done_marker: true,
    stream_usage: true,
    max_tokens: TokenLimit::Both,
    developer_role: true,
    seed: None,
    required_tool_choice: "required",
    reasoning: None,
    reasoning_effort: true,
    json_schema: true,
    parallel_tool_calls: true,
    unsupported: &[],
};

fn target<'a>(model: &'a str, max_output: Option<u64>) -> Target<'a> {
    Target {
        model,
        max_output,
        quirks: &QUIRKS,
        title: "Claude",
    }
}

const REPLY: Reply<'static> = Reply {
    id: "0123456789abcdef",
    model: "asked-for",
    created: 1_700_000_000,
    stream_usage: true,
    request: "{}",
};

fn json(text: &str) -> Json<'_> {
    Json::parse(text.into()).unwrap()
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn {
        role,
        name: None,
        parts,
    }
}

fn said(role: Role, text: &str) -> Turn<'_> {
    turn(role, vec![Content::text(text).into()])
}

/// A request that says hello, to be changed.
fn hello() -> Request<'static> {
    Request {
        model: "m".into(),
        turns: vec![said(Role::User, "Hi")],
        max_tokens: Some(100),
        ..Request::default()
    }
}

fn encode(request: &Request<'_>, model: &str) -> Result<Encoded, Unsupported> {
    encode_request(Dialect::Anthropic, request, &target(model, None))
}

/// The body for a model that takes everything, and no warning.
fn sent(request: &Request<'_>) -> String {
    let encoded = encode(request, "m").unwrap();
    assert_eq!(encoded.warnings, Vec::<String>::new());
    String::from_utf8(encoded.body).unwrap()
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
        stream_decoder(Dialect::Anthropic).unwrap(),
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/anthropic");
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
