//! Who may use which provider key, and what is said to who may not (FEATURES B2, B3, D1).

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::dialects::Surface;
use crate::scene::{Scene, Why, at_once, says, text};
use crate::tenant::{allow, chat_body};

pub(crate) fn cases() -> Vec<Case> {
    cases!["access":
        each_reason,
        each_reason_to_anthropic_clients,
        deny_overrides,
        conditions,
        tags_of_gateways_and_configurations,
        the_key_that_may_be_used,
    ]
}

pub(crate) fn role(name: &str, statements: &[Value]) -> (&'static str, Value) {
    ("roles", json!({"name": name, "statements": statements}))
}

pub(crate) fn agent(name: &str, roles: &[&str]) -> Value {
    json!({"name": name, "roles": roles})
}

pub(crate) fn deny(resources: &[&str]) -> Value {
    let mut statement = allow(resources);
    statement["effect"] = json!("deny");
    statement
}

/// An allow of every key under this condition.
pub(crate) fn allow_if(condition: Value) -> Value {
    let mut statement = allow(&["*"]);
    statement["conditions"] = json!([condition]);
    statement
}

/// A workspace in which each reason can be had: who asks, for which model, why not, and what the refusal must name.
fn refusals(scene: &Scene<'_>) -> Vec<(String, &'static str, Why, Vec<&'static str>)> {
    scene.make(&[
        (
            "provider-keys",
            scene.key("openai", "main", &json!({"tags": {"stage": "testing"}})),
        ),
        ("provider-keys", scene.key("mistral", "off", &json!({}))),
        role("groq-only", &[allow(&["groq/*"])]),
        role("anything", &[allow(&["*"])]),
        role("no-openai", &[allow(&["*"]), deny(&["openai/*"])]),
        role(
            "same-stage",
            &[
                allow_if(json!({"tags_match": ["stage"]})),
                deny(&["cohere/*"]),
            ],
        ),
    ]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            scene
                .patch("provider-keys/off", &json!({"enabled": false}))
                .expect(200)
        });
        let mut keys = scene
            .agents(&[
                agent("roleless", &[]),
                agent("narrow", &["groq-only"]),
                agent("barred", &["no-openai"]),
                json!({"name": "tagged", "roles": ["same-stage"], "tags": {"stage": "live"}}),
                agent("free", &["anything"]),
            ])
            .into_iter();
        let mut of = || keys.next().unwrap();
        let (roleless, narrow, barred, tagged, free) = (of(), of(), of(), of(), of());
        vec![
            (
                roleless.clone(),
                "openai/gpt-4o",
                Why::NoRole,
                vec!["roleless", "OpenAI", "role"],
            ),
            // Before what is missing, and after what is switched off.
            (
                roleless.clone(),
                "anthropic/claude-sonnet-4-5",
                Why::NoRole,
                vec!["roleless"],
            ),
            (
                roleless,
                "mistral/mistral-large-latest",
                Why::Inactive,
                vec!["roleless", "Mistral", "off"],
            ),
            (
                narrow.clone(),
                "openai/gpt-4o",
                Why::Denied,
                vec!["narrow", "OpenAI", "role"],
            ),
            (
                narrow.clone(),
                "anthropic/claude-sonnet-4-5",
                Why::Denied,
                vec!["narrow"],
            ),
            (
                narrow,
                "groq/llama-3.1-8b-instant",
                Why::Missing,
                vec!["narrow", "Groq", "Provider keys"],
            ),
            (
                barred,
                "openai/gpt-4o",
                Why::Denied,
                vec!["barred", "OpenAI", "no-openai"],
            ),
            (
                tagged.clone(),
                "openai/gpt-4o",
                Why::TagMismatch,
                vec!["tagged", "OpenAI", "main", "stage", "live", "testing"],
            ),
            (
                tagged,
                "cohere/command-a-03-2025",
                Why::Denied,
                vec!["tagged", "Cohere", "same-stage"],
            ),
            (
                free.clone(),
                "anthropic/claude-sonnet-4-5",
                Why::Seeded,
                vec!["free", "Anthropic", "Provider keys"],
            ),
            (
                free.clone(),
                "cohere/command-a-03-2025",
                Why::Missing,
                vec!["free", "Cohere", "Provider keys"],
            ),
            (
                free,
                "mistral/mistral-large-latest",
                Why::Inactive,
                vec!["free", "Mistral", "off"],
            ),
        ]
    })
}

fn each_reason(env: &Env) {
    let scene = Scene::new(env.gateway());
    for (key, model, why, names) in refusals(&scene) {
        let error = scene.refused(&key, model, why);
        let (provider, _) = model.split_once('/').unwrap();
        assert_eq!(error["lockgate"]["provider"], provider, "{error}");
        says(&error["message"], &names);
        let agent = &error["lockgate"]["agent"];
        assert!(
            ["roleless", "narrow", "barred", "tagged", "free"]
                .iter()
                .any(|one| agent == one),
            "{error}"
        );
        if why == Why::TagMismatch {
            let rows = error["lockgate"]["tags"].as_array().unwrap();
            let row = rows.iter().find(|row| row["key"] == "stage").unwrap();
            assert_eq!(
                (&row["agent"], &row["provider_key"], &row["agree"]),
                (&json!("live"), &json!("testing"), &json!(false)),
                "{error}"
            );
        }
        // A streamed request fails in the same way before its first byte.
        let streamed = Call::post("/v1/chat/completions")
            .bearer(&key)
            .json(&chat_body(model, true))
            .run(scene.gateway.url());
        let told = why.told(&streamed);
        assert_eq!(told["message"], error["message"]);
    }
    assert!(scene.mock.requests().is_empty());
}

fn each_reason_to_anthropic_clients(env: &Env) {
    let scene = Scene::new(env.gateway());
    for (key, model, why, names) in refusals(&scene) {
        let (status, code, reason) = why.told_as();
        let reply = Call::post("/v1/messages")
            .header("x-api-key", &key)
            .header("anthropic-version", "2023-06-01")
            .json(&json!({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}))
            .run(scene.gateway.url());
        let error = Surface::Messages.refused(&reply, status, code);
        assert_eq!(error["lockgate"]["reason"], reason, "{error}");
        let kind = if status == 403 {
            "permission_error"
        } else {
            "invalid_request_error"
        };
        assert_eq!(error["type"], kind, "{error}");
        says(&error["message"], &names);
    }
    assert!(scene.mock.requests().is_empty());
}

fn deny_overrides(env: &Env) {
    let scene = Scene::new(env.gateway());
    let mut gpt_4 = deny(&["*"]);
    gpt_4["conditions"] = json!([{"model_like": "gpt-4*"}]);
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("first", &[allow(&["openai/*"]), allow(&["*"])]),
        role("second", &[gpt_4]),
        role("third", &[allow(&["openai/main"])]),
    ]);
    // In whatever order roles and statements stand.
    let keys = scene.agents(&[
        agent("ends", &["first", "third", "second"]),
        agent("begins", &["second", "first"]),
        agent("without", &["third"]),
    ]);
    for key in &keys[..2] {
        let error = scene.refused(key, "gpt-4o", Why::Denied);
        says(&error, &["second"]);
        assert_eq!(scene.served(key, "gpt-3.5-turbo"), "main");
    }
    assert_eq!(scene.served(&keys[2], "gpt-4o"), "main");
}

fn conditions(env: &Env) {
    let scene = Scene::new(env.gateway());
    // The provider key is stage=live, team=red; the agents are stage=live, team=blue.
    let table = [
        (json!({"tag_equals": {"stage": "live"}}), None),
        (
            json!({"tag_equals": {"stage": "live", "team": "red"}}),
            None,
        ),
        (
            json!({"tag_equals": {"stage": "live", "team": "blue"}}),
            Some(Why::TagMismatch),
        ),
        (
            json!({"tag_equals": {"region": "eu"}}),
            Some(Why::TagMismatch),
        ),
        (json!({"tag_equals": {"team": "blue"}, "of": "agent"}), None),
        (
            json!({"tag_equals": {"team": "red"}, "of": "agent"}),
            Some(Why::TagMismatch),
        ),
        (
            json!({"tag_equals": {"team": "red"}, "of": "gateway"}),
            Some(Why::TagMismatch),
        ),
        (json!({"tag_in": {"team": ["green", "red"]}}), None),
        (
            json!({"tag_in": {"team": ["green", "blue"]}}),
            Some(Why::TagMismatch),
        ),
        (json!({"tag_like": {"team": "r*"}}), None),
        (json!({"tag_like": {"team": ["b*", "*d"]}}), None),
        (json!({"tag_like": {"team": "R*"}}), Some(Why::TagMismatch)),
        (json!({"tags_match": ["stage"]}), None),
        (
            json!({"tags_match": ["stage", "team"]}),
            Some(Why::TagMismatch),
        ),
        (json!({"tags_match": ["region"]}), Some(Why::TagMismatch)),
        (json!({"not": {"tag_equals": {"region": "eu"}}}), None),
        (
            json!({"not": {"tag_equals": {"stage": "live"}}}),
            Some(Why::TagMismatch),
        ),
        (json!({"not": {"not": {"tags_match": "stage"}}}), None),
        (json!({"model_in": ["gpt-4o", "gpt-4o-mini"]}), None),
        (json!({"model_in": ["gpt-4"]}), Some(Why::Denied)),
        (json!({"model_like": "gpt-*"}), None),
        (json!({"model_like": ["o3*", "*mini"]}), Some(Why::Denied)),
        (json!({"not": {"model_like": "gpt-*"}}), Some(Why::Denied)),
        (json!({"not": {"model_in": "gpt-5"}}), None),
    ];
    let tagged = |more: Value| json!({"tags": {"stage": "live", "team": more}});
    let mut wanted = vec![(
        "provider-keys",
        scene.key("openai", "main", &tagged(json!("red"))),
    )];
    for (at, (condition, _)) in table.iter().enumerate() {
        wanted.push(role(&format!("role-{at}"), &[allow_if(condition.clone())]));
    }
    scene.make(&wanted);
    let agents: Vec<Value> = (0..table.len())
        .map(|at| {
            let mut agent = tagged(json!("blue"));
            agent["name"] = json!(format!("agent-{at}"));
            agent["roles"] = json!([format!("role-{at}")]);
            agent
        })
        .collect();
    for (key, (condition, outcome)) in scene.agents(&agents).iter().zip(&table) {
        let reply = scene.chat(key, "gpt-4o");
        match outcome {
            None => {
                assert_eq!(reply.status, 200, "{condition}: {}", reply.text());
                assert_eq!(scene.went_out(&reply), "main");
            }
            Some(why) => {
                let (status, _, reason) = why.told_as();
                assert_eq!(reply.status, status, "{condition}: {}", reply.text());
                let error = why.told(&reply);
                assert_eq!(error["lockgate"]["reason"], reason, "{condition}");
                assert!(scene.mock.take_requests().is_empty(), "{condition}");
            }
        }
    }
}

fn tags_of_gateways_and_configurations(env: &Env) {
    let scene = Scene::new(env.gateway());
    let stage = |value: &str| json!({"tags": {"stage": value}});
    let named = |name: &str, mut tagged: Value| {
        tagged["name"] = json!(name);
        tagged
    };
    let configuration = |name: &str, mut tagged: Value| {
        tagged["name"] = json!(name);
        tagged["document"] = json!("gateway: { direct_models: allow }\n");
        ("configurations", tagged)
    };
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &stage("live"))),
        role("same", &[allow_if(json!({"tags_match": ["stage"]}))]),
        role(
            "at-the-edge",
            &[allow_if(
                json!({"tag_equals": {"stage": "testing"}, "of": "gateway"}),
            )],
        ),
        ("gateways", named("live", stage("live"))),
        ("gateways", named("testing", stage("testing"))),
        ("gateways", json!({"name": "bare"})),
        configuration("live", stage("live")),
        configuration("testing", stage("testing")),
    ]);
    at_once(
        &[("same", "live"), ("at-the-edge", "live")],
        |(role, value)| {
            let mut body = named(role, stage(value));
            body["roles"] = json!([role]);
            scene.create("agents", &body)
        },
    );
    let table = [
        ("same", json!({}), None),
        ("same", json!({"gateway": "live"}), None),
        ("same", json!({"gateway": "testing"}), Some("testing")),
        ("same", json!({"gateway": "bare"}), Some("stage")),
        // The tags of a configuration count before a version of it is live.
        ("same", json!({"configuration": "live"}), None),
        ("same", json!({"configuration": "testing"}), Some("testing")),
        (
            "same",
            json!({"gateway": "live", "configuration": "testing"}),
            Some("testing"),
        ),
        ("at-the-edge", json!({}), Some("stage")),
        ("at-the-edge", json!({"gateway": "live"}), Some("live")),
        ("at-the-edge", json!({"gateway": "testing"}), None),
    ];
    let keys = at_once(&table, |(agent, more, _)| scene.gateway_key(agent, more));
    for (key, (agent, more, outcome)) in keys.iter().zip(&table) {
        println!("{agent} {more}");
        match outcome {
            None => assert_eq!(scene.served(key, "gpt-4o"), "main"),
            Some(word) => {
                let error = scene.refused(key, "gpt-4o", Why::TagMismatch);
                says(&error["message"], &["stage", *word]);
            }
        }
    }
    // The workspace's default configuration is in play for keys that are bound to none; theirs stays in play for the others.
    scene.patch_workspace(&json!({"default_configuration": "testing"}));
    scene.refused(&keys[0], "gpt-4o", Why::TagMismatch);
    assert_eq!(scene.served(&keys[4], "gpt-4o"), "main");
    scene
        .put("configurations/testing/tags", &json!({"stage": "live"}))
        .expect(200);
    assert_eq!(scene.served(&keys[0], "gpt-4o"), "main");
    scene.patch_workspace(&json!({"default_configuration": null}));
    assert_eq!(scene.served(&keys[0], "gpt-4o"), "main");
}

fn the_key_that_may_be_used(env: &Env) {
    let scene = Scene::new(env.gateway());
    let keys = scene.make(&[
        (
            "provider-keys",
            scene.key("openai", "main", &json!({"default": true})),
        ),
        ("provider-keys", scene.key("openai", "prod-eu", &json!({}))),
        ("provider-keys", scene.key("openai", "prod-us", &json!({}))),
        ("provider-keys", scene.key("groq", "prod-us", &json!({}))),
        role("prod", &[allow(&["openai/prod-*"])]),
        role("us", &[allow(&["*/prod-us"])]),
        role("anything", &[allow(&["*"])]),
        role("not-main", &[allow(&["openai"]), deny(&["openai/main"])]),
        role("none-there", &[allow(&["openai/dev-*"])]),
    ]);
    let by_id = format!("openai/{}", text(&keys[2]["id"]));
    scene.create(
        "roles",
        &json!({"name": "by-id", "statements": [allow(&[&by_id])]}),
    );
    let names = ["prod", "us", "anything", "not-main", "by-id", "none-there"];
    let agents: Vec<Value> = names.iter().map(|name| agent(name, &[name])).collect();
    let held = scene.agents(&agents);
    for (key, used) in held
        .iter()
        .zip(["prod-eu", "prod-us", "main", "prod-eu", "prod-us"])
    {
        for _ in 0..3 {
            assert_eq!(scene.served(key, "openai/gpt-4o"), used);
        }
    }
    assert_eq!(
        scene.served(&held[1], "groq/llama-3.1-8b-instant"),
        "prod-us"
    );
    scene.refused(&held[0], "groq/llama-3.1-8b-instant", Why::Denied);
    scene.refused(&held[5], "openai/gpt-4o", Why::Denied);
    // One that may be used but is disabled gives way to another that may, never to one that may not.
    scene
        .patch("provider-keys/prod-eu", &json!({"enabled": false}))
        .expect(200);
    assert_eq!(scene.served(&held[0], "openai/gpt-4o"), "prod-us");
    let id = text(&keys[2]["id"]);
    scene
        .patch(&format!("provider-keys/{id}"), &json!({"enabled": false}))
        .expect(200);
    scene.refused(&held[0], "openai/gpt-4o", Why::Denied);
    // A key that is renamed out of a pattern is out of it at once.
    scene
        .patch(
            "provider-keys/prod-eu",
            &json!({"enabled": true, "name": "old-eu"}),
        )
        .expect(200);
    scene.refused(&held[0], "openai/gpt-4o", Why::Denied);
}
