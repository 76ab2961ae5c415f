//! The file with the local KEKs: a new one in force, moving what there is under it, and taking out the old one.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{Gateway, bad, good, lockgate};
use mock_provider::MockProvider;

const SECRET: &str = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD";
const OTHER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Only commands move anything.
const NO_TIMER: (&str, &str) = ("LOCKGATE_TICK_MS", "0");

/// A data folder with one provider key and one gateway key in it.
struct Kept {
    outer: tempfile::TempDir,
    provider: MockProvider,
    key: String,
}

impl Kept {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let provider = MockProvider::start(0);
        let base_url = format!("{}/v1", provider.base_url());
        let environment = [
            ("OPENAI_API_KEY", SECRET),
            ("OPENAI_BASE_URL", base_url.as_str()),
            NO_TIMER,
        ];
        let first = Gateway::start(outer.path(), &environment);
        let key = first.after("gateway key, shown only now: ").to_owned();
        first.stop();
        Self {
            outer,
            provider,
            key,
        }
    }

    fn folder(&self) -> &Path {
        self.outer.path()
    }

    fn file(&self) -> PathBuf {
        self.folder().join("kek")
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn start(&self) -> Gateway {
        Gateway::start(self.folder(), &[NO_TIMER])
    }

    /// A start that is refused, and changes nothing.
    fn no_start(&self) -> String {
        let before = std::fs::read(self.file()).unwrap();
        let output = lockgate(self.folder(), &[NO_TIMER])
            .args(["gateway", "run", "--port", "0"])
            .output();
        assert_eq!(std::fs::read(self.file()).unwrap(), before);
        bad(&output.unwrap(), 2)
    }

    /// That requests get the provider key's secret.
    fn serves(&self, gateway: &Gateway) {
        let before = self.provider.requests().len();
        let body = r#"{"model":"openai/gpt-4o","messages":[]}"#;
        let (status, answer) = gateway.send("POST", "/v1/chat/completions", &self.key, body);
        assert_eq!(status, 200, "{answer}");
        let requests = self.provider.requests();
        assert_eq!(requests[before..].len(), 1);
        assert_eq!(requests[before].secret.as_deref(), Some(SECRET));
    }

    fn new_kek(&self) -> Output {
        let mut command = lockgate(self.folder(), &[]);
        command.args(["vault", "new-kek"]).output().unwrap()
    }
}

fn vault(gateway: &Gateway, kept: &Kept, command: &str) -> Output {
    gateway.cli(kept.folder(), &["vault", command], "")
}

#[test]
fn a_new_kek_takes_the_place_of_the_old_one() {
    let kept = Kept::new();
    let old = kept.lines();
    let said = good(&kept.new_kek());
    let new = kept.lines();
    assert_eq!((new.len(), &new[1]), (2, &old[0]));
    assert!(new.iter().all(|kek| !said.contains(kek.as_str())), "{said}");
    let mode = std::fs::metadata(kept.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let gateway = kept.start();
    assert!(
        gateway.printed.contains("vault: local; kek_"),
        "{}",
        gateway.printed
    );
    kept.serves(&gateway);
    let shown = bad(&vault(&gateway, &kept, "status"), 1);
    assert!(
        shown.contains("secrets: 1, 1 of them to be moved"),
        "{shown}"
    );
    assert!(
        shown.contains("recognised by is still under kek_"),
        "{shown}"
    );
    let early = bad(&vault(&gateway, &kept, "drop-keks"), 1);
    assert!(
        early.contains("stays: secrets that are under it: 1"),
        "{early}"
    );
    assert_eq!(kept.lines(), new);

    let moved = good(&vault(&gateway, &kept, "rewrap"));
    assert!(
        moved.starts_with("moved 1 of 1\neverything is under kek_"),
        "{moved}"
    );
    good(&vault(&gateway, &kept, "status"));
    kept.serves(&gateway);
    let said = good(&vault(&gateway, &kept, "drop-keks"));
    assert!(said.starts_with("dropped kek_"), "{said}");
    assert_eq!(kept.lines(), [new[0].as_str()]);
    let mode = std::fs::metadata(kept.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(good(&vault(&gateway, &kept, "drop-keks")).contains("is the only KEK"));
    gateway.stop();
    let files = std::fs::read_dir(kept.folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let beside: Vec<_> = names.filter(|name| name.starts_with("kek")).collect();
    assert_eq!(beside, ["kek"]);

    let gateway = kept.start();
    assert!(
        gateway.printed.contains("\nvault: local\n"),
        "{}",
        gateway.printed
    );
    kept.serves(&gateway);
}

#[test]
fn a_kek_that_only_gateway_keys_need_stays_too() {
    let kept = Kept::new();
    let gateway = kept.start();
    let token = gateway.after("admin token: in ").to_owned();
    let token = std::fs::read_to_string(token).unwrap();
    let path = "/api/provider-keys/OPENAI_API_KEY";
    assert_eq!(gateway.send("DELETE", path, &token, "").0, 204);
    gateway.stop();
    good(&kept.new_kek());
    let gateway = kept.start();
    let said = bad(&vault(&gateway, &kept, "drop-keks"), 1);
    assert!(
        said.contains("stays: what gateway keys are recognised by"),
        "{said}"
    );
    good(&vault(&gateway, &kept, "rewrap"));
    good(&vault(&gateway, &kept, "drop-keks"));
    gateway.stop();
    let gateway = kept.start();
    // It is known still, and only lacks a provider key.
    let body = r#"{"model":"openai/gpt-4o","messages":[]}"#;
    let (status, answer) = gateway.send("POST", "/v1/chat/completions", &kept.key, body);
    assert_eq!(status, 424, "{answer}");
}

#[test]
fn a_kek_that_is_needed_is_missed_at_the_start() {
    let kept = Kept::new();
    good(&kept.new_kek());
    let whole = std::fs::read(kept.file()).unwrap();
    let new = kept.lines().remove(0);
    // Before the new one was ever in force, and after.
    for _ in 0..2 {
        std::fs::write(kept.file(), &new).unwrap();
        let said = kept.no_start();
        assert!(said.contains("LOCKGATE_KEK_PREVIOUS"), "{said}");
        assert!(said.contains("the file `kek` in the data folder"), "{said}");
        assert!(!said.contains(&new));
        std::fs::write(kept.file(), &whole).unwrap();
        let gateway = kept.start();
        kept.serves(&gateway);
        gateway.stop();
    }
    // Where it comes from the environment instead it is as good.
    std::fs::write(kept.file(), &new).unwrap();
    let old = String::from_utf8(whole)
        .unwrap()
        .lines()
        .nth(1)
        .unwrap()
        .to_owned();
    let previous = format!(" {OTHER} , {old}");
    let environment = [NO_TIMER, ("LOCKGATE_KEK_PREVIOUS", &previous)];
    let gateway = Gateway::start(kept.folder(), &environment);
    kept.serves(&gateway);
}

#[test]
fn a_wrong_line_is_named_and_nothing_is_done() {
    let kept = Kept::new();
    let good_line = kept.lines().remove(0);
    std::fs::write(kept.file(), format!("{good_line}\n\nnot-a-kek\n")).unwrap();
    for said in [kept.no_start(), bad(&kept.new_kek(), 2)] {
        assert!(said.contains("kek, line 3: "), "{said}");
        assert!(!said.contains("not-a-kek") && !said.contains(&good_line));
    }
}

#[test]
fn the_file_is_not_touched_where_it_is_in_use_or_does_not_count() {
    let kept = Kept::new();
    let gateway = kept.start();
    let before = kept.lines();
    let said = bad(&kept.new_kek(), 1);
    assert!(said.contains("in use by another gateway"), "{said}");
    for command in ["new-kek", "drop-keks"] {
        let output = lockgate(
            kept.folder(),
            &[("LOCKGATE_KEK", OTHER), ("LOCKGATE_URL", &gateway.url)],
        )
        .args(["vault", command])
        .output()
        .unwrap();
        let said = bad(&output, 2);
        assert!(said.contains("LOCKGATE_KEK is set"), "{said}");
        assert!(
            said.contains("LOCKGATE_KEK_PREVIOUS") && !said.contains(OTHER),
            "{said}"
        );
    }
    assert_eq!(kept.lines(), before);
    // A folder without one gets none.
    let empty = kept.folder().join("empty");
    let output = lockgate(&empty, &[]).args(["vault", "new-kek"]).output();
    assert!(bad(&output.unwrap(), 2).contains("there is no "));
    assert!(!empty.exists());
}

#[test]
fn only_the_gateway_of_the_folder_is_asked() {
    let (kept, other) = (Kept::new(), Kept::new());
    good(&kept.new_kek());
    let lines = kept.lines();
    let elsewhere = other.start();
    let token = std::fs::read_to_string(other.folder().join("admin-token")).unwrap();
    let drop_keks = || {
        let environment = [
            ("LOCKGATE_URL", elsewhere.url.as_str()),
            ("LOCKGATE_ADMIN_TOKEN", &token),
        ];
        let mut command = lockgate(kept.folder(), &environment);
        bad(&command.args(["vault", "drop-keks"]).output().unwrap(), 2)
    };
    let said = drop_keks();
    assert!(said.contains("no gateway serves from"), "{said}");
    let gateway = kept.start();
    let said = drop_keks();
    assert!(said.contains("does not know kek_"), "{said}");
    // Nor does it know a line that was added after its start.
    std::fs::write(kept.file(), [lines.join("\n"), OTHER.into()].join("\n")).unwrap();
    good(&vault(&gateway, &kept, "rewrap"));
    let said = bad(&vault(&gateway, &kept, "drop-keks"), 2);
    assert!(said.contains("does not know kek_"), "{said}");
    assert_eq!(kept.lines().len(), 3);
}
