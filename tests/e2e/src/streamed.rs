//! A stream of any surface as its client understands it: what it says, and how it ended.

use serde_json::Value;

use crate::dialects::{Surface, ToolCall};

/// A stream as its client understands it.
#[derive(Debug, Default)]
pub(crate) struct Streamed {
    pub(crate) events: Vec<Value>,
    pub(crate) text: String,
    /// The calls: id, name and arguments put together.
    pub(crate) calls: Vec<ToolCall>,
    /// The surface's word for why it ended.
    pub(crate) finish: String,
    /// The event of the surface that only a stream has which ended as it should.
    pub(crate) complete: bool,
    /// The error event.
    pub(crate) error: Option<Value>,
}

impl Streamed {
    pub(crate) fn read(surface: Surface, body: &str) -> Self {
        let mut all = Self::default();
        for event in body.replace("\r\n", "\n").split("\n\n") {
            // Of names that are repeated the last one counts.
            let field = |name: &str| {
                let mut lines = event.lines().rev();
                lines.find_map(|line| line.strip_prefix(name))
            };
            let Some(data) = field("data:").map(str::trim) else {
                continue;
            };
            if data == "[DONE]" {
                assert_eq!(surface, Surface::Chat);
                all.complete = true;
                continue;
            }
            assert!(!all.complete, "after the end: {body}");
            let data: Value =
                serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {event}"));
            if surface != Surface::Chat {
                assert_eq!(
                    field("event:").map(str::trim),
                    data["type"].as_str(),
                    "{event}"
                );
            }
            if data["error"].is_object() {
                all.error = Some(data["error"].clone());
            }
            match surface {
                Surface::Chat => all.chat(&data),
                Surface::Responses => all.response(&data),
                Surface::Messages => all.message(&data),
            }
            all.events.push(data);
        }
        all
    }

    fn chat(&mut self, event: &Value) {
        let choice = &event["choices"][0];
        self.text += choice["delta"]["content"].as_str().unwrap_or_default();
        for call in choice["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            self.piece(
                &call["index"],
                &call["id"],
                &call["function"]["name"],
                &call["function"]["arguments"],
            );
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            reason.clone_into(&mut self.finish);
        }
    }

    fn response(&mut self, event: &Value) {
        // The gateway's own error event has none: a stream that passes as it is was not counted.
        if event.get("sequence_number").is_some() || !event["error"].is_object() {
            assert_eq!(event["sequence_number"], self.events.len(), "{event}");
        }
        let kind = event["type"].as_str().unwrap_or_default();
        match kind {
            "response.output_text.delta" => {
                self.text += event["delta"].as_str().unwrap_or_default()
            }
            "response.output_item.done" if event["item"]["type"] == "function_call" => {
                let item = &event["item"];
                let number = Value::from(self.calls.len());
                self.piece(&number, &item["call_id"], &item["name"], &item["arguments"]);
            }
            "response.completed" | "response.incomplete" => {
                self.complete = true;
                self.finish = Surface::Responses.finish(&event["response"]);
                assert_eq!(Surface::Responses.text(&event["response"]), self.text);
            }
            _ => {}
        }
    }

    fn message(&mut self, event: &Value) {
        let (block, delta) = (&event["content_block"], &event["delta"]);
        if block["type"] == "tool_use" {
            self.piece(
                &Value::from(self.calls.len()),
                &block["id"],
                &block["name"],
                &Value::Null,
            );
        }
        self.text += delta["text"].as_str().unwrap_or_default();
        if let Some(piece) = delta["partial_json"].as_str() {
            self.calls.last_mut().expect("a call").arguments += piece;
        }
        if let Some(reason) = delta["stop_reason"].as_str() {
            reason.clone_into(&mut self.finish);
        }
        self.complete |= event["type"] == "message_stop";
    }

    fn piece(&mut self, index: &Value, id: &Value, name: &Value, arguments: &Value) {
        let index = index
            .as_u64()
            .and_then(|index| usize::try_from(index).ok())
            .expect("an index");
        assert!(index <= self.calls.len(), "a call is skipped");
        if index == self.calls.len() {
            self.calls.push(ToolCall {
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
            });
        }
        let call = &mut self.calls[index];
        call.id += id.as_str().unwrap_or_default();
        call.name += name.as_str().unwrap_or_default();
        call.arguments += arguments.as_str().unwrap_or_default();
    }

    /// Asserts that it ended with this error event, and not as if it had finished.
    pub(crate) fn failed(&self, code: &str) {
        assert!(
            !self.complete && self.finish.is_empty(),
            "it looks finished: {self:?}"
        );
        let error = self
            .error
            .as_ref()
            .unwrap_or_else(|| panic!("no error event: {self:?}"));
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(
            self.events.last().map(|last| last["error"].is_object()),
            Some(true),
            "{self:?}"
        );
    }
}
