//! Runs the host with the fixture component: Spin's interfaces, streaming, instance reuse, limits and the drain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use support::{Host, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn stores_and_variables_answer() {
    let host = Host::start(&[]).await;
    assert_eq!(host.body("/t/kv?get,a").await, "Ok(None)");
    assert_eq!(host.body("/t/kv?set,a,one").await, "Ok(())");
    assert_eq!(host.body("/t/kv?get,a").await, r#"Ok(Some(Ok("one")))"#);
    assert_eq!(host.body("/t/kv?set,a,two").await, "Ok(())");
    assert_eq!(host.body("/t/kv?get,a").await, r#"Ok(Some(Ok("two")))"#);
    assert_eq!(host.body("/t/kv?exists,a").await, "Ok(true)");
    assert_eq!(host.body("/t/kv?keys").await, r#"Ok(["a"])"#);
    assert_eq!(host.body("/t/kv?delete,a").await, "Ok(())");
    assert_eq!(host.body("/t/kv?delete,a").await, "Ok(())");
    assert_eq!(host.body("/t/kv?exists,a").await, "Ok(false)");
    assert_eq!(host.body("/t/kv?other").await, "Some(Error::AccessDenied)");

    assert_eq!(host.body("/t/sqlite?transaction").await, "1");
    let row = host.body("/t/sqlite?select").await;
    assert!(row.contains(r#"columns: ["v", "t", "b"]"#), "{row}");
    assert!(
        row.contains(r#"[Value::Integer(1), Value::Text("ä"), Value::Blob([0, 255])]"#),
        "{row}"
    );
    assert!(host.body("/t/sqlite?wrong").await.contains("syntax error"));
    assert_eq!(
        host.body("/t/sqlite?other").await,
        "Some(Error::AccessDenied)"
    );
    let rows = host.body("/t/sqlite-async").await;
    assert!(
        rows.contains(r#"["one"] Ok("#) && rows.contains("Value::Integer(2)"),
        "{rows}"
    );

    assert_eq!(
        host.body("/t/variable?greeting").await,
        r#"Ok("good day!")"#
    );
    assert!(
        host.body("/t/variable?outbound")
            .await
            .contains("Undefined")
    );
    assert!(host.body("/t/variable?Upper").await.contains("InvalidName"));
}

#[tokio::test]
async fn transactions_of_many_connections_take_turns() {
    let host = Host::start(&[]).await;
    host.body("/t/sqlite?transaction").await;
    let answers = join_all((0..32).map(|_| host.body("/t/sqlite?transaction"))).await;
    let numbers: BTreeSet<u32> = answers
        .iter()
        .map(|answer| answer.parse().unwrap())
        .collect();
    assert_eq!(numbers, (2..34).collect());
}

#[tokio::test]
async fn new_keys_can_be_hidden() {
    let host = Host::start(&["--kv-hide-new-ms", "300"]).await;
    assert_eq!(host.body("/t/kv?set,a,one").await, "Ok(())");
    assert_eq!(host.body("/t/kv?get,a").await, "Ok(None)");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(host.body("/t/kv?get,a").await, r#"Ok(Some(Ok("one")))"#);
}

/// Milliseconds from `start` at which each frame of the body arrived.
async fn arrivals(response: http::Response<hyper::body::Incoming>, start: Instant) -> Vec<u128> {
    let mut body = response.into_body();
    let mut times = Vec::new();
    while let Some(frame) = body.frame().await {
        if frame.unwrap().is_data() {
            times.push(start.elapsed().as_millis());
        }
    }
    times
}

fn assert_spaced(times: &[u128], count: usize) {
    assert_eq!(times.len(), count, "{times:?}");
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!((60..180).contains(&gap), "{times:?}");
    }
}

#[tokio::test]
async fn events_leave_when_they_are_written() {
    let host = Host::start(&[]).await;
    let start = Instant::now();
    assert_spaced(
        &arrivals(host.send("/t/events?5,100").await, start).await,
        5,
    );
}

#[tokio::test]
async fn a_background_task_outlives_its_response() {
    let host = Host::start(&[]).await;
    let start = Instant::now();
    assert_eq!(host.body("/t/background").await, "answered");
    assert!(
        start.elapsed() < Duration::from_millis(400),
        "the answer waited for the task"
    );
    assert_eq!(host.body("/t/kv?get,background").await, "Ok(None)");
    host.key("background").await;
}

#[tokio::test]
async fn a_guest_learns_that_its_client_left() {
    let host = Host::start(&[]).await;
    let mut response = host.send("/t/events?1000000,5").await.into_body();
    response.frame().await.unwrap().unwrap();
    drop(response);
    host.key("left").await;
}

#[tokio::test]
async fn requests_of_one_instance_wake_each_other() {
    let host = Host::start(&[]).await;
    let waiting = async {
        let start = Instant::now();
        let body = host.body("/t/wait").await;
        (body, start.elapsed())
    };
    let waking = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        host.body("/t/wake").await
    };
    let ((body, waited), woken) = tokio::join!(waiting, waking);
    assert_eq!((body.as_str(), woken.as_str()), ("Dropped", "1"));
    assert!(waited < Duration::from_millis(600), "{waited:?}");
}

#[tokio::test]
async fn outbound_requests_are_spliced_pumped_and_given_up() {
    let host = Host::start(&[]).await;
    let upstream = Upstream::start().await;

    let request = http::Request::post(format!("{}/t/splice?{}/echo", host.base, upstream.base));
    let response = host
        .client
        .request(
            request
                .body(Full::new(Bytes::from_static(b"hello")))
                .unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers().get("x-own").unwrap(), "2");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = std::str::from_utf8(&body).unwrap();
    assert!(
        body.ends_with(" hello") && body.contains("x-own: 1"),
        "{body}"
    );
    assert!(!body.contains("spin-"), "{body}");

    for way in ["splice", "raw", "pump"] {
        let start = Instant::now();
        let response = host
            .send(&format!("/t/{way}?{}/events", upstream.base))
            .await;
        assert_spaced(&arrivals(response, start).await, 5);
    }
    let connections = upstream
        .seen
        .lock()
        .unwrap()
        .iter()
        .filter(|seen| *seen == "connection")
        .count();
    assert_eq!(connections, 1, "outbound connections are pooled");

    assert_eq!(
        host.body(&format!("/t/give-up?{}/silent", upstream.base))
            .await,
        "sleep read send"
    );
    upstream.saw("given up").await;
    // The instance is none the worse for it.
    assert_eq!(host.body("/t/x").await, "ok");
}

#[tokio::test]
async fn a_broken_upstream_is_seen() {
    let host = Host::start(&[]).await;
    let upstream = Upstream::start().await;
    let pumped = host
        .body(&format!("/t/pump?{}/broken", upstream.base))
        .await;
    assert!(pumped.starts_with("data: 0\n\nevent: error\n"), "{pumped}");
    for way in ["splice", "raw"] {
        let response = host
            .send(&format!("/t/{way}?{}/broken", upstream.base))
            .await;
        assert!(
            response.into_body().collect().await.is_err(),
            "{way} looked like a clean end"
        );
    }
    let (status, body) = host.get("/t/pump?http://127.0.0.1:1/").await;
    assert_eq!(
        (status, body.as_str()),
        (502, "ErrorCode::ConnectionRefused")
    );
    let (status, body) = host.get("/t/pump?http://127.0.0.2:1/").await;
    assert_eq!(
        (status, body.as_str()),
        (502, "ErrorCode::HttpRequestDenied")
    );
}

#[tokio::test]
async fn the_guests_timeouts_hold() {
    let host = Host::start(&[]).await;
    let upstream = Upstream::start().await;
    let (status, body) = host
        .get(&format!("/t/impatient?{}/silent", upstream.base))
        .await;
    assert_eq!(
        (status, body.as_str()),
        (502, "ErrorCode::ConnectionReadTimeout")
    );
    upstream.saw("given up").await;
    upstream.seen.lock().unwrap().clear();
    let body = host
        .body(&format!("/t/impatient?{}/stalled", upstream.base))
        .await;
    assert_eq!(
        body,
        "data: 0\n\nevent: error\ndata: ErrorCode::ConnectionReadTimeout\n\n"
    );
    upstream.saw("given up").await;
    // 100 ms between events is within the limit.
    let body = host
        .body(&format!("/t/impatient?{}/events", upstream.base))
        .await;
    assert!(body.ends_with("data: 4\n\n"), "{body}");
}

#[tokio::test]
async fn large_bodies_pass_whole() {
    let host = Host::start(&[]).await;
    let sent: Bytes = (0..20 << 20)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for path in ["/t/echo", "/t/copy"] {
        let request = http::Request::post(format!("{}{path}", host.base))
            .body(Full::new(sent.clone()))
            .unwrap();
        let response = host.client.request(request).await.unwrap();
        let received = response.into_body().collect().await.unwrap().to_bytes();
        assert!(
            received == sent,
            "{path}: {} of {} bytes",
            received.len(),
            sent.len()
        );
    }
}

#[tokio::test]
async fn the_upstream_learns_that_the_client_left() {
    let host = Host::start(&[]).await;
    for way in ["splice", "raw", "pump"] {
        let upstream = Upstream::start().await;
        let mut response = host
            .send(&format!("/t/{way}?{}/endless", upstream.base))
            .await
            .into_body();
        response.frame().await.unwrap().unwrap();
        drop(response);
        upstream.saw("left").await;
    }
}

#[tokio::test]
async fn instances_are_reused_up_to_their_limits() {
    let host = Host::start(&["--instance-requests", "3", "--instance-idle-ms", "200"]).await;
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(host.body("/t/count").await);
    }
    assert_eq!(counts, ["1", "2", "3", "1", "2"]);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(host.body("/t/count").await, "1");
}

#[tokio::test]
async fn requests_wait_when_all_instances_are_taken() {
    let host = Host::start(&["--instances", "2", "--instance-concurrency", "1"]).await;
    let upstream = Upstream::start().await;
    let start = Instant::now();
    let path = format!("/t/give-up?{}/silent", upstream.base);
    let answers = join_all((0..4).map(|_| host.body(&path))).await;
    assert!(answers.iter().all(|answer| answer == "sleep read send"));
    let elapsed = start.elapsed();
    assert!(
        (Duration::from_millis(600)..Duration::from_millis(1500)).contains(&elapsed),
        "{elapsed:?}"
    );
}

#[tokio::test]
async fn failures_are_an_empty_500_and_pass() {
    let host = Host::start(&[]).await;
    assert_eq!(host.get("/t/fail").await, (500, String::new()));
    assert_eq!(host.get("/t/panic").await, (500, String::new()));
    assert_eq!(host.body("/t/x").await, "ok");
    assert_eq!(host.get("/elsewhere").await, (404, String::new()));
    assert_eq!(host.body("/.well-known/spin/health").await, "OK");
}

/// The first line of the answer to a raw request.
async fn raw(host: &Host, request: &str) -> String {
    let mut stream = TcpStream::connect(host.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length])
        .lines()
        .next()
        .unwrap_or("")
        .to_owned()
}

#[tokio::test]
async fn limits_and_headers_are_spins() {
    let host = Host::start(&[]).await;
    let headers = |count: usize| {
        (0..count)
            .map(|n| format!("x-{n}: 1\r\n"))
            .collect::<String>()
    };
    let with =
        |path: &str, headers: String| format!("GET {path} HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
    assert_eq!(
        raw(&host, &with("/t/x", headers(90))).await,
        "HTTP/1.1 200 OK"
    );
    assert!(
        raw(&host, &with("/t/x", headers(101)))
            .await
            .starts_with("HTTP/1.1 431")
    );
    assert_eq!(
        raw(
            &host,
            &with(&format!("/t/x?{}", "a".repeat(60_000)), String::new())
        )
        .await,
        "HTTP/1.1 200 OK"
    );
    assert!(
        raw(
            &host,
            &with(&format!("/t/x?{}", "a".repeat(70_000)), String::new())
        )
        .await
        .contains("414")
    );
    let names = host.body("/t/headers").await;
    assert!(
        names.contains("spin-client-addr") && !names.contains(r#""host""#),
        "{names}"
    );
}

#[tokio::test]
async fn the_signal_lets_requests_and_tasks_finish() {
    let mut host = Host::start(&[]).await;
    let stream = host.send("/t/events?5,100").await;
    assert_eq!(host.body("/t/background").await, "answered");
    host.terminate();
    let start = Instant::now();
    assert_eq!(arrivals(stream, start).await.len(), 5);
    let status = host.child.wait().await.unwrap();
    assert!(status.success(), "{status}");
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_millis(1500), "{elapsed:?}");
    assert!(TcpStream::connect(host.address()).await.is_err());
}
