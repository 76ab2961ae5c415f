//! Where a configuration in play sends requests: by its routes, to its targets, and what it leaves to others (API.md,
//! “The configuration document”).

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::configurations::{apply, live, put, validate};
use crate::scene::{Scene, Why, at_once, chat, says, text};
use crate::tenant::allow;

pub(crate) fn cases() -> Vec<Case> {
    cases!["routes":
        routes,
        targets_without_routes,
        what_is_not_enforced,
        bound_and_default,
        no_way_past_the_routes,
        what_globs_take_is_listed,
    ]
}

const ROUTES: &str = "providers:
  targets:
    - { id: mini, provider: openai, model: gpt-4o-mini, provider_key: second }
    - { id: main, provider: openai, model: gpt-4o }
    - { id: claude, provider: anthropic, model: claude-sonnet-4-5 }
    - { id: fast, provider: groq, model: llama-3.1-8b-instant }
routes:
  - { name: house, match: { models: [house-large] }, targets: [{ target: main }] }
  - { name: chat, match: { models: [\"house-*\", gpt-4o] }, targets: [{ target: mini }] }
  - { name: policy-review, match: { task: review }, allow_providers: [anthropic], targets: [{ target: claude }] }
  - { name: weighed, match: { models: [weighed] }, targets: [{ target: main, weight: 1 }, { target: fast, weight: 9 }, { target: mini, priority: 1 }] }
";

/// A workspace with keys of three providers, two of OpenAI's, and a role `anything`.
pub(crate) fn furnished<'a>(env: &'a Env) -> Scene<'a> {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        (
            "provider-keys",
            scene.key("openai", "main", &json!({"default": true})),
        ),
        ("provider-keys", scene.key("openai", "second", &json!({}))),
        ("provider-keys", scene.key("anthropic", "a", &json!({}))),
        ("provider-keys", scene.key("groq", "g", &json!({}))),
        role("anything", &[allow(&["*"])]),
    ]);
    scene
}

/// The model that the mock provider was asked for, with the key, provider and route of the answer.
fn went(scene: &Scene<'_>, call: Call) -> (String, String, String, String) {
    scene.mock.clear();
    let reply = call.run(scene.gateway.url());
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sent = scene.mock.requests().pop().expect("sent");
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    let header = |name: &str| reply.header(name).unwrap_or_default().to_owned();
    let (model, provider, route) = (
        text(&body["model"]),
        header("lockgate-provider"),
        header("lockgate-route"),
    );
    assert_eq!(header("lockgate-model"), model);
    (scene.went_out(&reply), provider, model, route)
}

fn routes(env: &Env) {
    let scene = furnished(env);
    std::thread::scope(|scope| {
        scope.spawn(|| live(&scene, "c", ROUTES));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let key = scene.gateway_key("app", &json!({"configuration": "c"}));
    let is = |key: &str, provider: &str, model: &str, route: &str| {
        (
            key.to_owned(),
            provider.to_owned(),
            model.to_owned(),
            route.to_owned(),
        )
    };
    // By the model asked for: the first route that fits.
    for model in ["house-small", "gpt-4o"] {
        let went = went(&scene, chat(&key, model));
        assert_eq!(
            went,
            is("second", "openai", "gpt-4o-mini", "chat"),
            "{model}"
        );
    }
    let house = is("main", "openai", "gpt-4o", "house");
    assert_eq!(went(&scene, chat(&key, "house-large")), house);
    // Lowest priority first, then the heaviest.
    let weighed = is("g", "groq", "llama-3.1-8b-instant", "weighed");
    assert_eq!(went(&scene, chat(&key, "weighed")), weighed);
    // By header and by the model's name; a task names its route too.
    let review = is("a", "anthropic", "claude-sonnet-4-5", "policy-review");
    for name in ["policy-review", "review"] {
        let header = chat(&key, "gpt-4o").header("lockgate-route", name);
        assert_eq!(went(&scene, header), review, "{name}");
        assert_eq!(went(&scene, chat(&key, &format!("route:{name}"))), review);
    }
    scene.mock.clear();
    for call in [
        chat(&key, "route:nowhere"),
        chat(&key, "gpt-4o").header("lockgate-route", "nowhere"),
    ] {
        let error = call
            .run(scene.gateway.url())
            .refusal(404, "route_not_found");
        says(&error["message"], &["nowhere", "policy-review"]);
    }
    // Models outside the routes: denied where there are routes, unless the document says otherwise.
    for model in ["gpt-4", "openai/gpt-4o", "claude-sonnet-4-5"] {
        let error = scene.chat(&key, model).refusal(404, "model_not_found");
        says(&error["message"], &["c"]);
    }
    assert!(scene.mock.requests().is_empty());
    let open = format!("{ROUTES}gateway: {{ direct_models: allow }}\n");
    put(&scene, "c", &open).expect(200);
    apply(&scene, "c", 1).expect(200);
    let direct = is("main", "openai", "gpt-4", "");
    assert_eq!(went(&scene, chat(&key, "openai/gpt-4")), direct);
    assert_eq!(went(&scene, chat(&key, "house-large")), house);
    // What a route needs and this workspace lacks is said with the route.
    scene.delete("provider-keys/a").expect(204);
    let error = scene.refused(&key, "route:policy-review", Why::Seeded);
    assert_eq!(error["lockgate"]["route"], "policy-review", "{error}");
    says(&error["message"], &["policy-review", "Anthropic"]);
    scene.delete("provider-keys/second").expect(204);
    let error = scene.refused(&key, "gpt-4o", Why::Missing);
    says(&error["message"], &["chat", "second"]);
    // The log has the route.
    let log = crate::tenant::eventually("the log", || {
        let log = scene.get("requests?route=house");
        let items = log["items"].as_array().unwrap().clone();
        (items.len() == 2).then_some(items)
    });
    assert_eq!(log[0]["route"], "house");
    // A provider that a route does not allow is a mistake of the document.
    let wrong = ROUTES.replace("[anthropic]", "[groq]");
    let found = validate(&scene, &wrong);
    assert_eq!(found["valid"], false, "{found}");
    says(&found["problems"], &["anthropic"]);
}

fn targets_without_routes(env: &Env) {
    let scene = furnished(env);
    let document = "providers:\n  targets:\n    - { id: one, provider: openai, model: house-model, provider_key: second }\n    - { id: two, provider: anthropic, model: claude-sonnet-4-5 }\n";
    std::thread::scope(|scope| {
        scope.spawn(|| live(&scene, "c", document));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let key = scene.gateway_key("app", &json!({"configuration": "c"}));
    let (used, provider, model, _) = went(&scene, chat(&key, "house-model"));
    assert_eq!(
        (used.as_str(), provider.as_str(), model.as_str()),
        ("second", "openai", "house-model")
    );
    let list = Call::get("/v1/models")
        .bearer(&key)
        .run(scene.gateway.url())
        .expect(200)
        .json();
    assert!(list.to_string().contains("house-model"), "{list}");
}

fn what_is_not_enforced(env: &Env) {
    // What a document asks for and this version does not do is said: at validation and with every answer.
    let scene = furnished(env);
    let document = format!("{ROUTES}policies:\n  chain: [redact]\n");
    let found = validate(&scene, &document);
    assert_eq!(found["valid"], true, "{found}");
    let warning = &found["problems"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["path"].as_str().unwrap().starts_with("policies"))
        .expect("a warning")
        .clone();
    assert_eq!(warning["severity"], "warning");
    std::thread::scope(|scope| {
        scope.spawn(|| live(&scene, "c", &document));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let keys = at_once(&[json!({"configuration": "c"}), json!({})], |more| {
        scene.gateway_key("app", more)
    });
    let reply = scene.chat(&keys[0], "house-large").expect(200);
    let said = reply.header("lockgate-warning").expect("a warning");
    says(&json!(said), &["policies"]);
    let reply = scene.chat(&keys[1], "gpt-4o").expect(200);
    assert_eq!(reply.header("lockgate-warning"), None);
}

fn bound_and_default(env: &Env) {
    let scene = furnished(env);
    let to = |provider: &str, model: &str| {
        format!(
            "providers:\n  targets:\n    - {{ id: one, provider: {provider}, model: {model} }}\nroutes:\n  - {{ name: only, match: {{ models: [\"*\"] }}, targets: [{{ target: one }}] }}\n"
        )
    };
    let bodies = [("groq", to("groq", "m")), ("openai", to("openai", "m"))];
    std::thread::scope(|scope| {
        scope.spawn(|| at_once(&bodies, |(name, document)| live(&scene, name, document)));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let keys = at_once(&[json!({"configuration": "groq"}), json!({})], |more| {
        scene.gateway_key("app", more)
    });
    let provider = |key: &str| went(&scene, chat(key, "whatever")).1;
    assert_eq!(provider(&keys[0]), "groq");
    // With several providers an unknown name has no single place to go.
    scene
        .chat(&keys[1], "whatever")
        .refusal(404, "model_not_found");
    scene.patch_workspace(&json!({"default_configuration": "openai"}));
    assert_eq!(provider(&keys[1]), "openai");
    assert_eq!(provider(&keys[0]), "groq");
    // Bound to another, and to none.
    let listed = scene.get("gateway-keys");
    let bound = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| !key["configuration"].is_null())
        .unwrap();
    let path = format!("gateway-keys/{}", text(&bound["id"]));
    scene
        .patch(&path, &json!({"configuration": "openai"}))
        .expect(200);
    assert_eq!(provider(&keys[0]), "openai");
    scene
        .patch(&path, &json!({"configuration": null}))
        .expect(200);
    scene.patch_workspace(&json!({"default_configuration": "groq"}));
    assert_eq!(provider(&keys[0]), "groq");
    scene.patch_workspace(&json!({"default_configuration": null}));
    scene
        .chat(&keys[0], "whatever")
        .refusal(404, "model_not_found");
    let error = scene
        .patch(
            &format!("workspaces/{}", scene.workspace),
            &json!({"default_configuration": "nobody"}),
        )
        .json();
    says(&error, &["nobody"]);
    let reply = scene.post(
        "gateway-keys",
        &json!({"name": "x", "agent": "app", "configuration": "nobody"}),
    );
    assert!(matches!(reply.status, 400 | 404), "{}", reply.text());
}

/// What leaves its model to the request, behind globs.
const OPEN_TARGETS: &str = "providers:
  targets:
    - { id: any, provider: openai }
    - { id: main, provider: openai, model: gpt-4o }
routes:
  - { name: chat, match: { models: [\"gpt-4o*\"] }, targets: [{ target: any }] }
  - { name: fixed, match: { models: [fixed] }, targets: [{ target: main }] }
";

fn no_way_past_the_routes(env: &Env) {
    let scene = furnished(env);
    std::thread::scope(|scope| {
        scope.spawn(|| live(&scene, "c", OPEN_TARGETS));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let key = scene.gateway_key("app", &json!({"configuration": "c"}));
    let by = |model: &str| chat(&key, model).header("lockgate-route", "chat");
    assert_eq!(went(&scene, by("gpt-4o-mini")).2, "gpt-4o-mini");
    scene.mock.clear();
    // A route that is named serves what it takes, not every model of its provider.
    let error = by("o1-pro")
        .run(scene.gateway.url())
        .refusal(404, "model_not_found");
    says(&error["message"], &["c", "chat", "o1-pro"]);
    assert_eq!(error["lockgate"]["route"], "chat", "{error}");
    // Further models, of which the provider might take any.
    let further = |model: &str| {
        let body = json!({"model": model, "models": ["openai/o1-pro"], "messages": [{"role": "user", "content": "x"}]});
        Call::post("/v1/chat/completions").bearer(&key).json(&body)
    };
    for model in ["gpt-4o", "fixed"] {
        let error = further(model)
            .run(scene.gateway.url())
            .refusal(404, "model_not_found");
        assert_eq!(error["param"], "models", "{error}");
    }
    assert!(scene.mock.requests().is_empty());
    let open = format!("{OPEN_TARGETS}gateway: {{ direct_models: allow }}\n");
    put(&scene, "c", &open).expect(200);
    apply(&scene, "c", 1).expect(200);
    further("fixed")
        .run(scene.gateway.url())
        .refusal(404, "model_not_found");
    assert_eq!(went(&scene, by("o1-pro")).2, "o1-pro");
    assert_eq!(went(&scene, further("openai/gpt-4.1")).2, "gpt-4.1");
}

fn what_globs_take_is_listed(env: &Env) {
    let scene = furnished(env);
    std::thread::scope(|scope| {
        scope.spawn(|| live(&scene, "c", OPEN_TARGETS));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let key = scene.gateway_key("app", &json!({"configuration": "c"}));
    let list = Call::get("/v1/models")
        .bearer(&key)
        .run(scene.gateway.url())
        .expect(200)
        .json();
    let ids: Vec<String> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(&one["id"]))
        .collect();
    for id in ["fixed", "gpt-4o", "gpt-4o-mini"] {
        assert!(ids.iter().any(|one| one == id), "{id}: {ids:?}");
        Call::get(&format!("/v1/models/{id}"))
            .bearer(&key)
            .run(scene.gateway.url())
            .expect(200);
    }
    for id in &ids {
        assert!(id == "fixed" || id.starts_with("gpt-4o"), "{ids:?}");
        went(&scene, chat(&key, id));
    }
    Call::get("/v1/models/claude-sonnet-4-5")
        .bearer(&key)
        .run(scene.gateway.url())
        .refusal(404, "model_not_found");
}
