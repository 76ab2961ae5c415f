//! Reads streams: <https://platform.openai.com/docs/api-reference/responses-streaming>.
//!
//! Text comes in deltas; what is told whole at the end of a part or item is taken where no delta told it, since some
//! followers of the API leave the deltas out. The end of all tells the usage and the log probabilities.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{arguments_field, call, content, ending};
use super::input::citation;
use super::reasoning::{self, Thought};
use crate::error::{Failure, FailureKind, Said};
use crate::event::{Delta, Event, PartKind};
use crate::json::{Object, Problem, Raw, integer, text};
use crate::request::Content;
use crate::sse::Frame;
use crate::translate::DecodeStream;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    started: bool,
    /// How many parts have begun.
    parts: u32,
    /// The item under way, or the last one.
    item: Option<Item>,
    /// Whether the last of them is a call.
    last_is_call: bool,
    called: bool,
    refused: bool,
}

#[derive(Debug, Default)]
struct Item {
    /// Its place in the output.
    index: u64,
    /// A reasoning item's id.
    id: Option<String>,
    /// The part of it that has begun last.
    open: Option<Open>,
    /// Whether more than its beginning has been told.
    told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    slot: Slot,
    /// How many citations have been told.
    citations: usize,
    /// The paragraph of a thought, once there is one.
    paragraph: Option<u64>,
}

/// What of an item a delta belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Text(u64),
    Refusal(u64),
    /// The thought's summary, or the thought itself: one or the other is told.
    Thought {
        summary: bool,
    },
    Call,
}

impl Slot {
    /// Whether it stands in a message behind this place.
    fn is_behind(self, place: u64) -> bool {
        match self {
            Self::Text(at) | Self::Refusal(at) => at > place,
            Self::Thought { .. } | Self::Call => false,
        }
    }

    fn delta(self, more: Cow<'_, str>) -> Delta<'_> {
        match self {
            Self::Call => Delta::Arguments(more),
            Self::Text(_) | Self::Refusal(_) | Self::Thought { .. } => Delta::Text(more),
        }
    }
}

/// What most events have.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    output_index: u64,
    #[serde(default)]
    content_index: u64,
    #[serde(default)]
    summary_index: u64,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
}

type Emit<'e> = &'e mut dyn FnMut(Event<'_>);

impl DecodeStream for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, emit: Emit<'_>) -> Result<(), Problem> {
        if frame.data == "[DONE]" {
            return Ok(());
        }
        let head: Head<'_> = serde_json::from_str(frame.data)
            .map_err(|_| Problem::new("must be an event with a type"))?;
        let delta = || match head.delta {
            Some(raw) => text(raw).map_err(|problem| problem.at("delta")),
            None => Err(Problem::new("is missing").at("delta")),
        };
        let index = head.output_index;
        self.start(&head, frame.data, emit)?;
        match &*head.kind {
            "response.output_text.delta" => {
                self.more(index, Slot::Text(head.content_index), 0, delta()?, emit)
            }
            "response.refusal.delta" => {
                self.more(index, Slot::Refusal(head.content_index), 0, delta()?, emit)
            }
            "response.reasoning_summary_text.delta" => {
                let slot = Slot::Thought { summary: true };
                self.more(index, slot, head.summary_index, delta()?, emit)
            }
            "response.reasoning_text.delta" => {
                let slot = Slot::Thought { summary: false };
                self.more(index, slot, head.content_index, delta()?, emit)
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.more(index, Slot::Call, 0, delta()?, emit)
            }
            _ => self.other(&head, Object::parse(frame.data)?, emit),
        }
    }
}

impl StreamDecoder {
    /// Tells the beginning, with what is known of the answer.
    fn start(&mut self, head: &Head<'_>, data: &str, emit: Emit<'_>) -> Result<(), Problem> {
        if self.started || matches!(&*head.kind, "error" | "response.failed") {
            return Ok(());
        }
        self.started = true;
        match Object::parse(data)?.object("response")? {
            Some(mut response) => emit(Event::Start {
                id: response.text("id")?,
                model: response.text("model")?,
                created: response
                    .take("created_at")
                    .and_then(|raw| integer(raw).ok()),
            }),
            None => emit(Event::Start {
                id: None,
                model: None,
                created: None,
            }),
        }
        Ok(())
    }

    /// All that comes seldom. Types that are not known are passed over.
    fn other(
        &mut self,
        head: &Head<'_>,
        mut object: Object<'_>,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        match &*head.kind {
            "response.output_item.added" => {
                let item = taken(&mut object, "item")?;
                self.item_begins(head.output_index, item, emit)
                    .map_err(|problem| problem.at("item"))
            }
            "response.output_item.done" => {
                let item = taken(&mut object, "item")?;
                self.item_ends(head.output_index, item, emit)
                    .map_err(|problem| problem.at("item"))
            }
            "response.content_part.done" => {
                let part = taken(&mut object, "part")?;
                self.part_ends(head, part, emit)
                    .map_err(|problem| problem.at("part"))
            }
            "response.output_text.annotation.added" => {
                let read = taken(&mut object, "annotation").and_then(citation);
                let Some(found) = read.map_err(|problem| problem.at("annotation"))? else {
                    return Ok(());
                };
                let slot = Slot::Text(head.content_index);
                let part = self.part(head.output_index, slot, emit)?;
                self.count_citation();
                emit(Event::Delta {
                    choice: 0,
                    part,
                    delta: Delta::Citation(found),
                });
                Ok(())
            }
            "response.completed" | "response.incomplete" => {
                let response = taken(&mut object, "response")?;
                self.ends(response, emit)
                    .map_err(|problem| problem.at("response"))
            }
            "response.failed" => {
                let failure = taken(&mut object, "response")?.take("error");
                emit(Event::Failed(failed(failure)));
                Ok(())
            }
            "error" => {
                let failure = match object.take("error") {
                    Some(inner) => failed(Some(inner)),
                    None => {
                        let said = Said {
                            message: object.text("message")?.map(Cow::into_owned),
                            code: object.text("code")?.map(Cow::into_owned),
                            param: object.text("param")?.map(Cow::into_owned),
                        };
                        failure(said)
                    }
                };
                emit(Event::Failed(failure));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The item at this place. Items come one after the other; one that has ended does not go on.
    fn item(&mut self, index: u64) -> Result<&mut Item, Problem> {
        let before = self.item.take().filter(|item| item.index >= index);
        if before.as_ref().is_some_and(|item| item.index > index) {
            return Err(Problem::new("goes back to an item before").at("output_index"));
        }
        Ok(self.item.insert(before.unwrap_or(Item {
            index,
            ..Item::default()
        })))
    }

    /// The number of the part that a delta belongs to; it begins now, if it has not.
    fn part(&mut self, index: u64, slot: Slot, emit: Emit<'_>) -> Result<u32, Problem> {
        let item = self.item(index)?;
        if item.open.is_some_and(|open| open.slot == slot) {
            return Ok(self.parts.saturating_sub(1));
        }
        if let (Some(open), Slot::Text(at) | Slot::Refusal(at)) = (item.open, slot)
            && open.slot.is_behind(at)
        {
            return Err(Problem::new("goes back to a part before").at("content_index"));
        }
        item.told = true;
        item.open = Some(Open {
            slot,
            citations: 0,
            paragraph: None,
        });
        let id = item.id.clone();
        let kind = match slot {
            Slot::Text(_) => PartKind::Text,
            Slot::Refusal(_) => PartKind::Refusal,
            Slot::Thought { .. } => PartKind::Reasoning {
                id: id.map(Cow::Owned),
            },
            // Calls begin where their names are told.
            Slot::Call => return Err(Problem::new("is of no call that has begun")),
        };
        Ok(self.begin(kind, emit))
    }

    fn begin(&mut self, kind: PartKind<'_>, emit: Emit<'_>) -> u32 {
        self.last_is_call = matches!(kind, PartKind::ToolCall { .. });
        self.called |= self.last_is_call;
        self.refused |= matches!(kind, PartKind::Refusal);
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        emit(Event::Begin {
            choice: 0,
            part,
            kind,
        });
        part
    }

    /// A delta. Paragraphs of a thought have an empty line between them, as in a plain answer.
    fn more(
        &mut self,
        index: u64,
        slot: Slot,
        paragraph: u64,
        delta: Cow<'_, str>,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        if delta.is_empty() {
            return Ok(());
        }
        if let Some(item) = &self.item
            && item.index == index
            && let Some(open) = item.open
            && open.slot == slot
            && open.paragraph == Some(paragraph)
        {
            emit(Event::Delta {
                choice: 0,
                part: self.parts.saturating_sub(1),
                delta: slot.delta(delta),
            });
            return Ok(());
        }
        if let Slot::Thought { summary } = slot {
            let other = Slot::Thought { summary: !summary };
            let open = self.item(index)?.open;
            if open.is_some_and(|open| open.slot == other) {
                return Ok(());
            }
        }
        let part = self.part(index, slot, emit)?;
        if let Some(item) = &mut self.item {
            item.told = true;
            let before = item
                .open
                .as_mut()
                .and_then(|open| open.paragraph.replace(paragraph));
            if before.is_some_and(|before| before != paragraph) {
                emit(Event::Delta {
                    choice: 0,
                    part,
                    delta: Delta::Text("\n\n".into()),
                });
            }
        }
        emit(Event::Delta {
            choice: 0,
            part,
            delta: slot.delta(delta),
        });
        Ok(())
    }

    fn item_begins(
        &mut self,
        index: u64,
        mut item: Object<'_>,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        let kind = item.required_text("type")?;
        // A new one, also where a follower of the API does not number them.
        if self.item.as_ref().is_some_and(|item| item.index == index) {
            self.item = None;
        }
        let fresh = self.item(index)?;
        if kind == "reasoning" {
            fresh.id = item.text("id")?.map(Cow::into_owned);
        } else if arguments_field(&kind).is_some() {
            let (id, name) = call(&mut item)?;
            self.call_begins(id, name, emit);
        }
        Ok(())
    }

    fn call_begins(&mut self, id: Cow<'_, str>, name: Cow<'_, str>, emit: Emit<'_>) {
        if let Some(item) = &mut self.item {
            item.open = Some(Open {
                slot: Slot::Call,
                citations: 0,
                paragraph: None,
            });
        }
        self.begin(PartKind::ToolCall { id, name }, emit);
    }

    fn count_citation(&mut self) {
        if let Some(open) = self.item.as_mut().and_then(|item| item.open.as_mut()) {
            open.citations += 1;
        }
    }

    /// A part of a message, told whole: what of it has not been told is.
    fn part_ends(
        &mut self,
        head: &Head<'_>,
        part: Object<'_>,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        match content(part, &mut Vec::new())? {
            Some(content) => self.whole(head.output_index, head.content_index, content, emit),
            None => Ok(()),
        }
    }

    fn whole(
        &mut self,
        index: u64,
        content_index: u64,
        content: Content<'_>,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        let (slot, text, citations) = match content {
            Content::Text { text, citations } => (Slot::Text(content_index), text, citations),
            Content::Refusal { text } => (Slot::Refusal(content_index), text, Vec::new()),
            _ => return Ok(()),
        };
        let open = self.item(index)?.open;
        let mut told = 0;
        match open.filter(|open| open.slot == slot) {
            Some(open) => told = open.citations,
            None => self.more(index, slot, 0, text, emit)?,
        }
        for citation in citations.into_iter().skip(told) {
            let part = self.part(index, slot, emit)?;
            self.count_citation();
            emit(Event::Delta {
                choice: 0,
                part,
                delta: Delta::Citation(citation),
            });
        }
        Ok(())
    }

    fn item_ends(
        &mut self,
        index: u64,
        mut item: Object<'_>,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        let kind = item.required_text("type")?;
        let known = self.item(index)?;
        let told = known.told;
        match &*kind {
            "message" => {
                let contents = item.array("content")?.unwrap_or_default();
                for (at, raw) in contents.into_iter().enumerate() {
                    let read = Object::of(raw).and_then(|part| content(part, &mut Vec::new()));
                    let content = read.map_err(|problem| problem.at_index(at).at("content"))?;
                    let at = at as u64;
                    let ended = self
                        .item(index)?
                        .open
                        .is_some_and(|open| open.slot.is_behind(at));
                    if let Some(content) = content.filter(|_| !ended) {
                        self.whole(index, at, content, emit)?;
                    }
                }
            }
            "reasoning" => {
                let thought = reasoning::take(&mut item)?;
                self.thought_ends(index, thought, emit)?;
            }
            kind if !told => {
                let begun = known.open.is_some();
                if let Some(field) = arguments_field(kind) {
                    let (id, name) = call(&mut item)?;
                    if !begun {
                        self.call_begins(id, name, emit);
                    }
                    let arguments = item.text(field)?.unwrap_or_default();
                    self.more(index, Slot::Call, 0, arguments, emit)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A thought, told whole: what of it has not been told is, and its seal.
    fn thought_ends(
        &mut self,
        index: u64,
        thought: Thought<'_>,
        emit: Emit<'_>,
    ) -> Result<(), Problem> {
        let item = self.item(index)?;
        let (told, open) = (item.told, item.open);
        match thought {
            Thought::Content(Content::Reasoning {
                text,
                signature,
                id,
            }) => {
                item.id = item.id.take().or(id.map(Cow::into_owned));
                let slot = open.map_or(Slot::Thought { summary: true }, |open| open.slot);
                if !told {
                    self.more(index, slot, 0, text, emit)?;
                }
                if let Some(signature) = signature {
                    let part = self.part(index, slot, emit)?;
                    emit(Event::Delta {
                        choice: 0,
                        part,
                        delta: Delta::Signature(signature),
                    });
                }
            }
            Thought::Content(Content::Redacted { data }) => {
                self.begin(PartKind::Redacted { data }, emit);
            }
            Thought::Proof(proof) if self.last_is_call => emit(Event::Delta {
                choice: 0,
                part: self.parts.saturating_sub(1),
                delta: Delta::Signature(proof),
            }),
            Thought::Content(_) | Thought::Proof(_) | Thought::Nothing => {}
        }
        Ok(())
    }

    fn ends(&mut self, mut response: Object<'_>, emit: Emit<'_>) -> Result<(), Problem> {
        let mut end = ending(&mut response)?;
        if self.parts == 0 && !end.parts.is_empty() {
            return Err(Problem::new("has items that no event has told").at("output"));
        }
        if let Some(logprobs) = end.logprobs() {
            emit(Event::Logprobs {
                choice: 0,
                logprobs,
            });
        }
        emit(Event::Finish {
            choice: 0,
            finish: end.finish(self.called, self.refused),
        });
        if let Some(usage) = end.usage {
            emit(Event::Usage(usage));
        }
        emit(Event::End);
        Ok(())
    }
}

fn taken<'a>(object: &mut Object<'a>, name: &str) -> Result<Object<'a>, Problem> {
    object
        .object(name)?
        .ok_or_else(|| Problem::new("is missing").at(name))
}

fn failed(error: Option<Raw<'_>>) -> Failure {
    let value = error.and_then(|raw| serde_json::from_str(raw.get()).ok());
    failure(value.map(Said::of).unwrap_or_default())
}

/// Codes that only this API has: <https://platform.openai.com/docs/api-reference/responses/object#responses-object-error>.
fn failure(said: Said) -> Failure {
    let mut failure = Failure::from(said);
    if failure.kind == FailureKind::Provider {
        failure.kind = match failure.said.code.as_deref() {
            Some("vector_store_timeout") => FailureKind::Timeout,
            Some("image_file_too_large") => FailureKind::TooLarge,
            Some(
                "bio_policy"
                | "empty_image_file"
                | "failed_to_download_image"
                | "unsupported_image_media_type",
            ) => FailureKind::Invalid,
            Some(code) if code.starts_with("invalid_") || code.starts_with("image_") => {
                FailureKind::Invalid
            }
            _ => FailureKind::Provider,
        };
    }
    failure
}
