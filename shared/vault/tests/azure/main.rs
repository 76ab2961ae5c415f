//! The adapter `azure-key-vault` against a strict fake of Azure Key Vault and Entra ID.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod login;

use common::{BINDING, SECRET, misconfigured, opened, place, secret, with_vaults};
use lockgate_host_native::NativeHost;
use lockgate_vault::{Binding, OpenError, Stored, VaultError, Vaults};
use mock_vault::MockVault;
use mock_vault::azure::{Azure, CLIENT_ID, CLIENT_SECRET, TENANT};

/// The settings for `server`.
pub(crate) fn settings(server: &MockVault) -> Vec<(&'static str, String)> {
    vec![
        ("LOCKGATE_VAULT", "azure-key-vault".into()),
        ("LOCKGATE_VAULT_AZURE_KEY", Azure::key(&server.base_url())),
        ("LOCKGATE_VAULT_AZURE_TENANT_ID", TENANT.into()),
        ("LOCKGATE_VAULT_AZURE_CLIENT_ID", CLIENT_ID.into()),
        ("LOCKGATE_VAULT_AZURE_CLIENT_SECRET", CLIENT_SECRET.into()),
        ("LOCKGATE_VAULT_AZURE_LOGIN", server.base_url()),
        ("LOCKGATE_VAULT_TIMEOUT_MS", "1000".into()),
    ]
}

/// Settings with one of them changed, or added.
pub(crate) fn with(
    server: &MockVault,
    setting: &'static str,
    value: &str,
) -> Vec<(&'static str, String)> {
    let mut settings = settings(server);
    settings.retain(|(name, _)| *name != setting);
    settings.push((setting, value.to_owned()));
    settings
}

pub(crate) fn borrowed<'s>(settings: &'s [(&'static str, String)]) -> Vec<(&'static str, &'s str)> {
    settings.iter().map(|(n, v)| (*n, v.as_str())).collect()
}

/// Runs `work` with the vaults of a gateway that uses `server`.
pub(crate) fn on<T, F: Future<Output = T>>(
    server: &MockVault,
    work: impl FnOnce(NativeHost, Vaults) -> F,
) -> T {
    with_vaults(&borrowed(&settings(server)), work)
}

pub(crate) fn started() -> (Azure, MockVault) {
    let azure = Azure::new();
    let server = MockVault::start(azure.clone());
    (azure, server)
}

pub(crate) async fn sealed(host: &NativeHost, vaults: &Vaults) -> Stored {
    vaults.seal(host, &BINDING, &secret(), "u").await.unwrap()
}

pub(crate) fn kek(server: &MockVault, version: usize) -> String {
    let version = Azure::version(&server.base_url(), version);
    format!("azure-key-vault:{version}")
}

/// What an error says, after a look that it says nothing secret.
pub(crate) fn said(error: &VaultError, server: &MockVault) -> String {
    let text = format!("{error} {error:?}");
    let mut secrets = vec![CLIENT_SECRET.to_owned(), SECRET.to_owned()];
    secrets.push(CLIENT_SECRET.replace('+', "%2B"));
    for ask in server.asked() {
        let token = ask
            .header("authorization")
            .map(|header| header[7..].to_owned());
        let plain = ask.json().filter(|_| ask.path.contains("/wrapkey"));
        let plain = plain.map(|body| body["value"].as_str().unwrap().to_owned());
        secrets.extend(token.into_iter().chain(plain));
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{text}");
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
    let (_azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let current = vaults.current(&host).await.unwrap();
            let stored = sealed(&host, &vaults).await;
            assert_eq!((&stored.kek, &current), (&kek(server, 1), &kek(server, 1)));
            assert_eq!(stored.wrapped.len(), 256);
            let opened = opened(&host, &vaults, &BINDING, &stored).await;
            assert_eq!(opened.unwrap(), SECRET);
        }
    });
    assert_eq!(server.calls("/oauth2/"), 1);
    assert_eq!(server.calls("/wrapkey"), 1);
    assert_eq!(server.calls("/unwrapkey"), 1);
    assert_eq!(server.asked().len(), 5);
}

/// The wrapped data key says nothing of whose it is: the ciphertext does.
#[test]
fn what_was_moved_or_altered_does_not_open() {
    let (_azure, server) = started();
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
            assert_eq!(error, Err(OpenError::Altered.into()));
        }
        let other = Binding {
            key_id: "pk_2",
            ..BINDING
        };
        let theirs = vaults.seal(&host, &other, &secret(), "v").await.unwrap();
        let mut swapped = stored.clone();
        swapped.wrapped = theirs.wrapped;
        let error = opened(&host, &vaults, &BINDING, &swapped).await;
        assert_eq!(error, Err(OpenError::Altered.into()));
        for byte in 0..stored.wrapped.len() {
            let mut altered = stored.clone();
            altered.wrapped[byte] ^= 1 << (byte % 8);
            let error = opened(&host, &vaults, &BINDING, &altered).await;
            assert_eq!(error, Err(OpenError::WrongKekOrBinding.into()), "{byte}");
        }
        for length in [0, 1, 128, 255] {
            let mut short = stored.clone();
            short.wrapped.truncate(length);
            let error = opened(&host, &vaults, &BINDING, &short).await.unwrap_err();
            let cut = matches!(
                error,
                VaultError::Open(OpenError::WrongKekOrBinding | OpenError::Truncated)
            );
            assert!(cut, "{error}");
        }
        assert_eq!(
            opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
            SECRET
        );
    });
}

/// A KEK's name comes out of the database; whoever wrote it there must not have the token sent to them.
#[test]
fn only_the_configured_key_is_asked_for() {
    let (_azure, server) = started();
    let stranger = MockVault::start(Azure::new());
    on(&server, |host, vaults| {
        let (server, stranger) = (&server, &stranger);
        async move {
            let mut stored = sealed(&host, &vaults).await;
            server.clear();
            let own = server.base_url();
            let version = Azure::version("", 1);
            for name in [
                Azure::version(&stranger.base_url(), 1),
                format!("{own}@{}{version}", &stranger.base_url()[7..]),
                format!("{own}.evil.example{version}"),
                format!("{own}/keys/other/{}", version.rsplit_once('/').unwrap().1),
                format!("{own}/secrets{version}"),
                Azure::key(&own),
                format!("{}/", Azure::key(&own)),
                format!("{}/..", Azure::key(&own)),
                format!("{}/a/b", Azure::key(&own)),
                format!("{}/a?b", Azure::key(&own)),
                format!("{}/a%2fb", Azure::key(&own)),
                String::new(),
            ] {
                stored.kek = format!("azure-key-vault:{name}");
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                let kek = stored.kek.clone();
                assert_eq!(error, Err(VaultError::NotHeld { kek }));
            }
            assert_eq!(server.asked().len() + stranger.asked().len(), 0);
        }
    });
}

#[test]
fn a_rotation_keeps_what_is_old_readable_and_a_rewrap_moves_it() {
    let (azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let old = sealed(&host, &vaults).await;
            vaults.rotate(&host).await.unwrap();
            assert_eq!(vaults.current(&host).await.unwrap(), kek(server, 2));
            assert_eq!(sealed(&host, &vaults).await.kek, kek(server, 2));
            assert_eq!(
                opened(&host, &vaults, &BINDING, &old).await.unwrap(),
                SECRET
            );
            // Somebody else's rotation.
            azure.rotate();
            assert_eq!(vaults.current(&host).await.unwrap(), kek(server, 3));
            let mut moved = vaults
                .rewrap(&host, &BINDING, place(&old), &[], "v")
                .await
                .unwrap();
            assert_eq!(
                (&moved.kek, &moved.entry, &moved.ciphertext),
                (&kek(server, 3), &old.entry, &None)
            );
            moved.ciphertext = old.ciphertext.clone();
            azure.change(1, |version| version.enabled = false);
            assert_eq!(
                opened(&host, &vaults, &BINDING, &moved).await.unwrap(),
                SECRET
            );
            let error = opened(&host, &vaults, &BINDING, &old).await.unwrap_err();
            assert_refused(error, server, &["KeyDisabled", "enable"]);
            // A label that says another version than the one that wrapped it.
            let mut relabelled = moved.clone();
            relabelled.kek = kek(server, 2);
            let error = opened(&host, &vaults, &BINDING, &relabelled).await;
            assert_eq!(error, Err(OpenError::WrongKekOrBinding.into()));
        }
    });
}

#[test]
fn a_version_in_the_setting_is_the_one_that_wraps() {
    let (azure, server) = started();
    azure.rotate();
    let first = Azure::version(&server.base_url(), 1);
    let pinned = with(&server, "LOCKGATE_VAULT_AZURE_KEY", &first);
    let newest = on(&server, |host, vaults| async move {
        sealed(&host, &vaults).await
    });
    assert_eq!(newest.kek, kek(&server, 2));
    with_vaults(&borrowed(&pinned), |host, vaults| {
        let server = &server;
        async move {
            assert_eq!(vaults.current(&host).await.unwrap(), kek(server, 1));
            assert_eq!(sealed(&host, &vaults).await.kek, kek(server, 1));
            assert_eq!(
                opened(&host, &vaults, &BINDING, &newest).await.unwrap(),
                SECRET
            );
            let error = vaults.rotate(&host).await.unwrap_err();
            assert!(matches!(error, VaultError::Unsupported { .. }));
            assert!(said(&error, server).contains("LOCKGATE_VAULT_AZURE_KEY"));
        }
    });
}

#[test]
fn each_setting_is_checked() {
    let (_azure, server) = started();
    let problem = |setting: &'static str, value: &str| {
        let problem = misconfigured(&borrowed(&with(&server, setting, value)));
        assert_eq!(problem.setting, setting);
        let text = format!("{problem} {problem:?}");
        assert!(!text.contains(CLIENT_SECRET), "{text}");
        text
    };
    for setting in [
        "LOCKGATE_VAULT_AZURE_KEY",
        "LOCKGATE_VAULT_AZURE_TENANT_ID",
        "LOCKGATE_VAULT_AZURE_CLIENT_ID",
        "LOCKGATE_VAULT_AZURE_CLIENT_SECRET",
    ] {
        assert!(problem(setting, " ").contains("not set"));
    }
    let key = "LOCKGATE_VAULT_AZURE_KEY";
    let text = problem(key, "https://v.vault.azure.net/secrets/x");
    assert!(text.contains("https://v.vault.azure.net/secrets/x") && text.contains("/keys/<name>"));
    assert!(problem(key, "http://v.vault.azure.net/keys/x").contains("plain http"));
    assert!(problem(key, "v.vault.azure.net").contains("no address"));
    assert!(problem("LOCKGATE_VAULT_AZURE_LOGIN", "http://login.example").contains("plain http"));
    for setting in [
        "LOCKGATE_VAULT_AZURE_TENANT_ID",
        "LOCKGATE_VAULT_AZURE_CLIENT_ID",
    ] {
        for wrong in ["..", "a/b", "a?b", CLIENT_SECRET] {
            assert!(problem(setting, wrong).contains("no id has"));
        }
    }
}

/// The store knows by it that a gateway with another key cannot read what is under this one.
#[test]
fn only_what_is_under_the_key_of_the_settings_is_held() {
    let (_azure, server) = started();
    let (stored, held) = on(&server, |host, vaults| async move {
        let stored = sealed(&host, &vaults).await;
        (stored, vaults.in_force().remove(1))
    });
    assert!(stored.kek.starts_with(&held.prefix), "{held:?}");
    let other = format!("{}2", Azure::key(&server.base_url()));
    let settings = with(&server, "LOCKGATE_VAULT_AZURE_KEY", &other);
    with_vaults(&borrowed(&settings), |host, vaults| async move {
        let now = vaults.in_force().remove(1);
        assert!(!stored.kek.starts_with(&now.prefix), "{now:?}");
        assert_ne!(now.mark, held.mark);
        let given = vaults.give(&host, &BINDING, place(&stored)).await;
        assert!(
            matches!(given, Err(VaultError::NotHeld { .. })),
            "{given:?}"
        );
    });
}
