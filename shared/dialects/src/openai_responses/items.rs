//! Items of an answer, and what items are made of: <https://platform.openai.com/docs/api-reference/responses/object#responses-object-output>.

use std::borrow::Cow;

use super::reasoning::{PROOF, SEALED};
use crate::answer::Citation;
use crate::json::{Json, Object, Writer, elements};
use crate::request::{Content, Part};

/// An item of an answer.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// What is said.
    Message {
        id: String,
        status: &'static str,
        parts: Vec<Said<'a>>,
    },
    /// What is thought.
    Reasoning {
        id: Cow<'a, str>,
        text: Cow<'a, str>,
        seal: Option<Cow<'a, str>>,
    },
    /// A call.
    Call {
        id: String,
        status: &'static str,
        call: Cow<'a, str>,
        name: Cow<'a, str>,
        arguments: Cow<'a, str>,
    },
}

/// A part of a message.
#[derive(Debug)]
pub(super) struct Said<'a> {
    pub(super) refusal: bool,
    pub(super) text: Cow<'a, str>,
    pub(super) citations: Cow<'a, [Citation<'a>]>,
    /// A list, where there is one.
    pub(super) logprobs: Option<Json<'a>>,
}

impl<'a> Said<'a> {
    fn of(content: &'a Content<'_>) -> Option<Self> {
        let (text, citations, refusal) = match content {
            Content::Text { text, citations } => (text, citations.as_slice(), false),
            Content::Refusal { text } => (text, &[][..], true),
            _ => return None,
        };
        Some(Self {
            refusal,
            text: Cow::Borrowed(text),
            citations: Cow::Borrowed(citations),
            logprobs: None,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        if self.refusal {
            refusal(writer, &self.text);
        } else {
            output_text(writer, &self.text, &self.citations, self.logprobs.as_ref());
        }
    }
}

impl Item<'_> {
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Message { id, status, parts } => {
                writer
                    .open()
                    .text_field("id", id)
                    .text_field("type", "message")
                    .text_field("status", status)
                    .key("content")
                    .open_array();
                for part in parts {
                    part.write(writer);
                }
                writer.close_array().text_field("role", "assistant").close();
            }
            Self::Reasoning { id, text, seal } => reasoning(writer, id, text, seal.as_deref()),
            Self::Call {
                id,
                status,
                call,
                name,
                arguments,
            } => {
                writer
                    .open()
                    .text_field("id", id)
                    .text_field("type", "function_call")
                    .text_field("status", status)
                    .text_field("arguments", arguments)
                    .text_field("call_id", call)
                    .text_field("name", name)
                    .close();
            }
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. } | Self::Call { id, .. } => id,
            Self::Reasoning { id, .. } => id,
        }
    }
}

/// The items that these parts are. Text and refusals next to each other are one message.
pub(super) fn of_parts<'a>(parts: &'a [Part<'_>], base: &str) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    for part in parts {
        let content = &part.content;
        if let Some(said) = Said::of(content) {
            match items.last_mut() {
                Some(Item::Message { parts, .. }) => parts.push(said),
                _ => items.push(Item::Message {
                    id: item_id("msg_", base, items.len()),
                    status: COMPLETED,
                    parts: vec![said],
                }),
            }
            continue;
        }
        match content {
            Content::Reasoning {
                text,
                signature,
                id,
            } => items.push(Item::Reasoning {
                id: match id {
                    Some(id) => Cow::Borrowed(id),
                    None => item_id("rs_", base, items.len()).into(),
                },
                text: Cow::Borrowed(text),
                seal: signature.as_deref().map(Cow::Borrowed),
            }),
            Content::Redacted { data } => items.push(Item::Reasoning {
                id: item_id(SEALED, base, items.len()).into(),
                text: "".into(),
                seal: Some(Cow::Borrowed(data)),
            }),
            Content::ToolCall {
                id,
                name,
                arguments: text,
                signature,
            } => {
                items.push(Item::Call {
                    id: item_id("fc_", base, items.len()),
                    status: COMPLETED,
                    call: Cow::Borrowed(id),
                    name: Cow::Borrowed(name),
                    arguments: Cow::Borrowed(arguments(text)),
                });
                if let Some(proof) = signature {
                    items.push(Item::Reasoning {
                        id: item_id(PROOF, base, items.len()).into(),
                        text: "".into(),
                        seal: Some(Cow::Borrowed(proof)),
                    });
                }
            }
            // Nothing that an answer has a place for.
            _ => {}
        }
    }
    items
}

/// How an item ends that is complete.
pub(super) const COMPLETED: &str = "completed";

/// Marks what was said or called last as cut off.
pub(super) fn cut_off(items: &mut [Item<'_>]) {
    let last = items
        .iter_mut()
        .rev()
        .find(|item| !item.id().starts_with(PROOF));
    if let Some(Item::Message { status, .. } | Item::Call { status, .. }) = last {
        *status = "incomplete";
    }
}

/// Gives the last text these log probabilities, behind those that it has.
pub(super) fn add_logprobs(items: &mut [Item<'_>], chat: &str) {
    let last = items.iter_mut().rev().find_map(|item| match item {
        Item::Message { parts, .. } => parts.iter_mut().rev().find(|part| !part.refusal),
        _ => None,
    });
    let Some(part) = last else {
        return;
    };
    let list = |text: &str| -> Vec<String> {
        serde_json::from_str(text)
            .ok()
            .and_then(|raw| elements(raw).ok())
            .unwrap_or_default()
            .into_iter()
            .map(|token| one_line(token.get()))
            .collect()
    };
    let mut tokens = part
        .logprobs
        .take()
        .map(|json| list(json.as_str()))
        .unwrap_or_default();
    if let Some(raw) = Object::parse(chat)
        .ok()
        .and_then(|mut object| object.take("content"))
    {
        tokens.extend(list(raw.get()));
    }
    part.logprobs = Json::parse(format!("[{}]", tokens.join(",")).into());
}

/// JSON without line breaks between its values, as events demand. Within texts they are escaped.
pub(super) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], "")
}

/// The id of an item that has none: what it is, the answer, and which of its items.
pub(super) fn item_id(kind: &str, base: &str, number: usize) -> String {
    format!("{kind}{base}_{number}")
}

/// A call without arguments has an empty object, as OpenAI's models write it.
pub(super) fn arguments(arguments: &str) -> &str {
    if arguments.trim_ascii().is_empty() {
        "{}"
    } else {
        arguments
    }
}

/// A part of a message that is text.
pub(super) fn output_text(
    writer: &mut Writer<'_>,
    text: &str,
    citations: &[Citation<'_>],
    logprobs: Option<&Json<'_>>,
) {
    writer
        .open()
        .text_field("type", "output_text")
        .key("annotations")
        .open_array();
    for citation in citations {
        annotation(writer, citation, text);
    }
    writer.close_array().key("logprobs");
    match logprobs {
        Some(logprobs) => writer.raw(logprobs),
        None => writer.open_array().close_array(),
    };
    writer.text_field("text", text).close();
}

/// Whether it has a form here: places on the web only.
pub(super) fn is_annotation(citation: &Citation<'_>) -> bool {
    citation.url.is_some()
}

/// Where this text is from; without a place in it, all of it is. Nothing, if there is no form for it.
pub(super) fn annotation(writer: &mut Writer<'_>, citation: &Citation<'_>, text: &str) {
    let Some(url) = &citation.url else {
        return;
    };
    let end = citation.end.unwrap_or_else(|| text.chars().count() as u64);
    writer
        .open()
        .text_field("type", "url_citation")
        .key("start_index")
        .integer(citation.start.unwrap_or(0))
        .key("end_index")
        .integer(end)
        .text_field("title", citation.title.as_deref().unwrap_or_default())
        .text_field("url", url)
        .close();
}

/// A part of a message that is a refusal.
pub(super) fn refusal(writer: &mut Writer<'_>, text: &str) {
    writer
        .open()
        .text_field("type", "refusal")
        .text_field("refusal", text)
        .close();
}

/// A thought.
pub(super) fn reasoning(writer: &mut Writer<'_>, id: &str, text: &str, seal: Option<&str>) {
    writer
        .open()
        .text_field("id", id)
        .text_field("type", "reasoning")
        .key("summary")
        .open_array();
    if !text.is_empty() {
        summary(writer, text);
    }
    writer
        .close_array()
        .text_field_if("encrypted_content", seal)
        .close();
}

/// A paragraph of a thought.
pub(super) fn summary(writer: &mut Writer<'_>, text: &str) {
    writer
        .open()
        .text_field("type", "summary_text")
        .text_field("text", text)
        .close();
}
