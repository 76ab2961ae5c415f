//! What happens in a stream, in no provider's words; events put together ([`Collector`]) and an answer taken apart ([`replay`]).

use std::borrow::Cow;

use crate::answer::{Answer, Choice, Citation, Finish, Usage};
use crate::error::Failure;
use crate::json::{Json, Object, Writer};
use crate::request::{Content, Part};

/// Something that happens in a stream.
///
/// Order: [`Event::Start`] first; each part [`Event::Begin`]s before its deltas, parts of a choice one after the other
/// (a new one ends the one before it) and numbered from 0; [`Event::Finish`] once for each choice; usage any number of
/// times, the last one counts; [`Event::End`] where the provider says that this was all.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// It begins.
    Start {
        /// The provider's id.
        id: Option<Cow<'a, str>>,
        /// The model that answers.
        model: Option<Cow<'a, str>>,
        /// Seconds since the Unix epoch.
        created: Option<u64>,
    },
    /// A part begins.
    Begin {
        /// Which answer, from 0.
        choice: u32,
        /// Which part of it, from 0.
        part: u32,
        /// What it is.
        kind: PartKind<'a>,
    },
    /// A part goes on.
    Delta {
        /// Which answer.
        choice: u32,
        /// Which part, one that has begun.
        part: u32,
        /// What is added.
        delta: Delta<'a>,
    },
    /// Log probabilities of what came before it, in OpenAI's form.
    Logprobs {
        /// Which answer.
        choice: u32,
        /// An object with `content` and `refusal`.
        logprobs: Json<'a>,
    },
    /// An answer ends.
    Finish {
        /// Which.
        choice: u32,
        /// Why.
        finish: Finish<'a>,
    },
    /// What it has cost so far.
    Usage(Usage),
    /// The provider gives up.
    Failed(Failure),
    /// That was all.
    End,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartKind<'a> {
    /// Text.
    Text,
    /// What the model thinks.
    Reasoning {
        /// OpenAI's id of the reasoning item.
        id: Option<Cow<'a, str>>,
    },
    /// What it thinks, sealed.
    Redacted {
        /// Opaque.
        data: Cow<'a, str>,
    },
    /// It declines.
    Refusal,
    /// It calls a tool.
    ToolCall {
        /// The call's id.
        id: Cow<'a, str>,
        /// The tool's name.
        name: Cow<'a, str>,
    },
}

/// What is added to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta<'a> {
    /// More text of a text, reasoning or refusal part.
    Text(Cow<'a, str>),
    /// More of a call's arguments.
    Arguments(Cow<'a, str>),
    /// The proof of a thought, or of the thought behind a call.
    Signature(Cow<'a, str>),
    /// Where the text comes from.
    Citation(Citation<'a>),
}

/// Puts a stream's events together to the answer that they are.
#[derive(Debug, Default)]
pub struct Collector {
    answer: Answer<'static>,
    failure: Option<Failure>,
    ended: bool,
}

/// A provider may number choices and parts; more than this many are not kept.
const MOST: usize = 4_096;

impl Collector {
    /// Takes the next event.
    pub fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start { id, model, created } => {
                self.answer.id = id.map(owned);
                self.answer.model = model.map(owned);
                self.answer.created = created;
            }
            Event::Begin { choice, kind, .. } => {
                if let Some(choice) = self.choice(choice)
                    && choice.parts.len() < MOST
                {
                    choice.parts.push(begun(kind).into());
                }
            }
            Event::Delta {
                choice,
                part,
                delta,
            } => {
                let part = self
                    .choice(choice)
                    .and_then(|choice| choice.parts.get_mut(part as usize));
                if let Some(part) = part {
                    add(&mut part.content, delta);
                }
            }
            Event::Logprobs { choice, logprobs } => {
                if let Some(choice) = self.choice(choice) {
                    let all = choice.logprobs.take();
                    let joined = all.and_then(|all| joined_logprobs(&all, &logprobs));
                    choice.logprobs = Some(joined.unwrap_or_else(|| logprobs.into_owned()));
                }
            }
            Event::Finish { choice, finish } => {
                if let Some(choice) = self.choice(choice) {
                    choice.finish = Finish {
                        reason: finish.reason,
                        stop_sequence: finish.stop_sequence.map(owned),
                    };
                }
            }
            Event::Usage(usage) => self.answer.usage = Some(usage),
            Event::Failed(failure) => self.failure = Some(failure),
            Event::End => self.ended = true,
        }
    }

    /// The answer.
    ///
    /// # Errors
    /// The provider's failure; `None` where the stream was not complete.
    pub fn finish(self) -> Result<Answer<'static>, Option<Failure>> {
        match (self.failure, self.ended) {
            (Some(failure), _) => Err(Some(failure)),
            (None, false) => Err(None),
            (None, true) => Ok(self.answer),
        }
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice<'static>> {
        let index = index as usize;
        if index >= MOST {
            return None;
        }
        while self.answer.choices.len() <= index {
            self.answer.choices.push(Choice::default());
        }
        self.answer.choices.get_mut(index)
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// Log probabilities of what came before, and of what comes after it.
fn joined_logprobs(all: &Json<'_>, more: &Json<'_>) -> Option<Json<'static>> {
    let mut all = Object::parse(all.as_str()).ok()?;
    let mut more = Object::parse(more.as_str()).ok()?;
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.open();
    for name in ["content", "refusal"] {
        let (before, after) = (all.array(name).ok()?, more.array(name).ok()?);
        writer.key(name);
        if before.is_none() && after.is_none() {
            writer.null();
            continue;
        }
        writer.open_array();
        for raw in before.into_iter().chain(after).flatten() {
            writer.raw(&raw.into());
        }
        writer.close_array();
    }
    writer.close();
    Json::parse(String::from_utf8(out).ok()?.into())
}

fn begun(kind: PartKind<'_>) -> Content<'static> {
    match kind {
        PartKind::Text => Content::text(""),
        PartKind::Reasoning { id } => Content::Reasoning {
            text: "".into(),
            signature: None,
            id: id.map(owned),
        },
        PartKind::Redacted { data } => Content::Redacted { data: owned(data) },
        PartKind::Refusal => Content::Refusal { text: "".into() },
        PartKind::ToolCall { id, name } => Content::ToolCall {
            id: owned(id),
            name: owned(name),
            arguments: "".into(),
            signature: None,
        },
    }
}

fn add(content: &mut Content<'static>, delta: Delta<'_>) {
    match (content, delta) {
        (
            Content::Text { text, .. }
            | Content::Reasoning { text, .. }
            | Content::Refusal { text },
            Delta::Text(more),
        )
        | (
            Content::ToolCall {
                arguments: text, ..
            },
            Delta::Arguments(more),
        ) => text.to_mut().push_str(&more),
        (
            Content::Reasoning { signature, .. } | Content::ToolCall { signature, .. },
            Delta::Signature(more),
        ) => signature.get_or_insert_default().to_mut().push_str(&more),
        (Content::Text { citations, .. }, Delta::Citation(citation)) => citations.push(Citation {
            url: citation.url.map(owned),
            title: citation.title.map(owned),
            quote: citation.quote.map(owned),
            ..citation
        }),
        _ => {}
    }
}

/// The events of a whole answer, each part in one delta.
pub fn replay<'a>(answer: &'a Answer<'a>, mut emit: impl FnMut(Event<'a>)) {
    let lend = |text: &'a Option<Cow<'a, str>>| text.as_deref().map(Cow::Borrowed);
    emit(Event::Start {
        id: lend(&answer.id),
        model: lend(&answer.model),
        created: answer.created,
    });
    for (choice, at) in answer.choices.iter().zip(0..) {
        for (part, number) in choice.parts.iter().zip(0..) {
            replay_part(part, at, number, &mut emit);
        }
        if let Some(logprobs) = &choice.logprobs {
            emit(Event::Logprobs {
                choice: at,
                logprobs: logprobs.clone(),
            });
        }
        emit(Event::Finish {
            choice: at,
            finish: choice.finish.clone(),
        });
    }
    if let Some(usage) = answer.usage {
        emit(Event::Usage(usage));
    }
    emit(Event::End);
}

fn replay_part<'a>(part: &'a Part<'a>, choice: u32, number: u32, emit: &mut impl FnMut(Event<'a>)) {
    let kind = match &part.content {
        Content::Text { .. } => PartKind::Text,
        Content::Reasoning { id, .. } => PartKind::Reasoning {
            id: id.as_deref().map(Cow::Borrowed),
        },
        Content::Redacted { data } => PartKind::Redacted {
            data: Cow::Borrowed(data),
        },
        Content::Refusal { .. } => PartKind::Refusal,
        Content::ToolCall { id, name, .. } => PartKind::ToolCall {
            id: Cow::Borrowed(id),
            name: Cow::Borrowed(name),
        },
        Content::Image { .. }
        | Content::Audio { .. }
        | Content::File { .. }
        | Content::ToolResult { .. } => return,
    };
    emit(Event::Begin {
        choice,
        part: number,
        kind,
    });
    let mut delta = |delta| {
        emit(Event::Delta {
            choice,
            part: number,
            delta,
        });
    };
    match &part.content {
        Content::Text { text, citations } => {
            delta(Delta::Text(Cow::Borrowed(text)));
            for citation in citations {
                delta(Delta::Citation(citation.clone()));
            }
        }
        Content::Refusal { text } => delta(Delta::Text(Cow::Borrowed(text))),
        Content::Reasoning {
            text, signature, ..
        } => {
            if !text.is_empty() {
                delta(Delta::Text(Cow::Borrowed(text)));
            }
            if let Some(signature) = signature {
                delta(Delta::Signature(Cow::Borrowed(signature)));
            }
        }
        Content::ToolCall {
            arguments,
            signature,
            ..
        } => {
            delta(Delta::Arguments(Cow::Borrowed(arguments)));
            if let Some(signature) = signature {
                delta(Delta::Signature(Cow::Borrowed(signature)));
            }
        }
        _ => {}
    }
}
