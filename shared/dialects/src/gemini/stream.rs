//! Reads streams: <https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>.
//!
//! Each event is a response with more parts of its candidates. Function calls come whole. There is no end marker: a stream is
//! complete where each candidate has a reason why it ended.

use std::borrow::Cow;

use super::answer::blocked;
use super::grounding::{self, Places};
use super::{logprobs, wire};
use crate::answer::{Finish, Reason};
use crate::error::{Failure, Said};
use crate::event::{Delta, Event, PartKind};
use crate::json::Problem;
use crate::sse::Frame;
use crate::translate::DecodeStream;

/// Google gives eight candidates at most.
const MOST_CHOICES: usize = 64;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    started: bool,
    over: bool,
    /// The response's id, which ids of calls are made of.
    id: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Debug, Default)]
struct Choice {
    /// How many parts have begun; the last of them may be open.
    parts: u32,
    open: Open,
    /// The open text so far, for the positions of citations.
    text: String,
    calls: usize,
    finished: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    None,
    Text,
    Thought,
}

type Emit<'e> = &'e mut dyn FnMut(Event<'_>);

impl DecodeStream for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, emit: Emit<'_>) -> Result<(), Problem> {
        if self.over || frame.data.is_empty() {
            return Ok(());
        }
        if frame.data.starts_with('[') {
            return self.failed(frame.data, emit);
        }
        let response = wire::read(frame.data)?;
        if response.error.is_some() {
            return self.failed(frame.data, emit);
        }
        if !self.started {
            self.started = true;
            let id = response.response_id.map(|id| id.0);
            self.id = id.as_deref().map(str::to_owned);
            emit(Event::Start {
                id,
                model: response.model_version.map(|model| model.0),
                created: None,
            });
        }
        let candidates = response.candidates.unwrap_or_default();
        if candidates.is_empty() && blocked(response.prompt_feedback.as_ref()) {
            self.block(emit);
        }
        for (number, candidate) in candidates.into_iter().enumerate() {
            self.candidate(candidate, number, emit)
                .map_err(|problem| problem.at_index(number).at("candidates"))?;
        }
        if let Some(usage) = response.usage_metadata.and_then(|counts| counts.usage()) {
            emit(Event::Usage(usage));
        }
        Ok(())
    }

    fn ended(&mut self, emit: Emit<'_>) {
        let complete = self.choices.iter().all(|choice| choice.finished);
        if !self.over && complete && !self.choices.is_empty() {
            self.over = true;
            emit(Event::End);
        }
    }
}

impl StreamDecoder {
    /// The question was blocked, maybe when it was half answered.
    fn block(&mut self, emit: Emit<'_>) {
        if self.choices.is_empty() {
            self.choices.push(Choice::default());
        }
        for (choice, at) in self.choices.iter_mut().zip(0..) {
            if !std::mem::replace(&mut choice.finished, true) {
                emit(Event::Finish {
                    choice: at,
                    finish: Finish::from(Reason::ContentFilter),
                });
            }
        }
    }

    fn failed(&mut self, data: &str, emit: Emit<'_>) -> Result<(), Problem> {
        let said = Said::read(data.as_bytes());
        if said == Said::default() {
            return Err(Problem::new(
                "is neither a response of Gemini's nor an error",
            ));
        }
        self.over = true;
        emit(Event::Failed(Failure::from(said)));
        Ok(())
    }

    fn candidate(
        &mut self,
        candidate: wire::Candidate<'_>,
        number: usize,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        let index = match candidate.index {
            Some(index) => usize::try_from(index).unwrap_or(usize::MAX),
            None => number,
        };
        if index >= MOST_CHOICES {
            return Err(Problem::new("is more than there can be").at("index"));
        }
        while self.choices.len() <= index {
            self.choices.push(Choice::default());
        }
        let id = self.id.as_deref();
        let (Some(choice), Ok(at)) = (self.choices.get_mut(index), u32::try_from(index)) else {
            return Ok(());
        };
        if choice.finished {
            return Ok(());
        }
        let parts = candidate.content.and_then(|content| content.parts);
        // A text's signature, told after what else belongs to the text.
        let mut proof = None;
        for part in parts.unwrap_or_default() {
            choice.prove(proof.take(), at, emit);
            proof = choice.part(part, at, emit, |call| wire::call_id(id, index, call));
        }
        if candidate.grounding_metadata.is_some() || candidate.citation_metadata.is_some() {
            let all = grounding::read(candidate.grounding_metadata, candidate.citation_metadata)?;
            if choice.open == Open::Text {
                let places = Places::of(&choice.text);
                for cited in all {
                    let citation = cited.of(&places, 0);
                    emit(choice.delta(at, Delta::Citation(citation)));
                }
            }
        }
        choice.prove(proof, at, emit);
        if let Some(raw) = candidate.logprobs_result {
            emit(Event::Logprobs {
                choice: at,
                logprobs: logprobs::read(raw)?,
            });
        }
        if let Some(word) = candidate.finish_reason {
            choice.finished = true;
            emit(Event::Finish {
                choice: at,
                finish: Finish::from(wire::reason(&word.0, choice.calls > 0)),
            });
        }
        Ok(())
    }
}

impl Choice {
    /// Tells a part, and gives back the signature of a text.
    fn part<'a>(
        &mut self,
        part: wire::Part<'a>,
        at: u32,
        emit: Emit<'_>,
        id: impl FnOnce(usize) -> String,
    ) -> Option<Cow<'a, str>> {
        let proof = part.thought_signature.map(|proof| proof.0);
        let proof = proof.filter(|proof| !proof.is_empty());
        if let Some(call) = part.function_call {
            let given = call.id.map(|id| id.0).filter(|id| !id.is_empty());
            let id = given.unwrap_or_else(|| id(self.calls).into());
            self.calls += 1;
            self.begin(
                at,
                PartKind::ToolCall {
                    id,
                    name: call.name.0,
                },
                Open::None,
                emit,
            );
            let arguments = call.args.map_or("{}", |args| args.get());
            emit(self.delta(at, Delta::Arguments(arguments.into())));
            if let Some(proof) = proof {
                emit(self.delta(at, Delta::Signature(proof)));
            }
            return None;
        }
        if part.inline_data.is_some() {
            self.open = Open::None;
            return proof;
        }
        let text = part.text?.0;
        if part.thought == Some(true) {
            if self.open != Open::Thought && (!text.is_empty() || proof.is_some()) {
                self.begin(at, PartKind::Reasoning { id: None }, Open::Thought, emit);
            }
            if !text.is_empty() {
                emit(self.delta(at, Delta::Text(text)));
            }
            if let Some(proof) = proof {
                self.open = Open::None;
                emit(self.delta(at, Delta::Signature(proof)));
            }
            return None;
        }
        if !text.is_empty() {
            if self.open != Open::Text {
                self.text.clear();
                self.begin(at, PartKind::Text, Open::Text, emit);
            }
            self.text.push_str(&text);
            emit(self.delta(at, Delta::Text(text)));
        }
        proof
    }

    fn prove(&mut self, proof: Option<Cow<'_, str>>, at: u32, emit: Emit<'_>) {
        if let Some(proof) = proof {
            self.begin(at, PartKind::Reasoning { id: None }, Open::None, emit);
            emit(self.delta(at, Delta::Signature(proof)));
        }
    }

    fn begin(&mut self, at: u32, kind: PartKind<'_>, open: Open, emit: Emit<'_>) {
        self.open = open;
        emit(Event::Begin {
            choice: at,
            part: self.parts,
            kind,
        });
        self.parts = self.parts.saturating_add(1);
    }

    /// What is added to the part that began last.
    fn delta<'d>(&self, at: u32, delta: Delta<'d>) -> Event<'d> {
        Event::Delta {
            choice: at,
            part: self.parts.saturating_sub(1),
            delta,
        }
    }
}
