//! Plain answers of Chat Completions: <https://platform.openai.com/docs/api-reference/chat/object>.

use std::borrow::Cow;

use super::messages::arguments_text;
use super::reasoning;
use crate::answer::{Answer, Choice, Citation, Finish, Reason, Usage};
use crate::dialect::Reply;
use crate::json::{Object, Problem, Raw, Writer, elements, integer, text};
use crate::request::{Content, Part};

/// Reads a plain answer. Fields without a word in the model are passed over.
///
/// # Errors
/// It is none.
pub fn decode_answer(body: &str) -> Result<Answer<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let id = given(object.text("id")?);
    let list = object
        .array("choices")?
        .ok_or_else(|| Problem::new("is missing").at("choices"))?;
    let mut choices = Vec::with_capacity(list.len());
    let mut calls = Calls::new(id.as_deref());
    for (index, raw) in list.into_iter().enumerate() {
        let choice =
            choice(raw, &mut calls).map_err(|problem| problem.at_index(index).at("choices"))?;
        choices.push(choice);
    }
    Ok(Answer {
        id,
        model: given(object.text("model")?),
        // Some write fractions.
        created: object.take("created").and_then(|raw| integer(raw).ok()),
        choices,
        usage: object.object("usage")?.map(usage),
        service_tier: object.text("service_tier")?,
    })
}

/// A text that says something.
fn given(text: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    text.filter(|text| !text.is_empty())
}

/// Makes ids for calls that came without.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// What tells this answer from others, in letters and digits.
    base: String,
    made: u32,
}

impl Calls {
    pub(super) fn new(id: Option<&str>) -> Self {
        Self {
            base: id
                .unwrap_or_default()
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(48)
                .collect(),
            made: 0,
        }
    }

    pub(super) fn id<'a>(&mut self, given: Option<Cow<'a, str>>) -> Cow<'a, str> {
        given.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            let number = self.made;
            self.made += 1;
            Cow::Owned(format!("call_{}{number}", self.base))
        })
    }
}

fn choice<'a>(raw: Raw<'a>, calls: &mut Calls) -> Result<Choice<'a>, Problem> {
    let mut object = Object::of(raw)?;
    let message = object
        .object("message")?
        .ok_or_else(|| Problem::new("is missing").at("message"))?;
    let parts = message_parts(message, calls).map_err(|problem| problem.at("message"))?;
    let word = object.text("finish_reason")?;
    Ok(Choice {
        finish: finish(
            word.as_deref(),
            parts
                .iter()
                .any(|part| matches!(part.content, Content::ToolCall { .. })),
            parts
                .iter()
                .any(|part| matches!(part.content, Content::Refusal { .. })),
        ),
        parts,
        logprobs: object.json("logprobs"),
    })
}

fn message_parts<'a>(mut object: Object<'a>, calls: &mut Calls) -> Result<Vec<Part<'a>>, Problem> {
    let mut parts = reasoning::take_known(&mut object);
    if let Some(raw) = object.take("content") {
        content(raw, &mut |content| {
            if !is_empty(&content) {
                parts.push(content.into());
            }
        })
        .map_err(|problem| problem.at("content"))?;
    }
    let found = annotations(&mut object);
    let last = parts
        .iter_mut()
        .rev()
        .find_map(|part| match &mut part.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
    if let Some(last) = last {
        last.extend(found);
    }
    if let Some(text) = given(object.text("refusal")?) {
        parts.push(Content::Refusal { text }.into());
    }
    let list = object.array("tool_calls")?.unwrap_or_default();
    for (index, raw) in list.into_iter().enumerate() {
        let call = call(raw, calls).map_err(|problem| problem.at_index(index).at("tool_calls"))?;
        parts.push(call.into());
    }
    if let Some(function) = object.object("function_call")? {
        let call =
            function_call(function, None, calls).map_err(|problem| problem.at("function_call"))?;
        parts.push(call.into());
    }
    Ok(parts)
}

fn is_empty(content: &Content<'_>) -> bool {
    match content {
        Content::Text { text, .. } | Content::Reasoning { text, .. } => text.is_empty(),
        _ => false,
    }
}

/// An answer's content: a text, or Mistral's list of texts and thoughts; what else may be in one is passed over.
pub(super) fn content<'a>(raw: Raw<'a>, each: &mut impl FnMut(Content<'a>)) -> Result<(), Problem> {
    if raw.get().starts_with('"') {
        each(Content::text(text(raw)?));
        return Ok(());
    }
    let list = elements(raw).map_err(|_| Problem::new("must be text or a list of parts"))?;
    for (index, raw) in list.into_iter().enumerate() {
        let mut read = || -> Result<(), Problem> {
            let mut object = Object::of(raw)?;
            match &*object.required_text("type")? {
                "text" => each(Content::text(object.required_text("text")?)),
                "thinking" => each(reasoning::thinking(&mut object)?),
                _ => {}
            }
            Ok(())
        };
        read().map_err(|problem| problem.at_index(index))?;
    }
    Ok(())
}

fn call<'a>(raw: Raw<'a>, calls: &mut Calls) -> Result<Content<'a>, Problem> {
    let mut object = Object::of(raw)?;
    let id = object.text("id")?;
    let sign = reasoning::call_signature(&mut object)?;
    let function = object
        .object("function")?
        .ok_or_else(|| Problem::new("is missing").at("function"))?;
    let mut call = function_call(function, id, calls).map_err(|problem| problem.at("function"))?;
    if let Content::ToolCall { signature, .. } = &mut call {
        *signature = sign;
    }
    Ok(call)
}

fn function_call<'a>(
    mut function: Object<'a>,
    id: Option<Cow<'a, str>>,
    calls: &mut Calls,
) -> Result<Content<'a>, Problem> {
    Ok(Content::ToolCall {
        id: calls.id(id),
        name: function.required_text("name")?,
        arguments: function
            .take("arguments")
            .map(arguments)
            .transpose()
            .map_err(|problem| problem.at("arguments"))?
            .unwrap_or_default(),
        signature: None,
    })
}

/// A call's arguments: JSON in a text; some write the object itself.
pub(super) fn arguments(raw: Raw<'_>) -> Result<Cow<'_, str>, Problem> {
    if raw.get().starts_with('{') {
        return Ok(Cow::Borrowed(raw.get()));
    }
    text(raw)
}

/// Takes the places that a message's text is from; those on the web alone have a form that is documented.
pub(super) fn annotations<'a>(object: &mut Object<'a>) -> Vec<Citation<'a>> {
    object
        .array("annotations")
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|raw| citation(raw).ok()?)
        .collect()
}

pub(super) fn citation(raw: Raw<'_>) -> Result<Option<Citation<'_>>, Problem> {
    let mut object = Object::of(raw)?;
    let Some(mut found) = object.object("url_citation")? else {
        return Ok(None);
    };
    Ok(Some(Citation {
        url: found.text("url")?,
        title: found.text("title")?,
        // Beside OpenAI's fields at OpenRouter.
        quote: found.text("content")?,
        start: found.integer("start_index")?,
        end: found.integer("end_index")?,
        document: None,
    }))
}

/// What an answer cost. Numbers that are none count as absent, since they come at the end of a good answer.
pub(super) fn usage(mut object: Object<'_>) -> Usage {
    fn number(object: &mut Object<'_>, name: &str) -> Option<u64> {
        integer(object.take(name)?).ok()
    }
    let input = number(&mut object, "prompt_tokens").unwrap_or(0);
    let output = number(&mut object, "completion_tokens").unwrap_or(0);
    let total = number(&mut object, "total_tokens");
    let mut of_input = object.object("prompt_tokens_details").ok().flatten();
    let mut of_output = object.object("completion_tokens_details").ok().flatten();
    let cached = of_input
        .as_mut()
        .and_then(|object| number(object, "cached_tokens"))
        // Moonshot and DeepSeek.
        .or_else(|| number(&mut object, "cached_tokens"))
        .or_else(|| number(&mut object, "prompt_cache_hit_tokens"));
    let cache_written = of_input
        .as_mut()
        .and_then(|object| number(object, "cache_write_tokens"));
    let reasoning = of_output
        .as_mut()
        .and_then(|object| number(object, "reasoning_tokens"))
        .or_else(|| number(&mut object, "reasoning_tokens"));
    // xAI counts the thoughts beside the rest of the output and not in it; the total tells.
    let beside = reasoning.filter(|thought| {
        *thought > 0
            && total
                == input
                    .checked_add(output)
                    .and_then(|sum| sum.checked_add(*thought))
    });
    Usage {
        input,
        cached,
        cache_written,
        output: output.saturating_add(beside.unwrap_or(0)),
        reasoning,
    }
}

/// Why an answer ended, by its word, with the words of OpenAI's followers. A forced call ends in `stop`, and a refusal too.
pub(super) fn finish(word: Option<&str>, calls: bool, refused: bool) -> Finish<'static> {
    match word {
        Some("stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence") if calls => {
            Reason::ToolCalls
        }
        Some("stop" | "eos" | "eos_token" | "end_turn") if refused => Reason::Refusal,
        Some("stop" | "eos" | "eos_token" | "end_turn") => Reason::Stop,
        Some("stop_sequence") => Reason::StopSequence,
        Some("length" | "max_tokens" | "model_length") => Reason::Length,
        Some("tool_calls" | "function_call" | "tool_use") => Reason::ToolCalls,
        Some("content_filter" | "sensitive") => Reason::ContentFilter,
        Some("refusal") => Reason::Refusal,
        _ => Reason::Other,
    }
    .into()
}

/// OpenAI's word for why an answer ended; `refused` whether the refusal is told in words.
pub(super) fn finish_word(reason: Reason, refused: bool) -> &'static str {
    match reason {
        Reason::Stop | Reason::StopSequence | Reason::Other => "stop",
        // Cut short and may go on: what a client takes for complete it must not be.
        Reason::Length | Reason::Pause => "length",
        Reason::ToolCalls => "tool_calls",
        Reason::Refusal if refused => "stop",
        Reason::Refusal | Reason::ContentFilter => "content_filter",
    }
}

/// Writes a plain answer.
#[must_use]
pub fn encode_answer(answer: &Answer<'_>, reply: &Reply<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut writer = Writer::new(&mut out);
    writer.open();
    write_head(
        &mut writer,
        "chat.completion",
        answer.id.as_deref(),
        answer.model.as_deref(),
        answer.created,
        reply,
    );
    let old = wants_function_call(reply.request);
    writer.key("choices").open_array();
    for (choice, index) in answer.choices.iter().zip(0..) {
        write_choice(&mut writer, choice, index, old);
    }
    writer.close_array();
    if let Some(usage) = &answer.usage {
        writer.key("usage");
        write_usage(&mut writer, usage);
    }
    writer.text_field_if("service_tier", answer.service_tier.as_deref());
    writer.close();
    out
}

/// What answers and chunks begin with.
pub(super) fn write_head(
    writer: &mut Writer<'_>,
    kind: &str,
    id: Option<&str>,
    model: Option<&str>,
    created: Option<u64>,
    reply: &Reply<'_>,
) {
    match id {
        Some(id) => writer.text_field("id", id),
        None => writer.text_field("id", &format!("chatcmpl-{}", reply.id)),
    };
    writer
        .text_field("object", kind)
        .key("created")
        .integer(created.unwrap_or(reply.created))
        .text_field("model", model.unwrap_or(reply.model));
}

/// Whether the client knows calls only in OpenAI's old form.
pub(super) fn wants_function_call(request: &str) -> bool {
    memchr::memmem::find(request.as_bytes(), b"\"functions\"").is_some()
        && Object::parse(request).is_ok_and(|mut object| {
            object.take("functions").is_some() && object.take("tools").is_none()
        })
}

fn write_choice(writer: &mut Writer<'_>, choice: &Choice<'_>, index: u64, old: bool) {
    let parts = &choice.parts;
    writer
        .open()
        .key("index")
        .integer(index)
        .key("message")
        .open()
        .text_field("role", "assistant")
        .key("content");
    let text = joined(parts, |content| match content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    });
    match text {
        Some(text) => writer.text(&text),
        None => writer.null(),
    };
    writer.key("refusal");
    let refusal = joined(parts, |content| match content {
        Content::Refusal { text } => Some(text),
        _ => None,
    });
    match &refusal {
        Some(text) => writer.text(text),
        None => writer.null(),
    };
    writer.text_field_if("reasoning_content", reasoning::joined(parts).as_deref());
    reasoning::write_details(writer, 0, parts.iter().map(|part| &part.content));
    write_annotations(writer, parts);
    let old_call = write_calls(writer, parts, old);
    writer.close().key("logprobs");
    match &choice.logprobs {
        Some(logprobs) => writer.raw(logprobs),
        None => writer.null(),
    };
    let word = match finish_word(choice.finish.reason, refusal.is_some()) {
        "tool_calls" if old_call => "function_call",
        word => word,
    };
    writer.text_field("finish_reason", word).close();
}

/// The texts that `pick` picks, in one, since a message has a field for each kind.
pub(super) fn joined<'a>(
    parts: &'a [Part<'_>],
    pick: impl Fn(&'a Content<'_>) -> Option<&'a str>,
) -> Option<Cow<'a, str>> {
    parts
        .iter()
        .filter_map(|part| pick(&part.content))
        .filter(|text| !text.is_empty())
        .map(Cow::Borrowed)
        .reduce(|all, more| all + more)
}

fn write_annotations(writer: &mut Writer<'_>, parts: &[Part<'_>]) {
    let mut open = false;
    let mut before = 0;
    for part in parts {
        let Content::Text { text, citations } = &part.content else {
            continue;
        };
        let length = text.chars().count() as u64;
        for citation in citations {
            if citation.url.is_none() {
                continue;
            }
            if !open {
                open = true;
                writer.key("annotations").open_array();
            }
            write_citation(writer, citation, before, before + length);
        }
        before += length;
    }
    if open {
        writer.close_array();
    }
}

/// Writes where a text is from. It stands from `before` to `end` in all of the message's; without a place of its own the
/// citation is of all of the text.
pub(super) fn write_citation(
    writer: &mut Writer<'_>,
    citation: &Citation<'_>,
    before: u64,
    end: u64,
) {
    writer
        .open()
        .text_field("type", "url_citation")
        .key("url_citation")
        .open()
        .key("start_index")
        .integer(
            citation
                .start
                .map_or(before, |at| before.saturating_add(at)),
        )
        .key("end_index")
        .integer(citation.end.map_or(end, |at| before.saturating_add(at)))
        .text_field("url", citation.url.as_deref().unwrap_or_default())
        .text_field("title", citation.title.as_deref().unwrap_or_default())
        .text_field_if("content", citation.quote.as_deref())
        .close()
        .close();
}

/// Writes the calls, the first in OpenAI's old form if the client knows only that; whether it did.
fn write_calls(writer: &mut Writer<'_>, parts: &[Part<'_>], old: bool) -> bool {
    let mut calls = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => Some((id, name, arguments, signature)),
            _ => None,
        })
        .peekable();
    let first = if old { calls.next() } else { None };
    if let Some((_, name, arguments, _)) = first {
        writer
            .key("function_call")
            .open()
            .text_field("name", name)
            .text_field("arguments", arguments_text(arguments))
            .close();
    }
    if calls.peek().is_some() {
        writer.key("tool_calls").open_array();
        for (id, name, arguments, signature) in calls {
            writer
                .open()
                .text_field("id", id)
                .text_field("type", "function")
                .key("function")
                .open()
                .text_field("name", name)
                .text_field("arguments", arguments_text(arguments))
                .close();
            if let Some(signature) = signature {
                reasoning::write_call_signature(writer, signature);
            }
            writer.close();
        }
        writer.close_array();
    }
    first.is_some()
}

/// Writes what an answer cost.
pub(super) fn write_usage(writer: &mut Writer<'_>, usage: &Usage) {
    writer
        .open()
        .key("prompt_tokens")
        .integer(usage.input)
        .key("completion_tokens")
        .integer(usage.output)
        .key("total_tokens")
        .integer(usage.total());
    if usage.cached.is_some() || usage.cache_written.is_some() {
        writer
            .key("prompt_tokens_details")
            .open()
            .integer_field_if("cached_tokens", usage.cached)
            .integer_field_if("cache_write_tokens", usage.cache_written)
            .close();
    }
    if usage.reasoning.is_some() {
        writer
            .key("completion_tokens_details")
            .open()
            .integer_field_if("reasoning_tokens", usage.reasoning)
            .close();
    }
    writer.close();
}
