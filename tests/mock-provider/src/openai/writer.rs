//! Chat completions and text completions, whole and streamed, with the fields in OpenAI's own order.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CREATED, Request, Surface};
use crate::behaviour::ReasoningField;
use crate::reply::{Finish, Part, Reply, Usage, Wish};
use crate::voice::{Voice, quoted};

/// The end of a stream.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// The answers to one request.
pub(super) struct Writer {
    surface: Surface,
    /// The model's name as JSON.
    model: String,
    include_usage: bool,
    count: usize,
    turns: usize,
    /// What every event begins with, up to its choices, and ends with.
    event_start: String,
    event_end: &'static str,
    /// Azure tells of its content filter, in an event of its own.
    azure: bool,
}

impl Writer {
    pub(super) fn new(surface: Surface, request: &Request<'_>, wish: &Wish, azure: bool) -> Self {
        let (id, object) = match surface {
            Surface::Chat => ("chatcmpl-mock", "chat.completion.chunk"),
            _ => ("cmpl-mock", "text_completion"),
        };
        let model = quoted(&request.model);
        let include_usage = request.include_usage();
        Self {
            surface,
            include_usage,
            count: wish.count,
            turns: wish.turns,
            event_start: format!(
                r#"data: {{"id":"{id}","object":"{object}","created":{CREATED},"model":{model},"system_fingerprint":"fp_mock","choices":["#
            ),
            // With usage asked for, every chunk has the field and only the last one a value.
            event_end: if include_usage {
                "],\"usage\":null}\n\n"
            } else {
                "]}\n\n"
            },
            model,
            azure,
        }
    }

    fn chunk(&self, choice: &str) -> Bytes {
        [&self.event_start, choice, self.event_end].concat().into()
    }

    /// A chunk of a chat with this change.
    fn delta(&self, choice: usize, delta: &str) -> Bytes {
        self.chunk(&format!(
            r#"{{"index":{choice},"delta":{delta},"logprobs":null,"finish_reason":null}}"#
        ))
    }

    fn piece(&self, choice: usize, content: &str) -> Bytes {
        let content = quoted(content);
        match self.surface {
            Surface::Chat => self.delta(choice, &format!(r#"{{"content":{content}}}"#)),
            _ => self.chunk(&format!(
                r#"{{"text":{content},"index":{choice},"logprobs":null,"finish_reason":null}}"#
            )),
        }
    }

    fn last(&self, choice: usize, finish: Finish) -> Bytes {
        let reason = reason(finish);
        self.chunk(&match self.surface {
            Surface::Chat => format!(
                r#"{{"index":{choice},"delta":{{}},"logprobs":null,"finish_reason":"{reason}"}}"#
            ),
            _ => format!(
                r#"{{"text":"","index":{choice},"logprobs":null,"finish_reason":"{reason}"}}"#
            ),
        })
    }

    /// The usage if it was asked for, and the end.
    fn end(&self, usage: &Usage) -> Vec<Bytes> {
        let mut events = Vec::new();
        if self.include_usage {
            let (start, usage) = (&self.event_start, usage_json(usage));
            events.push(format!("{start}],\"usage\":{usage}}}\n\n").into());
        }
        events.push(Bytes::from_static(DONE));
        events
    }

    fn call_id(&self, call: usize) -> String {
        format!("call_mock_{}_{call}", self.turns)
    }

    fn message(&self, reply: &Reply) -> String {
        let content = reply.content().as_deref().map_or("null".into(), quoted);
        let mut more = String::new();
        let mut refusal = "null".to_owned();
        let mut calls = Vec::new();
        for part in &reply.parts {
            match part {
                Part::Refusal(pieces) => refusal = quoted(&pieces.concat()),
                Part::Thought(pieces) => {
                    if let Some(field) = field(reply.thoughts) {
                        more += &format!(",\"{field}\":{}", quoted(&pieces.concat()));
                    }
                }
                Part::Call(name, arguments) => calls.push(json!({
                    "id": self.call_id(calls.len()), "type": "function",
                    "function": {"name": name, "arguments": arguments.concat()},
                })),
                Part::Text(_) => {}
            }
        }
        if !calls.is_empty() {
            more += &format!(",\"tool_calls\":{}", Value::from(calls));
        }
        format!(r#"{{"role":"assistant","content":{content},"refusal":{refusal}{more}}}"#)
    }

    fn parts(&self, choice: usize, reply: &Reply) -> Vec<Bytes> {
        let mut events = Vec::new();
        let mut calls = 0;
        for part in &reply.parts {
            match part {
                Part::Text(pieces) => {
                    events.extend(pieces.iter().map(|piece| self.piece(choice, piece)));
                }
                Part::Refusal(pieces) => {
                    let refusals = pieces.iter().map(|piece| json!({"refusal": piece}));
                    events.extend(refusals.map(|delta| self.delta(choice, &delta.to_string())));
                }
                Part::Thought(pieces) => {
                    let field = field(reply.thoughts);
                    let thoughts = field
                        .into_iter()
                        .flat_map(|field| pieces.iter().map(move |piece| json!({field: piece})));
                    events.extend(thoughts.map(|delta| self.delta(choice, &delta.to_string())));
                }
                Part::Call(name, arguments) => {
                    let call = |call: Value| json!({"tool_calls": [call]}).to_string();
                    let start = json!({"index": calls, "id": self.call_id(calls), "type": "function",
                        "function": {"name": name, "arguments": ""}});
                    events.push(self.delta(choice, &call(start)));
                    for piece in arguments {
                        let piece = json!({"index": calls, "function": {"arguments": piece}});
                        events.push(self.delta(choice, &call(piece)));
                    }
                    calls += 1;
                }
            }
        }
        events
    }

    fn filter_event(&self) -> Option<Bytes> {
        const SAFE: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;
        self.azure.then(|| {
            format!(r#"data: {{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{SAFE}}}]}}{}"#, "\n\n").into()
        })
    }
}

impl Voice for Writer {
    fn whole(&self, reply: &Reply) -> Bytes {
        let (model, usage, reason) = (&self.model, usage_json(&reply.usage), reason(reply.finish));
        let choices = (0..self.count).map(|choice| match self.surface {
            Surface::Chat => format!(
                r#"{{"index":{choice},"message":{},"logprobs":null,"finish_reason":"{reason}"}}"#,
                self.message(reply)
            ),
            _ => format!(
                r#"{{"text":{},"index":{choice},"logprobs":null,"finish_reason":"{reason}"}}"#,
                quoted(&reply.content().unwrap_or_default())
            ),
        });
        let choices = choices.collect::<Vec<_>>().join(",");
        let (id, object) = match self.surface {
            Surface::Chat => ("chatcmpl-mock", "chat.completion"),
            _ => ("cmpl-mock", "text_completion"),
        };
        format!(r#"{{"id":"{id}","object":"{object}","created":{CREATED},"model":{model},"choices":[{choices}],"usage":{usage},"system_fingerprint":"fp_mock"}}"#).into()
    }

    fn events(&self, reply: &Reply) -> Vec<Bytes> {
        let mut events: Vec<Bytes> = self.filter_event().into_iter().collect();
        for choice in 0..self.count {
            if self.surface == Surface::Chat {
                let opening = r#"{"role":"assistant","content":"","refusal":null}"#;
                events.push(self.delta(choice, opening));
            }
            events.extend(self.parts(choice, reply));
            events.push(self.last(choice, reply.finish));
        }
        events.extend(self.end(&reply.usage));
        events
    }

    fn opening(&self) -> Vec<Bytes> {
        self.filter_event().into_iter().collect()
    }

    fn text(&self, _: usize, content: &str) -> Bytes {
        self.piece(0, content)
    }

    fn closing(&self, count: usize, _: &dyn Fn() -> String) -> Vec<Bytes> {
        let mut events = vec![self.last(0, Finish::Stop)];
        events.extend(self.end(&Usage::plain(count)));
        events
    }

    fn failure(&self, _: usize) -> Bytes {
        super::failure()
    }
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Filter => "content_filter",
    }
}

fn field(thoughts: ReasoningField) -> Option<&'static str> {
    match thoughts {
        ReasoningField::None => None,
        ReasoningField::Content => Some("reasoning_content"),
        ReasoningField::Text => Some("reasoning"),
    }
}

fn usage_json(usage: &Usage) -> String {
    let total = usage.total();
    let Usage {
        input,
        cached,
        output,
        reasoning,
        ..
    } = usage;
    format!(
        r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
    )
}
