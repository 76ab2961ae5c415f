//! What is recorded of a request, how its end is noticed, and the records over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use mock_provider::{MockProvider, Options, Outcome};
use serde_json::{Value, json};
use support::{Client, SOON, ask, chat, chat_body, request};

#[test]
fn records_a_request_as_it_came() {
    let provider = MockProvider::start(0);
    let body = "{ \"model\" : \"m\",\n \"unknown\": 1.50e+2, \"b\":\"\\u00fc\" }";
    let headers = "Authorization: Bearer sk-1\r\nX-Second: b\r\nX-First: a\r\nX-Second: c\r\n";
    let path = "/base/v1/chat/completions?api-version=1&x=%20";
    let answer = request(&provider, "POST", path, headers, body);
    assert_eq!(answer.header("x-request-id"), Some("mock-1"));
    let all = provider.wait_for_ended(1, SOON).unwrap();
    let one = &all[0];
    assert_eq!((one.id, one.method.as_str()), (1, "POST"));
    assert_eq!(one.path, "/base/v1/chat/completions");
    assert_eq!(one.query, "api-version=1&x=%20");
    assert_eq!(one.body, body.as_bytes());
    assert_eq!(one.secret.as_deref(), Some("sk-1"));
    let headers: Vec<(&str, &str)> = one
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        headers,
        [
            ("host", "mock"),
            ("authorization", "Bearer sk-1"),
            ("x-second", "b"),
            ("x-second", "c"),
            ("x-first", "a"),
            ("content-length", &body.len().to_string()),
        ]
    );
    assert_eq!(one.header("x-first"), Some("a"));
    assert_eq!(one.outcome, Some(Outcome::Completed));
    let (head, end) = (one.head_at.unwrap(), one.ended_at.unwrap());
    assert!(one.started_at <= head && head <= end);
}

#[test]
fn finds_the_key_in_each_header() {
    let provider = MockProvider::start(0);
    for (header, secret) in [
        ("authorization: bearer k1\r\n", Some("k1")),
        ("x-api-key: k2\r\n", Some("k2")),
        ("api-key: k3\r\n", Some("k3")),
        ("x-goog-api-key: k4\r\n", Some("k4")),
        ("authorization: Basic abc\r\n", None),
        ("", None),
    ] {
        request(&provider, "GET", "/v1/models", header, "");
        let one = provider.take_requests().pop().unwrap();
        assert_eq!(one.secret.as_deref(), secret);
    }
}

#[test]
fn requests_on_one_connection_and_over_providers_are_in_order() {
    let (first, second) = (MockProvider::start(0), MockProvider::start(0));
    let mut client = Client::new(&first);
    for _ in 0..3 {
        client.send("POST", "/v1/chat/completions", "", &chat_body("m", true));
        assert!(client.answer().whole);
    }
    chat(&second, "m", false);
    let ids: Vec<u64> = first.requests().iter().map(|one| one.id).collect();
    assert_eq!(ids, [1, 2, 3]);
    let last = first.requests()[2].started_seq;
    assert!(second.requests()[0].started_seq > last);
    assert_eq!(first.take_requests().len(), 3);
    assert!(first.requests().is_empty());
    chat(&first, "m", false);
    assert_eq!(first.requests()[0].id, 4);
    first.clear();
    assert!(first.requests().is_empty());
}

#[test]
fn a_client_that_leaves_is_noticed_at_once() {
    let provider = MockProvider::start(0);
    // While it waits between events, before the head, and while the provider waits for room to write.
    for model in [
        "mock-events-3-60000",
        "mock-slow-head-60000",
        "mock-events-10000000-0",
        "mock-stall-1",
    ] {
        provider.clear();
        let client = ask(&provider, model, true);
        provider.wait_for(1, SOON).expect("the request");
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(provider.requests()[0].outcome, None, "{model}");
        let left = Instant::now();
        drop(client);
        let one = provider.wait_for_ended(1, SOON).expect(model).remove(0);
        assert_eq!(one.outcome, Some(Outcome::ClientLeft), "{model}");
        let noticed = one.ended_at.unwrap() - left;
        assert!(noticed < Duration::from_millis(300), "{model}: {noticed:?}");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_request() {
    let provider = MockProvider::start(0);
    let mut client = Client::new(&provider);
    client.send_raw(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\ncontent-length: 1000\r\n\r\n{\"model\"",
    );
    assert!(provider.wait_for(1, Duration::from_millis(100)).is_none());
    drop(client);
    let one = provider.wait_for_ended(1, SOON).unwrap().remove(0);
    assert_eq!(one.outcome, Some(Outcome::ClientLeft));
    assert_eq!(one.body, b"{\"model\"");
}

#[test]
fn a_chunked_request_with_many_headers() {
    let provider = MockProvider::start(0);
    let mut client = Client::new(&provider);
    let headers: String = (0..10_000).map(|n| format!("x-{n}: 1\r\n")).collect();
    let head = format!(
        "POST /v1/embeddings HTTP/1.1\r\nhost: m\r\n{headers}transfer-encoding: chunked\r\n\r\n"
    );
    client.send_raw(head.as_bytes());
    client.send_raw(b"5\r\n{\"mod\r\n9\r\nel\":\"m\"} \r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    let one = provider.take_requests().remove(0);
    assert_eq!(one.body, b"{\"model\":\"m\"} ");
    assert_eq!(one.headers.len(), 10_002);
}

#[test]
fn records_over_http() {
    let provider = MockProvider::start(0);
    let admin = |method| request(&provider, method, "/_mock/requests", "", "").json();
    assert_eq!(admin("GET"), json!([]));
    request(
        &provider,
        "POST",
        "/v1/chat/completions?q=1",
        "x-api-key: k\r\n",
        "{\"model\":\"m\"}",
    );
    chat(&provider, "mock-break-1", true);
    let mut silent = Client::new(&provider);
    let mut body = chat_body("mock-silent", false);
    body.extend_from_slice(b" ");
    silent.send("POST", "/chat/completions", "", &body);
    provider.wait_for(3, SOON).unwrap();
    let list = admin("GET");
    let one = &list[0];
    assert_eq!(one["id"], 1);
    assert_eq!(one["method"], "POST");
    assert_eq!(one["path"], "/v1/chat/completions");
    assert_eq!(one["query"], "q=1");
    assert_eq!(one["headers"][1], json!(["x-api-key", "k"]));
    assert_eq!(one["body"], "{\"model\":\"m\"}");
    assert_eq!(one["body_base64"], BASE64.encode(b"{\"model\":\"m\"}"));
    assert_eq!(one["secret"], "k");
    assert_eq!(one["outcome"], "completed");
    let ms = |field: &str| one[field].as_f64().unwrap();
    assert!(ms("started_ms") <= ms("head_ms") && ms("head_ms") <= ms("ended_ms"));
    assert_eq!(list[1]["outcome"], "broken");
    assert_eq!(list[2]["outcome"], Value::Null);
    assert_eq!(admin("DELETE"), json!({"forgotten": 3}));
    assert_eq!(admin("GET"), json!([]));
    assert_eq!(
        request(&provider, "PUT", "/_mock/requests", "", "").status,
        405
    );
}

#[test]
fn without_records() {
    let options = Options {
        port: 0,
        record: false,
    };
    let provider = MockProvider::try_start(options).unwrap();
    let answer = chat(&provider, "m", false);
    assert_eq!(answer.header("x-request-id"), Some("mock-1"));
    assert!(provider.requests().is_empty());
}

#[test]
fn dropped_it_is_gone_and_its_port_is_free() {
    let provider = MockProvider::start(0);
    let port = provider.address().port();
    assert_eq!(provider.base_url(), format!("http://127.0.0.1:{port}"));
    let mut client = ask(&provider, "mock-silent", false);
    provider.wait_for(1, SOON).unwrap();
    assert!(
        MockProvider::try_start(Options { port, record: true }).is_err(),
        "the port is taken"
    );
    drop(provider);
    assert!(client.closed());
    let again = MockProvider::start(port);
    assert_eq!(chat(&again, "m", false).status, 200);
}

#[test]
fn the_program_says_where_it_listens() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mock-provider"))
        .args(["--port", "0", "--no-record"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("listening on http://127.0.0.1:");
    let connected = std::net::TcpStream::connect(("127.0.0.1", port.unwrap().parse().unwrap()));
    program.kill().unwrap();
    program.wait().unwrap();
    connected.unwrap();
}
