//! Provider keys, what they are told apart by, and the request log that shows their use (API.md; FEATURES A1–A5, C6).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::management::{items, time};
use crate::tenant::{Tenant, base_url, eventually, more_gateway_key, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["provider_keys":
        provider_keys,
        provider_key_names,
        provider_key_formats,
        provider_key_base_urls,
        provider_key_defaults,
        provider_key_deletion,
        secrets_are_masked,
        providers,
        request_log,
        request_log_filters,
    ]
}

fn provider_keys(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let made = &tenant.provider_key;
    assert!(made["id"].as_str().unwrap().starts_with("pk_"), "{made}");
    for (field, value) in [
        ("provider", json!("openai")),
        ("name", json!("main")),
        ("version", json!(1)),
        ("default", json!(true)),
        ("tags", json!({})),
        ("health", json!("unknown")),
        ("managed_by", json!("manual")),
    ] {
        assert_eq!(made[field], value, "`{field}`: {made}");
    }
    let masked = made["masked"].as_str().unwrap();
    assert!(
        masked.contains('…') && masked.ends_with(&tenant.secret[tenant.secret.len() - 4..]),
        "{masked}"
    );
    assert!(masked.chars().count() < 20, "{masked}");
    time(&made["created_at"]);

    let path = format!("/api/provider-keys/{}", tenant.provider_key_id());
    assert_eq!(
        tenant.api(Call::get(&path)).expect(200).json()["name"],
        "main"
    );
    let patched = tenant
        .api(
            Call::new("PATCH", &path)
                .json(&json!({"name": "renamed", "tags": {"environment": "test"}})),
        )
        .expect(200)
        .json();
    assert_eq!(patched["name"], "renamed");
    assert_eq!(patched["tags"], json!({"environment": "test"}));
    assert_eq!(patched["version"], 1);
    let reply = tenant.chat("gpt-4o").expect(200);
    assert_eq!(reply.header("lockgate-key"), Some("renamed"));

    let fresh = secret("rotated");
    let rotated = tenant
        .api(Call::new("PUT", &format!("{path}/secret")).json(&json!({ "secret": fresh })))
        .expect(200)
        .json();
    assert_eq!(rotated["version"], 2);
    assert_eq!(rotated["name"], "renamed");
    assert!(
        rotated["masked"]
            .as_str()
            .unwrap()
            .ends_with(&fresh[fresh.len() - 4..])
    );
    time(&rotated["rotated_at"]);
    tenant.chat("gpt-4o").expect(200);
    assert_eq!(tenant.sent().pop().unwrap().secret, Some(fresh));

    tenant.api(Call::new("DELETE", &path)).expect(204);
    tenant.api(Call::get(&path)).refusal(404, "not_found");
    tenant
        .api(Call::new("DELETE", &path))
        .refusal(404, "not_found");
    assert!(items(tenant.api(Call::get("/api/provider-keys"))).is_empty());
}

pub(crate) fn key_body(provider: &str, name: &str, secret: &str) -> Value {
    json!({"provider": provider, "name": name, "secret": secret})
}

fn provider_key_names(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let post = |body: &Value| tenant.api(Call::post("/api/provider-keys").json(body));
    let error = post(&key_body("openai", "main", &secret("second"))).refusal(409, "already_exists");
    assert!(
        error["message"].as_str().unwrap().contains("main"),
        "{error}"
    );
    post(&key_body(
        "groq",
        "main",
        "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",
    ))
    .expect(201);
    let other = post(&key_body("openai", "other", &secret("other")))
        .expect(201)
        .json();
    let path = format!("/api/provider-keys/{}", other["id"].as_str().unwrap());
    tenant
        .api(Call::new("PATCH", &path).json(&json!({"name": "main"})))
        .refusal(409, "already_exists");
    for name in ["", " ", "a/b", "a\nb", &"n".repeat(1000)] {
        post(&key_body("openai", name, &secret("named"))).refusal(400, "invalid_request");
    }
    let error = post(&key_body("nobody", "x", &secret("nobody"))).refusal(400, "invalid_request");
    assert!(
        error["message"].as_str().unwrap().contains("nobody"),
        "{error}"
    );
    // A missing field is named.
    for field in ["provider", "name", "secret"] {
        let mut body = key_body("openai", "incomplete", &secret("incomplete"));
        body.as_object_mut().unwrap().remove(field);
        let error = post(&body).refusal(400, "invalid_request");
        assert!(
            error["message"].as_str().unwrap().contains(field),
            "{field}: {error}"
        );
    }
}

fn provider_key_formats(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let good = secret("format");
    for (bad, says) in [
        (format!("Bearer {good}"), "Bearer"),
        (format!(" {good}"), "space"),
        (format!("{good}\n"), "space"),
        (format!("{}é", &good[..40]), "character"),
        (
            "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".to_owned(),
            "Groq",
        ),
        ("nothing-like-a-key".to_owned(), "sk-"),
        (String::new(), ""),
    ] {
        let body = key_body("openai", "format", &bad);
        let reply = tenant.api(Call::post("/api/provider-keys").json(&body));
        let error = reply.refusal(400, "invalid_request");
        assert_eq!(error["param"], "secret");
        assert_eq!(error["lockgate"]["reason"], "provider_key_format");
        let text = format!("{} {}", error["message"], error["lockgate"]["remedy"]);
        assert!(
            text.to_lowercase().contains(&says.to_lowercase()),
            "{bad:?} should be explained with {says:?}: {text}"
        );
        assert!(
            bad.is_empty() || !reply.text().contains(bad.trim()),
            "the key is repeated: {text}"
        );
        let path = format!("/api/provider-keys/{}/secret", tenant.provider_key_id());
        tenant
            .api(Call::new("PUT", &path).json(&json!({ "secret": bad })))
            .refusal(400, "invalid_request");
    }
    tenant.next_is_fine();
    // `force` saves it all the same.
    let mut body = key_body("openai", "format", "nothing-like-a-key");
    body["force"] = json!(true);
    body["base_url"] = json!(base_url(&tenant.mock));
    tenant
        .api(Call::post("/api/provider-keys").json(&body))
        .expect(201);
    let path = format!("/api/provider-keys/{}/secret", tenant.provider_key_id());
    tenant
        .api(Call::new("PUT", &path).json(&json!({"secret": "another-odd-one", "force": true})))
        .expect(200);
    tenant.chat("gpt-4o").expect(200);
    assert_eq!(
        tenant.sent().pop().unwrap().secret.as_deref(),
        Some("another-odd-one")
    );
}

fn provider_key_base_urls(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let post = |name: &str, base_url: &str| {
        let mut body = key_body("openai", name, &secret("url"));
        body["base_url"] = json!(base_url);
        tenant.api(Call::post("/api/provider-keys").json(&body))
    };
    for bad in [
        "http://api.example.com/v1",
        "http://10.0.0.5/v1",
        "http://169.254.169.254/latest",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://metadata.google.internal/v1",
        "https://2852039166/v1",
        "https://0xa9fea9fe/v1",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "api.example.com/v1",
        "https://user:password@api.example.com/v1",
        "https://",
        "",
    ] {
        let reply = post("bad-url", bad);
        let error = reply.refusal(400, "invalid_request");
        assert!(
            error["message"].as_str().unwrap().contains("base_url"),
            "{bad}: {error}"
        );
    }
    for (number, good) in [
        "https://api.example.com/v1",
        "https://api.example.com:8443/openai/v1/",
        "http://127.0.0.1:9/v1",
        "http://localhost:9/v1",
        "http://[::1]:9/v1",
    ]
    .into_iter()
    .enumerate()
    {
        let reply = post(&format!("good-{number}"), good);
        assert_eq!(reply.status, 201, "{good}: {}", reply.text());
    }
}

fn provider_key_defaults(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let second = secret("second");
    let mut body = key_body("openai", "second", &second);
    body["base_url"] = json!(base_url(&tenant.mock));
    let made = tenant
        .gateway
        .create(&tenant.workspace, "provider-keys", &body);
    assert_eq!(made["default"], false, "{made}");
    let used = || {
        tenant.chat("gpt-4o").expect(200);
        tenant.sent().pop().unwrap().secret.unwrap()
    };
    assert_eq!(used(), tenant.secret);
    let path = format!("/api/provider-keys/{}", made["id"].as_str().unwrap());
    tenant
        .api(Call::new("PATCH", &path).json(&json!({"default": true})))
        .expect(200);
    assert_eq!(used(), second, "the new default at once");
    let first = tenant
        .api(Call::get(&format!(
            "/api/provider-keys/{}",
            tenant.provider_key_id()
        )))
        .json();
    assert_eq!(first["default"], false, "one default a provider: {first}");
    // A disabled default gives way to a key that is enabled.
    tenant
        .api(Call::new("PATCH", &path).json(&json!({"enabled": false})))
        .expect(200);
    assert_eq!(used(), tenant.secret);
    tenant
        .api(Call::new("PATCH", &path).json(&json!({"enabled": true})))
        .expect(200);
    assert_eq!(used(), second);
    tenant.api(Call::new("DELETE", &path)).expect(204);
    assert_eq!(used(), tenant.secret);
}

fn provider_key_deletion(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    tenant.chat("gpt-4o").expect(200);
    tenant
        .api(Call::new(
            "DELETE",
            &format!("/api/provider-keys/{}", tenant.provider_key_id()),
        ))
        .expect(204);
    let error = tenant.chat("gpt-4o").refusal(424, "provider_not_ready");
    assert_eq!(error["lockgate"]["provider"], "openai");
    assert!(
        error["message"].as_str().unwrap().contains("OpenAI"),
        "{error}"
    );
    assert_eq!(tenant.sent().len(), 1);
    // A new key of the same name makes the provider ready again.
    let fresh = secret("again");
    let mut body = key_body("openai", "main", &fresh);
    body["base_url"] = json!(base_url(&tenant.mock));
    let made = tenant
        .gateway
        .create(&tenant.workspace, "provider-keys", &body);
    assert_ne!(made["id"], tenant.provider_key["id"]);
    assert_eq!(made["version"], 1);
    tenant.chat("gpt-4o").expect(200);
    assert_eq!(tenant.sent().pop().unwrap().secret, Some(fresh));
}

fn secrets_are_masked(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    tenant.chat("gpt-4o").expect(200);
    let id = tenant.provider_key_id();
    let gateway_key = tenant.gateway_key["id"].as_str().unwrap();
    let mut seen = tenant.provider_key.to_string();
    for path in [
        "/api/provider-keys".to_owned(),
        format!("/api/provider-keys/{id}"),
        "/api/gateway-keys".to_owned(),
        format!("/api/gateway-keys/{gateway_key}"),
        "/api/providers".to_owned(),
        "/api/requests".to_owned(),
        "/api/workspaces".to_owned(),
    ] {
        seen.push_str(&tenant.api(Call::get(&path)).expect(200).text());
    }
    let patched = tenant
        .api(Call::new("PATCH", &format!("/api/provider-keys/{id}")).json(&json!({"name": "n"})));
    seen.push_str(&patched.text());
    assert!(seen.contains(id));
    assert!(!seen.contains(&tenant.secret), "the provider's secret");
    assert!(!seen.contains(tenant.key()), "the gateway key");
    for hidden in ["wrapped", "ciphertext", "\"hash\"", "\"secret\""] {
        assert!(!seen.contains(hidden), "shows {hidden}");
    }
}

fn providers(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let list = items(tenant.api(Call::get("/api/providers")));
    let of = |slug: &str| {
        list.iter()
            .find(|item| item["provider"] == slug)
            .unwrap_or_else(|| panic!("no {slug} in {list:?}"))
    };
    for slug in [
        "openai",
        "mistral",
        "together",
        "perplexity",
        "openrouter",
        "groq",
        "deepseek",
        "xai",
        "fireworks",
        "ollama",
        "vllm",
    ] {
        let item = of(slug);
        assert!(
            item["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{item}"
        );
        assert!(item["env_vars"].is_array(), "{item}");
        let expected = if slug == "openai" {
            "ready"
        } else {
            "not_configured"
        };
        assert_eq!(item["status"], expected, "{item}");
        assert_eq!(item["key_count"], i32::from(slug == "openai"), "{item}");
    }
    let openai = of("openai");
    assert!(
        openai["env_vars"].to_string().contains("OPENAI_API_KEY"),
        "{openai}"
    );
    assert!(
        openai["models"].is_array() || openai["models"].is_number(),
        "{openai}"
    );
    let path = format!("/api/provider-keys/{}", tenant.provider_key_id());
    tenant
        .api(Call::new("PATCH", &path).json(&json!({"enabled": false})))
        .expect(200);
    let list = items(tenant.api(Call::get("/api/providers")));
    let item = list
        .iter()
        .find(|item| item["provider"] == "openai")
        .unwrap();
    assert_eq!(item["status"], "inactive", "{item}");
    assert!(
        item["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty()),
        "{item}"
    );
}

/// The log of this workspace once it has this many entries, newest first.
fn log(tenant: &Tenant<'_>, query: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/requests{query}");
    eventually("the request log", || {
        let items = items(tenant.api(Call::get(&path)));
        (items.len() == count).then_some(items)
    })
}

fn request_log(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat("openai/gpt-4o").expect(200);
    let entry = log(&tenant, "", 1).remove(0);
    assert_eq!(
        entry["id"].as_str(),
        reply.header("lockgate-request-id"),
        "{entry}"
    );
    time(&entry["at"]);
    for (field, value) in [
        ("gateway_key", tenant.gateway_key["id"].clone()),
        ("agent", json!("app")),
        ("provider", json!("openai")),
        ("model", json!("gpt-4o")),
        ("credential", json!("byok")),
        ("provider_key", json!("main")),
        ("status", json!(200)),
        ("stream", json!(false)),
        ("path", json!("/v1/chat/completions")),
    ] {
        assert_eq!(entry[field], value, "`{field}`: {entry}");
    }
    let attempts = entry["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{entry}");
    assert_eq!(attempts[0]["provider"], "openai");
    assert_eq!(attempts[0]["status"], 200);
    let text = entry.to_string();
    assert!(!text.contains("hello"), "prompts are not stored: {text}");
    assert!(!text.contains(&tenant.secret) && !text.contains(tenant.key()));

    tenant
        .chat("mock-status-500")
        .refusal(502, "provider_error");
    tenant.stream("mock-break-3").collect().unwrap();
    let entries = log(&tenant, "", 3);
    let failed = entries.iter().find(|entry| entry["status"] == 502).unwrap();
    assert_eq!(failed["code"], "provider_error", "{failed}");
    assert_eq!(failed["attempts"][0]["status"], 500, "{failed}");
    let broken = entries
        .iter()
        .find(|entry| entry["stream"] == true)
        .unwrap();
    assert_eq!(broken["outcome"], "broken", "{broken}");
    let used = eventually("the key's last use", || {
        let key = tenant
            .api(Call::get(&format!(
                "/api/provider-keys/{}",
                tenant.provider_key_id()
            )))
            .json();
        key["last_used_at"].as_str().map(str::to_owned)
    });
    assert!(humantime::parse_rfc3339(&used).is_ok(), "{used}");
}

fn request_log_filters(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let other = more_gateway_key(
        tenant.gateway,
        &tenant.workspace,
        "app",
        "other",
        &json!({}),
    );
    tenant.chat("gpt-4o").expect(200);
    tenant.chat("gpt-4o-mini").expect(200);
    tenant
        .chat("mock-status-429")
        .refusal(429, "provider_rate_limited");
    tenant.chat("mistral/x").refusal(424, "provider_not_ready");
    Call::post("/v1/chat/completions")
        .bearer(other["key"].as_str().unwrap())
        .json(&crate::tenant::chat_body("gpt-4o", false))
        .run(tenant.gateway.url())
        .expect(200);
    log(&tenant, "", 5);
    for (query, count) in [
        ("?model=gpt-4o", 2),
        ("?status=429", 1),
        ("?status=200", 3),
        ("?provider=mistral", 1),
        ("?provider=openai", 4),
        ("?agent=app", 5),
        ("?agent=nobody", 0),
        ("?credential=byok&status=200", 3),
        ("?since=2999-01-01T00:00:00Z", 0),
        ("?until=2001-01-01T00:00:00Z", 0),
        ("?since=2001-01-01T00:00:00Z&until=2999-01-01T00:00:00Z", 5),
        ("?limit=2", 2),
    ] {
        assert_eq!(
            items(tenant.api(Call::get(&format!("/api/requests{query}")))).len(),
            count,
            "{query}"
        );
    }
    let id = other["id"].as_str().unwrap();
    assert_eq!(
        items(tenant.api(Call::get(&format!("/api/requests?gateway_key={id}")))).len(),
        1
    );
    for bad in ["?status=x", "?since=yesterday"] {
        assert_eq!(
            tenant.api(Call::get(&format!("/api/requests{bad}"))).status,
            400,
            "{bad}"
        );
    }
    // Pages go through all of it, newest first.
    let first = tenant
        .api(Call::get("/api/requests?limit=3"))
        .expect(200)
        .json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = tenant
        .api(Call::get(&format!("/api/requests?limit=3&cursor={cursor}")))
        .expect(200)
        .json();
    let ids: BTreeSet<String> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 5);
}
