//! Spans reach a collector and say what happened; a collector that is away touches no traffic (FEATURES F6).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::free_port;
use crate::scene::Scene;
use crate::tenant::{allow, chat_body, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["telemetry":
        spans_say_what_happened [process],
        a_collector_that_is_away_is_not_missed [process],
    ]
}

/// What a collector was sent.
struct Export {
    path: String,
    key: String,
    body: Value,
}

/// A collector that takes everything, and its address.
fn collector() -> (String, Receiver<Export>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (to, exports) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            let header = |name: &str| {
                let mut lines = head.iter().filter_map(|line| line.split_once(':'));
                let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
                found.map_or(String::new(), |(_, value)| value.trim().to_owned())
            };
            let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
            if reader.read_exact(&mut body).is_err() {
                continue;
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}";
            let _ = reader.get_mut().write_all(answer.as_bytes());
            let path = head.first().and_then(|line| line.split(' ').nth(1));
            let export = Export {
                path: path.unwrap_or_default().to_owned(),
                key: header("x-key"),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            if to.send(export).is_err() {
                return;
            }
        }
    });
    (address, exports)
}

fn furnish(scene: &Scene<'_>) {
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("anything", &[allow(&["*"])]),
    ]);
    scene.make(&[("agents", agent("one", &["anything"]))]);
}

/// A span's attribute, whatever its type.
fn attribute(span: &Value, name: &str) -> Option<String> {
    let mut all = span["attributes"].as_array()?.iter();
    let found = &all.find(|attribute| attribute["key"] == name)?["value"];
    let value = found.get("stringValue").or_else(|| found.get("intValue"))?;
    value.as_str().map(str::to_owned)
}

fn spans_say_what_happened(env: &Env) {
    let (address, exports) = collector();
    let gateway = env
        .plan()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &address)
        .set("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20secret")
        .set("OTEL_SERVICE_NAME", "front door")
        .start();
    let scene = Scene::new(&gateway);
    furnish(&scene);
    let key = scene.gateway_key("one", &json!({"team": "blue"}));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ask = |model: &str, flags: &str| {
        Call::post("/v1/chat/completions")
            .bearer(&key)
            .header(
                "traceparent",
                &format!("00-{trace}-00f067aa0ba902b7-{flags}"),
            )
            .json(&chat_body(model, false))
            .run(gateway.url())
    };
    ask("openai/mock-model", "01").expect(200);
    ask("openai/mock-status-500", "01").expect(502);
    ask("openai/mock-model-unsampled", "00").expect(200);
    let mut spans: Vec<Value> = Vec::new();
    eventually("the spans of two requests", || {
        while let Ok(export) = exports.recv_timeout(Duration::from_millis(50)) {
            assert_eq!((&*export.path, &*export.key), ("/v1/traces", "a secret"));
            let resource = &export.body["resourceSpans"][0];
            assert_eq!(
                attribute(&resource["resource"], "service.name").as_deref(),
                Some("front door")
            );
            spans.extend(
                resource["scopeSpans"][0]["spans"]
                    .as_array()
                    .unwrap()
                    .clone(),
            );
        }
        (spans.len() >= 4).then_some(())
    });
    assert_eq!(
        spans.len(),
        4,
        "a trace that is not sampled is not exported"
    );
    assert!(spans.iter().all(|span| span["traceId"] == trace));
    assert!(!format!("{spans:?}").contains("hello"), "a prompt");
    let named = |name: &str| {
        let found: Vec<&Value> = spans.iter().filter(|span| span["name"] == name).collect();
        assert!(!found.is_empty(), "{name} in {spans:?}");
        found
    };
    let servers = named("/v1/chat/completions");
    assert_eq!(servers.len(), 2);
    for server in &servers {
        assert_eq!(server["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!(attribute(server, "lockgate.team").as_deref(), Some("blue"));
    }
    let chat = named("chat mock-model")[0];
    assert!(
        servers
            .iter()
            .any(|server| server["spanId"] == chat["parentSpanId"])
    );
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "mock-model"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "6"),
        ("http.response.status_code", "200"),
        ("lockgate.credential", "byok"),
    ] {
        assert_eq!(attribute(chat, name).as_deref(), Some(value), "{name}");
    }
    let failed = named("chat mock-status-500")[0];
    assert_eq!(failed["status"]["code"], 2);
    assert_eq!(
        attribute(failed, "error.type").as_deref(),
        Some("provider_error")
    );
}

fn a_collector_that_is_away_is_not_missed(env: &Env) {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let gateway = env
        .plan()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody)
        .start();
    let scene = Scene::new(&gateway);
    furnish(&scene);
    let key = scene.gateway_key("one", &json!({}));
    for _ in 0..3 {
        scene.chat(&key, "openai/mock-model").expect(200);
    }
    // The log goes its way beside it.
    eventually("the log", || {
        let items = scene.get("requests")["items"].as_array()?.len();
        (items == 3).then_some(())
    });
    scene.chat(&key, "openai/mock-model").expect(200);
}
