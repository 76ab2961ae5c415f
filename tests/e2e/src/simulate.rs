//! Simulation: what it answers, and that the data plane then does exactly that (FEATURES B4).

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::access::{agent, deny, role};
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::gateway::Engine;
use crate::scene::{Scene, Why, chat, says, secret_of, text};
use crate::tenant::allow;
use crate::worlds::{Bound, Dice, Wish, World};

pub(crate) fn cases() -> Vec<Case> {
    cases!["simulate":
        says_what_is_done,
        in_words,
        is_checked,
        sends_and_changes_nothing,
    ]
}

/// The request of the data plane.
fn request(bound: &Bound, wish: &Wish) -> Call {
    match wish {
        Wish::Model(model) => chat(&bound.key, model),
        Wish::Header(route, model) => chat(&bound.key, model).header("lockgate-route", route),
        Wish::Route(route) => chat(&bound.key, &format!("route:{route}")),
        Wish::Bare(provider) => Call::get("/v1/files")
            .bearer(&bound.key)
            .header("lockgate-provider", provider),
    }
}

/// The same for simulation.
fn question(bound: &Bound, wish: &Wish) -> Value {
    let mut body = match wish {
        Wish::Model(model) => json!({ "model": model }),
        Wish::Header(route, model) => json!({"route": route, "model": model}),
        Wish::Route(route) => json!({ "route": route }),
        Wish::Bare(provider) => json!({ "provider": provider }),
    };
    if let Some(gateway) = bound.gateway {
        body["gateway"] = json!(gateway);
    }
    if let Some(configuration) = bound.configuration {
        body["configuration"] = json!(configuration);
    }
    body
}

/// Asserts that a request did what simulation had said; returns the outcome in a word.
fn compare(world: &World<'_>, wish: &Wish, said: &Reply, did: &Reply) -> String {
    let sent = world.scene.mock.take_requests();
    if said.status != 200 {
        // Where nothing can be said of access: no such model or route.
        assert_eq!(said.status, 404, "{}", said.text());
        let (said, did) = (said.json(), did.json());
        assert_eq!(said["error"]["code"], did["error"]["code"]);
        assert_eq!(said["error"]["message"], did["error"]["message"]);
        assert!(sent.is_empty());
        return text(&did["error"]["code"]);
    }
    let said = said.json();
    let decision = text(&said["decision"]);
    assert_eq!(said["allowed"], decision == "ready");
    assert_eq!(said["status"], did.status);
    if decision != "ready" {
        assert!(sent.is_empty(), "it was sent");
        let error = &did.json()["error"];
        let lockgate = &error["lockgate"];
        assert_eq!(said["code"], error["code"]);
        assert_eq!(decision, lockgate["reason"]);
        assert_eq!(said["provider"], lockgate["provider"]);
        assert_eq!(said["route"], lockgate["route"]);
        let words = format!(
            "{} {}",
            text(&said["explanation"]),
            text(&said["next_step"])
        );
        assert_eq!(words, text(&error["message"]));
        if let Some(rows) = lockgate.get("tags") {
            assert_eq!(&said["tags"], rows);
        }
        let pinned = error["code"] == "provider_key_pinned_missing";
        return if pinned {
            "pinned".to_owned()
        } else {
            decision
        };
    }
    assert_eq!(sent.len(), 1, "requests that reached the provider");
    let header = |name: &str| did.header(name).map_or(Value::Null, |value| json!(value));
    assert_eq!(said["provider"], header("lockgate-provider"));
    assert_eq!(said["provider_key"], header("lockgate-key"));
    assert_eq!(said["route"], header("lockgate-route"));
    assert_eq!(said["credential"], header("lockgate-credential"));
    if !matches!(wish, Wish::Bare(_)) {
        assert_eq!(said["model"], header("lockgate-model"));
    }
    // What translation warns of it says for itself.
    let warned: Vec<Value> = did
        .headers
        .iter()
        .filter(|(name, _)| name == "lockgate-warning")
        .map(|(_, warning)| json!(warning))
        .filter(|warning| {
            said["warnings"].as_array().unwrap().contains(warning) || is_of_access(warning)
        })
        .collect();
    assert_eq!(said["warnings"], json!(warned));
    let secret = secret_of(&text(&said["provider"]), &text(&said["provider_key"]));
    assert_eq!(sent[0].secret, Some(secret));
    assert_eq!(said["code"], Value::Null);
    "ready".to_owned()
}

/// Whether a warning is of a pin or of the configuration in play.
fn is_of_access(warning: &Value) -> bool {
    let warning = warning.as_str().unwrap_or_default();
    warning.contains("is pinned to") || warning.starts_with("configuration ")
}

fn says_what_is_done(env: &Env) {
    // Elsewhere each change waits out a lease. The fixed seeds come to every outcome, the last one is new each time.
    let (rounds, wishes, fixed): (_, _, &[u64]) = match env.engine {
        Engine::Native => (8, 5, &[2, 5, 15]),
        Engine::Wasi | Engine::Cloudflare => (4, 3, &[5]),
    };
    let seeds = match std::env::var("LOCKGATE_E2E_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => {
            let new = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
            fixed.iter().copied().chain([new]).collect()
        }
    };
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for seed in &seeds {
        println!("LOCKGATE_E2E_SEED={seed}");
        let dice = &mut Dice(*seed);
        let mut world = World::new(Scene::new(env.gateway()), dice);
        for round in 0..rounds {
            for bound in &world.bound {
                for _ in 0..wishes {
                    let wish = World::wish(dice);
                    let body = question(bound, &wish);
                    println!("round {round}: {} {body}", bound.agent);
                    let said = world.scene.simulate(bound.agent, &body);
                    let did = request(bound, &wish).run(world.scene.gateway.url());
                    println!("said {}: {}", said.status, said.text());
                    println!("did {}: {}", did.status, did.text());
                    *outcomes
                        .entry(compare(&world, &wish, &said, &did))
                        .or_default() += 1;
                }
            }
            world.change(dice);
        }
    }
    println!("{outcomes:?}");
    for outcome in ["ready", "pinned", "model_not_found", "route_not_found"]
        .into_iter()
        .chain(Why::ALL.map(|why| why.told_as().2))
    {
        assert!(outcomes.contains_key(outcome), "{outcome} never came about");
    }
}

fn in_words(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        (
            "provider-keys",
            scene.key("openai", "main", &json!({"tags": {"stage": "testing"}})),
        ),
        ("provider-keys", scene.key("groq", "g", &json!({"tags": {"stage": "live"}}))),
        (
            "roles",
            json!({"name": "same", "statements": [
                {"effect": "allow", "actions": ["provider-key:use"], "resources": ["*"], "conditions": [{"tags_match": ["stage"]}]},
                deny(&["mistral/*"]),
            ]}),
        ),
        ("gateways", json!({"name": "edge", "tags": {"stage": "live"}})),
    ]);
    let app = scene.create(
        "agents",
        &json!({"name": "app", "roles": ["same"], "tags": {"stage": "live"}}),
    );
    let ask = |body: Value| scene.simulate("app", &body).expect(200).json();

    let said = ask(json!({"model": "groq/llama-3.1-8b-instant", "gateway": "edge"}));
    for (field, value) in [
        ("decision", json!("ready")),
        ("allowed", json!(true)),
        ("status", json!(200)),
        ("provider", json!("groq")),
        ("provider_key", json!("g")),
        ("credential", json!("byok")),
        ("model", json!("llama-3.1-8b-instant")),
        ("route", Value::Null),
    ] {
        assert_eq!(said[field], value, "{field}: {said}");
    }
    assert!(text(&said["provider_key_id"]).starts_with("pk_"), "{said}");
    let row = |said: &Value| said["tags"][0].clone();
    assert_eq!(
        row(&said),
        json!({"key": "stage", "agent": "live", "gateway": "live", "configuration": null, "provider_key": "live", "agree": true})
    );
    assert_eq!(said["statements"][0]["role"], "same", "{said}");
    assert_eq!(said["statements"][0]["applied"], true, "{said}");

    let said = ask(json!({"model": "gpt-4o"}));
    assert_eq!(said["decision"], "tag_mismatch", "{said}");
    assert_eq!(said["allowed"], false);
    assert_eq!(
        row(&said),
        json!({"key": "stage", "agent": "live", "gateway": null, "configuration": null, "provider_key": "testing", "agree": false})
    );
    says(
        &said["explanation"],
        &["app", "OpenAI", "main", "stage", "live", "testing"],
    );
    assert!(!text(&said["next_step"]).is_empty());

    let said = ask(json!({"provider": "mistral"}));
    assert_eq!(said["decision"], "denied_by_policy", "{said}");
    let statement = &said["statements"][0];
    assert_eq!(statement["effect"], "deny", "{said}");
    assert_eq!(statement["role"], "same", "{said}");

    let said = ask(json!({"provider": "google"}));
    assert_eq!(said["decision"], "seeded", "{said}");
    says(&said["explanation"], &["Gemini"]);
    let said = ask(json!({"provider": "cohere"}));
    assert_eq!(said["decision"], "missing_provider_key", "{said}");
    // By id as by name.
    let by_id = scene
        .simulate(&text(&app["id"]), &json!({"provider": "cohere"}))
        .expect(200)
        .json();
    assert_eq!(by_id, said);
}

fn is_checked(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        role("anything", &[allow(&["*"])]),
        ("agents", agent("app", &[])),
    ]);
    for (body, word) in [
        (json!({}), "model"),
        (json!({"modle": "gpt-4o"}), "modle"),
        (json!({"model": 7}), "string"),
        (json!({"provider": "nobody"}), "nobody"),
    ] {
        let reply = scene.simulate("app", &body);
        assert!(
            matches!(reply.status, 400 | 404),
            "{body}: {}",
            reply.text()
        );
        says(&reply.json(), &[word]);
    }
    for (body, word) in [
        (json!({"model": "gpt-4o", "gateway": "nowhere"}), "nowhere"),
        (json!({"model": "gpt-4o", "configuration": "none"}), "none"),
    ] {
        let error = scene.simulate("app", &body).refusal(404, "not_found");
        says(&error["message"], &[word]);
    }
    scene
        .simulate("nobody", &json!({"model": "gpt-4o"}))
        .refusal(404, "not_found");
    scene
        .api(Call::get("/api/agents/app/simulate"))
        .refusal(405, "method_not_allowed");
}

fn sends_and_changes_nothing(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("anything", &[allow(&["*"])]),
    ]);
    scene.create("agents", &agent("app", &["anything"]));
    scene.create("agents", &agent("none", &[]));
    let rows = || {
        scene.get("audit?limit=1000")["items"]
            .as_array()
            .unwrap()
            .len()
    };
    let before = rows();
    for name in ["app", "none"] {
        scene
            .simulate(name, &json!({"model": "gpt-4o"}))
            .expect(200);
    }
    assert!(scene.mock.requests().is_empty());
    assert_eq!(rows(), before, "a simulation is no denial");
    let key = &scene.get("provider-keys/main");
    assert_eq!(key["last_used_at"], Value::Null);
    assert!(
        scene.get("requests")["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}
