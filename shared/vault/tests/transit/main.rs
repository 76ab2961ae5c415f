//! vault-transit against a fake server, over HTTP.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod login;
mod settings;

use common::{BINDING, SECRET, opened, place, secret, with_vaults};
use data_encoding::BASE64;
use lockgate_vault::{Binding, OpenError, Stored, VaultError};
use mock_vault::MockVault;
use mock_vault::hashicorp::Hashicorp;

/// The policy that the users' page asks for.
pub(crate) fn policy() -> &'static str {
    let page = include_str!("../../../../docs/vault/vault-transit.md");
    let after = page.split("```hcl\n").nth(1).unwrap();
    after.split("```").next().unwrap()
}

const TOKEN: &str = "hvs.CAESIJ-static-token";

/// A server with a key and a token.
pub(crate) fn vault() -> Hashicorp {
    Hashicorp::new()
        .key("transit", "lockgate")
        .policy("lockgate", policy())
        .token(TOKEN, &["default", "lockgate"])
}

pub(crate) fn settings(address: &str) -> Vec<(&str, &str)> {
    vec![
        ("LOCKGATE_VAULT", "vault-transit"),
        ("LOCKGATE_VAULT_ADDR", address),
        ("LOCKGATE_VAULT_TRANSIT_KEY", "lockgate"),
        ("LOCKGATE_VAULT_TOKEN", TOKEN),
    ]
}

/// The error of something, after a look that nothing secret is in it.
pub(crate) fn problem<T: std::fmt::Debug>(outcome: Result<T, VaultError>) -> VaultError {
    let error = outcome.unwrap_err();
    let shown = format!("{error} {error:?}");
    for hidden in [TOKEN, SECRET, common::KEK, "role-id-0123", "secret-id-0123"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    error
}

/// What a definite no says.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, VaultError>) -> String {
    match problem(outcome) {
        VaultError::Refused {
            adapter: "vault-transit",
            detail,
        } => detail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_secret_is_sealed_and_opened_with_its_binding() {
    let vault = vault();
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        assert_eq!(stored.kek, "vault-transit:transit/lockgate:v1");
        assert_eq!(vaults.current(&host).await.unwrap(), stored.kek);
        assert!(stored.wrapped.starts_with(b"vault:v1:"));
        assert_eq!(
            opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
            SECRET
        );
        // The last call is that of opening it: what it was bound to went along.
        let asked = server.asked();
        let body = asked.last().unwrap().json().unwrap();
        let bound = body["associated_data"].as_str().unwrap();
        let bound = BASE64.decode(bound.as_bytes()).unwrap();
        for part in ["vault-transit", "ws_1", "openai", "pk_1"] {
            assert!(bound.windows(part.len()).any(|w| w == part.as_bytes()));
        }
        assert!(bound.ends_with(&3_u64.to_be_bytes()));
        // Neither the secret nor its data key is in what was sent along beside the data key itself.
        let sent: Vec<u8> = asked.iter().flat_map(|ask| ask.body.clone()).collect();
        assert!(!String::from_utf8_lossy(&sent).contains(SECRET));
    });
}

#[test]
fn calls_are_as_few_as_the_page_says() {
    let server = MockVault::start(vault());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        assert_eq!(server.calls("lookup-self"), 1);
        assert_eq!(server.calls("encrypt"), 1);
        assert_eq!(server.calls("decrypt"), 1);
        server.clear();
        vaults.seal(&host, &BINDING, &secret(), "v").await.unwrap();
        assert_eq!(server.asked().len(), 1);
        opened(&host, &vaults, &BINDING, &stored).await.unwrap();
        assert_eq!(server.asked().len(), 2);
        vaults
            .rewrap(&host, &BINDING, place(&stored), &[], "w")
            .await
            .unwrap();
        assert_eq!(server.asked().len(), 4);
        vaults.current(&host).await.unwrap();
        assert_eq!(server.asked().len(), 5);
    });
}

#[test]
fn what_is_altered_or_elsewhere_does_not_open() {
    let vault = vault().key("transit", "other");
    vault.rotate("transit", "lockgate");
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        let altered = |change: &dyn Fn(&mut Stored)| {
            let mut altered = stored.clone();
            change(&mut altered);
            altered
        };
        let mut blobs = Vec::new();
        for place in 0..stored.wrapped.len() {
            blobs.push(altered(&|s| s.wrapped[place] ^= 1));
            blobs.push(altered(&|s| s.wrapped.truncate(place)));
        }
        blobs.push(altered(&|s| s.wrapped.push(b'A')));
        blobs.push(altered(&|s| s.wrapped = vec![0xff; 40]));
        // The same ciphertext under the name of another version, and with that version's prefix.
        blobs.push(altered(&|s| s.kek = s.kek.replace(":v2", ":v1")));
        blobs.push(altered(&|s| {
            s.kek = s.kek.replace(":v2", ":v1");
            s.wrapped[7] = b'1';
        }));
        blobs.push(altered(&|s| {
            s.kek = s.kek.replace(":v2", ":v9");
            s.wrapped[7] = b'9';
        }));
        // Names that lead elsewhere.
        for kek in [
            "",
            "lockgate:v2",
            "transit/../sys/x:v2",
            "transit/lockgate?a:v2",
        ] {
            blobs.push(altered(&|s| s.kek = format!("vault-transit:{kek}")));
        }
        for blob in &blobs {
            match problem(opened(&host, &vaults, &BINDING, blob).await) {
                VaultError::Open(OpenError::WrongKekOrBinding) => {}
                other => panic!("{other:?}: {blob:?}"),
            }
        }
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
            match problem(opened(&host, &vaults, &binding, &stored).await) {
                VaultError::Open(OpenError::WrongKekOrBinding) => {}
                other => panic!("{other:?}"),
            }
        }
        // Nothing else is affected.
        let whole = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(whole.unwrap(), SECRET);
        assert_eq!(server.calls("sys"), 0);
    });
}

#[test]
fn a_kek_is_rotated() {
    let vault = vault();
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let old = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        vaults.rotate(&host).await.unwrap();
        let current = vaults.current(&host).await.unwrap();
        assert_eq!(current, "vault-transit:transit/lockgate:v2");
        assert_eq!(
            opened(&host, &vaults, &BINDING, &old).await.unwrap(),
            SECRET
        );
        let new = vaults.seal(&host, &BINDING, &secret(), "v").await.unwrap();
        assert_eq!(new.kek, current);

        let ciphertext = old.ciphertext.clone().unwrap();
        let moved = vaults
            .rewrap(&host, &BINDING, place(&old), &ciphertext, "w")
            .await
            .unwrap();
        assert_eq!((&moved.kek, &moved.ciphertext), (&current, &None));
        let moved = Stored {
            ciphertext: Some(ciphertext),
            ..moved
        };
        assert_eq!(
            opened(&host, &vaults, &BINDING, &moved).await.unwrap(),
            SECRET
        );

        // The old version is retired: what is still under it is refused, with what to do.
        vault.set_min_decryption_version("transit", "lockgate", 2);
        let said = refused(opened(&host, &vaults, &BINDING, &old).await);
        assert!(said.contains("min_decryption_version"), "{said}");
        assert_eq!(
            opened(&host, &vaults, &BINDING, &moved).await.unwrap(),
            SECRET
        );
    });
}

#[test]
fn another_key_of_the_same_server_takes_over() {
    let hcl = policy().replace("lockgate", "*");
    let vault = vault().key("transit", "next").policy("lockgate", &hcl);
    let server = MockVault::start(vault);
    let address = server.base_url();
    let old = with_vaults(&settings(&address), |host, vaults| async move {
        vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap()
    });
    let mut next = settings(&address);
    next.push(("LOCKGATE_VAULT_TRANSIT_KEY", "next"));
    with_vaults(&next, |host, vaults| async move {
        assert_eq!(
            opened(&host, &vaults, &BINDING, &old).await.unwrap(),
            SECRET
        );
        let ciphertext = old.ciphertext.clone().unwrap();
        let moved = vaults
            .rewrap(&host, &BINDING, place(&old), &ciphertext, "v")
            .await
            .unwrap();
        assert_eq!(moved.kek, "vault-transit:transit/next:v1");
    });
}
