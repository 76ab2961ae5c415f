//! A store that an earlier version left behind goes on working.

use mock_provider::MockProvider;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::Engine;
use crate::scene::{Scene, Why, text};
use crate::tenant::{allow, base_url};

pub(crate) fn cases() -> Vec<Case> {
    cases!["upgrade":
        from_before_access [process],
    ]
}

/// The store, as SQL: the tables of its version, and what stood in them.
const STORE: &str = concat!(
    include_str!("../../../shared/workspace/tests/fixtures/schema_1.sql"),
    include_str!("../../../shared/workspace/tests/fixtures/schema_2.sql"),
    include_str!("../fixtures/rows_2.sql"),
);
/// Gateway keys of its workspaces `default` and `old`.
const DEFAULT_KEY: &str =
    "lgk_defaultaaaaaaaaas4xqnf6tiow3wj3vb7nqx4wio2tyw7ojxfu4hne47gjsyqxcsqlq";
const OLD_KEY: &str = "lgk_mggesvxjq4ymc4xpxcmxu5zri4oieta7axa6ffk7tdv6ss6q4lwldj3k4qt5k5g43umq";

fn from_before_access(env: &Env) {
    // Under workerd a workspace's database is named after a hash of workerd's own, so there is no putting one there.
    let file = match env.engine {
        Engine::Native => "lockgate.sqlite",
        Engine::Wasi => "database.sqlite",
        Engine::Cloudflare => return,
    };
    let data = env.plan().start().stop();
    for old in crate::stores::databases(&data.path()) {
        std::fs::remove_file(old).unwrap();
    }
    let mock = MockProvider::start(0);
    let database = Connection::open(data.path().join(file)).unwrap();
    database.execute_batch(STORE).unwrap();
    let changed = database
        .execute("UPDATE provider_keys SET base_url = ?1", [base_url(&mock)])
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);

    let gateway = env.plan().data(&data).start();
    let scene = Scene {
        gateway: &gateway,
        workspace: "old".to_owned(),
        mock,
    };
    // It was open, and stays so until somebody closes it.
    let workspace = scene.get("workspaces/old");
    assert_eq!(workspace["access"], "open", "{workspace}");
    assert!(!text(&workspace["warning"]).is_empty(), "{workspace}");
    assert_eq!(scene.served(OLD_KEY, "gpt-4o"), "main");
    let models = |key: &str| Call::get("/v1/models").bearer(key).run(gateway.url());
    models(DEFAULT_KEY).expect(200);
    let app = scene.get("agents/app");
    assert_eq!(
        (&app["tags"], &app["roles"], &app["pins"]),
        (&json!({"stage": "live"}), &json!([]), &json!([]))
    );
    let providers = scene.get("providers");
    let status = |slug: &str| {
        let all = providers["items"].as_array().unwrap();
        let one = all.iter().find(|one| one["provider"] == slug).unwrap();
        one["status"].clone()
    };
    assert_eq!(status("openai"), "ready");
    assert_eq!(status("anthropic"), "seeded");

    scene.patch_workspace(&json!({"access": "enforced"}));
    scene.refused(OLD_KEY, "gpt-4o", Why::NoRole);
    let mut same = allow(&["openai/*"]);
    same["conditions"] = json!([{"tags_match": ["stage"]}]);
    scene.create("roles", &json!({"name": "same", "statements": [same]}));
    scene
        .patch("agents/app", &json!({"roles": ["same"]}))
        .expect(200);
    // The gateway `edge` of its gateway key has no such tag.
    scene.refused(OLD_KEY, "gpt-4o", Why::TagMismatch);
    scene
        .put("gateways/edge/tags", &json!({"stage": "live"}))
        .expect(200);
    assert_eq!(scene.served(OLD_KEY, "gpt-4o"), "main");
    // What is done from now on is in the audit log, of which there was none.
    let log = scene.get("audit?limit=1000");
    assert!(log["items"].as_array().unwrap().len() >= 4, "{log}");
    assert_eq!(scene.get("audit/verify")["ok"], true);
    // A new workspace is closed.
    let new = gateway.create("default", "workspaces", &json!({"name": "new"}));
    assert_eq!(new["access"], "enforced", "{new}");
    assert_eq!(new.get("warning").cloned().unwrap_or_default(), Value::Null);
    // And it has been migrated for good.
    let mock = scene.mock;
    let data = gateway.stop();
    let gateway = env.plan().data(&data).start();
    let scene = Scene {
        gateway: &gateway,
        workspace: "old".to_owned(),
        mock,
    };
    assert_eq!(scene.served(OLD_KEY, "gpt-4o"), "main");
    drop(scene);
    gateway.stop();
}
