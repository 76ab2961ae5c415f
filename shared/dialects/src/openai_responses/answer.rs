//! Reads plain answers of the Responses API: <https://platform.openai.com/docs/api-reference/responses/object>.

use std::borrow::Cow;

use super::input::annotations;
use super::reasoning::{self, Thought};
use crate::answer::{Answer, Choice, Finish, Reason, Usage};
use crate::json::{Json, Object, Problem, Raw, elements, integer};
use crate::request::{Content, Part};

/// Reads a plain answer. Items and fields without a word in the model are passed over: what OpenAI's own tools did, say.
///
/// # Errors
/// It is none, or tells of a failure.
pub fn decode_answer(body: &str) -> Result<Answer<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let mut end = ending(&mut object)?;
    let has = |wanted: fn(&Content<'_>) -> bool| end.parts.iter().any(|part| wanted(&part.content));
    let called = has(|content| matches!(content, Content::ToolCall { .. }));
    let refused = has(|content| matches!(content, Content::Refusal { .. }));
    if let Some(failure) = object.object("error")? {
        return Err(failed(failure));
    }
    Ok(Answer {
        id: object.text("id")?,
        model: object.text("model")?,
        // Some write fractions.
        created: object.take("created_at").and_then(|raw| integer(raw).ok()),
        choices: vec![Choice {
            finish: end.finish(called, refused),
            logprobs: end.logprobs(),
            parts: end.parts,
        }],
        usage: end.usage,
        service_tier: object.text("service_tier")?,
    })
}

/// In the provider's own words, shortened.
fn failed(mut failure: Object<'_>) -> Problem {
    let mut word = |name: &str| failure.text(name).ok().flatten();
    let said = word("message").or_else(|| word("code"));
    let said: String = said.as_deref().unwrap_or("?").chars().take(200).collect();
    Problem::new(format!("tells of a failure: {said}")).at("error")
}

/// What a response says when it has ended.
pub(super) struct Ending<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) usage: Option<Usage>,
    status: Option<Cow<'a, str>>,
    incomplete: Option<Cow<'a, str>>,
    logprobs: Vec<Raw<'a>>,
}

/// Takes what says how it ended.
pub(super) fn ending<'a>(object: &mut Object<'a>) -> Result<Ending<'a>, Problem> {
    let mut end = Ending {
        parts: Vec::new(),
        usage: object.object("usage")?.map(usage),
        status: object.text("status")?,
        incomplete: match object.object("incomplete_details")? {
            Some(mut details) => details
                .text("reason")
                .map_err(|problem| problem.at("incomplete_details"))?,
            None => None,
        },
        logprobs: Vec::new(),
    };
    let items = object.array("output")?.unwrap_or_default();
    for (index, raw) in items.into_iter().enumerate() {
        Object::of(raw)
            .and_then(|item| parts(item, &mut end.parts, &mut end.logprobs))
            .map_err(|problem| problem.at_index(index).at("output"))?;
    }
    Ok(end)
}

impl<'a> Ending<'a> {
    /// Why it ended. Calls and refusals are told by what is there.
    pub(super) fn finish(&self, called: bool, refused: bool) -> Finish<'static> {
        match (self.status.as_deref(), self.incomplete.as_deref()) {
            // The second is in the reference's own example of `response.incomplete`.
            (_, Some("max_output_tokens" | "max_tokens")) => Reason::Length,
            (_, Some("content_filter")) => Reason::ContentFilter,
            (Some("completed") | None, None) if called => Reason::ToolCalls,
            (Some("completed") | None, None) if refused => Reason::Refusal,
            (Some("completed") | None, None) => Reason::Stop,
            _ => Reason::Other,
        }
        .into()
    }

    /// All log probabilities, in OpenAI's form for chats.
    pub(super) fn logprobs(&mut self) -> Option<Json<'static>> {
        let tokens: Vec<&str> = self.logprobs.drain(..).map(|raw| raw.get()).collect();
        if tokens.is_empty() {
            return None;
        }
        let text = format!(r#"{{"content":[{}],"refusal":null}}"#, tokens.join(","));
        Json::parse(text.into())
    }
}

/// Reads what an item says.
pub(super) fn parts<'a>(
    mut item: Object<'a>,
    parts: &mut Vec<Part<'a>>,
    logprobs: &mut Vec<Raw<'a>>,
) -> Result<(), Problem> {
    match &*item.required_text("type")? {
        "message" => {
            let contents = item.array("content")?.unwrap_or_default();
            for (index, raw) in contents.into_iter().enumerate() {
                let read = Object::of(raw).and_then(|part| content(part, logprobs));
                let content = read.map_err(|problem| problem.at_index(index).at("content"))?;
                parts.extend(content.map(Part::from));
            }
        }
        "reasoning" => match reasoning::take(&mut item)? {
            Thought::Content(content) => parts.push(content.into()),
            Thought::Proof(proof) => {
                reasoning::prove(parts, proof);
            }
            Thought::Nothing => {}
        },
        kind => {
            if let Some(field) = arguments_field(kind) {
                let (id, name) = call(&mut item)?;
                let call = Content::ToolCall {
                    id,
                    name,
                    arguments: item.text(field)?.unwrap_or_default(),
                    signature: None,
                };
                parts.push(call.into());
            }
        }
    }
    Ok(())
}

/// A part of a message; empty ones are none.
pub(super) fn content<'a>(
    mut part: Object<'a>,
    logprobs: &mut Vec<Raw<'a>>,
) -> Result<Option<Content<'a>>, Problem> {
    Ok(match &*part.required_text("type")? {
        "output_text" => {
            if let Some(raw) = part.take("logprobs") {
                logprobs.extend(elements(raw).map_err(|problem| problem.at("logprobs"))?);
            }
            let text = part.required_text("text")?;
            let citations = annotations(&mut part)?;
            (!text.is_empty()).then_some(Content::Text { text, citations })
        }
        "refusal" => {
            let text = part.required_text("refusal")?;
            (!text.is_empty()).then_some(Content::Refusal { text })
        }
        _ => None,
    })
}

/// The field that has the arguments of a call, if it is an item of one. Those of custom tools are free text.
pub(super) fn arguments_field(kind: &str) -> Option<&'static str> {
    match kind {
        "function_call" => Some("arguments"),
        "custom_tool_call" => Some("input"),
        _ => None,
    }
}

/// A call's id and its tool's name.
pub(super) fn call<'a>(item: &mut Object<'a>) -> Result<(Cow<'a, str>, Cow<'a, str>), Problem> {
    Ok((item.required_text("call_id")?, item.required_text("name")?))
}

/// What an answer cost. Numbers that are none count as absent, since they come at the end of a good answer.
fn usage(mut object: Object<'_>) -> Usage {
    fn number(object: &mut Object<'_>, name: &str) -> Option<u64> {
        integer(object.take(name)?).ok()
    }
    fn detail(object: &mut Object<'_>, of: &str, names: [&str; 2]) -> [Option<u64>; 2] {
        match object.object(of) {
            Ok(Some(mut details)) => names.map(|name| number(&mut details, name)),
            _ => [None; 2],
        }
    }
    let [cached, cache_written] = detail(
        &mut object,
        "input_tokens_details",
        ["cached_tokens", "cache_write_tokens"],
    );
    let [reasoning, _] = detail(
        &mut object,
        "output_tokens_details",
        ["reasoning_tokens", ""],
    );
    Usage {
        input: number(&mut object, "input_tokens").unwrap_or(0),
        cached,
        cache_written,
        output: number(&mut object, "output_tokens").unwrap_or(0),
        reasoning,
    }
}
