//! The scheduled work of the local gateway: done by itself, and never in the way of serving.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Gateway, lockgate};
use mock_provider::MockProvider;

const SECRET: &str = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD";
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn keys_are_checked_without_anybody_asking() {
    let outer = tempfile::tempdir().unwrap();
    let provider = MockProvider::start(0);
    let base_url = format!("{}/v1", provider.base_url());
    let environment = [
        ("OPENAI_API_KEY", SECRET),
        ("OPENAI_BASE_URL", &base_url),
        ("LOCKGATE_TICK_MS", "50"),
    ];
    let gateway = Gateway::start(&outer.path().join("data"), &environment);
    let token = gateway.after("admin-token: ").to_owned();
    let begun = Instant::now();
    loop {
        let (_, keys) = gateway.json("GET", "/api/provider-keys", &token, "");
        if keys["items"][0]["health"] == "ok" {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{keys}");
        std::thread::sleep(Duration::from_millis(20));
    }
    gateway.stop();
}

#[test]
fn a_run_that_fails_is_told_and_the_gateway_goes_on() {
    let outer = tempfile::tempdir().unwrap();
    let environment = [("LOCKGATE_TICK_MS", "20"), ("LOCKGATE_LOG_DAYS", "never")];
    let mut child = lockgate(&outer.path().join("data"), &environment)
        .args(["gateway", "run", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = printed.map_while(Result::ok);
    let address = printed.find_map(|line| {
        let url = line.strip_prefix("listening on http://");
        url.map(str::to_owned)
    });
    let told = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = told.map_while(Result::ok);
    // The second one shows that the first did not end the timer.
    let runs = told.filter(|line| line.starts_with("scheduled work: misconfigured: "));
    let runs: Vec<String> = runs.take(2).collect();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|line| line.contains("LOCKGATE_LOG_DAYS")));
    let mut client = TcpStream::connect(address.unwrap()).unwrap();
    client
        .write_all(b"GET /api/healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_setting_that_is_no_number_is_refused() {
    let outer = tempfile::tempdir().unwrap();
    let run = lockgate(&outer.path().join("data"), &[("LOCKGATE_TICK_MS", "1 s")])
        .args(["gateway", "run", "--port", "0"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.contains("LOCKGATE_TICK_MS: “1 s”"), "{told}");
}
