//! Fallback beyond the matrix of single failures: several keys of one provider, keys that are missing, circuits, deadlines,
//! streams, and allow-lists that nothing leaves (FEATURES C3, C5).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::configurations::validate;
use crate::scene::{Scene, Why, at_once, chat, document, ready, says, secret_of};
use crate::script::{Line, Received, Script};
use crate::tenant::{chat_body, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["failover":
        every_key_of_a_provider,
        one_key_of_a_provider,
        missing_keys,
        circuits,
        deadlines,
        waits_as_asked,
        not_after_the_first_byte,
        streams_fall_back_before_it,
        allow_lists_hold,
    ]
}

/// The names of the provider keys that requests went out with, in order; what was recorded is then forgotten.
fn went_with(scene: &Scene<'_>, known: &[(&str, &str)]) -> Vec<String> {
    let sent = scene.mock.take_requests();
    let name = |secret: &str| {
        let of = known
            .iter()
            .find(|(provider, name)| secret_of(provider, name) == secret);
        of.map_or_else(|| secret.to_owned(), |(_, name)| (*name).to_owned())
    };
    sent.iter()
        .map(|one| name(one.secret.as_deref().unwrap_or_default()))
        .collect()
}

/// The warnings of an answer.
fn warnings(reply: &Reply) -> Vec<&str> {
    let all = reply.headers.iter();
    let warnings = all.filter(|(name, _)| name == "lockgate-warning");
    warnings.map(|(_, value)| value.as_str()).collect()
}

/// OpenAI's keys in the order in which they are tried, and one of Groq's. The mock refuses the first and limits the second.
const KEYS: [(&str, &str); 4] = [
    ("openai", "a-revoked"),
    ("openai", "b-limited"),
    ("openai", "c-fine"),
    ("groq", "g"),
];

fn several_keys(scene: &Scene<'_>) -> Vec<Value> {
    KEYS.iter()
        .map(|(provider, name)| {
            scene.key(provider, name, &json!({"default": *name == "a-revoked"}))
        })
        .collect()
}

fn two_targets(fallback: &str) -> String {
    document(
        &[
            "id: one, provider: openai, model: gpt-4o",
            "id: two, provider: groq, model: mock-model",
        ],
        &[&format!(
            "name: r, match: {{ models: [r] }}, targets: [{{ target: one }}, {{ target: two, priority: 1 }}], fallback: {{ {fallback} }}"
        )],
    )
}

fn every_key_of_a_provider(env: &Env) {
    let scene = Scene::new(env.gateway());
    let fallback = two_targets("on: [rate_limit, key_rejected], keys: all");
    let key = &ready(&scene, &several_keys(&scene), &[("c", fallback)])[0];
    let reply = scene.chat(key, "r").expect(200);
    assert_eq!(
        went_with(&scene, &KEYS),
        ["a-revoked", "b-limited", "c-fine"]
    );
    assert_eq!(reply.header("lockgate-attempts"), Some("3"));
    assert_eq!(reply.header("lockgate-provider"), Some("openai"));
    assert_eq!(reply.header("lockgate-key"), Some("c-fine"));
    let said = warnings(&reply);
    assert!(
        said.contains(&"provider key a-revoked of openai was passed over: provider_key_rejected"),
        "{said:?}"
    );
    assert!(
        said.contains(&"provider key b-limited of openai was passed over: provider_rate_limited"),
        "{said:?}"
    );
    // The keys are benched, not their provider.
    let reply = eventually("only the key that is left is used", || {
        scene.mock.clear();
        let reply = scene.chat(key, "r").expect(200);
        (went_with(&scene, &KEYS) == ["c-fine"]).then_some(reply)
    });
    assert_eq!(reply.header("lockgate-attempts"), Some("1"));
    // Without the key that works, the next provider; and a key that is benched is better than none.
    let keys = scene.get("provider-keys?limit=100");
    let fine = keys["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "c-fine");
    let path = format!("provider-keys/{}", fine.unwrap()["id"].as_str().unwrap());
    scene.patch(&path, &json!({"enabled": false})).expect(200);
    scene.mock.clear();
    let reply = scene.chat(key, "r").expect(200);
    assert_eq!(reply.header("lockgate-provider"), Some("groq"));
    assert_eq!(
        went_with(&scene, &KEYS).last().map(String::as_str),
        Some("g")
    );
}

fn one_key_of_a_provider(env: &Env) {
    // Unless the route says otherwise, the next provider follows one failure.
    let scene = Scene::new(env.gateway());
    let fallback = two_targets("on: [rate_limit, key_rejected]");
    let key = &ready(&scene, &several_keys(&scene), &[("c", fallback)])[0];
    let reply = scene.chat(key, "r").expect(200);
    assert_eq!(went_with(&scene, &KEYS), ["a-revoked", "g"]);
    assert_eq!(reply.header("lockgate-attempts"), Some("2"));
    // What a 401 says of a key is known from then on, and another key of the provider takes its place.
    eventually("the rejected key is passed over", || {
        scene.mock.clear();
        scene.chat(key, "r").expect(200);
        let went = went_with(&scene, &KEYS);
        (went.first().map(String::as_str) == Some("b-limited")).then_some(())
    });
}

fn missing_keys(env: &Env) {
    let scene = Scene::new(env.gateway());
    let targets = [
        "id: none, provider: mistral, model: mock-model",
        "id: named, provider: openai, model: mock-model, provider_key: nobody",
        "id: main, provider: openai, model: gpt-4o",
    ];
    let route = |name: &str, first: &str, fallback: &str| {
        format!(
            "name: {name}, match: {{ models: [{name}] }}, targets: [{{ target: {first} }}, {{ target: main, priority: 1 }}]{fallback}"
        )
    };
    let missing = ", fallback: { on: [key_missing] }";
    let routes = [
        route("left", "none", missing),
        route("left-named", "named", ", fallback: { on: [key_missing], attempts: 1 }"),
        route("kept", "none", ""),
        route("kept-named", "named", ", fallback: { on: [timeout, rate_limit, server_error, key_rejected, quota_exhausted] }"),
        "name: alone, match: { models: [alone] }, targets: [{ target: none }], fallback: { on: [key_missing], attempts: 3 }".to_owned(),
    ];
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let keys = [scene.key("openai", "main", &json!({}))];
    let key = &ready(&scene, &keys, &[("c", document(&targets, &routes))])[0];
    for route in ["left", "left-named"] {
        scene.mock.clear();
        let reply = scene.chat(key, route).expect(200);
        assert_eq!(scene.went_out(&reply), "main", "{route}");
        // Nobody was asked before.
        assert_eq!(reply.header("lockgate-attempts"), Some("1"), "{route}");
        assert_eq!(reply.header("lockgate-model"), Some("gpt-4o"), "{route}");
    }
    for (route, why) in [
        ("kept", Why::Missing),
        ("kept-named", Why::Missing),
        ("alone", Why::Missing),
    ] {
        let error = scene.refused(key, route, why);
        assert_eq!(error["lockgate"]["route"], route, "{error}");
    }
}

/// A provider that fails while it is told to.
fn flaky(down: &Arc<AtomicBool>) -> Script {
    const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;
    let down = down.clone();
    Script::start(move |_: &Received, line: &mut Line| -> io::Result<()> {
        let (status, body) = match down.load(Ordering::Relaxed) {
            true => ("500 Internal Server Error", "{}"),
            false => ("200 OK", ANSWER),
        };
        line.answer(status, "connection: close\r\n", body)
    })
}

fn circuits(env: &Env) {
    let scene = Scene::new(env.gateway());
    let down = Arc::new(AtomicBool::new(true));
    let script = flaky(&down);
    let document = document(
        &[
            "id: one, provider: openai, model: m",
            "id: two, provider: groq, model: mock-model",
        ],
        &[
            "name: r, match: { models: [r] }, targets: [{ target: one }, { target: two, priority: 1 }]",
            "name: alone, match: { models: [alone] }, targets: [{ target: one }]",
        ],
    );
    let keys = [
        scene.key("openai", "main", &json!({"base_url": script.base_url()})),
        scene.key("groq", "g", &json!({})),
    ];
    let key = &ready(&scene, &keys, &[("c", document)])[0];
    // Failures in a row: from then on it is left alone, but for a probe now and then.
    let asked = |count: usize| {
        let before = script.received().len();
        for _ in 0..count {
            let reply = scene.chat(key, "r").expect(200);
            assert_eq!(reply.header("lockgate-provider"), Some("groq"));
        }
        script.received().len() - before
    };
    assert_eq!(asked(5), 5);
    // Each isolate finds out for itself.
    asked(30);
    let probes = asked(30);
    assert!(
        probes <= 6,
        "a target that is out of order was asked {probes} times"
    );
    // Where there is no other candidate, it is tried all the same.
    let before = script.received().len();
    scene.chat(key, "alone").refusal(502, "provider_error");
    assert_eq!(script.received().len() - before, 1);
    // It works again.
    down.store(false, Ordering::Relaxed);
    eventually("the circuits close", || {
        (0..10)
            .all(|_| {
                let reply = scene.chat(key, "r").expect(200);
                reply.header("lockgate-provider") == Some("openai")
                    && reply.header("lockgate-attempts") == Some("1")
            })
            .then_some(())
    });
}

fn deadlines(env: &Env) {
    let scene = Scene::new(env.gateway());
    let document = document(
        &[
            "id: a, provider: openai, model: a/mock-silent",
            "id: b, provider: groq, model: b/mock-silent",
            "id: c, provider: mistral, model: c/mock-model",
        ],
        &[
            "name: r, match: { models: [r] }, targets: [{ target: a }, { target: b, priority: 1 }, { target: c, priority: 2 }], fallback: { deadline: 2s }",
            "name: lost, match: { models: [lost] }, targets: [{ target: a }, { target: b, priority: 1 }], fallback: { deadline: 1s }",
        ],
    );
    let keys = ["openai", "groq", "mistral"].map(|provider| scene.key(provider, "k", &json!({})));
    let key = &ready(&scene, &keys, &[("c", document)])[0];
    let models = || -> Vec<String> {
        let model =
            |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["model"].to_string();
        scene
            .mock
            .take_requests()
            .iter()
            .map(|one| model(&one.body))
            .collect()
    };
    // Targets that say nothing leave time for the others, well below the patience with a single one.
    let reply = scene.chat(key, "r").expect(200);
    assert_eq!(
        models(),
        ["\"a/mock-silent\"", "\"b/mock-silent\"", "\"c/mock-model\""]
    );
    assert_eq!(reply.header("lockgate-attempts"), Some("3"));
    let error = scene.chat(key, "lost").refusal(504, "provider_timeout");
    assert_eq!(models(), ["\"a/mock-silent\"", "\"b/mock-silent\""]);
    says(&error["lockgate"], &["lost", "groq"]);
}

fn waits_as_asked(env: &Env) {
    let scene = Scene::new(env.gateway());
    let document = document(
        &["id: one, provider: openai, model: mock-limited-1"],
        &["name: r, match: { models: [r] }, targets: [{ target: one }], fallback: { attempts: 2 }"],
    );
    let keys = [scene.key("openai", "main", &json!({}))];
    let key = &ready(&scene, &keys, &[("c", document)])[0];
    let reply = scene.chat(key, "r");
    reply.refusal(429, "provider_rate_limited");
    assert_eq!(reply.header("retry-after"), Some("1"));
    let sent = scene.mock.take_requests();
    assert_eq!(sent.len(), 2);
    let waited = sent[1].started_at - sent[0].started_at;
    assert!(
        waited >= Duration::from_secs(1),
        "asked again after {waited:?}"
    );
}

fn not_after_the_first_byte(env: &Env) {
    let scene = Scene::new(env.gateway());
    let (mut targets, mut routes) = (
        vec!["id: two, provider: mistral, model: second/mock-model".to_owned()],
        Vec::new(),
    );
    let mut names = Vec::new();
    for provider in ["openai", "anthropic"] {
        for model in [
            "mock-break-3",
            "mock-cut-3",
            "mock-error-mid-3",
            "mock-stall-3",
        ] {
            let name = format!("{provider}-{model}");
            targets.push(format!("id: {name}, provider: {provider}, model: {model}"));
            routes.push(format!(
                "name: {name}, match: {{ models: [{name}] }}, targets: [{{ target: {name} }}, {{ target: two, priority: 1 }}], fallback: {{ on: [timeout, rate_limit, server_error, key_missing, key_rejected, quota_exhausted], attempts: 5 }}"
            ));
            names.push(name);
        }
    }
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let keys =
        ["openai", "anthropic", "mistral"].map(|provider| scene.key(provider, "k", &json!({})));
    let key = &ready(&scene, &keys, &[("c", document(&targets, &routes))])[0];
    let replies = at_once(&names, |name| {
        Call::post("/v1/chat/completions")
            .bearer(key)
            .json(&chat_body(name, true))
            .run(scene.gateway.url())
    });
    for (name, reply) in names.iter().zip(&replies) {
        assert_eq!(reply.status, 200, "{name}");
        assert_eq!(reply.header("lockgate-attempts"), Some("1"), "{name}");
        let text = reply.text();
        // What came is there, and that it broke off is said.
        assert!(
            text.contains("0 ") && text.contains("\"error\""),
            "{name}: {text}"
        );
        assert!(!text.contains("[DONE]"), "{name}: {text}");
    }
    let sent = scene.mock.requests();
    assert_eq!(sent.len(), names.len(), "each was sent once");
    assert!(
        sent.iter()
            .all(|one| !one.body.windows(6).any(|part| part == b"second"))
    );
}

fn streams_fall_back_before_it(env: &Env) {
    let scene = Scene::new(env.gateway());
    let mut targets = vec!["id: two, provider: mistral, model: second/mock-burst-3".to_owned()];
    let (mut routes, mut names) = (Vec::new(), Vec::new());
    for provider in ["openai", "anthropic"] {
        for model in [
            "mock-reset",
            "mock-status-500",
            "mock-limited",
            "mock-silent",
        ] {
            let name = format!("{provider}-{model}");
            targets.push(format!("id: {name}, provider: {provider}, model: {model}"));
            routes.push(format!(
                "name: {name}, match: {{ models: [{name}] }}, targets: [{{ target: {name} }}, {{ target: two, priority: 1 }}]"
            ));
            names.push(name);
        }
    }
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let keys =
        ["openai", "anthropic", "mistral"].map(|provider| scene.key(provider, "k", &json!({})));
    let key = &ready(&scene, &keys, &[("c", document(&targets, &routes))])[0];
    let replies = at_once(&names, |name| {
        Call::post("/v1/chat/completions")
            .bearer(key)
            .json(&chat_body(name, true))
            .run(scene.gateway.url())
    });
    for (name, reply) in names.iter().zip(&replies) {
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert_eq!(reply.header("lockgate-provider"), Some("mistral"), "{name}");
        assert_eq!(reply.header("lockgate-attempts"), Some("2"), "{name}");
        let text = reply.text();
        assert!(
            text.contains("\"2 \"") && text.contains("[DONE]"),
            "{name}: {text}"
        );
    }
}

fn allow_lists_hold(env: &Env) {
    // Everything but the allow-list invites to leave it: other routes, direct models, a default configuration, keys.
    let scene = Scene::new(env.gateway());
    let document = document(
        &[
            "id: openai, provider: anthropic, model: openai/mock-status-500",
            "id: second, provider: anthropic, model: mock-status-503",
            "id: main, provider: openai, model: gpt-4o",
        ],
        &[
            "name: review, match: { task: policy-review, models: [\"review-*\", \"openai/review\"] }, allow_providers: [anthropic], targets: [{ target: openai }, { target: second, priority: 1 }], fallback: { on: [timeout, rate_limit, server_error, key_missing, key_rejected, quota_exhausted], keys: all, attempts: 4, deadline: 10s }",
            "name: chat, match: { models: [\"gpt-*\"] }, targets: [{ target: main }]",
        ],
    );
    let document = format!("{document}gateway: {{ direct_models: allow }}\n");
    let keys = [
        scene.key("openai", "main", &json!({"default": true})),
        scene.key("anthropic", "a", &json!({"default": true})),
        scene.key("anthropic", "b", &json!({})),
    ];
    let key = &ready(&scene, &keys, &[("c", document.clone())])[0];
    scene.patch_workspace(&json!({"default_configuration": "c"}));
    let url = scene.gateway.url();
    let by_header = |model: &str| chat(key, model).header("lockgate-route", "review");
    let task = |model: &str| chat(key, model).header("lockgate-route", "policy-review");
    let calls = vec![
        by_header("gpt-4o"),
        by_header("openai/gpt-4o"),
        by_header("route:chat"),
        by_header("main"),
        task("gpt-4o"),
        task("review-x"),
        chat(key, "route:review"),
        chat(key, "route:policy-review"),
        chat(key, "review-openai/gpt-4o"),
        chat(key, "openai/review"),
        by_header("gpt-4o").header("lockgate-provider", "openai"),
        chat(key, "review-1").header("lockgate-provider", "openai"),
        chat(key, "review-2").header("lockgate-session", "openai"),
    ];
    let mut reached = 0;
    for (number, call) in calls.into_iter().enumerate() {
        scene.mock.clear();
        let reply = call.run(url);
        assert!(reply.status >= 400, "call {number}: {}", reply.text());
        let sent = scene.mock.take_requests();
        for one in &sent {
            assert!(
                one.path.ends_with("/messages"),
                "call {number} reached {}",
                one.path
            );
        }
        reached += usize::from(!sent.is_empty());
    }
    // They were no refusals of the gateway's own alone.
    assert!(reached >= 6, "{reached} calls reached a provider");
    // The same configuration does serve the other provider, where the route is another.
    assert_eq!(scene.served(key, "gpt-4o"), "main");
    // Configurations that are made to leave it.
    let second = "{ target: second, priority: 1 }";
    for (crafted, named) in [
        (
            document.replacen(second, "{ target: main, priority: 1 }", 1),
            "allow_providers",
        ),
        (
            document.replacen("[anthropic]", "[anthropic, Anthropic]", 1),
            "Anthropic",
        ),
        (document.replacen("[anthropic]", "[]", 1), "allow_providers"),
        (document.replacen("[anthropic]", "[\"*\"]", 1), "*"),
        (
            document.replacen(
                "id: openai, provider: anthropic",
                "id: openai, provider: openai",
                1,
            ),
            "allow_providers",
        ),
    ] {
        assert_ne!(crafted, document);
        let found = validate(&scene, &crafted);
        assert_eq!(found["valid"], false, "{named}: {found}");
        says(&found["problems"], &[named]);
    }
}
