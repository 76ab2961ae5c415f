//! What each dialect answers to a chat: the behaviours that say what is in an answer, plain and streamed alike.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use mock_provider::MockProvider;
use serde_json::{Value, json};
use support::{Answer, Client};

const ARGUMENTS: &str = r#"{"city":"Zürich","n":9007199254740993,"x":0.1}"#;

/// A dialect, and where its answers and events have what.
struct Dialect {
    name: &'static str,
    headers: &'static str,
    /// Where a whole answer has its text, the arguments of its first call and its reason to end.
    text: &'static str,
    arguments: &'static str,
    finish: &'static str,
    /// The reasons: tool, length, filter.
    reasons: [&'static str; 3],
    /// Where an event has a piece of text, a piece of arguments and the reason.
    event_text: &'static str,
    event_arguments: &'static str,
    event_finish: &'static str,
}

const DIALECTS: [Dialect; 6] = [
    Dialect {
        name: "openai",
        headers: "authorization: Bearer sk-test\r\n",
        text: "/choices/0/message/content",
        arguments: "/choices/0/message/tool_calls/0/function/arguments",
        finish: "/choices/0/finish_reason",
        reasons: ["tool_calls", "length", "content_filter"],
        event_text: "/choices/0/delta/content",
        event_arguments: "/choices/0/delta/tool_calls/0/function/arguments",
        event_finish: "/choices/0/finish_reason",
    },
    Dialect {
        name: "responses",
        headers: "authorization: Bearer sk-test\r\n",
        text: "/output/0/content/0/text",
        arguments: "/output/0/arguments",
        finish: "/incomplete_details/reason",
        reasons: ["", "max_output_tokens", "content_filter"],
        event_text: "/delta",
        event_arguments: "/delta",
        event_finish: "/response/incomplete_details/reason",
    },
    Dialect {
        name: "anthropic",
        headers: "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n",
        text: "/content/0/text",
        arguments: "/content/0/input",
        finish: "/stop_reason",
        reasons: ["tool_use", "max_tokens", "refusal"],
        event_text: "/delta/text",
        event_arguments: "/delta/partial_json",
        event_finish: "/delta/stop_reason",
    },
    Dialect {
        name: "gemini",
        headers: "x-goog-api-key: k\r\n",
        text: "/candidates/0/content/parts/0/text",
        arguments: "/candidates/0/content/parts/0/functionCall/args",
        finish: "/candidates/0/finishReason",
        reasons: ["STOP", "MAX_TOKENS", "SAFETY"],
        event_text: "/candidates/0/content/parts/0/text",
        event_arguments: "/candidates/0/content/parts/0/functionCall/args",
        event_finish: "/candidates/0/finishReason",
    },
    Dialect {
        name: "cohere",
        headers: "authorization: Bearer k\r\n",
        text: "/message/content/0/text",
        arguments: "/message/tool_calls/0/function/arguments",
        finish: "/finish_reason",
        reasons: ["TOOL_CALL", "MAX_TOKENS", "ERROR_TOXIC"],
        event_text: "/delta/message/content/text",
        event_arguments: "/delta/message/tool_calls/function/arguments",
        event_finish: "/delta/finish_reason",
    },
    Dialect {
        name: "bedrock",
        headers: "authorization: Bearer k\r\n",
        text: "/output/message/content/0/text",
        arguments: "/output/message/content/0/toolUse/input",
        finish: "/stopReason",
        reasons: ["tool_use", "max_tokens", "content_filtered"],
        event_text: "/delta/text",
        event_arguments: "/delta/toolUse/input",
        event_finish: "/stopReason",
    },
];

impl Dialect {
    fn ask(&self, provider: &MockProvider, model: &str, stream: bool) -> Answer {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let said = json!([{"role": "user", "content": "hi"}]);
        let function = json!({"name": "get_weather", "parameters": schema});
        let mut path = match self.name {
            "openai" => "/v1/chat/completions".to_owned(),
            "responses" => "/v1/responses".to_owned(),
            "anthropic" => "/v1/messages".to_owned(),
            "cohere" => "/v2/chat".to_owned(),
            "gemini" if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            "gemini" => format!("/v1beta/models/{model}:generateContent"),
            _ => format!("/model/{model}/converse"),
        };
        if self.name == "bedrock" && stream {
            path += "-stream";
        }
        let body = match self.name {
            "openai" | "cohere" => {
                json!({"model": model, "messages": said, "stream": stream, "tools": [{"type": "function", "function": function}]})
            }
            "responses" => {
                json!({"model": model, "input": "hi", "stream": stream, "tools": [{"type": "function", "name": "get_weather", "parameters": schema}]})
            }
            "anthropic" => {
                json!({"model": model, "messages": said, "max_tokens": 5, "stream": stream, "tools": [{"name": "get_weather", "input_schema": schema}]})
            }
            "gemini" => {
                json!({"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"functionDeclarations": [function]}]})
            }
            _ => {
                json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}], "toolConfig": {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": schema}}}]}})
            }
        };
        let mut client = Client::new(provider);
        client.send("POST", &path, self.headers, body.to_string().as_bytes());
        client.answer()
    }

    /// The data of the events.
    fn events(&self, answer: &Answer) -> Vec<Value> {
        if self.name == "bedrock" {
            return frames(&answer.body());
        }
        let text = answer.text().replace("\r\n", "\n");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let data = data.filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

/// The payloads of an event stream; the frame itself is tested where it is made.
fn frames(mut bytes: &[u8]) -> Vec<Value> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (length, headers) = (number(0), number(4));
        all.push(serde_json::from_slice(&bytes[12 + headers..length - 4]).unwrap());
        bytes = &bytes[length..];
    }
    all
}

/// A value as text: what it says, or its JSON.
fn said(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn joined(events: &[Value], pointer: &str) -> String {
    events
        .iter()
        .map(|event| said(event.pointer(pointer)))
        .collect()
}

#[test]
fn plain_and_streamed_alike() {
    let provider = MockProvider::start(0);
    for dialect in &DIALECTS {
        let whole = |model: &str| {
            let answer = dialect.ask(&provider, model, false);
            assert_eq!(answer.status, 200, "{}: {}", dialect.name, answer.text());
            answer.json()
        };
        let events = |model: &str| dialect.events(&dialect.ask(&provider, model, true));
        let hello = "Hello from the mock provider.";
        assert_eq!(
            said(whole("gpt").pointer(dialect.text)),
            hello,
            "{}",
            dialect.name
        );
        assert_eq!(
            joined(&events("gpt"), dialect.event_text),
            hello,
            "{}",
            dialect.name
        );
        let call = whole("mock-tool");
        assert_eq!(
            said(call.pointer(dialect.arguments)),
            ARGUMENTS,
            "{}",
            dialect.name
        );
        let streamed = joined(&events("mock-tool"), dialect.event_arguments);
        assert_eq!(streamed, ARGUMENTS, "{}", dialect.name);
        for (model, reason) in ["mock-tool", "mock-length", "mock-filter"]
            .iter()
            .zip(dialect.reasons)
        {
            assert_eq!(
                said(whole(model).pointer(dialect.finish)),
                reason,
                "{} {model}",
                dialect.name
            );
            assert_eq!(
                joined(&events(model), dialect.event_finish),
                reason,
                "{} {model}",
                dialect.name
            );
        }
        let numbers = joined(&events("mock-events-3-1"), dialect.event_text);
        assert!(numbers.starts_with("0 1 2 "), "{}: {numbers}", dialect.name);
    }
}

#[test]
fn calls_reasoning_and_failures() {
    let provider = MockProvider::start(0);
    for dialect in &DIALECTS {
        let text = |model: &str, stream| {
            let answer = dialect.ask(&provider, model, stream);
            String::from_utf8_lossy(&answer.body()).into_owned()
        };
        let calls = text("mock-tools-2", false).matches("get_weather\"").count();
        // A response repeats the tools that were offered.
        assert_eq!(
            calls,
            if dialect.name == "responses" { 3 } else { 2 },
            "{}",
            dialect.name
        );
        for stream in [false, true] {
            let thoughts = text("mock-reasoning", stream).contains("wants");
            assert_eq!(thoughts, dialect.name != "openai", "{}", dialect.name);
        }
        let fine = text("mock-events-2-0", true);
        let failed = text("mock-error-mid-2", true);
        assert!(
            failed.contains("rror") && !fine.contains("Error"),
            "{}: {failed}",
            dialect.name
        );
        for end in [
            "[DONE]",
            "message_stop",
            "messageStop",
            "response.completed",
            "finishReason",
        ] {
            assert!(!failed.contains(end), "{}: {failed}", dialect.name);
        }
        let json = text("mock-json", false);
        assert!(
            json.contains("9007199254740993"),
            "{}: {json}",
            dialect.name
        );
    }
}

#[test]
fn usage_adds_up() {
    let provider = MockProvider::start(0);
    let usage = |name: &str| {
        let dialect = DIALECTS
            .iter()
            .find(|dialect| dialect.name == name)
            .unwrap();
        let answer = dialect.ask(&provider, "mock-cached", false).json();
        answer
            .get("usage")
            .or(answer.get("usageMetadata"))
            .cloned()
            .unwrap()
    };
    let openai = usage("openai");
    assert_eq!(
        (&openai["prompt_tokens"], &openai["total_tokens"]),
        (&json!(100), &json!(130))
    );
    assert_eq!(openai["prompt_tokens_details"]["cached_tokens"], 64);
    assert_eq!(openai["completion_tokens_details"]["reasoning_tokens"], 20);
    let claude = usage("anthropic");
    assert_eq!(
        (
            &claude["input_tokens"],
            &claude["cache_read_input_tokens"],
            &claude["cache_creation_input_tokens"]
        ),
        (&json!(20), &json!(64), &json!(16))
    );
    let gemini = usage("gemini");
    assert_eq!(
        (
            &gemini["candidatesTokenCount"],
            &gemini["thoughtsTokenCount"],
            &gemini["totalTokenCount"]
        ),
        (&json!(10), &json!(20), &json!(130))
    );
    let bedrock = usage("bedrock");
    assert_eq!(
        (
            &bedrock["inputTokens"],
            &bedrock["cacheReadInputTokens"],
            &bedrock["totalTokens"]
        ),
        (&json!(20), &json!(64), &json!(130))
    );
}

#[test]
fn errors_and_keys_are_the_dialects_own() {
    let provider = MockProvider::start(0);
    for (name, pointer, expected) in [
        ("openai", "/error/code", "rate_limit_exceeded"),
        ("responses", "/error/code", "rate_limit_exceeded"),
        ("anthropic", "/error/type", "rate_limit_error"),
        ("gemini", "/error/status", "RESOURCE_EXHAUSTED"),
        (
            "cohere",
            "/message",
            "The mock was asked for the status 429.",
        ),
        (
            "bedrock",
            "/message",
            "The mock was asked for the status 429.",
        ),
    ] {
        let dialect = DIALECTS
            .iter()
            .find(|dialect| dialect.name == name)
            .unwrap();
        let answer = dialect.ask(&provider, "mock-status-429", true);
        assert_eq!(answer.status, 429);
        assert_eq!(said(answer.json().pointer(pointer)), expected, "{name}");
        let header = !["gemini", "bedrock"].contains(&name);
        assert_eq!(answer.header("retry-after").is_some(), header, "{name}");
    }
}
