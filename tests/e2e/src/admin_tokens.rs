//! Admin tokens: what each role may do, where, and for how long (FEATURES A9).

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::gateway::{Engine, unique};
use crate::scene::{Scene, at_once, says, text};
use crate::tenant::{allow, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["admin_tokens":
        each_role,
        tokens_of_other_roles,
        scope,
        members_and_their_own_keys,
        shown_once,
        revoked_and_expired,
        made_up,
        actors,
    ]
}

const ROLES: [&str; 4] = ["viewer", "member", "admin", "owner"];

/// A token for this workspace, as it was made.
pub(crate) fn token(scene: &Scene<'_>, role: &str) -> Value {
    scene.create(
        "admin-tokens",
        &json!({"name": unique(role), "role": role, "workspace": scene.workspace}),
    )
}

/// A call with a token.
pub(crate) fn with(scene: &Scene<'_>, token: &Value, call: Call) -> Reply {
    call.bearer(token["token"].as_str().expect("shown once"))
        .header("lockgate-workspace", &scene.workspace)
        .run(scene.gateway.url())
}

/// One token of each role, in the order of [`ROLES`].
fn each(scene: &Scene<'_>) -> Vec<Value> {
    at_once(&ROLES, |role| token(scene, role))
}

fn refused(reply: &Reply, reason: &str) -> Value {
    let error = reply.refusal(403, "access_denied");
    assert_eq!(error["lockgate"]["reason"], reason, "{error}");
    error
}

/// Calls that come to nothing, for what they are about is not there, and the least role that gets so far.
fn table(workspace: &str) -> Vec<(&'static str, String, Value, &'static str)> {
    let mut table = Vec::new();
    let mut call = |method, path: &str, body, least| {
        table.push((method, path.to_owned(), body, least));
    };
    for path in [
        "provider-keys",
        "providers",
        "roles",
        "agents",
        "gateways",
        "configurations",
        "gateway-keys",
        "admin-tokens",
        "requests",
        "audit",
        "audit/verify",
        "workspaces",
        "agents/nobody",
        "configurations/nobody/diff",
        "configurations/nobody/versions",
    ] {
        call("GET", path, Value::Null, "viewer");
    }
    let model = json!({"model": "gpt-4o"});
    call("POST", "agents/nobody/simulate", model, "viewer");
    let document = json!({"document": "gateway: {}"});
    call(
        "POST",
        "configurations/validate",
        document.clone(),
        "viewer",
    );
    let key = json!({"name": "k", "agent": "nobody"});
    call("POST", "gateway-keys", key, "member");
    for kind in [
        "roles",
        "agents",
        "gateways",
        "configurations",
        "provider-keys",
    ] {
        call("POST", kind, json!({"name": ""}), "admin");
        let one = format!("{kind}/nobody");
        call("PATCH", &one, json!({"name": "x"}), "admin");
        call("DELETE", &one, Value::Null, "admin");
        if kind != "roles" {
            call("PUT", &format!("{one}/tags"), json!({}), "admin");
        }
    }
    let secret = json!({"secret": crate::tenant::secret("nobody")});
    call("PUT", "provider-keys/nobody/secret", secret, "admin");
    call("POST", "provider-keys/nobody/check", Value::Null, "admin");
    call("PUT", "configurations/nobody/draft", document, "admin");
    let expected = json!({"expected_version": 1});
    call("POST", "configurations/nobody/apply", expected, "admin");
    let version = json!({"version": 1});
    call("POST", "configurations/nobody/rollback", version, "admin");
    call("DELETE", "providers/groq/seed", Value::Null, "admin");
    call(
        "PATCH",
        &format!("workspaces/{workspace}"),
        json!({"access": "ajar"}),
        "admin",
    );
    call(
        "POST",
        "admin-tokens",
        json!({"name": "", "role": "member"}),
        "admin",
    );
    call("DELETE", "admin-tokens/nobody", Value::Null, "admin");
    table
}

fn each_role(env: &Env) {
    let scene = Scene::new(env.gateway());
    let tokens = each(&scene);
    let table = table(&scene.workspace);
    for (at, held) in tokens.iter().enumerate() {
        at_once(&table, |(method, path, body, least)| {
            let call = Call::new(method, &format!("/api/{path}"));
            let call = if body.is_null() {
                call
            } else {
                call.json(body)
            };
            let reply = with(&scene, held, call);
            let least_at = ROLES.iter().position(|role| role == least).unwrap();
            if at < least_at {
                let error = refused(&reply, "role_too_low");
                says(&error["message"], &[ROLES[at], *least]);
            } else {
                assert!(
                    !matches!(reply.status, 401 | 403 | 500..),
                    "{} {method} {path}: {}",
                    ROLES[at],
                    reply.text()
                );
            }
        });
    }
    // What concerns all workspaces is not for tokens of one.
    for held in &tokens {
        for call in [
            Call::post("/api/workspaces").json(&json!({"name": unique("made")})),
            Call::new(
                "DELETE",
                &format!("/api/workspaces/{0}?confirm={0}", scene.workspace),
            ),
        ] {
            let reply = with(&scene, held, call);
            reply.refusal(403, "access_denied");
        }
    }
    // With a role that allows it, it is done.
    let made = with(
        &scene,
        &tokens[2],
        Call::post("/api/agents").json(&json!({"name": "made"})),
    );
    made.expect(201);
    assert_eq!(scene.get("agents")["items"][0]["name"], "made");
}

fn tokens_of_other_roles(env: &Env) {
    let scene = Scene::new(env.gateway());
    let tokens = each(&scene);
    let (admin, owner) = (&tokens[2], &tokens[3]);
    let make = |held: &Value, role: &str| {
        let body = json!({"name": unique(role), "role": role});
        with(&scene, held, Call::post("/api/admin-tokens").json(&body))
    };
    let made = at_once(&ROLES, |role| (make(admin, role), make(owner, role)));
    for ((by_admin, by_owner), role) in made.iter().zip(ROLES) {
        let new = by_owner.json();
        assert_eq!(by_owner.status, 201, "{role}: {new}");
        assert_eq!(new["role"], role, "{new}");
        assert_eq!(new["created_by"], owner["id"], "{new}");
        // An owner of one workspace makes tokens of that workspace only.
        assert_eq!(new["workspace"], owner["workspace"], "{new}");
        if matches!(role, "viewer" | "member") {
            assert_eq!(by_admin.status, 201, "{role}: {}", by_admin.text());
        } else {
            refused(by_admin, "role_too_low");
        }
    }
    let id = |reply: &Reply| text(&reply.json()["id"]);
    let remove = |held: &Value, id: &str| {
        let call = Call::new("DELETE", &format!("/api/admin-tokens/{id}"));
        with(&scene, held, call)
    };
    // An admin takes back what an admin may give.
    refused(&remove(admin, &id(&made[3].1)), "role_too_low");
    refused(&remove(admin, &id(&made[2].1)), "role_too_low");
    remove(admin, &id(&made[1].1)).expect(204);
    remove(owner, &id(&made[3].1)).expect(204);
    for body in [
        json!({"name": "x", "role": "king"}),
        json!({"name": "x"}),
        json!({"role": "viewer"}),
        json!({"name": "x", "role": "viewer", "workspace": "nowhere"}),
        json!({"name": "x", "role": "viewer", "expires_in": "soon"}),
    ] {
        let reply = scene.post("admin-tokens", &body);
        assert!(
            matches!(reply.status, 400 | 404),
            "{body}: {}",
            reply.text()
        );
    }
}

fn scope(env: &Env) {
    let (here, there) = (Scene::new(env.gateway()), Scene::new(env.gateway()));
    let held = token(&here, "owner");
    let name = unique("all");
    let everywhere = env.gateway().create(
        "default",
        "admin-tokens",
        &json!({"name": name, "role": "admin"}),
    );
    assert_eq!(everywhere["workspace"], Value::Null, "{everywhere}");
    with(&here, &held, Call::get("/api/agents")).expect(200);
    for call in [
        Call::get("/api/agents"),
        Call::post("/api/agents").json(&json!({"name": "stolen"})),
        Call::get("/api/audit"),
    ] {
        let error = refused(&with(&there, &held, call), "other_workspace");
        assert!(!error.to_string().contains("lga_"), "{error}");
    }
    // Without the header it is its own workspace, not `default`.
    let bare = |call: Call| {
        call.bearer(held["token"].as_str().unwrap())
            .run(env.gateway().url())
    };
    bare(Call::post("/api/agents").json(&json!({"name": "mine"}))).expect(201);
    assert_eq!(here.get("agents")["items"][0]["name"], "mine");
    let listed = bare(Call::get("/api/workspaces?limit=1000"))
        .expect(200)
        .json();
    let listed = listed["items"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["name"], here.workspace);
    let other = format!("/api/workspaces/{}", there.workspace);
    refused(&bare(Call::get(&other)), "other_workspace");
    refused(
        &bare(Call::new("PATCH", &other).json(&json!({"access": "open"}))),
        "other_workspace",
    );
    let body = json!({"name": "x", "role": "viewer", "workspace": there.workspace});
    refused(
        &bare(Call::post("/api/admin-tokens").json(&body)),
        "other_workspace",
    );
    assert!(there.get("agents")["items"].as_array().unwrap().is_empty());
    // One for all workspaces goes anywhere.
    for scene in [&here, &there] {
        with(scene, &everywhere, Call::get("/api/agents")).expect(200);
    }
    refused(
        &with(
            &here,
            &everywhere,
            Call::post("/api/workspaces").json(&json!({"name": unique("made")})),
        ),
        "role_too_low",
    );
    let id = text(&everywhere["id"]);
    let call = Call::new("DELETE", &format!("/api/admin-tokens/{id}"));
    env.gateway().api("default", call).expect(204);
    with(&here, &everywhere, Call::get("/api/agents")).refusal(401, "admin_token_invalid");
}

fn members_and_their_own_keys(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("anything", &[allow(&["*"])]),
    ]);
    let (members, _) = std::thread::scope(|scope| {
        let made = scope.spawn(|| scene.create("agents", &agent("app", &["anything"])));
        let members = at_once(&["member", "member", "admin"], |role| token(&scene, role));
        (members, made.join().unwrap())
    });
    let keys = at_once(&members, |held| {
        let body = json!({"name": unique("key"), "agent": "app"});
        let call = Call::post("/api/gateway-keys").json(&body);
        with(&scene, held, call).expect(201).json()
    });
    for (key, held) in keys.iter().zip(&members) {
        assert_eq!(key["created_by"], held["id"], "{key}");
        assert_eq!(scene.served(&text(&key["key"]), "gpt-4o"), "main");
    }
    let path = |key: &Value| format!("/api/gateway-keys/{}", text(&key["id"]));
    let patch = |held: &Value, key: &Value| {
        let call = Call::new("PATCH", &path(key)).json(&json!({"team": "red"}));
        with(&scene, held, call)
    };
    let revoke = |held: &Value, key: &Value| with(&scene, held, Call::new("DELETE", &path(key)));
    for (held, key) in [(0, 1), (1, 0), (0, 2)] {
        let error = refused(&patch(&members[held], &keys[key]), "not_yours");
        assert!(!error.to_string().contains("lga_"), "{error}");
        refused(&revoke(&members[held], &keys[key]), "not_yours");
    }
    assert_eq!(scene.served(&text(&keys[1]["key"]), "gpt-4o"), "main");
    patch(&members[0], &keys[0]).expect(200);
    revoke(&members[0], &keys[0]).expect(204);
    scene
        .chat(&text(&keys[0]["key"]), "gpt-4o")
        .refusal(401, "gateway_key_revoked");
    // An admin of the workspace may.
    revoke(&members[2], &keys[1]).expect(204);
    scene
        .chat(&text(&keys[1]["key"]), "gpt-4o")
        .refusal(401, "gateway_key_revoked");
}

fn shown_once(env: &Env) {
    let scene = Scene::new(env.gateway());
    let made = token(&scene, "viewer");
    let secret = text(&made["token"]);
    assert!(
        secret.starts_with("lga_") && secret.len() > 40,
        "its length"
    );
    assert!(text(&made["id"]).starts_with("at_"), "{}", made["id"]);
    let path = format!("admin-tokens/{}", text(&made["id"]));
    let shown = scene.get(&path);
    assert_eq!(shown.get("token"), None);
    let masked = text(&shown["masked"]);
    assert!(masked.starts_with("lga_") && masked.ends_with(&secret[secret.len() - 4..]));
    assert!(masked.chars().count() < 16, "{masked}");
    for path in [&path, "admin-tokens", "audit?limit=1000"] {
        let seen = scene.get(path).to_string();
        assert!(!seen.contains(&secret), "{path} shows the token");
    }
    // It is no gateway key, and a gateway key is no admin token.
    scene
        .chat(&secret, "gpt-4o")
        .refusal(401, "gateway_key_malformed");
    scene
        .post(
            "admin-tokens",
            &json!({"name": made["name"], "role": "viewer"}),
        )
        .refusal(409, "already_exists");
    scene
        .api(Call::new("PATCH", &format!("/api/{path}")).json(&json!({"role": "owner"})))
        .refusal(405, "method_not_allowed");
    if env.engine == Engine::Native && env.owns_process() {
        let data = scene.gateway.data();
        assert!(!crate::stores::holds(data.printed().as_bytes(), &secret));
        assert!(crate::stores::holders(&data.path(), &secret).is_empty());
    }
}

fn revoked_and_expired(env: &Env) {
    let scene = Scene::new(env.gateway());
    let held = token(&scene, "admin");
    for _ in 0..3 {
        with(&scene, &held, Call::get("/api/agents")).expect(200);
    }
    let path = format!("admin-tokens/{}", text(&held["id"]));
    scene.delete(&path).expect(204);
    let all = at_once(&[(); 8], |()| with(&scene, &held, Call::get("/api/agents")));
    for reply in all {
        reply.refusal(401, "admin_token_invalid");
    }
    scene.delete(&path).refusal(404, "not_found");
    let short = scene.create(
        "admin-tokens",
        &json!({"name": "short", "role": "viewer", "expires_in": "3s"}),
    );
    crate::management::time(&short["expires_at"]);
    with(&scene, &short, Call::get("/api/agents")).expect(200);
    let error = eventually("its end", || {
        let reply = with(&scene, &short, Call::get("/api/agents"));
        (reply.status != 200).then(|| reply.refusal(401, "admin_token_invalid"))
    });
    says(&error["message"], &["ended at"]);
}

fn made_up(env: &Env) {
    let scene = Scene::new(env.gateway());
    let held = text(&token(&scene, "admin")["token"]);
    let other = if held.ends_with('a') { "b" } else { "a" };
    for token in [
        format!("{}{other}", &held[..held.len() - 1]),
        held.replace("lga_", "lgk_"),
        held[..held.len() - 1].to_owned(),
        format!("{held}a"),
        "lga_".to_owned(),
        format!("lga_{}", "a".repeat(60)),
        format!("lga_{}", "x".repeat(100_000 / 8)),
        "lga_é".to_owned(),
    ] {
        let reply = Call::get("/api/agents")
            .bearer(&token)
            .header("lockgate-workspace", &scene.workspace)
            .run(scene.gateway.url());
        let error = reply.refusal(401, "admin_token_invalid");
        assert!(
            token.len() < 8 || !error.to_string().contains(&token),
            "repeats it"
        );
    }
    // A gateway key is none, and is said to be what it is.
    scene.create("agents", &agent("app", &[]));
    let key = scene.gateway_key("app", &json!({}));
    let reply = Call::get("/api/agents")
        .bearer(&key)
        .run(scene.gateway.url());
    let error = reply.refusal(401, "admin_token_invalid");
    says(&error["message"], &["gateway key"]);
}

fn actors(env: &Env) {
    let scene = Scene::new(env.gateway());
    let held = token(&scene, "admin");
    let call = Call::post("/api/agents").json(&json!({"name": "by-token"}));
    with(&scene, &held, call).expect(201);
    scene.create("agents", &json!({"name": "by-root"}));
    let log = scene.get("audit?action=agent.create");
    let actor = |name: &str| {
        let rows = log["items"].as_array().unwrap();
        let row = rows.iter().find(|row| row["after"]["name"] == name);
        row.unwrap_or_else(|| panic!("no row of {name}: {log}"))["actor"].clone()
    };
    assert_eq!(actor("by-token"), held["id"]);
    assert_eq!(actor("by-root"), "root");
    let only = scene.get(&format!("audit?actor={}", text(&held["id"])));
    assert_eq!(only["items"].as_array().unwrap().len(), 1, "{only}");
}
