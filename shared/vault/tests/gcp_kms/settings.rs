//! The settings, and the service account's key file among them.

use mock_vault::gcp::{Gcp, KEY};

use super::common::{misconfigured, with_vaults};
use super::{assert_refused, started};

#[test]
fn each_setting_is_checked() {
    let with = |setting: &'static str, value: &str| {
        let mut settings = vec![
            ("LOCKGATE_VAULT", "gcp-kms".to_owned()),
            ("LOCKGATE_VAULT_GCP_KEY", KEY.to_owned()),
            ("LOCKGATE_VAULT_GCP_CREDENTIALS", Gcp::credentials()),
        ];
        settings.retain(|(name, _)| *name != setting);
        settings.push((setting, value.to_owned()));
        let settings: Vec<_> = settings.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let problem = misconfigured(&settings);
        assert_eq!(problem.setting, setting);
        let text = format!("{problem} {problem:?}");
        assert!(!text.contains("BEGIN PRIVATE KEY-----\nMII"), "{text}");
        assert!(!text.contains("MIIE"), "{text}");
        text
    };
    let key = "LOCKGATE_VAULT_GCP_KEY";
    assert!(with(key, "").contains("not set"));
    for wrong in [
        "projects/p/locations/l/keyRings/r/cryptoKeys/",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
        "projects/p/locations/l/keyRings/r/cryptoKeys/..",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k?x",
        "projects/p/locations/l/keyRings/r%2f/cryptoKeys/k",
    ] {
        let text = with(key, wrong);
        assert!(
            text.contains(wrong) && text.contains("keyRings/<ring>"),
            "{text}"
        );
    }
    assert!(with(key, &Gcp::credentials()).contains("what it says is no name"));
    let text = with("LOCKGATE_VAULT_GCP_ENDPOINT", "http://kms.example");
    assert!(text.contains("plain http"), "{text}");
    let file = "LOCKGATE_VAULT_GCP_CREDENTIALS";
    assert!(with(file, " ").contains("not set"));
    let private = serde_json::from_str::<serde_json::Value>(&Gcp::credentials()).unwrap();
    let private = private["private_key"].as_str().unwrap().to_owned();
    for (field, value, words) in [
        ("type", "authorized_user", "authorized_user"),
        ("universe_domain", "example.com", "example.com"),
        ("client_email", "", "no `client_email`"),
        ("private_key_id", "", "no `private_key_id`"),
        ("private_key", "", "RSA key of 2048 bits"),
        ("private_key", "secret", "RSA key of 2048 bits"),
        (
            "private_key",
            &private.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
            "RSA key of 2048 bits",
        ),
        (
            "private_key",
            &private.replace("MIIE", "MIIF"),
            "RSA key of 2048 bits",
        ),
    ] {
        let mut json: serde_json::Value = serde_json::from_str(&Gcp::credentials()).unwrap();
        json[field] = value.into();
        let text = with(file, &json.to_string());
        assert!(text.contains(words), "{text}");
    }
    for wrong in [&private, "{", "[]", r#"{"private_key": 7}"#] {
        let text = with(file, wrong);
        assert!(text.contains("not the JSON"), "{text}");
    }
}

#[test]
fn a_key_whose_numbers_do_not_fit_together_signs_nothing() {
    let (_gcp, server) = started();
    let mut json: serde_json::Value = serde_json::from_str(&Gcp::credentials()).unwrap();
    let pem = json["private_key"].as_str().unwrap();
    // In the middle of the private exponent.
    let (start, end) = pem.split_at(pem.len() / 2);
    let first = end.chars().find(char::is_ascii_alphanumeric).unwrap();
    let other = if first == 'A' { "B" } else { "A" };
    json["private_key"] = format!("{start}{}", end.replacen(first, other, 1)).into();
    with_vaults(
        &[
            ("LOCKGATE_VAULT", "gcp-kms"),
            ("LOCKGATE_VAULT_GCP_KEY", KEY),
            ("LOCKGATE_VAULT_GCP_CREDENTIALS", &json.to_string()),
            ("LOCKGATE_VAULT_GCP_ENDPOINT", &server.base_url()),
        ],
        |host, vaults| {
            let server = &server;
            async move {
                let error = vaults.current(&host).await.unwrap_err();
                assert_refused(
                    error,
                    server,
                    &["cannot sign", "LOCKGATE_VAULT_GCP_CREDENTIALS"],
                );
                assert_eq!(server.asked().len(), 0);
            }
        },
    );
}

/// The store knows by it that a gateway with another key cannot read what is under this one.
#[test]
fn only_what_is_under_the_key_of_the_settings_is_held() {
    let (_gcp, server) = started();
    let (stored, held) = super::on(&server, |host, vaults| async move {
        let stored = super::sealed(&host, &vaults).await;
        (stored, vaults.in_force().remove(1))
    });
    assert!(stored.kek.starts_with(&held.prefix), "{held:?}");
    let other = format!("{KEY}2");
    let settings = [
        ("LOCKGATE_VAULT_PREVIOUS", "gcp-kms"),
        ("LOCKGATE_VAULT_GCP_KEY", other.as_str()),
        ("LOCKGATE_VAULT_GCP_CREDENTIALS", &Gcp::credentials()),
    ];
    with_vaults(&settings, |host, vaults| async move {
        let now = vaults.readable().remove(0);
        assert!(!stored.kek.starts_with(&now.prefix), "{now:?}");
        assert_ne!(now.mark, held.mark);
        let given = vaults
            .give(&host, &super::BINDING, super::place(&stored))
            .await;
        assert!(
            matches!(given, Err(super::VaultError::NotHeld { .. })),
            "{given:?}"
        );
    });
}
