//! Streams: <https://docs.cohere.com/docs/streaming>.

use std::borrow::Cow;

use crate::answer::Finish;
use crate::dialect::Reply;
use crate::error::{Failure, Said};
use crate::event::{Delta, Event, PartKind};
use crate::json::{Object, Problem, Writer};
use crate::sse::{Frame, event as sse_event};
use crate::translate::{DecodeStream, EncodeStream};

use super::answer::{citations, is_of_text, usage, write_citation, write_usage};
use super::decode::tool_call;
use super::{reason, reason_word};
use crate::request::Content;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    /// Parts begun so far.
    parts: u32,
    /// What the part under way is; none between contents, which begin with their first word.
    open: Option<Open>,
    /// The last part that is text, to which citations belong.
    text: Option<u32>,
}

impl StreamDecoder {
    fn begin(&mut self, open: Open, kind: PartKind<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        self.open = Some(open);
        if open == Open::Text {
            self.text = Some(part);
        }
        emit(Event::Begin {
            choice: 0,
            part,
            kind,
        });
    }

    fn delta(&self, delta: Delta<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(part) = self.parts.checked_sub(1) {
            emit(Event::Delta {
                choice: 0,
                part,
                delta,
            });
        }
    }

    /// More of a text, thought or plan, which begins with it unless it has begun.
    fn say(&mut self, open: Open, text: Cow<'_, str>, emit: &mut dyn FnMut(Event<'_>)) {
        if text.is_empty() {
            return;
        }
        if self.open != Some(open) {
            let kind = match open {
                Open::Text => PartKind::Text,
                Open::Thinking | Open::Plan | Open::Call => PartKind::Reasoning { id: None },
            };
            self.begin(open, kind, emit);
        }
        self.delta(Delta::Text(text), emit);
    }

    fn content(
        &mut self,
        mut content: Object<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        if let Some(thought) = content.text("thinking")? {
            self.say(Open::Thinking, thought, emit);
        }
        if let Some(text) = content.text("text")? {
            self.say(Open::Text, text, emit);
        }
        Ok(())
    }

    fn citation(
        &self,
        mut object: Object<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        if let Some(part) = self
            .text
            .filter(|_| is_of_text(&mut object).unwrap_or(false))
        {
            citations(object, |citation| {
                emit(Event::Delta {
                    choice: 0,
                    part,
                    delta: Delta::Citation(citation),
                });
            })?;
        }
        Ok(())
    }
}

impl DecodeStream for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem> {
        if frame.data == "[DONE]" || frame.data.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut object = Object::parse(frame.data)?;
        let kind = object.text("type")?.unwrap_or(Cow::Borrowed(frame.event));
        let mut delta = object.object("delta")?;
        let mut message = match &mut delta {
            Some(delta) => delta.object("message")?,
            None => None,
        };
        match kind.as_ref() {
            "message-start" => emit(Event::Start {
                id: object.text("id")?,
                model: None,
                created: None,
            }),
            "content-start" | "content-delta" => {
                if kind == "content-start" {
                    self.open = None;
                }
                if let Some(message) = &mut message
                    && let Some(content) = message.object("content")?
                {
                    self.content(content, emit)?;
                }
            }
            "tool-plan-delta" => {
                if let Some(message) = &mut message
                    && let Some(plan) = message.text("tool_plan")?
                {
                    self.say(Open::Plan, plan, emit);
                }
            }
            "tool-call-start" => {
                if let Some(message) = &mut message
                    && let Some(raw) = message.take("tool_calls")
                    && let Content::ToolCall {
                        id,
                        name,
                        arguments,
                        ..
                    } = tool_call(raw)?
                {
                    self.begin(Open::Call, PartKind::ToolCall { id, name }, emit);
                    if !arguments.is_empty() {
                        self.delta(Delta::Arguments(arguments), emit);
                    }
                }
            }
            "tool-call-delta" if self.open == Some(Open::Call) => {
                if let Some(message) = &mut message
                    && let Some(mut call) = message.object("tool_calls")?
                    && let Some(mut function) = call.object("function")?
                    && let Some(arguments) = function.text("arguments")?
                {
                    self.delta(Delta::Arguments(arguments), emit);
                }
            }
            "citation-start" => {
                if let Some(message) = &mut message
                    && let Some(object) = message.object("citations")?
                {
                    self.citation(object, emit)?;
                }
            }
            "message-end" => self.end(delta, emit)?,
            "error" => {
                let said = Said::read(frame.data.as_bytes());
                emit(Event::Failed(Failure::from(said)));
            }
            _ => {}
        }
        Ok(())
    }
}

impl StreamDecoder {
    fn end(
        &self,
        delta: Option<Object<'_>>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        let Some(mut delta) = delta else {
            return Err(Problem::new("is missing").at("delta"));
        };
        let word = delta.text("finish_reason")?.unwrap_or_default();
        let error = delta.text("error")?;
        if error.is_some() || matches!(word.as_ref(), "ERROR" | "TIMEOUT") {
            let mut failure = Failure::from(Said {
                message: error.map(Cow::into_owned),
                ..Said::default()
            });
            if word == "TIMEOUT" {
                failure.kind = crate::error::FailureKind::Timeout;
            }
            emit(Event::Failed(failure));
            return Ok(());
        }
        emit(Event::Finish {
            choice: 0,
            finish: Finish::from(reason(&word)),
        });
        if let Some(object) = delta.object("usage")? {
            emit(Event::Usage(usage(object)?));
        }
        emit(Event::End);
        Ok(())
    }
}

/// Writes a stream.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    /// The kind of the part under way.
    open: Option<Open>,
    /// Number of the content or call under way; both are counted for themselves.
    contents: u64,
    calls: u64,
    citations: u64,
    finish: Option<&'static str>,
    usage: Option<crate::answer::Usage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    /// It has no beginning or end of its own, and is not written.
    Plan,
    Call,
}

impl StreamEncoder {
    /// An encoder for this client.
    #[must_use]
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            id: reply.id.to_owned(),
            open: None,
            contents: 0,
            calls: 0,
            citations: 0,
            finish: None,
            usage: None,
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let (kind, index) = match self.open.take() {
            None => return,
            Some(Open::Call) => ("tool-call-end", self.calls),
            Some(Open::Text | Open::Thinking | Open::Plan) => ("content-end", self.contents),
        };
        write(kind, Some(index), out, |_| {});
        if kind == "content-end" {
            self.contents += 1;
        } else {
            self.calls += 1;
        }
    }

    fn begin(&mut self, kind: &PartKind<'_>, out: &mut Vec<u8>) {
        self.close(out);
        match kind {
            PartKind::Text | PartKind::Refusal => {
                self.open = Some(Open::Text);
                write("content-start", Some(self.contents), out, |writer| {
                    message(writer, "content", |writer| {
                        writer.text_field("type", "text").text_field("text", "");
                    });
                });
            }
            PartKind::Reasoning { .. } => {
                self.open = Some(Open::Thinking);
                write("content-start", Some(self.contents), out, |writer| {
                    message(writer, "content", |writer| {
                        writer
                            .text_field("type", "thinking")
                            .text_field("thinking", "");
                    });
                });
            }
            PartKind::ToolCall { id, name } => {
                self.open = Some(Open::Call);
                write("tool-call-start", Some(self.calls), out, |writer| {
                    message(writer, "tool_calls", |writer| {
                        writer
                            .text_field("id", id)
                            .text_field("type", "function")
                            .key("function")
                            .open()
                            .text_field("name", name)
                            .text_field("arguments", "")
                            .close();
                    });
                });
            }
            PartKind::Redacted { .. } => {}
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match (delta, self.open) {
            (Delta::Text(text), Some(open @ (Open::Text | Open::Thinking))) => {
                let field = if open == Open::Text {
                    "text"
                } else {
                    "thinking"
                };
                write("content-delta", Some(self.contents), out, |writer| {
                    message(writer, "content", |writer| {
                        writer.text_field(field, text);
                    });
                });
            }
            (Delta::Arguments(text), Some(Open::Call)) => {
                write("tool-call-delta", Some(self.calls), out, |writer| {
                    message(writer, "tool_calls", |writer| {
                        writer
                            .key("function")
                            .open()
                            .text_field("arguments", text)
                            .close();
                    });
                });
            }
            (Delta::Citation(citation), _) => {
                write("citation-start", Some(self.citations), out, |writer| {
                    writer.key("delta").open().key("message").open();
                    writer.key("citations");
                    write_citation(citation, writer);
                    writer.close().close().close();
                });
                write("citation-end", Some(self.citations), out, |_| {});
                self.citations += 1;
            }
            _ => {}
        }
    }
}

impl EncodeStream for StreamEncoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                let id = id.map_or(Cow::Borrowed(self.id.as_str()), |id| id);
                sse_event(out, Some("message-start"), |out| {
                    let mut writer = Writer::new(out);
                    writer
                        .open()
                        .text_field("id", &id)
                        .text_field("type", "message-start");
                    writer.key("delta").open().key("message").open();
                    writer.text_field("role", "assistant");
                    for field in ["content", "tool_calls", "citations"] {
                        writer.key(field).open_array().close_array();
                    }
                    writer.text_field("tool_plan", "").close().close().close();
                });
            }
            Event::Begin {
                choice: 0, kind, ..
            } => self.begin(&kind, out),
            Event::Delta {
                choice: 0, delta, ..
            } => self.delta(&delta, out),
            Event::Finish { choice: 0, finish } => {
                self.close(out);
                self.finish = Some(reason_word(finish.reason));
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::End => {
                self.close(out);
                let (finish, usage) = (self.finish.unwrap_or("COMPLETE"), self.usage);
                write("message-end", None, out, |writer| {
                    writer
                        .key("delta")
                        .open()
                        .text_field("finish_reason", finish);
                    if let Some(usage) = &usage {
                        write_usage(usage, writer);
                    }
                    writer.close();
                });
            }
            _ => {}
        }
    }
}

fn write(
    kind: &'static str,
    index: Option<u64>,
    out: &mut Vec<u8>,
    more: impl FnOnce(&mut Writer<'_>),
) {
    sse_event(out, Some(kind), |out| {
        let mut writer = Writer::new(out);
        writer
            .open()
            .text_field("type", kind)
            .integer_field_if("index", index);
        more(&mut writer);
        writer.close();
    });
}

fn message(writer: &mut Writer<'_>, field: &str, write: impl FnOnce(&mut Writer<'_>)) {
    writer
        .key("delta")
        .open()
        .key("message")
        .open()
        .key(field)
        .open();
    write(writer);
    writer.close().close().close();
}
