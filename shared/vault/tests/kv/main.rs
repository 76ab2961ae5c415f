//! vault-kv against a fake server and against RustyVault, over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod rusty_vault;

use common::{BINDING, SECRET, misconfigured, opened, place, secret, with_vaults};
use lockgate_host::Secret;
use lockgate_vault::{Binding, OpenError, Stored, VaultError, Vaults};
use mock_vault::MockVault;
use mock_vault::hashicorp::Hashicorp;
use serde_json::json;

/// The policy that the users' page asks for, for a version of the engine.
pub(crate) fn policy(version: u8) -> &'static str {
    let page = include_str!("../../../../docs/vault/vault-kv.md");
    let block = if version == 2 { 1 } else { 2 };
    let after = page.split("```hcl\n").nth(block).unwrap();
    after.split("```").next().unwrap()
}

pub(crate) const TOKEN: &str = "hvs.CAESIJ-static-token";

pub(crate) fn mount(version: u8) -> &'static str {
    if version == 2 { "secret" } else { "kv" }
}

/// A server with an engine of this version and a token.
pub(crate) fn vault(version: u8) -> Hashicorp {
    Hashicorp::new()
        .store(mount(version), version)
        .policy("lockgate", policy(version))
        .token(TOKEN, &["default", "lockgate"])
}

pub(crate) fn settings(address: &str, version: u8) -> Vec<(&str, &str)> {
    let mut settings = vec![
        ("LOCKGATE_VAULT", "vault-kv"),
        ("LOCKGATE_VAULT_ADDR", address),
        ("LOCKGATE_VAULT_TOKEN", TOKEN),
    ];
    if version == 1 {
        settings.push(("LOCKGATE_VAULT_KV_VERSION", "1"));
        settings.push(("LOCKGATE_VAULT_KV_MOUNT", mount(version)));
    }
    settings
}

/// The error of something, after a look that nothing secret is in it.
pub(crate) fn problem<T: std::fmt::Debug>(outcome: Result<T, VaultError>) -> VaultError {
    let error = outcome.unwrap_err();
    let shown = format!("{error} {error:?}");
    for hidden in [TOKEN, SECRET, common::KEK] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    error
}

/// What a definite no says.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, VaultError>) -> String {
    match problem(outcome) {
        VaultError::Refused {
            adapter: "vault-kv",
            detail,
        } => detail,
        other => panic!("{other:?}"),
    }
}

/// The path of a stored entry within its mount.
pub(crate) fn path(stored: &Stored) -> String {
    let (_, entry) = stored.entry.split_once('#').unwrap();
    format!("lockgate/{entry}")
}

#[test]
fn a_secret_is_stored_read_and_removed() {
    for version in [1, 2] {
        let vault = vault(version);
        let server = MockVault::start(vault.clone());
        let address = server.base_url();
        with_vaults(&settings(&address, version), |host, vaults| async move {
            let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
            let kek = format!("vault-kv:{}@{version}/lockgate", mount(version));
            assert_eq!(vaults.current(&host).await.unwrap(), kek);
            assert!(Vaults::holds_secrets(&stored.kek));
            let whole = Stored {
                entry: format!("{kek}#secret/ws_1/pk_1/3-u"),
                kek,
                wrapped: Vec::new(),
                ciphertext: None,
            };
            assert_eq!(stored, whole);
            let entries = vault.entries(mount(version));
            let content = json!({
                "secret": SECRET, "workspace": "ws_1", "provider": "openai", "key": "pk_1", "version": "3",
            });
            assert_eq!(
                entries,
                [("lockgate/secret/ws_1/pk_1/3-u".to_owned(), content)]
            );
            let again = opened(&host, &vaults, &BINDING, &stored).await;
            assert_eq!(again.unwrap(), SECRET);

            server.clear();
            opened(&host, &vaults, &BINDING, &stored).await.unwrap();
            assert_eq!(server.asked().len(), 1);

            for _ in 0..2 {
                assert!(vaults.forget(&host, &stored.entry).await.unwrap());
            }
            assert_eq!(vault.entries(mount(version)), []);
            let said = refused(opened(&host, &vaults, &BINDING, &stored).await);
            assert!(said.contains("is not there"), "{said}");
        });
    }
}

#[test]
fn a_secret_may_be_anything() {
    for version in [1, 2] {
        let server = MockVault::start(vault(version));
        let address = server.base_url();
        with_vaults(&settings(&address, version), |host, vaults| async move {
            let longest = vec![b'"'; lockgate_vault::MAX_SECRET_BYTES];
            let anything = [
                vec![0, 159, 146, 150, 255],
                "{\"type\":\"service_account\"}\n\u{1}é<&>".into(),
                longest,
            ];
            for (number, bytes) in anything.into_iter().enumerate() {
                let secret = Secret::new(bytes.clone());
                let unique = number.to_string();
                let stored = vaults
                    .seal(&host, &BINDING, &secret, &unique)
                    .await
                    .unwrap();
                let given = vaults.give(&host, &BINDING, place(&stored)).await.unwrap();
                assert_eq!(given.expose(), bytes);
            }
        });
    }
}

#[test]
fn what_is_elsewhere_or_altered_does_not_open() {
    for version in [1, 2] {
        let vault = vault(version);
        let server = MockVault::start(vault.clone());
        let address = server.base_url();
        with_vaults(&settings(&address, version), |host, vaults| async move {
            let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
            let altered = |outcome| match problem(outcome) {
                VaultError::Open(OpenError::Altered) => {}
                other => panic!("{other:?}"),
            };
            for binding in [
                Binding {
                    workspace: "ws_2",
                    ..BINDING
                },
                Binding {
                    provider: "anthropic",
                    ..BINDING
                },
                Binding {
                    key_id: "pk_2",
                    ..BINDING
                },
                Binding {
                    version: 4,
                    ..BINDING
                },
            ] {
                altered(opened(&host, &vaults, &binding, &stored).await);
            }
            let (_, content) = vault.entries(mount(version)).remove(0);
            let elsewhere = Stored {
                entry: stored.entry.replace("3-u", "3-v"),
                ..stored.clone()
            };
            // The fake writes it as version 1 of an entry that is new each time.
            let write = |content| {
                let path = path(&elsewhere);
                vault.write(mount(version), &path, content);
            };
            let mut changes = vec![json!({}), json!({"secret": SECRET})];
            for field in ["secret", "workspace", "provider", "key", "version"] {
                for value in [json!(""), json!(null), json!(3), json!("x\u{0}")] {
                    if field == "secret" && value.as_str().is_some_and(|v| !v.is_empty()) {
                        continue;
                    }
                    let mut changed = content.clone();
                    changed[field] = value;
                    changes.push(changed);
                }
            }
            for encoding in ["base64", "rot13", ""] {
                let mut changed = content.clone();
                changed["encoding"] = json!(encoding);
                changes.push(changed);
            }
            for change in changes {
                write(change);
                altered(opened(&host, &vaults, &BINDING, &elsewhere).await);
                vaults.forget(&host, &elsewhere.entry).await.unwrap();
            }
            // What is whole opens, so that it is the change that kept it from opening.
            write(content);
            let whole = opened(&host, &vaults, &BINDING, &elsewhere).await;
            assert_eq!(whole.unwrap(), SECRET);
        });
    }
}

#[test]
fn names_from_the_database_lead_nowhere_else() {
    let server = MockVault::start(vault(2));
    let address = server.base_url();
    with_vaults(&settings(&address, 2), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        server.clear();
        for (kek, entry) in [
            ("secret@2/lockgate", "../../sys/seal"),
            ("secret@2/lockgate", "a?b"),
            ("secret@2/lockgate", ""),
            ("../sys@1/seal", "x"),
            ("secret@3/lockgate", "x"),
            ("secret", "x"),
            ("", "x"),
        ] {
            let kek = format!("vault-kv:{kek}");
            let moved = Stored {
                entry: format!("{kek}#{entry}"),
                kek,
                ..stored.clone()
            };
            let error = problem(opened(&host, &vaults, &BINDING, &moved).await);
            assert!(matches!(error, VaultError::Open(_)), "{error:?}");
            problem(vaults.forget(&host, &moved.entry).await);
        }
        assert_eq!(server.asked().len(), 0);
    });
}

#[test]
fn what_is_written_over_an_entry_is_not_used() {
    let vault = vault(2);
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&settings(&address, 2), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        let mut content = vault.entries("secret").remove(0).1;
        content["secret"] = json!("sk-other");
        vault.write("secret", &path(&stored), content);
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
    });
}

#[test]
fn secrets_move_between_stores_and_from_and_to_other_vaults() {
    let open = r#"path "*" { capabilities = ["create", "read", "update", "delete"] }"#;
    let vault = vault(2)
        .store("kv", 1)
        .key("transit", "lockgate")
        .policy("lockgate", open);
    let server = MockVault::start(vault);
    let address = server.base_url();
    let of = |adapter, version| {
        let mut settings = settings(&address, version);
        settings.push(("LOCKGATE_VAULT", adapter));
        settings.push(("LOCKGATE_VAULT_PREVIOUS", "vault-kv,vault-transit,local"));
        settings.push(("LOCKGATE_VAULT_TRANSIT_KEY", "lockgate"));
        settings
    };
    let mut stored = with_vaults(&of("local", 2), |host, vaults| async move {
        vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap()
    });
    for (adapter, version, prefix) in [
        ("vault-kv", 2, "vault-kv:secret@2/lockgate"),
        ("vault-kv", 1, "vault-kv:kv@1/lockgate"),
        ("vault-transit", 1, "vault-transit:transit/lockgate:v1"),
        ("vault-kv", 1, "vault-kv:kv@1/lockgate"),
        ("local", 2, "kek_"),
    ] {
        let old = stored.clone();
        stored = with_vaults(&of(adapter, version), |host, vaults| async move {
            let ciphertext = old.ciphertext.clone().unwrap_or_default();
            let unique = format!("to-{adapter}-{version}-{}", old.entry.len());
            let moved = vaults
                .rewrap(&host, &BINDING, place(&old), &ciphertext, &unique)
                .await
                .unwrap();
            let moved = Stored {
                ciphertext: moved.ciphertext.or(old.ciphertext.clone()),
                ..moved
            };
            // Both open, until the old one is removed.
            for one in [&old, &moved] {
                let again = opened(&host, &vaults, &BINDING, one).await;
                assert_eq!(again.unwrap(), SECRET);
            }
            let in_vault = Vaults::holds_secrets(&old.kek);
            assert_eq!(vaults.forget(&host, &old.entry).await.unwrap(), in_vault);
            moved
        });
        assert!(stored.kek.starts_with(prefix), "{}", stored.kek);
    }
}

#[test]
fn there_is_no_kek_to_rotate() {
    let server = MockVault::start(vault(2));
    let address = server.base_url();
    with_vaults(&settings(&address, 2), |host, vaults| async move {
        let error = problem(vaults.rotate(&host).await);
        assert!(matches!(error, VaultError::Unsupported { .. }), "{error:?}");
    });
}

#[test]
fn settings_that_are_wrong_are_named() {
    for (setting, value, found) in [
        ("LOCKGATE_VAULT_KV_VERSION", "3", "`3`"),
        ("LOCKGATE_VAULT_KV_VERSION", "v2", "`v2`"),
        ("LOCKGATE_VAULT_KV_MOUNT", "a b", "a b"),
        ("LOCKGATE_VAULT_KV_MOUNT", "a@b", "a@b"),
        ("LOCKGATE_VAULT_KV_PREFIX", "a/../b", "a/../b"),
        ("LOCKGATE_VAULT_KV_PREFIX", "/", "“/”"),
        ("LOCKGATE_VAULT_ADDR", "", "not set"),
        ("LOCKGATE_VAULT_TOKEN", "", "not set"),
    ] {
        let mut settings = settings("https://vault.example", 2);
        settings.push((setting, value));
        let problem = misconfigured(&settings);
        assert_eq!(problem.setting, setting);
        assert!(problem.problem.contains(found), "{problem}");
    }
}
