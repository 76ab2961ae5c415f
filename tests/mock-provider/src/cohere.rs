//! Cohere's v2: <https://docs.cohere.com/reference/chat>, <https://docs.cohere.com/reference/chat-stream>,
//! <https://docs.cohere.com/reference/embed>.

mod rules;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, Refusal, flag, items, text, texts};
use crate::openai::embeddings::{packed, vector};
use crate::perform;
use crate::reply::{Finish, PROMPT_TOKENS, Part, Reply, Usage, Wish};
use crate::voice::{Dialect, Voice, typed};

/// The answer to `POST /v2/chat`.
pub(crate) fn chat(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let value = body(ask)?;
    rules::chat(&value)?;
    let messages = items(value.get("messages"));
    let tools = items(value.get("tools"))
        .iter()
        .filter_map(|tool| tool.get("function"));
    let tools = tools.map(|function| text(function, "name").to_owned());
    let wish = Wish {
        model: text(&value, "model").to_owned(),
        stream: flag(&value, "stream"),
        tools: match text(&value, "tool_choice") {
            "NONE" => Vec::new(),
            _ => tools.collect(),
        },
        parallel: true,
        answered: messages
            .last()
            .is_some_and(|last| text(last, "role") == "tool"),
        schema: value
            .pointer("/response_format/json_schema")
            .or(value.pointer("/response_format/schema"))
            .cloned(),
        count: 1,
        turns: messages.len(),
    };
    perform::chat(
        Dialect::Cohere,
        &wish,
        Box::new(Writer { turns: wish.turns }),
    )
}

/// The answer to `POST /v2/embed`.
pub(crate) fn embed(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let value = body(ask)?;
    rules::embed(&value)?;
    let inputs = items(value.get("texts")).len()
        + items(value.get("inputs")).len()
        + items(value.get("images")).len();
    let dimensions = value.get("output_dimension").and_then(Value::as_u64);
    let dimensions = dimensions
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or(1536);
    let mut kinds: Vec<&str> = texts(value.get("embedding_types")).collect();
    if kinds.is_empty() {
        kinds.push("float");
    }
    let vectors = |kind: &str| -> Value {
        let one = |input| match kind {
            "base64" => packed(vector(input, dimensions)).into(),
            _ => vector(input, dimensions).collect::<Value>(),
        };
        (0..inputs).map(one).collect()
    };
    let embeddings: serde_json::Map<String, Value> = kinds
        .iter()
        .map(|kind| ((*kind).to_owned(), vectors(kind)))
        .collect();
    let whole = json!({
        "id": "mock-embed", "embeddings": embeddings, "texts": value.get("texts").cloned().unwrap_or(json!([])), "images": [],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": PROMPT_TOKENS * inputs as u64}},
        "response_type": "embeddings_by_type",
    });
    perform::unary(
        Dialect::Cohere,
        text(&value, "model"),
        &whole.to_string().into(),
    )
}

fn body(ask: &Ask<'_>) -> Result<Value, Refusal> {
    if !ask
        .header("authorization")
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("bearer "))
    {
        return Err(Refusal::new(401, "no api key supplied"));
    }
    serde_json::from_slice(ask.body)
        .map_err(|error| Refusal::bad(format!("invalid json syntax: {error}")))
}

/// A refusal in Cohere's form. <https://docs.cohere.com/reference/errors>
pub(crate) fn refuse(refusal: &Refusal) -> Answer {
    let body = json!({"id": "mock-error", "message": refusal.message});
    Answer::json(refusal.status, body.to_string().into())
}

struct Writer {
    turns: usize,
}

impl Writer {
    fn call(&self, index: usize, name: &str, arguments: &str) -> Value {
        let id = format!("{name}_mock{}x{index}", self.turns);
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    }
}

const PLAN: &str = "I will call the tool.";

impl Voice for Writer {
    fn whole(&self, reply: &Reply) -> Bytes {
        let mut message = json!({"role": "assistant"});
        let mut contents = Vec::new();
        let mut calls = Vec::new();
        for part in &reply.parts {
            match part {
                Part::Thought(pieces) => {
                    contents.push(json!({"type": "thinking", "thinking": pieces.concat()}))
                }
                Part::Text(pieces) | Part::Refusal(pieces) => {
                    contents.push(json!({"type": "text", "text": pieces.concat()}))
                }
                Part::Call(name, arguments) => {
                    calls.push(self.call(calls.len(), name, &arguments.concat()))
                }
            }
        }
        if !contents.is_empty() {
            message["content"] = contents.into();
        }
        if !calls.is_empty() {
            message["tool_plan"] = PLAN.into();
            message["tool_calls"] = calls.into();
        }
        let whole = json!({"id": "mock-chat", "finish_reason": reason(reply.finish), "message": message, "usage": usage_json(&reply.usage)});
        whole.to_string().into()
    }

    fn events(&self, reply: &Reply) -> Vec<Bytes> {
        let mut events = vec![start()];
        let mut calls = 0;
        let delta = |index: usize, kind: &str, message: Value| {
            typed(&json!({"type": kind, "index": index, "delta": {"message": message}}))
        };
        for (index, part) in reply.parts.iter().enumerate() {
            match part {
                Part::Thought(pieces) | Part::Text(pieces) | Part::Refusal(pieces) => {
                    let field = if matches!(part, Part::Thought(_)) {
                        "thinking"
                    } else {
                        "text"
                    };
                    events.push(delta(
                        index,
                        "content-start",
                        json!({"content": {"type": field, field: ""}}),
                    ));
                    events.extend(pieces.iter().map(|piece| {
                        delta(index, "content-delta", json!({"content": {field: piece}}))
                    }));
                    events.push(typed(&json!({"type": "content-end", "index": index})));
                }
                Part::Call(name, arguments) => {
                    if calls == 0 {
                        let plan = json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": PLAN}}});
                        events.push(typed(&plan));
                    }
                    events.push(delta(
                        calls,
                        "tool-call-start",
                        json!({"tool_calls": self.call(calls, name, "")}),
                    ));
                    events.extend(arguments.iter().map(|piece| {
                        delta(
                            calls,
                            "tool-call-delta",
                            json!({"tool_calls": {"function": {"arguments": piece}}}),
                        )
                    }));
                    events.push(typed(&json!({"type": "tool-call-end", "index": calls})));
                    calls += 1;
                }
            }
        }
        events.extend(end(reply.finish, &reply.usage));
        events
    }

    fn opening(&self) -> Vec<Bytes> {
        let begin = json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}});
        vec![start(), typed(&begin)]
    }

    fn text(&self, _: usize, content: &str) -> Bytes {
        typed(
            &json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": content}}}}),
        )
    }

    fn closing(&self, count: usize, _: &dyn Fn() -> String) -> Vec<Bytes> {
        let mut events = vec![typed(&json!({"type": "content-end", "index": 0}))];
        events.extend(end(Finish::Stop, &Usage::plain(count)));
        events
    }

    fn failure(&self, count: usize) -> Bytes {
        let usage = usage_json(&Usage::plain(count));
        typed(
            &json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "internal server error", "usage": usage}}),
        )
    }
}

fn start() -> Bytes {
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    typed(&json!({"type": "message-start", "id": "mock-chat", "delta": {"message": message}}))
}

fn end(finish: Finish, usage: &Usage) -> [Bytes; 2] {
    let delta = json!({"finish_reason": reason(finish), "usage": usage_json(usage)});
    [
        typed(&json!({"type": "message-end", "delta": delta})),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ]
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        // Cohere has no word for a refusal.
        Finish::Stop | Finish::Refusal => "COMPLETE",
        Finish::Length => "MAX_TOKENS",
        Finish::Calls => "TOOL_CALL",
        Finish::Filter => "ERROR_TOXIC",
    }
}

fn usage_json(usage: &Usage) -> Value {
    let counts = json!({"input_tokens": usage.input, "output_tokens": usage.output});
    json!({"billed_units": counts, "tokens": counts, "cached_tokens": usage.cached})
}
