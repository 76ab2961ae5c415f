//! The scheduled work of the local gateway: done by itself, and never in the way of serving.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{Gateway, lockgate};
use mock_provider::MockProvider;

const SECRET: &str = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD";
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(folder: &Path, provider: &MockProvider, environment: &[(&str, &str)]) -> Gateway {
    let base_url = format!("{}/v1", provider.base_url());
    let own = [("OPENAI_API_KEY", SECRET), ("OPENAI_BASE_URL", &base_url)];
    Gateway::start(folder, &[environment, &own].concat())
}

#[test]
fn keys_are_checked_without_anybody_asking() {
    let outer = tempfile::tempdir().unwrap();
    let provider = MockProvider::start(0);
    let gateway = start(
        &outer.path().join("data"),
        &provider,
        &[("LOCKGATE_TICK_MS", "50")],
    );
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
    let provider = MockProvider::start(0);
    let environment = [("LOCKGATE_TICK_MS", "20"), ("LOCKGATE_LOG_DAYS", "never")];
    let gateway = start(&outer.path().join("data"), &provider, &environment);
    let token = gateway.after("admin-token: ").to_owned();
    // What the timer is refused with is what whoever asks for it is refused with.
    let (status, refusal) = gateway.json("POST", "/api/tick", &token, "");
    assert_eq!(status, 503, "{refusal}");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(gateway.send("GET", "/api/healthz", "", "").0, 200);
    gateway.stop();
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
