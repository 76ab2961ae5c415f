//! The management plane (API.md): resources, their errors, and the request log.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::provider_keys::key_body;
use crate::tenant::{Tenant, gateway_key, more_gateway_key, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["management":
        healthz,
        admin_token,
        workspaces,
        workspace_deletion,
        workspaces_are_apart,
        unknown_fields,
        repeated_fields,
        etags,
        pagination,
        agents,
        gateways,
        gateway_keys,
        gateway_key_references,
        tags,
    ]
}

fn healthz(env: &Env) {
    let health = Call::get("/api/healthz")
        .run(env.gateway().url())
        .expect(200)
        .json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["engine"], env.engine.reported());
    assert!(
        health["version"]
            .as_str()
            .is_some_and(|version| version.contains('.'))
    );
}

fn admin_token(env: &Env) {
    let gateway = env.gateway();
    for call in [
        Call::get("/api/workspaces"),
        Call::get("/api/workspaces").bearer("wrong"),
        Call::get("/api/workspaces").bearer(&"x".repeat(48)),
        Call::get("/api/workspaces").header("authorization", "Basic eDp5"),
        Call::get("/api/workspaces").header("x-api-key", crate::gateway::ADMIN_TOKEN),
        Call::post("/api/provider-keys").json(&json!({})),
    ] {
        call.run(gateway.url()).refusal(401, "admin_token_invalid");
    }
    let tenant = Tenant::new(gateway);
    Call::get("/api/workspaces")
        .bearer(tenant.key())
        .run(gateway.url())
        .refusal(401, "admin_token_invalid");
    gateway
        .api("default", Call::get("/api/workspaces"))
        .expect(200);
}

pub(crate) fn items(reply: Reply) -> Vec<Value> {
    reply.expect(200).json()["items"]
        .as_array()
        .expect("items")
        .clone()
}

pub(crate) fn names(reply: Reply) -> Vec<String> {
    items(reply)
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    assert!(humantime::parse_rfc3339(text).is_ok(), "a time: {value}");
}

fn workspaces(env: &Env) {
    let gateway = env.gateway();
    let name = crate::gateway::unique("ws");
    let made = gateway.create("default", "workspaces", &json!({ "name": name }));
    assert!(made["id"].as_str().unwrap().starts_with("ws_"), "{made}");
    assert_eq!(made["name"], name);
    assert_eq!(made["access"], "enforced", "closed to begin with: {made}");
    assert!(made["plan"].is_string(), "{made}");
    time(&made["created_at"]);
    let id = made["id"].as_str().unwrap();
    for reference in [id, &name] {
        let got = gateway
            .api(
                "default",
                Call::get(&format!("/api/workspaces/{reference}")),
            )
            .expect(200)
            .json();
        assert_eq!(got["id"], made["id"]);
    }
    gateway
        .api(
            "default",
            Call::post("/api/workspaces").json(&json!({ "name": name })),
        )
        .refusal(409, "already_exists");
    let renamed = format!("{name}-b");
    let patched = gateway
        .api(
            "default",
            Call::new("PATCH", &format!("/api/workspaces/{id}")).json(&json!({ "name": renamed })),
        )
        .expect(200)
        .json();
    assert_eq!(patched["name"], renamed);
    gateway
        .api("default", Call::get(&format!("/api/workspaces/{name}")))
        .refusal(404, "not_found");
    // The header takes an id or a name.
    for reference in [id, &renamed] {
        gateway.api(reference, Call::get("/api/agents")).expect(200);
    }
    gateway
        .api("no-such-workspace", Call::get("/api/agents"))
        .refusal(404, "not_found");
    assert!(
        items(gateway.api("default", Call::get("/api/workspaces?limit=1000")))
            .iter()
            .any(|item| item["id"] == id)
    );
    gateway
        .api("default", Call::get("/api/workspaces/default"))
        .expect(200);
}

fn workspace_deletion(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let name = &tenant.workspace;
    let delete = |query: &str| {
        tenant.gateway.api(
            "default",
            Call::new("DELETE", &format!("/api/workspaces/{name}{query}")),
        )
    };
    for query in ["", "?confirm=", "?confirm=another"] {
        assert_eq!(delete(query).status, 400, "without its name");
    }
    tenant.chat("gpt-4o").expect(200);
    delete(&format!("?confirm={name}")).expect(204);
    let reply = tenant.chat("gpt-4o");
    assert_eq!(reply.status, 401, "{}", reply.text());
    assert_eq!(tenant.sent().len(), 1);
    tenant
        .gateway
        .api("default", Call::get(&format!("/api/workspaces/{name}")))
        .refusal(404, "not_found");
    // A new one of that name begins empty.
    tenant
        .gateway
        .create("default", "workspaces", &json!({ "name": name }));
    assert!(items(tenant.api(Call::get("/api/provider-keys"))).is_empty());
    assert_eq!(tenant.chat("gpt-4o").status, 401);
    let reply = tenant.gateway.api(
        "default",
        Call::new("DELETE", "/api/workspaces/default?confirm=default"),
    );
    assert!(
        (400..=409).contains(&reply.status),
        "`default` always exists: {}",
        reply.status
    );
}

fn workspaces_are_apart(env: &Env) {
    let gateway = env.gateway();
    let (one, two) = (Tenant::new(gateway), Tenant::new(gateway));
    assert_eq!(names(two.api(Call::get("/api/provider-keys"))), ["main"]);
    let id = one.provider_key_id();
    let path = format!("/api/provider-keys/{id}");
    two.api(Call::get(&path)).refusal(404, "not_found");
    two.api(Call::new("DELETE", &path))
        .refusal(404, "not_found");
    two.api(Call::new("PATCH", &path).json(&json!({"enabled": false})))
        .refusal(404, "not_found");
    two.api(Call::new("PUT", &format!("{path}/secret")).json(&json!({"secret": secret("stolen")})))
        .refusal(404, "not_found");
    two.api(Call::new(
        "DELETE",
        &format!(
            "/api/gateway-keys/{}",
            one.gateway_key["id"].as_str().unwrap()
        ),
    ))
    .refusal(404, "not_found");
    one.chat("gpt-4o").expect(200);
    two.chat("gpt-4o").expect(200);
    assert_eq!(one.only_sent().secret.as_deref(), Some(one.secret.as_str()));
    assert_eq!(two.only_sent().secret.as_deref(), Some(two.secret.as_str()));
}

fn unknown_fields(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let check = |call: Call, field: &str| {
        let error = tenant.api(call).refusal(400, "unknown_field");
        assert!(
            error["message"].as_str().unwrap().contains(field),
            "{error}"
        );
        assert_eq!(error["param"], field);
    };
    check(
        Call::post("/api/workspaces").json(&json!({"name": "x", "nmae": "y"})),
        "nmae",
    );
    check(
        Call::post("/api/agents").json(&json!({"name": "x", "tag": {}})),
        "tag",
    );
    check(
        Call::post("/api/gateways").json(&json!({"name": "x", "colour": 1})),
        "colour",
    );
    check(
        Call::post("/api/gateway-keys").json(&json!({"name": "x", "agent": "app", "expire": "1d"})),
        "expire",
    );
    let mut body = key_body("openai", "x", &secret("field"));
    body["baseurl"] = json!("https://x");
    check(Call::post("/api/provider-keys").json(&body), "baseurl");
    let path = format!("/api/provider-keys/{}", tenant.provider_key_id());
    check(
        Call::new("PATCH", &path).json(&json!({"secret": secret("patched")})),
        "secret",
    );
    check(
        Call::new("PUT", &format!("{path}/secret"))
            .json(&json!({"secret": secret("put"), "version": 9})),
        "version",
    );
    tenant.next_is_fine();
    assert_eq!(
        tenant.only_sent().secret.as_deref(),
        Some(tenant.secret.as_str())
    );
}

fn repeated_fields(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for body in [
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"a","tags":{"k":"1","k":"2"}}"#,
    ] {
        let reply = tenant.api(Call::post("/api/agents").text(body));
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        let code = reply.json()["error"]["code"].as_str().unwrap().to_owned();
        assert!(
            code == "invalid_json" || code == "invalid_request" || code == "tag_key_repeated",
            "{code}"
        );
    }
    assert_eq!(names(tenant.api(Call::get("/api/agents"))), ["app"]);
}

fn etags(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let path = format!("/api/provider-keys/{}", tenant.provider_key_id());
    let tag = || {
        tenant
            .api(Call::get(&path))
            .expect(200)
            .header("etag")
            .expect("an etag")
            .to_owned()
    };
    let first = tag();
    assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
    let patch = |tag: &str, name: &str| {
        tenant.api(
            Call::new("PATCH", &path)
                .header("if-match", tag)
                .json(&json!({ "name": name })),
        )
    };
    patch(&first, "one").expect(200);
    let second = tag();
    assert_ne!(first, second);
    patch(&first, "two").refusal(412, "stale_etag");
    tenant
        .api(
            Call::new("PUT", &format!("{path}/secret"))
                .header("if-match", &first)
                .json(&json!({"secret": secret("stale")})),
        )
        .refusal(412, "stale_etag");
    tenant
        .api(Call::new("DELETE", &path).header("if-match", &first))
        .refusal(412, "stale_etag");
    assert_eq!(tenant.api(Call::get(&path)).json()["name"], "one");
    patch(&second, "three").expect(200);
    tenant.next_is_fine();
    assert_eq!(
        tenant.only_sent().secret.as_deref(),
        Some(tenant.secret.as_str())
    );
    tenant
        .api(Call::new("DELETE", &path).header("if-match", &tag()))
        .expect(204);
}

fn pagination(env: &Env) {
    let gateway = env.gateway();
    let workspace = gateway.workspace();
    let wanted: BTreeSet<String> = (0..7).map(|number| format!("agent-{number}")).collect();
    std::thread::scope(|scope| {
        for name in &wanted {
            let workspace = &workspace;
            scope.spawn(move || gateway.create(workspace, "agents", &json!({ "name": name })));
        }
    });
    let mut seen = Vec::new();
    let mut path = "/api/agents?limit=3".to_owned();
    let mut pages = 0;
    loop {
        let reply = gateway.api(&workspace, Call::get(&path)).expect(200).json();
        let page = reply["items"].as_array().unwrap();
        assert!(page.len() <= 3);
        seen.extend(
            page.iter()
                .map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        match reply["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/agents?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(seen.len(), 7, "each once: {seen:?}");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), wanted);
    for bad in [
        "limit=0",
        "limit=x",
        "limit=-1",
        "cursor=nonsense",
        "limit=3&limt=4",
    ] {
        let reply = gateway.api(&workspace, Call::get(&format!("/api/agents?{bad}")));
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
    }
}

fn named(env: &Env, kind: &str, prefix: &str) {
    let gateway = env.gateway();
    let workspace = gateway.workspace();
    let api = |call: Call| gateway.api(&workspace, call);
    let made = gateway.create(
        &workspace,
        kind,
        &json!({"name": "one", "tags": {"environment": "production"}}),
    );
    assert!(made["id"].as_str().unwrap().starts_with(prefix), "{made}");
    assert_eq!(made["tags"], json!({"environment": "production"}));
    assert_eq!(made["managed_by"], "manual");
    time(&made["created_at"]);
    api(Call::post(&format!("/api/{kind}")).json(&json!({"name": "one"})))
        .refusal(409, "already_exists");
    let id = made["id"].as_str().unwrap();
    for reference in [id, "one"] {
        assert_eq!(
            api(Call::get(&format!("/api/{kind}/{reference}")))
                .expect(200)
                .json()["id"],
            id
        );
    }
    let patched =
        api(Call::new("PATCH", &format!("/api/{kind}/{id}"))
            .json(&json!({"name": "two", "tags": {}})))
        .expect(200)
        .json();
    assert_eq!(patched["name"], "two");
    assert_eq!(patched["tags"], json!({}));
    assert_eq!(names(api(Call::get(&format!("/api/{kind}")))), ["two"]);
    api(Call::new("DELETE", &format!("/api/{kind}/two"))).expect(204);
    api(Call::get(&format!("/api/{kind}/{id}"))).refusal(404, "not_found");
    assert!(items(api(Call::get(&format!("/api/{kind}")))).is_empty());
}

fn agents(env: &Env) {
    named(env, "agents", "agent_");
}

fn gateways(env: &Env) {
    named(env, "gateways", "gw_");
}

fn gateway_keys(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let made = &tenant.gateway_key;
    assert!(made["id"].as_str().unwrap().starts_with("gk_"), "{made}");
    assert!(tenant.key().starts_with("lgk_"));
    let id = made["id"].as_str().unwrap();
    let path = format!("/api/gateway-keys/{id}");
    let got = tenant.api(Call::get(&path)).expect(200).json();
    assert!(got.get("key").is_none(), "shown only once: {got}");
    let masked = got["masked"].as_str().unwrap();
    assert!(
        masked.starts_with("lgk_") && masked.ends_with(&tenant.key()[tenant.key().len() - 4..]),
        "{masked}"
    );
    assert!(masked.chars().count() < 16, "{masked}");
    assert!(
        got["expires_at"].is_null() && got["revoked_at"].is_null(),
        "{got}"
    );
    let patched = tenant
        .api(Call::new("PATCH", &path).json(&json!({"name": "renamed", "team": "red"})))
        .expect(200)
        .json();
    assert_eq!(patched["name"], "renamed");
    assert_eq!(patched["team"], "red");
    tenant.next_is_fine();

    let timed = more_gateway_key(
        tenant.gateway,
        &tenant.workspace,
        "app",
        "timed",
        &json!({"expires_in": "90d"}),
    );
    let expires = humantime::parse_rfc3339(timed["expires_at"].as_str().unwrap()).unwrap();
    let days = expires
        .duration_since(std::time::SystemTime::now())
        .unwrap()
        .as_secs() as f64
        / 86_400.0;
    assert!((89.9..90.1).contains(&days), "{days} days");
    assert_eq!(items(tenant.api(Call::get("/api/gateway-keys"))).len(), 2);
    for bad in [
        json!({"expires_in": "soon"}),
        json!({"expires_in": "-1d"}),
        json!({"expires_at": "2001-01-01T00:00:00Z"}),
        json!({"expires_at": "tomorrow"}),
        json!({"expires_in": "1d", "expires_at": "2999-01-01T00:00:00Z"}),
    ] {
        let mut body = json!({"name": "bad", "agent": "app"});
        for (field, value) in bad.as_object().unwrap() {
            body[field] = value.clone();
        }
        tenant
            .api(Call::post("/api/gateway-keys").json(&body))
            .refusal(400, "invalid_request");
    }

    tenant.api(Call::new("DELETE", &path)).expect(204);
    let revoked = tenant.api(Call::get(&path)).expect(200).json();
    time(&revoked["revoked_at"]);
    tenant.chat("gpt-4o").refusal(401, "gateway_key_revoked");
    // The other key of the same agent goes on.
    let reply = Call::post("/v1/chat/completions")
        .bearer(timed["key"].as_str().unwrap())
        .json(&crate::tenant::chat_body("gpt-4o", false))
        .run(tenant.gateway.url());
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn gateway_key_references(env: &Env) {
    let gateway = env.gateway();
    let workspace = gateway.workspace();
    let first = gateway_key(gateway, &workspace, "app", &json!({}));
    let agent = gateway.api(&workspace, Call::get("/api/agents/app")).json();
    gateway.create(&workspace, "gateways", &json!({"name": "edge"}));
    let by_id = more_gateway_key(
        gateway,
        &workspace,
        agent["id"].as_str().unwrap(),
        "by-id",
        &json!({"gateway": "edge"}),
    );
    assert_eq!(
        first["agent"], by_id["agent"],
        "an agent by name or id is the same"
    );
    assert!(by_id["gateway"].is_string(), "{by_id}");
    let post = |body: Value| gateway.api(&workspace, Call::post("/api/gateway-keys").json(&body));
    for body in [
        json!({"name": "x", "agent": "nobody"}),
        json!({"name": "x", "agent": "app", "gateway": "nowhere"}),
    ] {
        let reply = post(body);
        assert!(
            reply.status == 400 || reply.status == 404,
            "{}: {}",
            reply.status,
            reply.text()
        );
        let text = reply.text();
        assert!(
            text.contains("nobody") || text.contains("nowhere"),
            "names it: {text}"
        );
    }
    let error = post(json!({"name": "x"})).refusal(400, "invalid_request");
    assert!(
        error["message"].as_str().unwrap().contains("agent"),
        "{error}"
    );
    // An agent that keys stand for does not vanish under them, or takes them with it: no key without an agent is served.
    let reply = gateway.api(&workspace, Call::new("DELETE", "/api/agents/app"));
    if reply.status == 204 {
        let reply = Call::get("/v1/models")
            .bearer(first["key"].as_str().unwrap())
            .run(gateway.url());
        assert_eq!(reply.status, 401, "{}", reply.text());
    } else {
        assert_eq!(reply.status, 409, "{}", reply.text());
        Call::get("/v1/models")
            .bearer(first["key"].as_str().unwrap())
            .run(gateway.url())
            .expect(200);
    }
}

fn tags(env: &Env) {
    let gateway = env.gateway();
    let workspace = gateway.workspace();
    let post = |tags: Value| {
        gateway.api(
            &workspace,
            Call::post("/api/agents")
                .json(&json!({"name": crate::gateway::unique("t"), "tags": tags})),
        )
    };
    let many = |count: usize| -> Value {
        Value::Object(
            (0..count)
                .map(|number| (format!("k{number}"), json!("v")))
                .collect(),
        )
    };
    post(many(50)).expect(201);
    post(many(51)).refusal(400, "tag_limit_exceeded");
    post(json!({"": "v"})).refusal(400, "tag_key_empty");
    let key = |length: usize| json!({ ("é".repeat(length)): "v" });
    post(key(128)).expect(201);
    post(key(129)).refusal(400, "tag_key_too_long");
    post(json!({"k": "é".repeat(256)})).expect(201);
    post(json!({"k": "é".repeat(257)})).refusal(400, "tag_value_too_long");
    post(json!({"lockgate:x": "v"})).refusal(400, "tag_key_reserved");
    post(json!({"k": 7})).refusal(400, "tag_value_invalid");
    let text = r#"{"name":"repeats","tags":{"k":"1","k":"1"}}"#;
    gateway
        .api(&workspace, Call::post("/api/agents").text(text))
        .refusal(400, "tag_key_repeated");
}
