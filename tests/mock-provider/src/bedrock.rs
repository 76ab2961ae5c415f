//! AWS Bedrock's Converse and ConverseStream.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>

mod frame;
mod rules;
pub(crate) mod sigv4;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, Refusal, items};
use crate::perform;
use crate::reply::{Finish, Part, Reply, SIGNATURE, Usage, Wish};
use crate::voice::{Dialect, Voice};

/// The answer to `POST /model/{id}/converse` and `…/converse-stream`; the id is percent-encoded.
pub(crate) fn converse(ask: &Ask<'_>, model: &str, stream: bool) -> Result<Answer, Refusal> {
    authorised(ask)?;
    let model = decoded(model);
    let value: Value = serde_json::from_slice(ask.body).map_err(|_| {
        Refusal::bad("The request body is not valid JSON.").kind("SerializationException")
    })?;
    rules::rules(&value)?;
    let turns = items(value.get("messages"));
    let tools = items(value.pointer("/toolConfig/tools")).iter();
    let tools = tools.filter_map(|tool| tool.pointer("/toolSpec/name")?.as_str());
    let forced = value
        .pointer("/toolConfig/toolChoice/tool/name")
        .and_then(Value::as_str);
    let last = turns
        .last()
        .map(|turn| items(turn.get("content")))
        .unwrap_or_default();
    let wish = Wish {
        model,
        stream,
        tools: tools
            .filter(|name| forced.is_none_or(|forced| forced == *name))
            .map(str::to_owned)
            .collect(),
        // What Anthropic's models are told here.
        parallel: value
            .pointer("/additionalModelRequestFields/tool_choice/disable_parallel_tool_use")
            != Some(&Value::Bool(true)),
        answered: last.iter().any(|block| block.get("toolResult").is_some()),
        schema: rules::schema(&value),
        count: 1,
        turns: turns.len(),
    };
    let writer = Writer { turns: wish.turns };
    perform::chat(Dialect::Bedrock, &wish, Box::new(writer))
}

/// The list of foundation models.
pub(crate) fn models(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    authorised(ask)?;
    let body = json!({"modelSummaries": [{"modelId": "mock-model", "modelName": "mock-model", "providerName": "mock"}]});
    Ok(Answer::json(200, body.to_string().into()))
}

/// A signature, or a key of Bedrock's own as a bearer.
fn authorised(ask: &Ask<'_>) -> Result<(), Refusal> {
    match ask.header("authorization") {
        Some(value) if value.starts_with("AWS4-HMAC-SHA256 ") => sigv4::check(ask, value),
        Some(value) if value.starts_with("Bearer ") => Ok(()),
        _ => Err(Refusal::new(403, "Missing Authentication Token")
            .kind("MissingAuthenticationTokenException")),
    }
}

/// `%3A` and its like undone.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A refusal in AWS's form: what it is stands in a header.
pub(crate) fn refuse(refusal: &Refusal) -> Answer {
    let kind = refusal.kind.unwrap_or(match refusal.status {
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    });
    let body = json!({"message": refusal.message});
    let mut answer = Answer::json(refusal.status, body.to_string().into());
    answer.headers.insert(
        HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static(kind),
    );
    answer
}

struct Writer {
    turns: usize,
}

impl Writer {
    fn block(&self, index: usize, part: &Part) -> Value {
        match part {
            Part::Thought(pieces) => {
                json!({"reasoningContent": {"reasoningText": {"text": pieces.concat(), "signature": SIGNATURE}}})
            }
            Part::Text(pieces) | Part::Refusal(pieces) => json!({"text": pieces.concat()}),
            Part::Call(name, arguments) => {
                let input: Value = serde_json::from_str(&arguments.concat()).unwrap_or_default();
                json!({"toolUse": {"toolUseId": self.call_id(index), "name": name, "input": input}})
            }
        }
    }

    fn call_id(&self, index: usize) -> String {
        format!("tooluse_mock_{}_{index}", self.turns)
    }

    fn streamed(&self, index: usize, part: &Part) -> Vec<Bytes> {
        let mut events = Vec::new();
        match part {
            Part::Thought(pieces) => {
                for piece in pieces {
                    events.push(delta(index, &json!({"reasoningContent": {"text": piece}})));
                }
                events.push(delta(
                    index,
                    &json!({"reasoningContent": {"signature": SIGNATURE}}),
                ));
            }
            Part::Text(pieces) | Part::Refusal(pieces) => {
                events.extend(
                    pieces
                        .iter()
                        .map(|piece| delta(index, &json!({"text": piece}))),
                );
            }
            Part::Call(name, arguments) => {
                let start = json!({"toolUse": {"toolUseId": self.call_id(index), "name": name}});
                let start = json!({"contentBlockIndex": index, "start": start});
                events.push(frame::event("contentBlockStart", &start));
                events.extend(
                    arguments
                        .iter()
                        .map(|piece| delta(index, &json!({"toolUse": {"input": piece}}))),
                );
            }
        }
        events.push(stop(index));
        events
    }
}

impl Voice for Writer {
    fn whole(&self, reply: &Reply) -> Bytes {
        let blocks = reply.parts.iter().enumerate();
        let content: Vec<Value> = blocks
            .map(|(index, part)| self.block(index, part))
            .collect();
        json!({
            "metrics": {"latencyMs": 1}, "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": reason(reply.finish), "usage": usage_json(&reply.usage),
        })
        .to_string()
        .into()
    }

    fn events(&self, reply: &Reply) -> Vec<Bytes> {
        let mut events = self.opening();
        for (index, part) in reply.parts.iter().enumerate() {
            events.extend(self.streamed(index, part));
        }
        events.extend(end(reply.finish, &reply.usage));
        events
    }

    fn opening(&self) -> Vec<Bytes> {
        vec![frame::event("messageStart", &json!({"role": "assistant"}))]
    }

    fn text(&self, _: usize, content: &str) -> Bytes {
        delta(0, &json!({"text": content}))
    }

    fn closing(&self, count: usize, _: &dyn Fn() -> String) -> Vec<Bytes> {
        let mut events = vec![stop(0)];
        events.extend(end(Finish::Stop, &Usage::plain(count)));
        events
    }

    fn failure(&self, _: usize) -> Bytes {
        let message = json!({"message": "The model returned an error while it was streaming.", "originalStatusCode": 500});
        frame::exception("modelStreamErrorException", &message)
    }

    fn content_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }
}

fn delta(index: usize, delta: &Value) -> Bytes {
    frame::event(
        "contentBlockDelta",
        &json!({"contentBlockIndex": index, "delta": delta}),
    )
}

fn stop(index: usize) -> Bytes {
    frame::event("contentBlockStop", &json!({"contentBlockIndex": index}))
}

fn end(finish: Finish, usage: &Usage) -> [Bytes; 2] {
    let metadata = json!({"metrics": {"latencyMs": 1}, "usage": usage_json(usage)});
    [
        frame::event("messageStop", &json!({"stopReason": reason(finish)})),
        frame::event("metadata", &metadata),
    ]
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Filter => "content_filtered",
        Finish::Refusal => "guardrail_intervened",
    }
}

/// `inputTokens` are those that no cache had to do with.
fn usage_json(usage: &Usage) -> Value {
    let mut counts = json!({
        "inputTokens": usage.fresh(), "outputTokens": usage.output, "totalTokens": usage.total(),
    });
    if usage.cached > 0 {
        counts["cacheReadInputTokens"] = json!(usage.cached);
        counts["cacheWriteInputTokens"] = json!(usage.written);
    }
    counts
}
