//! The commands that talk to a running gateway.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Output;
use std::thread::JoinHandle;

use common::{Documented, Gateway, good, lockgate};
use mock_provider::MockProvider;
use serde_json::{Value, json};

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

const ROUTES: &str = "\
routes:
  - name: chat
    match: { models: [fast] }
    targets: [{ target: main }]
providers:
  targets:
    - { id: main, provider: openai, model: gpt-4o }
";

#[test]
fn what_a_request_would_get_is_told_and_is_what_it_gets() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let provider = MockProvider::start(0);
    let base_url = format!("{}/v1", provider.base_url());
    let gateway = Gateway::start(folder, &[]);
    let cli = |arguments: &[&str]| gateway.cli(folder, arguments, FIRST);
    let say = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let add = [
        "provider-key",
        "add",
        "openai",
        "--name",
        "main",
        "--base-url",
        &base_url,
    ];
    good(&cli(&add));
    good(&cli(&[
        "agent",
        "create",
        "app",
        "--tag",
        "environment=production",
    ]));
    let key = good(&cli(&[
        "gateway-key",
        "create",
        "--name",
        "app",
        "--agent",
        "app",
    ]));
    let body = r#"{"model":"gpt-4o","messages":[]}"#;
    let ask = || {
        gateway
            .send("POST", "/v1/chat/completions", key.trim(), body)
            .0
    };
    let simulate = ["simulate", "--agent", "app", "--model", "gpt-4o"];

    let none = cli(&simulate);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        say(&none).starts_with("decision: no_role_attached\n"),
        "{}",
        say(&none)
    );
    assert!(
        String::from_utf8(none.stderr)
            .unwrap()
            .contains("403 access_denied")
    );
    assert_eq!(ask(), 403);

    let role = [
        "role",
        "create",
        "same",
        "--allow",
        "openai/*",
        "--tags-match",
        "environment",
    ];
    assert!(good(&cli(&role)).contains("same"));
    assert!(good(&cli(&["role", "list"])).contains("tags_match"));
    good(&cli(&["agent", "patch", "app", "--role", "same"]));
    let listed = good(&cli(&["agent", "list"]));
    assert!(
        listed.contains("role_") && listed.contains("production"),
        "{listed}"
    );
    let apart = cli(&simulate);
    assert_eq!(apart.status.code(), Some(1));
    let told = say(&apart);
    assert!(told.starts_with("decision: tag_mismatch\n"), "{told}");
    assert!(
        told.contains("PROVIDER_KEY") && told.contains("next step: "),
        "{told}"
    );
    assert_eq!(ask(), 403);

    let token = std::fs::read_to_string(folder.join("admin-token")).unwrap();
    let tags = r#"{"environment":"production"}"#;
    let (status, _) = gateway.send("PUT", "/api/provider-keys/main/tags", token.trim(), tags);
    assert_eq!(status, 200);
    assert!(good(&cli(&simulate)).contains("provider key: main\n"));
    let answer = good(&cli(&[&simulate, ["--json"].as_slice()].concat()));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["decision"], "ready");
    let documented = Documented::of(&gateway);
    documented.is("Simulation", &answer);
    documented.is("SimulatedTarget", &answer["targets"][0]);
    documented.is("Note", &answer["statements"][0]);
    documented.is("TagRow", &answer["tags"][0]);
    assert_eq!(ask(), 200);

    // Asking about nothing and changing nothing are mistakes of the command line.
    assert_eq!(cli(&["simulate", "--agent", "app"]).status.code(), Some(2));
    assert_eq!(cli(&["agent", "patch", "app"]).status.code(), Some(2));
    let statements = folder.join("statements.json");
    std::fs::write(&statements, "[{").unwrap();
    let file = statements.to_str().unwrap();
    let broken = cli(&["role", "create", "x", "--statements", file]);
    assert_eq!(broken.status.code(), Some(2));
    let none = r#"[{"effect":"deny","actions":["*"],"resources":["*"]}]"#;
    std::fs::write(&statements, none).unwrap();
    good(&cli(&["role", "create", "none", "--statements", file]));
    good(&cli(&[
        "agent", "patch", "app", "--role", "same", "--role", "none",
    ]));
    assert!(say(&cli(&simulate)).starts_with("decision: denied_by_policy\n"));
    assert_eq!(ask(), 403);
}

#[test]
fn configurations_are_checked_compared_and_applied_from_files() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let gateway = Gateway::start(folder, &[]);
    let cli = |arguments: &[&str]| gateway.cli(folder, arguments, "");
    let token = std::fs::read_to_string(folder.join("admin-token")).unwrap();
    let stored = || {
        let path = "/api/configurations/main";
        gateway.json("GET", path, token.trim(), "").1
    };
    let file = folder.join("routes.yaml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, ROUTES.replace("target: main", "target: mian")).unwrap();
    let checked = cli(&["config", "validate", path]);
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.starts_with(&format!("{path}:4:")), "{said}");
    assert!(
        said.contains(": error: ") && said.contains("mian"),
        "{said}"
    );
    let body = json!({"document": "x: 1"}).to_string();
    let ask = |method, path, body| gateway.json(method, path, token.trim(), body).1;
    let found = ask("POST", "/api/configurations/validate", &body);
    let documented = Documented::of(&gateway);
    documented.is("Validation", &found);
    documented.is("Problem", &found["problems"][0]);
    // It is kept as a draft, and not applied.
    let refused = cli(&["config", "apply", "main", path, "--yes"]);
    assert_eq!(refused.status.code(), Some(1));
    let difference = ask("GET", "/api/configurations/main/diff", "");
    documented.is("Difference", &difference);
    assert_eq!(stored()["version"], 0);
    assert!(
        stored()["draft"]["document"]
            .as_str()
            .unwrap()
            .contains("mian")
    );

    std::fs::write(&file, ROUTES).unwrap();
    assert!(good(&cli(&["config", "validate", path])).contains("no problems"));
    let unasked = cli(&["config", "apply", "main", path]);
    assert_eq!(unasked.status.code(), Some(2), "nobody can be asked here");
    let applied = good(&cli(&["config", "apply", "main", path, "--yes"]));
    assert!(
        applied.contains("+    match: { models: [fast] }"),
        "{applied}"
    );
    assert!(applied.contains("applied main version 1"), "{applied}");
    assert_eq!(stored()["document"], ROUTES);
    let again = good(&cli(&["config", "apply", "main", path, "--yes"]));
    assert!(again.contains("already, as version 1"), "{again}");

    let changed = ROUTES.replace("[fast]", "[quick]");
    std::fs::write(&file, &changed).unwrap();
    let before = stored();
    let difference = good(&cli(&["config", "diff", "main", path]));
    for line in [
        "-    match: { models: [fast] }",
        "+    match: { models: [quick] }",
    ] {
        assert!(difference.contains(line), "{difference}");
    }
    assert_eq!(stored(), before, "a diff stores nothing");
    let difference = good(&cli(&["config", "diff", "main", path, "--draft"]));
    assert!(difference.contains("quick"), "{difference}");
    assert_eq!(stored()["draft"]["document"], changed);
    assert_eq!(stored()["version"], 1);
    let unread = cli(&["config", "validate", "not-there.yaml"]);
    assert_eq!(unread.status.code(), Some(2));
}

/// Answers one request after another, each on a connection of its own, and tells what they were.
fn stand_in(answers: Vec<(&'static str, Value)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                stream.read_line(&mut request).unwrap();
            }
            let head = request.to_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            let mut sent = vec![0; length];
            stream.read_exact(&mut sent).unwrap();
            requests.push(head + std::str::from_utf8(&sent).unwrap());
            let answer = body.to_string();
            let length = answer.len();
            write!(
                stream.get_mut(),
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            )
            .unwrap();
        }
        requests
    });
    (url, served)
}

#[test]
fn what_somebody_else_applied_meanwhile_is_shown_and_not_overwritten() {
    let outer = tempfile::tempdir().unwrap();
    let file = outer.path().join("routes.yaml");
    std::fs::write(&file, ROUTES).unwrap();
    let (url, served) = stand_in(vec![
        ("200 OK", json!({"etag": "\"7\"", "problems": []})),
        (
            "200 OK",
            json!({"from_version": 3, "changed": true, "diff": "-mine\n+yours\n", "problems": []}),
        ),
        (
            "412 Precondition Failed",
            json!({"error": {"code": "stale_etag", "message": "Version 4 is live, not 3.",
                "lockgate": {"diff": "-theirs\n+yours\n"}}}),
        ),
    ]);
    let path = file.to_str().unwrap();
    let lost = lockgate(outer.path(), &[("LOCKGATE_URL", &url)])
        .args(["config", "apply", "main", path, "--yes"])
        .args(["--admin-token", "x"])
        .output()
        .unwrap();
    assert_eq!(lost.status.code(), Some(1));
    let said = String::from_utf8(lost.stdout).unwrap();
    assert_eq!(said, "-mine\n+yours\n-theirs\n+yours\n");
    let errors = String::from_utf8(lost.stderr).unwrap();
    assert!(errors.contains("Version 4 is live, not 3."), "{errors}");
    let requests = served.join().unwrap();
    assert!(requests[0].starts_with("put /api/configurations/main/draft "));
    assert!(requests[1].starts_with("get /api/configurations/main/diff "));
    let apply = &requests[2];
    assert!(apply.starts_with("post /api/configurations/main/apply "));
    // Only what was shown is applied, and only in place of what it was compared with.
    assert!(apply.contains("if-match: \"7\"\r\n"), "{apply}");
    assert!(apply.ends_with(r#"{"expected_version":3}"#), "{apply}");
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
