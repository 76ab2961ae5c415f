//! The audit log: every change and every denial, chained so that tampering shows, and no secret in it (FEATURES F5).

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::admin_tokens::{token, with};
use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::configurations::{apply, live, put};
use crate::scene::{Scene, Why, at_once, secret_of, text};
use crate::stores;
use crate::tenant::{MARK, allow, eventually, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["audit":
        every_change_is_recorded,
        denials_are_recorded,
        filters_and_pages,
        what_was_refused_is_not_recorded,
        tampering_shows [process],
    ]
}

/// All rows, newest first.
fn rows(scene: &Scene<'_>) -> Vec<Value> {
    let log = scene.get("audit?limit=1000");
    assert_eq!(log["next_cursor"], Value::Null, "more rows than a page");
    log["items"].as_array().unwrap().clone()
}

/// The row of an action on a resource.
fn row<'r>(rows: &'r [Value], action: &str, resource: &str) -> &'r Value {
    rows.iter()
        .find(|row| row["action"] == action && row["resource"] == resource)
        .unwrap_or_else(|| {
            let all: Vec<String> = rows
                .iter()
                .map(|row| format!("{} {}", row["action"], row["resource"]))
                .collect();
            panic!("no row {action} {resource}: {all:?}")
        })
}

/// Asserts that each row follows the one before.
fn chained(rows: &[Value]) {
    let mut previous = "0".repeat(64);
    for (at, row) in rows.iter().rev().enumerate() {
        assert_eq!(row["seq"], at + 1, "{row}");
        assert_eq!(row["previous_hash"], previous, "{row}");
        previous = text(&row["hash"]);
        assert_eq!(previous.len(), 64, "{row}");
        crate::management::time(&row["at"]);
    }
}

fn verified(scene: &Scene<'_>) -> Value {
    scene.get("audit/verify")
}

fn every_change_is_recorded(env: &Env) {
    let scene = Scene::new(env.gateway());
    let made = scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("one", &[allow(&["*"])]),
        ("gateways", json!({"name": "edge"})),
        ("agents", json!({"name": "app"})),
        (
            "admin-tokens",
            json!({"name": "t", "role": "viewer", "workspace": scene.workspace}),
        ),
    ]);
    let [key, one, edge, app, held] = [0, 1, 2, 3, 4].map(|at: usize| text(&made[at]["id"]));
    let configuration = text(&live(&scene, "c", "gateway: { direct_models: allow }\n")["id"]);
    let made_key = scene.create("gateway-keys", &json!({"name": "k", "agent": "app"}));
    let gateway_key = text(&made_key["id"]);
    let fresh = secret("rotated");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let path = format!("provider-keys/{key}");
            scene.patch(&path, &json!({"name": "renamed"})).expect(200);
            scene
                .put(&format!("{path}/secret"), &json!({ "secret": fresh }))
                .expect(200);
            scene.delete(&path).expect(204);
        });
        scope.spawn(|| {
            put(&scene, "c", "gateway: { direct_models: deny }\n").expect(200);
            apply(&scene, "c", 1).expect(200);
            scene
                .post("configurations/c/rollback", &json!({"version": 1}))
                .expect(200);
            scene
                .put("configurations/c/tags", &json!({"stage": "live"}))
                .expect(200);
            scene.delete("configurations/c").expect(204);
        });
        scope.spawn(|| {
            scene
                .patch("agents/app", &json!({"roles": ["one"]}))
                .expect(200);
            let path = format!("gateway-keys/{gateway_key}");
            scene.patch(&path, &json!({"team": "red"})).expect(200);
            scene.delete(&path).expect(204);
            scene.delete("agents/app").expect(204);
            scene
                .patch("roles/one", &json!({"name": "uno"}))
                .expect(200);
            scene.delete("roles/uno").expect(204);
        });
        scope.spawn(|| {
            scene
                .put("gateways/edge/tags", &json!({"stage": "live"}))
                .expect(200);
            scene.delete("gateways/edge").expect(204);
            scene.delete("providers/google/seed").expect(204);
            scene.patch_workspace(&json!({"access": "open"}));
            scene.delete(&format!("admin-tokens/{held}")).expect(204);
        });
    });
    let all = rows(&scene);
    for (action, resource) in [
        ("provider-key.create", &key),
        ("provider-key.update", &key),
        ("provider-key.rotate", &key),
        ("provider-key.delete", &key),
        ("role.create", &one),
        ("role.update", &one),
        ("role.delete", &one),
        ("agent.create", &app),
        ("agent.update", &app),
        ("agent.delete", &app),
        ("gateway.create", &edge),
        ("gateway.update", &edge),
        ("gateway.delete", &edge),
        ("gateway-key.create", &gateway_key),
        ("gateway-key.update", &gateway_key),
        ("gateway-key.revoke", &gateway_key),
        ("configuration.create", &configuration),
        ("configuration.draft", &configuration),
        ("configuration.apply", &configuration),
        ("configuration.rollback", &configuration),
        ("configuration.update", &configuration),
        ("configuration.delete", &configuration),
        ("admin-token.create", &held),
        ("admin-token.delete", &held),
    ] {
        let row = row(&all, action, resource);
        assert_eq!(row["actor"], "root", "{row}");
        let (_, verb) = action.split_once('.').unwrap();
        assert_eq!(row["before"].is_null(), verb == "create", "{row}");
        assert_eq!(row["after"].is_null(), verb == "delete", "{row}");
    }
    let patched = row(&all, "provider-key.update", &key);
    assert_eq!(
        (&patched["before"]["name"], &patched["after"]["name"]),
        (&json!("main"), &json!("renamed"))
    );
    let rotated = row(&all, "provider-key.rotate", &key);
    assert_eq!(
        (&rotated["before"]["version"], &rotated["after"]["version"]),
        (&json!(1), &json!(2))
    );
    assert!(
        all.iter()
            .any(|row| text(&row["action"]).contains("seed") && row["resource"] == "google")
    );
    let opened = all
        .iter()
        .find(|row| row["action"] == "workspace.update")
        .expect("a row of the workspace");
    assert_eq!(opened["after"]["access"], "open", "{opened}");
    assert_eq!(opened["before"]["access"], "enforced", "{opened}");
    chained(&all);
    assert_eq!(
        verified(&scene),
        json!({"ok": true, "rows": all.len(), "first_bad_seq": null})
    );
    // Nothing secret is in any row.
    let everything = Value::Array(all).to_string();
    for hidden in [
        MARK,
        &secret_of("openai", "main"),
        &fresh,
        &text(&made_key["key"]),
        &text(&made[4]["token"]),
    ] {
        assert!(
            !stores::holds(everything.as_bytes(), hidden),
            "a secret is in the log"
        );
    }
    for field in ["wrapped", "ciphertext", "sealed", "\"secret\""] {
        assert!(!everything.contains(field), "{field} is in the log");
    }
}

fn denials_are_recorded(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("groq-only", &[allow(&["groq/*"])]),
    ]);
    let keys = scene.agents(&[agent("narrow", &["groq-only"]), agent("none", &[])]);
    let ids = scene.get("gateway-keys");
    for _ in 0..5 {
        scene.refused(&keys[0], "gpt-4o", Why::Denied);
    }
    scene.refused(&keys[1], "gpt-4o", Why::NoRole);
    let denials = eventually("six denials in the log", || {
        let log = scene.get("audit?action=access.deny");
        let items = log["items"].as_array().unwrap().clone();
        let count = |row: &Value| row["after"]["count"].as_u64().unwrap();
        (items.iter().map(count).sum::<u64>() == 6).then_some(items)
    });
    for (name, reason) in [("narrow", "denied_by_policy"), ("none", "no_role_attached")] {
        let row = denials
            .iter()
            .find(|row| row["after"]["agent"] == name)
            .unwrap();
        let after = &row["after"];
        assert_eq!(after["reason"], reason, "{row}");
        assert_eq!(after["provider"], "openai", "{row}");
        assert_eq!(after["model"], "gpt-4o", "{row}");
        assert!(text(&row["resource"]).starts_with("openai/"), "{row}");
        let actor = &row["actor"];
        assert!(
            ids["items"]
                .as_array()
                .unwrap()
                .iter()
                .any(|key| &key["id"] == actor),
            "a gateway key: {row}"
        );
    }
    // Who is refused on /api is there too, however often.
    let held = token(&scene, "viewer");
    for _ in 0..5 {
        let call = Call::post("/api/agents").json(&json!({"name": MARK}));
        with(&scene, &held, call).refusal(403, "access_denied");
    }
    let refused = eventually("the refusal on /api", || {
        let log = scene.get("audit?action=api.deny");
        let items = log["items"].as_array().unwrap().clone();
        (!items.is_empty()).then_some(items)
    });
    assert!(refused.len() <= 5, "{refused:?}");
    assert_eq!(refused[0]["actor"], held["id"]);
    let all = rows(&scene);
    assert!(!Value::Array(all.clone()).to_string().contains(MARK));
    chained(&all);
    assert_eq!(verified(&scene)["ok"], true);
}

fn filters_and_pages(env: &Env) {
    let scene = Scene::new(env.gateway());
    let names: Vec<String> = (0..9).map(|number| format!("agent-{number}")).collect();
    let made = at_once(&names, |name| {
        scene.create("agents", &json!({ "name": name }))
    });
    scene.create("gateways", &json!({"name": "edge"}));
    let all = rows(&scene);
    chained(&all);
    let created: Vec<&Value> = all
        .iter()
        .filter(|row| row["action"] == "agent.create")
        .collect();
    assert_eq!(created.len(), 9);
    // Nine writes at once, each once, in an unbroken chain.
    let ids: BTreeSet<String> = created.iter().map(|row| text(&row["resource"])).collect();
    let wanted: BTreeSet<String> = made.iter().map(|one| text(&one["id"])).collect();
    assert_eq!(ids, wanted);
    let mut paged = Vec::new();
    let mut path = "audit?limit=4&action=agent.create".to_owned();
    loop {
        let page = scene.get(&path);
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("audit?limit=4&action=agent.create&cursor={cursor}"),
            None => break,
        }
    }
    assert!(paged.iter().eq(created), "{paged:?}");
    let one = scene.get(&format!("audit?resource={}", text(&made[3]["id"])));
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let nobody = scene.get("audit?actor=nobody");
    assert!(nobody["items"].as_array().unwrap().is_empty());
    for bad in ["limit=0", "cursor=x", "actions=agent.create"] {
        let reply = scene.api(Call::get(&format!("/api/audit?{bad}")));
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
    }
    // Nobody writes to it or removes from it.
    for method in ["POST", "DELETE", "PATCH"] {
        scene
            .api(Call::new(method, "/api/audit").json(&json!({})))
            .refusal(405, "method_not_allowed");
    }
}

fn what_was_refused_is_not_recorded(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.create("agents", &json!({"name": "app"}));
    let before = rows(&scene);
    for reply in [
        scene.post("agents", &json!({"name": "app"})),
        scene.post("agents", &json!({"name": "b", "roles": ["nobody"]})),
        scene.patch("agents/nobody", &json!({"name": "b"})),
        scene.delete("gateways/nobody"),
        scene.post(
            "provider-keys",
            &json!({"provider": "openai", "name": "x", "secret": "x"}),
        ),
        scene.api(
            Call::new("PATCH", "/api/agents/app")
                .header("if-match", "\"99\"")
                .json(&json!({"name": "b"})),
        ),
    ] {
        assert!(reply.status >= 400, "{}", reply.text());
    }
    assert_eq!(rows(&scene), before);
}

fn tampering_shows(env: &Env) {
    let mut gateway = env.plan().start();
    let scene = Scene::new(&gateway);
    let workspace = scene.workspace.clone();
    let made = scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        ("agents", json!({"name": "app"})),
        ("gateways", json!({"name": "edge"})),
    ]);
    let key = text(&made[0]["id"]);
    scene
        .patch("agents/app", &json!({"tags": {"stage": "live"}}))
        .expect(200);
    let count = verified(&scene)["rows"].as_u64().unwrap();
    assert!(count >= 4, "{count} rows");
    drop(scene);
    // Each column of some row, by one byte; before the next, what was there is put back.
    let mut good: Option<(&str, u64, String)> = None;
    let columns = ["at", "actor", "action", "resource", "after", "hash"];
    for column in columns.into_iter().map(Some).chain([None]) {
        let data = gateway.stop();
        let database = stores::authority(&data.path(), &key);
        if let Some((column, seq, value)) = good.take() {
            write(&database, &key, column, seq, &value);
        }
        if let Some(column) = column {
            let seq = 1 + column.len() as u64 % count;
            let before = read(&database, &key, column, seq);
            let mut changed = before.clone();
            let last = changed.pop().expect("a column that says something");
            changed.push(if last == '7' { '8' } else { '7' });
            write(&database, &key, column, seq, &changed);
            good = Some((column, seq, before));
        }
        drop(database);
        gateway = env.plan().data(&data).start();
        let found = gateway
            .api(&workspace, Call::get("/api/audit/verify"))
            .expect(200)
            .json();
        match &good {
            Some((column, seq, _)) => assert_eq!(
                (&found["ok"], &found["first_bad_seq"]),
                (&json!(false), &json!(seq)),
                "{column}: {found}"
            ),
            None => assert_eq!(
                found,
                json!({"ok": true, "rows": count, "first_bad_seq": null})
            ),
        }
    }
    gateway.stop();
}

/// A column of a row in the chain of the workspace that has this provider key.
fn read(database: &Connection, key: &str, column: &str, seq: u64) -> String {
    let sql = format!(
        "SELECT CAST({column} AS TEXT) FROM audit
         WHERE seq = ?1 AND workspace = (SELECT workspace FROM provider_keys WHERE id = ?2)"
    );
    database
        .query_row(&sql, (seq.cast_signed(), key), |row| row.get(0))
        .unwrap()
}

fn write(database: &Connection, key: &str, column: &str, seq: u64, value: &str) {
    let sql = format!(
        "UPDATE audit SET {column} = ?3
         WHERE seq = ?1 AND workspace = (SELECT workspace FROM provider_keys WHERE id = ?2)"
    );
    let changed = database
        .execute(&sql, (seq.cast_signed(), key, value))
        .unwrap();
    assert_eq!(changed, 1);
}
