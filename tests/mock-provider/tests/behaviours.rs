//! Each behaviour that a model's name can ask for, seen from the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use mock_provider::{MockProvider, Outcome};
use serde_json::Value;
use support::{SOON, ask, chat, request};

fn outcome(provider: &MockProvider) -> Option<Outcome> {
    provider.wait_for_ended(1, SOON).expect("an end")[0].outcome
}

#[test]
fn statuses() {
    let provider = MockProvider::start(0);
    for status in [400, 401, 403, 404, 408, 413, 422, 429, 500, 503, 529] {
        for stream in [false, true] {
            let answer = chat(&provider, &format!("mock-status-{status}"), stream);
            assert_eq!(answer.status, status);
            let error = &answer.json()["error"];
            assert!(error["message"].is_string() && error["type"].is_string());
            let retry = (status == 429).then_some("7");
            assert_eq!(answer.header("retry-after"), retry);
        }
    }
    let quota = chat(&provider, "mock-quota", false);
    assert_eq!(quota.status, 429);
    assert_eq!(quota.json()["error"]["code"], "insufficient_quota");
    assert_eq!(quota.header("retry-after"), None);
}

#[test]
fn embeddings_and_prefixed_names_misbehave_too() {
    let provider = MockProvider::start(0);
    let answer = request(
        &provider,
        "POST",
        "/v1/embeddings",
        "",
        r#"{"model":"openai/mock-status-503"}"#,
    );
    assert_eq!(answer.status, 503);
}

#[test]
fn unknown_behaviours_are_named() {
    let provider = MockProvider::start(0);
    let answer = chat(&provider, "mock-evnts-3-4", false);
    assert_eq!(answer.status, 404);
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("mock-evnts-3-4"), "{message}");
}

#[test]
fn slow_head() {
    let provider = MockProvider::start(0);
    for stream in [false, true] {
        let start = Instant::now();
        let answer = chat(&provider, "mock-slow-head-150", stream);
        assert!(start.elapsed() >= Duration::from_millis(150));
        assert_eq!(answer.status, 200);
    }
    let recorded = &provider.requests()[0];
    let waited = recorded.head_at.unwrap() - recorded.started_at;
    assert!(waited >= Duration::from_millis(150), "{waited:?}");
}

#[test]
fn silent() {
    let provider = MockProvider::start(0);
    let mut client = ask(&provider, "mock-silent", true);
    assert!(client.silent_for(Duration::from_millis(200)));
    let recorded = &provider.wait_for(1, SOON).unwrap()[0];
    assert_eq!((recorded.head_at, recorded.outcome), (None, None));
    drop(client);
    assert_eq!(outcome(&provider), Some(Outcome::ClientLeft));
}

#[test]
fn events_with_a_gap() {
    let provider = MockProvider::start(0);
    let asked = Instant::now();
    let answer = chat(&provider, "mock-events-5-150", true);
    assert_eq!(answer.content(), "0 1 2 3 4 ");
    // The events, then what closes the stream.
    assert_eq!(answer.chunks.len(), 5 + 2);
    // Each at its time: not before it, and not with the next (a busy machine may delay one).
    let arrived = |chunk: usize| answer.chunks[chunk].1 - asked;
    for event in 0..5 {
        let due = Duration::from_millis(150) * event;
        let arrived = arrived(event as usize);
        assert!(
            arrived >= due && arrived < due + Duration::from_millis(140),
            "event {event}: {arrived:?}"
        );
    }
    assert!(arrived(6) - arrived(4) < Duration::from_millis(140));
    assert_eq!(outcome(&provider), Some(Outcome::Completed));
}

#[test]
fn many_events_are_all_there_in_order() {
    let provider = MockProvider::start(0);
    let expected: String = (0..2000).map(|number| format!("{number} ")).collect();
    for model in ["mock-events-2000-0", "mock-burst-2000"] {
        let answer = chat(&provider, model, true);
        assert_eq!(answer.content(), expected);
        assert_eq!(answer.chunks.len(), 2002);
    }
}

#[test]
fn breaks_in_the_middle_of_a_chunk() {
    let provider = MockProvider::start(0);
    for events in [0, 3, 500] {
        provider.clear();
        let mut client = ask(&provider, &format!("mock-break-{events}"), true);
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.chunks.len(), events);
        assert!(!answer.whole);
        // Part of an event, and nothing that is not one.
        assert!(answer.rest.starts_with(b"data: {"));
        assert!(!answer.rest.contains(&0));
        assert!(client.closed());
        assert_eq!(outcome(&provider), Some(Outcome::Broken));
    }
    let answer = chat(&provider, "mock-break-3", false);
    assert!(!answer.whole && answer.chunks.is_empty());
    assert!(answer.rest.starts_with(b"{\"id\""));
}

#[test]
fn cuts_cleanly_without_done() {
    let provider = MockProvider::start(0);
    let mut client = ask(&provider, "mock-cut-3", true);
    let answer = client.answer();
    assert!(answer.whole);
    assert_eq!(answer.content(), "0 1 2 ");
    assert!(!answer.text().contains("[DONE]") && !answer.text().contains("\"stop\""));
    assert_eq!(outcome(&provider), Some(Outcome::Completed));
    let answer = chat(&provider, "mock-cut-3", false);
    assert!(answer.whole);
    assert!(serde_json::from_slice::<Value>(&answer.body()).is_err());
}

#[test]
fn stalls() {
    let provider = MockProvider::start(0);
    for stream in [true, false] {
        provider.clear();
        let mut client = ask(&provider, "mock-stall-2", stream);
        assert_eq!(client.head().unwrap().status, 200);
        for _ in 0..if stream { 2 } else { 1 } {
            assert!(!client.chunk().unwrap().is_empty());
        }
        assert!(client.silent_for(Duration::from_millis(150)));
        drop(client);
        assert_eq!(outcome(&provider), Some(Outcome::ClientLeft));
    }
}

#[test]
fn bytes() {
    let provider = MockProvider::start(0);
    for bytes in [0, 1024, 3_000_000] {
        let answer = chat(&provider, &format!("mock-bytes-{bytes}"), false).json();
        let content = &answer["choices"][0]["message"]["content"];
        assert_eq!(content.as_str().unwrap().len(), bytes);
    }
}

/// Reads SSE as the specification says (html.spec.whatwg.org, 9.2.6).
fn sse_data(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut data) = (Vec::new(), Vec::new());
    for line in text.split('\n') {
        if line.is_empty() {
            if !data.is_empty() {
                events.push(data.join("\n"));
                data.clear();
            }
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
        }
    }
    events
}

#[test]
fn split_at_awkward_places() {
    let provider = MockProvider::start(0);
    for (model, ids) in [("mock-split", false), ("mock-split-ids", true)] {
        let answer = chat(&provider, model, true);
        assert!(answer.whole);
        let events = sse_data(&answer.text());
        let (done, events) = events.split_last().unwrap();
        assert_eq!(done, "[DONE]");
        let contents = events.iter().filter_map(|event| {
            let event: Value = serde_json::from_str(event).unwrap();
            Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
        });
        assert_eq!(
            contents.collect::<String>(),
            "Grüße aus 東京 🌍🚀 — naïve ✓"
        );
        let broken = |(chunk, _): &&(Vec<u8>, Instant)| std::str::from_utf8(chunk).is_err();
        assert!(answer.chunks.iter().filter(broken).count() >= 10);
        let text = answer.text();
        for oddity in [": keep-alive", "\r\n\r\n", "\ndata:{", "\n:\n", "\n\n\n"] {
            assert!(text.contains(oddity), "{oddity:?}");
        }
        for field in ["id: 1\n", "retry: 3000\n"] {
            assert_eq!(text.contains(field), ids, "{field:?}");
        }
    }
}

#[test]
fn html_error() {
    let provider = MockProvider::start(0);
    let answer = chat(&provider, "mock-html-502", true);
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert!(answer.text().contains("<title>502 Bad Gateway</title>"));
}

#[test]
fn truncated_json() {
    let provider = MockProvider::start(0);
    let mut client = ask(&provider, "mock-truncated-json", false);
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(!answer.whole);
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    let body = answer.text();
    assert!(body.starts_with("{\"id\"") && body.len() < length && !body.contains('\0'));
    assert!(client.closed());
    assert_eq!(outcome(&provider), Some(Outcome::Broken));
}

#[test]
fn reset() {
    let provider = MockProvider::start(0);
    let mut client = ask(&provider, "mock-reset", false);
    assert!(client.reset());
    assert_eq!(outcome(&provider), Some(Outcome::Broken));
}

#[test]
fn limits() {
    let provider = MockProvider::start(0);
    for (model, retry) in [("mock-limited", None), ("mock-limited-1", Some("1"))] {
        let answer = chat(&provider, model, false);
        assert_eq!(answer.status, 429, "{model}");
        assert_eq!(answer.header("retry-after"), retry, "{model}");
    }
}

#[test]
fn redirect() {
    let provider = MockProvider::start(0);
    let answer = chat(&provider, "mock-redirect", false);
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("/redirected"));
}

#[test]
fn headers_of_all_kinds() {
    let provider = MockProvider::start(0);
    let answer = chat(&provider, "mock-cookies", false);
    assert_eq!(answer.status, 200);
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    assert_eq!(cookies.count(), 2);
    for (name, value) in [
        ("server", "mock"),
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("x-provider-header", "1"),
        ("x-ratelimit-remaining-requests", "99"),
        ("x-request-id", "mock-1"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let big = |model: &str| {
        let answer = chat(&provider, model, false);
        let headers = answer.headers.into_iter();
        headers
            .filter_map(|(name, value)| name.starts_with("x-big-").then_some(value.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(big("mock-big-headers"), vec![1000; 64]);
    assert_eq!(big("mock-big-headers-3-50000"), vec![50_000; 3]);
}

#[test]
fn invalid_json() {
    let provider = MockProvider::start(0);
    let answer = chat(&provider, "mock-invalid-json", false);
    assert_eq!(answer.status, 200);
    assert!(answer.whole);
    assert!(serde_json::from_slice::<Value>(&answer.body()).is_err());
    let events = chat(&provider, "mock-invalid-json", true).events();
    let invalid = |event: &&String| serde_json::from_str::<Value>(event).is_err();
    assert_eq!(events.iter().filter(invalid).count(), 2);
    assert_eq!(events.last().unwrap(), "[DONE]");
}
