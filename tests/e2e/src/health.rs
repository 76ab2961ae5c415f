//! Whether provider keys are good: checks on demand, what a provider's 401 does to later requests, and the options that
//! keys are saved with (FEATURES A5, A6; DESIGN.md, “Health is a label”).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mock_provider::MockProvider;
use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::free_port;
use crate::management::time;
use crate::provider_keys::key_body;
use crate::script::Script;
use crate::tenant::{MARK, Tenant, base_url, eventually, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["health":
        checks_on_demand,
        checks_of_other_dialects,
        checks_that_learn_nothing_of_the_key,
        checks_that_take_too_long,
        checks_of_keys_without_a_secret,
        checks_are_refused_in_words,
        a_rejected_key_is_marked,
        a_key_without_permission_is_not_marked,
        another_key_takes_over,
        a_check_clears_the_mark,
        options,
        ticks_check_what_is_due[process],
    ]
}

fn path(key: &Value) -> String {
    format!("/api/provider-keys/{}", key["id"].as_str().expect("an id"))
}

fn create(tenant: &Tenant<'_>, body: &Value) -> Value {
    tenant
        .api(Call::post("/api/provider-keys").json(body))
        .expect(201)
        .json()
}

fn get(tenant: &Tenant<'_>, key: &Value) -> Value {
    tenant.api(Call::get(&path(key))).expect(200).json()
}

/// Checks a key, and that the key shows what was found and nothing shows the secret.
fn check(tenant: &Tenant<'_>, key: &Value) -> (String, String) {
    let reply = tenant
        .api(Call::post(&format!("{}/check", path(key))))
        .expect(200);
    assert!(!reply.text().contains(MARK), "{}", reply.text());
    let found = reply.json();
    time(&found["checked_at"]);
    let reply = tenant.api(Call::get(&path(key))).expect(200);
    assert!(!reply.text().contains(MARK), "{}", reply.text());
    let key = reply.json();
    assert_eq!(key["health"], found["health"], "{key}");
    assert_eq!(key["health_detail"], found["detail"], "{key}");
    assert_eq!(key["checked_at"], found["checked_at"], "{key}");
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("health"), text("detail"))
}

/// What `/api/providers` says of a provider.
fn provider(tenant: &Tenant<'_>, slug: &str) -> Value {
    let all = tenant.api(Call::get("/api/providers")).expect(200).json();
    let items = all["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["provider"] == slug);
    found.expect("the provider").clone()
}

fn checks_on_demand(env: &Env) {
    for (mark, health, says) in [
        ("good", "ok", "OpenAI took the key."),
        ("revoked", "invalid", "rejected the key (it answered 401)"),
        ("revoked-echo", "invalid", "rejected the key"),
        ("forbidden", "unknown", "it answered 403"),
        ("forbidden-echo", "unknown", "it answered 403"),
    ] {
        let tenant = Tenant::with_secret(env.gateway(), secret(mark));
        let before = get(&tenant, &tenant.provider_key);
        assert_eq!(
            (
                &before["health"],
                &before["health_detail"],
                &before["checked_at"]
            ),
            (&json!("unknown"), &Value::Null, &Value::Null)
        );
        let (found, detail) = check(&tenant, &tenant.provider_key);
        assert_eq!(found, health, "{mark}: {detail}");
        assert!(detail.contains(says), "{mark}: {detail}");
        assert_eq!(provider(&tenant, "openai")["health"], health);
        let sent = tenant.only_sent();
        assert_eq!(
            (sent.method.as_str(), sent.path.as_str()),
            ("GET", "/v1/models")
        );
        assert_eq!(sent.secret.as_deref(), Some(tenant.secret.as_str()));
        assert!(sent.body.is_empty());
        // Nobody's edit is made stale by a label.
        assert_eq!(get(&tenant, &tenant.provider_key)["etag"], before["etag"]);
    }
}

/// A check follows the manifest: other paths, other headers, and Google's 400 to a key that it does not know.
fn checks_of_other_dialects(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let good = "Aa1".repeat(13);
    let bad = format!("revoked{}", "Aa1".repeat(11));
    for (slug, at, listed, header) in [
        ("anthropic", "", "/v1/models", "x-api-key"),
        ("google", "", "/v1beta/models", "x-goog-api-key"),
        ("azure-openai", "", "/openai/v1/models", "api-key"),
        ("mistral", "/v1", "/v1/models", "authorization"),
    ] {
        let mock = MockProvider::start(0);
        for (secret, health) in [(&good, "ok"), (&bad, "invalid")] {
            let mut body = key_body(slug, health, secret);
            body["base_url"] = json!(format!("{}{at}", mock.base_url().trim_end_matches('/')));
            body["force"] = json!(true);
            let key = create(&tenant, &body);
            let (found, detail) = check(&tenant, &key);
            assert_eq!(found, health, "{slug}: {detail}");
            assert!(!detail.contains(secret.as_str()), "{slug}: {detail}");
            let sent = mock.take_requests().pop().unwrap();
            assert_eq!(sent.path, listed, "{slug}");
            let sent = sent.header(header).expect("the key's header").to_owned();
            assert!(sent.ends_with(secret.as_str()), "{slug}");
        }
    }
}

fn checks_that_learn_nothing_of_the_key(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let status = Arc::new(AtomicU16::new(0));
    let script = Script::start({
        let status = status.clone();
        move |_, line| {
            let status = status.load(Ordering::SeqCst);
            line.answer(
                &format!("{status} X"),
                "location: http://127.0.0.1:1/\r\nconnection: close\r\n",
                &json!({"error": {"message": format!("because of {status}")}}).to_string(),
            )
        }
    });
    let mut body = key_body("openai", "scripted", &secret("scripted"));
    body["base_url"] = json!(script.base_url());
    let key = create(&tenant, &body);
    for (answered, health) in [
        (429, "rate_limited"),
        (500, "unreachable"),
        (503, "unreachable"),
        (402, "unknown"),
        (404, "unknown"),
        (400, "unknown"),
        (200, "ok"),
    ] {
        status.store(answered, Ordering::SeqCst);
        let (found, detail) = check(&tenant, &key);
        assert_eq!(found, health, "{answered}: {detail}");
        let says = format!("It says: because of {answered}");
        assert_eq!(detail.contains(&says), answered != 200, "{detail}");
    }
    // Redirects are not followed: the key goes to its own base_url and nowhere else.
    status.store(302, Ordering::SeqCst);
    assert_eq!(check(&tenant, &key).0, "unknown");

    let mut body = key_body("openai", "nobody", &secret("nobody"));
    body["base_url"] = json!(format!("http://127.0.0.1:{}/v1", free_port()));
    let key = create(&tenant, &body);
    let (found, detail) = check(&tenant, &key);
    assert_eq!(found, "unreachable");
    assert!(detail.contains("cannot be reached"), "{detail}");

    // No call tells a good key of Perplexity's from a bad one, so nothing is called and nothing is stored.
    let mut body = key_body(
        "perplexity",
        "unasked",
        &format!("pplx-{}", "a1B2".repeat(12)),
    );
    body["base_url"] = json!(base_url(&tenant.mock));
    let key = create(&tenant, &body);
    let reply = tenant.api(Call::post(&format!("{}/check", path(&key))));
    let found = reply.expect(200).json();
    assert_eq!(found["health"], "unknown");
    assert!(
        found["detail"].as_str().unwrap().contains("has no call"),
        "{found}"
    );
    assert_eq!(get(&tenant, &key)["checked_at"], Value::Null);
    assert!(tenant.sent().is_empty());
}

/// Neither silence nor an error that drips holds a check for longer than its ten seconds.
fn checks_that_take_too_long(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let silent = Script::start(|_, line| {
        line.closed_within(Duration::from_secs(30));
        Ok(())
    });
    let dripping = Script::start(|_, line| {
        line.send(b"HTTP/1.1 500 X\r\ncontent-length: 1000\r\n\r\n")?;
        for _ in 0..60 {
            line.send(b" ")?;
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    });
    std::thread::scope(|scope| {
        for (name, script) in [("silent", &silent), ("dripping", &dripping)] {
            let tenant = &tenant;
            scope.spawn(move || {
                let mut body = key_body("openai", name, &secret(name));
                body["base_url"] = json!(script.base_url());
                let key = create(tenant, &body);
                let began = Instant::now();
                let (found, detail) = check(tenant, &key);
                let took = began.elapsed();
                assert_eq!(found, "unreachable", "{name}: {detail}");
                assert!(took < Duration::from_secs(14), "{name}: {took:?}");
            });
        }
    });
}

fn checks_of_keys_without_a_secret(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let key = create(
        &tenant,
        &json!({"provider": "ollama", "name": "local", "base_url": base_url(&tenant.mock)}),
    );
    let (health, detail) = check(&tenant, &key);
    assert_eq!(health, "ok");
    assert!(detail.contains("asks for no key"), "{detail}");
    assert_eq!(tenant.only_sent().secret, None);
}

fn checks_are_refused_in_words(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let check = format!("{}/check", path(&tenant.provider_key));
    tenant
        .api(Call::post("/api/provider-keys/pk_aaaaaaaaaaaaaaaa/check"))
        .refusal(404, "not_found");
    tenant
        .api(Call::get(&check))
        .refusal(405, "method_not_allowed");
    let error = tenant
        .api(Call::post(&check).json(&json!({"force": true})))
        .refusal(400, "unknown_field");
    assert_eq!(error["param"], "force");
    assert!(tenant.sent().is_empty());
    // By name, and with an empty object, as people may write it.
    let reply = tenant.api(Call::post("/api/provider-keys/main/check").json(&json!({})));
    assert_eq!(reply.expect(200).json()["health"], "ok");
}

fn a_rejected_key_is_marked(env: &Env) {
    let tenant = Tenant::with_secret(env.gateway(), secret("revoked-echo"));
    for _ in 0..2 {
        tenant.chat("gpt-4o").refusal(424, "provider_key_rejected");
    }
    let key = eventually("the mark", || {
        let key = get(&tenant, &tenant.provider_key);
        (key["health"] == "invalid").then_some(key)
    });
    time(&key["checked_at"]);
    let detail = key["health_detail"].as_str().unwrap();
    assert!(detail.contains("when a request used it"), "{detail}");
    assert!(!key.to_string().contains(MARK), "{key}");
    let listed = provider(&tenant, "openai");
    assert_eq!(
        (&listed["health"], &listed["status"]),
        (&json!("invalid"), &json!("ready"))
    );
    assert!(
        listed["reason"].as_str().unwrap().contains("rejected"),
        "{listed}"
    );

    // It is the only one, so it is tried all the same.
    let before = tenant.sent().len();
    tenant.chat("gpt-4o").refusal(424, "provider_key_rejected");
    assert_eq!(tenant.sent().len(), before + 1);

    tenant.rotate(&secret("good"));
    let key = get(&tenant, &tenant.provider_key);
    assert_eq!(
        (&key["health"], &key["health_detail"], &key["checked_at"]),
        (&json!("unknown"), &Value::Null, &Value::Null)
    );
    tenant.chat("gpt-4o").expect(200);
    assert_eq!(get(&tenant, &tenant.provider_key)["health"], "unknown");
    assert_eq!(check(&tenant, &tenant.provider_key).0, "ok");
}

fn a_key_without_permission_is_not_marked(env: &Env) {
    let tenant = Tenant::with_secret(env.gateway(), secret("forbidden"));
    tenant.chat("gpt-4o").refusal(424, "provider_key_rejected");
    // A mark would have come with the log at the latest.
    let path = format!(
        "/api/requests?gateway_key={}",
        tenant.gateway_key["id"].as_str().unwrap()
    );
    eventually("the log", || {
        let log = tenant.api(Call::get(&path)).expect(200).json();
        (log["items"].as_array().unwrap().len() == 1).then_some(())
    });
    assert_eq!(get(&tenant, &tenant.provider_key)["health"], "unknown");
}

fn another_key_takes_over(env: &Env) {
    let tenant = Tenant::with_secret(env.gateway(), secret("revoked"));
    let mut body = key_body("openai", "second", &secret("second"));
    body["base_url"] = json!(base_url(&tenant.mock));
    create(&tenant, &body);
    let served = || {
        let reply = tenant.chat("gpt-4o");
        let by = reply.header("lockgate-key").map(str::to_owned);
        (reply.status, by)
    };
    let first = tenant.chat("gpt-4o");
    first.refusal(424, "provider_key_rejected");
    let second = (200, Some("second".to_owned()));
    eventually("the other key", || (served() == second).then_some(()));
    // Every isolate has learnt it after a lease.
    eventually("the mark", || {
        (get(&tenant, &tenant.provider_key)["health"] == "invalid").then_some(())
    });
    std::thread::sleep(Duration::from_millis(2_500));
    for _ in 0..8 {
        assert_eq!(served(), second);
    }
    let listed = provider(&tenant, "openai");
    assert_eq!(
        (&listed["health"], &listed["default_key"]),
        (&json!("unknown"), &json!("main"))
    );

    tenant.rotate(&secret("good"));
    for _ in 0..4 {
        assert_eq!(served(), (200, Some("main".to_owned())));
    }
}

/// A provider that took a key back: what a check finds replaces what a request has found.
fn a_check_clears_the_mark(env: &Env) {
    let status = Arc::new(AtomicU16::new(401));
    let script = Script::start({
        let status = status.clone();
        move |_, line| match status.load(Ordering::SeqCst) {
            200 => line.answer("200 OK", "connection: close\r\n", "{\"data\":[]}"),
            _ => line.answer("401 X", "connection: close\r\n", "{}"),
        }
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    tenant.chat("gpt-4o").refusal(424, "provider_key_rejected");
    eventually("the mark", || {
        (get(&tenant, &tenant.provider_key)["health"] == "invalid").then_some(())
    });
    assert_eq!(check(&tenant, &tenant.provider_key).0, "invalid");
    status.store(200, Ordering::SeqCst);
    assert_eq!(check(&tenant, &tenant.provider_key).0, "ok");
    assert_eq!(provider(&tenant, "openai")["health"], "ok");
}

fn options(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let post = |body: &Value| tenant.api(Call::post("/api/provider-keys").json(body));
    let azure = |name: &str| key_body("azure-openai", name, &"0123456789abcdef".repeat(2));

    let error = post(&azure("bare")).refusal(400, "invalid_request");
    assert_eq!(error["param"], "options.resource");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("resource") && message.contains("base_url"),
        "both ways: {message}"
    );

    let mut body = azure("resource");
    body["options"] = json!({"resource": "my-company-eu", "api_version": "2024-10-21"});
    let made = post(&body).expect(201).json();
    assert_eq!(made["options"], body["options"]);
    assert_eq!(get(&tenant, &made)["options"], body["options"]);

    let mut body = azure("elsewhere");
    body["base_url"] = json!(tenant.mock.base_url());
    let made = post(&body).expect(201).json();
    assert_eq!(made["options"], json!({}));

    // A region is needed with a base_url too, since signatures have it.
    let pair = format!("AKIA{}:{}", "A2".repeat(8), "b3".repeat(20));
    let mut body = key_body("bedrock", "unsigned", &pair);
    body["base_url"] = json!(tenant.mock.base_url());
    let error = post(&body).refusal(400, "invalid_request");
    assert_eq!(error["param"], "options.region");

    for (value, code, says) in [
        (json!({"resource": "a/../b"}), "invalid_request", "resource"),
        (
            json!({"resource": "evil.example.com#"}),
            "invalid_request",
            "resource",
        ),
        (json!({"resource": ""}), "invalid_request", "resource"),
        (json!({"region": "x"}), "unknown_field", "api_version"),
        (json!({"resource": 7}), "invalid_request", "string"),
    ] {
        let mut body = azure("wrong");
        body["options"] = value.clone();
        let error = post(&body).refusal(400, code);
        assert!(
            error["message"].as_str().unwrap().contains(says),
            "{value}: {error}"
        );
    }
    let mut body = key_body("openai", "wrong", &secret("wrong"));
    body["options"] = json!({"region": "x"});
    let error = post(&body).refusal(400, "unknown_field");
    assert_eq!(error["param"], "options.region");

    let listed = provider(&tenant, "azure-openai");
    assert_eq!(listed["options"][0]["name"], "resource");
    assert_eq!(listed["key_count"], 2);
}

/// Everything that was never looked at is due, in every workspace; what has just been looked at is not. On a gateway of
/// its own: a tick reaches the workspaces of all tests.
fn ticks_check_what_is_due(env: &Env) {
    // Without leases no write waits.
    let gateway = env.plan().set("LOCKGATE_LEASE_MS", "0").start();
    let tenants: Vec<Tenant<'_>> = ["good", "revoked"]
        .into_iter()
        .map(|mark| Tenant::with_secret(&gateway, secret(mark)))
        .collect();
    for n in 0..22 {
        let mut body = key_body("openai", &format!("more {n}"), &secret("more"));
        body["base_url"] = json!(base_url(&tenants[0].mock));
        create(&tenants[0], &body);
    }
    let disabled = create(&tenants[0], &json!({"provider": "ollama", "name": "off"}));
    let off = Call::new("PATCH", &path(&disabled)).json(&json!({"enabled": false}));
    tenants[0].api(off).expect(200);

    let tick = || {
        let reply = gateway.api("default", Call::post("/api/tick")).expect(200);
        assert!(!reply.text().contains(MARK), "{}", reply.text());
        let reply = reply.json();
        let checked = reply["checked"].as_array().unwrap().clone();
        (checked, reply["more"] == true)
    };
    let (first, more) = tick();
    assert_eq!((first.len(), more), (20, true), "{first:?}");
    let (second, more) = tick();
    assert_eq!((second.len(), more), (4, false), "{second:?}");
    assert_eq!(tick(), (Vec::new(), false));
    let all = [first, second].concat();
    let invalid: Vec<&Value> = all.iter().filter(|one| one["health"] != "ok").collect();
    assert_eq!(
        invalid,
        [&json!({
            "workspace": tenants[1].workspace,
            "provider": "openai",
            "provider_key": "main",
            "health": "invalid",
        })]
    );
    for (tenant, health) in tenants.iter().zip(["ok", "invalid"]) {
        assert_eq!(get(tenant, &tenant.provider_key)["health"], health);
    }
    assert_eq!(get(&tenants[0], &disabled)["checked_at"], Value::Null);
    assert_eq!(tenants[0].sent().len(), 23);
    // A new secret is due at once.
    tenants[1].rotate(&secret("good"));
    let (checked, _) = tick();
    assert_eq!((checked.len(), &checked[0]["health"]), (1, &json!("ok")));
    gateway.stop();
}
