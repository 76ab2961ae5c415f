//! Reads streams of Chat Completions: <https://platform.openai.com/docs/api-reference/chat-streaming/streaming>.
//!
//! The end is `[DONE]`. Some followers do not send it; a body that ends as HTTP prescribes, after every choice has told
//! why it ended, is complete too.

use std::borrow::Cow;

use serde::Deserialize;

use super::answer::{Calls, arguments, citation, content, finish, usage};
use super::reasoning;
use crate::error::{Failure, Said};
use crate::event::{Delta, Event, PartKind};
use crate::json::{Object, Problem, Raw, integer, text};
use crate::request::Content;
use crate::sse::Frame;
use crate::translate::DecodeStream;

/// OpenAI gives at most 128 choices.
const MOST_CHOICES: usize = 128;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Raw<'a>>,
    object: Option<Raw<'a>>,
    model: Option<Raw<'a>>,
    created: Option<Raw<'a>>,
    choices: Option<Vec<ChunkChoice<'a>>>,
    usage: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    index: Option<usize>,
    #[serde(borrow)]
    delta: Option<ChunkDelta<'a>>,
    finish_reason: Option<Raw<'a>>,
    logprobs: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct ChunkDelta<'a> {
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    refusal: Option<Raw<'a>>,
    reasoning_content: Option<Raw<'a>>,
    reasoning: Option<Raw<'a>>,
    reasoning_details: Option<Vec<Raw<'a>>>,
    tool_calls: Option<Vec<CallDelta<'a>>>,
    function_call: Option<FunctionDelta<'a>>,
    annotations: Option<Vec<Raw<'a>>>,
}

#[derive(Deserialize)]
struct CallDelta<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    id: Option<Raw<'a>>,
    function: Option<FunctionDelta<'a>>,
    extra_content: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct FunctionDelta<'a> {
    #[serde(borrow)]
    name: Option<Raw<'a>>,
    arguments: Option<Raw<'a>>,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    started: bool,
    ended: bool,
    choices: Vec<State>,
    calls: Calls,
}

/// How far a choice came.
#[derive(Debug, Default)]
struct State {
    /// How many parts have begun.
    parts: u32,
    open: Open,
    /// The calls that have begun, by the provider's numbers.
    calls: Vec<u64>,
    /// A call whose name has not come.
    nameless: Option<Nameless>,
    refused: bool,
    finished: bool,
}

/// The part under way, which is the last that has begun.
#[derive(Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
    Sealed,
    Refusal,
    Call {
        number: u64,
        id: String,
    },
}

#[derive(Debug)]
struct Nameless {
    number: u64,
    id: String,
    arguments: String,
}

type Emit<'e> = dyn FnMut(Event<'_>) + 'e;

impl DecodeStream for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem> {
        let data = frame.data.trim_ascii();
        if self.ended || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            self.end(emit);
            return Ok(());
        }
        let chunk: Chunk<'_> = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            Err(_) if frame.event == "error" => return self.fail(data, emit),
            Err(_) => return Err(Problem::new("is no chunk of a chat completion")),
        };
        let failed = chunk.error.is_some()
            || frame.event == "error"
            // vLLM before 0.9.
            || chunk.object.is_some_and(|kind| kind.get() == "\"error\"");
        if failed {
            return self.fail(data, emit);
        }
        let choices = chunk.choices.unwrap_or_default();
        // Azure begins with a chunk about the prompt, which has neither id nor model.
        if !self.started && (!choices.is_empty() || chunk.usage.is_some()) {
            self.started = true;
            let id = chunk.id.and_then(word);
            self.calls = Calls::new(id.as_deref());
            emit(Event::Start {
                id,
                model: chunk.model.and_then(word),
                created: chunk.created.and_then(|raw| integer(raw).ok()),
            });
        }
        for (at, choice) in choices.into_iter().enumerate() {
            self.choice(choice, emit)
                .map_err(|problem| problem.at_index(at).at("choices"))?;
        }
        if let Some(raw) = chunk.usage {
            let object = Object::of(raw).map_err(|problem| problem.at("usage"))?;
            emit(Event::Usage(usage(object)));
        }
        Ok(())
    }

    fn ended(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished) {
            self.end(emit);
        }
    }
}

impl StreamDecoder {
    fn fail(&mut self, data: &str, emit: &mut Emit<'_>) -> Result<(), Problem> {
        self.ended = true;
        emit(Event::Failed(Failure::from(Said::read(data.as_bytes()))));
        Ok(())
    }

    /// That was all. A choice that did not tell why it ended has ended all the same.
    fn end(&mut self, emit: &mut Emit<'_>) {
        if self.ended {
            return;
        }
        self.ended = true;
        if !self.started {
            emit(Event::Start {
                id: None,
                model: None,
                created: None,
            });
        }
        for (choice, state) in (0..).zip(&mut self.choices) {
            if !state.finished {
                emit(Event::Finish {
                    choice,
                    finish: finish(None, false, false),
                });
            }
        }
        emit(Event::End);
    }

    fn choice(&mut self, choice: ChunkChoice<'_>, emit: &mut Emit<'_>) -> Result<(), Problem> {
        let index = choice.index.unwrap_or(0);
        if index >= MOST_CHOICES {
            return Err(Problem::new("is out of bounds").at("index"));
        }
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, State::default);
        }
        let (Some(state), Ok(number)) = (self.choices.get_mut(index), u32::try_from(index)) else {
            return Ok(());
        };
        let mut reader = ChoiceReader {
            choice: number,
            state,
            calls: &mut self.calls,
            emit,
        };
        if let Some(delta) = choice.delta {
            reader.delta(delta).map_err(|problem| problem.at("delta"))?;
        }
        if let Some(logprobs) = choice.logprobs {
            (reader.emit)(Event::Logprobs {
                choice: number,
                logprobs: logprobs.into(),
            });
        }
        match choice.finish_reason.and_then(word) {
            Some(word) => reader.finish(&word),
            None => Ok(()),
        }
    }
}

/// A text that says something.
fn word(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    text(raw).ok().filter(|text| !text.is_empty())
}

struct ChoiceReader<'s, 'e> {
    choice: u32,
    state: &'s mut State,
    calls: &'s mut Calls,
    emit: &'s mut Emit<'e>,
}

impl ChoiceReader<'_, '_> {
    fn delta(&mut self, delta: ChunkDelta<'_>) -> Result<(), Problem> {
        // Where both names are used, they say the same.
        let thought = delta.reasoning_content.or(delta.reasoning);
        if let Some(thought) = thought.and_then(word) {
            self.add(Open::Reasoning, thought)?;
        }
        for raw in delta.reasoning_details.into_iter().flatten() {
            if let Ok(detail) = reasoning::detail(raw) {
                self.detail(detail)?;
            }
        }
        if let Some(raw) = delta.content {
            self.content(raw).map_err(|problem| problem.at("content"))?;
        }
        for raw in delta.annotations.into_iter().flatten() {
            if self.state.open == Open::Text
                && let Ok(Some(citation)) = citation(raw)
            {
                self.more(Delta::Citation(citation));
            }
        }
        if let Some(refusal) = delta.refusal.and_then(word) {
            self.state.refused = true;
            self.add(Open::Refusal, refusal)?;
        }
        for (at, call) in delta.tool_calls.into_iter().flatten().enumerate() {
            self.call(call)
                .map_err(|problem| problem.at_index(at).at("tool_calls"))?;
        }
        if let Some(function) = delta.function_call {
            let call = CallDelta {
                index: Some(0),
                id: None,
                function: Some(function),
                extra_content: None,
            };
            self.call(call)
                .map_err(|problem| problem.at("function_call"))?;
        }
        Ok(())
    }

    /// What a thought has beside its text, which has come in a field of its own.
    fn detail(&mut self, detail: Content<'_>) -> Result<(), Problem> {
        match detail {
            Content::Reasoning {
                signature: Some(signature),
                ..
            } if self.state.open == Open::Reasoning => {
                self.more(Delta::Signature(signature));
                // The proof is of all of the thought; what comes now is another.
                self.state.open = Open::Nothing;
            }
            Content::Redacted { data } => {
                self.begin(Open::Sealed, PartKind::Redacted { data })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn content(&mut self, raw: Raw<'_>) -> Result<(), Problem> {
        if raw.get() == "\"\"" {
            return Ok(());
        }
        let mut late = Ok(());
        content(raw, &mut |content| {
            let (open, text) = match content {
                Content::Text { text, .. } => (Open::Text, text),
                Content::Reasoning { text, .. } => (Open::Reasoning, text),
                _ => return,
            };
            if late.is_ok() && !text.is_empty() {
                late = self.add(open, text);
            }
        })?;
        late
    }

    /// More text of a kind; a part of that kind begins unless it is under way.
    fn add(&mut self, open: Open, text: Cow<'_, str>) -> Result<(), Problem> {
        if self.state.open != open {
            let kind = match open {
                Open::Reasoning => PartKind::Reasoning { id: None },
                Open::Refusal => PartKind::Refusal,
                _ => PartKind::Text,
            };
            self.begin(open, kind)?;
        }
        self.more(Delta::Text(text));
        Ok(())
    }

    fn begin(&mut self, open: Open, kind: PartKind<'_>) -> Result<(), Problem> {
        if self.state.finished {
            return Err(Problem::new("goes on after its end"));
        }
        if self.state.nameless.is_some() {
            return Err(Problem::new("has a call without a name"));
        }
        let part = self.state.parts;
        self.state.parts = part.saturating_add(1);
        self.state.open = open;
        (self.emit)(Event::Begin {
            choice: self.choice,
            part,
            kind,
        });
        Ok(())
    }

    fn more(&mut self, delta: Delta<'_>) {
        (self.emit)(Event::Delta {
            choice: self.choice,
            part: self.state.parts.saturating_sub(1),
            delta,
        });
    }

    fn call(&mut self, call: CallDelta<'_>) -> Result<(), Problem> {
        let (name, more) = match call.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        let name = name.and_then(word);
        let id = call.id.and_then(word);
        let more = match more {
            Some(raw) => arguments(raw).map_err(|problem| problem.at("arguments"))?,
            None => Cow::Borrowed(""),
        };
        self.place(call.index, id, name, &more)?;
        if !more.is_empty() && self.state.nameless.is_none() {
            self.more(Delta::Arguments(more));
        }
        let signature = call
            .extra_content
            .and_then(|raw| Object::parse(raw.get()).ok())
            .and_then(|extra| reasoning::signature_in(extra).ok()?);
        if let Some(signature) = signature {
            self.more(Delta::Signature(signature));
        }
        Ok(())
    }

    /// Finds the call that a delta belongs to, and begins it where it is new. Some give all calls the number 0 and tell
    /// them apart by their ids; some give no number at all.
    fn place(
        &mut self,
        number: Option<u64>,
        id: Option<Cow<'_, str>>,
        name: Option<Cow<'_, str>>,
        more: &str,
    ) -> Result<(), Problem> {
        let next = self.state.calls.len() as u64;
        if let Some(mut held) = self.state.nameless.take() {
            let Some(name) = name else {
                held.arguments.push_str(more);
                self.state.nameless = Some(held);
                return Ok(());
            };
            self.begin_call(held.number, Cow::Owned(held.id), name)?;
            if !held.arguments.is_empty() {
                self.more(Delta::Arguments(Cow::Owned(held.arguments)));
            }
            return Ok(());
        }
        if let Open::Call {
            number: open,
            id: open_id,
        } = &self.state.open
        {
            let same_number = number.is_none_or(|number| number == *open);
            let other_id = id.as_ref().is_some_and(|id| *id != open_id.as_str());
            if same_number && !(other_id && name.is_some()) {
                return Ok(());
            }
        }
        let number = number.unwrap_or(next);
        let ended = self.state.calls.contains(&number);
        match name {
            Some(name) => {
                let id = self.calls.id(id);
                self.begin_call(number, id, name)
            }
            None if ended => Err(Problem::new("goes on with a call that has ended")),
            None => {
                let id = self.calls.id(id).into_owned();
                self.state.nameless = Some(Nameless {
                    number,
                    id,
                    arguments: more.to_owned(),
                });
                Ok(())
            }
        }
    }

    fn begin_call(
        &mut self,
        number: u64,
        id: Cow<'_, str>,
        name: Cow<'_, str>,
    ) -> Result<(), Problem> {
        self.state.calls.push(number);
        let open = Open::Call {
            number,
            id: id.clone().into_owned(),
        };
        self.begin(open, PartKind::ToolCall { id, name })
    }

    fn finish(&mut self, word: &str) -> Result<(), Problem> {
        if self.state.nameless.is_some() {
            return Err(Problem::new("has a call without a name"));
        }
        if !std::mem::replace(&mut self.state.finished, true) {
            (self.emit)(Event::Finish {
                choice: self.choice,
                finish: finish(Some(word), !self.state.calls.is_empty(), self.state.refused),
            });
        }
        Ok(())
    }
}
