//! Refusals and the provider's failures, each with its status and code (FEATURES D1–D3; API.md, errors).

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::{PROVIDER_PATIENCE, free_port};
use crate::script::Script;
use crate::tenant::{Tenant, chat_body, more_gateway_key, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["errors":
        gateway_key_missing,
        gateway_key_malformed,
        gateway_key_unknown,
        gateway_key_revoked,
        gateway_key_expired,
        not_found,
        wrong_method,
        model_not_found,
        provider_not_ready,
        provider_not_ready_disabled,
        provider_key_rejected,
        provider_quota_exhausted,
        provider_rate_limited,
        provider_bad_request,
        provider_not_found,
        provider_too_large,
        provider_error,
        provider_overloaded,
        provider_html,
        provider_truncated_json,
        provider_invalid_json,
        provider_nonsense,
        provider_unreachable,
        provider_timeout [process],
        provider_slow_but_in_time,
        provider_body_stalls [process],
        provider_secret_in_its_error,
    ]
}

fn v1(env: &Env, key: Option<&str>) -> crate::client::Reply {
    let mut call = Call::post("/v1/chat/completions").json(&chat_body("gpt-4o", false));
    if let Some(key) = key {
        call = call.bearer(key);
    }
    call.run(env.gateway().url())
}

fn gateway_key_missing(env: &Env) {
    v1(env, None).refusal(401, "gateway_key_missing");
    Call::get("/v1/models")
        .run(env.gateway().url())
        .refusal(401, "gateway_key_missing");
    v1(env, Some("")).refusal(401, "gateway_key_missing");
}

fn gateway_key_malformed(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let key = tenant.key();
    assert!(key.starts_with("lgk_"), "the form of the key");
    // One character changed anywhere is a typo, which the checksum tells from a revoked key.
    for position in [6, key.len() / 2, key.len() - 1] {
        let mut typo: Vec<char> = key.chars().collect();
        typo[position] = if typo[position] == 'a' { 'b' } else { 'a' };
        let typo: String = typo.into_iter().collect();
        v1(env, Some(&typo)).refusal(401, "gateway_key_malformed");
    }
    for nonsense in [
        "lgk_",
        "lgk_short",
        "sk-proj-abc",
        &key[..key.len() - 1],
        &format!("{key}a"),
    ] {
        let error = v1(env, Some(nonsense)).refusal(401, "gateway_key_malformed");
        assert!(!error.to_string().contains(key), "the key is not repeated");
    }
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn gateway_key_unknown(env: &Env) {
    // A key in the right form that this gateway never made: that of a workspace which is gone.
    let tenant = Tenant::new(env.gateway());
    tenant.chat("gpt-4o").expect(200);
    let workspace = &tenant.workspace;
    tenant
        .gateway
        .api(
            "default",
            Call::new(
                "DELETE",
                &format!("/api/workspaces/{workspace}?confirm={workspace}"),
            ),
        )
        .expect(204);
    v1(env, Some(tenant.key())).refusal(401, "gateway_key_unknown");
    assert_eq!(tenant.sent().len(), 1);
}

fn gateway_key_revoked(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    tenant.chat("gpt-4o").expect(200);
    let id = tenant.gateway_key["id"].as_str().unwrap();
    tenant
        .api(Call::new("DELETE", &format!("/api/gateway-keys/{id}")))
        .expect(204);
    let error = v1(env, Some(tenant.key())).refusal(401, "gateway_key_revoked");
    assert!(
        error["lockgate"]["remedy"]
            .as_str()
            .is_some_and(|text| text.len() > 20)
    );
    assert_eq!(tenant.sent().len(), 1);
}

fn gateway_key_expired(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let expires = SystemTime::now() + Duration::from_secs(5);
    let expires = SystemTime::UNIX_EPOCH
        + Duration::from_secs(
            expires
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        );
    let key = more_gateway_key(
        tenant.gateway,
        &tenant.workspace,
        &tenant.agent,
        "short",
        &json!({"expires_at": humantime::format_rfc3339_seconds(expires).to_string()}),
    );
    let key = key["key"].as_str().unwrap();
    let mut served = 0;
    loop {
        // A lease never reaches past an expiry, so not even the first request after it is served.
        let before = SystemTime::now();
        let reply = v1(env, Some(key));
        if reply.status == 200 {
            assert!(before < expires, "served although it had expired");
            served += 1;
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        reply.refusal(401, "gateway_key_expired");
        assert!(SystemTime::now() >= expires, "refused before it expired");
        break;
    }
    assert!(served > 0, "it worked while it was valid");
}

fn not_found(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for path in [
        "/v1/nothing",
        "/v1/chat",
        "/v1/chat/completions/x",
        "/v1/chat/../models2",
    ] {
        tenant
            .send(path, "{}")
            .run(tenant.gateway.url())
            .refusal(404, "not_found");
    }
    tenant
        .api(Call::get("/api/nothing"))
        .refusal(404, "not_found");
    assert!(tenant.sent().is_empty());
}

fn wrong_method(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for (method, path) in [
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/embeddings"),
        ("POST", "/v1/models"),
    ] {
        let reply = Call::new(method, path)
            .bearer(tenant.key())
            .run(tenant.gateway.url());
        assert!(
            reply.status == 405 || reply.status == 404,
            "{method} {path}: {} {}",
            reply.status,
            reply.text()
        );
        reply.refusal(
            reply.status,
            reply.json()["error"]["code"].as_str().unwrap(),
        );
    }
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

/// Adds a second provider, so that an unknown model has no single place to go.
fn add_groq(tenant: &Tenant<'_>) {
    tenant.gateway.create(
        &tenant.workspace,
        "provider-keys",
        &json!({"provider": "groq", "name": "g", "secret": "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",
                "force": true, "base_url": crate::tenant::base_url(&tenant.mock)}),
    );
}

fn model_not_found(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    add_groq(&tenant);
    for model in ["a-model-of-tomorrow", "nobody/some-model"] {
        let error = tenant.chat(model).refusal(404, "model_not_found");
        let text = error.to_string();
        assert!(
            text.contains("provider/model"),
            "says how to write it: {text}"
        );
        assert!(
            text.contains("openai") && text.contains("groq"),
            "lists the providers: {text}"
        );
    }
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn provider_not_ready(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for model in ["mistral/mistral-large-latest", "mistral-large-latest"] {
        let reply = tenant.chat(model);
        let error = reply.refusal(424, "provider_not_ready");
        assert_eq!(error["lockgate"]["provider"], "mistral");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Mistral"), "names the provider: {message}");
        let remedy = error["lockgate"]["remedy"].as_str().unwrap();
        assert!(
            remedy.to_lowercase().contains("key") && remedy.to_lowercase().contains("provider"),
            "says the ways out: {remedy}"
        );
        assert_eq!(reply.header("lockgate-provider"), Some("mistral"));
    }
    assert!(tenant.sent().is_empty());
}

fn provider_not_ready_disabled(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    tenant.chat("gpt-4o").expect(200);
    let path = format!("/api/provider-keys/{}", tenant.provider_key_id());
    let enable = |enabled: bool| {
        tenant
            .api(Call::new("PATCH", &path).json(&json!({ "enabled": enabled })))
            .expect(200);
    };
    enable(false);
    let error = tenant.chat("gpt-4o").refusal(424, "provider_not_ready");
    assert_eq!(error["lockgate"]["provider"], "openai");
    assert_eq!(tenant.sent().len(), 1);
    enable(true);
    tenant.next_is_fine();
}

/// What the provider says becomes this refusal, and the next request is fine.
fn mapped(env: &Env, model: &str, status: u16, code: &str) -> Value {
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat(model);
    let error = reply.refusal(status, code);
    assert_eq!(error["lockgate"]["provider"], "openai", "{error}");
    assert_eq!(reply.header("lockgate-provider"), Some("openai"));
    assert_eq!(tenant.sent().len(), 1, "one attempt");
    // A streamed request fails in the same way before its first byte.
    tenant
        .stream(model)
        .collect()
        .unwrap()
        .refusal(status, code);
    tenant.next_is_fine();
    error
}

fn provider_key_rejected(env: &Env) {
    mapped(env, "mock-status-401", 424, "provider_key_rejected");
    mapped(env, "mock-status-403", 424, "provider_key_rejected");
    for mark in ["revoked", "forbidden"] {
        let tenant = Tenant::with_secret(env.gateway(), secret(mark));
        let error = tenant.chat("gpt-4o").refusal(424, "provider_key_rejected");
        let text = error.to_string();
        assert!(!text.contains(&tenant.secret), "the secret stays: {text}");
        assert!(
            text.contains("main") || text.contains("OpenAI"),
            "names what to fix: {text}"
        );
        tenant.only_sent();
        tenant.rotate(&secret("fresh"));
        tenant.next_is_fine();
    }
}

fn provider_quota_exhausted(env: &Env) {
    mapped(env, "mock-status-402", 424, "provider_quota_exhausted");
    mapped(env, "mock-quota", 424, "provider_quota_exhausted");
}

fn provider_rate_limited(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat("mock-status-429");
    reply.refusal(429, "provider_rate_limited");
    let wait: u64 = reply
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!(wait > 0, "{wait}");
    tenant.next_is_fine();

    // With a Retry-After of its own, the provider's counts.
    let script = Script::start(|_, line| {
        line.answer(
            "429 Too Many Requests",
            "retry-after: 17\r\n",
            r#"{"error":{"message":"slow down"}}"#,
        )
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let reply = tenant.chat("gpt-4o");
    reply.refusal(429, "provider_rate_limited");
    assert_eq!(reply.header("retry-after"), Some("17"));
}

fn provider_bad_request(env: &Env) {
    let script = Script::start(|_, line| {
        line.answer(
            "400 Bad Request",
            "",
            r#"{"error":{"message":"'temperature' must be at most 2","type":"invalid_request_error","param":"temperature","code":"decimal_above_max_value"}}"#,
        )
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let reply = tenant.chat("gpt-4o").expect(400);
    let error = &reply.json()["error"];
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("'temperature' must be at most 2"),
        "the provider's words are kept: {error}"
    );
    assert_eq!(script.received().len(), 1);
    let tenant = Tenant::new(env.gateway());
    tenant.chat("mock-status-400").expect(400);
    tenant.chat("mock-status-422").expect(400);
    tenant.next_is_fine();
}

fn provider_not_found(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    tenant
        .chat("mock-status-404")
        .refusal(404, "model_not_found");
    tenant.only_sent();
    tenant.next_is_fine();
}

fn provider_too_large(env: &Env) {
    mapped(env, "mock-status-413", 413, "request_too_large");
}

fn provider_error(env: &Env) {
    mapped(env, "mock-status-500", 502, "provider_error");
    mapped(env, "mock-status-502", 502, "provider_error");
}

fn provider_overloaded(env: &Env) {
    mapped(env, "mock-status-503", 503, "provider_overloaded");
    mapped(env, "mock-status-529", 503, "provider_overloaded");
}

fn provider_html(env: &Env) {
    let error = mapped(env, "mock-html-502", 502, "provider_error");
    assert!(
        !error.to_string().to_lowercase().contains("<html"),
        "no page in an error: {error}"
    );
}

fn provider_truncated_json(env: &Env) {
    // The body ends before its content-length: the client must not take it for a whole answer.
    let tenant = Tenant::new(env.gateway());
    let outcome = tenant
        .chat_call("mock-truncated-json")
        .open(tenant.gateway.url())
        .and_then(crate::client::Stream::collect);
    match outcome {
        Err(_) => {}
        Ok(reply) if reply.status == 502 => {
            reply.refusal(502, "provider_error");
        }
        Ok(reply) => assert!(
            serde_json::from_slice::<Value>(&reply.body).is_err()
                || reply.json().get("error").is_some(),
            "a broken answer looks whole: {}",
            reply.text()
        ),
    }
    tenant.only_sent();
    tenant.next_is_fine();
}

fn provider_invalid_json(env: &Env) {
    // Bytes pass untouched, whatever they are.
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat("mock-invalid-json");
    assert!(
        reply.status == 200 || reply.status == 502,
        "{}",
        reply.status
    );
    tenant.only_sent();
    tenant.next_is_fine();
}

fn provider_nonsense(env: &Env) {
    let script = Script::start(|_, line| line.send(b"what is this\r\n\r\n"));
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let error = tenant.chat("gpt-4o");
    assert_eq!(error.status, 502, "{}", error.text());
    let code = error.json()["error"]["code"].clone();
    assert!(
        code == "provider_error" || code == "provider_unreachable",
        "{code}"
    );
}

fn provider_unreachable(env: &Env) {
    let tenant = Tenant::at(
        env.gateway(),
        &format!("http://127.0.0.1:{}/v1", free_port()),
    );
    let started = Instant::now();
    let error = tenant.chat("gpt-4o").refusal(502, "provider_unreachable");
    assert_eq!(error["lockgate"]["provider"], "openai");
    assert!(started.elapsed() < Duration::from_secs(10));
    // The same workspace goes on with a provider that is there.
    add_groq(&tenant);
    assert_eq!(tenant.chat("groq/llama-3.1-8b-instant").status, 200);
}

fn provider_timeout(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let started = Instant::now();
    let reply = tenant.chat("mock-silent");
    let error = reply.refusal(504, "provider_timeout");
    assert_eq!(error["lockgate"]["provider"], "openai");
    let took = started.elapsed();
    assert!(
        took >= PROVIDER_PATIENCE && took < PROVIDER_PATIENCE + Duration::from_secs(5),
        "gave up after {took:?}"
    );
    tenant.next_is_fine();
}

fn provider_slow_but_in_time(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let started = Instant::now();
    tenant.chat("mock-slow-head-1500").expect(200);
    assert!(started.elapsed() >= Duration::from_millis(1500));
    tenant.only_sent();
}

fn provider_body_stalls(env: &Env) {
    // A plain answer whose body stops half way, for longer than the idle limit, and then breaks off, never looks whole.
    let script = Script::start(|_, line| {
        line.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"half\":")?;
        line.closed_within(PROVIDER_PATIENCE + Duration::from_secs(3));
        Ok(())
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let outcome = tenant
        .chat_call("gpt-4o")
        .open(tenant.gateway.url())
        .and_then(crate::client::Stream::collect);
    if let Ok(reply) = outcome {
        assert!(
            reply.status >= 500 || serde_json::from_slice::<Value>(&reply.body).is_err(),
            "a half answer looks whole: {}",
            reply.text()
        );
    }
}

fn provider_secret_in_its_error(env: &Env) {
    // Some providers repeat the key that they refuse. It must not reach the client.
    let script = Script::start(|request, line| {
        let credential = request
            .headers
            .iter()
            .find(|(name, _)| name == "authorization")
            .map(|(_, value)| value.trim_start_matches("Bearer ").to_owned())
            .unwrap_or_default();
        let status = if request.body.windows(5).any(|part| part == b"bad-4") {
            "400 Bad Request"
        } else {
            "401 Unauthorized"
        };
        line.answer(
            status,
            "",
            &json!({"error": {"message": format!("Incorrect API key provided: {credential}."), "type": "x", "code": "invalid_api_key", "param": null}})
                .to_string(),
        )
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    for model in ["gpt-4o", "bad-4"] {
        let reply = tenant.chat(model);
        assert!(
            reply.status == 424 || reply.status == 400,
            "{}",
            reply.status
        );
        let everything = format!("{:?} {}", reply.headers, reply.text());
        assert!(
            !everything.contains(&tenant.secret),
            "{model}: {everything}"
        );
    }
    assert_eq!(script.received().len(), 2);
}
