//! Configurations: documents with draft, validation, diff, apply, history and rollback (FEATURES B6).

use serde_json::{Value, json};

use crate::access::agent;
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::routes::furnished;
use crate::scene::{Scene, at_once, says, text};

pub(crate) fn cases() -> Vec<Case> {
    cases!["configurations":
        problems_with_line_and_column,
        the_contract_s_own_document,
        draft_to_apply,
        two_apply_at_once,
        rollback_byte_for_byte,
        in_use,
    ]
}

/// The document of API.md.
const CONTRACT: &str = r#"pack: { name: support-bot, version: 1.2.0, enabled: true }
providers:
  targets:
    - { id: openai-main,  provider: openai,    model: gpt-4o,           credential: byok, provider_key: prod-us }
    - { id: claude,       provider: anthropic, model: claude-sonnet-4-5, credential: any }
    - { id: azure,        provider: azure-openai, model: gpt-4o, provider_key: azure-eu }
routes:
  - name: chat
    match: { models: ["gpt-4o", "chat-*"] }
    targets:
      - { target: openai-main, priority: 0, weight: 9 }
      - { target: claude,      priority: 0, weight: 1 }
      - { target: azure,       priority: 1 }
    fallback: { on: [timeout, rate_limit, server_error, key_missing, key_rejected], deadline: 60s, attempts: 3 }
  - name: policy-review
    match: { task: policy-review }
    allow_providers: [anthropic]
    targets: [{ target: claude }]
policies:
  chain: [provider-allowlist, prompt-injection, redact, audit-logger]
policy:
  redact: { detectors: [email, credit_card, api_key], on: [input, output] }
gateway:
  websocket: { enabled: true, max_message_size_bytes: 1048576, idle_timeout_seconds: 300 }
"#;

pub(crate) fn validate(scene: &Scene<'_>, document: &str) -> Value {
    scene
        .post("configurations/validate", &json!({ "document": document }))
        .expect(200)
        .json()
}

pub(crate) fn put(scene: &Scene<'_>, name: &str, document: &str) -> Reply {
    scene.put(
        &format!("configurations/{name}/draft"),
        &json!({ "document": document }),
    )
}

pub(crate) fn apply(scene: &Scene<'_>, name: &str, expected: u64) -> Reply {
    scene.post(
        &format!("configurations/{name}/apply"),
        &json!({ "expected_version": expected }),
    )
}

/// Makes a configuration and applies its first version.
pub(crate) fn live(scene: &Scene<'_>, name: &str, document: &str) -> Value {
    scene.create(
        "configurations",
        &json!({"name": name, "document": document}),
    );
    apply(scene, name, 0).expect(200).json()
}

fn problems_with_line_and_column(env: &Env) {
    let scene = Scene::new(env.gateway());
    let yaml = "providers:\n  targets:\n    - { id: a, provider: opnai, model: gpt-4o }\n    - { id: a, provider: openai }\nroutes:\n  - name: chat\n    match: { models: [\"gpt-*\"] }\n    targets:\n      - { target: b }\n    colour: red\n";
    let json = "{\n  \"providers\": {\"targets\": [\n    {\"id\": \"a\", \"provider\": \"openai\"}\n  ]},\n  \"routes\": [\n    {\"name\": \"chat\", \"match\": {\"models\": [\"*\"]},\n     \"targets\": [{\"target\": \"nowhere\"}]}\n  ]\n}\n";
    for (document, problems) in [
        (
            yaml,
            vec![
                (3, "providers.targets[0].provider", "opnai"),
                (4, "providers.targets[1].id", "a"),
                (9, "routes[0].targets[0].target", "b"),
                (10, "routes[0].colour", "colour"),
            ],
        ),
        (json, vec![(7, "routes[0].targets[0].target", "nowhere")]),
        (
            "providers:\n  targets: 7\n",
            vec![(2, "providers.targets", "")],
        ),
        (
            "gateway:\n  direct_models: maybe\n",
            vec![(2, "gateway.direct_models", "maybe")],
        ),
        ("routes:\n\t- name: chat\n", vec![(2, "", "")]),
        ("a: &x [1]\nb: *x\n", vec![(1, "", "")]),
    ] {
        let found = validate(&scene, document);
        assert_eq!(found["valid"], false, "{document}\n{found}");
        let listed = found["problems"].as_array().unwrap();
        let mut last = 0;
        for one in listed {
            let line = one["line"].as_u64().unwrap();
            assert!(line >= last, "ordered by line: {found}");
            last = line;
            assert!(one["column"].as_u64().unwrap() > 0, "{one}");
            assert!(!text(&one["message"]).is_empty(), "{one}");
        }
        for (line, path, word) in problems {
            let one = listed
                .iter()
                .find(|one| one["line"] == line && one["path"].as_str().unwrap().starts_with(path))
                .unwrap_or_else(|| panic!("no problem at line {line}, {path}: {found}"));
            says(&one["message"], &[word]);
        }
    }
    // The column is where the offending value or key begins.
    let found = validate(&scene, "gateway:\n  direct_models: maybe\n");
    let one = &found["problems"][0];
    assert_eq!(
        (&one["line"], &one["column"]),
        (&json!(2), &json!(18)),
        "{one}"
    );
    let found = validate(&scene, "gateway: {}\nroute: []\n");
    let one = &found["problems"][0];
    assert_eq!(
        (&one["line"], &one["column"]),
        (&json!(2), &json!(1)),
        "{one}"
    );
    says(&one["message"], &["routes"]);
    // A document is at most 256 KiB.
    let long = format!("# {}\n", "x".repeat(256 * 1024));
    let reply = scene.post("configurations/validate", &json!({ "document": long }));
    assert!(
        matches!(reply.status, 400 | 413) || reply.status == 200 && reply.json()["valid"] == false,
        "{}",
        reply.status
    );
    assert!(
        scene.get("configurations")["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

fn the_contract_s_own_document(env: &Env) {
    let scene = Scene::new(env.gateway());
    let found = validate(&scene, CONTRACT);
    assert_eq!(found["valid"], true, "{found}");
    for one in found["problems"].as_array().unwrap() {
        assert_eq!(one["severity"], "warning", "{one}");
    }
    live(&scene, "contract", CONTRACT);
    let shown = scene.get("configurations/contract");
    assert_eq!(shown["document"], CONTRACT);
    assert_eq!(shown["version"], 1);
}

fn simple(model: &str) -> String {
    format!(
        "# for the tests\nproviders:\n  targets:\n    - {{ id: one, provider: openai, model: {model} }}\n"
    )
}

fn draft_to_apply(env: &Env) {
    let scene = Scene::new(env.gateway());
    let first = simple("gpt-4o");
    let made = scene.create(
        "configurations",
        &json!({"name": "c", "document": first, "tags": {"stage": "live"}}),
    );
    assert!(text(&made["id"]).starts_with("cfg_"), "{made}");
    assert_eq!(made["version"], 0, "{made}");
    assert_eq!(made["document"], Value::Null, "{made}");
    assert_eq!(made["draft"]["document"], first, "{made}");
    let diff = || scene.get("configurations/c/diff");
    let all_new = diff();
    assert_eq!(
        (&all_new["changed"], &all_new["from_version"]),
        (&json!(true), &json!(0)),
        "{all_new}"
    );
    says(&all_new["diff"], &["+providers:"]);
    // The version that is expected to be live has to be said, and to be right.
    scene
        .post("configurations/c/apply", &json!({}))
        .refusal(400, "invalid_request");
    apply(&scene, "c", 7).refusal(412, "stale_etag");
    let applied = apply(&scene, "c", 0).expect(200).json();
    assert_eq!(applied["version"], 1, "{applied}");
    assert_eq!(applied["document"], first);
    assert_eq!(applied["draft"], Value::Null, "{applied}");
    assert_eq!(diff()["changed"], false);
    // Without a draft there is nothing to apply.
    let reply = apply(&scene, "c", 1);
    assert!(matches!(reply.status, 400 | 409), "{}", reply.text());

    let second = simple("gpt-4o-mini");
    let drafted = put(&scene, "c", &second).expect(200).json();
    assert_eq!(drafted["version"], 1, "{drafted}");
    assert_eq!(drafted["document"], first, "what is live stays: {drafted}");
    assert_eq!(drafted["draft"]["based_on"], 1, "{drafted}");
    let changed = diff();
    assert_eq!(changed["from_version"], 1);
    says(
        &changed["diff"],
        &[
            "-    - { id: one, provider: openai, model: gpt-4o }",
            "+    - { id: one, provider: openai, model: gpt-4o-mini }",
        ],
    );
    assert!(
        !text(&changed["diff"]).contains("-# for the tests"),
        "{changed}"
    );
    // A draft may be unfinished, but is not applied.
    put(&scene, "c", "providers: [\n").expect(200);
    let error = apply(&scene, "c", 1).refusal(400, "invalid_request");
    let problem = &error["lockgate"]["problems"][0];
    assert!(problem["line"].as_u64().is_some(), "{error}");
    assert!(!diff()["problems"].as_array().unwrap().is_empty());
    assert_eq!(scene.get("configurations/c")["version"], 1);
    put(&scene, "c", &second).expect(200);
    assert_eq!(apply(&scene, "c", 1).expect(200).json()["version"], 2);

    let versions = scene.get("configurations/c/versions");
    let numbers: Vec<u64> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["version"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [2, 1], "{versions}");
    assert_eq!(versions["items"][0]["applied_by"], "root", "{versions}");
    for (version, document) in [(1, &first), (2, &second)] {
        let one = scene.get(&format!("configurations/c/versions/{version}"));
        assert_eq!(&one["document"], document);
    }
    scene
        .api(Call::get("/api/configurations/c/versions/3"))
        .refusal(404, "not_found");
    // Drafts by people who have read something else are refused.
    let stale = Call::new("PUT", "/api/configurations/c/draft")
        .header("if-match", "\"1\"")
        .json(&json!({ "document": first }));
    scene.api(stale).refusal(412, "stale_etag");
    // In lists the documents are left out.
    let listed = scene.get("configurations");
    assert_eq!(listed["items"][0]["document"], Value::Null, "{listed}");
    scene
        .post("configurations", &json!({"name": "c", "document": first}))
        .refusal(409, "already_exists");
    scene
        .post("configurations", &json!({"name": "d"}))
        .refusal(400, "invalid_request");
}

fn two_apply_at_once(env: &Env) {
    let scene = Scene::new(env.gateway());
    live(&scene, "c", &simple("model-0"));
    let line = |model: &str| format!("    - {{ id: one, provider: openai, model: {model} }}");
    for round in 1..4 {
        let (before, after) = (format!("model-{}", round - 1), format!("model-{round}"));
        let document = simple(&after);
        put(&scene, "c", &document).expect(200);
        let replies = at_once(&[(); 4], |()| apply(&scene, "c", round));
        let won: Vec<&Reply> = replies.iter().filter(|one| one.status == 200).collect();
        assert_eq!(won.len(), 1, "one wins");
        assert_eq!(won[0].json()["version"], round + 1);
        for lost in replies.iter().filter(|one| one.status != 200) {
            let error = lost.refusal(412, "stale_etag");
            let lockgate = &error["lockgate"];
            assert_eq!(lockgate["expected_version"], round, "{error}");
            assert_eq!(lockgate["live_version"], round + 1, "{error}");
            let (out, into) = (format!("-{}", line(&before)), format!("+{}", line(&after)));
            let heads = [
                format!("--- version {round}"),
                format!("+++ version {}", round + 1),
            ];
            says(&lockgate["diff"], &[&heads[0], &heads[1], &out, &into]);
            // All meant the same, and it is live.
            assert_eq!(lockgate["draft_diff"], "", "{error}");
        }
        assert_eq!(scene.get("configurations/c")["document"], document);
    }
    let versions = scene.get("configurations/c/versions");
    assert_eq!(versions["items"].as_array().unwrap().len(), 4);
    // Who comes later, with another draft on an old version, is shown what differs.
    put(&scene, "c", &simple("late")).expect(200);
    let changed = |error: &Value, field: &str, out: &str, into: &str| {
        let (out, into) = (format!("-{}", line(out)), format!("+{}", line(into)));
        says(&error["lockgate"][field], &[&out, &into]);
    };
    let error = apply(&scene, "c", 2).refusal(412, "stale_etag");
    changed(&error, "diff", "model-1", "model-3");
    changed(&error, "draft_diff", "model-3", "late");
    // Where nothing was live, or there is no such version, all that is live is new.
    for expected in [0, 5, u64::MAX] {
        let error = apply(&scene, "c", expected).refusal(412, "stale_etag");
        let new = format!("+{}", line("model-3"));
        says(&error["lockgate"]["diff"], &["+providers:", &new]);
        changed(&error, "draft_diff", "model-3", "late");
    }
    // Who rolls back is told the same, of the version that was to be live again.
    let body = json!({"version": 1, "expected_version": 3});
    let error = scene
        .post("configurations/c/rollback", &body)
        .refusal(412, "stale_etag");
    changed(&error, "diff", "model-2", "model-3");
    changed(&error, "draft_diff", "model-3", "model-0");
    // Another draft changes nothing that is live.
    let body = json!({"expected_version": 4});
    let stale = Call::new("POST", "/api/configurations/c/apply")
        .header("if-match", "\"1\"")
        .json(&body);
    let error = scene.api(stale).refusal(412, "stale_etag");
    assert_eq!(error["lockgate"]["diff"], "", "{error}");
    changed(&error, "draft_diff", "model-3", "late");
}

fn rollback_byte_for_byte(env: &Env) {
    let scene = Scene::new(env.gateway());
    let odd = "# Über uns: 𝄞\r\nproviders:   \r\n  targets:\r\n    - { id: one, provider: openai, model: gpt-4o }   \r\n\r\n\r\n";
    let json = "{\"providers\":\t{\"targets\": [ {\"id\":\"one\",\"provider\":\"openai\",\"model\":\"gpt-4o-mini\"} ] }}";
    let marked = "\u{feff}providers:\n  targets:\n    - { id: one, provider: openai, model: o3 }";
    let documents = [odd, json, marked];
    live(&scene, "c", odd);
    for (version, document) in documents.iter().enumerate().skip(1) {
        put(&scene, "c", document).expect(200);
        apply(&scene, "c", version as u64).expect(200);
    }
    put(&scene, "c", &simple("drafted")).expect(200);
    for (at, document) in documents.iter().enumerate() {
        let back = scene
            .post(
                "configurations/c/rollback",
                &json!({"version": at + 1, "expected_version": at + 3}),
            )
            .expect(200)
            .json();
        assert_eq!(back["version"], at + 4, "a version of its own: {back}");
        assert_eq!(&back["document"], document);
        // The draft is nobody's to lose.
        assert_eq!(back["draft"]["document"], simple("drafted"), "{back}");
        let one = scene.get(&format!("configurations/c/versions/{}", at + 4));
        assert_eq!(&one["document"], document);
        assert_eq!(one["restores"], at + 1, "{one}");
    }
    let rollback = |body: Value| scene.post("configurations/c/rollback", &body);
    rollback(json!({"version": 99})).refusal(404, "not_found");
    rollback(json!({})).refusal(400, "invalid_request");
    rollback(json!({"version": 1, "expected_version": 1})).refusal(412, "stale_etag");
    assert_eq!(scene.get("configurations/c")["version"], 6);
}

fn in_use(env: &Env) {
    let scene = furnished(env);
    let documents = [("bound", simple("gpt-4o")), ("default", simple("gpt-4o"))];
    std::thread::scope(|scope| {
        scope.spawn(|| at_once(&documents, |(name, document)| live(&scene, name, document)));
        scene.create("agents", &agent("app", &["anything"]));
    });
    let made = scene.create(
        "gateway-keys",
        &json!({"name": "k", "agent": "app", "configuration": "bound"}),
    );
    scene.patch_workspace(&json!({"default_configuration": "default"}));
    for name in ["bound", "default"] {
        let reply = scene.delete(&format!("configurations/{name}"));
        reply.refusal(409, "in_use");
    }
    scene
        .delete(&format!("gateway-keys/{}", text(&made["id"])))
        .expect(204);
    scene.patch_workspace(&json!({"default_configuration": null}));
    for name in ["bound", "default"] {
        scene.delete(&format!("configurations/{name}")).expect(204);
    }
    scene
        .api(Call::get("/api/configurations/bound/versions"))
        .refusal(404, "not_found");
}
