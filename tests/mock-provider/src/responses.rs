//! OpenAI's Responses: <https://platform.openai.com/docs/api-reference/responses>, and its stream:
//! <https://platform.openai.com/docs/api-reference/responses-streaming>.

mod rules;

use std::cell::RefCell;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::{Ask, Refusal, flag, items, text};
use crate::openai::{CREATED, authorised, choose};
use crate::perform;
use crate::reply::{Finish, Part, Reply, Usage, Wish};
use crate::voice::{Dialect, Voice, typed};

/// The answer to `POST /v1/responses`. Unlike chat completions, everything is validated under any path but `/lenient/`.
pub(crate) fn answer(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let value: Value = serde_json::from_slice(ask.body)
        .map_err(|error| Refusal::bad(format!("The request is not valid JSON: {error}")))?;
    if !ask.path.contains("/lenient/") {
        authorised(ask)?;
        rules::rules(&value)?;
    }
    let wish = wish(&value);
    let writer = Writer {
        parallel: wish.parallel,
        turns: wish.turns,
        asked: value,
    };
    perform::chat(Dialect::OpenAi, &wish, Box::new(writer))
}

fn wish(value: &Value) -> Wish {
    let input = items(value.get("input"));
    let tools = items(value.get("tools")).iter();
    let tools = tools.filter(|tool| text(tool, "type") == "function");
    let mut tools: Vec<String> = tools.map(|tool| text(tool, "name").to_owned()).collect();
    choose(&mut tools, value.get("tool_choice"), |choice| {
        choice.get("name")
    });
    let last = input.last().map(|item| text(item, "type"));
    Wish {
        model: text(value, "model").to_owned(),
        stream: flag(value, "stream"),
        tools,
        parallel: value.get("parallel_tool_calls") != Some(&Value::Bool(false)),
        answered: last == Some("function_call_output"),
        schema: value.pointer("/text/format/schema").cloned(),
        count: 1,
        turns: input.len(),
    }
}

struct Writer {
    /// The request, parts of which every response repeats.
    asked: Value,
    parallel: bool,
    turns: usize,
}

impl Writer {
    fn response(&self, status: &str, output: Vec<Value>, usage: Option<&Usage>) -> Value {
        let repeated = |name: &str, default: Value| {
            let given = self.asked.get(name).filter(|value| !value.is_null());
            given.cloned().unwrap_or(default)
        };
        json!({
            "id": "resp_mock", "object": "response", "created_at": CREATED, "status": status, "background": false,
            "error": null, "incomplete_details": null, "output": output,
            "model": self.asked["model"], "parallel_tool_calls": self.parallel,
            "instructions": repeated("instructions", Value::Null),
            "max_output_tokens": repeated("max_output_tokens", Value::Null),
            "metadata": repeated("metadata", json!({})),
            "previous_response_id": null,
            "reasoning": repeated("reasoning", json!({"effort": null, "summary": null})),
            "service_tier": "default", "store": repeated("store", json!(true)),
            "temperature": repeated("temperature", json!(1.0)), "top_p": repeated("top_p", json!(1.0)),
            "text": repeated("text", json!({"format": {"type": "text"}})),
            "tool_choice": repeated("tool_choice", json!("auto")), "tools": repeated("tools", json!([])),
            "truncation": "disabled", "usage": usage.map(usage_json), "user": null,
        })
    }

    /// A response at its end.
    fn ended(&self, reply: &Reply) -> Value {
        let status = match reply.finish {
            Finish::Length | Finish::Filter => "incomplete",
            _ => "completed",
        };
        let output = reply.parts.iter().enumerate();
        let output = output.map(|(index, part)| self.item(index, part)).collect();
        let mut response = self.response(status, output, Some(&reply.usage));
        response["incomplete_details"] = match reply.finish {
            Finish::Length => json!({"reason": "max_output_tokens"}),
            Finish::Filter => json!({"reason": "content_filter"}),
            _ => Value::Null,
        };
        response
    }

    fn item(&self, index: usize, part: &Part) -> Value {
        match part {
            Part::Thought(pieces) => json!({
                "type": "reasoning", "id": format!("rs_mock_{index}"), "encrypted_content": null,
                "summary": [{"type": "summary_text", "text": pieces.concat()}],
            }),
            Part::Text(_) | Part::Refusal(_) => json!({
                "type": "message", "id": format!("msg_mock_{index}"), "role": "assistant", "status": "completed",
                "content": [content(part)],
            }),
            Part::Call(name, arguments) => json!({
                "type": "function_call", "id": format!("fc_mock_{index}"), "status": "completed",
                "call_id": format!("call_mock_{}_{index}", self.turns), "name": name, "arguments": arguments.concat(),
            }),
        }
    }

    fn streamed(&self, index: usize, part: &Part, events: &Events) {
        let item = self.item(index, part);
        let id = &item["id"];
        let mut begun = item.clone();
        begun["status"] = "in_progress".into();
        let at = |more: Value| {
            let mut event = json!({"item_id": id, "output_index": index});
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
            event
        };
        match part {
            Part::Thought(pieces) => {
                if let Some(begun) = begun.as_object_mut() {
                    begun.remove("status");
                    begun.insert("summary".to_owned(), json!([]));
                }
                events.push(
                    "response.output_item.added",
                    json!({"output_index": index, "item": begun}),
                );
                let summary = |text: &str| json!({"summary_index": 0, "part": {"type": "summary_text", "text": text}});
                events.push("response.reasoning_summary_part.added", at(summary("")));
                for piece in pieces {
                    events.push(
                        "response.reasoning_summary_text.delta",
                        at(json!({"summary_index": 0, "delta": piece})),
                    );
                }
                let text = pieces.concat();
                events.push(
                    "response.reasoning_summary_text.done",
                    at(json!({"summary_index": 0, "text": text})),
                );
                events.push("response.reasoning_summary_part.done", at(summary(&text)));
            }
            Part::Text(pieces) | Part::Refusal(pieces) => {
                let (kind, field) = match part {
                    Part::Refusal(_) => ("response.refusal", "refusal"),
                    _ => ("response.output_text", "text"),
                };
                begun["content"] = json!([]);
                let mut empty = content(part);
                empty[field] = "".into();
                events.push(
                    "response.output_item.added",
                    json!({"output_index": index, "item": begun}),
                );
                events.push(
                    "response.content_part.added",
                    at(json!({"content_index": 0, "part": empty})),
                );
                for piece in pieces {
                    let mut delta = json!({"content_index": 0, "delta": piece});
                    if field == "text" {
                        delta["logprobs"] = json!([]);
                    }
                    events.push(&format!("{kind}.delta"), at(delta));
                }
                let mut done = json!({"content_index": 0, field: pieces.concat()});
                if field == "text" {
                    done["logprobs"] = json!([]);
                }
                events.push(&format!("{kind}.done"), at(done));
                events.push(
                    "response.content_part.done",
                    at(json!({"content_index": 0, "part": content(part)})),
                );
            }
            Part::Call(name, arguments) => {
                begun["arguments"] = "".into();
                events.push(
                    "response.output_item.added",
                    json!({"output_index": index, "item": begun}),
                );
                for piece in arguments {
                    events.push(
                        "response.function_call_arguments.delta",
                        at(json!({"delta": piece})),
                    );
                }
                let done = at(json!({"arguments": arguments.concat(), "name": name}));
                events.push("response.function_call_arguments.done", done);
            }
        }
        events.push(
            "response.output_item.done",
            json!({"output_index": index, "item": item}),
        );
    }

    fn begin(&self, events: &Events) {
        let response = self.response("in_progress", Vec::new(), None);
        events.push("response.created", json!({"response": response}));
        events.push("response.in_progress", json!({"response": response}));
    }

    /// How many events come before the texts of an endless stream.
    fn before(&self) -> usize {
        self.opening().len()
    }
}

impl Voice for Writer {
    fn whole(&self, reply: &Reply) -> Bytes {
        self.ended(reply).to_string().into()
    }

    fn events(&self, reply: &Reply) -> Vec<Bytes> {
        let events = Events::after(0);
        self.begin(&events);
        for (index, part) in reply.parts.iter().enumerate() {
            self.streamed(index, part, &events);
        }
        let response = self.ended(reply);
        let name = format!("response.{}", text(&response, "status"));
        events.push(&name, json!({"response": response}));
        events.all()
    }

    fn opening(&self) -> Vec<Bytes> {
        let events = Events::after(0);
        self.begin(&events);
        self.streamed(0, &Part::Text(Vec::new()), &events);
        let mut all = events.all();
        // Without the three events that end the text, its part and the item.
        all.truncate(all.len() - 3);
        all
    }

    fn text(&self, number: usize, content: &str) -> Bytes {
        typed(&json!({
            "type": "response.output_text.delta", "sequence_number": self.before() + number, "item_id": "msg_mock_0",
            "output_index": 0, "content_index": 0, "delta": content, "logprobs": [],
        }))
    }

    fn closing(&self, count: usize, said: &dyn Fn() -> String) -> Vec<Bytes> {
        let part = Part::Text(vec![said()]);
        let events = Events::after(self.before() + count);
        let item = self.item(0, &part);
        let at = json!({"item_id": item["id"], "output_index": 0, "content_index": 0});
        let mut done = at.clone();
        done["text"] = item["content"][0]["text"].clone();
        done["logprobs"] = json!([]);
        events.push("response.output_text.done", done);
        let mut done = at;
        done["part"] = item["content"][0].clone();
        events.push("response.content_part.done", done);
        events.push(
            "response.output_item.done",
            json!({"output_index": 0, "item": item}),
        );
        let response = self.ended(&Reply {
            usage: Usage::plain(count),
            parts: vec![part],
            ..Reply::text(&[])
        });
        events.push("response.completed", json!({"response": response}));
        events.all()
    }

    fn failure(&self, count: usize) -> Bytes {
        let mut response = self.response("failed", Vec::new(), None);
        response["error"] =
            json!({"code": "server_error", "message": "The model failed to generate a response."});
        let events = Events::after(self.before() + count);
        events.push("error", json!({"code": "server_error", "message": "The model failed to generate a response.", "param": null}));
        events.push("response.failed", json!({"response": response}));
        events.all().concat().into()
    }
}

/// Events, counted.
struct Events {
    before: usize,
    events: RefCell<Vec<Bytes>>,
}

impl Events {
    fn after(before: usize) -> Self {
        Self {
            before,
            events: RefCell::default(),
        }
    }

    fn push(&self, name: &str, mut event: Value) {
        let mut events = self.events.borrow_mut();
        event["type"] = name.into();
        event["sequence_number"] = json!(self.before + events.len());
        events.push(typed(&event));
    }

    fn all(self) -> Vec<Bytes> {
        self.events.into_inner()
    }
}

fn content(part: &Part) -> Value {
    match part {
        Part::Refusal(pieces) => json!({"type": "refusal", "refusal": pieces.concat()}),
        Part::Text(pieces) => {
            json!({"type": "output_text", "text": pieces.concat(), "annotations": [], "logprobs": []})
        }
        _ => Value::Null,
    }
}

fn usage_json(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}
