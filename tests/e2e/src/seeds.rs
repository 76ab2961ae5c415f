//! What a workspace's providers are: seeded, ready, inactive or not configured; and that a deleted entry stays deleted
//! (FEATURES B5).

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::Gateway;
use crate::scene::{Scene, Why, says};
use crate::tenant::allow;

pub(crate) fn cases() -> Vec<Case> {
    cases!["seeds":
        statuses,
        deleted_for_good [process],
    ]
}

/// What `/api/providers` says of a provider: its status, and whether it is seeded.
fn status(gateway: &Gateway, workspace: &str, provider: &str) -> (String, bool, Value) {
    let all = gateway
        .api(workspace, Call::get("/api/providers"))
        .expect(200)
        .json();
    let found = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["provider"] == provider)
        .expect("the provider");
    (
        found["status"].as_str().unwrap().to_owned(),
        found["seeded"].as_bool().unwrap(),
        found["reason"].clone(),
    )
}

fn statuses(env: &Env) {
    let scene = Scene::new(env.gateway());
    let is = |provider: &str, wanted: &str, seeded: bool| -> Value {
        let (found, entry, reason) = status(scene.gateway, &scene.workspace, provider);
        assert_eq!(
            (found.as_str(), entry),
            (wanted, seeded),
            "{provider}: {reason}"
        );
        reason
    };
    for provider in ["openai", "anthropic", "google"] {
        says(&is(provider, "seeded", true), &["key"]);
    }
    for provider in ["groq", "cohere", "ollama"] {
        says(&is(provider, "not_configured", false), &["key"]);
    }
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        ("provider-keys", scene.key("groq", "g", &json!({}))),
        (
            "provider-keys",
            json!({"provider": "ollama", "name": "local", "base_url": format!("{}/v1", scene.mock.base_url())}),
        ),
    ]);
    is("openai", "ready", true);
    is("groq", "ready", false);
    is("ollama", "ready", false);
    scene
        .patch("provider-keys/g", &json!({"enabled": false}))
        .expect(200);
    says(&is("groq", "inactive", false), &["Groq", "disabled"]);
    // A second key that is enabled makes it ready.
    scene.create("provider-keys", &scene.key("groq", "h", &json!({})));
    is("groq", "ready", false);
    scene.delete("provider-keys/main").expect(204);
    is("openai", "seeded", true);

    scene.delete("providers/openai/seed").expect(204);
    is("openai", "not_configured", false);
    // Asked again it is as it was; what never had an entry, and what is no provider, is not found.
    scene.delete("providers/openai/seed").expect(204);
    let error = scene
        .delete("providers/groq/seed")
        .refusal(404, "not_found");
    says(&error["message"], &["groq"]);
    scene
        .delete("providers/nobody/seed")
        .refusal(404, "not_found");
    is("anthropic", "seeded", true);
}

fn deleted_for_good(env: &Env) {
    let gateway = env.plan().start();
    let scene = Scene::new(&gateway);
    scene.make(&[role("anything", &[allow(&["*"])])]);
    let key = scene.agents(&[agent("app", &["anything"])]).remove(0);
    scene.refused(&key, "openai/gpt-4o", Why::Seeded);
    scene.delete("providers/openai/seed").expect(204);
    scene.refused(&key, "openai/gpt-4o", Why::Missing);
    scene.refused(&key, "anthropic/claude-sonnet-4-5", Why::Seeded);
    let (workspace, mut mock) = (scene.workspace.clone(), scene.mock);
    let mut data = gateway.stop();
    // Each start may migrate and seed anew.
    for _ in 0..2 {
        let gateway = env.plan().data(&data).start();
        let scene = Scene {
            gateway: &gateway,
            workspace: workspace.clone(),
            mock,
        };
        let of = |provider: &str| status(&gateway, &workspace, provider);
        assert_eq!(of("openai").0, "not_configured");
        assert!(!of("openai").1);
        assert_eq!(of("anthropic").0, "seeded");
        scene.refused(&key, "openai/gpt-4o", Why::Missing);
        mock = scene.mock;
        data = gateway.stop();
    }
    let gateway = env.plan().data(&data).start();
    let scene = Scene {
        gateway: &gateway,
        workspace,
        mock,
    };
    scene.create("provider-keys", &scene.key("openai", "main", &json!({})));
    let (found, seeded, _) = status(&gateway, &scene.workspace, "openai");
    assert_eq!((found.as_str(), seeded), ("ready", false));
    assert_eq!(scene.served(&key, "openai/gpt-4o"), "main");
    // Without the key the entry is not back.
    scene.delete("provider-keys/main").expect(204);
    assert_eq!(
        status(&gateway, &scene.workspace, "openai").0,
        "not_configured"
    );
    scene.refused(&key, "openai/gpt-4o", Why::Missing);
    drop(scene);
    gateway.stop();
}
