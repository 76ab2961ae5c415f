//! A workspace that a test furnishes itself: roles, agents, gateways, configurations and provider keys. What can be made at
//! once is, since every write waits out a lease.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};

use mock_provider::MockProvider;
use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::client::{Call, Reply};
use crate::configurations::live;
use crate::gateway::Gateway;
use crate::tenant::{MARK, allow, chat_body};

/// A workspace with a mock provider, to which all its keys point.
pub(crate) struct Scene<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) workspace: String,
    pub(crate) mock: MockProvider,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            workspace: gateway.workspace(),
            mock: MockProvider::start(0),
        }
    }

    /// The same workspace, served by another gateway.
    pub(crate) fn at(self, gateway: &'a Gateway) -> Self {
        Self { gateway, ..self }
    }

    /// A management call with the root token.
    pub(crate) fn api(&self, call: Call) -> Reply {
        self.gateway.api(&self.workspace, call)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.api(Call::get(&format!("/api/{path}")))
            .expect(200)
            .json()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.api(Call::post(&format!("/api/{path}")).json(body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Reply {
        self.api(Call::new("PUT", &format!("/api/{path}")).json(body))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.api(Call::new("PATCH", &format!("/api/{path}")).json(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.api(Call::new("DELETE", &format!("/api/{path}")))
    }

    pub(crate) fn create(&self, kind: &str, body: &Value) -> Value {
        self.gateway.create(&self.workspace, kind, body)
    }

    /// Creates them all at once; in the order they were given.
    pub(crate) fn make(&self, wanted: &[(&str, Value)]) -> Vec<Value> {
        at_once(wanted, |(kind, body)| self.create(kind, body))
    }

    /// Changes the workspace itself.
    pub(crate) fn patch_workspace(&self, body: &Value) -> Value {
        self.patch(&format!("workspaces/{}", self.workspace), body)
            .expect(200)
            .json()
    }

    /// The body that makes a provider key with the secret that [`secret_of`] says.
    pub(crate) fn key(&self, provider: &str, name: &str, more: &Value) -> Value {
        let root = self.mock.base_url();
        let base_url = match provider {
            "anthropic" | "google" => root,
            _ => format!("{root}/v1"),
        };
        let mut body = json!({
            "provider": provider, "name": name, "secret": secret_of(provider, name), "force": true, "base_url": base_url,
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        body
    }

    /// Makes a gateway key for an agent that exists, and returns its text.
    pub(crate) fn gateway_key(&self, agent: &str, more: &Value) -> String {
        let mut body = json!({"name": crate::gateway::unique("key"), "agent": agent});
        for (field, value) in more.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        text(&self.create("gateway-keys", &body)["key"])
    }

    /// Makes agents at once, each with a gateway key of its own; returns the keys.
    pub(crate) fn agents(&self, bodies: &[Value]) -> Vec<String> {
        at_once(bodies, |body| self.create("agents", body));
        at_once(bodies, |body| {
            self.gateway_key(body["name"].as_str().unwrap(), &json!({}))
        })
    }

    /// A chat request for this model.
    pub(crate) fn chat(&self, key: &str, model: &str) -> Reply {
        chat(key, model).run(self.gateway.url())
    }

    /// Asserts that a chat request is served, and returns the name of the provider key that it went out with.
    pub(crate) fn served(&self, key: &str, model: &str) -> String {
        self.mock.clear();
        let reply = self.chat(key, model);
        assert_eq!(reply.status, 200, "{model}: {}", reply.text());
        self.went_out(&reply)
    }

    /// The name of the provider key that a request went out with, which answer and mock provider must agree on.
    pub(crate) fn went_out(&self, reply: &Reply) -> String {
        let header = |name: &str| reply.header(name).unwrap_or_default().to_owned();
        let name = header("lockgate-key");
        let mut sent = self.mock.take_requests();
        assert_eq!(sent.len(), 1, "requests that reached the provider");
        let secret = sent.pop().and_then(|one| one.secret);
        let wanted = secret_of(&header("lockgate-provider"), &name);
        assert_eq!(secret, Some(wanted), "the secret of key {name}");
        name
    }

    /// Asserts that a chat request is refused so, and that nothing reached the provider; returns the error.
    pub(crate) fn refused(&self, key: &str, model: &str, why: Why) -> Value {
        self.mock.clear();
        let error = why.told(&self.chat(key, model));
        assert!(self.mock.requests().is_empty(), "{model}: it was sent");
        error
    }

    /// What simulation says.
    pub(crate) fn simulate(&self, agent: &str, body: &Value) -> Reply {
        self.post(&format!("agents/{agent}/simulate"), body)
    }
}

/// A chat request for this model, yet to be sent.
pub(crate) fn chat(key: &str, model: &str) -> Call {
    Call::post("/v1/chat/completions")
        .bearer(key)
        .json(&chat_body(model, false))
}

/// The secret of a provider key that [`Scene::key`] makes; no two of a workspace have the same.
pub(crate) fn secret_of(provider: &str, name: &str) -> String {
    format!("{MARK}{provider}{name}{:0>32}", "")
}

/// Does something with each at once; in the order they were given.
pub(crate) fn at_once<T: Sync, R: Send>(all: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let each = &each;
        let running: Vec<_> = all
            .iter()
            .map(|one| scope.spawn(move || each(one)))
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// Does something with each, so many at once; in the order they were given.
pub(crate) fn pooled<T: Sync, R: Send>(
    all: &[T],
    width: usize,
    each: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, one)) = pick(all, &next) {
            done.push((at, each(one)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
        let ended = running.into_iter().map(|one| one.join().unwrap());
        ended.flatten().collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, one)| one).collect()
}

/// The next that nobody has taken, with its place.
fn pick<'a, T>(all: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, all.get(at)?))
}

/// Furnishes a workspace with provider keys and configurations; a gateway key for each of those.
pub(crate) fn ready(
    scene: &Scene<'_>,
    provider_keys: &[Value],
    documents: &[(&str, String)],
) -> Vec<String> {
    let mut wanted: Vec<(&str, Value)> = provider_keys
        .iter()
        .map(|key| ("provider-keys", key.clone()))
        .collect();
    wanted.push(role("anything", &[allow(&["*"])]));
    scene.make(&wanted);
    std::thread::scope(|scope| {
        scope.spawn(|| at_once(documents, |(name, document)| live(scene, name, document)));
        scene.create("agents", &agent("app", &["anything"]));
    });
    at_once(documents, |(name, _)| {
        scene.gateway_key("app", &json!({"configuration": name}))
    })
}

/// A document with these targets and routes, a line each.
pub(crate) fn document(targets: &[&str], routes: &[&str]) -> String {
    let mut text = "providers:\n  targets:\n".to_owned();
    for target in targets {
        text.push_str(&format!("    - {{ {target} }}\n"));
    }
    text.push_str("routes:\n");
    for route in routes {
        text.push_str(&format!("  - {{ {route} }}\n"));
    }
    text
}

/// A text that must be there.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Asserts that something says each of these.
pub(crate) fn says(said: &Value, words: &[impl Display]) {
    let said = match said {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for word in words {
        let word = word.to_string();
        assert!(said.contains(&word), "should say “{word}”: {said}");
    }
}

/// A reason of FEATURES B4, with its status and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Inactive,
    NoRole,
    Denied,
    TagMismatch,
    Seeded,
    Missing,
    /// A hard pin whose key is gone.
    PinnedMissing,
}

impl Why {
    pub(crate) const ALL: [Self; 7] = [
        Self::Inactive,
        Self::NoRole,
        Self::Denied,
        Self::TagMismatch,
        Self::Seeded,
        Self::Missing,
        Self::PinnedMissing,
    ];

    /// API.md, “Decisions of access, limits and money”.
    pub(crate) fn told_as(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Inactive => (424, "provider_not_ready", "inactive"),
            Self::NoRole => (403, "access_denied", "no_role_attached"),
            Self::Denied => (403, "access_denied", "denied_by_policy"),
            Self::TagMismatch => (403, "access_denied", "tag_mismatch"),
            Self::Seeded => (424, "provider_not_ready", "seeded"),
            Self::Missing => (424, "provider_not_ready", "missing_provider_key"),
            Self::PinnedMissing => (424, "provider_key_pinned_missing", "missing_provider_key"),
        }
    }

    /// Asserts that a refusal in OpenAI's shape gives this reason, and returns the error.
    pub(crate) fn told(self, reply: &Reply) -> Value {
        let (status, code, reason) = self.told_as();
        let error = reply.refusal(status, code);
        assert_eq!(error["lockgate"]["reason"], reason, "{error}");
        error
    }
}
