//! What reaches the provider and what comes back (FEATURES C6, E1, E5; API.md, data plane).

use std::collections::BTreeSet;

use serde_json::json;

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::Engine;
use crate::script::Script;
use crate::tenant::{Tenant, chat_body, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["passthrough":
        chat_bytes,
        completions_bytes,
        embeddings_bytes,
        number_spellings,
        whitespace_and_escapes,
        repeated_unknown_keys,
        prefix_changes_only_the_model,
        prefix_with_escapes_and_slashes,
        model_in_unusual_places,
        request_headers,
        client_credentials_stay,
        credential_headers,
        answer_body_bytes,
        answer_headers,
        lockgate_headers,
        request_id,
        redirect_not_followed,
        cookies_and_server,
        query_string,
        large_answer,
        large_request,
        chunked_request,
        models,
        models_hidden,
        unknown_model_single_provider,
        provider_without_secret,
    ]
}

/// Sends these bytes and asserts that the provider got exactly them.
fn exact(env: &Env, path: &str, body: &str) {
    let tenant = Tenant::new(env.gateway());
    tenant
        .send(path, body)
        .run(tenant.gateway.url())
        .expect(200);
    let sent = tenant.only_sent();
    assert_eq!(sent.path, path);
    assert_eq!(
        String::from_utf8_lossy(&sent.body),
        body,
        "the provider's bytes"
    );
}

fn chat_bytes(env: &Env) {
    exact(
        env,
        "/v1/chat/completions",
        r#"{"zeta":null,"messages":[{"content":"hi","role":"user","x":{"y":[]}}],"model":"gpt-4o","an_unknown_field":{"b":1,"a":[true,false,null]},"temperature":0.70}"#,
    );
}

fn completions_bytes(env: &Env) {
    exact(
        env,
        "/v1/completions",
        r#"{"prompt":["a","b"],"model":"gpt-3.5-turbo-instruct","echo":false,"unknown":-0}"#,
    );
}

fn embeddings_bytes(env: &Env) {
    exact(
        env,
        "/v1/embeddings",
        r#"{"input":[[1,2,3]],"model":"text-embedding-3-small","dimensions":256,"encoding_format":"float","unknown":1e-7}"#,
    );
}

fn number_spellings(env: &Env) {
    exact(
        env,
        "/v1/chat/completions",
        r#"{"model":"gpt-4o","messages":[],"temperature":1e0,"top_p":1.0,"seed":18446744073709551616,"n":[1e2,1E+2,1.50,-0,-0.0,0.10e-3,123456789012345678901234567890.123456789]}"#,
    );
}

fn whitespace_and_escapes(env: &Env) {
    exact(
        env,
        "/v1/chat/completions",
        "\r\n\t { \"messages\" : [ { \"role\" : \"user\" , \"content\" : \"\\u00e9\\uD83D\\uDE00\\/ é😀 \\u0000\" } ]\n,\t\"model\" :\t\"gpt-4o\"  } \n\n",
    );
}

fn repeated_unknown_keys(env: &Env) {
    exact(
        env,
        "/v1/chat/completions",
        r#"{"model":"gpt-4o","messages":[],"metadata":{"a":1,"a":2},"unknown":1,"unknown":2}"#,
    );
}

fn prefix_changes_only_the_model(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let body = |model: &str| {
        format!(
            r#"{{ "x":1e2, "model" : "{model}" ,"messages":[{{"role":"user","content":"openai/gpt-4o"}}],"seed":18446744073709551616, "x":2}}"#
        )
    };
    tenant
        .send("/v1/chat/completions", &body("openai/gpt-4o"))
        .run(tenant.gateway.url())
        .expect(200);
    let sent = tenant.only_sent();
    assert_eq!(String::from_utf8_lossy(&sent.body), body("gpt-4o"));
}

fn prefix_with_escapes_and_slashes(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    // The slug is cut once; what is left of the id keeps its slashes. JSON may spell a slash `\/`.
    for (given, expected) in [
        ("openai/ft:gpt-4o/acme/x", "ft:gpt-4o/acme/x"),
        (r"openai\/gpt-4o-mini", "gpt-4o-mini"),
        (r"\u006fpenai/gpt-4o", "gpt-4o"),
    ] {
        let body = format!(r#"{{"messages":[],"model":"{given}","last":1.0}}"#);
        tenant
            .send("/v1/chat/completions", &body)
            .run(tenant.gateway.url())
            .expect(200);
        let sent = tenant.sent().pop().unwrap();
        let text = String::from_utf8_lossy(&sent.body).into_owned();
        assert!(
            text.ends_with(r#","last":1.0}"#),
            "the rest is as it came: {text}"
        );
        let model = serde_json::from_str::<serde_json::Value>(&text).unwrap()["model"].clone();
        assert_eq!(model, expected, "for {given}");
    }
}

fn model_in_unusual_places(env: &Env) {
    // `model` inside other values is not the model.
    exact(
        env,
        "/v1/chat/completions",
        r#"{"metadata":{"model":"openai/nested"},"messages":[{"role":"user","content":"\"model\":\"openai/text\""}],"model":"gpt-4o"}"#,
    );
}

fn request_headers(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let body = chat_body("gpt-4o", false).to_string();
    let passed = [
        ("content-type", "application/json; charset=utf-8"),
        ("accept", "application/json, text/event-stream"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "some-beta"),
        ("openai-beta", "assistants=v2"),
        ("idempotency-key", "idem-1"),
        ("user-agent", "suite/1.0"),
    ];
    let withheld = [
        ("cookie", "session=secret-cookie"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-real-ip", "10.1.2.3"),
        ("x-custom", "custom"),
        ("x-stainless-lang", "python"),
        ("openai-organization", "org-1"),
        ("openai-project", "proj-1"),
        ("cf-connecting-ip", "10.1.2.3"),
        ("cf-ray", "ray"),
        ("spin-full-url", "http://elsewhere/"),
        ("spin-path-info", "/elsewhere"),
        ("forwarded", "for=10.1.2.3"),
        ("via", "1.1 somebody"),
        ("origin", "https://app.example"),
        ("referer", "https://app.example/page"),
        ("accept-language", "de"),
        ("proxy-authorization", "Basic eDp5"),
        ("te", "trailers"),
        ("lockgate-session", "session-1"),
        ("lockgate-workspace", "elsewhere"),
        ("lockgate-request-id", "req-from-client"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    let mut call = Call::post("/v1/chat/completions")
        .bearer(tenant.key())
        .header("accept-encoding", "gzip, br")
        .bytes(body.clone().into_bytes());
    for (name, value) in passed.iter().chain(&withheld) {
        call = call.header(name, value);
    }
    call.run(tenant.gateway.url()).expect(200);

    let sent = tenant.only_sent();
    let values = |name: &str| -> Vec<String> {
        sent.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
            .collect()
    };
    for (name, value) in passed {
        assert_eq!(values(name), [value], "`{name}` at the provider");
    }
    assert_eq!(
        values("authorization"),
        [format!("Bearer {}", tenant.secret)]
    );
    assert_eq!(values("accept-encoding"), ["identity"]);
    assert_eq!(values("content-length"), [body.len().to_string()]);
    let host = tenant.mock.base_url();
    assert_eq!(values("host"), [crate::client::authority(&host)]);
    let mut allowed: BTreeSet<&str> = passed.iter().map(|(name, _)| *name).collect();
    // `connection` speaks of the hop between gateway and provider only.
    allowed.extend([
        "authorization",
        "accept-encoding",
        "content-length",
        "host",
        "connection",
    ]);
    let strangers: Vec<_> = sent
        .headers
        .iter()
        .filter(|(name, _)| !allowed.contains(name.to_ascii_lowercase().as_str()))
        .collect();
    assert!(
        strangers.is_empty(),
        "also reached the provider: {strangers:?}"
    );
}

fn client_credentials_stay(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let reply = tenant
        .send(
            "/v1/chat/completions",
            &chat_body("gpt-4o", false).to_string(),
        )
        .header("x-api-key", tenant.key())
        .header("api-key", tenant.key())
        .header("x-goog-api-key", tenant.key())
        .header("cookie", tenant.key())
        .run(tenant.gateway.url())
        .expect(200);
    let sent = tenant.only_sent();
    let everything = format!(
        "{} {:?} {:?} {:?}",
        sent.path, sent.query, sent.headers, sent.body
    );
    assert!(!everything.contains(tenant.key()), "the gateway key left");
    assert!(!everything.contains("lgk_"), "a gateway key left");
    assert!(!reply.text().contains(tenant.key()));
    assert!(!format!("{:?}", reply.headers).contains("lgk_"));
}

fn credential_headers(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let body = chat_body("gpt-4o", false);
    for (name, value) in [
        ("authorization", format!("Bearer {}", tenant.key())),
        ("Authorization", format!("bearer {}", tenant.key())),
        ("x-api-key", tenant.key().to_owned()),
        ("api-key", tenant.key().to_owned()),
        ("x-goog-api-key", tenant.key().to_owned()),
    ] {
        let reply = Call::post("/v1/chat/completions")
            .header(name, &value)
            .json(&body)
            .run(tenant.gateway.url());
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let sent = tenant.sent().pop().unwrap();
        assert_eq!(
            sent.secret.as_deref(),
            Some(tenant.secret.as_str()),
            "{name}"
        );
        assert!(!format!("{:?}", sent.headers).contains("lgk_"), "{name}");
    }
    assert_eq!(tenant.sent().len(), 5);
}

fn answer_body_bytes(env: &Env) {
    const ANSWER: &str =
        "\n{ \"id\":\"x\",\"usage\":{\"n\":1.0,\"m\":1e2}, \"é\":\"\\u00e9\",\"id\":2 }\r\n ";
    let script = Script::start(|_, line| line.answer("200 OK", "", ANSWER));
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let reply = tenant.chat("gpt-4o").expect(200);
    assert_eq!(reply.text(), ANSWER);
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

fn answer_headers(env: &Env) {
    let script = Script::start(|_, line| {
        line.answer(
            "200 OK",
            "set-cookie: a=1; Path=/\r\nset-cookie: b=2\r\nserver: provider/9\r\nconnection: close, x-hop\r\nx-hop: 1\r\n\
             keep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\nx-ratelimit-remaining-requests: 7\r\n\
             x-ratelimit-reset-tokens: 6m0s\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\nx-request-id: abc\r\n\
             cache-control: no-store\r\nlockgate-provider: forged\r\n",
            "{}",
        )
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let reply = tenant.chat("gpt-4o").expect(200);
    for (name, value) in [
        ("x-ratelimit-remaining-requests", "7"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("openai-processing-ms", "12"),
        ("openai-version", "2020-10-01"),
        ("x-request-id", "abc"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(
            reply.header(name),
            Some(value),
            "`{name}`: {:?}",
            reply.headers
        );
    }
    for name in ["set-cookie", "proxy-authenticate", "upgrade"] {
        assert_eq!(reply.header(name), None, "`{name}` reached the client");
    }
    // WASI hides `connection` from the gateway, which then cannot know what it names (docs/spin.md).
    let named = (env.engine == Engine::Wasi).then_some("1");
    assert_eq!(reply.header("x-hop"), named, "what `connection` names");
    assert_ne!(reply.header("server"), Some("provider/9"));
    assert_ne!(reply.header("keep-alive"), Some("timeout=5"));
    let providers: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| name == "lockgate-provider")
        .collect();
    assert_eq!(providers.len(), 1, "{providers:?}");
    assert_eq!(providers[0].1, "openai");
}

fn lockgate_headers(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for reply in [
        tenant.chat("openai/gpt-4o"),
        tenant.stream("gpt-4o").collect().unwrap(),
    ] {
        let reply = reply.expect(200);
        let id = reply.header("lockgate-request-id").unwrap();
        assert!(id.starts_with("req_") && id.len() > 12, "{id}");
        for (name, value) in [
            ("lockgate-provider", "openai"),
            ("lockgate-model", "gpt-4o"),
            ("lockgate-credential", "byok"),
            ("lockgate-key", "main"),
            ("lockgate-attempts", "1"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{:?}", reply.headers);
        }
    }
}

fn request_id(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let given = |id: &str| {
        let reply = tenant
            .chat_call("gpt-4o")
            .header("lockgate-request-id", id)
            .run(tenant.gateway.url())
            .expect(200);
        reply.header("lockgate-request-id").unwrap().to_owned()
    };
    assert_eq!(given("my-request.42_A"), "my-request.42_A");
    // What could not be a header or would fill the log is replaced, not refused.
    let long = "a".repeat(5000);
    for bad in [long.as_str(), "with space", "semi;colon\"quote"] {
        let id = given(bad);
        assert!(id.starts_with("req_"), "{bad:?} became {id:?}");
    }
    let first = tenant.chat("gpt-4o");
    let second = tenant.chat("gpt-4o");
    assert_ne!(
        first.header("lockgate-request-id"),
        second.header("lockgate-request-id")
    );
}

fn redirect_not_followed(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat("mock-redirect");
    assert!(
        reply.status == 502 || (300..400).contains(&reply.status),
        "{}: {}",
        reply.status,
        reply.text()
    );
    std::thread::sleep(std::time::Duration::from_millis(200));
    tenant.only_sent();
    tenant.next_is_fine();
}

fn cookies_and_server(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat("mock-cookies").expect(200);
    assert_eq!(reply.header("set-cookie"), None);
    tenant.only_sent();
}

fn query_string(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    tenant
        .send(
            "/v1/chat/completions?api-version=2026-01-01&x=%2Fa%20b",
            &chat_body("gpt-4o", false).to_string(),
        )
        .run(tenant.gateway.url())
        .expect(200);
    let sent = tenant.only_sent();
    assert_eq!(sent.path, "/v1/chat/completions");
    let query = sent.query;
    assert!(!query.contains("lgk_"));
}

fn large_answer(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat("mock-bytes-5000000").expect(200);
    assert!(reply.body.len() >= 5_000_000, "{} bytes", reply.body.len());
    tenant.only_sent();
}

fn large_request(env: &Env) {
    // Below the default limit of 32 MiB.
    let script = Script::start(|_, line| line.answer("200 OK", "", "{}"));
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let body =
        json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x".repeat(20 << 20)}]})
            .to_string();
    tenant
        .send("/v1/chat/completions", &body)
        .run(tenant.gateway.url())
        .expect(200);
    assert!(
        script.received()[0].body == body.as_bytes(),
        "20 MiB differ"
    );
}

fn chunked_request(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let body =
        json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "é".repeat(50_000)}]})
            .to_string();
    tenant
        .send("/v1/chat/completions", &body)
        .chunked(999)
        .run(tenant.gateway.url())
        .expect(200);
    assert!(
        tenant.only_sent().body == body.as_bytes(),
        "the body differs"
    );
}

/// The ids that `GET /v1/models` lists.
fn model_ids(tenant: &Tenant<'_>) -> Vec<String> {
    let list = Call::get("/v1/models")
        .bearer(tenant.key())
        .run(tenant.gateway.url())
        .expect(200)
        .json();
    assert_eq!(list["object"], "list");
    list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| {
            assert_eq!(model["object"], "model", "{model}");
            assert!(model["owned_by"].is_string(), "{model}");
            assert!(model["created"].is_number(), "{model}");
            model["id"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn models(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let ids = model_ids(&tenant);
    assert!(
        ids.iter()
            .any(|id| id.trim_start_matches("openai/") == "gpt-4o"),
        "{ids:?}"
    );
    assert!(
        ids.iter().all(|id| !id.contains("mistral")),
        "no Mistral key: {ids:?}"
    );
}

fn models_hidden(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let mistral = tenant.gateway.create(
        &tenant.workspace,
        "provider-keys",
        &json!({"provider": "mistral", "name": "m", "secret": "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6", "force": true}),
    );
    assert!(model_ids(&tenant).iter().any(|id| id.contains("mistral")));
    let id = mistral["id"].as_str().unwrap();
    tenant
        .api(
            Call::new("PATCH", &format!("/api/provider-keys/{id}"))
                .json(&json!({"enabled": false})),
        )
        .expect(200);
    let ids = model_ids(&tenant);
    assert!(
        ids.iter().all(|id| !id.contains("mistral")),
        "hidden provider: {ids:?}"
    );
    tenant.api(Call::new(
        "DELETE",
        &format!("/api/provider-keys/{}", tenant.provider_key_id()),
    ));
    assert_eq!(model_ids(&tenant), Vec::<String>::new());
}

fn unknown_model_single_provider(env: &Env) {
    // New models appear daily: with one place to go, an unknown name goes there as it is.
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.chat("a-model-of-tomorrow").expect(200);
    assert_eq!(reply.header("lockgate-provider"), Some("openai"));
    let sent: serde_json::Value = serde_json::from_slice(&tenant.only_sent().body).unwrap();
    assert_eq!(sent["model"], "a-model-of-tomorrow");
}

fn provider_without_secret(env: &Env) {
    // Ollama needs an entry, but no secret; nothing of the client's takes its place.
    let tenant = Tenant::new(env.gateway());
    tenant.gateway.create(
        &tenant.workspace,
        "provider-keys",
        &json!({"provider": "ollama", "name": "local", "base_url": crate::tenant::base_url(&tenant.mock)}),
    );
    let reply = tenant.chat("ollama/llama3").expect(200);
    assert_eq!(reply.header("lockgate-provider"), Some("ollama"));
    let sent = eventually("a request at the provider", || tenant.sent().pop());
    assert!(
        !sent
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization")),
        "{:?}",
        sent.headers
    );
}
