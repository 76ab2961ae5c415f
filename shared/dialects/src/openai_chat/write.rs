//! Writes streams of Chat Completions: <https://platform.openai.com/docs/api-reference/chat-streaming/streaming>.
//!
//! Citations come in one chunk before the choice's last, since clients that put chunks together cannot add to lists whose
//! elements have no number; a thought that has a proof is told once more with it, when it is at its end.

use std::borrow::Cow;

use super::answer::{finish_word, wants_function_call, write_citation, write_head, write_usage};
use super::reasoning;
use crate::answer::{Citation, Reason, Usage};
use crate::dialect::Reply;
use crate::event::{Delta, Event, PartKind};
use crate::json::Writer;
use crate::request::Content;
use crate::sse;
use crate::translate::EncodeStream;

/// More choices than any provider gives are not written.
const MOST_CHOICES: usize = 128;

/// Writes a stream.
#[derive(Debug)]
pub struct StreamEncoder {
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    /// For the head, where the provider does not say it.
    id: String,
    model: String,
    created: u64,
    /// Whether usage was asked for.
    tells_usage: bool,
    /// Whether the client knows calls only in OpenAI's old form.
    old: bool,
    usage: Option<Usage>,
    choices: Vec<State>,
}

/// How far a choice came.
#[derive(Debug, Default)]
struct State {
    begun: bool,
    /// The field that texts of the part under way go to.
    field: Option<&'static str>,
    /// Whether a call is under way that has no arguments yet.
    bare_call: bool,
    /// Calls so far.
    calls: u64,
    refused: bool,
    /// Characters in the texts before the one under way, and with it.
    before: u64,
    now: u64,
    /// Citations of the text under way.
    citations: Vec<Citation<'static>>,
    /// Those of the texts before, and from where to where those texts go.
    annotations: Vec<(Citation<'static>, u64, u64)>,
    /// The thought under way, which is told once more at its end if it has a proof.
    thought: Option<Content<'static>>,
    /// How many have been told so.
    proofs: u64,
}

impl StreamEncoder {
    /// An encoder for this client.
    #[must_use]
    pub fn new(reply: &Reply<'_>) -> Self {
        let mut encoder = Self {
            head: Vec::new(),
            id: reply.id.to_owned(),
            model: reply.model.to_owned(),
            created: reply.created,
            tells_usage: reply.stream_usage,
            old: wants_function_call(reply.request),
            usage: None,
            choices: Vec::new(),
        };
        encoder.start(None, None, None);
        encoder
    }

    fn start(&mut self, id: Option<&str>, model: Option<&str>, created: Option<u64>) {
        self.head.clear();
        let mut writer = Writer::new(&mut self.head);
        writer.open();
        let reply = Reply {
            id: &self.id,
            model: &self.model,
            created: self.created,
            stream_usage: self.tells_usage,
            request: "",
        };
        write_head(
            &mut writer,
            "chat.completion.chunk",
            id,
            model,
            created,
            &reply,
        );
        writer.key("choices").open_array();
    }

    fn state(&mut self, choice: u32) -> Option<&mut State> {
        let index = choice as usize;
        if index >= MOST_CHOICES {
            return None;
        }
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, State::default);
        }
        self.choices.get_mut(index)
    }

    /// Writes a chunk of one choice.
    fn chunk(&self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Writer<'_>)) {
        self.chunk_with(choice, out, delta, None, None);
    }

    fn chunk_with(
        &self,
        choice: u32,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Writer<'_>),
        logprobs: Option<&str>,
        finish: Option<&str>,
    ) {
        sse::event(out, None, |out| {
            out.extend_from_slice(&self.head);
            // In plain bytes what is in every chunk.
            out.extend_from_slice(b"{\"index\":");
            Writer::new(out).integer(choice.into());
            out.extend_from_slice(b",\"delta\":{");
            delta(&mut Writer::new(out));
            match logprobs {
                Some(logprobs) => {
                    out.extend_from_slice(b"},\"logprobs\":");
                    // White space outside of texts, where a provider sent some, may be line breaks.
                    out.extend(logprobs.bytes().map(|byte| match byte {
                        b'\n' | b'\r' => b' ',
                        byte => byte,
                    }));
                }
                None => out.extend_from_slice(b"},\"logprobs\":null"),
            }
            out.extend_from_slice(b",\"finish_reason\":");
            match finish {
                Some(word) => {
                    Writer::new(out).text(word);
                }
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(b"}]");
            if self.tells_usage {
                out.extend_from_slice(b",\"usage\":null");
            }
            out.push(b'}');
        });
    }

    fn begin(&mut self, choice: u32, kind: PartKind<'_>, out: &mut Vec<u8>) {
        self.end_part(choice, out);
        let old = self.old;
        let Some(state) = self.state(choice) else {
            return;
        };
        let first = !std::mem::replace(&mut state.begun, true);
        let number = state.calls;
        state.field = match kind {
            PartKind::Text => Some("content"),
            PartKind::Reasoning { .. } => Some("reasoning_content"),
            PartKind::Refusal => Some("refusal"),
            PartKind::Redacted { .. } | PartKind::ToolCall { .. } => None,
        };
        match &kind {
            PartKind::Refusal => state.refused = true,
            PartKind::ToolCall { .. } => {
                state.calls += 1;
                state.bare_call = true;
            }
            PartKind::Reasoning { id } => {
                state.thought = Some(Content::Reasoning {
                    text: "".into(),
                    signature: None,
                    id: id.as_deref().map(|id| Cow::Owned(id.to_owned())),
                });
            }
            PartKind::Redacted { data } => {
                state.thought = Some(Content::Redacted {
                    data: Cow::Owned(data.clone().into_owned()),
                });
            }
            PartKind::Text => {}
        }
        if !first && !matches!(kind, PartKind::ToolCall { .. }) {
            return;
        }
        self.chunk(choice, out, |writer| {
            if first {
                write_role(writer, kind == PartKind::Text);
            }
            if let PartKind::ToolCall { id, name } = &kind {
                write_call(writer, id, name, number, old);
            }
        });
    }

    /// The part under way has ended.
    fn end_part(&mut self, choice: u32, out: &mut Vec<u8>) {
        let Some(state) = self.state(choice) else {
            return;
        };
        let (before, now) = (state.before, state.now);
        state.before = now;
        let ended = state.citations.drain(..);
        state
            .annotations
            .extend(ended.map(|citation| (citation, before, now)));
        let bare_call = state.bare_call;
        let index = state.proofs;
        if let Some(thought) = state.thought.take().filter(reasoning::has_proof) {
            state.proofs += 1;
            self.chunk(choice, out, |writer| {
                reasoning::write_details(writer, index, std::iter::once(&thought));
            });
        }
        if bare_call {
            self.arguments(choice, "{}", out);
        }
    }

    fn arguments(&mut self, choice: u32, more: &str, out: &mut Vec<u8>) {
        let old = self.old;
        let Some(state) = self.state(choice) else {
            return;
        };
        if more.is_empty() || state.calls == 0 {
            return;
        }
        state.bare_call = false;
        let number = state.calls - 1;
        self.chunk(choice, out, |writer| {
            if old && number == 0 {
                writer
                    .key("function_call")
                    .open()
                    .text_field("arguments", more)
                    .close();
                return;
            }
            open_call(writer, number, old);
            writer
                .key("function")
                .open()
                .text_field("arguments", more)
                .close();
            writer.close().close_array();
        });
    }

    fn delta(&mut self, choice: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Arguments(more) => self.arguments(choice, &more, out),
            Delta::Text(more) => self.text(choice, &more, out),
            Delta::Signature(more) => self.signature(choice, &more, out),
            Delta::Citation(citation) if citation.url.is_some() => {
                let own = |text: Option<Cow<'_, str>>| text.map(|text| text.into_owned().into());
                if let Some(state) = self.state(choice) {
                    state.citations.push(Citation {
                        url: own(citation.url),
                        title: own(citation.title),
                        quote: own(citation.quote),
                        ..citation
                    });
                }
            }
            Delta::Citation(_) => {}
        }
    }

    fn text(&mut self, choice: u32, more: &str, out: &mut Vec<u8>) {
        let Some(state) = self.state(choice) else {
            return;
        };
        let Some(field) = state.field else {
            return;
        };
        match field {
            "content" => state.now += more.chars().count() as u64,
            "reasoning_content" => {
                if let Some(Content::Reasoning { text, .. }) = &mut state.thought {
                    text.to_mut().push_str(more);
                }
            }
            _ => {}
        }
        if !more.is_empty() {
            self.chunk(choice, out, |writer| {
                writer.text_field(field, more);
            });
        }
    }

    fn signature(&mut self, choice: u32, more: &str, out: &mut Vec<u8>) {
        let old = self.old;
        let Some(state) = self.state(choice) else {
            return;
        };
        if state.field == Some("reasoning_content") {
            if let Some(Content::Reasoning { signature, .. }) = &mut state.thought {
                signature.get_or_insert_default().to_mut().push_str(more);
            }
            return;
        }
        let calls = state.calls;
        if state.field.is_some() || calls <= u64::from(old) {
            return;
        }
        self.chunk(choice, out, |writer| {
            open_call(writer, calls - 1, old);
            reasoning::write_call_signature(writer, more);
            writer.close().close_array();
        });
    }

    /// What is told of a whole choice, and why it ended.
    fn finish(&mut self, choice: u32, reason: Reason, out: &mut Vec<u8>) {
        self.end_part(choice, out);
        let old = self.old;
        let Some(state) = self.state(choice) else {
            return;
        };
        let first = !std::mem::replace(&mut state.begun, true);
        let annotations = std::mem::take(&mut state.annotations);
        let word = match finish_word(reason, state.refused) {
            "tool_calls" if old => "function_call",
            word => word,
        };
        if first {
            self.chunk(choice, out, |writer| write_role(writer, true));
        }
        if !annotations.is_empty() {
            self.chunk(choice, out, |writer| {
                writer.key("annotations").open_array();
                for (citation, before, now) in &annotations {
                    write_citation(writer, citation, *before, *now);
                }
                writer.close_array();
            });
        }
        self.chunk_with(choice, out, |_| {}, None, Some(word));
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.tells_usage) {
            sse::event(out, None, |out| {
                out.extend_from_slice(&self.head);
                let mut writer = Writer::new(out);
                writer.close_array().key("usage");
                write_usage(&mut writer, &usage);
                writer.close();
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl EncodeStream for StreamEncoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created } => {
                self.start(id.as_deref(), model.as_deref(), created);
            }
            Event::Begin { choice, kind, .. } => self.begin(choice, kind, out),
            Event::Delta { choice, delta, .. } => self.delta(choice, delta, out),
            Event::Logprobs { choice, logprobs } => {
                self.chunk_with(choice, out, |_| {}, Some(logprobs.as_str()), None);
            }
            Event::Finish { choice, finish } => self.finish(choice, finish.reason, out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Failed(_) => {}
            Event::End => self.end(out),
        }
    }
}

fn write_role(writer: &mut Writer<'_>, text: bool) {
    writer.text_field("role", "assistant").key("content");
    if text {
        writer.text("");
    } else {
        writer.null();
    }
    writer.key("refusal").null();
}

/// The number that a call has among `tool_calls`, where the first may be in the old form.
fn open_call(writer: &mut Writer<'_>, number: u64, old: bool) {
    writer
        .key("tool_calls")
        .open_array()
        .open()
        .key("index")
        .integer(number - u64::from(old));
}

fn write_call(writer: &mut Writer<'_>, id: &str, name: &str, number: u64, old: bool) {
    if old && number == 0 {
        writer.key("function_call").open();
    } else {
        open_call(writer, number, old);
        writer
            .text_field("id", id)
            .text_field("type", "function")
            .key("function")
            .open();
    }
    writer
        .text_field("name", name)
        .text_field("arguments", "")
        .close();
    if !(old && number == 0) {
        writer.close().close_array();
    }
}
