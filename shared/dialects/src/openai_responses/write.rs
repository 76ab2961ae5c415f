//! Writes streams: <https://platform.openai.com/docs/api-reference/responses-streaming>.
//!
//! Items and their parts are opened, filled by deltas and told whole when they end, which is when the next one begins;
//! the last event has the whole response. Where a text is from is told at its end.

use std::borrow::Cow;

use super::items::{self, COMPLETED, Item, Said};
use super::reasoning::{PROOF, SEALED};
use super::reply::{Echo, Response, Status, response_id};
use crate::answer::{Citation, Reason, Usage};
use crate::dialect::Reply;
use crate::event::{Delta, Event, PartKind};
use crate::json::Writer;
use crate::sse::event as sse_event;
use crate::translate::EncodeStream;

/// How an item is until it ends.
const IN_PROGRESS: &str = "in_progress";

/// Writes a stream.
#[derive(Debug)]
pub struct StreamEncoder {
    echo: Echo,
    /// What to make ids of.
    base: String,
    id: String,
    model: String,
    created: u64,
    started: bool,
    wire: Wire,
    /// The items so far.
    items: Vec<Item<'static>>,
    /// Whether the last one is still under way.
    open: bool,
    /// The proof of the call under way.
    proof: String,
    reason: Reason,
    refused: bool,
    usage: Option<Usage>,
}

impl StreamEncoder {
    /// An encoder for this client.
    #[must_use]
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            echo: Echo::new(reply.request),
            base: reply.id.to_owned(),
            id: response_id(None, reply.id),
            model: reply.model.to_owned(),
            created: reply.created,
            started: false,
            wire: Wire::default(),
            items: Vec::new(),
            open: false,
            proof: String::new(),
            reason: Reason::Stop,
            refused: false,
            usage: None,
        }
    }
}

impl EncodeStream for StreamEncoder {
    fn next_number(&self) -> u64 {
        self.wire.sequence
    }

    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created } => {
                if let Some(id) = id {
                    self.id = response_id(Some(&id), &self.base);
                }
                if let Some(model) = model {
                    self.model = model.into_owned();
                }
                self.created = created.unwrap_or(self.created);
                self.start(out);
            }
            Event::Begin {
                choice: 0, kind, ..
            } => {
                self.start(out);
                self.begin(kind, out);
            }
            Event::Delta {
                choice: 0, delta, ..
            } => self.delta(delta, out),
            Event::Logprobs {
                choice: 0,
                logprobs,
            } => items::add_logprobs(&mut self.items, logprobs.as_str()),
            Event::Finish { choice: 0, finish } => {
                self.start(out);
                self.reason = finish.reason;
                if let Status::Incomplete(_) = Status::of(finish.reason, self.refused) {
                    items::cut_off(&mut self.items);
                }
                self.close(out);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::End => {
                self.start(out);
                self.close(out);
                self.whole(Status::of(self.reason, self.refused), None, out);
            }
            // An error is told by whoever knows the request; of several choices there is only the first.
            Event::Failed(_)
            | Event::Begin { .. }
            | Event::Delta { .. }
            | Event::Logprobs { .. }
            | Event::Finish { .. } => {}
        }
    }
}

/// Numbers the events.
#[derive(Debug, Default)]
struct Wire {
    /// The number of the next one.
    sequence: u64,
}

impl Wire {
    /// Writes an event: its type, its number, and the fields that `fields` writes.
    fn tell(&mut self, out: &mut Vec<u8>, kind: &str, fields: impl FnOnce(&mut Writer<'_>)) {
        let number = self.sequence;
        self.sequence += 1;
        sse_event(out, Some(kind), |out| {
            let mut writer = Writer::new(out);
            writer
                .open()
                .text_field("type", kind)
                .key("sequence_number")
                .integer(number);
            fields(&mut writer);
            writer.close();
        });
    }
}

impl StreamEncoder {
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.whole(Status::InProgress, Some("response.created"), out);
        self.whole(Status::InProgress, None, out);
    }

    /// An event with the whole response.
    fn whole(&mut self, status: Status, kind: Option<&str>, out: &mut Vec<u8>) {
        let kind = kind.unwrap_or_else(|| status.event());
        self.wire.tell(out, kind, |writer| {
            writer.key("response");
            Response {
                echo: &self.echo,
                id: &self.id,
                model: &self.model,
                created: self.created,
                status,
                items: &self.items,
                usage: self.usage.as_ref(),
                service_tier: None,
            }
            .write(writer);
        });
    }

    fn begin(&mut self, kind: PartKind<'_>, out: &mut Vec<u8>) {
        if matches!(kind, PartKind::Text | PartKind::Refusal) {
            return self.say(kind == PartKind::Refusal, out);
        }
        self.close(out);
        let item = match kind {
            PartKind::ToolCall { id, name } => Item::Call {
                id: self.next_id("fc_"),
                status: IN_PROGRESS,
                call: id.into_owned().into(),
                name: name.into_owned().into(),
                arguments: "".into(),
            },
            PartKind::Redacted { data } => self.thought(SEALED, Some(data.into_owned())),
            PartKind::Reasoning { id: Some(id) } => Item::Reasoning {
                id: id.into_owned().into(),
                text: "".into(),
                seal: None,
            },
            _ => self.thought("rs_", None),
        };
        self.add(item, out);
    }

    fn next_id(&self, kind: &str) -> String {
        items::item_id(kind, &self.base, self.items.len())
    }

    fn thought(&self, kind: &str, seal: Option<String>) -> Item<'static> {
        Item::Reasoning {
            id: self.next_id(kind).into(),
            text: "".into(),
            seal: seal.map(Cow::Owned),
        }
    }

    fn add(&mut self, item: Item<'static>, out: &mut Vec<u8>) {
        let index = self.items.len() as u64;
        self.wire.tell(out, "response.output_item.added", |writer| {
            writer.key("output_index").integer(index).key("item");
            item.write(writer);
        });
        self.items.push(item);
        self.open = true;
    }

    /// A part of a message begins, in the message under way or in a new one.
    fn say(&mut self, refusal: bool, out: &mut Vec<u8>) {
        if self.open && matches!(self.items.last(), Some(Item::Message { .. })) {
            self.end_part(out);
        } else {
            self.close(out);
            let message = Item::Message {
                id: self.next_id("msg_"),
                status: IN_PROGRESS,
                parts: Vec::new(),
            };
            self.add(message, out);
        }
        self.refused |= refusal;
        let index = self.index();
        if let Some(Item::Message { id, parts, .. }) = self.items.last_mut() {
            let part = Said {
                refusal,
                text: "".into(),
                citations: Cow::Borrowed(&[]),
                logprobs: None,
            };
            let at = ("content_index", parts.len());
            self.wire
                .tell(out, "response.content_part.added", |writer| {
                    place(writer, id, index, Some(at));
                    writer.key("part");
                    part.write(writer);
                });
            parts.push(part);
        }
    }

    /// The place of the last item.
    fn index(&self) -> usize {
        self.items.len().saturating_sub(1)
    }

    fn delta(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        let index = self.index();
        if !self.open {
            return;
        }
        match (self.items.last_mut(), delta) {
            (Some(Item::Message { id, parts, .. }), Delta::Text(more)) => {
                let at = ("content_index", parts.len().saturating_sub(1));
                let Some(part) = parts.last_mut() else {
                    return;
                };
                let kind = if part.refusal {
                    "response.refusal.delta"
                } else {
                    "response.output_text.delta"
                };
                self.wire.tell(out, kind, |writer| {
                    place(writer, id, index, Some(at));
                    writer.text_field("delta", &more);
                    if !part.refusal {
                        writer.key("logprobs").open_array().close_array();
                    }
                });
                part.text.to_mut().push_str(&more);
            }
            (Some(Item::Message { parts, .. }), Delta::Citation(citation)) => {
                if let Some(part) = parts.last_mut()
                    && items::is_annotation(&citation)
                {
                    part.citations.to_mut().push(owned(citation));
                }
            }
            (Some(Item::Reasoning { id, text, .. }), Delta::Text(more)) => {
                let at = Some(("summary_index", 0));
                if text.is_empty() {
                    self.wire
                        .tell(out, "response.reasoning_summary_part.added", |writer| {
                            place(writer, id, index, at);
                            writer.key("part");
                            items::summary(writer, "");
                        });
                }
                self.wire
                    .tell(out, "response.reasoning_summary_text.delta", |writer| {
                        place(writer, id, index, at);
                        writer.text_field("delta", &more);
                    });
                text.to_mut().push_str(&more);
            }
            (Some(Item::Reasoning { seal, .. }), Delta::Signature(more)) => {
                seal.get_or_insert_default().to_mut().push_str(&more);
            }
            (Some(Item::Call { id, arguments, .. }), Delta::Arguments(more)) => {
                self.wire
                    .tell(out, "response.function_call_arguments.delta", |writer| {
                        place(writer, id, index, None);
                        writer.text_field("delta", &more);
                    });
                arguments.to_mut().push_str(&more);
            }
            (Some(Item::Call { .. }), Delta::Signature(more)) => self.proof.push_str(&more),
            // No part has what another kind of part has.
            _ => {}
        }
    }

    /// Tells the part of a message under way whole.
    fn end_part(&mut self, out: &mut Vec<u8>) {
        let index = self.index();
        let Some(Item::Message { id, parts, .. }) = self.items.last() else {
            return;
        };
        let Some(part) = parts.last() else {
            return;
        };
        let at = Some(("content_index", parts.len().saturating_sub(1)));
        for (citation, number) in part.citations.iter().zip(0..) {
            self.wire
                .tell(out, "response.output_text.annotation.added", |writer| {
                    place(writer, id, index, at);
                    writer
                        .key("annotation_index")
                        .integer(number)
                        .key("annotation");
                    items::annotation(writer, citation, &part.text);
                });
        }
        if part.refusal {
            self.wire.tell(out, "response.refusal.done", |writer| {
                place(writer, id, index, at);
                writer.text_field("refusal", &part.text);
            });
        } else {
            self.wire.tell(out, "response.output_text.done", |writer| {
                place(writer, id, index, at);
                writer.text_field("text", &part.text).key("logprobs");
                match &part.logprobs {
                    Some(logprobs) => writer.raw(logprobs),
                    None => writer.open_array().close_array(),
                };
            });
        }
        self.wire.tell(out, "response.content_part.done", |writer| {
            place(writer, id, index, at);
            writer.key("part");
            part.write(writer);
        });
    }

    /// Tells the item under way whole, if there is one.
    fn close(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let index = self.index();
        self.end_part(out);
        match self.items.last_mut() {
            Some(Item::Message { status, .. }) => end(status),
            Some(Item::Reasoning { id, text, .. }) if !text.is_empty() => {
                let at = Some(("summary_index", 0));
                self.wire
                    .tell(out, "response.reasoning_summary_text.done", |writer| {
                        place(writer, id, index, at);
                        writer.text_field("text", text);
                    });
                self.wire
                    .tell(out, "response.reasoning_summary_part.done", |writer| {
                        place(writer, id, index, at);
                        writer.key("part");
                        items::summary(writer, text);
                    });
            }
            Some(Item::Call {
                id,
                status,
                arguments,
                ..
            }) => {
                end(status);
                if items::arguments(arguments) != arguments {
                    *arguments = items::arguments("").into();
                }
                self.wire
                    .tell(out, "response.function_call_arguments.done", |writer| {
                        place(writer, id, index, None);
                        writer.text_field("arguments", arguments);
                    });
            }
            _ => {}
        }
        if let Some(item) = self.items.last() {
            self.wire.tell(out, "response.output_item.done", |writer| {
                writer.key("output_index").integer(index as u64).key("item");
                item.write(writer);
            });
        }
        if !self.proof.is_empty() {
            let proof = std::mem::take(&mut self.proof);
            let item = self.thought(PROOF, Some(proof));
            self.add(item, out);
            self.close(out);
        }
    }
}

/// It is complete, unless it was cut off.
fn end(status: &mut &'static str) {
    if *status == IN_PROGRESS {
        *status = COMPLETED;
    }
}

/// Where in the response something stands: in which item, and where in that.
fn place(writer: &mut Writer<'_>, id: &str, index: usize, at: Option<(&str, usize)>) {
    writer
        .text_field("item_id", id)
        .key("output_index")
        .integer(index as u64);
    if let Some((name, index)) = at {
        writer.key(name).integer(index as u64);
    }
}

fn owned(citation: Citation<'_>) -> Citation<'static> {
    let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Citation {
        url: own(citation.url),
        title: own(citation.title),
        quote: own(citation.quote),
        start: citation.start,
        end: citation.end,
        document: citation.document,
    }
}
