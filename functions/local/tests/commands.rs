//! The commands that talk to a running gateway.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Gateway, good, lockgate};
use mock_provider::MockProvider;

const FIRST: &str = "sk-proj-first-0123456789abcdefghijklmnopqrstuvwxyz";
const SECOND: &str = "sk-proj-second-0123456789abcdefghijklmnopqrstuvwxy";

#[test]
fn keys_are_added_rotated_listed_and_revoked() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let provider = MockProvider::start(0);
    let base_url = format!("{}/v1", provider.base_url());
    let gateway = Gateway::start(folder, &[]);
    let cli = |arguments: &[&str], input: &str| gateway.cli(folder, arguments, input);

    let add = [
        "provider-key",
        "add",
        "openai",
        "--name",
        "prod us",
        "--base-url",
        &base_url,
        "--default",
    ];
    let said = good(&cli(&add, &format!("{FIRST}\n")));
    assert!(
        said.starts_with("saved prod us") && !said.contains(FIRST),
        "{said}"
    );
    let twice = cli(&add, FIRST);
    assert_eq!(twice.status.code(), Some(1));
    assert!(String::from_utf8(twice.stderr).unwrap().contains("prod us"));
    let none = cli(&add, "");
    assert_eq!(none.status.code(), Some(2));

    let made = good(&cli(
        &[
            "gateway-key",
            "create",
            "--name",
            "app",
            "--expires-in",
            "90d",
        ],
        "",
    ));
    let key = made.trim();
    let body = r#"{"model":"openai/gpt-4o","messages":[]}"#;
    let ask = || gateway.send("POST", "/v1/chat/completions", key, body).0;
    assert_eq!(ask(), 200);
    let rotated = lockgate(folder, &[("LOCKGATE_URL", &gateway.url), ("NEW", SECOND)])
        .args([
            "provider-key",
            "rotate",
            "prod us",
            "--secret-from-env",
            "NEW",
        ])
        .output()
        .unwrap();
    assert!(good(&rotated).contains("version 2"));
    assert_eq!(ask(), 200);
    let secrets: Vec<_> = provider
        .requests()
        .into_iter()
        .map(|request| request.secret.unwrap())
        .collect();
    assert_eq!(secrets, [FIRST, SECOND]);

    let list = good(&cli(&["provider-key", "list"], ""));
    assert!(list.contains("prod us") && !list.contains(SECOND), "{list}");
    assert!(good(&cli(&["gateway-key", "list"], "")).contains("app"));
    good(&cli(&["gateway-key", "revoke", "app"], ""));
    assert_eq!(ask(), 401);

    let mut logs = String::new();
    for _ in 0..50 {
        logs = good(&cli(&["logs", "tail", "-n", "5"], ""));
        if logs.lines().count() >= 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(logs.contains(" 200 openai gpt-4o local byok "), "{logs}");
    good(&cli(&["healthcheck"], ""));
}

#[test]
fn a_gateway_that_is_not_there_and_a_wrong_token_are_said() {
    let outer = tempfile::tempdir().unwrap();
    let nobody = lockgate(outer.path(), &[])
        .args(["gateway-key", "list"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(2));
    assert!(
        String::from_utf8(nobody.stderr)
            .unwrap()
            .contains("LOCKGATE_ADMIN_TOKEN")
    );
    let refused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let health = lockgate(outer.path(), &[])
        .args(["healthcheck", "--url", &format!("http://{refused}")])
        .output()
        .unwrap();
    assert_eq!(health.status.code(), Some(1));
    let gateway = Gateway::start(outer.path(), &[]);
    let wrong = lockgate(outer.path(), &[("LOCKGATE_URL", &gateway.url)])
        .args(["provider-key", "list", "--admin-token", "wrong"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("token"));
}
