//! What nearly every test needs: a workspace of its own, a mock provider of its own, a provider key that points to it,
//! and a gateway key to call with.

use std::time::{Duration, Instant};

use mock_provider::{MockProvider, Recorded};
use serde_json::{Value, json};

use crate::client::{Call, Reply, Stream};
use crate::gateway::{Gateway, unique};

/// What all secrets of the suite have in common, so that a search for it finds any of them.
pub(crate) const MARK: &str = "sk-proj-Lockgate0E2e";

/// A provider secret in OpenAI's form that nothing else has used; `mark` stands in it.
pub(crate) fn secret(mark: &str) -> String {
    let tail: String = unique("")
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!("{MARK}{mark}{tail:0>40}")
}

/// A workspace that can send.
pub(crate) struct Tenant<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) workspace: String,
    pub(crate) mock: MockProvider,
    /// The provider key, as the gateway answered its creation.
    pub(crate) provider_key: Value,
    pub(crate) secret: String,
    /// The name of the agent behind the gateway key.
    pub(crate) agent: String,
    /// The gateway key, as the gateway answered its creation.
    pub(crate) gateway_key: Value,
}

impl<'a> Tenant<'a> {
    /// With an OpenAI key that points to a mock provider.
    pub(crate) fn new(gateway: &'a Gateway) -> Self {
        let mock = MockProvider::start(0);
        let base_url = base_url(&mock);
        Self::with(gateway, mock, secret("main"), &base_url)
    }

    /// With this secret, which the mock provider may treat in a way of its own.
    pub(crate) fn with_secret(gateway: &'a Gateway, secret: String) -> Self {
        let mock = MockProvider::start(0);
        let base_url = base_url(&mock);
        Self::with(gateway, mock, secret, &base_url)
    }

    /// With a key that points somewhere else.
    pub(crate) fn at(gateway: &'a Gateway, base_url: &str) -> Self {
        Self::with(gateway, MockProvider::start(0), secret("main"), base_url)
    }

    fn with(gateway: &'a Gateway, mock: MockProvider, secret: String, base_url: &str) -> Self {
        let workspace = gateway.workspace();
        let body =
            json!({"provider": "openai", "name": "main", "secret": secret, "base_url": base_url});
        let (provider_key, gateway_key) = std::thread::scope(|scope| {
            let provider_key = scope.spawn(|| gateway.create(&workspace, "provider-keys", &body));
            let gateway_key = gateway_key(gateway, &workspace, "app", &json!({}));
            (provider_key.join().unwrap(), gateway_key)
        });
        Self {
            gateway,
            workspace,
            mock,
            provider_key,
            secret,
            agent: "app".to_owned(),
            gateway_key,
        }
    }

    /// The gateway key itself.
    pub(crate) fn key(&self) -> &str {
        self.gateway_key["key"].as_str().expect("shown once")
    }

    /// The id of the provider key.
    pub(crate) fn provider_key_id(&self) -> &str {
        self.provider_key["id"].as_str().expect("an id")
    }

    /// A management call in this workspace.
    pub(crate) fn api(&self, call: Call) -> Reply {
        self.gateway.api(&self.workspace, call)
    }

    /// Replaces the provider key's secret and returns when the gateway had answered.
    pub(crate) fn rotate(&self, secret: &str) -> Instant {
        self.api(
            Call::new(
                "PUT",
                &format!("/api/provider-keys/{}/secret", self.provider_key_id()),
            )
            .json(&json!({ "secret": secret })),
        )
        .expect(200)
        .ended_at
    }

    /// A chat request for this model.
    pub(crate) fn chat(&self, model: &str) -> Reply {
        self.chat_call(model).run(self.gateway.url())
    }

    /// The same, yet to be sent.
    pub(crate) fn chat_call(&self, model: &str) -> Call {
        self.send("/v1/chat/completions", &chat_body(model, false).to_string())
    }

    /// A streamed chat request, at the head of its answer.
    pub(crate) fn stream(&self, model: &str) -> Stream {
        self.send("/v1/chat/completions", &chat_body(model, true).to_string())
            .open(self.gateway.url())
            .unwrap()
    }

    /// A data-plane request with these bytes, yet to be sent.
    pub(crate) fn send(&self, path: &str, body: &str) -> Call {
        Call::post(path).bearer(self.key()).text(body)
    }

    /// What the mock provider was sent.
    pub(crate) fn sent(&self) -> Vec<Recorded> {
        self.mock.requests()
    }

    /// The one request that the mock provider was sent.
    pub(crate) fn only_sent(&self) -> Recorded {
        let mut all = self.sent();
        assert_eq!(all.len(), 1, "requests that reached the provider");
        all.remove(0)
    }

    /// Asserts that the next request is served as if nothing had happened.
    pub(crate) fn next_is_fine(&self) {
        let reply = self.chat("gpt-4o");
        assert_eq!(reply.status, 200, "the next request: {}", reply.text());
    }
}

/// A chat request.
pub(crate) fn chat_body(model: &str, stream: bool) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    if stream {
        body["stream"] = json!(true);
    }
    body
}

/// The base URL that a provider key of this mock has.
pub(crate) fn base_url(mock: &MockProvider) -> String {
    format!("{}/v1", mock.base_url().trim_end_matches('/'))
}

/// Makes the agent, a role that lets it use every provider key, and a gateway key for it; `more` is added to the key's
/// fields.
pub(crate) fn gateway_key(gateway: &Gateway, workspace: &str, agent: &str, more: &Value) -> Value {
    // Each write waits out a lease, so what can be made at once is.
    let role = format!("{agent}-anything");
    std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            let body = json!({"name": role, "statements": [allow(&["*"])]});
            gateway.create(workspace, "roles", &body)
        });
        gateway.create(workspace, "agents", &json!({ "name": agent }));
        made.join().unwrap();
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let call = Call::new("PATCH", &format!("/api/agents/{agent}"));
            gateway
                .api(workspace, call.json(&json!({ "roles": [role] })))
                .expect(200)
        });
        more_gateway_key(gateway, workspace, agent, "key", more)
    })
}

/// A statement that allows the use of the keys that these patterns cover.
pub(crate) fn allow(resources: &[&str]) -> Value {
    json!({"effect": "allow", "actions": ["provider-key:use"], "resources": resources})
}

/// Makes another gateway key for an agent that exists.
pub(crate) fn more_gateway_key(
    gateway: &Gateway,
    workspace: &str,
    agent: &str,
    name: &str,
    more: &Value,
) -> Value {
    let mut body = json!({ "name": name, "agent": agent });
    for (field, value) in more.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    gateway.create(workspace, "gateway-keys", &body)
}

/// Asks again until `question` has an answer.
pub(crate) fn eventually<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < deadline, "did not come about: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
