//! Streams: each event when it comes, byte for byte, and an end that tells the truth (FEATURES E6, D2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mock_provider::Outcome;
use serde_json::Value;

use crate::case::{Case, Env, cases};
use crate::client::Stream;
use crate::gateway::PROVIDER_PATIENCE;
use crate::script::Script;
use crate::tenant::{Tenant, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["streaming":
        events_when_they_come [alone],
        first_event_before_the_second,
        bytes_and_comments,
        split_utf8,
        client_leaves,
        client_leaves_before_the_head,
        provider_breaks,
        provider_breaks_in_an_event,
        provider_cuts,
        provider_stalls [process],
        whole_streams_are_untouched,
        back_pressure [alone],
        many_streams,
        unchecked_streams [process],
    ]
}

/// The data of each event.
fn events(body: &str) -> Vec<String> {
    body.split("\n\n")
        .filter_map(|event| {
            event
                .lines()
                .find_map(|line| line.strip_prefix("data:"))
                .map(|data| data.trim().to_owned())
        })
        .collect()
}

fn events_when_they_come(env: &Env) {
    const COUNT: usize = 10;
    const GAP: Duration = Duration::from_millis(100);
    const TOLERANCE: Duration = Duration::from_millis(80);
    let script = Script::start(|_, line| {
        line.event_stream("")?;
        for number in 0..COUNT {
            if number > 0 {
                std::thread::sleep(GAP);
            }
            line.note("event");
            line.chunk(format!("data: {{\"n\":{number}}}\n\n").as_bytes())?;
        }
        line.chunk(b"data: [DONE]\n\n")?;
        line.end()
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    // A loaded machine is late now and then; an engine that holds an event back does it each time. So each event must
    // have come in time at least once.
    let mut best = [Duration::MAX; COUNT];
    for _ in 0..5 {
        let mut stream = tenant.stream("gpt-4o");
        assert_eq!(stream.status, 200);
        let mut arrived = Vec::new();
        let mut text = String::new();
        while let Some((at, piece)) = stream.piece().unwrap() {
            text.push_str(std::str::from_utf8(&piece).unwrap());
            while arrived.len() < events(&text).len() {
                arrived.push(at);
            }
        }
        assert_eq!(arrived.len(), COUNT + 1, "{text}");
        let sent = script.times("event");
        let sent = &sent[sent.len() - COUNT..];
        for ((arrived, sent), best) in arrived.iter().zip(sent).zip(&mut best) {
            *best = (*best).min(arrived.saturating_duration_since(*sent));
        }
        if best.iter().all(|late| *late <= TOLERANCE) {
            return;
        }
    }
    panic!("events were held back, at best so long: {best:?}");
}

fn first_event_before_the_second(env: &Env) {
    // The provider sends its second event only when told that the client has the first.
    let seen = Arc::new(AtomicU64::new(0));
    let told = seen.clone();
    let script = Script::start(move |_, line| {
        line.event_stream("")?;
        for number in 1..=5 {
            line.chunk(format!("data: {{\"n\":{number}}}\n\n").as_bytes())?;
            let deadline = Instant::now() + Duration::from_secs(2);
            while told.load(Ordering::SeqCst) < number && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        line.chunk(b"data: [DONE]\n\n")?;
        line.end()
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let started = Instant::now();
    let mut stream = tenant.stream("gpt-4o");
    let mut text = String::new();
    while let Some((_, piece)) = stream.piece().unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
        seen.store(events(&text).len() as u64, Ordering::SeqCst);
    }
    assert_eq!(events(&text).len(), 6);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "an event waited for the next"
    );
}

/// What a scripted provider streams reaches the client exactly.
fn exact(env: &Env, pieces: &'static [&'static [u8]]) {
    let script = Script::start(move |_, line| {
        line.event_stream("")?;
        for piece in pieces {
            line.chunk(piece)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        line.end()
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let reply = tenant.stream("gpt-4o").collect().unwrap().expect(200);
    assert_eq!(
        String::from_utf8_lossy(&reply.body),
        String::from_utf8_lossy(&pieces.concat())
    );
    assert_eq!(reply.body, pieces.concat());
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
}

fn bytes_and_comments(env: &Env) {
    exact(
        env,
        &[
            b": OPENROUTER PROCESSING\n\n",
            b":\n\n",
            b"event: message\nid: 7\nretry: 10\ndata: {\"n\":1.0,\"n\":1e2}\n\n",
            b"data:{\"no space\":true}\r\n\r\n",
            b"data: two\ndata: lines\n\n",
            b": keep-alive\n\n",
            b"data: [DONE]\n\n",
        ],
    );
}

fn split_utf8(env: &Env) {
    exact(
        env,
        &[
            b"data: {\"a\":\"\xf0",
            b"\x9f",
            b"\x98",
            b"\x80\"}\n",
            b"\nda",
            b"ta: {\"b\":\"\xc3",
            b"\xa9\"}\n\ndata: [DO",
            b"NE]\n",
            b"\n",
        ],
    );
    let tenant = Tenant::new(env.gateway());
    let reply = tenant.stream("mock-split").collect().unwrap().expect(200);
    assert!(
        std::str::from_utf8(&reply.body).is_ok(),
        "split characters are whole again"
    );
    assert!(reply.text().trim_end().ends_with("[DONE]"));
}

fn client_leaves(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let mut stream = tenant.stream("mock-events-1000-50");
    assert_eq!(stream.status, 200);
    for _ in 0..3 {
        stream.piece().unwrap().expect("an event");
    }
    stream.leave();
    let left = Instant::now();
    let record = eventually("the provider sees that the client has left", || {
        tenant.sent().pop().filter(|sent| sent.ended_at.is_some())
    });
    assert_eq!(record.outcome, Some(Outcome::ClientLeft));
    assert!(
        left.elapsed() < Duration::from_secs(1),
        "after {:?}",
        left.elapsed()
    );
    tenant.next_is_fine();
}

fn client_leaves_before_the_head(env: &Env) {
    // An engine that does not tell its program that a waiting client has gone (workerd, PLATFORMS.md) ends the
    // provider's request at the latest when the head comes; the others end it at once.
    let script = Script::start(|_, line| {
        line.note("asked");
        let gone = line.closed_within(Duration::from_millis(1500));
        line.note(if gone {
            "gone before the head"
        } else {
            "still there"
        });
        line.event_stream("")?;
        for _ in 0..100 {
            line.chunk(b"data: {}\n\n")?;
            if line.closed_within(Duration::from_millis(20)) {
                break;
            }
        }
        line.note("ended");
        Ok(())
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let mut socket =
        std::net::TcpStream::connect(crate::client::authority(tenant.gateway.url())).unwrap();
    let body = crate::tenant::chat_body("gpt-4o", true).to_string();
    std::io::Write::write_all(
        &mut socket,
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            tenant.key(),
            body.len()
        )
        .as_bytes(),
    )
    .unwrap();
    eventually("the provider is asked", || script.times("asked").pop());
    drop(socket);
    let at_once = eventually("the provider looks", || {
        let gone = !script.times("gone before the head").is_empty();
        (gone || !script.times("still there").is_empty()).then_some(gone)
    });
    if env.engine == crate::gateway::Engine::Native {
        assert!(
            at_once,
            "the provider's request goes on though the client has left"
        );
    }
    eventually("the provider's request ends", || {
        let over = at_once || !script.times("ended").is_empty();
        over.then_some(())
    });
    let asked = script.times("asked")[0];
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
}

/// The last event is an error of this surface, after which the body ends properly and without `[DONE]`.
fn ends_with_error(stream: Stream, whole_events: usize) -> Value {
    let reply = stream
        .collect()
        .expect("a proper end of the body")
        .expect(200);
    let text = reply.text();
    assert!(!text.contains("[DONE]"), "claims to be complete: {text}");
    assert!(
        text.ends_with("\n\n"),
        "the last event is complete: {text:?}"
    );
    let all = events(&text);
    assert!(all.len() > whole_events, "{text}");
    let last: Value = serde_json::from_str(all.last().unwrap())
        .unwrap_or_else(|error| panic!("the last event is no JSON ({error}): {text}"));
    let error = &last["error"];
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{last}"
    );
    assert_eq!(error["lockgate"]["provider"], "openai", "{last}");
    assert!(error["lockgate"]["request_id"].is_string(), "{last}");
    assert_eq!(
        error["lockgate"]["request_id"].as_str(),
        reply
            .headers
            .iter()
            .find(|(name, _)| name == "lockgate-request-id")
            .map(|(_, id)| id.as_str())
    );
    error.clone()
}

fn provider_breaks(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let error = ends_with_error(tenant.stream("mock-break-5"), 4);
    assert_eq!(error["code"], "provider_error", "{error}");
    tenant.next_is_fine();
}

fn provider_breaks_in_an_event(env: &Env) {
    // What stands before the error event must not swallow it.
    let script = Script::start(|_, line| {
        line.event_stream("")?;
        line.chunk(b"data: {\"n\":1}\n\n")?;
        line.chunk(b"data: {\"n\":2,\"half\":\"")?;
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    ends_with_error(tenant.stream("gpt-4o"), 1);
}

fn provider_cuts(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let error = ends_with_error(tenant.stream("mock-cut-5"), 5);
    assert_eq!(error["code"], "provider_error", "{error}");
    tenant.next_is_fine();
}

fn provider_stalls(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let started = Instant::now();
    let error = ends_with_error(tenant.stream("mock-stall-3"), 3);
    let took = started.elapsed();
    assert_eq!(error["code"], "provider_timeout", "{error}");
    assert!(
        took >= PROVIDER_PATIENCE && took < PROVIDER_PATIENCE + Duration::from_secs(5),
        "after {took:?}"
    );
    let record = eventually("the provider's request is given up", || {
        tenant.sent().pop().filter(|sent| sent.ended_at.is_some())
    });
    assert_eq!(record.outcome, Some(Outcome::ClientLeft));
    tenant.next_is_fine();
}

fn whole_streams_are_untouched(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    for count in [0, 1, 200] {
        let reply = tenant
            .stream(&format!("mock-events-{count}-0"))
            .collect()
            .unwrap()
            .expect(200);
        let text = reply.text();
        assert_eq!(text.matches("[DONE]").count(), 1, "{text}");
        assert!(!text.contains("\"lockgate\""), "{text}");
        assert!(events(&text).len() > count);
    }
}

fn back_pressure(env: &Env) {
    const WHOLE: u64 = 64 << 20;
    const PIECE: usize = 16 * 1024;
    let written = Arc::new(AtomicU64::new(0));
    let counter = written.clone();
    let script = Script::start(move |_, line| {
        line.event_stream("")?;
        let mut piece = b"data: ".to_vec();
        piece.resize(PIECE - 2, b'x');
        piece.extend_from_slice(b"\n\n");
        while counter.load(Ordering::SeqCst) < WHOLE {
            line.chunk(&piece)?;
            counter.fetch_add(PIECE as u64, Ordering::SeqCst);
        }
        line.chunk(b"data: [DONE]\n\n")?;
        line.end()
    });
    let tenant = Tenant::at(env.gateway(), &script.base_url());
    let mut stream = tenant.stream("gpt-4o");
    assert_eq!(stream.status, 200);
    let mut read = 0_u64;
    // While the client does not read, the provider is held up by a few buffers along the way (the kernel's alone
    // hold several MiB on loopback).
    std::thread::sleep(Duration::from_secs(2));
    let ahead = written.load(Ordering::SeqCst);
    assert!(
        ahead < 24 << 20,
        "{} MiB were taken from the provider unread",
        ahead >> 20
    );
    let mut tail = Vec::new();
    while let Some((_, piece)) = stream.piece().unwrap() {
        read += piece.len() as u64;
        tail.extend_from_slice(&piece);
        let keep = tail.len().saturating_sub(64);
        tail.drain(..keep);
    }
    assert_eq!(read, WHOLE + 14, "the slow client lost nothing");
    assert!(tail.ends_with(b"data: [DONE]\n\n"));
}

fn many_streams(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    std::thread::scope(|scope| {
        for _ in 0..20 {
            let tenant = &tenant;
            scope.spawn(move || {
                let reply = tenant
                    .stream("mock-events-20-20")
                    .collect()
                    .unwrap()
                    .expect(200);
                let text = reply.text();
                assert!(text.trim_end().ends_with("[DONE]"), "{text}");
                assert!(events(&text).len() > 20, "{text}");
            });
        }
    });
    assert_eq!(tenant.sent().len(), 20);
}

fn unchecked_streams(env: &Env) {
    // LOCKGATE_STREAM_CHECK=off: bodies pass as the provider sent them, with nothing of the gateway's in them.
    let gateway = env.plan().set("LOCKGATE_STREAM_CHECK", "off").start();
    let tenant = Tenant::new(&gateway);
    let reply = tenant
        .stream("mock-events-10-5")
        .collect()
        .unwrap()
        .expect(200);
    assert!(reply.text().trim_end().ends_with("[DONE]"));
    let mut stream = tenant.stream("mock-break-5");
    assert_eq!(stream.status, 200);
    let mut text = String::new();
    // A break may look like an end here, or like a break.
    while let Ok(Some((_, piece))) = stream.piece() {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(!text.contains("[DONE]"), "{text}");
    assert!(events(&text).len() >= 4, "{text}");
    assert!(
        !text.contains("\"lockgate\""),
        "unchecked, yet added to: {text}"
    );
    tenant.next_is_fine();
    drop(tenant);
    gateway.stop();
}
