//! What KMS does and refuses, which moto does not, against the strict fake.

use lockgate_vault::{Binding, OpenError, Stored, VaultError};
use serde_json::{Value, json};

use crate::common::{BINDING, SECRET, opened, place, secret, with_vaults};
use crate::fake::Kms;
use crate::moto::{reopened, sealed};
use crate::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, at, with};

const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN//8wEaCXVzLWVhc3QtMSJ==";

/// What a refusal says; none of it is secret.
fn refused<T: std::fmt::Debug>(outcome: Result<T, VaultError>) -> String {
    let error = outcome.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, VaultError::Refused { .. }), "{text}");
    for secret in [SECRET, SECRET_ACCESS_KEY, TOKEN] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

/// All that a vault is asked, with these settings: what each came to.
fn everything(
    settings: &[(&str, &str)],
    stored: &Stored,
) -> [(&'static str, Result<(), VaultError>); 4] {
    with_vaults(settings, |host, vaults| async move {
        let ciphertext = stored.ciphertext.clone().unwrap();
        let place = place(stored);
        [
            ("current", vaults.current(&host).await.map(drop)),
            (
                "seal",
                vaults.seal(&host, &BINDING, &secret(), "u").await.map(drop),
            ),
            ("give", vaults.give(&host, &BINDING, place).await.map(drop)),
            (
                "rewrap",
                vaults
                    .rewrap(&host, &BINDING, place, &ciphertext, "v")
                    .await
                    .map(drop),
            ),
        ]
    })
}

fn context() -> Value {
    json!({
        "lockgate:workspace": "ws_1",
        "lockgate:provider": "openai",
        "lockgate:key": "pk_1",
        "lockgate:version": "3",
    })
}

#[test]
fn each_step_is_one_call_with_its_binding() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let operations = |kms: &Kms| {
        let asked = kms.asked();
        kms.server.clear();
        asked
    };
    let stored = with_vaults(&settings, |host, vaults| async move {
        vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap()
    });
    let sealing = operations(&kms);
    assert_eq!(
        sealing,
        [(
            "GenerateDataKey".to_owned(),
            json!({ "KeyId": "alias/lockgate", "KeySpec": "AES_256", "EncryptionContext": context() })
        )]
    );

    assert_eq!(reopened(&settings, BINDING, &stored).unwrap(), SECRET);
    let opening = operations(&kms);
    let blob = data_encoding::BASE64.encode(&stored.wrapped);
    assert_eq!(
        opening,
        [(
            "Decrypt".to_owned(),
            json!({ "KeyId": kms.arn(0), "CiphertextBlob": blob, "EncryptionContext": context() })
        )]
    );

    let other = with(settings.clone(), &[("LOCKGATE_VAULT_AWS_KEY", "alias/two")]);
    kms.state().aliases.insert("alias/two".into(), 1);
    let [_, _, _, (_, rewrapped)] = everything(&other, &stored);
    assert_eq!(rewrapped, Ok(()));
    let asked = operations(&kms);
    // The data key does not come out.
    assert_eq!(
        asked.last().unwrap(),
        &(
            "ReEncrypt".to_owned(),
            json!({
                "CiphertextBlob": blob,
                "SourceKeyId": kms.arn(0),
                "SourceEncryptionContext": context(),
                "DestinationKeyId": "alias/two",
                "DestinationEncryptionContext": context(),
            })
        )
    );
    assert_eq!(asked.len(), 4);

    let local = sealed(&[]);
    kms.server.clear();
    let moving = with(settings, &[("LOCKGATE_VAULT_PREVIOUS", "local")]);
    let [_, _, _, (_, moved)] = everything(&moving, &local);
    assert_eq!(moved, Ok(()));
    let (operation, fields) = operations(&kms).pop().unwrap();
    assert_eq!(operation, "Encrypt");
    assert_eq!(fields.get("EncryptionContext"), Some(&context()));
    assert_eq!(fields.get("KeyId"), Some(&json!("alias/lockgate")));
}

#[test]
fn a_key_that_was_retired_is_needed_no_more() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    kms.state().aliases.insert("alias/lockgate".into(), 1);
    let moved = with_vaults(&settings, |host, vaults| async move {
        let ciphertext = stored.ciphertext.clone().unwrap();
        let moved = vaults
            .rewrap(&host, &BINDING, place(&stored), &ciphertext, "v")
            .await
            .unwrap();
        assert_eq!(moved.kek, vaults.current(&host).await.unwrap());
        Stored {
            ciphertext: stored.ciphertext,
            ..moved
        }
    });
    kms.state().keys.get_mut(0).unwrap().state = "PendingDeletion";
    assert_eq!(reopened(&settings, BINDING, &moved).unwrap(), SECRET);
}

#[test]
fn every_state_but_enabled_is_a_refusal() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    for (state, error, hint) in [
        ("Disabled", "DisabledException", "enable the key again"),
        (
            "PendingDeletion",
            "KMSInvalidStateException",
            "can be cancelled",
        ),
        ("Unavailable", "KMSInvalidStateException", "see the state"),
    ] {
        kms.state().keys.get_mut(0).unwrap().state = state;
        for (what, outcome) in everything(&settings, &stored) {
            let text = refused(outcome);
            if what == "current" {
                assert!(text.contains(state), "{text}");
            } else {
                assert!(
                    text.contains(error) && text.contains(hint),
                    "{what}: {text}"
                );
            }
        }
    }
    kms.state().keys.get_mut(0).unwrap().state = "Enabled";
    assert_eq!(reopened(&settings, BINDING, &stored).unwrap(), SECRET);
}

#[test]
fn a_key_of_another_kind_is_refused() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    kms.state().keys.get_mut(0).unwrap().spec = "RSA_4096";
    with_vaults(&settings, |host, vaults| async move {
        let text = refused(vaults.current(&host).await);
        assert!(text.contains("not a symmetric encryption key"), "{text}");
        let text = refused(vaults.seal(&host, &BINDING, &secret(), "u").await);
        assert!(text.contains("InvalidKeyUsageException"), "{text}");
    });
}

#[test]
fn a_policy_that_lacks_an_operation_is_named() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    for (number, operation) in ["DescribeKey", "GenerateDataKey", "Decrypt", "ReEncrypt"]
        .into_iter()
        .enumerate()
    {
        kms.state().forbidden = Some(operation);
        for (at, (what, outcome)) in everything(&settings, &stored).into_iter().enumerate() {
            if at == number {
                let text = refused(outcome);
                assert!(text.contains(&format!("allow kms:{operation}")), "{text}");
            } else {
                assert_eq!(outcome, Ok(()), "{what} without {operation}");
            }
        }
    }
}

#[test]
fn wrong_credentials_are_refused() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    for (changed, error, hint) in [
        (
            ("LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY", "another/secret"),
            "InvalidSignatureException",
            "check LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY",
        ),
        (
            ("LOCKGATE_VAULT_AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE"),
            "UnrecognizedClientException",
            "check LOCKGATE_VAULT_AWS_ACCESS_KEY_ID",
        ),
        (
            ("LOCKGATE_VAULT_AWS_SESSION_TOKEN", TOKEN),
            "UnrecognizedClientException",
            "LOCKGATE_VAULT_AWS_SESSION_TOKEN",
        ),
        // The fake is one region's endpoint.
        (
            ("LOCKGATE_VAULT_AWS_REGION", "us-east-1"),
            "InvalidSignatureException",
            "the region",
        ),
    ] {
        let settings = with(settings.clone(), &[changed]);
        let [(_, outcome), _, _, _] = everything(&settings, &stored);
        let text = refused(outcome);
        assert!(text.contains(error) && text.contains(hint), "{text}");
        assert!(!text.contains("another/secret"), "{text}");
    }
}

#[test]
fn temporary_credentials_are_sent_signed_and_end() {
    let kms = Kms::start();
    kms.state().token = Some(TOKEN);
    let url = kms.server.base_url();
    let settings = with(
        at(&url, "alias/lockgate", REGION),
        &[("LOCKGATE_VAULT_AWS_SESSION_TOKEN", TOKEN)],
    );
    let stored = sealed(&settings);
    assert_eq!(reopened(&settings, BINDING, &stored).unwrap(), SECRET);

    // A wrong signature makes KMS repeat the whole request, and so the token.
    let wrong = with(
        settings.clone(),
        &[("LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY", "another/secret")],
    );
    for (_, outcome) in everything(&wrong, &stored) {
        let text = refused(outcome);
        assert!(text.contains("InvalidSignatureException"), "{text}");
        assert!(text.contains("does not match the signature"), "{text}");
        assert!(!text.contains("x-amz-security-token"), "{text}");
    }

    kms.state().token_expired = true;
    for (_, outcome) in everything(&settings, &stored) {
        let text = refused(outcome);
        assert!(
            text.contains("ExpiredTokenException") && text.contains("set new ones"),
            "{text}"
        );
    }
    assert!(kms.server.asked().iter().all(|ask| {
        let id = ask.header("authorization").unwrap();
        id.contains(ACCESS_KEY_ID) && !ask.path.contains(TOKEN)
    }));
}

#[test]
fn what_was_altered_or_swapped_does_not_open() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    let other = sealed(&with(
        settings.clone(),
        &[("LOCKGATE_VAULT_AWS_KEY", &kms.arn(1))],
    ));
    with_vaults(&settings, |host, vaults| async move {
        for bit in 0..stored.wrapped.len() * 8 {
            let mut altered = stored.clone();
            *altered.wrapped.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            assert_eq!(
                opened(&host, &vaults, &BINDING, &altered).await,
                Err(OpenError::WrongKekOrBinding.into()),
                "bit {bit}"
            );
        }
        let swapped = Stored {
            wrapped: other.wrapped.clone(),
            ..stored.clone()
        };
        let renamed = Stored {
            kek: other.kek.clone(),
            ..stored.clone()
        };
        for wrong in [swapped, renamed] {
            assert_eq!(
                opened(&host, &vaults, &BINDING, &wrong).await,
                Err(OpenError::WrongKekOrBinding.into())
            );
            // Nor does it get a new wrap.
            let ciphertext = wrong.ciphertext.clone().unwrap();
            let place = place(&wrong);
            let moved = vaults
                .rewrap(&host, &BINDING, place, &ciphertext, "v")
                .await;
            assert_eq!(moved, Err(OpenError::WrongKekOrBinding.into()));
        }
        let elsewhere = Binding {
            workspace: "ws_2",
            ..BINDING
        };
        let ciphertext = stored.ciphertext.clone().unwrap();
        let moved = vaults
            .rewrap(&host, &elsewhere, place(&stored), &ciphertext, "v")
            .await;
        assert_eq!(moved, Err(OpenError::WrongKekOrBinding.into()));
    });
}

#[test]
fn a_name_that_is_no_arn_leads_nowhere() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    kms.server.clear();
    for kek in [
        "aws-kms:",
        "aws-kms:alias/lockgate",
        "aws-kms:arn:aws:kms:evil.example/:111122223333:key/a",
    ] {
        let forged = Stored {
            kek: kek.into(),
            ..stored.clone()
        };
        assert!(matches!(
            reopened(&settings, BINDING, &forged),
            Err(VaultError::NotHeld { .. })
        ));
    }
    assert_eq!(kms.server.asked().len(), 0);
}

#[test]
fn old_material_goes_on_opening_until_there_is_no_more() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let first = sealed(&settings);
    with_vaults(&settings, |host, vaults| async move {
        for _ in 0..25 {
            vaults.rotate(&host).await.unwrap();
        }
        let text = refused(vaults.rotate(&host).await);
        assert!(
            text.contains("LimitExceededException") && text.contains("set LOCKGATE_VAULT_AWS_KEY"),
            "{text}"
        );
    });
    let last = sealed(&settings);
    assert_eq!(first.kek, last.kek);
    for stored in [&first, &last] {
        assert_eq!(reopened(&settings, BINDING, stored).unwrap(), SECRET);
    }
}
