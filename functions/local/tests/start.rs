//! Starting the local gateway: the first time, again, and with settings that cannot be used.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Gateway, good, lockgate};
use mock_provider::MockProvider;

const SECRET: &str = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD";

fn provider() -> (MockProvider, String) {
    let provider = MockProvider::start(0);
    let url = format!("{}/v1", provider.base_url());
    (provider, url)
}

fn ask(gateway: &Gateway, key: &str) -> (u16, String) {
    let body =
        r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Say hello."}]}"#;
    gateway.send("POST", "/v1/chat/completions", key, body)
}

/// Every file of the folder and what they hold.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_first_start_prints_what_is_needed_and_the_line_streams() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("data");
    let (provider, base_url) = provider();
    let environment = [
        ("OPENAI_API_KEY", SECRET),
        (
            "OPENAI_API_KEY_2",
            "another form of key, as a stand-in may have",
        ),
        ("OPENAI_BASE_URL", base_url.as_str()),
        ("MISTRAL_KEY", "not read"),
        ("GROQ_API_KEY", "lgk_an_application_has_this"),
    ];
    let gateway = Gateway::start(&folder, &environment);
    assert!(!gateway.printed.contains(SECRET));
    assert!(gateway.printed.contains("did you mean MISTRAL_API_KEY"));
    assert!(gateway.printed.contains("GROQ_API_KEY holds a gateway key"));
    let token = gateway.after("admin-token: ").to_owned();
    assert!(token.starts_with("lga_") && token.len() >= 32, "{token}");
    let key = gateway.after("gateway key, shown only now: ").to_owned();
    // The line to try, as it was printed, without a shell.
    let line = gateway.after("curl -N ");
    assert!(
        line.starts_with(&format!("{}/v1/chat/completions ", gateway.url)),
        "{line}"
    );
    assert!(line.contains(&format!("'Authorization: Bearer {key}'")));
    let body = line.split(" -d '").nth(1).unwrap().trim_end_matches('\'');
    let (status, answer) = gateway.send("POST", "/v1/chat/completions", &key, body);
    assert_eq!(status, 200, "{answer}");
    // It is served because a role says so, and the greeting tells how to narrow that.
    let workspace = gateway.json("GET", "/api/workspaces/default", &token, "").1;
    assert_eq!(workspace["access"], "enforced");
    assert!(!gateway.printed.contains("warning:"), "{}", gateway.printed);
    assert!(gateway.printed.contains("lockgate simulate --agent local"));
    assert!(
        answer.contains("data: {") && answer.contains("data: [DONE]"),
        "{answer}"
    );
    assert_eq!(provider.requests()[0].secret.as_deref(), Some(SECRET));

    let (status, keys) = gateway.json("GET", "/api/provider-keys", &token, "");
    assert_eq!(status, 200);
    let names: Vec<_> = keys["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["OPENAI_API_KEY", "OPENAI_API_KEY_2"]);
    assert_eq!(ask(&gateway, "lgk_wrong").0, 401);
    assert_eq!(gateway.send("GET", "/nothing", "", "").0, 404);
    assert_eq!(gateway.send("GET", "/v11", "", "").0, 404);
    assert_eq!(
        gateway.send("GET", "/api/provider-keys", "wrong", "").0,
        401
    );
    let later = gateway.stop();
    assert_eq!(later, "", "nothing is printed while it serves");
    for (name, content) in files(&folder) {
        let holds = |text: &str| {
            content
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(!holds(SECRET) && !holds(&key), "{name}");
        assert!(name == "admin-token" || !holds(&token), "{name}");
    }
}

#[test]
fn what_a_key_needs_beside_its_secret_is_imported_too() {
    let outer = tempfile::tempdir().unwrap();
    let token = "cfut_0123456789abcdefghijklmnopqrstuvwxyz";
    let account = "0123456789abcdef0123456789abcdef";
    let environment = [
        ("CLOUDFLARE_API_TOKEN", token),
        ("CLOUDFLARE_ACCOUNT_ID", account),
    ];
    let gateway = Gateway::start(outer.path(), &environment);
    let admin = gateway.after("admin-token: ").to_owned();
    let (_, keys) = gateway.json("GET", "/api/provider-keys", &admin, "");
    assert_eq!(
        keys["items"][0]["provider"], "cloudflare-workers-ai",
        "{keys}"
    );
    assert_eq!(keys["items"][0]["options"]["account_id"], account);
}

#[test]
fn a_later_start_shows_no_secret_and_brings_nothing_back() {
    let outer = tempfile::tempdir().unwrap();
    let (_provider, base_url) = provider();
    let environment = [
        ("OPENAI_API_KEY", SECRET),
        ("OPENAI_BASE_URL", base_url.as_str()),
    ];
    let first = Gateway::start(outer.path(), &environment);
    let token = first.after("admin-token: ").to_owned();
    let key = first.after("gateway key, shown only now: ").to_owned();
    first.stop();

    let second = Gateway::start(outer.path(), &environment);
    assert!(
        !second.printed.contains("lga_") && !second.printed.contains("lgk_"),
        "{}",
        second.printed
    );
    assert!(!second.printed.contains("imported"));
    assert_eq!(ask(&second, &key).0, 200);
    for path in [
        "/api/provider-keys/OPENAI_API_KEY",
        "/api/gateway-keys/local",
        "/api/agents/local",
        "/api/roles/local",
    ] {
        let (status, answer) = second.send("DELETE", path, &token, "");
        assert_eq!(status, 204, "{path}: {answer}");
    }
    second.stop();

    let third = Gateway::start(outer.path(), &environment);
    assert!(
        third.printed.contains("there is no provider key yet"),
        "{}",
        third.printed
    );
    let (_, keys) = third.json("GET", "/api/provider-keys", &token, "");
    assert_eq!(keys["items"].as_array().unwrap().len(), 0);
    for path in ["/api/agents/local", "/api/roles/local"] {
        assert_eq!(third.send("GET", path, &token, "").0, 404, "{path}");
    }
    assert_eq!(ask(&third, &key).0, 401);
    third.stop();

    // A variable that is new is imported, whenever that is.
    let groq = (
        "GROQ_API_KEY",
        "gsk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP",
    );
    let fourth = Gateway::start(outer.path(), &[environment[0], groq]);
    assert!(
        fourth.printed.contains("imported GROQ_API_KEY"),
        "{}",
        fourth.printed
    );
}

#[test]
fn a_first_start_that_was_interrupted_goes_on() {
    let outer = tempfile::tempdir().unwrap();
    let (_provider, base_url) = provider();
    let environment = [
        ("OPENAI_API_KEY", SECRET),
        ("OPENAI_BASE_URL", base_url.as_str()),
    ];
    let mut gateway = Gateway::start(outer.path(), &environment);
    let token = gateway.after("admin-token: ").to_owned();
    // As it was when only the role had been made, and when the agent had been made too.
    for gone in [
        ["/api/gateway-keys/local", "/api/agents/local"].as_slice(),
        &["/api/gateway-keys/local"],
    ] {
        for path in gone {
            let (status, answer) = gateway.send("DELETE", path, &token, "");
            assert_eq!(status, 204, "{path}: {answer}");
        }
        gateway.stop();
        let marker = r#"{"variables":["OPENAI_API_KEY"],"gateway_key":false}"#;
        std::fs::write(outer.path().join("imported.json"), marker).unwrap();
        gateway = Gateway::start(outer.path(), &environment);
        assert!(gateway.printed.contains("role `local` is there already"));
        let key = gateway.after("gateway key, shown only now: ").to_owned();
        let (status, answer) = ask(&gateway, &key);
        assert_eq!(status, 200, "{answer}");
    }
}

#[test]
fn a_store_that_is_open_goes_on_and_each_start_warns_of_it() {
    let outer = tempfile::tempdir().unwrap();
    let (_provider, base_url) = provider();
    let environment = [
        ("OPENAI_API_KEY", SECRET),
        ("OPENAI_BASE_URL", base_url.as_str()),
    ];
    let first = Gateway::start(outer.path(), &environment);
    let token = first.after("admin-token: ").to_owned();
    let key = first.after("gateway key, shown only now: ").to_owned();
    // As stores from before there were roles are.
    for (method, path, body) in [
        ("PATCH", "/api/workspaces/default", r#"{"access":"open"}"#),
        ("PATCH", "/api/agents/local", r#"{"roles":[]}"#),
        ("DELETE", "/api/roles/local", ""),
    ] {
        let (status, answer) = first.send(method, path, &token, body);
        assert!(matches!(status, 200 | 204), "{path}: {answer}");
    }
    first.stop();

    let second = Gateway::start(outer.path(), &environment);
    assert!(
        second
            .printed
            .contains("warning: workspace `default` is open"),
        "{}",
        second.printed
    );
    assert!(!second.printed.contains("lgk_"));
    assert_eq!(ask(&second, &key).0, 200);
    assert_eq!(second.send("GET", "/api/roles/local", &token, "").0, 404);
    // The way that the warning names.
    let cli = |arguments: &[&str]| good(&second.cli(outer.path(), arguments, ""));
    cli(&["role", "create", "everything", "--allow", "*"]);
    cli(&["agent", "patch", "local", "--role", "everything"]);
    let closed = r#"{"access":"enforced"}"#;
    let (status, _) = second.send("PATCH", "/api/workspaces/default", &token, closed);
    assert_eq!(status, 200);
    assert_eq!(ask(&second, &key).0, 200);
    second.stop();
    let third = Gateway::start(outer.path(), &environment);
    assert!(!third.printed.contains("warning:"), "{}", third.printed);
}

#[test]
fn without_keys_it_says_what_to_set() {
    let outer = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(outer.path(), &[]);
    assert!(gateway.printed.contains("OPENAI_API_KEY"));
    assert!(
        gateway
            .after("curl ")
            .starts_with(&format!("{}/api/provider-keys", gateway.url))
    );
    assert!(
        gateway
            .after("gateway key, shown only now: ")
            .starts_with("lgk_")
    );
}

#[test]
fn a_base_url_that_leads_back_here_is_not_taken() {
    let outer = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let base_url = format!("http://localhost:{port}/v1");
    let output = std::thread::scope(|scope| {
        let mut child = lockgate(
            outer.path(),
            &[("OPENAI_API_KEY", SECRET), ("OPENAI_BASE_URL", &base_url)],
        )
        .args(["gateway", "run", "--port", &port.to_string()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
        let out = child.stdout.take().unwrap();
        let read = scope.spawn(move || {
            use std::io::BufRead;
            std::io::BufReader::new(out)
                .lines()
                .map(Result::unwrap)
                .take_while(|line| !line.starts_with("listening"))
                .collect::<Vec<_>>()
        });
        let lines = read.join().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        lines.join("\n")
    });
    assert!(
        output.contains("OPENAI_BASE_URL is this gateway's own address"),
        "{output}"
    );
    assert!(output.contains("imported OPENAI_API_KEY"), "{output}");
}

#[test]
fn settings_win_over_files_and_are_not_written_down() {
    let outer = tempfile::tempdir().unwrap();
    let token = "a-token-of-the-environment-0123456789";
    let kek = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let environment = [("LOCKGATE_ADMIN_TOKEN", token), ("LOCKGATE_KEK", kek)];
    let gateway = Gateway::start(outer.path(), &environment);
    assert!(!gateway.printed.contains(token) && !gateway.printed.contains(kek));
    assert_eq!(gateway.send("GET", "/api/providers", token, "").0, 200);
    gateway.stop();
    for (name, content) in files(outer.path()) {
        let holds = |text: &str| {
            content
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(!holds(token) && !holds(kek), "{name}");
        assert!(name != "kek" && name != "admin-token");
    }
    // The key is needed again, and another one is not it.
    for (environment, says) in [
        (vec![("LOCKGATE_ADMIN_TOKEN", token)], "is missing"),
        (
            vec![(
                "LOCKGATE_KEK",
                "ZZZZAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            )],
            "another LOCKGATE_KEK",
        ),
    ] {
        let refused = lockgate(outer.path(), &environment)
            .args(["gateway", "run", "--port", "0"])
            .output()
            .unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{said}");
        assert!(!said.contains(kek));
    }
}

#[test]
fn settings_that_cannot_be_used_are_named_before_anything_is_written() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("data");
    for (name, value, says) in [
        (
            "LOCKGATE_ADMIN_TOKEN",
            "0123456789012345678901234567890",
            "31",
        ),
        ("LOCKGATE_KEK", "c2hvcnQ=", "5 bytes"),
        ("LOCKGATE_KEK", "!", "1 character"),
        ("LOCKGATE_KEK_PREVIOUS", "c2hvcnQ=", "5 bytes"),
    ] {
        let refused = lockgate(&folder, &[(name, value)]).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && said.contains(says), "{said}");
        assert!(!folder.exists());
    }
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kek"), "not a key").unwrap();
    let refused = lockgate(&folder, &[])
        .args(["gateway", "run", "--port", "0"])
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("data/kek"), "{said}");
}

#[test]
fn a_folder_or_a_port_in_use_is_said() {
    let outer = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(outer.path(), &[]);
    let port = gateway.url.rsplit(':').next().unwrap();
    let second = |folder: &Path, port: &str| {
        let output = lockgate(folder, &[])
            .args(["gateway", "run", "--port", port])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(second(outer.path(), "0").contains("in use by another gateway"));
    let other = tempfile::tempdir().unwrap();
    assert!(second(other.path(), port).contains(&format!("cannot listen on 127.0.0.1:{port}")));
    // Nothing was made that the next start would not show.
    assert!(!other.path().join("admin-token").exists());
}

#[test]
fn what_is_under_way_is_finished_when_it_is_told_to_stop() {
    let outer = tempfile::tempdir().unwrap();
    let (_provider, base_url) = provider();
    let gateway = Gateway::start(
        outer.path(),
        &[("OPENAI_API_KEY", SECRET), ("OPENAI_BASE_URL", &base_url)],
    );
    let key = gateway.after("gateway key, shown only now: ").to_owned();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let body = r#"{"model":"openai/mock-events-10-100","stream":true,"messages":[]}"#;
            gateway.send("POST", "/v1/chat/completions", &key, body)
        });
        std::thread::sleep(std::time::Duration::from_millis(400));
        gateway.signal();
        let (status, answer) = asked.join().unwrap();
        assert_eq!(status, 200);
        assert!(answer.contains("[DONE]"), "{answer}");
    });
    let token = gateway.after("admin-token: ").to_owned();
    gateway.wait();
    // Its record was written before the end.
    let again = Gateway::start(outer.path(), &[]);
    let (_, log) = again.json("GET", "/api/requests", &token, "");
    assert_eq!(log["items"][0]["status"], 200, "{log}");
}
