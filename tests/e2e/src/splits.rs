//! Weighted splits over several isolates, and sessions that stick to a target (FEATURES C2).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Reply;
use crate::gateway::Engine;
use crate::scene::{Scene, chat, document, pooled, ready};
use crate::script::{Line, Received, Script};
use crate::tenant::eventually;

pub(crate) fn cases() -> Vec<Case> {
    cases!["splits":
        exact_over_isolates [process],
        sessions_stick [process],
    ]
}

/// How many requests run at once.
const WIDTH: usize = 64;

const SPLIT: &str = "providers:
  targets:
    - { id: a, provider: openai, model: mock-model-a }
    - { id: b, provider: openai, model: mock-model-b }
    - { id: c, provider: openai, model: mock-model-c }
routes:
  - { name: split, match: { models: [split] }, targets: [{ target: a, weight: 70 }, { target: b, weight: 20 }, { target: c, weight: 10 }] }
";

fn exact_over_isolates(env: &Env) {
    let scene = Scene::new(env.crowd());
    let key = &ready(
        &scene,
        &[scene.key("openai", "main", &json!({}))],
        &[("c", SPLIT.to_owned())],
    )[0];
    let (first, second) = match env.engine {
        Engine::Native => (10_000, 1_000),
        Engine::Wasi | Engine::Cloudflare => (2_000, 500),
    };
    let isolates = scene.gateway.isolates(WIDTH);
    // Whatever was handed out and not used has gone back a moment later, and what that left uneven is made good.
    let mut so_far = 0;
    for round in [first, second] {
        let numbers: Vec<usize> = (0..round).collect();
        pooled(&numbers, WIDTH, |number| {
            let reply = chat(key, "split").run(scene.gateway.url_of(*number));
            assert_eq!(reply.status, 200, "{}", reply.text());
        });
        so_far += round;
        let counts = counts(&scene);
        let sum: usize = counts.values().sum();
        assert_eq!(sum, so_far, "{counts:?}");
        for (model, weight) in [
            ("mock-model-a", 70),
            ("mock-model-b", 20),
            ("mock-model-c", 10),
        ] {
            let count = counts.get(model).copied().unwrap_or(0);
            let exact = so_far * weight / 100;
            assert!(
                count.abs_diff(exact) <= isolates,
                "{model}: {count} of {so_far}, exact is {exact}, with up to {isolates} isolates: {counts:?}"
            );
        }
        // One after the other, from one isolate: every ten are exact but for what is made good.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
    }
    scene.mock.clear();
    for _ in 0..100 {
        chat(key, "split").run(scene.gateway.url()).expect(200);
    }
    let counts = counts(&scene);
    for (model, exact) in [
        ("mock-model-a", 70_usize),
        ("mock-model-b", 20),
        ("mock-model-c", 10),
    ] {
        let count = counts.get(model).copied().unwrap_or(0);
        assert!(count.abs_diff(exact) <= isolates, "{model}: {counts:?}");
    }
}

/// How often the mock was asked for each model.
fn counts(scene: &Scene<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for one in scene.mock.requests() {
        let body: Value = serde_json::from_slice(&one.body).unwrap();
        *counts
            .entry(body["model"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    counts
}

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;

fn sessions_stick(env: &Env) {
    let scene = Scene::new(env.crowd());
    let down = Arc::new(AtomicBool::new(false));
    let failing = down.clone();
    let script = Script::start(move |_: &Received, line: &mut Line| -> io::Result<()> {
        if failing.load(Ordering::Relaxed) {
            return line.answer("500 Internal Server Error", "connection: close\r\n", "{}");
        }
        line.answer("200 OK", "connection: close\r\n", ANSWER)
    });
    let document = document(
        &[
            "id: a, provider: openai, model: one",
            "id: b, provider: groq, model: mock-model-b",
            "id: c, provider: mistral, model: mock-model-c",
        ],
        &[
            "name: split, match: { models: [split] }, targets: [{ target: a, weight: 3 }, { target: b, weight: 3 }, { target: c, weight: 3 }]",
        ],
    );
    let keys = [
        scene.key("openai", "main", &json!({"base_url": script.base_url()})),
        scene.key("groq", "g", &json!({})),
        scene.key("mistral", "m", &json!({})),
    ];
    let key = &ready(&scene, &keys, &[("c", document)])[0];
    let sessions: Vec<String> = (0..60).map(|number| format!("session-{number}")).collect();
    // The provider of each session, and how often one was asked.
    let ask = |number: usize| {
        pooled(&sessions, 16, |session| -> Reply {
            let at = number + session.len() + usize::from(session.as_bytes()[session.len() - 1]);
            chat(key, "split")
                .header("lockgate-session", session)
                .run(scene.gateway.url_of(at))
                .expect(200)
        })
    };
    let providers = |replies: &[Reply]| -> Vec<String> {
        let header = |reply: &Reply| {
            reply
                .header("lockgate-provider")
                .unwrap_or_default()
                .to_owned()
        };
        replies.iter().map(header).collect()
    };
    let first = providers(&ask(0));
    for provider in ["openai", "groq", "mistral"] {
        let count = first.iter().filter(|one| *one == provider).count();
        assert!(
            count >= 5,
            "{provider} has {count} of {} sessions",
            sessions.len()
        );
    }
    for round in 1..4 {
        assert_eq!(providers(&ask(round)), first, "a session has moved");
    }
    // The target of some fails: they move, the others do not.
    down.store(true, Ordering::Relaxed);
    for round in 0..3 {
        let moved = providers(&ask(round));
        for (session, (before, now)) in first.iter().zip(&moved).enumerate() {
            match before.as_str() {
                "openai" => assert_ne!(now, "openai", "session {session}"),
                _ => assert_eq!(now, before, "session {session} moved without need"),
            }
        }
    }
    // It works again: they come back.
    down.store(false, Ordering::Relaxed);
    eventually("the sessions come back", || {
        (providers(&ask(0)) == first).then_some(())
    });
    assert_eq!(providers(&ask(1)), first);
}
