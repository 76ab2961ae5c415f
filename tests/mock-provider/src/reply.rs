//! What the model says, before a dialect puts it into its own words.

use serde_json::{Value, json};

use crate::behaviour::{Behaviour, ReasoningField};

/// The plain answer, in the parts that a stream sends it in.
pub(crate) const WORDS: [&str; 6] = ["Hello", " from", " the", " mock", " provider", "."];
/// An answer with characters of two, three and four bytes.
pub(crate) const UNICODE_WORDS: [&str; 5] = ["Grüße", " aus 東京", " 🌍🚀", " — naïve", " ✓"];
/// The arguments of a tool call, in the parts that a stream sends them in: cut inside a word, a number and between bytes of
/// nothing, with an integer that no double holds.
const ARGUMENTS: [&str; 5] = [
    "{\"city\":\"Zü",
    "rich\",\"n\":90071",
    "99254740993,",
    "\"x\":0.",
    "1}",
];
/// What the model thinks before it speaks.
const THOUGHTS: [&str; 3] = ["The user", " wants", " a greeting."];
/// What proves a thought to be the mock's own: base64 of `mock signature` and a few bytes.
pub(crate) const SIGNATURE: &str = "bW9jayBzaWduYXR1cmX/+/4=";
/// How a refusal is worded.
const REFUSAL: [&str; 2] = ["I'm sorry,", " I can't assist with that."];
/// The tokens of the question.
pub(crate) const PROMPT_TOKENS: u64 = 9;

/// What matters of a chat request, whatever its dialect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// The names of the tools that may be called, the one that must be called first.
    pub(crate) tools: Vec<String>,
    /// Several may be called at once.
    pub(crate) parallel: bool,
    /// The last turn has the results of tool calls.
    pub(crate) answered: bool,
    /// The schema that the answer must fit.
    pub(crate) schema: Option<Value>,
    /// How many answers are wanted.
    pub(crate) count: usize,
    /// How many turns there were, so that the ids of tool calls differ from turn to turn.
    pub(crate) turns: usize,
}

/// A part of an answer; each text in the pieces in which a stream sends it.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Thought(Vec<String>),
    Text(Vec<String>),
    Refusal(Vec<String>),
    /// A call of the tool with this name, with these arguments.
    Call(String, Vec<String>),
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    Calls,
    /// Something outside the model found the answer unsafe.
    Filter,
    /// The model would not.
    Refusal,
}

/// Tokens. The parts are contained in the wholes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

impl Usage {
    pub(crate) fn plain(output: usize) -> Self {
        Self {
            input: PROMPT_TOKENS,
            cached: 0,
            written: 0,
            output: output as u64,
            reasoning: 0,
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.input + self.output
    }

    /// The input that was neither read from a cache nor written to it.
    pub(crate) fn fresh(&self) -> u64 {
        self.input.saturating_sub(self.cached + self.written)
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) parts: Vec<Part>,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
    /// In which field of a chat completion the thoughts stand, where they do.
    pub(crate) thoughts: ReasoningField,
}

fn pieces(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl Reply {
    /// An answer that is only text.
    pub(crate) fn text(words: &[&str]) -> Self {
        Self {
            parts: vec![Part::Text(pieces(words))],
            finish: Finish::Stop,
            usage: Usage::plain(words.len()),
            thoughts: ReasoningField::None,
        }
    }

    /// What the model says to this wish, if it behaves like this.
    pub(crate) fn to(wish: &Wish, behaviour: Behaviour) -> Self {
        let plain = Self::text(&WORDS);
        match behaviour {
            Behaviour::Tools(count) => Self::calls(wish, count).unwrap_or(plain),
            Behaviour::Reasoning(field) => {
                let mut reply = plain;
                reply.parts.insert(0, Part::Thought(pieces(&THOUGHTS)));
                reply.usage.reasoning = THOUGHTS.len() as u64;
                reply.usage.output += reply.usage.reasoning;
                reply.thoughts = field;
                reply
            }
            Behaviour::Refusal => Self {
                parts: vec![Part::Refusal(pieces(&REFUSAL))],
                finish: Finish::Refusal,
                ..plain
            },
            Behaviour::Length => Self {
                finish: Finish::Length,
                ..plain
            },
            Behaviour::Filter => Self {
                finish: Finish::Filter,
                ..plain
            },
            Behaviour::Json => {
                let json = match &wish.schema {
                    Some(schema) => sample(schema, schema, 0).to_string(),
                    None => ARGUMENTS.concat(),
                };
                let middle = json.len() / 2;
                let middle = (0..=middle).rev().find(|at| json.is_char_boundary(*at));
                let (start, end) = json.split_at(middle.unwrap_or_default());
                Self::text(&[start, end])
            }
            Behaviour::Cached => Self {
                usage: Usage {
                    input: 100,
                    cached: 64,
                    written: 16,
                    output: 30,
                    reasoning: 20,
                },
                ..plain
            },
            _ => plain,
        }
    }

    /// So many calls at once; `None` if there is nothing to call, or the calls were answered already.
    fn calls(wish: &Wish, count: usize) -> Option<Self> {
        let first = wish.tools.first().filter(|_| !wish.answered)?;
        let count = if wish.parallel { count } else { 1 };
        let call = |at: usize| {
            let name = wish.tools.get(at).unwrap_or(first);
            Part::Call(name.clone(), pieces(&ARGUMENTS))
        };
        Some(Self {
            parts: (0..count).map(call).collect(),
            finish: Finish::Calls,
            usage: Usage::plain(count * ARGUMENTS.len()),
            thoughts: ReasoningField::None,
        })
    }

    /// The text of the answer, without thoughts and refusals.
    pub(crate) fn content(&self) -> Option<String> {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(pieces) => Some(pieces.concat()),
            _ => None,
        });
        texts.reduce(|all, more| all + &more)
    }
}

/// A value that fits a schema, as far as this suite's schemas go.
fn sample(schema: &Value, root: &Value, depth: usize) -> Value {
    const DEEPEST: usize = 16;
    if depth > DEEPEST {
        return Value::Null;
    }
    let below = |schema: &Value| sample(schema, root, depth + 1);
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let found = root.pointer(reference.trim_start_matches('#'));
        return found.map_or(Value::Null, below);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(value) = schema.get("enum").and_then(|list| list.get(0)) {
        return value.clone();
    }
    if let Some(first) = schema.get("anyOf").and_then(|list| list.get(0)) {
        return below(first);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten();
            fields
                .map(|(name, schema)| (name.clone(), below(schema)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Some("array") => schema
            .get("items")
            .map_or_else(|| json!([]), |items| json!([below(items)])),
        Some("integer") => json!(9_007_199_254_740_993_u64),
        Some("number") => json!(0.1),
        Some("boolean") => json!(true),
        Some("string") => json!("Zürich"),
        _ => Value::Null,
    }
}
