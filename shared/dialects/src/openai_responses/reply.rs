//! Writes answers: <https://platform.openai.com/docs/api-reference/responses/object>.
//!
//! A response repeats what was asked for; that is taken from the client's request, with OpenAI's defaults for the rest.
//! Nothing is kept here, so it is never said to be stored.

use super::items::{self, Item};
use crate::answer::{Answer, Reason, Usage};
use crate::dialect::Reply;
use crate::json::{Json, Object, Raw, Writer};
use crate::request::Content;

/// Writes a plain answer. Only one choice has a place in it; requests for more were refused.
#[must_use]
pub fn encode_answer(answer: &Answer<'_>, reply: &Reply<'_>) -> Vec<u8> {
    let choice = answer.choices.first();
    let parts = choice.map_or(&[][..], |choice| &choice.parts);
    let refused = parts
        .iter()
        .any(|part| matches!(part.content, Content::Refusal { .. }));
    let reason = choice.map_or(Reason::default(), |choice| choice.finish.reason);
    let status = Status::of(reason, refused);
    let mut items = items::of_parts(parts, reply.id);
    if matches!(status, Status::Incomplete(_)) {
        items::cut_off(&mut items);
    }
    if let Some(logprobs) = choice.and_then(|choice| choice.logprobs.as_ref()) {
        items::add_logprobs(&mut items, logprobs.as_str());
    }
    let mut out = Vec::with_capacity(1024);
    Response {
        echo: &Echo::new(reply.request),
        id: &response_id(answer.id.as_deref(), reply.id),
        model: answer.model.as_deref().unwrap_or(reply.model),
        created: answer.created.unwrap_or(reply.created),
        status,
        items: &items,
        usage: answer.usage.as_ref(),
        service_tier: answer.service_tier.as_deref(),
    }
    .write(&mut Writer::new(&mut out));
    out
}

/// OpenAI's ids of responses begin with `resp_`; clients and tools rely on that.
pub(super) fn response_id(given: Option<&str>, base: &str) -> String {
    match given {
        Some(id) if id.starts_with("resp_") => id.to_owned(),
        Some(id) => format!("resp_{id}"),
        None => format!("resp_{base}"),
    }
}

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It is under way.
    InProgress,
    /// It is complete.
    Completed,
    /// It was cut off, for this reason.
    Incomplete(&'static str),
}

impl Status {
    /// How a response ends; `refused` whether the refusal is told in words.
    pub(super) fn of(reason: Reason, refused: bool) -> Self {
        match reason {
            Reason::Stop | Reason::StopSequence | Reason::ToolCalls | Reason::Other => {
                Self::Completed
            }
            // Cut short and may go on: what a client takes for complete it must not be.
            Reason::Length | Reason::Pause => Self::Incomplete("max_output_tokens"),
            Reason::Refusal if refused => Self::Completed,
            Reason::Refusal | Reason::ContentFilter => Self::Incomplete("content_filter"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }

    /// The event that tells of it.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::InProgress => "response.in_progress",
            Self::Completed => "response.completed",
            Self::Incomplete(_) => "response.incomplete",
        }
    }
}

/// What a response repeats of its request: the fields before `model`, and those behind `output`.
#[derive(Debug)]
pub(super) struct Echo {
    before: Vec<Field>,
    behind: Vec<Field>,
}

type Field = (&'static str, Json<'static>);

impl Echo {
    pub(super) fn new(request: &str) -> Self {
        let mut object = Object::parse(request).ok();
        let mut echo = |fields: &[(&'static str, &'static str)]| {
            fields
                .iter()
                .filter_map(|(name, default)| {
                    let given = object.as_mut().and_then(|object| object.take(name));
                    let value = match (*name, given) {
                        ("reasoning", given) => {
                            nested(given, &[("effort", "null"), ("summary", "null")])
                        }
                        ("text", given) => nested(given, &[("format", r#"{"type":"text"}"#)]),
                        (_, Some(given)) => items::one_line(given.get()),
                        (_, None) => (*default).to_owned(),
                    };
                    Some((*name, Json::parse(value.into())?))
                })
                .collect()
        };
        let before = echo(&[
            ("instructions", "null"),
            ("max_output_tokens", "null"),
            ("max_tool_calls", "null"),
        ]);
        let behind = echo(&[
            ("parallel_tool_calls", "true"),
            ("prompt_cache_key", "null"),
            ("reasoning", ""),
            ("safety_identifier", "null"),
            ("temperature", "1.0"),
            ("text", ""),
            ("tool_choice", r#""auto""#),
            ("tools", "[]"),
            ("top_logprobs", "0"),
            ("top_p", "1.0"),
            ("truncation", r#""disabled""#),
            ("user", "null"),
            ("metadata", "{}"),
        ]);
        Self { before, behind }
    }
}

fn write_fields(writer: &mut Writer<'_>, fields: &[Field]) {
    for (name, value) in fields {
        writer.key(name).raw(value);
    }
}

/// An object with these fields, as given or by default, and the others that were given.
fn nested(given: Option<Raw<'_>>, fields: &[(&str, &str)]) -> String {
    let mut given = given.and_then(|raw| Object::of(raw).ok());
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.open();
    for (name, default) in fields {
        let value = given.as_mut().and_then(|object| object.json(name));
        let default = Json::parse((*default).into());
        writer.raw_field_if(name, value.or(default).as_ref());
    }
    for (name, raw) in given.into_iter().flat_map(Object::rest) {
        writer.key(&name).raw(&raw.into());
    }
    writer.close();
    items::one_line(&String::from_utf8(out).unwrap_or_default())
}

/// A whole response.
pub(super) struct Response<'r, 'i> {
    pub(super) echo: &'r Echo,
    pub(super) id: &'r str,
    pub(super) model: &'r str,
    pub(super) created: u64,
    pub(super) status: Status,
    pub(super) items: &'r [Item<'i>],
    pub(super) usage: Option<&'r Usage>,
    pub(super) service_tier: Option<&'r str>,
}

impl Response<'_, '_> {
    /// Writes it where a value is due.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer
            .open()
            .text_field("id", self.id)
            .text_field("object", "response")
            .key("created_at")
            .integer(self.created)
            .text_field("status", self.status.word())
            .key("background")
            .boolean(false)
            .key("error")
            .null()
            .key("incomplete_details");
        match self.status {
            Status::Incomplete(reason) => writer.open().text_field("reason", reason).close(),
            Status::InProgress | Status::Completed => writer.null(),
        };
        write_fields(writer, &self.echo.before);
        writer
            .text_field("model", self.model)
            .key("output")
            .open_array();
        for item in self.items {
            item.write(writer);
        }
        writer
            .close_array()
            .key("previous_response_id")
            .null()
            .key("service_tier");
        match self.service_tier {
            Some(tier) => writer.text(tier),
            None => writer.null(),
        };
        writer.key("store").boolean(false);
        write_fields(writer, &self.echo.behind);
        writer.key("usage");
        match self.usage {
            Some(usage) => write_usage(writer, usage),
            None => {
                writer.null();
            }
        }
        writer.close();
    }
}

fn write_usage(writer: &mut Writer<'_>, usage: &Usage) {
    writer
        .open()
        .key("input_tokens")
        .integer(usage.input)
        .key("input_tokens_details")
        .open()
        .key("cached_tokens")
        .integer(usage.cached.unwrap_or(0))
        .key("cache_write_tokens")
        .integer(usage.cache_written.unwrap_or(0))
        .close()
        .key("output_tokens")
        .integer(usage.output)
        .key("output_tokens_details")
        .open()
        .key("reasoning_tokens")
        .integer(usage.reasoning.unwrap_or(0))
        .close()
        .key("total_tokens")
        .integer(usage.total())
        .close();
}
