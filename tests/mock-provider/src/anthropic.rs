//! Anthropic's Messages: <https://platform.claude.com/docs/en/api/messages>, and its stream:
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>. Of the API's versions, 2023-06-01 and 2026-10-21
//! (<https://platform.claude.com/docs/en/api/versioning>), the later one has no sampling parameters any more.

mod blocks;
mod rules;
mod tools;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, Refusal, flag, items, text};
use crate::perform;
use crate::reply::{Finish, Part, Reply, SIGNATURE, Usage, Wish};
use crate::voice::{Dialect, Voice, named, typed};

/// The answer to `POST /v1/messages`.
pub(crate) fn messages(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let version = headers(ask)?;
    let value = body(ask)?;
    rules::messages(&value, version, ask.header("anthropic-beta").is_some())?;
    let wish = wish(&value);
    let writer = Writer {
        model: wish.model.clone(),
        turns: wish.turns,
    };
    perform::chat(Dialect::Anthropic, &wish, Box::new(writer))
}

/// The answer to `POST /v1/messages/count_tokens`.
pub(crate) fn count_tokens(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let version = headers(ask)?;
    let value = body(ask)?;
    rules::count_tokens(&value, version, ask.header("anthropic-beta").is_some())?;
    let whole = json!({"input_tokens": 14}).to_string().into();
    perform::unary(Dialect::Anthropic, text(&value, "model"), &whole)
}

/// The list of models, or one of them.
pub(crate) fn models(ask: &Ask<'_>, one: Option<&str>) -> Result<Answer, Refusal> {
    headers(ask)?;
    let model = |id: &str| json!({"type": "model", "id": id, "display_name": id, "created_at": "2023-11-14T22:13:20Z"});
    let body = match one {
        Some(id) => model(id),
        None => {
            let data = ["mock-model", "claude-sonnet-4-5"].map(model);
            json!({"data": data, "has_more": false, "first_id": "mock-model", "last_id": "claude-sonnet-4-5"})
        }
    };
    Ok(Answer::json(200, body.to_string().into()))
}

/// Which version of the API is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// 2023-06-01.
    First,
    /// 2026-10-21.
    Second,
}

/// The key comes as `x-api-key` or, from SDKs of the second version, as a bearer.
fn headers(ask: &Ask<'_>) -> Result<Version, Refusal> {
    if ask.secret.is_none() {
        return Err(Refusal::new(401, "x-api-key header is required"));
    }
    match ask.header("anthropic-version") {
        Some("2023-06-01") => Ok(Version::First),
        Some("2026-10-21") => Ok(Version::Second),
        Some(other) => Err(Refusal::bad(format!(
            "anthropic-version: \"{other}\" is not a valid version. Read more about versioning here: https://docs.claude.com/en/api/versioning"
        ))),
        None => Err(Refusal::bad("anthropic-version: header is required")),
    }
}

fn body(ask: &Ask<'_>) -> Result<Value, Refusal> {
    serde_json::from_slice(ask.body)
        .map_err(|error| Refusal::bad(format!("The request body is not valid JSON: {error}")))
}

fn wish(value: &Value) -> Wish {
    let turns = items(value.get("messages"));
    let choice = value.get("tool_choice").cloned().unwrap_or_default();
    let forced = text(&choice, "name");
    let tools = items(value.get("tools"))
        .iter()
        .map(|tool| text(tool, "name"));
    let tools = tools.filter(|name| forced.is_empty() || *name == forced);
    let is_result = |block: &Value| text(block, "type") == "tool_result";
    Wish {
        model: text(value, "model").to_owned(),
        stream: flag(value, "stream"),
        tools: match text(&choice, "type") {
            "none" => Vec::new(),
            _ => tools.map(str::to_owned).collect(),
        },
        parallel: !flag(&choice, "disable_parallel_tool_use"),
        answered: turns
            .last()
            .is_some_and(|last| items(last.get("content")).iter().any(is_result)),
        schema: value.pointer("/output_config/format/schema").cloned(),
        count: 1,
        turns: turns.len(),
    }
}

/// A refusal in Anthropic's form. <https://platform.claude.com/docs/en/api/errors>
pub(crate) fn refuse(refusal: &Refusal) -> Answer {
    let kind = match refusal.status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let body = json!({
        "type": "error", "request_id": "req_mock",
        "error": {"type": refusal.kind.unwrap_or(kind), "message": refusal.message},
    });
    Answer::json(refusal.status, body.to_string().into())
}

struct Writer {
    model: String,
    turns: usize,
}

impl Writer {
    fn start(&self, usage: &Usage) -> Bytes {
        let mut message = self.message(usage);
        message["usage"]["output_tokens"] = json!(1);
        typed(&json!({"type": "message_start", "message": message}))
    }

    fn message(&self, usage: &Usage) -> Value {
        json!({
            "id": "msg_mock", "type": "message", "role": "assistant", "model": self.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "stop_details": null, "usage": usage_json(usage),
        })
    }

    fn block(&self, index: usize, part: &Part) -> Value {
        match part {
            Part::Thought(pieces) => {
                json!({"type": "thinking", "thinking": pieces.concat(), "signature": SIGNATURE})
            }
            Part::Text(pieces) | Part::Refusal(pieces) => {
                json!({"type": "text", "text": pieces.concat()})
            }
            Part::Call(name, arguments) => {
                let input: Value = serde_json::from_str(&arguments.concat()).unwrap_or_default();
                let id = format!("toolu_mock_{}_{index}", self.turns);
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        }
    }

    /// The events of one block.
    fn streamed(&self, index: usize, part: &Part) -> Vec<Bytes> {
        let mut start = self.block(index, part);
        let (field, empty) = match part {
            Part::Thought(_) => ("thinking", json!("")),
            Part::Text(_) | Part::Refusal(_) => ("text", json!("")),
            Part::Call(..) => ("input", json!({})),
        };
        start[field] = empty;
        if matches!(part, Part::Thought(_)) {
            start["signature"] = json!("");
        }
        let mut events = vec![block_start(index, &start)];
        let mut delta = |delta: Value| {
            events.push(typed(
                &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        };
        match part {
            Part::Thought(pieces) => {
                for piece in pieces {
                    delta(json!({"type": "thinking_delta", "thinking": piece}));
                }
                delta(json!({"type": "signature_delta", "signature": SIGNATURE}));
            }
            Part::Text(pieces) | Part::Refusal(pieces) => {
                for piece in pieces {
                    delta(json!({"type": "text_delta", "text": piece}));
                }
            }
            Part::Call(_, arguments) => {
                delta(json!({"type": "input_json_delta", "partial_json": ""}));
                for piece in arguments {
                    delta(json!({"type": "input_json_delta", "partial_json": piece}));
                }
            }
        }
        events.push(block_stop(index));
        events
    }
}

impl Voice for Writer {
    fn whole(&self, reply: &Reply) -> Bytes {
        let mut message = self.message(&reply.usage);
        let blocks = reply.parts.iter().enumerate();
        message["content"] = blocks
            .map(|(index, part)| self.block(index, part))
            .collect();
        message["stop_reason"] = reason(reply.finish).into();
        message["stop_details"] = details(reply.finish);
        message.to_string().into()
    }

    fn events(&self, reply: &Reply) -> Vec<Bytes> {
        let mut events = vec![self.start(&reply.usage), typed(&json!({"type": "ping"}))];
        for (index, part) in reply.parts.iter().enumerate() {
            events.extend(self.streamed(index, part));
        }
        events.extend(end(reply.finish, &reply.usage));
        events
    }

    fn opening(&self) -> Vec<Bytes> {
        vec![
            self.start(&Usage::plain(0)),
            block_start(0, &json!({"type": "text", "text": ""})),
            typed(&json!({"type": "ping"})),
        ]
    }

    fn text(&self, _: usize, content: &str) -> Bytes {
        typed(
            &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": content}}),
        )
    }

    fn closing(&self, count: usize, _: &dyn Fn() -> String) -> Vec<Bytes> {
        let mut events = vec![block_stop(0)];
        events.extend(end(Finish::Stop, &Usage::plain(count)));
        events
    }

    fn failure(&self, _: usize) -> Bytes {
        let error = json!({"type": "overloaded_error", "message": "Overloaded"});
        named(
            "error",
            &json!({"type": "error", "error": error, "request_id": "req_mock"}),
        )
    }
}

fn block_start(index: usize, block: &Value) -> Bytes {
    typed(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn block_stop(index: usize) -> Bytes {
    typed(&json!({"type": "content_block_stop", "index": index}))
}

fn end(finish: Finish, usage: &Usage) -> [Bytes; 2] {
    let delta = json!({"stop_reason": reason(finish), "stop_sequence": null, "stop_details": details(finish)});
    [
        typed(&json!({"type": "message_delta", "delta": delta, "usage": usage_json(usage)})),
        typed(&json!({"type": "message_stop"})),
    ]
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Filter | Finish::Refusal => "refusal",
    }
}

fn details(finish: Finish) -> Value {
    match finish {
        Finish::Filter | Finish::Refusal => {
            json!({"type": "refusal", "category": null, "explanation": null})
        }
        _ => Value::Null,
    }
}

/// `input_tokens` are those that no cache had to do with; thoughts count as output.
fn usage_json(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.fresh(), "output_tokens": usage.output,
        "cache_read_input_tokens": usage.cached, "cache_creation_input_tokens": usage.written,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens_details": {"thinking_tokens": usage.reasoning}, "service_tier": "standard",
    })
}
