//! What each dialect refuses: for every rule a request that keeps it and one that breaks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod anthropic;
mod azure;
mod bedrock;
mod cohere;
mod gemini;
mod openai;
mod responses;

use mock_provider::MockProvider;
use serde_json::{Value, json};

/// One pixel of PNG.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A provider, and a request that it takes.
struct Sender {
    provider: MockProvider,
    path: String,
    headers: &'static str,
    /// Where an error object has its message.
    message: &'static str,
    good: Value,
}

impl Sender {
    fn new(path: &str, headers: &'static str, message: &'static str, good: Value) -> Self {
        let sender = Self {
            provider: MockProvider::start(0),
            path: path.to_owned(),
            headers,
            message,
            good,
        };
        sender.takes(&[]);
        sender
    }

    fn send(&self, changes: &[(&str, Value)]) -> support::Answer {
        let mut body = self.good.clone();
        for (pointer, value) in changes {
            change(&mut body, pointer, value);
        }
        let body = body.to_string();
        support::request(&self.provider, "POST", &self.path, self.headers, &body)
    }

    /// The request is still taken with these changes.
    fn takes(&self, changes: &[(&str, Value)]) {
        let answer = self.send(changes);
        assert_eq!(answer.status, 200, "{changes:?}: {}", answer.text());
    }

    /// The request is refused with these changes, and told so.
    fn refuses(&self, changes: &[(&str, Value)], why: &str) {
        let answer = self.send(changes);
        assert_eq!(answer.status, 400, "{changes:?}: {}", answer.text());
        let answer = answer.json();
        let message = answer.pointer(self.message).and_then(Value::as_str);
        assert!(
            message.is_some_and(|message| message.contains(why)),
            "{changes:?}: {answer}"
        );
    }
}

/// Sets what a pointer points to, which may be new; null removes it, and `-` stands for the end of an array.
fn change(body: &mut Value, pointer: &str, value: &Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).expect(pointer) {
        Value::Object(fields) if value.is_null() => drop(fields.remove(name).expect(pointer)),
        Value::Object(fields) => drop(fields.insert(name.to_owned(), value.clone())),
        Value::Array(list) if name == "-" => list.push(value.clone()),
        Value::Array(list) if value.is_null() => drop(list.remove(name.parse().unwrap())),
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value.clone(),
        _ => panic!("{pointer}"),
    }
}

/// The schema of the parameters of a tool.
fn parameters() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}
