//! Requests that are wrong or meant to harm: each gets a clear refusal, and the next request is fine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply, authority};
use crate::tenant::{Tenant, chat_body, more_gateway_key};

pub(crate) fn cases() -> Vec<Case> {
    cases!["hostile":
        truncated_json,
        invalid_utf8,
        not_an_object,
        missing_model,
        model_of_another_type,
        model_too_long,
        deeply_nested,
        empty_body,
        trailing_garbage,
        too_large_by_its_length,
        too_large_without_a_length,
        too_large_at_the_edge [process],
        ten_thousand_headers,
        huge_header,
        broken_request_line,
        abandoned_body,
        management_bodies,
        lying_content_type,
        many_at_once,
    ]
}

fn send(tenant: &Tenant<'_>, body: &[u8]) -> Reply {
    Call::post("/v1/chat/completions")
        .bearer(tenant.key())
        .header("content-type", "application/json")
        .bytes(body.to_vec())
        .run(tenant.gateway.url())
}

/// Each body is refused with this code before anything is sent, and the next request is fine.
fn refused(env: &Env, code: &str, bodies: &[&[u8]]) {
    let tenant = Tenant::new(env.gateway());
    for body in bodies {
        let reply = send(&tenant, body);
        let error = reply.refusal(400, code);
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert!(tenant.sent().is_empty(), "nothing reached the provider");
    tenant.next_is_fine();
}

fn truncated_json(env: &Env) {
    refused(
        env,
        "invalid_json",
        &[
            b"{",
            b"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"us",
            b"{\"model\":\"gpt-4o\"",
            b"{\"model\":\"gpt-4o\",}",
            b"{'model':'gpt-4o'}",
        ],
    );
}

fn invalid_utf8(env: &Env) {
    refused(
        env,
        "invalid_json",
        &[
            b"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}",
            b"{\"model\":\"gpt-\xc3\x28\"}",
            b"\xef\xbb\xbf\xff",
        ],
    );
}

fn not_an_object(env: &Env) {
    refused(
        env,
        "invalid_request",
        &[
            b"[]",
            b"null",
            b"\"gpt-4o\"",
            b"17",
            b"[{\"model\":\"gpt-4o\"}]",
        ],
    );
}

fn missing_model(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for body in [&b"{}"[..], b"{\"messages\":[]}", b"{\"Model\":\"gpt-4o\"}"] {
        let error = send(&tenant, body).refusal(400, "invalid_request");
        assert!(
            error["message"].as_str().unwrap().contains("model"),
            "{error}"
        );
        assert_eq!(error["param"], "model");
    }
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn model_of_another_type(env: &Env) {
    refused(
        env,
        "invalid_request",
        &[
            b"{\"model\":17}",
            b"{\"model\":null}",
            b"{\"model\":[\"gpt-4o\"]}",
            b"{\"model\":{\"id\":\"gpt-4o\"}}",
            b"{\"model\":\"\"}",
        ],
    );
}

fn model_too_long(env: &Env) {
    // A name that no header could carry back is refused or sent on, but never breaks the answer.
    let tenant = Tenant::new(env.gateway());
    for model in [
        "m".repeat(100_000),
        "line\nbreak\r\nx-injected: 1".to_owned(),
        "modèle-😀".to_owned(),
        "\u{0}".to_owned(),
    ] {
        let body = json!({"model": model, "messages": []}).to_string();
        let reply = send(&tenant, body.as_bytes());
        assert!(
            matches!(reply.status, 200 | 400 | 404),
            "{} {}",
            reply.status,
            reply.text()
        );
        assert_eq!(reply.header("x-injected"), None);
    }
    tenant.next_is_fine();
}

fn deeply_nested(env: &Env) {
    const LEVELS: usize = 100_000;
    let tenant = Tenant::new(env.gateway());
    let arrays = format!(
        "{{\"model\":\"gpt-4o\",\"x\":{}{}}}",
        "[".repeat(LEVELS),
        "]".repeat(LEVELS)
    );
    let objects = format!(
        "{{\"x\":{}1{},\"model\":\"gpt-4o\"}}",
        "{\"a\":".repeat(LEVELS),
        "}".repeat(LEVELS)
    );
    let open = "[".repeat(LEVELS);
    for body in [arrays, objects, open] {
        let reply = send(&tenant, body.as_bytes());
        assert_eq!(reply.status, 400, "{}", reply.text());
        let code = reply.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            code == "invalid_json" || code == "invalid_request",
            "{code}"
        );
        reply.refusal(400, &code);
    }
    let reply = tenant.api(Call::post("/api/agents").text(&format!(
        "{{\"name\":{}{}}}",
        "[".repeat(LEVELS),
        "]".repeat(LEVELS)
    )));
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn empty_body(env: &Env) {
    refused(env, "invalid_json", &[b"", b"   "]);
}

fn trailing_garbage(env: &Env) {
    refused(
        env,
        "invalid_json",
        &[
            b"{\"model\":\"gpt-4o\",\"messages\":[]} x",
            b"{\"model\":\"gpt-4o\",\"messages\":[]}{\"model\":\"gpt-4o\"}",
            b"{\"model\":\"gpt-4o\",\"messages\":[]}\0",
        ],
    );
}

fn fifty_megabytes() -> Vec<u8> {
    let mut body =
        b"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"".to_vec();
    body.resize(50 << 20, b'x');
    body.extend_from_slice(b"\"}]}");
    body
}

fn too_large_by_its_length(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let error = send(&tenant, &fifty_megabytes()).refusal(413, "request_too_large");
    assert!(
        error["message"].as_str().unwrap().contains("32"),
        "names the limit: {error}"
    );
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn too_large_without_a_length(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    Call::post("/v1/chat/completions")
        .bearer(tenant.key())
        .header("content-type", "application/json")
        .bytes(fifty_megabytes())
        .chunked(64 * 1024)
        .run(tenant.gateway.url())
        .refusal(413, "request_too_large");
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn too_large_at_the_edge(env: &Env) {
    const LIMIT: usize = 100_000;
    let gateway = env
        .plan()
        .set("LOCKGATE_MAX_BODY_BYTES", &LIMIT.to_string())
        .start();
    let tenant = Tenant::new(&gateway);
    let body = |size: usize| {
        let frame = json!({"model": "gpt-4o", "messages": [], "x": ""})
            .to_string()
            .len();
        json!({"model": "gpt-4o", "messages": [], "x": "y".repeat(size - frame)}).to_string()
    };
    for chunked in [false, true] {
        for (size, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
            let mut call = tenant.send("/v1/chat/completions", &body(size));
            if chunked {
                call = call.chunked(7777);
            }
            let reply = call.run(gateway.url());
            if fits {
                reply.expect(200);
            } else {
                reply.refusal(413, "request_too_large");
            }
        }
    }
    assert_eq!(tenant.sent().len(), 2);
    drop(tenant);
    gateway.stop();
}

fn ten_thousand_headers(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let mut call = tenant.chat_call("gpt-4o");
    for number in 0..10_000 {
        call = call.header(&format!("x-number-{number}"), "v");
    }
    match call.open(tenant.gateway.url()) {
        Ok(stream) => assert!(
            (400..500).contains(&stream.status),
            "answered {}",
            stream.status
        ),
        // A server may also hang up on such a client before it has read it all.
        Err(error) => assert!(
            matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            ),
            "{error}"
        ),
    }
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn huge_header(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for name in [
        "x-huge",
        "authorization",
        "lockgate-request-id",
        "user-agent",
    ] {
        let reply = tenant
            .chat_call("gpt-4o")
            .header(name, &"h".repeat(2 << 20))
            .open(tenant.gateway.url());
        if let Ok(stream) = reply {
            assert!(
                (400..500).contains(&stream.status),
                "{name}: {}",
                stream.status
            );
        }
    }
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn broken_request_line(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for wire in [
        &b"\0\xff\x01\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/9.9\r\nhost: x\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nxx\r\n",
        b"GET /v1/%zz%00 HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(authority(tenant.gateway.url())).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.write_all(wire).unwrap();
        socket.shutdown(std::net::Shutdown::Write).ok();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).ok();
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.0 4") || text.starts_with("HTTP/1.1 505"),
            "{:?}: {text}",
            String::from_utf8_lossy(wire)
        );
    }
    assert!(tenant.sent().is_empty());
    tenant.next_is_fine();
}

fn abandoned_body(env: &Env) {
    // The client promises more than it sends, and leaves.
    let tenant = Tenant::new(env.gateway());
    for _ in 0..5 {
        let mut socket = TcpStream::connect(authority(tenant.gateway.url())).unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{\"model\":",
            tenant.key()
        );
        socket.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        drop(socket);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(tenant.sent().is_empty(), "a half request was sent on");
    tenant.next_is_fine();
}

fn management_bodies(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for body in [
        &b"{"[..],
        b"",
        b"{\"name\":\"\xff\"}",
        b"{\"name\":\"a\"} x",
    ] {
        let reply = tenant.api(
            Call::post("/api/agents")
                .header("content-type", "application/json")
                .bytes(body.to_vec()),
        );
        reply.refusal(400, "invalid_json");
    }
    for body in [
        &b"[]"[..],
        b"null",
        b"{}",
        b"{\"name\":5}",
        b"{\"name\":\"\"}",
    ] {
        let reply = tenant.api(
            Call::post("/api/agents")
                .header("content-type", "application/json")
                .bytes(body.to_vec()),
        );
        reply.refusal(400, "invalid_request");
    }
    let mut large = b"{\"name\":\"".to_vec();
    large.resize(50 << 20, b'x');
    large.extend_from_slice(b"\"}");
    tenant
        .api(
            Call::post("/api/agents")
                .header("content-type", "application/json")
                .bytes(large),
        )
        .refusal(413, "request_too_large");
    tenant.api(Call::get("/api/agents")).expect(200);
}

fn lying_content_type(env: &Env) {
    // JSON is JSON whatever it is called, and an odd type does no harm.
    let tenant = Tenant::new(env.gateway());
    for value in [
        "text/plain",
        "application/json; charset=latin-1",
        ";;;",
        "multipart/form-data",
    ] {
        let reply = Call::post("/v1/chat/completions")
            .bearer(tenant.key())
            .header("content-type", value)
            .bytes(chat_body("gpt-4o", false).to_string().into_bytes())
            .run(tenant.gateway.url());
        assert!(
            matches!(reply.status, 200 | 400 | 415),
            "{value}: {}",
            reply.status
        );
    }
    tenant.next_is_fine();
}

fn many_at_once(env: &Env) {
    // Good and bad requests side by side: none harms another.
    let tenant = Tenant::new(env.gateway());
    let other = more_gateway_key(
        tenant.gateway,
        &tenant.workspace,
        &tenant.agent,
        "other",
        &json!({}),
    );
    let other = other["key"].as_str().unwrap();
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let tenant = &tenant;
            scope.spawn(move || {
                for round in 0..10 {
                    match (worker + round) % 4 {
                        0 => {
                            send(tenant, b"{\"model\":").refusal(400, "invalid_json");
                        }
                        1 => {
                            tenant
                                .chat("mock-status-500")
                                .refusal(502, "provider_error");
                        }
                        2 => {
                            tenant
                                .stream("mock-events-3-5")
                                .collect()
                                .unwrap()
                                .expect(200);
                        }
                        _ => {
                            Call::post("/v1/chat/completions")
                                .bearer(other)
                                .json(&chat_body("gpt-4o", false))
                                .run(tenant.gateway.url())
                                .expect(200);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(tenant.sent().len(), 16 * 10 * 3 / 4);
}
