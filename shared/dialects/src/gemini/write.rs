//! Writes streams: <https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>.
//!
//! Each piece of text is an event of its own; a call is one when it is whole; why the candidates ended comes last, with the
//! usage.

use std::borrow::Cow;

use super::answer::{function_call, thought, words};
use super::{grounding, logprobs, wire};
use crate::answer::{Citation, Reason, Usage};
use crate::dialect::Reply;
use crate::event::{Delta, Event, PartKind};
use crate::json::{Json, Writer, object_text};
use crate::sse;
use crate::translate::EncodeStream;

/// More candidates than anyone gives.
const MOST_CHOICES: usize = 64;

/// Writes a stream.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    model: String,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct Choice {
    part: Part,
    /// The signature of the part, so far.
    proof: String,
    /// The part's own text, or a call's arguments, so far.
    text: String,
    citations: Vec<Citation<'static>>,
    finish: Option<Reason>,
}

#[derive(Debug, Default)]
enum Part {
    /// None, or one that has no form here.
    #[default]
    None,
    Text,
    Thought,
    Call {
        id: String,
        name: String,
    },
}

impl StreamEncoder {
    /// An encoder for this client.
    #[must_use]
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            id: reply.id.to_owned(),
            model: reply.model.to_owned(),
            choices: Vec::new(),
            usage: None,
        }
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        let index = usize::try_from(index).ok()?;
        if index >= MOST_CHOICES {
            return None;
        }
        while self.choices.len() <= index {
            self.choices.push(Choice::default());
        }
        self.choices.get_mut(index)
    }

    /// Writes an event with one candidate that goes on: its part, and what else it has.
    fn goes_on(
        &self,
        choice: u32,
        out: &mut Vec<u8>,
        part: impl FnOnce(&mut Writer<'_>),
        more: impl FnOnce(&mut Writer<'_>),
    ) {
        sse::event(out, None, |out| {
            let mut writer = Writer::new(out);
            writer
                .open()
                .key("candidates")
                .open_array()
                .open()
                .key("content")
                .open()
                .key("parts")
                .open_array();
            part(&mut writer);
            writer
                .close_array()
                .text_field("role", "model")
                .close()
                .key("index")
                .integer(choice.into());
            more(&mut writer);
            writer.close().close_array();
            self.signed(&mut writer);
        });
    }

    /// Writes what ends every event.
    fn signed(&self, writer: &mut Writer<'_>) {
        writer
            .text_field("modelVersion", &self.model)
            .text_field("responseId", &self.id)
            .close();
    }

    fn begin(&mut self, choice: u32, kind: PartKind<'_>, out: &mut Vec<u8>) {
        self.end_part(choice, out);
        if let Some(choice) = self.choice(choice) {
            choice.part = match kind {
                PartKind::Text | PartKind::Refusal => Part::Text,
                PartKind::Reasoning { .. } => Part::Thought,
                PartKind::Redacted { .. } => Part::None,
                PartKind::ToolCall { id, name } => Part::Call {
                    id: id.into_owned(),
                    name: name.into_owned(),
                },
            };
        }
    }

    fn delta(&mut self, choice: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(state) = self.choice(choice) else {
            return;
        };
        match (&state.part, delta) {
            (Part::Text, Delta::Text(text)) if !text.is_empty() => {
                state.text.push_str(&text);
                self.goes_on(choice, out, |writer| words(writer, &text, None), |_| {});
            }
            (Part::Thought, Delta::Text(text)) if !text.is_empty() => {
                state.text.push_str(&text);
                self.goes_on(choice, out, |writer| thought(writer, &text, None), |_| {});
            }
            (Part::Call { .. }, Delta::Arguments(more)) => state.text.push_str(&more),
            (Part::Thought | Part::Call { .. }, Delta::Signature(more)) => {
                state.proof.push_str(&more);
            }
            (Part::Text, Delta::Citation(citation)) => state.citations.push(owned(citation)),
            _ => {}
        }
    }

    /// Writes what of a part could not be written before it was whole.
    fn end_part(&mut self, choice: u32, out: &mut Vec<u8>) {
        let Some(state) = self.choice(choice) else {
            return;
        };
        let part = std::mem::take(&mut state.part);
        let text = std::mem::take(&mut state.text);
        let proof = std::mem::take(&mut state.proof);
        let citations = std::mem::take(&mut state.citations);
        let signature = Some(&*proof).filter(|proof| !proof.is_empty());
        match part {
            Part::Text if !citations.is_empty() => self.goes_on(
                choice,
                out,
                |writer| words(writer, "", None),
                |writer| grounding::write(writer, &[(0, &text, &citations)]),
            ),
            Part::Thought if signature.is_some() => {
                let alone = text.is_empty();
                self.goes_on(
                    choice,
                    out,
                    |writer| {
                        if alone {
                            words(writer, "", signature);
                        } else {
                            thought(writer, "", signature);
                        }
                    },
                    |_| {},
                );
            }
            Part::Call { id, name } => {
                let text = one_line(text);
                self.goes_on(
                    choice,
                    out,
                    |writer| function_call(writer, &id, &name, &text, signature),
                    |_| {},
                );
            }
            Part::None | Part::Text | Part::Thought => {}
        }
    }

    /// Writes the last event.
    fn end(&self, out: &mut Vec<u8>) {
        sse::event(out, None, |out| {
            let mut writer = Writer::new(out);
            writer.open().key("candidates").open_array();
            for (choice, index) in self.choices.iter().zip(0..) {
                let Some(reason) = choice.finish else {
                    continue;
                };
                writer
                    .open()
                    .key("content")
                    .open()
                    .key("parts")
                    .open_array();
                words(&mut writer, "", None);
                writer
                    .close_array()
                    .text_field("role", "model")
                    .close()
                    .text_field("finishReason", wire::reason_word(reason))
                    .key("index")
                    .integer(index)
                    .close();
            }
            writer.close_array();
            if let Some(usage) = &self.usage {
                wire::write_usage(&mut writer, usage, None);
            }
            self.signed(&mut writer);
        });
    }

    fn logprobs(&self, choice: u32, json: &Json<'_>, out: &mut Vec<u8>) {
        self.goes_on(
            choice,
            out,
            |writer| words(writer, "", None),
            |writer| logprobs::write(json, writer),
        );
    }
}

impl EncodeStream for StreamEncoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => {
                if let Some(id) = id {
                    self.id = id.into_owned();
                }
                if let Some(model) = model {
                    self.model = model.into_owned();
                }
            }
            Event::Begin { choice, kind, .. } => self.begin(choice, kind, out),
            Event::Delta { choice, delta, .. } => self.delta(choice, delta, out),
            Event::Logprobs { choice, logprobs } => {
                self.end_part(choice, out);
                self.logprobs(choice, &logprobs, out);
            }
            Event::Finish { choice, finish } => {
                self.end_part(choice, out);
                if let Some(choice) = self.choice(choice) {
                    choice.finish = Some(finish.reason);
                }
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Failed(_) => {}
            Event::End => self.end(out),
        }
    }
}

/// Arguments without line breaks, which no event may have: where they are an object, such are only white space.
fn one_line(arguments: String) -> String {
    if arguments.contains(['\n', '\r']) && object_text(&arguments).is_some() {
        return arguments.replace(['\n', '\r'], " ");
    }
    arguments
}

fn owned(citation: Citation<'_>) -> Citation<'static> {
    let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Citation {
        url: own(citation.url),
        title: own(citation.title),
        quote: own(citation.quote),
        ..citation
    }
}
