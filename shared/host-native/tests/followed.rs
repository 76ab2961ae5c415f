//! Followed bodies: passed on as they are, length and breaks included, their ends told once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::mpsc::channel;
use std::time::Duration;

use common::{Heard, PATIENCE, Peer, following, provider};
use lockgate_host::{End, HEAD_BYTES, TAIL_BYTES};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn sized(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
}

#[test]
fn a_body_of_known_length_passes_with_its_length() {
    let address = provider(|mut peer: Peer| {
        while !peer.head().is_empty() {
            peer.send(format!("{}abc", sized(3)));
        }
    });
    let (gateway, heard) = following(address, PATIENCE);
    let mut client = gateway.get("/");
    for _ in 0..2 {
        assert!(client.head().contains("content-length: 3\r\n"));
        assert_eq!(client.exactly(3), b"abc");
        assert_eq!(
            heard.recv_timeout(PATIENCE).unwrap(),
            Heard {
                head: b"abc".to_vec(),
                tail: b"abc".to_vec(),
                bytes: 3,
                end: End::Complete
            }
        );
        // The connection goes on, and nothing is on it that does not belong there.
        client.send("GET / HTTP/1.1\r\nhost: g\r\n\r\n");
    }
    assert!(client.head().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_body_of_unknown_length_passes_as_one() {
    let address = provider(|mut peer: Peer| {
        peer.head();
        peer.send(format!(
            "{CHUNKED}3\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: withheld\r\n\r\n"
        ));
        peer.closed();
    });
    let (gateway, heard) = following(address, PATIENCE);
    let mut client = gateway.get("/");
    assert!(
        client
            .head()
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
    );
    let mut body = Vec::new();
    loop {
        match client.chunk() {
            chunk if chunk.is_empty() => break,
            chunk => body.extend(chunk),
        }
    }
    assert_eq!(body, b"abcde");
    let heard = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!((heard.bytes, heard.end), (5, End::Complete));
    assert_eq!((heard.head.as_slice(), heard.tail), (&b"abcde"[..], body));
}

#[test]
fn an_empty_body_is_complete() {
    for empty in [sized(0), "HTTP/1.1 204 No Content\r\n\r\n".to_owned()] {
        let address = provider(move |mut peer: Peer| {
            peer.head();
            peer.send(&empty);
            peer.closed();
        });
        let (gateway, heard) = following(address, PATIENCE);
        let mut client = gateway.get("/");
        client.head();
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!((heard.bytes, heard.end), (0, End::Complete));
        assert!(heard.head.is_empty() && heard.tail.is_empty());
    }
}

#[test]
fn a_break_breaks_the_clients_connection() {
    for (broken, passed) in [
        (format!("{}abcd", sized(9)), &b"abcd"[..]),
        (format!("{CHUNKED}4\r\nabcd\r\n"), b"4\r\nabcd\r\n"),
        (
            format!("{CHUNKED}4\r\nabcd\r\nnonsense\r\n"),
            b"4\r\nabcd\r\n",
        ),
    ] {
        let address = provider(move |mut peer: Peer| {
            peer.head();
            peer.send(&broken);
        });
        let (gateway, heard) = following(address, PATIENCE);
        let mut client = gateway.get("/");
        client.head();
        assert_eq!(client.rest(), passed, "no last chunk, no last words");
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!((heard.tail.as_slice(), heard.bytes), (&b"abcd"[..], 4));
        assert!(matches!(heard.end, End::Broken(_)), "{:?}", heard.end);
    }
}

#[test]
fn a_silent_body_is_let_go() {
    let (closed, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{}abcd", sized(9)));
        closed.send(peer.closed()).unwrap();
    });
    let (gateway, heard) = following(address, Duration::from_millis(300));
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.rest(), b"abcd");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().end, End::Idle);
    seen.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_client_that_leaves_ends_the_providers_request() {
    let (closed, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{}abcd", sized(9)));
        closed.send(peer.closed()).unwrap();
    });
    let (gateway, heard) = following(address, PATIENCE);
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.exactly(4), b"abcd");
    drop(client);
    let told = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!((told.bytes, told.end), (4, End::ClientLeft));
    seen.recv_timeout(PATIENCE).unwrap();
    assert!(heard.try_recv().is_err(), "told once");
}

#[test]
fn head_and_tail_are_the_ends_of_what_was_sent_however_it_was_cut() {
    for (size, count) in [
        (1, 3000),
        (HEAD_BYTES - 1, 3),
        (HEAD_BYTES, 1),
        (TAIL_BYTES + 1, 2),
        (100_000, 30),
    ] {
        let all: Vec<u8> = (0..size * count)
            .map(|n| b'a' + u8::try_from(n % 26).unwrap())
            .collect();
        let sent = all.clone();
        let address = provider(move |mut peer: Peer| {
            peer.head();
            peer.send(sized(sent.len()));
            for piece in sent.chunks(size) {
                peer.send(piece);
            }
            peer.closed();
        });
        let (gateway, heard) = following(address, PATIENCE);
        let mut client = gateway.get("/");
        client.head();
        assert!(client.exactly(all.len()) == all, "{size} x {count}");
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(heard.head, all[..all.len().min(HEAD_BYTES)]);
        assert_eq!(heard.tail, all[all.len().saturating_sub(TAIL_BYTES)..]);
        assert_eq!((heard.bytes, heard.end), (all.len() as u64, End::Complete));
    }
}
