//! Providers' own published examples, carried to every other dialect and compared with what is stored beside them.
//!
//! `golden/<from>/<case>/` has `source` (where it was published) and some of `request.json`, `answer.json` and `stream.txt`
//! (`stream.jsonl` for AWS's event stream: an event and its data a line). `expected/<to>.…` has what becomes of each:
//! requests in every other dialect (or `refused.txt`, and `warnings.txt`), answers and streams in the dialects that have
//! a surface. `expected/<from>.request.json` is there only where decoding and encoding changes the request, so that
//! each such case can be seen.
//!
//! `UPDATE=1 cargo test -p lockgate-dialects --test golden` writes what is expected anew.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lockgate_dialects::{
    Dialect, Feature, Frame, Frames, Outcome, Reply, Sse, StreamTranslator, Support, Target,
    decode_answer, decode_request, encode_answer, encode_request, stream_decoder, stream_encoder,
    support,
};
use lockgate_providers::{Quirks, TokenLimit};
use serde_json::value::RawValue;

const DIALECTS: [(Dialect, &str); 6] = [
    (Dialect::OpenAiChat, "openai-chat"),
    (Dialect::OpenAiResponses, "openai-responses"),
    (Dialect::Anthropic, "anthropic"),
    (Dialect::Gemini, "gemini"),
    (Dialect::Cohere, "cohere"),
    (Dialect::Bedrock, "bedrock"),
];

/// The dialects in which clients ask.
const SURFACES: [&str; 3] = ["openai-chat", "openai-responses", "anthropic"];

const PERMISSIVE: Quirks = Quirks {
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

fn written(dialect: Dialect) -> bool {
    support(dialect)(Feature::System) != Support::Lacking("not written yet")
}

/// A model of the dialect, since some encoders look at its name.
fn model(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => "gpt-5.6-sol",
        Dialect::Gemini => "gemini-3.5-flash",
        Dialect::Cohere => "command-a-03-2025",
        Dialect::Bedrock => "anthropic.claude-sonnet-4-6",
        _ => "claude-sonnet-4-6",
    }
}

struct Case {
    folder: PathBuf,
    from: Dialect,
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(path)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    folders.retain(|path: &PathBuf| path.is_dir());
    folders.sort();
    folders
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases = Vec::new();
    for (from, from_name) in DIALECTS {
        if written(from) {
            cases.extend(
                folders(&root.join(from_name))
                    .into_iter()
                    .map(|folder| Case { folder, from }),
            );
        }
    }
    cases
}

impl Case {
    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// All that is to be in `expected/`, by the files' names.
    fn becomes(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let mut requests = BTreeMap::new();
        if let Some(request) = self.read("request.json") {
            for (to, name) in DIALECTS {
                if written(to) {
                    self.request(&request, to, name, &mut files, &mut requests);
                }
            }
        }
        for (to, name) in DIALECTS {
            if !SURFACES.contains(&name) || !written(to) || to == self.from {
                continue;
            }
            let request = requests.get(name).map_or("{}", String::as_str);
            let reply = Reply {
                id: "0123456789abcdef",
                model: "model",
                created: 1_700_000_000,
                stream_usage: true,
                request,
            };
            if let Some(answer) = self.read("answer.json") {
                let answer = decode_answer(self.from, &answer)
                    .unwrap_or_else(|problem| panic!("{}: {problem}", self.folder.display()));
                let written = encode_answer(to, &answer, &reply);
                files.insert(
                    format!("{name}.answer.json"),
                    pretty(&String::from_utf8(written).unwrap()),
                );
            }
            if let Some(stream) = self.stream(to, &reply) {
                files.insert(format!("{name}.stream.txt"), stream);
            }
        }
        files
    }

    fn request(
        &self,
        request: &str,
        to: Dialect,
        name: &'static str,
        files: &mut BTreeMap<String, String>,
        requests: &mut BTreeMap<&'static str, String>,
    ) {
        let decoded = decode_request(self.from, request)
            .unwrap_or_else(|problem| panic!("{}: {problem}", self.folder.display()));
        let target = Target {
            model: if to == self.from && !decoded.model.is_empty() {
                &decoded.model
            } else {
                model(to)
            },
            max_output: Some(64_000),
            quirks: &PERMISSIVE,
            title: "Someone",
        };
        match encode_request(to, &decoded, &target) {
            Ok(encoded) => {
                let body = String::from_utf8(encoded.body).unwrap();
                if to != self.from || canonical(&body) != canonical(request) {
                    files.insert(format!("{name}.request.json"), pretty(&body));
                }
                requests.insert(name, body);
                if !encoded.warnings.is_empty() {
                    let lines = encoded.warnings.join("\n") + "\n";
                    files.insert(format!("{name}.warnings.txt"), lines);
                }
            }
            Err(refusal) => {
                files.insert(format!("{name}.refused.txt"), format!("{refusal}\n"));
            }
        }
    }

    fn stream(&self, to: Dialect, reply: &Reply<'_>) -> Option<String> {
        let mut out = Vec::new();
        if let Some(stream) = self.read("stream.txt") {
            let outcome = translate(self.from, to, reply, &[stream.as_bytes()], &mut out);
            assert_eq!(outcome, Outcome::Complete, "{}", self.folder.display());
        } else {
            self.frames(to, reply, &mut out)?;
        }
        Some(String::from_utf8(out).unwrap())
    }

    /// AWS's frames, which are not text.
    fn frames(&self, to: Dialect, reply: &Reply<'_>, out: &mut Vec<u8>) -> Option<()> {
        #[derive(serde::Deserialize)]
        struct Line<'a> {
            event: String,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let lines = self.read("stream.jsonl")?;
        let mut decoder = stream_decoder(self.from).unwrap();
        let mut encoder = stream_encoder(to, reply).unwrap();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let line: Line<'_> = serde_json::from_str(line).unwrap();
            let frame = Frame {
                event: &line.event,
                data: line.data.get(),
                exception: false,
            };
            decoder
                .frame(frame, &mut |event| encoder.event(event, out))
                .unwrap_or_else(|problem| panic!("{}: {problem}", self.folder.display()));
        }
        decoder.ended(&mut |event| encoder.event(event, out));
        Some(())
    }
}

fn translate(
    from: Dialect,
    to: Dialect,
    reply: &Reply<'_>,
    pieces: &[&[u8]],
    out: &mut Vec<u8>,
) -> Outcome {
    let mut translator = StreamTranslator::new(
        Frames::Sse(Sse::default()),
        stream_decoder(from).unwrap(),
        stream_encoder(to, reply).unwrap(),
    );
    for piece in pieces {
        translator.push(piece, out);
    }
    translator.ended(out);
    translator.outcome().clone()
}

/// A document with its fields in order of their names and without what is `null`; every value is the text it was.
fn canonical(document: &str) -> String {
    let document = document.trim();
    if document.starts_with('{') {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(document).unwrap();
        let fields: Vec<_> = fields
            .into_iter()
            .filter(|(_, value)| value.get() != "null")
            .map(|(name, value)| format!("{name:?}:{}", canonical(value.get())))
            .collect();
        return format!("{{{}}}", fields.join(","));
    }
    if document.starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(document).unwrap();
        let elements: Vec<_> = elements
            .into_iter()
            .map(|value| canonical(value.get()))
            .collect();
        return format!("[{}]", elements.join(","));
    }
    match serde_json::from_str::<String>(document) {
        Ok(text) => format!("{text:?}"),
        Err(_) => document.to_owned(),
    }
}

/// A document one field a line; every value is the text it was.
fn pretty(document: &str) -> String {
    let mut out = String::new();
    indent(document, 0, &mut out);
    out.push('\n');
    out
}

fn indent(document: &str, depth: usize, out: &mut String) {
    struct Ordered<'a>(Vec<(String, &'a RawValue)>);
    impl<'de: 'a, 'a> serde::Deserialize<'de> for Ordered<'a> {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Fields;
            impl<'de> serde::de::Visitor<'de> for Fields {
                type Value = Vec<(String, &'de RawValue)>;
                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Self::Value, A::Error> {
                    let mut fields = Vec::new();
                    while let Some(field) = map.next_entry()? {
                        fields.push(field);
                    }
                    Ok(fields)
                }
            }
            deserializer.deserialize_map(Fields).map(Self)
        }
    }
    let document = document.trim();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    let (open, values, close): (_, Vec<(Option<String>, &RawValue)>, _) =
        match document.as_bytes().first() {
            Some(b'{') => {
                let Ordered(fields) = serde_json::from_str(document).unwrap();
                let fields = fields.into_iter().map(|(name, value)| (Some(name), value));
                ('{', fields.collect(), '}')
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(document).unwrap();
                let elements = elements.into_iter().map(|value| (None, value));
                ('[', elements.collect(), ']')
            }
            _ => {
                out.push_str(document);
                return;
            }
        };
    out.push(open);
    let empty = values.is_empty();
    for (index, (name, value)) in values.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        line(out, depth + 1);
        if let Some(name) = name {
            out.push_str(&serde_json::to_string(&name).unwrap());
            out.push_str(": ");
        }
        indent(value.get(), depth + 1, out);
    }
    if !empty {
        line(out, depth);
    }
    out.push(close);
}

#[test]
fn examples_become_what_is_expected() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let folder = case.folder.join("expected");
        let files = case.becomes();
        if update {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            for (name, content) in &files {
                fs::write(folder.join(name), content).unwrap();
            }
            continue;
        }
        let there: BTreeSet<String> = fs::read_dir(&folder)
            .map(|entries| {
                entries
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect()
            })
            .unwrap_or_default();
        for name in there.iter().filter(|name| !files.contains_key(*name)) {
            wrong.push(format!("{} is no longer made", folder.join(name).display()));
        }
        for (name, content) in &files {
            let expected = fs::read_to_string(folder.join(name)).unwrap_or_default();
            if *content != expected {
                wrong.push(format!(
                    "{}:\n--- expected\n{expected}\n--- made\n{content}",
                    folder.join(name).display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_example_says_where_it_is_from() {
    for case in cases() {
        let source = case.read("source").unwrap_or_default();
        assert!(
            source.starts_with("https://"),
            "{} has no source",
            case.folder.display()
        );
    }
}

/// A stream comes in pieces that end anywhere.
#[test]
fn streams_may_be_cut_anywhere() {
    for case in cases() {
        let Some(stream) = case.read("stream.txt") else {
            continue;
        };
        let reply = Reply {
            id: "0123456789abcdef",
            model: "model",
            created: 1_700_000_000,
            stream_usage: true,
            request: "{}",
        };
        let bytes = stream.as_bytes();
        for (to, name) in DIALECTS {
            if !SURFACES.contains(&name) || !written(to) {
                continue;
            }
            let mut whole = Vec::new();
            translate(case.from, to, &reply, &[bytes], &mut whole);
            // Where it is cut, the reader alone can tell, so one writer will do.
            let ends = if to == Dialect::OpenAiChat {
                bytes.len()
            } else {
                0
            };
            for at in 0..=ends {
                let (a, b) = bytes.split_at(at);
                let mut cut = Vec::new();
                translate(case.from, to, &reply, &[a, b], &mut cut);
                assert!(cut == whole, "{} cut at {at}", case.folder.display());
            }
            let mut single = Vec::new();
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            translate(case.from, to, &reply, &pieces, &mut single);
            assert!(single == whole, "{} in bytes", case.folder.display());
        }
    }
}

/// A stream that breaks off is not told to the client as complete: without its last event it has no end.
#[test]
fn streams_that_break_off_have_no_end() {
    for case in cases() {
        let Some(stream) = case.read("stream.txt") else {
            continue;
        };
        let reply = Reply {
            id: "0123456789abcdef",
            model: "model",
            created: 1_700_000_000,
            stream_usage: true,
            request: "{}",
        };
        let half = stream.len() / 2;
        let half = (0..=half)
            .rev()
            .find(|at| stream.is_char_boundary(*at))
            .unwrap();
        for (to, name) in DIALECTS {
            if !SURFACES.contains(&name) || !written(to) {
                continue;
            }
            let mut out = Vec::new();
            let outcome = translate(
                case.from,
                to,
                &reply,
                &[stream.get(..half).unwrap().as_bytes()],
                &mut out,
            );
            assert_eq!(outcome, Outcome::Open, "{}", case.folder.display());
            let out = String::from_utf8(out).unwrap();
            for end in ["[DONE]", "response.completed", "message_stop"] {
                assert!(!out.contains(end), "{}: {out}", case.folder.display());
            }
        }
    }
}
