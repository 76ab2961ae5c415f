//! `lockgate vault` against a running gateway, and a gateway whose vault is away.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::process::Output;

use common::{Documented, Gateway, bad, good};
use mock_vault::gcp::{Gcp, KEY};
use mock_vault::{Fault, MockVault};
use serde_json::{Value, json};

const SECRET: &str = "sk-proj-first-0123456789abcdefghijklmnopqrstuvwxyz";

/// A key management service, as the gateway is told of it. The timer is off, so that only commands move anything.
struct Kms {
    gcp: Gcp,
    server: MockVault,
    credentials: String,
    endpoint: String,
}

impl Kms {
    fn start() -> Self {
        let gcp = Gcp::new();
        let server = MockVault::start(gcp.clone());
        Self {
            credentials: Gcp::credentials(),
            endpoint: server.base_url(),
            gcp,
            server,
        }
    }

    /// The settings, with the vault named in this one.
    fn named_in<'a>(&'a self, setting: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            (setting, "gcp-kms"),
            ("LOCKGATE_VAULT_GCP_KEY", KEY),
            ("LOCKGATE_VAULT_GCP_CREDENTIALS", &self.credentials),
            ("LOCKGATE_VAULT_GCP_ENDPOINT", &self.endpoint),
            ("LOCKGATE_TICK_MS", "0"),
        ]
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        self.named_in("LOCKGATE_VAULT")
    }
}

fn save(gateway: &Gateway, folder: &Path, names: &[&str]) {
    for name in names {
        let add = ["provider-key", "add", "openai", "--name", name];
        good(&gateway.cli(folder, &add, SECRET));
    }
}

fn vault(gateway: &Gateway, folder: &Path, arguments: &[&str]) -> Output {
    gateway.cli(folder, &[&["vault"], arguments].concat(), "")
}

#[test]
fn a_vault_is_shown_rotated_and_rewrapped() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let kms = Kms::start();
    let gateway = Gateway::start(folder, &kms.settings());
    assert!(gateway.printed.contains("\nvault: gcp-kms\n"));
    let cli = |arguments: &[&str]| vault(&gateway, folder, arguments);
    save(&gateway, folder, &["one", "two", "three"]);

    let shown = good(&cli(&["status"]));
    assert!(shown.contains("vault: gcp-kms\n"), "{shown}");
    assert!(shown.contains("secrets: 3, all under it"), "{shown}");
    assert!(
        shown.contains("used for 3600 s, and is not kept"),
        "{shown}"
    );
    let kek = shown
        .lines()
        .find_map(|line| line.strip_prefix("KEK in force: "));
    let first = kek.unwrap().to_owned();

    let rotated = good(&cli(&["rotate"]));
    let second = rotated.lines().find_map(|line| line.strip_prefix("is  "));
    let second = second.unwrap().to_owned();
    assert!(rotated.contains(&format!("was {first}\n")), "{rotated}");
    assert_ne!(first, second);

    let shown = bad(&cli(&["status"]), 1);
    assert!(
        shown.contains("secrets: 3, 3 of them to be moved"),
        "{shown}"
    );
    assert!(shown.contains("not everything is under"), "{shown}");
    let row = |kek: &str| {
        let line = shown.lines().find(|line| line.starts_with(kek)).unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row(&second), "gcp-kms 0 in force");
    assert_eq!(row(&first), "gcp-kms 3 readable");

    let moved = good(&cli(&["rewrap", "--limit", "1"]));
    let steps: Vec<&str> = moved.lines().collect();
    let last = format!("everything is under {second}");
    assert_eq!(
        steps,
        ["moved 1 of 3", "moved 2 of 3", "moved 3 of 3", &last]
    );
    let json = good(&cli(&["status", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["secrets"], &json["under_kek"]),
        (&json!(3), &json!(3))
    );
    Documented::of(&gateway).is("Vault", &json);
    good(&cli(&["status"]));
    assert_eq!(good(&cli(&["rewrap"])), format!("{last}\n"));
}

#[test]
fn answers_have_the_fields_that_are_documented() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let kms = Kms::start();
    let gateway = Gateway::start(folder, &kms.settings());
    let token = gateway.after("admin-token: ").to_owned();
    let documented = Documented::of(&gateway);
    save(&gateway, folder, &["one", "two", "three"]);
    let call = |method: &str, path: &str, body: &str| {
        let (status, answer) = gateway.json(method, &format!("/api/vault{path}"), &token, body);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    documented.is("VaultRotated", &call("POST", "/rotate", ""));
    let standing = call("GET", "", "");
    documented.is("Vault", &standing);
    for kek in standing["keks"].as_array().unwrap() {
        documented.is("VaultKek", kek);
    }
    // What a vault does not open stays where it is, and is named.
    kms.gcp.set_state(1, "DISABLED");
    let rewrapped = call("POST", "/rewrap", r#"{"limit":2}"#);
    documented.is("VaultRewrapped", &rewrapped);
    assert_eq!(rewrapped["failed"].as_array().unwrap().len(), 2);
    documented.is("VaultFailure", &rewrapped["failed"][0]);
    let flags = [
        &rewrapped["done"],
        &rewrapped["stopped"],
        &rewrapped["rewrapped"],
    ];
    assert_eq!(flags, [&json!(false), &json!(false), &json!(0)]);
    let cursor = rewrapped["next_cursor"].as_str().unwrap();
    let rest = call("POST", "/rewrap", &json!({"cursor": cursor}).to_string());
    assert_eq!(rest["failed"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], Value::Null);
    // Wrong bodies are told by the field.
    for (body, param) in [
        (r#"{"limit":0}"#, "limit"),
        (r#"{"limit":501}"#, "limit"),
        (r#"{"cursor":"x"}"#, "cursor"),
        (r#"{"all":true}"#, "all"),
    ] {
        let (status, answer) = gateway.json("POST", "/api/vault/rewrap", &token, body);
        assert_eq!(
            (status, &answer["error"]["param"]),
            (400, &json!(param)),
            "{body}"
        );
    }
    let (status, _) = gateway.json("GET", "/api/vault?limit=1", &token, "");
    assert_eq!(status, 400);
}

#[test]
fn what_cannot_be_moved_is_named_and_stays() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let kms = Kms::start();
    let gateway = Gateway::start(folder, &kms.settings());
    let cli = |arguments: &[&str]| vault(&gateway, folder, arguments);
    save(&gateway, folder, &["one", "two"]);
    good(&cli(&["rotate"]));
    kms.gcp.set_state(1, "DISABLED");
    let said = bad(&cli(&["rewrap", "--limit", "1"]), 1);
    for name in ["openai/one version 1", "openai/two version 1"] {
        let line = format!("not moved: {name} in workspace default, under gcp-kms:");
        assert!(said.contains(&line), "{said}");
    }
    assert!(
        said.contains("secrets that could not be moved: 2"),
        "{said}"
    );
    assert!(!said.contains(SECRET));
    kms.gcp.set_state(1, "ENABLED");
    assert!(good(&cli(&["rewrap"])).contains("moved 2 of 2"));

    kms.server.fail(Fault::Down);
    let shown = bad(&cli(&["status"]), 1);
    assert!(
        shown.contains("KEK in force: not known, gcp-kms does not answer"),
        "{shown}"
    );
    assert!(shown.contains("the vault cannot be used"), "{shown}");
    for arguments in [["rewrap"], ["rotate"]] {
        let said = bad(&cli(&arguments), 1);
        assert!(said.contains("does not answer"), "{said}");
    }
}

#[test]
fn a_move_from_a_vault_that_goes_away_is_stopped_and_gone_on_with() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let kms = Kms::start();
    let before = Gateway::start(folder, &kms.settings());
    save(&before, folder, &["one", "two"]);
    before.stop();

    let leaving = kms.named_in("LOCKGATE_VAULT_PREVIOUS");
    kms.server.fail(Fault::Down);
    let gateway = Gateway::start(folder, &leaving);
    assert!(
        gateway
            .printed
            .contains("vault: local; gcp-kms can still be read")
    );
    let said = bad(&vault(&gateway, folder, &["rewrap"]), 1);
    assert!(said.contains("not moved: openai/") && said.contains("does not answer"));
    assert!(
        said.contains("stopped, since the vault does not answer"),
        "{said}"
    );
    gateway.stop();

    kms.server.fail(Fault::None);
    // It forgets with its end for how long it would have left the vault alone.
    let gateway = Gateway::start(folder, &leaving);
    let said = good(&vault(&gateway, folder, &["rewrap"]));
    assert!(
        said.contains("moved 2 of 2\neverything is under kek_"),
        "{said}"
    );
    gateway.stop();

    let after = Gateway::start(folder, &[]);
    assert!(
        after.printed.contains("\nvault: local\n"),
        "{}",
        after.printed
    );
    assert!(good(&vault(&after, folder, &["status"])).contains("secrets: 2, all under it"));
    let said = bad(&vault(&after, folder, &["rotate"]), 1);
    assert!(said.contains("LOCKGATE_KEK_PREVIOUS"), "{said}");
}

#[test]
fn a_gateway_starts_while_its_vault_is_away_and_says_so() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let kms = Kms::start();
    kms.server.fail(Fault::Down);
    let mut settings = kms.settings();
    settings.extend([("OPENAI_API_KEY", SECRET), ("OPENAI_API_KEY_2", SECRET)]);
    let (gateway, mut errors) = Gateway::heard(folder, &settings);
    let mut warning = String::new();
    errors.read_line(&mut warning).unwrap();
    assert!(
        warning.starts_with("warning: gcp-kms does not answer: "),
        "{warning}"
    );
    assert!(
        warning.contains("new provider keys cannot be saved"),
        "{warning}"
    );
    assert!(gateway.printed.contains("OPENAI_API_KEY is not imported: "));
    let waiting = "waiting for the vault: OPENAI_API_KEY, OPENAI_API_KEY_2";
    assert!(gateway.printed.contains(waiting), "{}", gateway.printed);
    good(&gateway.cli(folder, &["healthcheck"], ""));
    let token = gateway.after("admin-token: ").to_owned();
    let body = json!({"provider": "openai", "name": "x", "secret": SECRET}).to_string();
    let (status, answer) = gateway.json("POST", "/api/provider-keys", &token, &body);
    let code = &answer["error"]["code"];
    assert_eq!(
        (status, code),
        (503, &json!("vault_unavailable")),
        "{answer}"
    );
    gateway.stop();

    kms.server.fail(Fault::None);
    let (gateway, mut errors) = Gateway::heard(folder, &settings);
    assert!(
        gateway.printed.contains("imported OPENAI_API_KEY_2"),
        "{}",
        gateway.printed
    );
    gateway.stop();
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn neither_start_nor_stop_waits_for_a_vault_that_is_silent() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let kms = Kms::start();
    kms.server.fail(Fault::Silent);
    let mut settings = kms.settings();
    settings.push(("LOCKGATE_VAULT_TIMEOUT_MS", "60000"));
    let (gateway, mut errors) = Gateway::heard(folder, &settings);
    good(&gateway.cli(folder, &["healthcheck"], ""));
    gateway.stop();
    // Had anybody waited until the time was over, the warning would be there.
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}
