//! What a provider says that a request used, read out of an answer that passes as it is.
//!
//! Nothing but the member `usage` is read, and that as the dialect reads it. It is found from wherever a text is cut, since
//! of a long body only the end is at hand: `"usage"` with quotes that are not escaped stands in no string, so a model that
//! writes these words into its answer is not taken for the provider. How many objects are closed after it tells at which
//! level it stands, so neither are a tool's arguments.

use lockgate_dialects::{Dialect, Object, Usage, Writer, decode_answer};
use lockgate_host::Seen;
use lockgate_providers::Surface;
use lockgate_workspace::resource::Tokens;
use memchr::{memchr2, memmem};

const NAME: &[u8] = b"\"usage\"";

/// Usage as the log has it.
pub(crate) fn tokens(usage: Usage) -> Tokens {
    Tokens {
        input: usage.input,
        cached_input: usage.cached,
        output: usage.output,
        reasoning: usage.reasoning,
        estimated: false,
    }
}

/// How usage is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `prompt_tokens` and `completion_tokens`.
    Chat,
    /// `input_tokens` and `output_tokens`, totals.
    Responses,
    /// `input_tokens` beside those of the cache.
    Messages,
}

impl Form {
    /// That of a surface's answers; `None` where they tell of nothing that was used now.
    pub(crate) fn of(surface: Surface, model: &str) -> Option<Self> {
        match surface {
            Surface::Chat | Surface::Completions | Surface::Embeddings => Some(Self::Chat),
            // A call that names no model reads or cancels an answer that was counted when it was asked for.
            Surface::Responses if model.is_empty() => None,
            Surface::Responses | Surface::Images | Surface::Audio => Some(Self::Responses),
            Surface::Messages => Some(Self::Messages),
            Surface::CountTokens | Surface::Moderations | Surface::Files | Surface::Batches => None,
        }
    }

    /// Reads the object that is the value of `usage`. One that says that nothing at all was used says nothing.
    fn read(self, usage: &str) -> Option<Tokens> {
        let (dialect, before) = match self {
            Self::Chat => (Dialect::OpenAiChat, "{\"choices\":[],\"usage\":"),
            Self::Responses => (Dialect::OpenAiResponses, "{\"usage\":"),
            Self::Messages => (Dialect::Anthropic, "{\"content\":[],\"usage\":"),
        };
        let answer = [before, usage, "}"].concat();
        let usage = decode_answer(dialect, &answer).ok()?.usage?;
        Some(tokens(usage)).filter(|tokens| tokens.total() > 0)
    }
}

/// The usage in a plain answer, of which the end is enough.
pub(crate) fn whole(form: Form, body: &[u8]) -> Option<Tokens> {
    match last(body)? {
        (1, usage) => form.read(usage),
        _ => None,
    }
}

/// The usage in the beginning and end of a stream that has told all of it.
pub(crate) fn streamed(form: Form, seen: Seen<'_>) -> Option<Tokens> {
    let mut told = Told::new(Some(form));
    // Elsewhere all is told at the end, and what the beginning tells is out of date.
    if form == Form::Messages {
        lines(seen.head).for_each(|line| _ = told.event(line));
    }
    lines(seen.tail).for_each(|line| _ = told.event(line));
    told.tokens(0).filter(|tokens| !tokens.estimated)
}

/// Lines that are complete. The first may have lost its beginning.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
    bytes
        .split_inclusive(ends)
        .filter(move |line| line.last().is_some_and(ends))
}

/// What a stream tells of usage, event by event.
#[derive(Debug)]
pub(crate) struct Told {
    form: Option<Form>,
    /// What was told last, as an object.
    usage: String,
    /// Whether that is more than what a stream of Messages tells at its beginning.
    all: bool,
}

impl Told {
    /// Nothing is told yet, nor will it be where there is no form.
    pub(crate) fn new(form: Option<Form>) -> Self {
        Self {
            form,
            usage: String::new(),
            all: false,
        }
    }

    /// Looks into an event; answers whether it tells at its top.
    pub(crate) fn event(&mut self, event: &[u8]) -> bool {
        let (Some(form), Some((level, usage))) = (self.form, last(event)) else {
            return false;
        };
        match (form, level) {
            // `message_start`. No other event has it there.
            (Form::Messages, 2) if self.usage.is_empty() => usage.clone_into(&mut self.usage),
            // `message_delta`: cumulative, and it may leave out what the start has told.
            (Form::Messages, 1) => {
                if let Some(joined) = joined(&self.usage, usage) {
                    self.usage = joined;
                    self.all = true;
                }
            }
            // In Responses the last event repeats the whole answer, one level down.
            (Form::Chat, 1) | (Form::Responses, 1 | 2) => {
                usage.clone_into(&mut self.usage);
                self.all = true;
            }
            _ => return false,
        }
        level == 1
    }

    /// What was used. Where the end was not told, `output` is what was counted of it on the way.
    pub(crate) fn tokens(&self, output: u64) -> Option<Tokens> {
        let form = self.form?;
        let tokens = form.read(&self.usage)?;
        if form == Form::Messages && tokens.input == 0 {
            // The beginning, which has it, was not at hand.
            return None;
        }
        Some(Tokens {
            output: match self.all {
                true => tokens.output,
                false => tokens.output.max(output),
            },
            estimated: !self.all,
            ..tokens
        })
    }
}

/// An object with the fields of both, those of `new` before those of `old`. `None` where `new` is none.
fn joined(old: &str, new: &str) -> Option<String> {
    let new: Vec<_> = Object::parse(new).ok()?.rest().collect();
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.open();
    if let Ok(old) = Object::parse(old) {
        for (name, value) in old.rest() {
            if new.iter().all(|(newer, _)| *newer != name) {
                writer.key(&name).raw(&value.into());
            }
        }
    }
    for (name, value) in new {
        writer.key(&name).raw(&value.into());
    }
    writer.close();
    String::from_utf8(out).ok()
}

/// The member `usage` nearest to the top of the JSON that ends here, the last of them, where it is an object; and in how
/// many objects and arrays it stands.
fn last(bytes: &[u8]) -> Option<(usize, &str)> {
    let mut at = first(bytes)?;
    let mut depth: isize = 0;
    let mut found = None;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let start = at;
                at = string_end(bytes, at)?;
                let value = match bytes.get(start..at) {
                    Some(NAME) => value_after(bytes, at),
                    _ => None,
                };
                if let Some(value) = value.filter(|value| bytes.get(*value) == Some(&b'{')) {
                    at = value_end(bytes, value)?;
                    if found.as_ref().is_none_or(|(above, _)| depth <= *above) {
                        found = Some((depth, value..at));
                    }
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    let (above, value) = found?;
    let level = usize::try_from(above - depth).ok()?;
    Some((level, std::str::from_utf8(bytes.get(value)?).ok()?))
}

/// Where a member `usage` first stands. From there on it is known what is inside of a string.
fn first(bytes: &[u8]) -> Option<usize> {
    memmem::find_iter(bytes, NAME).find(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        before != Some(&b'\\') && value_after(bytes, at + NAME.len()).is_some()
    })
}

/// Where the value begins of a member whose name ends at `at`; `None` where this is no member's name.
pub(crate) fn value_after(bytes: &[u8], at: usize) -> Option<usize> {
    let colon = token(bytes, at)?;
    match bytes.get(colon) {
        Some(b':') => token(bytes, colon + 1),
        _ => None,
    }
}

/// The next byte that is no white space.
fn token(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    Some(at + rest.iter().position(|byte| !white(byte))?)
}

/// Where the value ends that begins at `at`, a string, an object or an array; `None` where its end is not at hand.
pub(crate) fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth: usize = 0;
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            byte => {
                match byte {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.checked_sub(1)?,
                    _ => {}
                }
                at += 1;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where the string ends whose opening quote is at `at`, its closing quote included.
pub(crate) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let rest = bytes.get(at..)?;
        let next = memchr2(b'"', b'\\', rest)?;
        if rest.get(next) == Some(&b'"') {
            return Some(at + next + 1);
        }
        at += next + 2;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use lockgate_host::{HEAD_BYTES, TAIL_BYTES};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn used(input: u64, cached_input: Option<u64>, output: u64, reasoning: Option<u64>) -> Tokens {
        Tokens {
            input,
            cached_input,
            output,
            reasoning,
            estimated: false,
        }
    }

    fn seen(body: &str) -> Seen<'_> {
        let bytes = body.as_bytes();
        Seen {
            head: bytes.get(..HEAD_BYTES).unwrap_or(bytes),
            tail: &bytes[bytes.len().saturating_sub(TAIL_BYTES)..],
            bytes: bytes.len() as u64,
        }
    }

    const CHAT: &str = r#"{"id":"c","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}},"service_tier":"default"}"#;
    const RESPONSES: &str = r#"{"id":"r","output":[],"usage":{"input_tokens":81,"input_tokens_details":{"cached_tokens":5},"output_tokens":1035,"output_tokens_details":{"reasoning_tokens":832},"total_tokens":1116},"user":null,"metadata":{"usage":"{}"}}"#;
    const MESSAGES: &str = r#"{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":1,"output_tokens":1}}}],"usage":{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":7}}"#;
    const EMBEDDINGS: &str = "{\n  \"data\": [],\n  \"usage\": {\n    \"prompt_tokens\": 8,\n    \"total_tokens\": 8\n  }\n}\n";

    #[test]
    fn each_surface_tells_in_its_own_words() {
        for (surface, body, expected) in [
            (Surface::Chat, CHAT, used(19, Some(4), 10, Some(3))),
            (
                Surface::Responses,
                RESPONSES,
                used(81, Some(5), 1035, Some(832)),
            ),
            (Surface::Messages, MESSAGES, used(3210, Some(3000), 7, None)),
            (Surface::Embeddings, EMBEDDINGS, used(8, None, 0, None)),
            (
                Surface::Audio,
                r#"{"text":"x","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
                used(14, None, 45, None),
            ),
        ] {
            let form = Form::of(surface, "m").unwrap();
            assert_eq!(whole(form, body.as_bytes()), Some(expected), "{surface:?}");
        }
    }

    #[test]
    fn what_uses_nothing_now_tells_nothing() {
        assert_eq!(Form::of(Surface::Responses, ""), None);
        assert_eq!(Form::of(Surface::CountTokens, "m"), None);
        assert_eq!(Form::of(Surface::Batches, ""), None);
        for nothing in [
            "",
            "{}",
            r#"{"usage":null}"#,
            r#"{"usage":{}}"#,
            r#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
            r#"{"usage":{"prompt_tokens":-1,"completion_tokens":"7"}}"#,
            r#"{"usage":{"prompt_tokens":1"#,
            r#"{"usage":{"prompt_tokens":1}"#,
            r#"{"usage":[{"prompt_tokens":1}]}"#,
            r#"{"choices":["usage",{"prompt_tokens":1}]}"#,
            r#"{"a\"usage":{"prompt_tokens":1}}"#,
        ] {
            assert_eq!(whole(Form::Chat, nothing.as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn a_model_cannot_speak_for_its_provider() {
        let said = r#""usage": {"prompt_tokens": 1, "completion_tokens": 1}"#;
        for text in [
            said.to_owned(),
            format!("\\{said}"),
            format!("}}}}, {said}}}"),
        ] {
            let content = Value::from(text).to_string();
            let answer = format!(
                r#"{{"choices":[{{"message":{{"content":{content}}}}}],"usage":{{"prompt_tokens":5,"completion_tokens":6}},"after":{content}}}"#
            );
            let tokens = whole(Form::Chat, answer.as_bytes());
            assert_eq!(tokens, Some(used(5, None, 6, None)), "{answer}");
            let silent = format!(r#"{{"choices":[{{"message":{{"content":{content}}}}}]}}"#);
            assert_eq!(whole(Form::Chat, silent.as_bytes()), None, "{silent}");
        }
        // A tool's arguments are an object in Messages.
        for cut in 0..MESSAGES.len() {
            let tokens = whole(Form::Messages, &MESSAGES.as_bytes()[cut..]);
            let told = cut <= MESSAGES.rfind("\"usage\"").unwrap();
            assert_eq!(
                tokens.map(|tokens| tokens.input),
                told.then_some(3210),
                "{cut}"
            );
        }
    }

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n";
    const DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n";

    fn filled(start: &str, end: &str) -> String {
        let text = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\\"usage\\\": {\"}}\n\n";
        [start, &text.repeat(200), end].concat()
    }

    #[test]
    fn a_stream_of_messages_tells_at_both_ends() {
        for stream in [filled(START, DELTA), [START, DELTA].concat()] {
            let told = streamed(Form::Messages, seen(&stream));
            assert_eq!(told, Some(used(30, Some(5), 15, None)));
        }
        let all = DELTA.replace(
            "{\"output_tokens\"",
            "{\"input_tokens\":9,\"output_tokens\"",
        );
        let told = streamed(Form::Messages, seen(&filled(START, &all)));
        assert_eq!(told, Some(used(14, Some(5), 15, None)));
        let told = streamed(Form::Messages, seen(&filled("", &all)));
        assert_eq!(told, Some(used(9, None, 15, None)));
        // One end alone is not enough.
        assert_eq!(streamed(Form::Messages, seen(&filled("", DELTA))), None);
        assert_eq!(streamed(Form::Messages, seen(&filled(START, ""))), None);
    }

    #[test]
    fn what_came_of_a_broken_stream_is_an_estimate() {
        let mut told = Told::new(Some(Form::Messages));
        assert!(!told.event(START.as_bytes()));
        let tokens = told.tokens(40).unwrap();
        assert_eq!(
            (tokens.input, tokens.output, tokens.estimated),
            (30, 40, true)
        );
        assert!(told.event(DELTA.as_bytes()));
        assert_eq!(told.tokens(40), Some(used(30, Some(5), 15, None)));
    }

    #[test]
    fn the_last_word_of_a_stream_counts() {
        let chunk = |n: u64| {
            format!(
                "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":{n}}}}}\n\n"
            )
        };
        let stream = [chunk(1), chunk(2), "data: [DONE]\n\n".to_owned()].concat();
        let told = streamed(Form::Chat, seen(&stream));
        assert_eq!(told, Some(used(3, None, 2, None)));
        // A chunk without its end is none.
        let cut = stream.find("\n\ndata: [DONE]").unwrap();
        let told = streamed(Form::Chat, seen(&stream[..cut]));
        assert_eq!(told, Some(used(3, None, 1, None)));
    }

    #[test]
    fn the_end_of_a_long_response_is_enough() {
        let text = "x".repeat(10_000);
        let event = format!(
            "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{}}}\n\n",
            RESPONSES.replace("[]", &format!("[\"{text}\"]"))
        );
        let told = streamed(Form::Responses, seen(&event));
        assert_eq!(told, Some(used(81, Some(5), 1035, Some(832))));
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            ".*",
            Just(r#""usage":{"prompt_tokens":1}"#.to_owned()),
            Just("usage".to_owned()),
        ];
        let name = prop_oneof!["[a-z\"\\\\]{0,3}", Just("usage".to_owned())];
        let leaf = prop_oneof![
            Just(serde_json::json!({"usage": {"prompt_tokens": 1}})),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let pairs = prop::collection::vec((name.clone(), inner.clone()), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::from),
                pairs.prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_the_provider_says_is_found_or_nothing(
            before in prop::collection::vec(json(), 0..4),
            after in prop::collection::vec(json(), 0..4),
            pretty: bool,
        ) {
            let mut fields = Vec::new();
            for (at, value) in before.iter().enumerate() {
                fields.push(format!("\"b{at}\":{value}"));
            }
            fields.push(r#""usage" : {"prompt_tokens":77,"completion_tokens":7,"usage":{}}"#.to_owned());
            for (at, value) in after.iter().enumerate() {
                let value = if pretty { format!("{value:#}") } else { value.to_string() };
                fields.push(format!("\"a{at}\":{value}"));
            }
            let body = format!("{{{}}}", fields.join(","));
            let place = body.find("\"usage\" : {\"prompt_tokens\":77").unwrap();
            for cut in 0..body.len() {
                let told = whole(Form::Chat, &body.as_bytes()[cut..]);
                prop_assert_eq!(told.is_some(), cut <= place, "{} of {}", cut, body);
                prop_assert!(told.is_none_or(|tokens| tokens.input == 77), "{} of {}", cut, body);
            }
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>, text in "(\"usage\"|[{}\\[\\]\":, \\\\\n\r]|data:|usage)*") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                for form in [Form::Chat, Form::Responses, Form::Messages] {
                    let _ = whole(form, bytes);
                    let _ = streamed(form, Seen { head: bytes, tail: bytes, bytes: 0 });
                }
            }
        }
    }
}
