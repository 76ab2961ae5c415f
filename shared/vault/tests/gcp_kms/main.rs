//! The adapter `gcp-kms` against a strict fake of Google Cloud KMS.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod settings;

use common::{BINDING, SECRET, opened, place, secret, with_vaults};
use data_encoding::BASE64;
use lockgate_host_native::NativeHost;
use lockgate_vault::{Binding, OpenError, Stored, VaultError, Vaults};
use mock_vault::MockVault;
use mock_vault::gcp::{Gcp, KEY};

/// Runs `work` with the vaults of a gateway that uses `server`.
pub(crate) fn on<T, F: Future<Output = T>>(
    server: &MockVault,
    work: impl FnOnce(NativeHost, Vaults) -> F,
) -> T {
    with_vaults(
        &[
            ("LOCKGATE_VAULT", "gcp-kms"),
            ("LOCKGATE_VAULT_GCP_KEY", KEY),
            ("LOCKGATE_VAULT_GCP_CREDENTIALS", &Gcp::credentials()),
            ("LOCKGATE_VAULT_GCP_ENDPOINT", &server.base_url()),
            ("LOCKGATE_VAULT_TIMEOUT_MS", "1000"),
        ],
        work,
    )
}

pub(crate) fn started() -> (Gcp, MockVault) {
    let gcp = Gcp::new();
    let server = MockVault::start(gcp.clone());
    (gcp, server)
}

pub(crate) async fn sealed(host: &NativeHost, vaults: &Vaults) -> Stored {
    vaults.seal(host, &BINDING, &secret(), "u").await.unwrap()
}

pub(crate) fn kek(version: usize) -> String {
    format!("gcp-kms:{}", Gcp::version(version))
}

/// What an error says, after a look that it says nothing secret.
pub(crate) fn said(error: &VaultError, server: &MockVault) -> String {
    let text = format!("{error} {error:?}");
    for ask in server.asked() {
        let token = ask.header("authorization").unwrap_or("none at all");
        let token = token.trim_start_matches("Bearer ");
        let plain = ask.json().unwrap_or_default();
        let plain = plain.get("plaintext").and_then(|plain| plain.as_str());
        for secret in [token, plain.unwrap_or(token), "PRIVATE KEY", SECRET] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    text
}

/// What is refused for good, in words that contain each of `words`.
pub(crate) fn assert_refused(error: VaultError, server: &MockVault, words: &[&str]) {
    let text = said(&error, server);
    assert!(matches!(error, VaultError::Refused { .. }), "{text}");
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
}

pub(crate) fn assert_unavailable(error: VaultError, server: &MockVault, word: &str) {
    let text = said(&error, server);
    assert!(matches!(error, VaultError::Unavailable { .. }), "{text}");
    assert!(text.contains(word), "{word} in {text}");
}

#[test]
fn a_secret_goes_in_and_comes_out() {
    let (_gcp, server) = started();
    on(&server, |host, vaults| async move {
        let current = vaults.current(&host).await.unwrap();
        let stored = sealed(&host, &vaults).await;
        assert_eq!((&stored.kek, &current), (&kek(1), &kek(1)));
        assert!(!stored.wrapped.is_empty() && stored.ciphertext.is_some());
        let opened = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(opened.unwrap(), SECRET);
    });
    // The token was made here, once; nobody else was asked for it.
    let asked = server.asked();
    let tokens: Vec<_> = asked
        .iter()
        .map(|ask| ask.header("authorization"))
        .collect();
    assert!(tokens.len() == 4 && tokens.iter().all(|token| token == &tokens[0]));
    assert_eq!(server.calls("/cryptoKeyVersions/1:encrypt"), 1);
    let aad = |path: &str| {
        let ask = asked.iter().find(|ask| ask.path.ends_with(path)).unwrap();
        let body = ask.json().unwrap();
        let aad = body.get("additionalAuthenticatedData").unwrap();
        BASE64.decode(aad.as_str().unwrap().as_bytes()).unwrap()
    };
    assert_eq!(aad(":encrypt"), aad(":decrypt"));
    for field in ["lockgate/gcp-kms-dek/v1", "ws_1", "openai", "pk_1"] {
        let aad = aad(":encrypt");
        let found = aad
            .windows(field.len())
            .any(|part| part == field.as_bytes());
        assert!(found, "{field}");
    }
}

#[test]
fn what_was_moved_or_altered_does_not_open() {
    let (_gcp, server) = started();
    on(&server, |host, vaults| async move {
        let stored = sealed(&host, &vaults).await;
        let elsewhere = [
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
        ];
        for binding in elsewhere {
            let error = opened(&host, &vaults, &binding, &stored).await;
            assert_eq!(error, Err(OpenError::WrongKekOrBinding.into()));
        }
        for bit in 0..stored.wrapped.len() * 8 {
            let mut altered = stored.clone();
            altered.wrapped[bit / 8] ^= 1 << (bit % 8);
            let error = opened(&host, &vaults, &BINDING, &altered).await;
            assert_eq!(error, Err(OpenError::WrongKekOrBinding.into()), "bit {bit}");
        }
        for length in 0..stored.wrapped.len() {
            let mut short = stored.clone();
            short.wrapped.truncate(length);
            let error = opened(&host, &vaults, &BINDING, &short).await.unwrap_err();
            let cut = matches!(
                error,
                VaultError::Open(OpenError::WrongKekOrBinding | OpenError::Truncated)
            );
            assert!(cut, "{error}");
        }
        let other = Binding {
            key_id: "pk_2",
            ..BINDING
        };
        let theirs = vaults.seal(&host, &other, &secret(), "v").await.unwrap();
        let mut swapped = stored.clone();
        swapped.wrapped = theirs.wrapped;
        let error = opened(&host, &vaults, &BINDING, &swapped).await;
        assert_eq!(error, Err(OpenError::WrongKekOrBinding.into()));
        assert_eq!(
            opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
            SECRET
        );
    });
}

#[test]
fn only_versions_of_the_configured_key_are_asked_for() {
    let (_gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let mut stored = sealed(&host, &vaults).await;
            server.clear();
            let other = Gcp::version(1).replace("test-project", "other");
            let slash = format!("{KEY}/cryptoKeyVersions/1:decrypt?x=");
            for name in [
                other.as_str(),
                &slash,
                KEY,
                "",
                &format!("{KEY}/cryptoKeyVersions/"),
                &format!("{KEY}/cryptoKeyVersions/../1"),
                &format!("{KEY}2/cryptoKeyVersions/1"),
                "https://evil.example/v1/x/cryptoKeyVersions/1",
            ] {
                stored.kek = format!("gcp-kms:{name}");
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                let kek = stored.kek.clone();
                assert_eq!(error, Err(VaultError::NotHeld { kek }));
            }
            assert_eq!(server.asked().len(), 0);
        }
    });
}

#[test]
fn a_rotation_keeps_what_is_old_readable_and_a_rewrap_moves_it() {
    let (gcp, server) = started();
    on(&server, |host, vaults| async move {
        let old = sealed(&host, &vaults).await;
        vaults.rotate(&host).await.unwrap();
        assert_eq!(vaults.current(&host).await.unwrap(), kek(2));
        assert_eq!(sealed(&host, &vaults).await.kek, kek(2));
        assert_eq!(
            opened(&host, &vaults, &BINDING, &old).await.unwrap(),
            SECRET
        );
        gcp.rotate();
        assert_eq!(vaults.current(&host).await.unwrap(), kek(3));
        let mut moved = vaults
            .rewrap(&host, &BINDING, place(&old), &[], "v")
            .await
            .unwrap();
        assert_eq!(
            (&moved.kek, &moved.entry, &moved.ciphertext),
            (&kek(3), &old.entry, &None)
        );
        moved.ciphertext = old.ciphertext.clone();
        gcp.set_state(1, "DISABLED");
        assert_eq!(
            opened(&host, &vaults, &BINDING, &moved).await.unwrap(),
            SECRET
        );
        let error = opened(&host, &vaults, &BINDING, &old).await.unwrap_err();
        assert!(matches!(error, VaultError::Refused { .. }));
    });
}

#[test]
fn a_version_that_is_not_ready_does_not_become_primary() {
    let (gcp, server) = started();
    gcp.make_versions("PENDING_GENERATION");
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let error = vaults.rotate(&host).await.unwrap_err();
            assert_unavailable(error, server, "PENDING_GENERATION");
            assert_eq!(server.calls(":updatePrimaryVersion"), 0);
            assert_eq!(vaults.current(&host).await.unwrap(), kek(1));
        }
    });
}

#[test]
fn a_project_may_be_called_by_its_number() {
    let (gcp, server) = started();
    gcp.number_projects();
    on(&server, |host, vaults| async move {
        let stored = sealed(&host, &vaults).await;
        assert_eq!(stored.kek, kek(1));
        assert_eq!(vaults.current(&host).await.unwrap(), kek(1));
        assert_eq!(
            opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
            SECRET
        );
        vaults.rotate(&host).await.unwrap();
        assert_eq!(vaults.current(&host).await.unwrap(), kek(2));
    });
}
