//! Reading streams: <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use std::borrow::Cow;

use serde::Deserialize;

use crate::answer::Finish;
use crate::error::{Failure, Said};
use crate::event::{Delta, Event, PartKind};
use crate::json::{Object, Problem, Raw};
use crate::request::Content;
use crate::sse::Frame;
use crate::translate::DecodeStream;

use super::block;
use super::finish::{Counts, explanation, reason};

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    counts: Counts,
    /// How many parts have begun; blocks without a word in the model are none.
    parts: u32,
    open: Option<Open>,
    finished: bool,
    over: bool,
}

/// The block under way.
#[derive(Debug)]
struct Open {
    index: u64,
    part: u32,
    /// A call of which nothing has come: at its end it turns out to be without arguments.
    bare_call: bool,
}

/// The fields of all events.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<Raw<'a>>,
    #[serde(borrow)]
    content_block: Option<Raw<'a>>,
    #[serde(borrow)]
    delta: Option<Raw<'a>>,
    #[serde(borrow)]
    usage: Option<Raw<'a>>,
}

/// The fields of what is added to a block.
#[derive(Deserialize)]
struct Added<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    citation: Option<Raw<'a>>,
}

fn read<'a, T: Deserialize<'a>>(document: &'a str) -> Result<T, Problem> {
    serde_json::from_str(document).map_err(|error| {
        Problem::new(if error.is_data() {
            "is not an event of this dialect".to_owned()
        } else {
            format!("cannot be read as JSON (column {})", error.column())
        })
    })
}

impl DecodeStream for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem> {
        if self.over {
            return Ok(());
        }
        let fields: Fields<'_> = read(frame.data)?;
        match &*fields.kind {
            "content_block_delta" => self.add(&fields, emit).map_err(|p| p.at("delta")),
            "content_block_start" => self.begin(&fields, emit).map_err(|p| p.at("content_block")),
            "content_block_stop" => {
                self.close(emit);
                Ok(())
            }
            "message_start" => self.start(&fields, emit).map_err(|p| p.at("message")),
            "message_delta" => self.change(&fields, emit),
            "message_stop" => {
                self.close(emit);
                self.finish(Finish::from(reason(None)), emit);
                self.over = true;
                emit(Event::End);
                Ok(())
            }
            "error" => {
                self.over = true;
                let said = Said::read(frame.data.as_bytes());
                emit(Event::Failed(Failure::from(said)));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl StreamDecoder {
    fn start(
        &mut self,
        fields: &Fields<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        let mut message = match fields.message {
            Some(raw) => Object::of(raw)?,
            None => return Err(Problem::new("is missing")),
        };
        emit(Event::Start {
            id: message.text("id")?,
            model: message.text("model")?,
            created: None,
        });
        self.count(message.take("usage"), emit)
    }

    fn count(
        &mut self,
        usage: Option<Raw<'_>>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        if let Some(usage) = usage {
            self.counts.read(usage).map_err(|p| p.at("usage"))?;
            emit(Event::Usage(self.counts.usage()));
        }
        Ok(())
    }

    fn begin(
        &mut self,
        fields: &Fields<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        self.close(emit);
        let Some(raw) = fields.content_block else {
            return Err(Problem::new("is missing"));
        };
        let mut object = Object::of(raw)?;
        let kind = object.required_text("type")?;
        let Some(content) = block::decode(&kind, &mut object)? else {
            return Ok(());
        };
        let part = self.parts;
        self.parts = part.saturating_add(1);
        let kind = match &content {
            Content::Reasoning { .. } => PartKind::Reasoning { id: None },
            Content::Redacted { data } => PartKind::Redacted {
                data: Cow::Borrowed(data),
            },
            Content::ToolCall { id, name, .. } => PartKind::ToolCall {
                id: Cow::Borrowed(id),
                name: Cow::Borrowed(name),
            },
            _ => PartKind::Text,
        };
        emit(Event::Begin {
            choice: 0,
            part,
            kind,
        });
        let mut delta = |delta| {
            emit(Event::Delta {
                choice: 0,
                part,
                delta,
            });
        };
        let mut bare_call = false;
        match content {
            Content::Text { text, citations } => {
                if !text.is_empty() {
                    delta(Delta::Text(text));
                }
                for citation in citations {
                    delta(Delta::Citation(citation));
                }
            }
            Content::Reasoning {
                text, signature, ..
            } => {
                if !text.is_empty() {
                    delta(Delta::Text(text));
                }
                if let Some(signature) = signature {
                    delta(Delta::Signature(signature));
                }
            }
            Content::ToolCall { arguments, .. } => {
                let inside = arguments
                    .strip_prefix('{')
                    .and_then(|r| r.strip_suffix('}'));
                bare_call = inside.is_some_and(|inside| inside.trim_ascii().is_empty());
                if !bare_call {
                    delta(Delta::Arguments(arguments));
                }
            }
            _ => {}
        }
        self.open = Some(Open {
            index: fields.index.unwrap_or(0),
            part,
            bare_call,
        });
        Ok(())
    }

    fn add(&mut self, fields: &Fields<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        if open.index != fields.index.unwrap_or(0) {
            return Ok(());
        }
        let Some(raw) = fields.delta else {
            return Err(Problem::new("is missing"));
        };
        let added: Added<'_> = read(raw.get())?;
        let delta = match &*added.kind {
            "text_delta" => added.text.map(Delta::Text),
            "thinking_delta" => added.thinking.map(Delta::Text),
            "input_json_delta" => added.partial_json.map(Delta::Arguments),
            "signature_delta" => added.signature.map(Delta::Signature),
            "citations_delta" => match added.citation {
                Some(raw) => Some(Delta::Citation(block::citation(raw)?)),
                None => None,
            },
            _ => None,
        };
        let delta = delta.filter(|delta| match delta {
            Delta::Text(text) | Delta::Arguments(text) | Delta::Signature(text) => !text.is_empty(),
            Delta::Citation(_) => true,
        });
        if let Some(delta) = delta {
            open.bare_call = false;
            emit(Event::Delta {
                choice: 0,
                part: open.part,
                delta,
            });
        }
        Ok(())
    }

    fn close(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(open) = self.open.take()
            && open.bare_call
        {
            emit(Event::Delta {
                choice: 0,
                part: open.part,
                delta: Delta::Arguments(Cow::Borrowed("{}")),
            });
        }
    }

    fn change(
        &mut self,
        fields: &Fields<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        if let Some(raw) = fields.delta {
            let mut delta = Object::of(raw).map_err(|p| p.at("delta"))?;
            let stop_reason = delta.text("stop_reason").map_err(|p| p.at("delta"))?;
            if let Some(text) = explanation(&mut delta).map_err(|p| p.at("delta"))? {
                self.explain(text, emit);
            }
            if let Some(stop_reason) = stop_reason {
                let finish = Finish {
                    reason: reason(Some(&stop_reason)),
                    stop_sequence: delta.text("stop_sequence").map_err(|p| p.at("delta"))?,
                };
                self.finish(finish, emit);
            }
        }
        self.count(fields.usage, emit)
    }

    /// Why the model declined, as a part of its own.
    fn explain(&mut self, text: Cow<'_, str>, emit: &mut dyn FnMut(Event<'_>)) {
        if self.finished {
            return;
        }
        self.close(emit);
        let part = self.parts;
        self.parts = part.saturating_add(1);
        emit(Event::Begin {
            choice: 0,
            part,
            kind: PartKind::Refusal,
        });
        emit(Event::Delta {
            choice: 0,
            part,
            delta: Delta::Text(text),
        });
    }

    fn finish(&mut self, finish: Finish<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.finished, true) {
            self.close(emit);
            emit(Event::Finish { choice: 0, finish });
        }
    }
}
