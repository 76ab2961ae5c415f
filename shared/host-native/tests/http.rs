//! HTTP both ways, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{Gateway, PATIENCE, Peer, ask, provider, relay, text};
use lockgate_host::{
    AnswerBody, Credential, Fetch, Headers, Method, Outbound, OutboundBody, ReadError, Secret,
};
use lockgate_host_native::Answer;

#[test]
fn a_request_and_its_answer_pass_with_what_is_withheld_left_out() {
    let (saw, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        let head = peer.head();
        let body = peer.exactly(11);
        saw.send((head, body)).unwrap();
        peer.send(
            "HTTP/1.1 201 Created\r\ncontent-length: 4\r\nserver: x\r\nset-cookie: a=b\r\nconnection: keep-alive, x-hop\r\n\
             x-hop: 1\r\nx-kept: a\r\nx-kept: b\r\nx-ours: theirs\r\n\r\ndone",
        );
    });
    let gateway = Gateway::serve(move |host, request| async move {
        assert_eq!(request.headers.get("x-sent").as_deref(), Some("yes"));
        let payload = host.read(request.body, 1024).await.unwrap();
        let url = format!("http://{address}/v1/chat?x=%20y");
        let secret = Secret::from("sk-secret".to_owned());
        let outbound = Outbound {
            method: Method::POST,
            forward: Some((&request.headers, &["x-sent", "x-absent", "accept-encoding"])),
            set: &[("x-set", "set")],
            credential: Some(Credential {
                header: "authorization",
                prefix: "Bearer ",
                secret: &secret,
            }),
            body: OutboundBody::Payload(payload),
            ..ask(&url)
        };
        let answer = relay(host, outbound, AnswerBody::Through).await;
        Answer {
            set: vec![
                ("x-ours", "1".into()),
                ("x-ours", "2".to_owned().into()),
                ("x-bad", "a\r\nb".to_owned().into()),
            ],
            ..answer
        }
    });
    let mut client = gateway.connect();
    client.send(
        "POST /a HTTP/1.1\r\nhost: gateway\r\ncontent-length: 11\r\nx-sent: yes\r\nx-api-key: k\r\n\
         accept-encoding: gzip\r\n\r\nhello world",
    );
    let head = client.head();
    let lines: Vec<&str> = head
        .lines()
        .filter(|line| !line.starts_with("date"))
        .collect();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 201 Created",
            "content-length: 4",
            "x-kept: a",
            "x-kept: b",
            "x-ours: 1",
            "x-ours: 2",
        ]
    );
    assert_eq!(client.exactly(4), b"done");
    let (head, body) = seen.recv_timeout(PATIENCE).unwrap();
    let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
    assert_eq!(lines.remove(0), "POST /v1/chat?x=%20y HTTP/1.1");
    lines.sort();
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "authorization: Bearer sk-secret",
            "content-length: 11",
            &format!("host: {address}"),
            "x-sent: yes",
            "x-set: set",
        ]
    );
    assert_eq!(body, b"hello world");
}

#[test]
fn events_arrive_as_they_are_sent() {
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let address = provider(move |mut peer: Peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n");
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send("4\r\ntwo\n\r\n0\r\n\r\n");
    });
    let gateway = Gateway::serve(move |host, _| async move {
        let url = format!("http://{address}/");
        relay(host, ask(&url), AnswerBody::Through).await
    });
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"one\n");
    // Only now does the provider go on.
    go.send(()).unwrap();
    assert_eq!(client.chunk(), b"two\n");
    assert_eq!(client.chunk(), b"");
}

#[test]
fn a_body_passed_through_that_breaks_off_is_cut() {
    let address = provider(|mut peer: Peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n");
    });
    let gateway = Gateway::serve(move |host, _| async move {
        let url = format!("http://{address}/");
        relay(host, ask(&url), AnswerBody::Through).await
    });
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"one\n");
    assert_eq!(client.rest(), b"", "no last chunk");
}

#[test]
fn silence_before_the_head_is_a_timeout() {
    let (gone, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        gone.send(peer.closed()).unwrap();
    });
    let gateway = Gateway::serve(move |host, _| async move {
        let url = format!("http://{address}/");
        let outbound = Outbound {
            head_timeout: Duration::from_millis(200),
            ..ask(&url)
        };
        relay(host, outbound, AnswerBody::Through).await
    });
    assert!(gateway.get("/").head().starts_with("HTTP/1.1 504"));
    let took = seen.recv_timeout(PATIENCE).unwrap();
    assert!(took < Duration::from_secs(1), "given up after {took:?}");
}

#[test]
fn a_refused_connection_is_unreachable() {
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let gateway = Gateway::serve(move |host, _| async move {
        let url = format!("http://{address}/");
        relay(host, ask(&url), AnswerBody::Through).await
    });
    let mut client = gateway.get("/");
    assert!(client.head().starts_with("HTTP/1.1 503"));
    let said = String::from_utf8(client.exactly(20)).unwrap();
    assert!(said.starts_with("cannot connect"), "{said}");
}

#[test]
fn an_answer_that_is_no_http_is_broken() {
    let address = provider(|mut peer: Peer| {
        peer.head();
        peer.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    });
    let gateway = Gateway::serve(move |host, _| async move {
        let url = format!("http://{address}/");
        relay(host, ask(&url), AnswerBody::Through).await
    });
    assert!(gateway.get("/").head().starts_with("HTTP/1.1 502"));
}

#[test]
fn a_pooled_connection_that_was_closed_is_not_seen() {
    let address = provider(|mut peer: Peer| {
        // One answer a connection, without saying so.
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let gateway = Gateway::serve(move |host, _| async move {
        let url = format!("http://{address}/");
        relay(host, ask(&url), AnswerBody::Through).await
    });
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nhost: gateway\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 200"));
        assert_eq!(client.exactly(2), b"ok");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_client_that_leaves_before_the_head_ends_the_providers_request() {
    let (left, seen) = channel();
    let address = provider(move |mut peer: Peer| {
        peer.head();
        left.send(None).unwrap();
        left.send(Some(peer.closed())).unwrap();
    });
    let gateway = Gateway::serve(move |host, _| async move {
        let url = format!("http://{address}/");
        relay(host, ask(&url), AnswerBody::Through).await
    });
    let client = gateway.get("/");
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), None);
    drop(client);
    let took = seen.recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(took < Duration::from_secs(1), "took {took:?}");
}

async fn limited(
    host: lockgate_host_native::NativeHost,
    request: lockgate_host_native::Incoming,
) -> Answer {
    match host.read(request.body, 100_000).await {
        Ok(body) => text(200, body.len().to_string()),
        Err(ReadError::TooLarge { limit }) => text(413, limit.to_string()),
        Err(ReadError::Broken(why)) => text(400, why),
        Err(ReadError::Idle) => text(408, "idle"),
    }
}

#[test]
fn bodies_are_read_up_to_the_limit() {
    let gateway = Gateway::serve(limited);
    for (length, status) in [
        (0, "200"),
        (1, "200"),
        (100_000, "200"),
        (100_001, "413"),
        (9_000_000, "413"),
    ] {
        for chunked in [false, true] {
            let mut client = gateway.connect();
            // Twice on one connection: what was not read is not taken for the next request.
            for _ in 0..2 {
                let body = vec![b'x'; length];
                if chunked {
                    client.send("POST / HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n");
                    for piece in body.chunks(30_000) {
                        client.send(format!("{:x}\r\n", piece.len()));
                        client.send(piece);
                        client.send("\r\n");
                    }
                    client.send("0\r\n\r\n");
                } else {
                    client.send(format!(
                        "POST / HTTP/1.1\r\nhost: g\r\ncontent-length: {length}\r\n\r\n"
                    ));
                    client.send(&body);
                }
                let head = client.head();
                assert_eq!(head.get(9..12), Some(status), "{length} {chunked}: {head}");
                let said = if status == "200" { length } else { 100_000 }.to_string();
                assert_eq!(client.exactly(said.len()), said.as_bytes());
            }
        }
    }
}

#[test]
fn a_client_that_asks_first_is_not_told_to_send_what_is_too_large() {
    let gateway = Gateway::serve(limited);
    let mut client = gateway.connect();
    client.send(
        "POST / HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: 200000\r\n\r\n",
    );
    assert!(client.head().starts_with("HTTP/1.1 413"));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 100"));
    client.send("abc");
    assert!(client.head().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_body_that_breaks_off_is_broken_and_not_short() {
    let (told, heard) = channel();
    let gateway = Gateway::serve(move |host, request| {
        let told = told.clone();
        async move {
            let read = host.read(request.body, 100).await;
            told.send(read.map(|body| body.len())).unwrap();
            text(200, "")
        }
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\nabc");
    drop(client);
    assert!(matches!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Err(ReadError::Broken(_))
    ));
}

#[test]
fn too_many_headers_and_too_large_ones_are_refused() {
    let gateway = Gateway::serve(|_, _| async { text(200, "ok") });
    for headers in [
        "x: y\r\n".repeat(200),
        format!("x: {}\r\n", "y".repeat(1_000_000)),
    ] {
        let mut client = gateway.connect();
        let _ = client.try_send(format!("GET / HTTP/1.1\r\n{headers}\r\n"));
        assert!(client.head().starts_with("HTTP/1.1 431"));
    }
    assert!(gateway.get("/").head().starts_with("HTTP/1.1 200"));
}
