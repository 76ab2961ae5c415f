//! What the server refuses, and what becomes of it when it is ill.

use std::time::Duration;

use lockgate_host::Clock;
use lockgate_vault::VaultError;
use mock_vault::hashicorp::Hashicorp;
use mock_vault::{Answer, Ask, Fault, MockVault, Service};
use serde_json::json;

use crate::common::{BINDING, SECRET, opened, secret, with_vaults};
use crate::{TOKEN, policy, problem, refused, settings, vault};

/// What sealing, and asking for the current KEK, are refused with.
fn refusals(vault: Hashicorp, more: &[(&'static str, &'static str)]) -> (String, String) {
    let server = MockVault::start(vault);
    let address = server.base_url();
    let mut settings = settings(&address);
    settings.extend(more);
    with_vaults(&settings, |host, vaults| async move {
        let sealing = refused(vaults.seal(&host, &BINDING, &secret(), "u").await);
        (sealing, refused(vaults.current(&host).await))
    })
}

#[test]
fn a_key_that_cannot_do_it_is_named() {
    let absent = Hashicorp::new().key("transit", "other");
    let absent = absent
        .policy("lockgate", policy())
        .token(TOKEN, &["lockgate"]);
    // A write to a key that is not there would make it, which the policy does not allow.
    let (sealing, current) = refusals(absent, &[]);
    assert!(sealing.contains("transit/encrypt/lockgate"), "{sealing}");
    assert!(current.contains("transit/keys/lockgate"), "{current}");

    let other_type = vault().key_of_type("transit", "lockgate", "rsa-2048", false);
    let (sealing, current) = refusals(other_type, &[]);
    assert!(sealing.contains("non-AEAD"), "{sealing}");
    assert!(current.contains("rsa-2048"), "{current}");

    let signing = vault().key_of_type("transit", "lockgate", "ed25519", false);
    assert!(refusals(signing, &[]).1.contains("ed25519"));

    let derived = vault().key_of_type("transit", "lockgate", "aes256-gcm96", true);
    let (sealing, current) = refusals(derived, &[]);
    assert!(sealing.contains("context"), "{sealing}");
    assert!(current.contains("derived"), "{current}");
}

#[test]
fn a_place_that_is_not_there_is_named() {
    let open = r#"path "*" { capabilities = ["create", "read", "update"] }"#;
    let elsewhere = vault().policy("lockgate", open);
    let (sealing, current) = refusals(elsewhere, &[("LOCKGATE_VAULT_TRANSIT_MOUNT", "nowhere")]);
    assert!(sealing.contains("no handler for route"), "{sealing}");
    assert!(current.contains("nowhere/keys/lockgate"), "{current}");

    let (sealing, _) = refusals(vault(), &[("LOCKGATE_VAULT_NAMESPACE", "team")]);
    assert!(sealing.contains("permission denied"), "{sealing}");
    let (sealing, _) = refusals(vault().namespace("team"), &[]);
    assert!(sealing.contains("permission denied"), "{sealing}");
}

#[test]
fn a_namespace_is_used() {
    let server = MockVault::start(vault().namespace("company/team"));
    let address = server.base_url();
    let mut settings = settings(&address);
    settings.push(("LOCKGATE_VAULT_NAMESPACE", "company/team/"));
    with_vaults(&settings, |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
    });
}

#[test]
fn a_server_that_does_not_bind_gets_nothing_stored() {
    let server = MockVault::start(vault().before_associated_data());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        for _ in 0..2 {
            let said = refused(vaults.seal(&host, &BINDING, &secret(), "u").await);
            assert!(said.contains("Vault 1.13"), "{said}");
        }
    });
}

#[test]
fn a_missing_permission_is_named() {
    for (lacking, capability) in [("encrypt", "update"), ("decrypt", "update")] {
        let hcl: Vec<&str> = policy().lines().filter(|l| !l.contains(lacking)).collect();
        let server = MockVault::start(vault().policy("lockgate", &hcl.join("\n")));
        let address = server.base_url();
        with_vaults(&settings(&address), |host, vaults| async move {
            // Without decrypt a secret would be stored that nobody can read again: it is not.
            let said = refused(vaults.seal(&host, &BINDING, &secret(), "u").await);
            let path = format!("`{capability}` on `transit/{lacking}/lockgate`");
            assert!(said.contains(&path), "{said}");
        });
    }
    let vault = vault();
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        vault.change_policy("lockgate", r#"path "nothing" { capabilities = ["read"] }"#);
        for said in [
            refused(opened(&host, &vaults, &BINDING, &stored).await),
            refused(vaults.current(&host).await),
            refused(vaults.rotate(&host).await),
        ] {
            assert!(said.contains("lockgate` on `transit/") || said.contains("` on `transit/"));
        }
        vault.drop_key("transit", "lockgate");
        vault.change_policy("lockgate", policy());
        let said = refused(opened(&host, &vaults, &BINDING, &stored).await);
        assert!(said.contains("encryption key not found"), "{said}");
    });
}

#[test]
fn an_outage_is_told_from_a_refusal() {
    let faults = [
        Fault::Down,
        Fault::Silent,
        Fault::Says(500, r#"{"errors":["internal error"]}"#.into()),
        Fault::Says(502, "<html>bad gateway</html>".into()),
        Fault::Says(503, r#"{"errors":["Vault is sealed"]}"#.into()),
        Fault::Says(429, r#"{"errors":["rate limit quota exceeded"]}"#.into()),
        Fault::Says(
            412,
            r#"{"errors":["required index state not present"]}"#.into(),
        ),
        Fault::Says(307, String::new()),
    ];
    for fault in faults {
        let server = MockVault::start(vault());
        let address = server.base_url();
        let mut settings = settings(&address);
        settings.push(("LOCKGATE_VAULT_TIMEOUT_MS", "400"));
        with_vaults(&settings, |host, vaults| async move {
            let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
            server.clear();
            server.fail(fault.clone());
            match problem(opened(&host, &vaults, &BINDING, &stored).await) {
                VaultError::Unavailable { .. } => {}
                other => panic!("{fault:?}: {other:?}"),
            }
            let tries = server.calls("decrypt");
            assert!((1..=3).contains(&tries), "{fault:?}: {tries}");
            server.fail(Fault::None);
        });
    }
}

#[test]
fn nonsense_is_an_outage() {
    for (status, body) in [
        (200, ""),
        (200, "<html>"),
        (200, "{}"),
        (200, r#"{"data":{}}"#),
        (200, r#"{"data":{"plaintext":"???"}}"#),
        (200, r#"{"data":{"ciphertext":"nonsense"}}"#),
        (200, r#"{"data":{"latest_version":"one"}}"#),
        (404, "<html>not found</html>"),
    ] {
        let server = MockVault::start(vault());
        let address = server.base_url();
        with_vaults(&settings(&address), |host, vaults| async move {
            let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
            server.fail(Fault::Says(status, body.to_owned()));
            for error in [
                problem(opened(&host, &vaults, &BINDING, &stored).await),
                problem(vaults.seal(&host, &BINDING, &secret(), "v").await),
                problem(vaults.current(&host).await),
            ] {
                let is_outage = matches!(error, VaultError::Unavailable { .. });
                assert!(is_outage, "{status} {body}: {error:?}");
            }
        });
    }
}

#[test]
fn a_dead_server_is_left_alone_and_found_again() {
    let server = MockVault::start(vault());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        server.fail(Fault::Down);
        problem(opened(&host, &vaults, &BINDING, &stored).await);
        server.clear();
        let left = problem(opened(&host, &vaults, &BINDING, &stored).await);
        assert!(matches!(left, VaultError::Unavailable { .. }));
        assert_eq!(server.asked().len(), 0, "{left}");
        server.fail(Fault::None);
        while opened(&host, &vaults, &BINDING, &stored).await.is_err() {
            host.sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(server.calls("decrypt"), 1);
    });
}

#[test]
fn a_slow_server_is_waited_for() {
    let server = MockVault::start(vault());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        server.fail(Fault::Slow(Duration::from_millis(50)));
        let slowly = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(slowly.unwrap(), SECRET);
    });
}

#[test]
fn what_a_server_repeats_is_not_shown() {
    for status in [400, 403, 500] {
        let server = MockVault::start(vault());
        let address = server.base_url();
        with_vaults(&settings(&address), |host, vaults| async move {
            let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
            let echo = format!(r#"{{"errors":["you sent {TOKEN}"]}}"#);
            server.fail(Fault::Says(status, echo));
            problem(opened(&host, &vaults, &BINDING, &stored).await);
            problem(vaults.seal(&host, &BINDING, &secret(), "v").await);
        });
    }
}

/// A server that answers everything with what it was sent.
struct Echo;

impl Service for Echo {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let sent = String::from_utf8_lossy(&ask.body);
        Answer::new(400, json!({"errors": [sent]}))
    }
}

#[test]
fn a_data_key_that_a_server_repeats_is_not_shown() {
    let server = MockVault::start(Echo);
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let error = problem(vaults.seal(&host, &BINDING, &secret(), "u").await);
        let sent = server.asked().last().unwrap().json().unwrap();
        let dek = sent["plaintext"].as_str().unwrap();
        assert_eq!(dek.len(), 44);
        assert!(!format!("{error:?}").contains(dek), "{error}");
        assert!(error.to_string().contains("not shown"), "{error}");
    });
}
