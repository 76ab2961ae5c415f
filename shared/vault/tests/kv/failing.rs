//! What the server refuses, and what becomes of it when it is ill.

use lockgate_vault::VaultError;
use mock_vault::hashicorp::Hashicorp;
use mock_vault::{Answer, Ask, Fault, MockVault, Service};

use crate::common::{BINDING, SECRET, opened, secret, with_vaults};
use crate::{mount, path, policy, problem, refused, settings, vault};

#[test]
fn the_wrong_version_or_place_is_named() {
    let open = r#"path "*" { capabilities = ["create", "read", "update", "delete"] }"#;
    // Version 2, called 1.
    let server = MockVault::start(vault(2).policy("lockgate", open));
    let address = server.base_url();
    let mut called_one = settings(&address, 1);
    called_one.push(("LOCKGATE_VAULT_KV_MOUNT", "secret"));
    with_vaults(&called_one, |host, vaults| async move {
        for said in [
            refused(vaults.current(&host).await),
            refused(vaults.seal(&host, &BINDING, &secret(), "u").await),
        ] {
            assert!(said.contains("LOCKGATE_VAULT_KV_VERSION to 2"), "{said}");
        }
    });
    // Version 1, called 2: nothing of it stays there.
    let vault_1 = vault(1).policy("lockgate", open);
    let server = MockVault::start(vault_1.clone());
    let address = server.base_url();
    let mut called_two = settings(&address, 2);
    called_two.push(("LOCKGATE_VAULT_KV_MOUNT", mount(1)));
    with_vaults(&called_two, |host, vaults| async move {
        let said = refused(vaults.seal(&host, &BINDING, &secret(), "u").await);
        assert!(said.contains("LOCKGATE_VAULT_KV_VERSION to 1"), "{said}");
        assert_eq!(vault_1.entries(mount(1)), []);
    });
    // Another mount.
    let server = MockVault::start(vault(2).policy("lockgate", open));
    let address = server.base_url();
    let mut nowhere = settings(&address, 2);
    nowhere.push(("LOCKGATE_VAULT_KV_MOUNT", "nowhere"));
    with_vaults(&nowhere, |host, vaults| async move {
        for said in [
            refused(vaults.current(&host).await),
            refused(vaults.seal(&host, &BINDING, &secret(), "u").await),
        ] {
            assert!(said.contains("there is no engine at `nowhere`"), "{said}");
        }
    });
}

#[test]
fn a_missing_permission_is_named() {
    for version in [1, 2] {
        for lacking in ["create", "read", "delete"] {
            let hcl = policy(version).replace(&format!("\"{lacking}\""), "\"list\"");
            let vault = vault(version);
            let server = MockVault::start(vault.clone());
            let address = server.base_url();
            with_vaults(&settings(&address, version), |host, vaults| async move {
                let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
                vault.change_policy("lockgate", &hcl);
                let said = match lacking {
                    "create" => refused(vaults.seal(&host, &BINDING, &secret(), "v").await),
                    "read" => {
                        refused(vaults.current(&host).await);
                        refused(opened(&host, &vaults, &BINDING, &stored).await)
                    }
                    _ => refused(vaults.forget(&host, &stored.entry).await),
                };
                assert!(said.contains(&format!("`{lacking}` on `")), "{said}");
            });
        }
    }
}

#[test]
fn an_entry_that_was_deleted_is_a_definite_no() {
    let vault = vault(2);
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&settings(&address, 2), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        vault.soft_delete("secret", &path(&stored));
        let said = refused(opened(&host, &vaults, &BINDING, &stored).await);
        assert!(said.contains("was deleted"), "{said}");
    });
}

/// A server that does what it is asked to write, but loses the answer to it once.
struct Forgetful {
    vault: Hashicorp,
    lost: bool,
}

impl Service for Forgetful {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let answer = self.vault.answer(ask);
        if ask.method == "POST" && !self.lost {
            self.lost = true;
            return Answer::new(504, serde_json::json!({"errors": ["gateway timeout"]}));
        }
        answer
    }
}

#[test]
fn a_write_whose_answer_is_lost_is_found_again() {
    for version in [1, 2] {
        for hcl in [
            // The second write would overwrite, which neither the policy allows nor cas=0.
            policy(version).to_owned(),
            policy(version).replace("\"create\"", "\"create\", \"update\""),
        ] {
            let vault = vault(version).policy("lockgate", &hcl);
            let server = MockVault::start(Forgetful {
                vault: vault.clone(),
                lost: false,
            });
            let address = server.base_url();
            with_vaults(&settings(&address, version), |host, vaults| async move {
                let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
                let again = opened(&host, &vaults, &BINDING, &stored).await;
                assert_eq!(again.unwrap(), SECRET);
            });
            assert_eq!(vault.entries(mount(version)).len(), 1);
        }
    }
}

#[test]
fn nothing_is_written_over() {
    let vault = vault(2).policy(
        "lockgate",
        &policy(2).replace("\"create\"", "\"create\", \"update\""),
    );
    let server = MockVault::start(vault);
    let address = server.base_url();
    with_vaults(&settings(&address, 2), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        let other = lockgate_host::Secret::from("sk-other".to_owned());
        let said = refused(vaults.seal(&host, &BINDING, &other, "u").await);
        assert!(said.contains("check-and-set"), "{said}");
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
    });
}

#[test]
fn an_outage_is_told_from_a_refusal() {
    for version in [1, 2] {
        for (status, body) in [
            (500, r#"{"errors":["internal error"]}"#),
            (503, r#"{"errors":["Vault is sealed"]}"#),
            (429, r#"{"errors":["rate limit quota exceeded"]}"#),
            (
                400,
                r#"{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."]}"#,
            ),
            (200, "<html>"),
            (200, "[]"),
            (404, "<html>not found</html>"),
            // Of a proxy whose way there is not set up.
            (404, ""),
        ] {
            let server = MockVault::start(vault(version));
            let address = server.base_url();
            with_vaults(&settings(&address, version), |host, vaults| async move {
                let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
                server.fail(Fault::Says(status, body.to_owned()));
                for error in [
                    problem(opened(&host, &vaults, &BINDING, &stored).await),
                    problem(vaults.current(&host).await),
                ] {
                    let is_outage = matches!(error, VaultError::Unavailable { .. });
                    assert!(is_outage, "{status} {body}: {error:?}");
                }
            });
        }
    }
    let server = MockVault::start(vault(2));
    let address = server.base_url();
    with_vaults(&settings(&address, 2), |host, vaults| async move {
        server.fail(Fault::Down);
        let error = problem(vaults.seal(&host, &BINDING, &secret(), "u").await);
        assert!(matches!(error, VaultError::Unavailable { .. }), "{error:?}");
        assert_eq!(server.asked().len(), 3);
    });
}

/// Else the entry would be forgotten, and the secret stay there.
#[test]
fn only_the_engine_itself_says_that_an_entry_is_gone() {
    let no_handler = r#"{"errors":["no handler for route \"secret/x\". route entry not found."]}"#;
    let unversioned =
        r#"{"data":null,"warnings":["Invalid path for a versioned K/V secrets engine."]}"#;
    for version in [1, 2] {
        for (body, outage) in [
            ("", true),
            ("<html>not found</html>", true),
            (r#"{"message":"no Route matched with those values"}"#, true),
            (no_handler, false),
            (unversioned, false),
        ] {
            let server = MockVault::start(vault(version));
            let address = server.base_url();
            with_vaults(&settings(&address, version), |host, vaults| async move {
                let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
                server.fail(Fault::Says(404, body.to_owned()));
                let error = problem(vaults.forget(&host, &stored.entry).await);
                let is_outage = matches!(error, VaultError::Unavailable { .. });
                assert_eq!(is_outage, outage, "{body}: {error:?}");
                let error = problem(opened(&host, &vaults, &BINDING, &stored).await);
                assert!(!error.to_string().contains("is not there"), "{error}");
                server.fail(Fault::None);
                for _ in 0..2 {
                    assert!(vaults.forget(&host, &stored.entry).await.unwrap());
                }
            });
        }
    }
}

#[test]
fn what_a_server_repeats_is_not_shown() {
    for status in [400, 403, 500] {
        let server = MockVault::start(vault(2));
        let address = server.base_url();
        with_vaults(&settings(&address, 2), |host, vaults| async move {
            vaults.current(&host).await.unwrap();
            let echo = format!(r#"{{"errors":["cannot store {SECRET}"]}}"#);
            server.fail(Fault::Says(status, echo));
            let error = problem(vaults.seal(&host, &BINDING, &secret(), "u").await);
            assert!(error.to_string().contains("not shown"), "{error}");
        });
    }
}
