//! Uploads that pass to the provider unread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::{Gateway, PATIENCE, Peer, ask, provider, relay};
use lockgate_host::{AnswerBody, Method, Outbound, OutboundBody};

/// A gateway that passes every request's body on as it arrives.
fn uploading(provider: SocketAddr) -> Gateway {
    Gateway::serve(move |host, request| async move {
        let url = format!("http://{provider}/");
        let outbound = Outbound {
            method: Method::POST,
            body: OutboundBody::Stream(request.body),
            ..ask(&url)
        };
        relay(host, outbound, AnswerBody::Through).await
    })
}

const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

#[test]
fn an_announced_length_is_announced_to_the_provider_and_pieces_pass_at_once() {
    let (came, arrived) = channel();
    let address = provider(move |mut peer: Peer| {
        let head = peer.head();
        assert!(head.contains("content-length: 6"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        came.send(peer.exactly(3)).unwrap();
        came.send(peer.exactly(3)).unwrap();
        peer.send(DONE);
    });
    let gateway = uploading(address);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: g\r\ncontent-length: 6\r\n\r\none");
    assert_eq!(arrived.recv_timeout(PATIENCE).unwrap(), b"one");
    client.send("two");
    assert_eq!(arrived.recv_timeout(PATIENCE).unwrap(), b"two");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.exactly(4), b"done");
}

#[test]
fn a_chunked_upload_stays_chunked() {
    let (came, arrived) = channel();
    let address = provider(move |mut peer: Peer| {
        let head = peer.head();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(!head.contains("content-length"), "{head}");
        loop {
            let chunk = peer.chunk();
            came.send(chunk.clone()).unwrap();
            if chunk.is_empty() {
                break;
            }
        }
        peer.send(DONE);
    });
    let gateway = uploading(address);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    assert_eq!(arrived.recv_timeout(PATIENCE).unwrap(), b"one");
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(arrived.recv_timeout(PATIENCE).unwrap(), b"two");
    assert_eq!(arrived.recv_timeout(PATIENCE).unwrap(), b"");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.exactly(4), b"done");
}

#[test]
fn an_upload_is_not_gathered_however_large() {
    const SIZE: usize = 200 << 20;
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let address = provider(move |mut peer: Peer| {
        peer.head();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        for _ in 0..SIZE >> 20 {
            assert!(peer.exactly(1 << 20).iter().all(|byte| *byte == b'x'));
        }
        peer.send(DONE);
    });
    let gateway = uploading(address);
    let mut client = gateway.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: g\r\ncontent-length: {SIZE}\r\n\r\n"
    ));
    let (sent, counted) = channel();
    let client = thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        for number in 0..SIZE >> 20 {
            client.send(&piece);
            sent.send(number).unwrap();
        }
        assert!(client.head().starts_with("HTTP/1.1 200"));
        assert_eq!(client.exactly(4), b"done");
    });
    thread::sleep(Duration::from_secs(1));
    let ahead = counted.try_iter().count();
    assert!(ahead < 40, "{ahead} MiB were taken though nobody read");
    go.send(()).unwrap();
    client.join().unwrap();
}

#[test]
fn an_upload_that_breaks_off_never_looks_complete() {
    for (head, piece) in [
        ("content-length: 9", "one"),
        ("transfer-encoding: chunked", "3\r\none\r\n"),
    ] {
        let (came, arrived) = channel();
        let address = provider(move |mut peer: Peer| {
            peer.head();
            came.send(peer.rest()).unwrap();
        });
        let gateway = uploading(address);
        let mut client = gateway.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: g\r\n{head}\r\n\r\n{piece}"
        ));
        thread::sleep(Duration::from_millis(200));
        drop(client);
        let rest = arrived.recv_timeout(PATIENCE).unwrap();
        assert_eq!(String::from_utf8(rest).unwrap(), piece);
    }
}

#[test]
fn a_client_reads_why_its_upload_was_refused() {
    const SIZE: usize = 20 << 20;
    let refusing = provider(|mut peer: Peer| {
        peer.head();
        peer.send("HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
        thread::sleep(Duration::from_millis(100));
    });
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for (address, status) in [(refusing, "413"), (nobody, "503")] {
        let gateway = uploading(address);
        let mut client = gateway.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: g\r\ncontent-length: {SIZE}\r\n\r\n"
        ));
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..SIZE >> 20 {
            client.send(&piece);
        }
        let head = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}
