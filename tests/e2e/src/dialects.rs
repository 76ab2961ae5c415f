//! For tests of translation: a workspace with a key of one provider, whose mock refuses what the provider would, and the
//! words of the three surfaces for the same conversation.

use mock_provider::{AWS_ACCESS_KEY, AWS_SECRET_KEY, MockProvider, Recorded};
use serde_json::{Value, json};

use crate::case::{Case, Env};
use crate::client::{Call, Reply, Stream};
use crate::gateway::{Gateway, unique};
use crate::streamed::Streamed;
use crate::tenant::{MARK, gateway_key};

/// The plain answer of the mock provider.
pub(crate) const HELLO: &str = "Hello from the mock provider.";
/// The arguments of its tool calls. No double holds the integer.
pub(crate) const ARGUMENTS: &str = r#"{"city":"Zürich","n":9007199254740993,"x":0.1}"#;
/// One pixel of PNG.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The providers that are tested, one a dialect or layout.
pub(crate) const PROVIDERS: [&str; 6] = [
    "openai",
    "anthropic",
    "google",
    "cohere",
    "bedrock",
    "azure-openai",
];

/// The name of a test, and what it does with a workspace of each provider.
pub(crate) type Test = (&'static str, fn(&World<'_>));

/// A test for each provider of its own name.
pub(crate) fn each_provider(module: &str, tests: &[Test]) -> impl Iterator<Item = Case> {
    let cases: Vec<Case> = tests
        .iter()
        .flat_map(|&(name, test)| {
            let module = module.to_owned();
            PROVIDERS.into_iter().map(move |provider| {
                Case::new(format!("{module}::{name}_{provider}"), move |env: &Env| {
                    test(&World::new(env.gateway(), provider));
                })
            })
        })
        .collect();
    cases.into_iter()
}

/// What a client calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    Chat,
    Responses,
    Messages,
}

pub(crate) const SURFACES: [Surface; 3] = [Surface::Chat, Surface::Responses, Surface::Messages];

impl Surface {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// A question, with a system prompt and an earlier turn.
    pub(crate) fn question(self) -> Value {
        let turns = |kind: &str, end: &str| {
            json!([
                {"role": "user", "content": "What is one and one?"},
                {"role": "assistant", "content": [{"type": end, "text": "Two, I think."}]},
                {"role": "user", "content": [{"type": kind, "text": "Grüße, are you sure?"}]},
            ])
        };
        match self {
            Self::Chat => {
                let mut messages = vec![json!({"role": "system", "content": "Be brief."})];
                messages.extend(
                    turns("text", "text")
                        .as_array()
                        .cloned()
                        .unwrap_or_default(),
                );
                json!({"messages": messages})
            }
            Self::Responses => {
                json!({"instructions": "Be brief.", "input": turns("input_text", "output_text")})
            }
            Self::Messages => {
                json!({"system": "Be brief.", "max_tokens": 4096, "messages": turns("text", "text")})
            }
        }
    }

    /// The same with two tools.
    pub(crate) fn with_tools(self) -> Value {
        let mut body = self.question();
        let tool = |name: &str| match self {
            Self::Chat => {
                json!({"type": "function", "function": {"name": name, "description": "What it says.", "parameters": parameters()}})
            }
            Self::Responses => {
                json!({"type": "function", "name": name, "description": "What it says.", "parameters": parameters(), "strict": false})
            }
            Self::Messages => {
                json!({"name": name, "description": "What it says.", "input_schema": parameters()})
            }
        };
        body["tools"] = json!([tool("get_weather"), tool("get_time")]);
        body
    }

    /// The field with the turns.
    pub(crate) fn turns(self) -> &'static str {
        match self {
            Self::Responses => "input",
            _ => "messages",
        }
    }

    /// Says that only one call at a time is wanted.
    pub(crate) fn one_call(self, body: &mut Value) {
        match self {
            Self::Messages => {
                body["tool_choice"] = json!({"type": "auto", "disable_parallel_tool_use": true});
            }
            _ => body["parallel_tool_calls"] = json!(false),
        }
    }

    /// Adds an answer with calls to the turns, and a result for each call, as this surface's clients do.
    pub(crate) fn add_results(self, body: &mut Value, answer: &Value, result: &str) {
        let calls = self.calls(answer);
        assert!(!calls.is_empty(), "no calls: {answer}");
        let turns = body[self.turns()].as_array_mut().expect("turns");
        let results = calls.iter().map(|call| match self {
            Self::Chat => json!({"role": "tool", "tool_call_id": call.id, "content": result}),
            Self::Responses => {
                json!({"type": "function_call_output", "call_id": call.id, "output": result})
            }
            Self::Messages => {
                json!({"type": "tool_result", "tool_use_id": call.id, "content": result})
            }
        });
        match self {
            Self::Chat => turns.push(answer["choices"][0]["message"].clone()),
            Self::Responses => {
                turns.extend(answer["output"].as_array().cloned().unwrap_or_default())
            }
            Self::Messages => {
                turns.push(json!({"role": "assistant", "content": answer["content"]}))
            }
        }
        if self == Self::Messages {
            let results: Vec<Value> = results.collect();
            turns.push(json!({"role": "user", "content": results}));
        } else {
            turns.extend(results);
        }
    }

    /// An image in the last turn.
    pub(crate) fn add_image(self, body: &mut Value, url: &str) {
        let part = match self {
            Self::Chat => json!({"type": "image_url", "image_url": {"url": url}}),
            Self::Responses => json!({"type": "input_image", "image_url": url, "detail": "auto"}),
            Self::Messages => match url.strip_prefix("data:image/png;base64,") {
                Some(data) => {
                    json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})
                }
                None => json!({"type": "image", "source": {"type": "url", "url": url}}),
            },
        };
        let turns = body[self.turns()]
            .as_array_mut()
            .and_then(|turns| turns.last_mut());
        let content = turns.expect("a turn")["content"].as_array_mut();
        content.expect("parts").push(part);
    }

    /// Asks for an answer that fits a schema.
    pub(crate) fn want(self, body: &mut Value, schema: &Value) {
        match self {
            Self::Chat => {
                body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": true}})
            }
            Self::Responses => {
                body["text"] = json!({"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": true}})
            }
            Self::Messages => {
                body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}})
            }
        }
    }

    /// The text of an answer.
    pub(crate) fn text(self, answer: &Value) -> String {
        let joined = |parts: &Value, kind: &str| -> String {
            let parts = parts.as_array().cloned().unwrap_or_default();
            let texts = parts.iter().filter(|part| part["type"] == kind);
            texts
                .map(|part| part["text"].as_str().unwrap_or_default())
                .collect()
        };
        match self {
            Self::Chat => answer["choices"][0]["message"]["content"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            Self::Responses => {
                let items = answer["output"].as_array().cloned().unwrap_or_default();
                items
                    .iter()
                    .map(|item| joined(&item["content"], "output_text"))
                    .collect()
            }
            Self::Messages => joined(&answer["content"], "text"),
        }
    }

    /// The calls in an answer.
    pub(crate) fn calls(self, answer: &Value) -> Vec<ToolCall> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let call = |id: &Value, name: &Value, arguments: &Value| ToolCall {
            id: id.as_str().unwrap_or_default().to_owned(),
            name: name.as_str().unwrap_or_default().to_owned(),
            arguments: match arguments {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        };
        match self {
            Self::Chat => list(&answer["choices"][0]["message"]["tool_calls"])
                .iter()
                .map(|one| {
                    call(
                        &one["id"],
                        &one["function"]["name"],
                        &one["function"]["arguments"],
                    )
                })
                .collect(),
            Self::Responses => list(&answer["output"])
                .iter()
                .filter(|item| item["type"] == "function_call")
                .map(|item| call(&item["call_id"], &item["name"], &item["arguments"]))
                .collect(),
            Self::Messages => list(&answer["content"])
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|block| call(&block["id"], &block["name"], &block["input"]))
                .collect(),
        }
    }

    /// Why an answer ended: the surface's own word.
    pub(crate) fn finish(self, answer: &Value) -> String {
        let word = match self {
            Self::Chat => &answer["choices"][0]["finish_reason"],
            Self::Responses => match &answer["incomplete_details"]["reason"] {
                Value::Null => &answer["status"],
                reason => reason,
            },
            Self::Messages => &answer["stop_reason"],
        };
        word.as_str().unwrap_or_default().to_owned()
    }

    /// Tokens of an answer: of input, of those read from a cache, of output.
    pub(crate) fn usage(self, answer: &Value) -> [u64; 3] {
        let usage = &answer["usage"];
        let number = |pointer: &str| {
            usage
                .pointer(pointer)
                .and_then(Value::as_u64)
                .unwrap_or_default()
        };
        match self {
            Self::Chat => {
                let (input, output) = (number("/prompt_tokens"), number("/completion_tokens"));
                assert_eq!(number("/total_tokens"), input + output, "{usage}");
                [
                    input,
                    number("/prompt_tokens_details/cached_tokens"),
                    output,
                ]
            }
            Self::Responses => {
                let (input, output) = (number("/input_tokens"), number("/output_tokens"));
                assert_eq!(number("/total_tokens"), input + output, "{usage}");
                [input, number("/input_tokens_details/cached_tokens"), output]
            }
            Self::Messages => {
                let cached = number("/cache_read_input_tokens");
                let written = number("/cache_creation_input_tokens");
                [
                    number("/input_tokens") + cached + written,
                    cached,
                    number("/output_tokens"),
                ]
            }
        }
    }

    /// Asserts that an error is in this surface's shape, with this status and code.
    pub(crate) fn refused(self, reply: &Reply, status: u16, code: &str) -> Value {
        assert_eq!(reply.status, status, "{}", reply.text());
        let body = reply.json();
        if self == Self::Messages {
            assert_eq!(body["type"], "error", "{body}");
            assert!(body["request_id"].is_string(), "{body}");
        }
        let error = body["error"].clone();
        assert!(
            error["message"].is_string() && error["type"].is_string(),
            "{body}"
        );
        assert_eq!(error["code"], code, "{body}");
        assert!(error["lockgate"]["request_id"].is_string(), "{body}");
        error
    }
}

/// A tool call, as a client sees it.
#[derive(Clone, Debug)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// The schema of the tools' parameters, with what is often lost: references, nothing required, numbers of every kind.
pub(crate) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "n": {"type": "integer", "maximum": 9_007_199_254_740_993_u64},
            "x": {"type": "number", "multipleOf": 0.1},
        },
    })
}

/// A workspace with one provider's key.
pub(crate) struct World<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) workspace: String,
    pub(crate) provider: &'static str,
    pub(crate) mock: MockProvider,
    pub(crate) key: String,
}

impl<'a> World<'a> {
    pub(crate) fn new(gateway: &'a Gateway, provider: &'static str) -> Self {
        let mock = MockProvider::start(0);
        let workspace = gateway.workspace();
        let body = provider_key(provider, &mock);
        let key = std::thread::scope(|scope| {
            let made = scope.spawn(|| gateway.create(&workspace, "provider-keys", &body));
            let key = gateway_key(gateway, &workspace, "app", &json!({}));
            made.join().expect("a provider key");
            key["key"].as_str().expect("shown once").to_owned()
        });
        Self {
            gateway,
            workspace,
            provider,
            mock,
            key,
        }
    }

    /// A key of another provider, at the same mock.
    pub(crate) fn also(&self, provider: &'static str) {
        let body = provider_key(provider, &self.mock);
        self.gateway.create(&self.workspace, "provider-keys", &body);
    }

    /// A call of a surface, for this behaviour of the mock.
    pub(crate) fn call(&self, surface: Surface, model: &str, body: &Value) -> Call {
        let mut body = body.clone();
        body["model"] = format!("{}/{model}", self.provider).into();
        let call = Call::post(surface.path()).json(&body);
        if surface == Surface::Messages {
            call.header("x-api-key", &self.key)
                .header("anthropic-version", "2023-06-01")
        } else {
            call.bearer(&self.key)
        }
    }

    pub(crate) fn ask(&self, surface: Surface, model: &str, body: &Value) -> Reply {
        self.call(surface, model, body).run(self.gateway.url())
    }

    /// The answer to what must be answered.
    pub(crate) fn answered(&self, surface: Surface, model: &str, body: &Value) -> Value {
        let reply = self.ask(surface, model, body);
        assert_eq!(
            reply.status,
            200,
            "{surface:?} over {}: {}",
            self.provider,
            reply.text()
        );
        assert_eq!(reply.header("lockgate-provider"), Some(self.provider));
        assert_eq!(reply.header("lockgate-model"), Some(model));
        reply.json()
    }

    pub(crate) fn stream(&self, surface: Surface, model: &str, body: &Value) -> Stream {
        let mut body = body.clone();
        body["stream"] = json!(true);
        self.call(surface, model, &body)
            .open(self.gateway.url())
            .expect("a head")
    }

    /// A whole stream, as its client reads it.
    pub(crate) fn streamed(&self, surface: Surface, model: &str, body: &Value) -> Streamed {
        let stream = self.stream(surface, model, body);
        assert_eq!(stream.status, 200, "{surface:?} over {}", self.provider);
        let reply = stream.collect().expect("a normal end of the body");
        Streamed::read(surface, &reply.text())
    }

    /// What the provider was sent last.
    pub(crate) fn last(&self) -> Recorded {
        self.mock.requests().pop().expect("a request")
    }

    /// The body that the provider was sent last, as JSON and as text.
    pub(crate) fn sent(&self) -> (Value, String) {
        let text = String::from_utf8(self.last().body).expect("text");
        (serde_json::from_str(&text).expect("JSON"), text)
    }
}

/// The body that makes a key of a provider.
fn provider_key(provider: &str, mock: &MockProvider) -> Value {
    let root = mock.base_url();
    let tail: String = unique("")
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let (secret, base_url, options) = match provider {
        "openai" => (
            format!("{MARK}dialect{tail:0>40}"),
            format!("{root}/strict/v1"),
            json!({}),
        ),
        "anthropic" => (format!("sk-ant-api03-{tail:0>80}"), root, json!({})),
        "google" => (format!("AIza{tail:0>35}"), root, json!({})),
        "bedrock" => (
            format!("{AWS_ACCESS_KEY}:{AWS_SECRET_KEY}"),
            root,
            json!({"region": "eu-west-1"}),
        ),
        "azure-openai" => (
            format!("{tail:0>32}"),
            root,
            json!({"api_version": "2024-10-21"}),
        ),
        "voyage" => (
            format!("pa-{tail:0>40}"),
            format!("{root}/voyage/v1"),
            json!({}),
        ),
        "mistral" => (format!("{tail:0>32}"), format!("{root}/v1"), json!({})),
        _ => (format!("{tail:0>40}"), root, json!({})),
    };
    json!({"provider": provider, "name": "main", "secret": secret, "base_url": base_url, "options": options})
}
