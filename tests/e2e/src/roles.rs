//! Roles as they are managed and attached, the setting that leaves access open, and what a gateway key is shown to be able
//! to use (FEATURES B2, B8).

use serde_json::{Value, json};

use crate::access::{agent, deny, role};
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::scene::{Scene, Why, chat, says, text};
use crate::tenant::{allow, chat_body};

pub(crate) fn cases() -> Vec<Case> {
    cases!["roles":
        roles_change,
        roles_are_checked,
        agents_name_roles,
        open_to_all,
        models_that_can_be_used,
        calls_without_a_model,
    ]
}

fn roles_change(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("one", &[allow(&["openai/*"])]),
        role("two", &[allow(&["groq/*"])]),
    ]);
    let key = &scene.agents(&[agent("app", &["one"]), agent("other", &["one"])]);
    assert_eq!(scene.served(&key[0], "gpt-4o"), "main");
    let roles = |roles: &[&str]| {
        scene
            .patch("agents/app", &json!({ "roles": roles }))
            .expect(200)
            .json()
    };
    assert_eq!(roles(&[])["roles"], json!([]));
    scene.refused(&key[0], "gpt-4o", Why::NoRole);
    roles(&["two"]);
    scene.refused(&key[0], "gpt-4o", Why::Denied);
    roles(&["two", "one"]);
    assert_eq!(scene.served(&key[0], "gpt-4o"), "main");
    // Patching a role counts for everybody who has it.
    let changed = scene
        .patch("roles/one", &json!({"statements": [allow(&["mistral/*"])]}))
        .expect(200)
        .json();
    assert_eq!(
        changed["statements"][0]["resources"],
        json!(["mistral/*"]),
        "{changed}"
    );
    for key in key {
        scene.refused(key, "gpt-4o", Why::Denied);
    }
    scene
        .patch(
            "roles/one",
            &json!({"name": "renamed", "statements": [allow(&["openai"])]}),
        )
        .expect(200);
    assert_eq!(scene.served(&key[0], "gpt-4o"), "main");
    // Deleting one takes it off every agent.
    scene.delete("roles/renamed").expect(204);
    scene.refused(&key[0], "gpt-4o", Why::Denied);
    scene.refused(&key[1], "gpt-4o", Why::NoRole);
    assert_eq!(scene.get("agents/other")["roles"], json!([]));
    assert_eq!(
        scene.get("agents/app")["roles"].as_array().unwrap().len(),
        1
    );
    // A new one of the same name is another role.
    scene.create(
        "roles",
        &json!({"name": "renamed", "statements": [allow(&["*"])]}),
    );
    scene.refused(&key[1], "gpt-4o", Why::NoRole);
}

fn roles_are_checked(env: &Env) {
    let scene = Scene::new(env.gateway());
    let made = scene.create(
        "roles",
        &json!({"name": "one", "statements": [allow(&["*"])]}),
    );
    assert!(text(&made["id"]).starts_with("role_"), "{made}");
    assert_eq!(made["managed_by"], "manual", "{made}");
    let statement = |field: &str, value: Value| {
        let mut statement = allow(&["*"]);
        statement[field] = value;
        json!([statement])
    };
    let condition = |condition: Value| statement("conditions", json!([condition]));
    let table = [
        (json!([{}]), "statements[0]"),
        (json!({}), "statements"),
        (statement("effect", json!("maybe")), "statements[0].effect"),
        (statement("actions", json!([])), "statements[0].actions"),
        (
            statement("actions", json!(["Provider Key"])),
            "statements[0].actions[0]",
        ),
        (statement("resources", json!([])), "statements[0].resources"),
        (
            statement("resources", json!(["ok", 7])),
            "statements[0].resources[1]",
        ),
        (
            statement("resources", json!(["x".repeat(257)])),
            "statements[0].resources[0]",
        ),
        (
            condition(json!({"tag_equal": {"a": "b"}})),
            "statements[0].conditions[0]",
        ),
        (condition(json!({})), "statements[0].conditions[0]"),
        (
            condition(json!({"tag_equals": {"a": null}})),
            "statements[0].conditions[0].tag_equals",
        ),
        (
            condition(json!({"tag_in": {"a": []}})),
            "statements[0].conditions[0].tag_in",
        ),
        (
            condition(json!({"tag_equals": {"a": "b"}, "of": "nobody"})),
            "statements[0].conditions[0].of",
        ),
        (
            condition(json!({"tags_match": ["a"], "model_in": ["m"]})),
            "statements[0].conditions[0]",
        ),
    ];
    let post =
        |statements: &Value| scene.post("roles", &json!({"name": "bad", "statements": statements}));
    for (statements, path) in &table {
        let reply = post(statements);
        assert_eq!(reply.status, 400, "{statements}: {}", reply.text());
        says(&reply.json(), &[path]);
        let patched = scene.patch("roles/one", &json!({ "statements": statements }));
        assert_eq!(patched.status, 400, "{statements}: {}", patched.text());
    }
    let many = |count: usize| Value::Array(vec![allow(&["*"]); count]);
    post(&many(101)).refusal(400, "invalid_request");
    // A key that stands twice is refused, not merged.
    let twice = r#"{"name":"twice","statements":[{"effect":"deny","effect":"allow","actions":["*"],"resources":["*"]}]}"#;
    let reply = scene.api(Call::post("/api/roles").text(twice));
    assert_eq!(reply.status, 400, "{}", reply.text());
    scene
        .post("roles", &json!({"name": "one", "statements": []}))
        .refusal(409, "already_exists");
    let path = "roles/one";
    assert_eq!(scene.get(path)["statements"], made["statements"]);
    assert_eq!(scene.get("roles")["items"].as_array().unwrap().len(), 1);
    let stale = Call::new("PATCH", "/api/roles/one")
        .header("if-match", "\"99\"")
        .json(&json!({"name": "two"}));
    scene.api(stale).refusal(412, "stale_etag");
    post(&many(100)).expect(201);
}

fn agents_name_roles(env: &Env) {
    let scene = Scene::new(env.gateway());
    let made = scene.make(&[role("one", &[allow(&["*"])]), role("two", &[allow(&["*"])])]);
    let (one, two) = (text(&made[0]["id"]), text(&made[1]["id"]));
    let agent = scene.create("agents", &json!({"name": "app", "roles": ["one", two]}));
    assert_eq!(agent["roles"], json!([one, two]), "by id, in their order");
    for body in [
        json!({"roles": ["three"]}),
        json!({"roles": ["one", "three"]}),
    ] {
        let reply = scene.patch("agents/app", &body);
        assert!(matches!(reply.status, 400 | 404), "{}", reply.text());
        says(&reply.json(), &["three"]);
    }
    let reply = scene.post("agents", &json!({"name": "b", "roles": ["three"]}));
    assert!(matches!(reply.status, 400 | 404), "{}", reply.text());
    scene
        .patch("agents/app", &json!({"roles": "one"}))
        .refusal(400, "invalid_request");
    assert_eq!(scene.get("agents/app")["roles"], json!([one, two]));
    // A role of another workspace is none of this one.
    let other = Scene::new(env.gateway());
    let reply = other.post("agents", &json!({"name": "app", "roles": [one]}));
    assert!(matches!(reply.status, 400 | 404), "{}", reply.text());
}

fn open_to_all(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("groq-only", &[allow(&["groq/*"]), deny(&["openai/*"])]),
    ]);
    let keys = scene.agents(&[agent("roleless", &[]), agent("barred", &["groq-only"])]);
    let path = format!("workspaces/{}", scene.workspace);
    let before = scene.get(&path);
    assert_eq!(before["access"], "enforced");
    assert!(before.get("warning").is_none_or(Value::is_null), "{before}");
    let open = scene.patch_workspace(&json!({"access": "open"}));
    says(&open["warning"], &["enforced"]);
    says(&scene.get(&path)["warning"], &["enforced"]);
    let all = scene.get("workspaces?limit=1000");
    let listed = all["items"].as_array().unwrap();
    let here = listed.iter().find(|one| one["id"] == open["id"]).unwrap();
    assert_eq!(here["warning"], open["warning"]);
    for key in &keys {
        assert_eq!(scene.served(key, "gpt-4o"), "main");
    }
    // What is not there is missing all the same.
    scene.refused(&keys[0], "anthropic/claude-sonnet-4-5", Why::Seeded);
    scene.refused(&keys[1], "cohere/command-a-03-2025", Why::Missing);
    let closed = scene.patch_workspace(&json!({"access": "enforced"}));
    assert!(closed.get("warning").is_none_or(Value::is_null), "{closed}");
    scene.refused(&keys[0], "gpt-4o", Why::NoRole);
    scene.refused(&keys[1], "gpt-4o", Why::Denied);
    scene
        .patch(&path, &json!({"access": "ajar"}))
        .refusal(400, "invalid_request");
}

fn listed(scene: &Scene<'_>, key: &str) -> Vec<String> {
    let reply = Call::get("/v1/models")
        .bearer(key)
        .run(scene.gateway.url())
        .expect(200);
    let list = reply.json();
    list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(&one["id"]))
        .collect()
}

fn models_that_can_be_used(env: &Env) {
    let scene = Scene::new(env.gateway());
    let mut mini = allow(&["*"]);
    mini["conditions"] = json!([{"model_like": "*mini*"}]);
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        ("provider-keys", scene.key("anthropic", "main", &json!({}))),
        role("anything", &[allow(&["*"])]),
        role("openai", &[allow(&["openai/*"])]),
        role("mini", &[mini]),
        role("hide", &[allow(&["*"]), deny(&["anthropic/*"])]),
    ]);
    let keys = scene.agents(&[
        agent("anything", &["anything"]),
        agent("openai", &["openai"]),
        agent("mini", &["mini"]),
        agent("hide", &["hide"]),
        agent("none", &[]),
    ]);
    let all = listed(&scene, &keys[0]);
    let is_claude = |name: &String| name.contains("claude");
    assert!(all.iter().any(is_claude), "{all:?}");
    let openai: Vec<String> = all
        .iter()
        .filter(|name| !is_claude(name))
        .cloned()
        .collect();
    assert!(openai.len() > 1, "{all:?}");
    assert_eq!(listed(&scene, &keys[1]), openai);
    let mini: Vec<String> = all
        .iter()
        .filter(|name| name.contains("mini"))
        .cloned()
        .collect();
    assert!(!mini.is_empty() && mini.len() < openai.len(), "{mini:?}");
    assert_eq!(listed(&scene, &keys[2]), mini);
    assert_eq!(listed(&scene, &keys[3]), openai);
    assert!(listed(&scene, &keys[4]).is_empty());
    // One by its name: what may not be used is not there.
    let claude = all.iter().find(|name| is_claude(name)).unwrap();
    let one = |key: &str| -> Reply {
        Call::get(&format!("/v1/models/{claude}"))
            .bearer(key)
            .run(scene.gateway.url())
    };
    one(&keys[0]).expect(200);
    one(&keys[3]).refusal(404, "model_not_found");
    // What is listed is served, and what is not is not.
    scene.served(&keys[2], &mini[0]);
    scene.refused(&keys[3], claude, Why::Denied);
    // A disabled key's models go.
    let id = scene.get("provider-keys?limit=1000");
    let openai_key = id["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["provider"] == "openai")
        .unwrap();
    scene
        .patch(
            &format!("provider-keys/{}", text(&openai_key["id"])),
            &json!({"enabled": false}),
        )
        .expect(200);
    assert!(listed(&scene, &keys[0]).iter().all(is_claude));
    assert!(listed(&scene, &keys[1]).is_empty());
}

fn calls_without_a_model(env: &Env) {
    let scene = Scene::new(env.gateway());
    let mut gpt = allow(&["openai/*"]);
    gpt["conditions"] = json!([{"model_like": "gpt-*"}]);
    let mut not_gpt = deny(&["openai/*"]);
    not_gpt["conditions"] = json!([{"model_like": "gpt-*"}]);
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("anything", &[allow(&["*"])]),
        role("models", &[gpt]),
        role("no-gpt", &[allow(&["*"]), not_gpt]),
    ]);
    let keys = scene.agents(&[
        agent("anything", &["anything"]),
        agent("models", &["models"]),
        agent("no-gpt", &["no-gpt"]),
        agent("none", &[]),
    ]);
    let files = |key: &str| {
        scene.mock.clear();
        Call::get("/v1/files").bearer(key).run(scene.gateway.url())
    };
    let reply = files(&keys[0]).expect(200);
    assert_eq!(scene.went_out(&reply), "main");
    // A grant for some models is none for a call that names none, and a prohibition of some models holds for it.
    for (key, why) in keys[1..]
        .iter()
        .zip([Why::Denied, Why::Denied, Why::NoRole])
    {
        why.told(&files(key));
        assert!(scene.mock.requests().is_empty());
    }
    assert_eq!(scene.served(&keys[1], "gpt-4o"), "main");
    // A request that lists further models may be served with any of them.
    let mut listing = chat_body("gpt-4o", false);
    listing["models"] = json!(["o3"]);
    let listed = |key: &str| {
        let call = Call::post("/v1/chat/completions").bearer(key);
        scene.mock.clear();
        call.json(&listing).run(scene.gateway.url())
    };
    assert_eq!(scene.went_out(&listed(&keys[0]).expect(200)), "main");
    for key in &keys[1..3] {
        Why::Denied.told(&listed(key));
        assert!(scene.mock.requests().is_empty());
    }
    let named = Call::get("/v1/files")
        .header("lockgate-provider", "groq")
        .bearer(&keys[0])
        .run(scene.gateway.url());
    Why::Missing.told(&named);
    assert_eq!(
        chat(&keys[0], "gpt-4o").run(scene.gateway.url()).status,
        200
    );
}
