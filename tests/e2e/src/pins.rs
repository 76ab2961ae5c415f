//! Agents that hold to one provider key, and what happens when it is gone (FEATURES B7).

use serde_json::{Value, json};

use crate::access::{deny, role};
use crate::case::{Case, Env, cases};
use crate::scene::{Scene, Why, at_once, says, text};
use crate::tenant::{allow, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["pins":
        pinned_keys_are_used,
        hard_pins,
        soft_pins,
        pins_are_checked,
    ]
}

fn pin(provider: &str, key: &str, mode: Option<&str>) -> Value {
    let mut pin = json!({"provider": provider, "provider_key": key});
    if let Some(mode) = mode {
        pin["mode"] = json!(mode);
    }
    pin
}

/// A workspace with two keys of OpenAI's, of which `main` is the default, and agents that may use every key.
fn furnished<'a>(env: &'a Env, pins: &[(&str, Value)]) -> (Scene<'a>, Vec<String>) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        (
            "provider-keys",
            scene.key("openai", "main", &json!({"default": true})),
        ),
        ("provider-keys", scene.key("openai", "second", &json!({}))),
        ("provider-keys", scene.key("groq", "g", &json!({}))),
        role("anything", &[allow(&["*"])]),
        role("not-second", &[allow(&["*"]), deny(&["openai/second"])]),
    ]);
    let agents: Vec<Value> = pins
        .iter()
        .map(|(name, pins)| {
            let role = if name.starts_with("barred") {
                "not-second"
            } else {
                "anything"
            };
            json!({"name": name, "roles": [role], "pins": pins})
        })
        .collect();
    let keys = scene.agents(&agents);
    (scene, keys)
}

fn pinned_keys_are_used(env: &Env) {
    let second = |mode| json!([pin("openai", "second", mode)]);
    let (scene, keys) = furnished(
        env,
        &[
            ("free", json!([])),
            ("hard", second(Some("hard"))),
            ("soft", second(Some("soft"))),
            ("plain", second(None)),
            ("barred-hard", second(None)),
            ("barred-soft", second(Some("soft"))),
        ],
    );
    for (key, used) in keys.iter().zip(["main", "second", "second", "second"]) {
        assert_eq!(scene.served(key, "gpt-4o"), used);
        // A pin is for its own provider.
        assert_eq!(scene.served(key, "groq/llama-3.1-8b-instant"), "g");
    }
    // What policy denies stays denied, however soft the pin is: another key would be another decision.
    for key in &keys[4..] {
        let error = scene.refused(key, "gpt-4o", Why::Denied);
        says(&error["message"], &["second"]);
        assert_eq!(scene.served(key, "groq/llama-3.1-8b-instant"), "g");
    }
    let shown = scene.get("agents/plain");
    let pin = &shown["pins"][0];
    assert_eq!(
        (&pin["provider"], &pin["name"], &pin["mode"]),
        (&json!("openai"), &json!("second"), &json!("hard")),
        "{shown}"
    );
    assert!(text(&pin["provider_key"]).starts_with("pk_"), "{shown}");
    // It follows the key through another name, and is changed by a patch.
    scene
        .patch("provider-keys/second", &json!({"name": "renamed"}))
        .expect(200);
    scene
        .patch(
            "agents/free",
            &json!({"pins": [{"provider": "openai", "provider_key": "renamed"}]}),
        )
        .expect(200);
    at_once(&["hard", "soft"], |name| {
        scene
            .patch(&format!("agents/{name}"), &json!({"pins": []}))
            .expect(200)
    });
    for (key, used) in [(0, "renamed"), (1, "main"), (2, "main"), (3, "renamed")] {
        scene.mock.clear();
        let reply = scene.chat(&keys[key], "gpt-4o").expect(200);
        assert_eq!(reply.header("lockgate-key"), Some(used));
    }
}

fn hard_pins(env: &Env) {
    let (scene, keys) = furnished(env, &[("app", json!([pin("openai", "second", None)]))]);
    let key = &keys[0];
    assert_eq!(scene.served(key, "gpt-4o"), "second");
    scene
        .patch("provider-keys/second", &json!({"enabled": false}))
        .expect(200);
    let error = scene.refused(key, "gpt-4o", Why::Inactive);
    says(&error["message"], &["second"]);
    scene
        .patch("provider-keys/second", &json!({"enabled": true}))
        .expect(200);
    assert_eq!(scene.served(key, "gpt-4o"), "second");
    scene.delete("provider-keys/second").expect(204);
    let error = scene.refused(key, "gpt-4o", Why::PinnedMissing);
    says(&error["message"], &["app", "second", "OpenAI"]);
    assert_eq!(scene.served(key, "groq/llama-3.1-8b-instant"), "g");
    // A new key of that name is another key.
    scene.create("provider-keys", &scene.key("openai", "second", &json!({})));
    scene.refused(key, "gpt-4o", Why::PinnedMissing);
    // The ways out: pin again, or let go.
    scene
        .patch(
            "agents/app",
            &json!({"pins": [pin("openai", "second", None)]}),
        )
        .expect(200);
    assert_eq!(scene.served(key, "gpt-4o"), "second");
    scene.patch("agents/app", &json!({"pins": []})).expect(200);
    assert_eq!(scene.served(key, "gpt-4o"), "main");
}

fn soft_pins(env: &Env) {
    let soft = json!([pin("openai", "second", Some("soft"))]);
    let (scene, keys) = furnished(env, &[("app", soft.clone()), ("gone", soft)]);
    let warning = |key: &str| {
        scene.mock.clear();
        let reply = scene.chat(key, "gpt-4o").expect(200);
        let warning = reply.header("lockgate-warning").map(str::to_owned);
        (scene.went_out(&reply), warning)
    };
    assert_eq!(warning(&keys[0]), ("second".to_owned(), None));
    scene
        .patch("provider-keys/second", &json!({"enabled": false}))
        .expect(200);
    let (used, said) = warning(&keys[0]);
    assert_eq!(used, "main");
    says(&json!(said.expect("a warning")), &["second"]);
    scene
        .patch("provider-keys/second", &json!({"enabled": true}))
        .expect(200);
    assert_eq!(warning(&keys[0]), ("second".to_owned(), None));
    scene.delete("provider-keys/second").expect(204);
    for _ in 0..2 {
        let (used, said) = warning(&keys[1]);
        assert_eq!(used, "main");
        says(&json!(said.expect("a warning")), &["second"]);
    }
    let row = eventually("the audit entry", || {
        let log = scene.get("audit?action=pin.fallback");
        let rows = log["items"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["after"]["agent"] == "gone")
    });
    assert_eq!(row["after"]["provider"], "openai", "{row}");
    assert!(text(&row["actor"]).starts_with("gk_"), "{row}");
    // With no other key left, the provider is as any without a key.
    scene.delete("provider-keys/main").expect(204);
    scene.refused(&keys[0], "gpt-4o", Why::Seeded);
}

fn pins_are_checked(env: &Env) {
    let (scene, _) = furnished(env, &[("app", json!([]))]);
    for (pins, words) in [
        (json!([pin("openai", "nobody", None)]), vec!["nobody"]),
        (json!([pin("openai", "g", None)]), vec!["g"]),
        (json!([pin("nobody", "main", None)]), vec!["nobody"]),
        (
            json!([pin("openai", "main", None), pin("openai", "second", None)]),
            vec!["openai"],
        ),
        (
            json!([pin("openai", "main", Some("firm"))]),
            vec!["hard", "soft"],
        ),
        (json!([{"provider": "openai"}]), vec!["provider_key"]),
        (
            json!([{"provider": "openai", "provider_key": "main", "key": "x"}]),
            vec!["key"],
        ),
        (json!("main"), vec![]),
    ] {
        for reply in [
            scene.patch("agents/app", &json!({ "pins": pins })),
            scene.post("agents", &json!({"name": "new", "pins": pins})),
        ] {
            assert!(
                matches!(reply.status, 400 | 404),
                "{pins}: {}",
                reply.text()
            );
            says(&reply.json(), &words);
        }
    }
    assert_eq!(scene.get("agents/app")["pins"], json!([]));
}
