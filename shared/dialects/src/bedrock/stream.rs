//! Streams: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>.
//!
//! Only calls have a beginning of their own; a text or thought begins with its first delta. `metadata` is the last event; a
//! body that ends in order before it, after `messageStop`, is complete too.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{Finish, Usage};
use crate::dialect::Reply;
use crate::error::{Failure, Said};
use crate::event::{Delta, Event, PartKind};
use crate::json::{Object, Problem, Raw, Writer, text};
use crate::sse::Frame;
use crate::translate::{DecodeStream, EncodeStream};

use super::answer::{stop_sequence, usage, write_metrics, write_stop_sequence, write_usage};
use super::content::{call_id, citation, write_citation};
use super::{framing, reason, reason_word};

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    /// Parts begun so far.
    parts: u32,
    /// The block under way: its index, and what it is.
    open: Option<(u64, Kind)>,
    /// `messageStop` has come.
    stopped: bool,
    /// So has `metadata`.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thought,
    Call,
    /// A tool of the provider's own.
    PassedOver,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta<'a> {
    #[serde(default)]
    content_block_index: u64,
    #[serde(borrow)]
    delta: Option<DeltaBody<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeltaBody<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Thought<'a>>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolUse<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thought<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    redacted_content: Option<&'a RawValue>,
}

impl StreamDecoder {
    fn begin(&mut self, kind: PartKind<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        emit(Event::Begin {
            choice: 0,
            part: self.parts,
            kind,
        });
        self.parts = self.parts.saturating_add(1);
    }

    /// Emits a delta of the block `index`, which begins with it unless it has begun.
    fn delta(&mut self, index: u64, kind: Kind, delta: Delta<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if self.open != Some((index, kind)) {
            let part = match kind {
                Kind::Text => PartKind::Text,
                Kind::Thought => PartKind::Reasoning { id: None },
                // Input of a call that has not begun, or of none.
                Kind::Call | Kind::PassedOver => return,
            };
            self.open = Some((index, kind));
            self.begin(part, emit);
        }
        if let Some(part) = self.parts.checked_sub(1) {
            emit(Event::Delta {
                choice: 0,
                part,
                delta,
            });
        }
    }

    fn block_start(
        &mut self,
        mut object: Object<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        let index = object.integer("contentBlockIndex")?.unwrap_or(0);
        let mut start = object.object("start")?;
        let call = match &mut start {
            Some(start) => start.object("toolUse").map_err(|p| p.at("start"))?,
            None => None,
        };
        let Some(mut call) = call else {
            return Ok(());
        };
        if call.take("type").is_some() {
            self.open = Some((index, Kind::PassedOver));
            return Ok(());
        }
        let inside = |problem: Problem| problem.at("toolUse").at("start");
        let id = call.required_text("toolUseId").map_err(inside)?;
        let name = call.required_text("name").map_err(inside)?;
        self.open = Some((index, Kind::Call));
        self.begin(PartKind::ToolCall { id, name }, emit);
        Ok(())
    }

    fn block_delta(&mut self, data: &str, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem> {
        let event: BlockDelta<'_> = serde_json::from_str(data)
            .map_err(|_| Problem::new("has a contentBlockDelta that makes no sense"))?;
        let index = event.content_block_index;
        let Some(body) = event.delta else {
            return Ok(());
        };
        let said = |raw: Option<Raw<'_>>| raw.is_some_and(|raw| raw.get() != "\"\"");
        if said(body.text)
            && let Some(raw) = body.text
        {
            let text = text(raw).map_err(|p| p.at("text").at("delta"))?;
            self.delta(index, Kind::Text, Delta::Text(text), emit);
        }
        if let Some(ToolUse { input: Some(raw) }) = body.tool_use
            && said(Some(raw))
        {
            let input = text(raw).map_err(|p| p.at("input").at("toolUse").at("delta"))?;
            self.delta(index, Kind::Call, Delta::Arguments(input), emit);
        }
        if let Some(thought) = body.reasoning_content {
            self.thought(index, &thought, emit)
                .map_err(|p| p.at("reasoningContent").at("delta"))?;
        }
        if let Some(raw) = body.citation {
            let citation = citation(raw).map_err(|p| p.at("citation").at("delta"))?;
            self.delta(index, Kind::Text, Delta::Citation(citation), emit);
        }
        Ok(())
    }

    fn thought(
        &mut self,
        index: u64,
        thought: &Thought<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Problem> {
        if let Some(raw) = thought.text.filter(|raw| raw.get() != "\"\"") {
            let text = text(raw).map_err(|p| p.at("text"))?;
            self.delta(index, Kind::Thought, Delta::Text(text), emit);
        }
        if let Some(raw) = thought.signature.filter(|raw| raw.get() != "\"\"") {
            let signature = text(raw).map_err(|p| p.at("signature"))?;
            self.delta(index, Kind::Thought, Delta::Signature(signature), emit);
        }
        if let Some(raw) = thought.redacted_content {
            let data = text(raw).map_err(|p| p.at("redactedContent"))?;
            self.open = None;
            self.begin(PartKind::Redacted { data }, emit);
        }
        Ok(())
    }
}

impl DecodeStream for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem> {
        if frame.exception {
            let mut said = Said::read(frame.data.as_bytes());
            said.code = Some(frame.event.to_owned());
            emit(Event::Failed(Failure::from(said)));
            return Ok(());
        }
        match frame.event {
            "contentBlockDelta" => self.block_delta(frame.data, emit)?,
            "messageStart" => emit(Event::Start {
                id: None,
                model: None,
                created: None,
            }),
            "contentBlockStart" => self.block_start(Object::parse(frame.data)?, emit)?,
            "contentBlockStop" => self.open = None,
            "messageStop" => {
                let mut object = Object::parse(frame.data)?;
                let word = object.text("stopReason")?.unwrap_or_default();
                let mut finish = Finish::from(reason(&word));
                if let Some(fields) = object.take("additionalModelResponseFields") {
                    finish.stop_sequence = stop_sequence(fields);
                }
                self.stopped = true;
                emit(Event::Finish { choice: 0, finish });
            }
            "metadata" => {
                if let Some(counts) = Object::parse(frame.data)?.object("usage")? {
                    emit(Event::Usage(usage(counts).map_err(|p| p.at("usage"))?));
                }
                if self.stopped && !self.ended {
                    self.ended = true;
                    emit(Event::End);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if self.stopped && !self.ended {
            self.ended = true;
            emit(Event::End);
        }
    }
}

/// Writes a stream, as event-stream messages.
#[derive(Debug)]
pub struct StreamEncoder {
    /// The index of the block under way, or of the next.
    index: u64,
    /// Whether a block is under way.
    open: bool,
    thought: bool,
    usage: Option<Usage>,
    /// A payload, while it is written.
    payload: Vec<u8>,
}

impl StreamEncoder {
    /// An encoder for this client.
    #[must_use]
    pub fn new(_reply: &Reply<'_>) -> Self {
        Self {
            index: 0,
            open: false,
            thought: false,
            usage: None,
            payload: Vec::with_capacity(256),
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.open) {
            self.write("contentBlockStop", Some(self.index), out, |_| {});
            self.index += 1;
        }
    }

    fn begin(&mut self, kind: &PartKind<'_>, out: &mut Vec<u8>) {
        self.close(out);
        self.open = true;
        self.thought = matches!(kind, PartKind::Reasoning { .. });
        match kind {
            PartKind::ToolCall { id, name } => {
                self.write("contentBlockStart", Some(self.index), out, |writer| {
                    writer.key("start").open().key("toolUse").open();
                    writer
                        .text_field("toolUseId", &call_id(id))
                        .text_field("name", name)
                        .close()
                        .close();
                });
            }
            PartKind::Redacted { data } => self.delta(out, |writer| {
                writer.key("reasoningContent").open();
                writer.text_field("redactedContent", data).close();
            }),
            PartKind::Text | PartKind::Refusal | PartKind::Reasoning { .. } => {}
        }
    }

    fn delta(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer<'_>)) {
        self.write("contentBlockDelta", Some(self.index), out, |writer| {
            writer.key("delta").open();
            write(writer);
            writer.close();
        });
    }

    /// Appends one event; `write` writes its fields.
    fn write(
        &mut self,
        kind: &str,
        index: Option<u64>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        self.payload.clear();
        let mut writer = Writer::new(&mut self.payload);
        writer.open().integer_field_if("contentBlockIndex", index);
        write(&mut writer);
        writer.close();
        framing::write(out, kind, false, &self.payload);
    }
}

impl EncodeStream for StreamEncoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => self.write("messageStart", None, out, |writer| {
                writer.text_field("role", "assistant");
            }),
            Event::Begin {
                choice: 0, kind, ..
            } => self.begin(&kind, out),
            Event::Delta {
                choice: 0, delta, ..
            } => match delta {
                Delta::Text(text) if self.thought => self.delta(out, |writer| {
                    writer.key("reasoningContent").open();
                    writer.text_field("text", &text).close();
                }),
                Delta::Text(text) => self.delta(out, |writer| {
                    writer.text_field("text", &text);
                }),
                Delta::Arguments(input) => self.delta(out, |writer| {
                    writer.key("toolUse").open();
                    writer.text_field("input", &input).close();
                }),
                Delta::Signature(signature) if self.thought => self.delta(out, |writer| {
                    writer.key("reasoningContent").open();
                    writer.text_field("signature", &signature).close();
                }),
                // A call's own signature has no place here.
                Delta::Signature(_) => {}
                Delta::Citation(citation) => self.delta(out, |writer| {
                    writer.key("citation");
                    write_citation(&citation, writer);
                }),
            },
            Event::Finish { choice: 0, finish } => {
                self.close(out);
                self.write("messageStop", None, out, |writer| {
                    writer.text_field("stopReason", reason_word(finish.reason));
                    write_stop_sequence(&finish, writer);
                });
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::End => {
                let usage = self.usage;
                self.write("metadata", None, out, |writer| {
                    if let Some(usage) = &usage {
                        write_usage(usage, writer);
                    }
                    write_metrics(writer);
                });
            }
            Event::Begin { .. }
            | Event::Delta { .. }
            | Event::Finish { .. }
            | Event::Logprobs { .. }
            | Event::Failed(_) => {}
        }
    }
}
