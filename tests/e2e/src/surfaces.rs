//! The surfaces beside chats: counting, embeddings, Azure's paths, and what passes on to providers that speak OpenAI
//! (FEATURES E1, E2, E3, E8).

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::dialects::{HELLO, Surface, World};

pub(crate) fn cases() -> Vec<Case> {
    cases!["surfaces":
        count_tokens,
        embeddings_google,
        embeddings_cohere,
        embeddings_voyage,
        embeddings_like_openais,
        azure_paths_of_clients,
        azure_deployments,
        anthropic_versions,
        messages_errors,
        images,
        audio,
        moderations,
        files,
        batches,
        providers_without_files,
        large_uploads [process],
        models_of_every_dialect,
    ]
}

impl World<'_> {
    fn post(&self, path: &str, body: &Value) -> Reply {
        Call::post(path)
            .bearer(&self.key)
            .json(body)
            .run(self.gateway.url())
    }

    fn get(&self, path: &str) -> Reply {
        Call::get(path).bearer(&self.key).run(self.gateway.url())
    }

    /// A form with a model and a file of these bytes.
    fn form(&self, path: &str, model: &str, file: &[u8]) -> Call {
        let mut body = Vec::new();
        if !model.is_empty() {
            body.extend(
                format!(
                    "--mark\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n"
                )
                .bytes(),
            );
        }
        body.extend(b"--mark\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n");
        body.extend(b"--mark\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\ncontent-type: application/octet-stream\r\n\r\n");
        body.extend(file);
        body.extend(b"\r\n--mark--\r\n");
        Call::post(path)
            .bearer(&self.key)
            .header("content-type", "multipart/form-data; boundary=mark")
            .bytes(body)
    }
}

fn count_tokens(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    let body = json!({"model": "anthropic/mock-model", "system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(
        world
            .post("/v1/messages/count_tokens", &body)
            .expect(200)
            .json(),
        json!({"input_tokens": 14})
    );
    let recorded = world.last();
    assert_eq!(recorded.path, "/v1/messages/count_tokens");
    assert_eq!(recorded.header("anthropic-version"), Some("2023-06-01"));
    // Where the provider cannot count, the gateway does, without a call; more text is more tokens.
    let world = World::new(env.gateway(), "google");
    let count = |text: &str| {
        let body =
            json!({"model": "google/mock-model", "messages": [{"role": "user", "content": text}]});
        world
            .post("/v1/messages/count_tokens", &body)
            .expect(200)
            .json()["input_tokens"]
            .as_u64()
            .expect("a number")
    };
    let (short, long) = (count("hello there"), count(&"hello there ".repeat(100)));
    assert!(short > 0 && long > 20 * short, "{short} {long}");
    assert!(world.mock.requests().is_empty());
}

/// Asserts two vectors of four numbers, as numbers or in base64.
fn vectors(world: &World<'_>, model: &str, more: &Value) {
    let mut body = json!({"model": model, "input": ["first text", "second text"]});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let answer = world.post("/v1/embeddings", &body).expect(200).json();
    assert_eq!(answer["object"], "list", "{answer}");
    assert_eq!(answer["data"].as_array().map(Vec::len), Some(2), "{answer}");
    for (at, one) in answer["data"].as_array().into_iter().flatten().enumerate() {
        assert_eq!(
            (&one["object"], &one["index"]),
            (&json!("embedding"), &json!(at))
        );
        assert!(
            one["embedding"]
                .as_array()
                .is_some_and(|vector| vector.len() >= 4),
            "{one}"
        );
    }
    let floats = answer["data"][1]["embedding"].clone();
    body["encoding_format"] = json!("base64");
    let packed = world.post("/v1/embeddings", &body).expect(200).json();
    let bytes = data_encoding::BASE64
        .decode(
            packed["data"][1]["embedding"]
                .as_str()
                .expect("base64")
                .as_bytes(),
        )
        .unwrap();
    let unpacked: Vec<f64> = bytes
        .chunks(4)
        .map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap())))
        .collect();
    let floats: Vec<f64> = floats
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect();
    assert_eq!(floats, unpacked);
    // A single text is one vector.
    body["input"] = json!("only text");
    let one = world.post("/v1/embeddings", &body).expect(200).json();
    assert_eq!(one["data"].as_array().map(Vec::len), Some(1), "{one}");
}

fn embeddings_google(env: &Env) {
    let world = World::new(env.gateway(), "google");
    vectors(
        &world,
        "google/gemini-embedding-001",
        &json!({"dimensions": 8}),
    );
    let sent: Vec<String> = world
        .mock
        .requests()
        .into_iter()
        .map(|one| one.path)
        .collect();
    assert!(
        sent[0].ends_with("/models/gemini-embedding-001:batchEmbedContents"),
        "{sent:?}"
    );
    assert!(world.sent().1.contains("only text"));
}

fn embeddings_cohere(env: &Env) {
    let world = World::new(env.gateway(), "cohere");
    vectors(&world, "cohere/embed-v4.0", &json!({"dimensions": 256}));
    assert_eq!(world.last().path, "/v2/embed");
}

fn embeddings_voyage(env: &Env) {
    let world = World::new(env.gateway(), "voyage");
    vectors(&world, "voyage/voyage-4", &json!({"dimensions": 256}));
    let (sent, _) = world.sent();
    assert_eq!(sent["output_dimension"], 256, "{sent}");
}

fn embeddings_like_openais(env: &Env) {
    for (provider, model) in [
        ("openai", "text-embedding-3-small"),
        ("mistral", "mistral-embed"),
    ] {
        let world = World::new(env.gateway(), provider);
        vectors(&world, &format!("{provider}/{model}"), &json!({}));
        assert_eq!(world.sent().0["model"], model);
    }
}

/// A client of Azure calls the gateway as it calls Azure.
fn azure_paths_of_clients(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    world.also("openai");
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for (deployment, path) in [
        ("gpt-4o", "/strict/v1/chat/completions"),
        ("anthropic/mock-model", "/v1/messages"),
    ] {
        let target =
            format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21");
        let reply = Call::post(&target)
            .header("api-key", &world.key)
            .json(&body)
            .run(world.gateway.url())
            .expect(200);
        assert_eq!(Surface::Chat.text(&reply.json()), HELLO);
        let recorded = world.last();
        assert_eq!(recorded.path, path);
        assert!(
            !recorded.query.contains("api-version"),
            "{}",
            recorded.query
        );
        assert_eq!(recorded.header("api-key"), None);
    }
    let reply = Call::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .json(&body)
        .run(world.gateway.url());
    reply.refusal(401, "gateway_key_missing");
}

/// A key of Azure: the deployment in the path, the version in the query, the key in `api-key`.
fn azure_deployments(env: &Env) {
    let world = World::new(env.gateway(), "azure-openai");
    let reply = world
        .ask(Surface::Chat, "mock-model", &Surface::Chat.question())
        .expect(200);
    assert_eq!(reply.header("lockgate-provider"), Some("azure-openai"));
    let recorded = world.last();
    assert_eq!(
        recorded.path,
        "/openai/deployments/mock-model/chat/completions"
    );
    assert_eq!(recorded.query, "api-version=2024-10-21");
    assert!(recorded.header("api-key").is_some() && recorded.header("authorization").is_none());
    // A version that the client names is for this gateway's paths, and where it differs Azure gets the client's or the
    // key's, never both.
    let target = "/openai/deployments/azure-openai/mock-model/chat/completions?api-version=2025-01-01-preview";
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    Call::post(target)
        .header("api-key", &world.key)
        .json(&body)
        .run(world.gateway.url())
        .expect(200);
    assert_eq!(world.last().query.matches("api-version").count(), 1);
}

/// Clients of either version of Anthropic's API: the version passes to Anthropic, and a translated request has none.
fn anthropic_versions(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    let body = json!({"model": "anthropic/mock-model", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let send = |version: &str, body: &Value| {
        Call::post("/v1/messages")
            .bearer(&world.key)
            .header("anthropic-version", version)
            .json(body)
            .run(world.gateway.url())
    };
    for version in ["2023-06-01", "2026-10-21"] {
        send(version, &body).expect(200);
        assert_eq!(world.last().header("anthropic-version"), Some(version));
    }
    // What the second version refuses is the client's to know.
    let mut warm = body.clone();
    warm["temperature"] = json!(0.5);
    send("2023-06-01", &warm).expect(200);
    let error = Surface::Messages.refused(&send("2026-10-21", &warm), 400, "invalid_request");
    assert!(
        error["message"].as_str().unwrap().contains("temperature"),
        "{error}"
    );
    // A chat's temperature reaches Anthropic all the same.
    let mut chat = Surface::Chat.question();
    chat["temperature"] = json!(0.5);
    world.answered(Surface::Chat, "mock-model", &chat);
    assert_eq!(world.sent().0["temperature"], 0.5);
    // And the other way, also with a system message between the turns.
    let world = World::new(env.gateway(), "google");
    let body = json!({"model": "google/mock-model", "max_tokens": 50, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."},
        {"role": "system", "content": "Now be long."}, {"role": "user", "content": "More."},
    ]});
    let reply = Call::post("/v1/messages")
        .bearer(&world.key)
        .header("anthropic-version", "2026-10-21")
        .json(&body)
        .run(world.gateway.url());
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(
        world.sent().1.contains("Now be long."),
        "{}",
        world.sent().1
    );
}

/// The gateway's own refusals have the surface's shape.
fn messages_errors(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    let body = json!({"model": "anthropic/mock-model", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let wrong = format!("lgk_{}", "a".repeat(68));
    let reply = Call::post("/v1/messages")
        .header("x-api-key", &wrong)
        .json(&body)
        .run(world.gateway.url());
    let error = Surface::Messages.refused(&reply, 401, "gateway_key_malformed");
    assert_eq!(error["type"], "authentication_error", "{error}");
    let mut unknown = body.clone();
    unknown["model"] = json!("cohere/command-a");
    let reply = Call::post("/v1/messages")
        .header("x-api-key", &world.key)
        .json(&unknown)
        .run(world.gateway.url());
    Surface::Messages.refused(&reply, 424, "provider_not_ready");
}

fn images(env: &Env) {
    let world = World::new(env.gateway(), "openai");
    let body =
        json!({"model": "openai/gpt-image-1", "prompt": "A cat.", "a_field_of_tomorrow": 1e2});
    let answer = world
        .post("/v1/images/generations", &body)
        .expect(200)
        .json();
    assert!(answer["data"][0]["b64_json"].is_string());
    assert_eq!(world.last().path, "/strict/v1/images/generations");
    assert_eq!(world.sent().0["model"], "gpt-image-1");
    world
        .form("/v1/images/edits", "openai/gpt-image-1", b"\x89PNG\r\n")
        .run(world.gateway.url())
        .expect(200);
    let sent = world.last().body;
    assert!(
        sent.windows(15).any(|part| part == b"\r\ngpt-image-1\r\n"),
        "{}",
        String::from_utf8_lossy(&sent)
    );
    assert!(sent.windows(6).any(|part| part == b"\x89PNG\r\n"));
}

fn audio(env: &Env) {
    let world = World::new(env.gateway(), "openai");
    let body = json!({"model": "openai/tts-1", "input": "Hello.", "voice": "alloy"});
    let sound = world.post("/v1/audio/speech", &body).expect(200);
    assert_eq!(sound.header("content-type"), Some("audio/mpeg"));
    assert_eq!(
        sound.body,
        (0..=255_u8).cycle().take(4096).collect::<Vec<u8>>()
    );
    for path in ["/v1/audio/transcriptions", "/v1/audio/translations"] {
        let heard = world
            .form(path, "whisper-1", &[0, 255, 7])
            .run(world.gateway.url())
            .expect(200);
        let length = world.last().body.len();
        assert_eq!(heard.json()["text"], format!("{length} bytes were heard."));
    }
}

fn moderations(env: &Env) {
    let world = World::new(env.gateway(), "openai");
    for body in [
        json!({"model": "openai/omni-moderation-latest", "input": "x"}),
        json!({"input": "x"}),
    ] {
        let answer = world.post("/v1/moderations", &body).expect(200).json();
        assert_eq!(answer["results"][0]["flagged"], false);
    }
}

fn files(env: &Env) {
    let world = World::new(env.gateway(), "openai");
    let call = world.form("/v1/files", "", b"{\"custom_id\":\"1\"}\n");
    let made = call.run(world.gateway.url()).expect(200).json();
    assert_eq!(made["object"], "file");
    let recorded = world.last();
    assert_eq!(
        recorded.header("content-type"),
        Some("multipart/form-data; boundary=mark")
    );
    assert_eq!(made["bytes"].as_u64(), Some(recorded.body.len() as u64));
    assert_eq!(world.get("/v1/files").expect(200).json()["object"], "list");
    assert_eq!(
        world.get("/v1/files/file-mock").expect(200).json()["id"],
        "file-mock"
    );
    let content = world.get("/v1/files/file-mock/content").expect(200);
    assert_eq!(
        content.text(),
        "{\"custom_id\":\"1\"}\n{\"custom_id\":\"2\"}\n"
    );
    let gone = Call::new("DELETE", "/v1/files/file-mock")
        .bearer(&world.key)
        .run(world.gateway.url())
        .expect(200);
    assert_eq!(gone.json()["deleted"], true);
    let recorded = world.last();
    assert_eq!(
        (recorded.method.as_str(), recorded.path.as_str()),
        ("DELETE", "/strict/v1/files/file-mock")
    );
}

fn batches(env: &Env) {
    let world = World::new(env.gateway(), "openai");
    let body = json!({"input_file_id": "file-7", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let made = world.post("/v1/batches", &body).expect(200).json();
    assert_eq!(made["input_file_id"], "file-7");
    assert_eq!(
        world.get("/v1/batches?limit=3").expect(200).json()["object"],
        "list"
    );
    assert_eq!(world.last().query, "limit=3");
    assert_eq!(
        world.get("/v1/batches/batch_7").expect(200).json()["id"],
        "batch_7"
    );
    let cancelled = Call::post("/v1/batches/batch_7/cancel")
        .bearer(&world.key)
        .bytes(Vec::new());
    assert_eq!(
        cancelled.run(world.gateway.url()).expect(200).json()["status"],
        "cancelling"
    );
}

fn providers_without_files(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    let reply = world.get("/v1/files");
    assert_eq!(reply.status, 424, "{}", reply.text());
    let body = json!({"model": "anthropic/mock-model", "prompt": "A cat."});
    let reply = world.post("/v1/images/generations", &body);
    reply.refusal(400, "unsupported_feature");
    // With two that could, the client says which.
    world.also("openai");
    assert_eq!(
        world
            .get("/v1/files")
            .expect(200)
            .header("lockgate-provider"),
        Some("openai")
    );
}

/// An upload larger than a body may be passes as it comes; a body that has to be read does not.
fn large_uploads(env: &Env) {
    const LIMIT: usize = 1 << 20;
    let gateway = env
        .plan()
        .set("LOCKGATE_MAX_BODY_BYTES", &LIMIT.to_string())
        .start();
    let world = World::new(&gateway, "openai");
    let file: Vec<u8> = (0..=250_u8).cycle().take(5 * LIMIT).collect();
    for chunked in [false, true] {
        let call = world.form("/v1/files", "", &file);
        let call = if chunked {
            call.chunked(64 * 1024)
        } else {
            call
        };
        let made = call.run(gateway.url()).expect(200).json();
        let recorded = world.last();
        assert_eq!(made["bytes"].as_u64(), Some(recorded.body.len() as u64));
        assert!(
            recorded
                .body
                .windows(file.len().min(4096))
                .any(|part| part == &file[..4096])
        );
        assert!(recorded.body.len() > file.len());
        assert_eq!(
            recorded.header("content-length").is_some(),
            !chunked,
            "{:?}",
            recorded.headers
        );
    }
    let mut body = Surface::Chat.question();
    body["padding"] = "x".repeat(2 * LIMIT).into();
    let reply = world.ask(Surface::Chat, "mock-model", &body);
    reply.refusal(413, "request_too_large");
}

fn models_of_every_dialect(env: &Env) {
    let world = World::new(env.gateway(), "anthropic");
    let list = world.get("/v1/models").expect(200).json();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert!(ids.iter().any(|id| id.contains("claude-")), "{ids:?}");
    assert!(
        !ids.iter().any(|id| id.contains("gemini-")),
        "a provider without a key is hidden: {ids:?}"
    );
    let list = Call::get("/v1/models")
        .header("x-api-key", &world.key)
        .header("anthropic-version", "2026-10-21")
        .run(world.gateway.url())
        .expect(200)
        .json();
    assert_eq!(
        list["data"][0]["type"], "model",
        "Anthropic's shape: {list}"
    );
}
