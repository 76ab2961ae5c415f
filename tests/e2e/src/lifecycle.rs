//! Starting and ending: the first start without settings, draining, and the files that are left (DESIGN.md, commands).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mock_provider::MockProvider;

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::{Engine, free_port, root};
use crate::tenant::{Tenant, base_url, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["lifecycle":
        first_start_without_settings [process],
        imported_once [process],
        drains_on_sigterm [process],
        one_process_a_folder [process],
        serve_refuses_nonsense [process],
    ]
}

/// Processes started by this one, and by those.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let listed = Command::new("ps")
        .args(["-e", "-o", "pid=,ppid="])
        .output()
        .unwrap();
    let pairs: Vec<(u32, u32)> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(
            pairs
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(child, _)| *child),
        );
        at += 1;
    }
    found.remove(0);
    found
}

/// The native binary as `cargo run` starts it, with these settings only; returns what it printed until it listened.
fn local(data: &std::path::Path, settings: &[(&str, &str)]) -> (std::process::Child, u16, String) {
    let port = free_port();
    let target =
        std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), Into::into);
    let mut child = Command::new(target.join("release/lockgate"))
        .args(["gateway", "run", "--port", &port.to_string(), "--data-dir"])
        .arg(data)
        .env_clear()
        .envs(std::env::var("PATH").map(|path| ("PATH", path)))
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (lines, printed) = std::sync::mpsc::channel();
    let out = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            lines.send(line).ok();
        }
    });
    let mut text = String::new();
    // What it prints comes in one go around the moment it listens.
    while let Ok(line) =
        printed.recv_timeout(Duration::from_millis(if text.contains("listening on") {
            500
        } else {
            30_000
        }))
    {
        text.push_str(&line);
        text.push('\n');
    }
    (child, port, text)
}

fn end(mut child: std::process::Child) {
    Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    child.wait().unwrap();
}

/// The first word in a text that begins so.
fn word(text: &str, prefix: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || "'\"`,".contains(c))
        .find(|word| word.starts_with(prefix) && word.len() > prefix.len() + 8)
        .map(str::to_owned)
}

fn first_start_without_settings(env: &Env) {
    if env.engine != Engine::Native {
        // These engines make no settings of their own: every answer says what is missing.
        let gateway = env
            .plan()
            .unset("LOCKGATE_ADMIN_TOKEN")
            .unset("LOCKGATE_KEK")
            .start();
        for path in ["/v1/models", "/api/workspaces"] {
            let reply = Call::get(path).bearer("x").run(gateway.url());
            assert_eq!(reply.status, 503, "{}", reply.text());
            let error = reply.json()["error"].clone();
            assert_eq!(error["code"], "misconfigured");
            assert!(
                error["message"].as_str().unwrap().contains("LOCKGATE_"),
                "{error}"
            );
        }
        gateway.stop();
        return;
    }
    let mock = MockProvider::start(0);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let imported = secret("environment");
    let (child, port, text) = local(
        &data,
        &[
            ("OPENAI_API_KEY", &imported),
            ("OPENAI_BASE_URL", &base_url(&mock)),
        ],
    );
    assert!(!text.contains(&imported), "the secret is printed: {text}");
    let key = word(&text, "lgk_").unwrap_or_else(|| panic!("prints no key:\n{text}"));
    // The curl line is what a person copies: run it as it stands.
    let at = text
        .find("curl ")
        .unwrap_or_else(|| panic!("prints no curl line:\n{text}"));
    let mut line = String::new();
    for part in text[at..].lines() {
        line.push_str(part.trim_end_matches('\\'));
        line.push(' ');
        if !part.trim_end().ends_with('\\') {
            break;
        }
    }
    assert!(line.contains(&key), "{line}");
    let output = Command::new("bash").args(["-c", &line]).output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{line}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        answer.contains("data:") && answer.contains("[DONE]"),
        "streams: {answer}"
    );
    assert_eq!(
        mock.requests()[0].secret.as_deref(),
        Some(imported.as_str())
    );
    // Loopback calls still need a key.
    Call::get("/v1/models")
        .run(&format!("http://127.0.0.1:{port}"))
        .refusal(401, "gateway_key_missing");
    end(child);
    for file in std::fs::read_dir(&data).unwrap().flatten() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(
            mode & 0o077,
            0,
            "{:?} is open to others: {mode:o}",
            file.path()
        );
    }
    // The admin token and the key are shown once.
    let (child, _, again) = local(&data, &[]);
    end(child);
    assert!(!again.contains(&key), "the key is printed again");
}

fn imported_once(env: &Env) {
    if env.engine != Engine::Native {
        // Only the local gateway imports: elsewhere a provider's variable is nothing.
        let gateway = env
            .plan()
            .set("OPENAI_API_KEY", &secret("environment"))
            .start();
        let keys = gateway
            .api("default", Call::get("/api/provider-keys"))
            .expect(200)
            .json();
        assert_eq!(keys["items"].as_array().map(Vec::len), Some(0));
        gateway.stop();
        return;
    }
    let mock = MockProvider::start(0);
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (secret("first"), secret("second"));
    let url = base_url(&mock);
    let settings = |value: &str| {
        [
            (
                "LOCKGATE_ADMIN_TOKEN".to_owned(),
                crate::gateway::ADMIN_TOKEN.to_owned(),
            ),
            ("OPENAI_API_KEY".to_owned(), value.to_owned()),
            ("OPENAI_BASE_URL".to_owned(), url.clone()),
        ]
    };
    let keys = |port: u16| {
        Call::get("/api/provider-keys")
            .bearer(crate::gateway::ADMIN_TOKEN)
            .run(&format!("http://127.0.0.1:{port}"))
            .expect(200)
            .json()["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    let run = |value: &str| {
        let settings = settings(value);
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        local(folder.path(), &settings)
    };
    let (child, port, _) = run(&first);
    assert_eq!(keys(port).len(), 1);
    end(child);
    // Another value does not replace what was imported.
    let (child, port, _) = run(&second);
    let found = keys(port);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["version"], 1);
    assert!(
        found[0]["masked"]
            .as_str()
            .unwrap()
            .ends_with(&first[first.len() - 4..])
    );
    // What was deleted is not brought back.
    Call::new(
        "DELETE",
        &format!("/api/provider-keys/{}", found[0]["id"].as_str().unwrap()),
    )
    .bearer(crate::gateway::ADMIN_TOKEN)
    .run(&format!("http://127.0.0.1:{port}"))
    .expect(204);
    end(child);
    let (child, port, _) = run(&first);
    assert!(keys(port).is_empty(), "brought back");
    end(child);
}

fn drains_on_sigterm(env: &Env) {
    let gateway = env.plan().start();
    let tenant = Tenant::new(&gateway);
    let mut stream = tenant.stream("mock-events-20-100");
    stream.piece().unwrap().expect("an event");
    gateway.terminate();
    let asked = Instant::now();
    let outcome = stream.collect();
    let status = gateway
        .wait(Duration::from_secs(15))
        .expect("ends within 15 s");
    if env.engine == Engine::Cloudflare {
        // workerd's own binary ends at once; on Cloudflare, draining is the platform's.
        assert!(asked.elapsed() < Duration::from_secs(15));
    } else {
        let reply = outcome.expect("what was under way ends properly");
        assert!(
            reply.text().trim_end().ends_with("[DONE]"),
            "{}",
            reply.text()
        );
        assert!(status.success(), "{status}");
    }
    assert!(
        Call::get("/api/healthz").open(gateway.url()).is_err(),
        "still listens"
    );
}

fn one_process_a_folder(env: &Env) {
    if env.engine != Engine::Native {
        // The platforms own their stores; a second start in the same folder is only asked to harm nothing.
        let gateway = env.plan().start();
        let tenant = Tenant::new(&gateway);
        tenant.chat("gpt-4o").expect(200);
        let second = env.plan().data(gateway.data()).attempt();
        drop(second);
        tenant.next_is_fine();
        drop(tenant);
        gateway.stop();
        return;
    }
    let gateway = env.plan().start();
    let tenant = Tenant::new(&gateway);
    match env.plan().data(gateway.data()).attempt() {
        crate::gateway::Started::Refused { status, printed } => {
            assert!(!status.success());
            assert!(printed.contains("in use"), "{printed}");
        }
        crate::gateway::Started::Listening(_) => panic!("two gateways serve one folder"),
    }
    tenant.next_is_fine();
    drop(tenant);
    gateway.stop();
}

fn serve_refuses_nonsense(env: &Env) {
    let serve = |arguments: &[&str]| {
        Command::new(root().join("scripts/serve"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let engine = env.engine.name();
    for bad in [
        &[engine, "--port"][..],
        &[engine, "--no-such-option"],
        &[
            "no-such-engine",
            "--port",
            "1",
            "--data-dir",
            "/nonexistent",
        ],
        &[engine, "--port", "not-a-port", "--data-dir", "/nonexistent"],
    ] {
        let output = serve(bad);
        assert!(!output.status.success(), "{bad:?}");
        assert!(!output.stderr.is_empty(), "{bad:?} says nothing");
    }
    assert!(serve(&["--help"]).status.success());
}
