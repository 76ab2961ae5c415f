//! Watched bodies: passed on as they come, their end told once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{Heard, PATIENCE, Peer, provider, watching};
use lockgate_host::{End, HEAD_BYTES, TAIL_BYTES};

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn a_complete_body_ends_with_the_last_words() {
    let address = provider(|mut peer: Peer| {
        while !peer.head().is_empty() {
            peer.send(format!(
                "{HEAD}4\r\na:\n\n\r\n4\r\nb:\n\n\r\n0\r\nx-trailer: withheld\r\n\r\n"
            ));
        }
    });
    let (gateway, heard) = watching(address, PATIENCE, Some("bye\n"));
    let mut client = gateway.get("/");
    assert!(!client.head().contains("content-length"));
    let mut body = Vec::new();
    loop {
        match client.chunk() {
            chunk if chunk.is_empty() => break,
            chunk => body.extend(chunk),
        }
    }
    assert_eq!(body, b"a:\n\nb:\n\nbye\n");
    assert_eq!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Heard {
            head: b"a:\n\nb:\n\n".to_vec(),
            tail: b"a:\n\nb:\n\n".to_vec(),
            bytes: 8,
            end: End::Complete
        }
    );
    // The connection goes on.
    client.send("GET / HTTP/1.1\r\nhost: g\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_body_of_known_length_is_complete_at_that_length() {
    let address = provider(|mut peer: Peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
        peer.closed();
    });
    let (gateway, heard) = watching(address, PATIENCE, None);
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"abc");
    assert_eq!(client.chunk(), b"");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().end, End::Complete);
}

#[test]
fn a_body_that_breaks_ends_normally_with_the_last_words() {
    for broken in [
        format!("{HEAD}4\r\na:\n\n\r\n"),
        format!("{HEAD}4\r\na:\n\n\r\nnonsense\r\n"),
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na:\n\n".to_owned(),
    ] {
        let address = provider(move |mut peer: Peer| {
            peer.head();
            peer.send(&broken);
        });
        let (gateway, heard) = watching(address, PATIENCE, Some("error\n"));
        let mut client = gateway.get("/");
        client.head();
        assert_eq!(client.chunk(), b"a:\n\n");
        assert_eq!(client.chunk(), b"error\n");
        assert_eq!(client.chunk(), b"");
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(
            (heard.tail.as_slice(), heard.bytes),
            (b"a:\n\n".as_slice(), 4)
        );
        assert!(matches!(heard.end, End::Broken(_)), "{:?}", heard.end);
    }
}

#[test]
fn half_an_event_is_held_until_it_is_whole_and_dropped_when_it_never_is() {
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{HEAD}7\r\na:\n\nb:1\r\n"));
        std::thread::sleep(Duration::from_millis(100));
        peer.send("5\r\n2\n\nc:\r\n");
    });
    let (gateway, heard) = watching(address, PATIENCE, Some("error\n"));
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"a:\n\n");
    assert_eq!(client.chunk(), b"b:12\n\n");
    assert_eq!(client.chunk(), b"error\n");
    assert_eq!(client.chunk(), b"");
    let heard = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(heard.tail, b"a:\n\nb:12\n\nc:");
}

#[test]
fn a_silent_body_is_let_go() {
    let (closed, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{HEAD}4\r\na:\n\n\r\n"));
        std::thread::sleep(Duration::from_millis(200));
        peer.send("4\r\nb:\n\n\r\n");
        closed.send(peer.closed()).unwrap();
    });
    let (gateway, heard) = watching(address, Duration::from_millis(300), Some("idle\n"));
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"a:\n\n");
    assert_eq!(client.chunk(), b"b:\n\n");
    let two = Instant::now();
    assert_eq!(client.chunk(), b"idle\n");
    let waited = two.elapsed();
    assert!((250..450).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(client.chunk(), b"");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().end, End::Idle);
    assert!(seen.recv_timeout(PATIENCE).unwrap() < Duration::from_secs(1));
}

#[test]
fn a_client_that_leaves_ends_the_providers_request() {
    let (closed, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{HEAD}4\r\na:\n\n\r\n"));
        closed.send(peer.closed()).unwrap();
    });
    let (gateway, heard) = watching(address, PATIENCE, Some("nobody hears"));
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"a:\n\n");
    let left = Instant::now();
    drop(client);
    assert_eq!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Heard {
            head: b"a:\n\n".to_vec(),
            tail: b"a:\n\n".to_vec(),
            bytes: 4,
            end: End::ClientLeft
        }
    );
    assert!(left.elapsed() < Duration::from_secs(1));
    seen.recv_timeout(PATIENCE).unwrap();
    assert!(left.elapsed() < Duration::from_secs(1));
    assert!(heard.try_recv().is_err(), "told once");
}

#[test]
fn a_slow_client_slows_the_provider_and_is_no_silence() {
    let (sent, counted) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(HEAD);
        let chunk = format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000));
        for number in 0..400 {
            peer.send(&chunk);
            sent.send(number).unwrap();
        }
        peer.send("0\r\n\r\n");
    });
    let (gateway, heard) = watching(address, Duration::from_millis(300), None);
    let mut client = gateway.get("/");
    std::thread::sleep(Duration::from_secs(1));
    let ahead = counted.try_iter().count();
    assert!(ahead < 250, "{ahead} chunks were taken though nobody read");
    client.head();
    let mut bytes = 0;
    loop {
        match client.chunk().len() {
            0 => break,
            more => bytes += more,
        }
    }
    assert_eq!(bytes, 40_000_000);
    let heard = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!((heard.bytes, heard.end), (40_000_000, End::Complete));
    assert_eq!(heard.tail.len(), TAIL_BYTES);
}

#[test]
fn head_and_tail_are_the_ends_of_what_was_sent_however_it_was_cut() {
    for (size, count) in [
        (1, 5000),
        (3, 2000),
        (4095, 3),
        (4096, 2),
        (4097, 2),
        (10_000, 1),
        (1, 10),
    ] {
        let all: Vec<u8> = (0..size * count)
            .map(|n| b'a' + u8::try_from(n % 26).unwrap())
            .collect();
        let sent = all.clone();
        let address = provider(move |mut peer: Peer| {
            peer.head();
            peer.send(HEAD);
            for piece in sent.chunks(size) {
                peer.send(format!(
                    "{:x}\r\n{}\r\n",
                    size,
                    String::from_utf8_lossy(piece)
                ));
            }
            peer.send("0\r\n\r\n");
        });
        let (gateway, heard) = watching(address, PATIENCE, None);
        let mut client = gateway.get("/");
        client.head();
        while !client.chunk().is_empty() {}
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        let start = all.len().saturating_sub(TAIL_BYTES);
        assert_eq!(heard.tail, all[start..], "{size} x {count}");
        assert_eq!(heard.head, all[..all.len().min(HEAD_BYTES)]);
        assert_eq!(heard.bytes, all.len() as u64);
    }
}
