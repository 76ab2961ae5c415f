//! Writing streams: <https://platform.claude.com/docs/en/build-with-claude/streaming>.
//!
//! `message_delta` waits for the end, since other providers tell the usage after the reason. `message_start` cannot
//! wait and counts nothing; clients replace its counts by those of `message_delta`.

use crate::answer::{Finish, Usage};
use crate::dialect::Reply;
use crate::event::{Delta, Event, PartKind};
use crate::json::Writer;
use crate::sse::event as sse_event;
use crate::translate::EncodeStream;

use super::block::{self, OF_CALL};
use super::finish::{Had, write_finish, write_usage};

/// Writes a stream: the first choice, which is the only one.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    model: String,
    started: bool,
    /// The next block.
    index: u64,
    open: Option<Open>,
    had: Had,
    finish: Finish<'static>,
    usage: Option<Usage>,
}

/// The block under way.
#[derive(Debug)]
struct Open {
    part: u32,
    kind: Kind,
    /// Of a call; written behind it.
    signature: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Sealed,
    Call,
}

impl StreamEncoder {
    /// An encoder for this client.
    #[must_use]
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            id: reply.id.to_owned(),
            model: reply.model.to_owned(),
            started: false,
            index: 0,
            open: None,
            had: Had::default(),
            finish: Finish::default(),
            usage: None,
        }
    }

    fn start(&mut self, id: Option<&str>, model: Option<&str>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        named(out, "message_start", |writer| {
            writer.key("message").open();
            match id {
                Some(id) => writer.text_field("id", id),
                None => writer.text_field("id", &format!("msg_{}", self.id)),
            };
            writer.text_field("type", "message");
            writer.text_field("role", "assistant");
            writer.text_field("model", model.unwrap_or(&self.model));
            writer.key("content").open_array().close_array();
            writer.key("stop_reason").null();
            writer.key("stop_sequence").null();
            write_usage(None, None, writer);
            writer.close();
        });
    }

    fn begin(&mut self, part: u32, kind: &PartKind<'_>, out: &mut Vec<u8>) {
        self.close(out);
        let kind = match kind {
            PartKind::Text | PartKind::Refusal => {
                self.had.refusal |= *kind == PartKind::Refusal;
                self.block(out, |writer| {
                    writer.open().text_field("type", "text");
                    writer.text_field("text", "").close();
                });
                Kind::Text
            }
            PartKind::Reasoning { .. } => {
                self.block(out, |writer| block::write_thinking("", "", writer));
                Kind::Thinking
            }
            PartKind::Redacted { data } => {
                self.block(out, |writer| block::write_redacted(data, writer));
                Kind::Sealed
            }
            PartKind::ToolCall { id, name } => {
                self.had.call = true;
                self.block(out, |writer| {
                    block::open_call(id, name, writer);
                    writer.open().close().close();
                });
                Kind::Call
            }
        };
        self.open = Some(Open {
            part,
            kind,
            signature: String::new(),
        });
    }

    fn block(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer<'_>)) {
        named(out, "content_block_start", |writer| {
            writer.key("index").integer(self.index);
            writer.key("content_block");
            write(writer);
        });
    }

    fn add(&mut self, part: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(open) = self.open.as_mut().filter(|open| open.part == part) else {
            return;
        };
        let head: &[u8] = match (open.kind, delta) {
            (Kind::Text, Delta::Text(_)) => br#"{"type":"text_delta","text":"#,
            (Kind::Thinking, Delta::Text(_)) => br#"{"type":"thinking_delta","thinking":"#,
            (Kind::Thinking, Delta::Signature(_)) => br#"{"type":"signature_delta","signature":"#,
            (Kind::Call, Delta::Arguments(_)) => br#"{"type":"input_json_delta","partial_json":"#,
            (Kind::Text, Delta::Citation(_)) => br#"{"type":"citations_delta","citation":"#,
            (Kind::Call, Delta::Signature(signature)) => {
                open.signature.push_str(signature);
                return;
            }
            _ => return,
        };
        added(self.index, head, out, |writer| match delta {
            Delta::Text(text) | Delta::Arguments(text) | Delta::Signature(text) => {
                writer.text(text);
            }
            Delta::Citation(citation) => block::write_citation(citation, writer),
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else {
            return;
        };
        self.stop(out);
        if !open.signature.is_empty() {
            self.block(out, |writer| block::write_thinking("", "", writer));
            let head = br#"{"type":"signature_delta","signature":"#;
            added(self.index, head, out, |writer| {
                writer.text(&format!("{OF_CALL}{}", open.signature));
            });
            self.stop(out);
        }
    }

    fn stop(&mut self, out: &mut Vec<u8>) {
        named(out, "content_block_stop", |writer| {
            writer.key("index").integer(self.index);
        });
        self.index = self.index.saturating_add(1);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        named(out, "message_delta", |writer| {
            writer.key("delta").open();
            write_finish(&self.finish, self.had, writer);
            writer.close();
            write_usage(self.usage, None, writer);
        });
        named(out, "message_stop", |_| {});
    }
}

/// An event with its type.
fn named(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Writer<'_>)) {
    sse_event(out, Some(name), |out| {
        let mut writer = Writer::new(out);
        writer.open().text_field("type", name);
        write(&mut writer);
        writer.close();
    });
}

/// A `content_block_delta`, which is most of every stream: its constant parts are copied as they are.
fn added(index: u64, head: &[u8], out: &mut Vec<u8>, write: impl FnOnce(&mut Writer<'_>)) {
    out.extend_from_slice(
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
    );
    Writer::new(out).integer(index);
    out.extend_from_slice(b",\"delta\":");
    out.extend_from_slice(head);
    write(&mut Writer::new(out));
    out.extend_from_slice(b"}}\n\n");
}

impl EncodeStream for StreamEncoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if let Event::Failed(_) = event {
            return;
        }
        match &event {
            Event::Start { id, model, .. } => {
                return self.start(id.as_deref(), model.as_deref(), out);
            }
            _ => self.start(None, None, out),
        }
        match event {
            Event::Begin {
                choice: 0,
                part,
                kind,
            } => self.begin(part, &kind, out),
            Event::Delta {
                choice: 0,
                part,
                delta,
            } => self.add(part, &delta, out),
            Event::Finish { choice: 0, finish } => {
                self.close(out);
                self.finish = Finish {
                    reason: finish.reason,
                    stop_sequence: finish.stop_sequence.map(|text| text.into_owned().into()),
                };
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::End => self.end(out),
            _ => {}
        }
    }
}
