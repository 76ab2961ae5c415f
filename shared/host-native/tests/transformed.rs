//! Transformed bodies: rewritten piece by piece, their end told once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use common::{Gateway, PATIENCE, Peer, ask, provider, relay};
use lockgate_host::{AnswerBody, End, Flow, Outbound, Transform};
use lockgate_host_native::Answer;

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// What a transform was given, and how it ended.
#[derive(Debug, PartialEq)]
struct Heard {
    bytes: usize,
    end: End,
}

/// Writes capitals, leaves dots out, has enough after an exclamation mark, and adds `last` words.
struct Capitals {
    to: Sender<Heard>,
    last: &'static str,
    bytes: usize,
}

impl Transform for Capitals {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Flow {
        self.bytes += piece.len();
        for byte in piece.iter().filter(|byte| **byte != b'.') {
            out.push(byte.to_ascii_uppercase());
            if *byte == b'!' {
                return Flow::Enough;
            }
        }
        Flow::More
    }

    fn ended(&mut self, end: End, out: &mut Vec<u8>) {
        out.extend_from_slice(self.last.as_bytes());
        let bytes = self.bytes;
        let _ = self.to.send(Heard { bytes, end });
    }
}

/// A gateway whose every answer is the provider's in capitals; and what the transforms heard.
fn shouting(
    provider: SocketAddr,
    idle_timeout: Duration,
    last: &'static str,
) -> (Gateway, Receiver<Heard>) {
    let (to, heard) = channel();
    let gateway = Gateway::serve(move |host, _request| {
        let to = to.clone();
        async move {
            let url = format!("http://{provider}/");
            let outbound = Outbound {
                idle_timeout,
                ..ask(&url)
            };
            let answer = relay(host, outbound, |body| {
                let bytes = 0;
                AnswerBody::Transformed(body, Box::new(Capitals { to, last, bytes }))
            })
            .await;
            Answer {
                set: vec![("content-type", "text/event-stream".into())],
                ..answer
            }
        }
    });
    (gateway, heard)
}

#[test]
fn pieces_are_rewritten_as_they_come() {
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{HEAD}3\r\none\r\n"));
        for piece in ["3\r\n...\r\n", "5\r\ntwo..\r\n", "0\r\nx: y\r\n\r\n"] {
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            peer.send(piece);
        }
        assert!(
            peer.head().starts_with("GET"),
            "the connection is used again"
        );
        peer.send(format!("{HEAD}0\r\n\r\n"));
    });
    let (gateway, heard) = shouting(address, PATIENCE, "bye");
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"ONE");
    go.send(()).unwrap();
    // A piece that becomes nothing must not end the chunked body.
    go.send(()).unwrap();
    assert_eq!(client.chunk(), b"TWO");
    go.send(()).unwrap();
    assert_eq!(client.chunk(), b"bye");
    assert_eq!(client.chunk(), b"");
    let end = End::Complete;
    assert_eq!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Heard { bytes: 11, end }
    );
    client.send("GET / HTTP/1.1\r\nhost: g\r\n\r\n");
    client.head();
    assert_eq!(client.chunk(), b"bye", "an empty body has last words too");
    assert_eq!(client.chunk(), b"");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().bytes, 0);
    assert!(heard.try_recv().is_err(), "told once");
}

#[test]
fn headers_of_the_providers_own_form_are_withheld() {
    let address = provider(|mut peer: Peer| {
        peer.head();
        peer.send(
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-encoding: identity\r\n\
             content-type: application/json\r\nx-kept: 1\r\n\r\na.b",
        );
        peer.closed();
    });
    let (gateway, heard) = shouting(address, PATIENCE, "");
    let mut client = gateway.get("/");
    let head = client.head();
    for (header, there) in [
        ("content-length", false),
        ("content-encoding", false),
        ("application/json", false),
        ("content-type: text/event-stream", true),
        ("x-kept: 1", true),
    ] {
        assert_eq!(head.contains(header), there, "{header} in {head}");
    }
    assert_eq!(client.chunk(), b"AB");
    assert_eq!(client.chunk(), b"");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().end, End::Complete);
}

#[test]
fn a_transform_that_has_enough_lets_the_provider_go() {
    let (closed, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{HEAD}9\r\nno more! x\r\n"));
        closed.send(peer.closed()).unwrap();
    });
    let (gateway, heard) = shouting(address, PATIENCE, "bye");
    let mut client = gateway.get("/");
    client.head();
    let mut body = Vec::new();
    loop {
        match client.chunk() {
            chunk if chunk.is_empty() => break,
            chunk => body.extend(chunk),
        }
    }
    assert_eq!(body, b"NO MORE!bye");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().end, End::Complete);
    assert!(seen.recv_timeout(PATIENCE).unwrap() < Duration::from_secs(1));
    assert!(heard.try_recv().is_err(), "told once");
}

#[test]
fn a_body_that_breaks_ends_normally_with_the_last_words() {
    for broken in [
        format!("{HEAD}3\r\none\r\n"),
        format!("{HEAD}3\r\none\r\nnonsense\r\n"),
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none".to_owned(),
    ] {
        let address = provider(move |mut peer: Peer| {
            peer.head();
            peer.send(&broken);
        });
        let (gateway, heard) = shouting(address, PATIENCE, "error");
        let mut client = gateway.get("/");
        client.head();
        assert_eq!(client.chunk(), b"ONE");
        assert_eq!(client.chunk(), b"error");
        assert_eq!(client.chunk(), b"");
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(heard.end, End::Broken(_)), "{:?}", heard.end);
    }
}

#[test]
fn a_silent_body_is_let_go() {
    let (closed, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send(format!("{HEAD}3\r\none\r\n"));
        std::thread::sleep(Duration::from_millis(200));
        // What becomes nothing is no silence either.
        peer.send("1\r\n.\r\n");
        std::thread::sleep(Duration::from_millis(200));
        peer.send("3\r\ntwo\r\n");
        closed.send(peer.closed()).unwrap();
    });
    let (gateway, heard) = shouting(address, Duration::from_millis(300), "idle");
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"ONE");
    assert_eq!(client.chunk(), b"TWO");
    let two = Instant::now();
    assert_eq!(client.chunk(), b"idle");
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
        peer.send(format!("{HEAD}3\r\none\r\n"));
        closed.send(peer.closed()).unwrap();
    });
    let (gateway, heard) = shouting(address, PATIENCE, "nobody hears");
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"ONE");
    let left = Instant::now();
    drop(client);
    let end = End::ClientLeft;
    assert_eq!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Heard { bytes: 3, end }
    );
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
    let (gateway, heard) = shouting(address, Duration::from_millis(300), "");
    let mut client = gateway.get("/");
    std::thread::sleep(Duration::from_secs(1));
    let ahead = counted.try_iter().count();
    assert!(ahead < 250, "{ahead} chunks were taken though nobody read");
    client.head();
    let mut bytes = 0;
    loop {
        match client.chunk() {
            chunk if chunk.is_empty() => break,
            chunk => {
                assert!(chunk.iter().all(|byte| *byte == b'X'));
                bytes += chunk.len();
            }
        }
    }
    assert_eq!(bytes, 40_000_000);
    let end = End::Complete;
    assert_eq!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Heard {
            bytes: 40_000_000,
            end
        }
    );
}
