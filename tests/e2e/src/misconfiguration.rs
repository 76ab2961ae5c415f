//! Settings and stores that are wrong: natively a start that is refused, elsewhere a 503 that names the setting.

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::{Engine, KEK, OTHER_KEK, Plan, Started};
use crate::stores::{databases, files};
use crate::tenant::{Tenant, chat_body};

pub(crate) fn cases() -> Vec<Case> {
    cases!["misconfiguration":
        kek_too_short [process],
        kek_too_long [process],
        kek_in_no_encoding [process],
        kek_in_each_encoding [process],
        kek_of_another_store [process],
        admin_token_short [process],
        numbers_that_are_none [process],
        unknown_vault [process],
        stream_check_neither [process],
        empty_is_unset [process],
        corrupt_database [process],
        corrupt_key_value_store [process],
        http_hosts [process],
    ]
}

/// The start is refused, or every answer is a 503 that says the same.
pub(crate) fn refused(plan: Plan, setting: &str, secret_part: &str) -> String {
    match plan.attempt() {
        Started::Refused { status, printed } => {
            assert!(!status.success(), "{status}");
            assert!(printed.contains(setting), "names {setting}: {printed}");
            assert!(!printed.contains("panicked"), "{printed}");
            assert!(
                secret_part.is_empty() || !printed.contains(secret_part),
                "repeats the value: {printed}"
            );
            printed
        }
        Started::Listening(gateway) => {
            assert_ne!(gateway.engine, Engine::Native, "it started");
            let mut said = String::new();
            for call in [
                Call::get("/v1/models").bearer("x"),
                Call::post("/v1/chat/completions")
                    .bearer("x")
                    .json(&chat_body("gpt-4o", false)),
                Call::get("/api/workspaces").bearer(crate::gateway::ADMIN_TOKEN),
                Call::post("/api/agents")
                    .bearer(crate::gateway::ADMIN_TOKEN)
                    .json(&serde_json::json!({"name": "a"})),
            ] {
                let reply = call.run(gateway.url());
                let error = reply.refusal(503, "misconfigured");
                let message = error["message"].as_str().unwrap().to_owned();
                assert!(message.contains(setting), "names {setting}: {message}");
                assert!(
                    secret_part.is_empty() || !reply.text().contains(secret_part),
                    "repeats the value: {message}"
                );
                said = message;
            }
            // It is still alive, and says the same again.
            Call::get("/v1/models")
                .bearer("x")
                .run(gateway.url())
                .refusal(503, "misconfigured");
            gateway.stop();
            said
        }
    }
}

fn kek_too_short(env: &Env) {
    let said = refused(
        env.plan().set("LOCKGATE_KEK", "c2l4dGVlbiBieXRlcyEhIQ=="),
        "LOCKGATE_KEK",
        "c2l4dGVl",
    );
    assert!(said.contains("32"), "says what is wanted: {said}");
    assert!(said.contains("16"), "says what was found: {said}");
}

fn kek_too_long(env: &Env) {
    let long = data_encoding::BASE64.encode(&[7; 48]);
    let said = refused(env.plan().set("LOCKGATE_KEK", &long), "LOCKGATE_KEK", &long);
    assert!(said.contains("48"), "says what was found: {said}");
}

fn kek_in_no_encoding(env: &Env) {
    refused(
        env.plan()
            .set("LOCKGATE_KEK", "this is not an encoding of anything!!"),
        "LOCKGATE_KEK",
        "not an encoding of",
    );
}

fn kek_in_each_encoding(env: &Env) {
    // One KEK written four ways opens one store.
    let bytes = data_encoding::BASE64.decode(KEK.as_bytes()).unwrap();
    let gateway = env.plan().start();
    let tenant = Tenant::new(&gateway);
    let (key, mock) = (tenant.key().to_owned(), tenant.mock);
    let mut data = gateway.stop();
    for kek in [
        data_encoding::BASE64_NOPAD.encode(&bytes),
        data_encoding::BASE64URL.encode(&bytes),
        data_encoding::HEXLOWER.encode(&bytes),
        data_encoding::HEXUPPER.encode(&bytes),
    ] {
        let gateway = env.plan().set("LOCKGATE_KEK", &kek).data(&data).start();
        Call::post("/v1/chat/completions")
            .bearer(&key)
            .json(&chat_body("gpt-4o", false))
            .run(gateway.url())
            .expect(200);
        data = gateway.stop();
    }
    assert_eq!(mock.requests().len(), 4);
}

fn kek_of_another_store(env: &Env) {
    let gateway = env.plan().start();
    let tenant = Tenant::new(&gateway);
    tenant.chat("gpt-4o").expect(200);
    let (key, mock, workspace) = (
        tenant.key().to_owned(),
        tenant.mock,
        tenant.workspace.clone(),
    );
    let data = gateway.stop();
    let wrong = || env.plan().set("LOCKGATE_KEK", OTHER_KEK).data(&data);
    match wrong().attempt() {
        Started::Refused { status, printed } => {
            assert!(!status.success());
            assert!(printed.contains("LOCKGATE_KEK"), "{printed}");
        }
        Started::Listening(gateway) => {
            assert_ne!(gateway.engine, Engine::Native, "it started");
            let reply = gateway.api(&workspace, Call::get("/api/provider-keys"));
            let error = reply.refusal(503, "misconfigured");
            assert!(
                error["message"].as_str().unwrap().contains("LOCKGATE_KEK"),
                "{error}"
            );
            gateway
                .api(
                    &workspace,
                    Call::post("/api/agents").json(&serde_json::json!({"name": "written"})),
                )
                .refusal(503, "misconfigured");
            let reply = Call::get("/v1/models").bearer(&key).run(gateway.url());
            // The tag in the key is made with the KEK, so the key may be found foreign before any store is asked.
            assert!(
                reply.status == 503 || reply.status == 401,
                "{}",
                reply.text()
            );
            gateway.stop();
        }
    }
    // Nothing was harmed.
    let gateway = env.plan().data(&data).start();
    Call::post("/v1/chat/completions")
        .bearer(&key)
        .json(&chat_body("gpt-4o", false))
        .run(gateway.url())
        .expect(200);
    assert_eq!(mock.requests().len(), 2);
    let agents = gateway.api(&workspace, Call::get("/api/agents")).json();
    assert_eq!(
        agents["items"].as_array().map(Vec::len),
        Some(1),
        "{agents}"
    );
    gateway.stop();
}

fn admin_token_short(env: &Env) {
    let short = "only-thirty-one-characters-long";
    assert_eq!(short.len(), 31);
    let said = refused(
        env.plan().set("LOCKGATE_ADMIN_TOKEN", short),
        "LOCKGATE_ADMIN_TOKEN",
        short,
    );
    assert!(said.contains("32"), "{said}");
    let gateway = env
        .plan()
        .set("LOCKGATE_ADMIN_TOKEN", "only-thirty-two-characters-long-")
        .start();
    gateway
        .api("default", Call::get("/api/workspaces"))
        .expect(200);
    gateway.stop();
}

fn numbers_that_are_none(env: &Env) {
    for setting in [
        "LOCKGATE_LEASE_MS",
        "LOCKGATE_MAX_BODY_BYTES",
        "LOCKGATE_PROVIDER_TIMEOUT_MS",
    ] {
        refused(env.plan().set(setting, "1s"), setting, "");
    }
    refused(
        env.plan().set("LOCKGATE_LEASE_MS", "-1"),
        "LOCKGATE_LEASE_MS",
        "",
    );
    refused(
        env.plan().set("LOCKGATE_LEASE_MS", "99999999999999999999"),
        "LOCKGATE_LEASE_MS",
        "",
    );
}

fn unknown_vault(env: &Env) {
    refused(
        env.plan().set("LOCKGATE_VAULT", "shoe-box"),
        "LOCKGATE_VAULT",
        "",
    );
}

fn stream_check_neither(env: &Env) {
    refused(
        env.plan().set("LOCKGATE_STREAM_CHECK", "maybe"),
        "LOCKGATE_STREAM_CHECK",
        "",
    );
}

fn empty_is_unset(env: &Env) {
    let mut plan = env.plan();
    for setting in [
        "LOCKGATE_LEASE_MS",
        "LOCKGATE_VAULT",
        "LOCKGATE_STREAM_CHECK",
        "LOCKGATE_MAX_BODY_BYTES",
        "LOCKGATE_HTTP_HOSTS",
    ] {
        plan = plan.set(setting, "");
    }
    let gateway = plan.start();
    let tenant = Tenant::new(&gateway);
    tenant.next_is_fine();
    drop(tenant);
    gateway.stop();
}

/// Overwrites the files that hold what `which` picks, then starts: a clear refusal, or 5xx answers, and no panic.
fn corrupted(env: &Env, which: impl Fn(&str) -> bool) {
    let gateway = env.plan().start();
    let tenant = Tenant::new(&gateway);
    tenant.chat("gpt-4o").expect(200);
    let (key, workspace) = (tenant.key().to_owned(), tenant.workspace.clone());
    let sent = tenant.mock;
    let data = gateway.stop();
    let hit: Vec<_> = databases(&data.path())
        .into_iter()
        .filter(|file| {
            let name = file.strip_prefix(data.path()).unwrap_or(file);
            which(&name.to_string_lossy())
        })
        .collect();
    assert!(
        !hit.is_empty(),
        "no such database among {:?}",
        files(&data.path())
    );
    for file in &hit {
        // No log that could repair it either.
        for suffix in ["-wal", "-shm", "-journal"] {
            let mut beside = file.clone().into_os_string();
            beside.push(suffix);
            std::fs::remove_file(beside).ok();
        }
        let mut bytes = std::fs::read(file).unwrap();
        let from = 100.min(bytes.len());
        for byte in &mut bytes[from..] {
            *byte = 0x5a;
        }
        std::fs::write(file, bytes).unwrap();
    }
    match env.plan().data(&data).attempt() {
        Started::Refused { status, printed } => {
            assert!(!status.success(), "{status}");
            assert!(!printed.trim().is_empty(), "says nothing");
            assert!(!printed.contains("panicked"), "{printed}");
        }
        Started::Listening(gateway) => {
            for reply in [
                gateway.api(&workspace, Call::get("/api/provider-keys")),
                Call::post("/v1/chat/completions")
                    .bearer(&key)
                    .json(&chat_body("gpt-4o", false))
                    .run(gateway.url()),
            ] {
                // Where only the copy of a secret is damaged the request may be served from the other.
                assert!(
                    reply.status == 200 || reply.status >= 500,
                    "{}: {}",
                    reply.status,
                    reply.text()
                );
                if reply.status >= 500 {
                    let code = reply.json()["error"]["code"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned();
                    assert!(!code.is_empty(), "{}", reply.text());
                    reply.refusal(reply.status, &code);
                }
            }
            // Still alive.
            Call::get("/api/healthz").run(gateway.url());
            gateway.stop();
        }
    }
    assert!(sent.requests().len() <= 2);
}

fn corrupt_database(env: &Env) {
    corrupted(env, |file| !file.contains("kv"));
}

fn corrupt_key_value_store(env: &Env) {
    corrupted(env, |file| file.contains("kv"));
}

fn http_hosts(env: &Env) {
    // A host beside loopback may be reached over plain http only where the setting names it.
    let body = |url: &str| serde_json::json!({"provider": "openai", "name": crate::gateway::unique("h"), "secret": crate::tenant::secret("host"), "base_url": url});
    let gateway = env
        .plan()
        .set("LOCKGATE_HTTP_HOSTS", "ollama:11434, plain.example")
        .start();
    let post =
        |url: &str| gateway.api("default", Call::post("/api/provider-keys").json(&body(url)));
    post("http://ollama:11434/v1").expect(201);
    post("http://plain.example/v1").expect(201);
    post("http://ollama:11435/v1").refusal(400, "invalid_request");
    post("http://other.example/v1").refusal(400, "invalid_request");
    post("http://plain.example.evil.example/v1").refusal(400, "invalid_request");
    gateway.stop();
}
