//! Against moto's server.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use lockgate_vault::{Binding, OpenError, Stored, VaultError};
use mock_vault::Moto;
use serde_json::json;

use crate::common::{BINDING, SECRET, misconfigured, opened, place, secret, with_vaults};
use crate::{REGION, at, with};

/// The server that the tests share, for as long as one of them runs: it takes seconds to start.
static MOTO: Mutex<Weak<Moto>> = Mutex::new(Weak::new());

fn moto() -> Arc<Moto> {
    let mut shared = MOTO.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Moto::start());
        *shared = Arc::downgrade(&started);
        started
    })
}

/// Seals a secret under the key of these settings.
pub(crate) fn sealed(settings: &[(&str, &str)]) -> Stored {
    with_vaults(settings, |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        assert_eq!(vaults.current(&host).await.unwrap(), stored.kek);
        stored
    })
}

/// Opens it with these.
pub(crate) fn reopened(
    settings: &[(&str, &str)],
    binding: Binding<'_>,
    stored: &Stored,
) -> Result<String, VaultError> {
    with_vaults(settings, |host, vaults| async move {
        opened(&host, &vaults, &binding, stored).await
    })
}

/// Seals it anew with these settings.
fn rewrapped(settings: &[(&str, &str)], stored: &Stored) -> Result<Stored, VaultError> {
    with_vaults(settings, |host, vaults| async move {
        let ciphertext = stored.ciphertext.clone().unwrap();
        let moved = vaults
            .rewrap(&host, &BINDING, place(stored), &ciphertext, "v")
            .await?;
        assert_eq!(
            (&moved.entry, &moved.ciphertext),
            (&stored.entry, &None),
            "the ciphertext stays"
        );
        Ok(Stored {
            ciphertext: stored.ciphertext.clone(),
            ..moved
        })
    })
}

fn alias(moto: &Moto, name: &str, arn: &str, operation: &str) {
    let fields = json!({ "AliasName": name, "TargetKeyId": arn });
    assert_eq!(
        moto.kms(REGION, operation, &fields).get("__type"),
        None,
        "{operation}"
    );
}

#[test]
fn a_secret_comes_back_whichever_way_the_key_is_named() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    let (prefix, id) = arn.split_once("key/").unwrap();
    alias(&moto, "alias/lockgate/round-trip", &arn, "CreateAlias");
    let alias_arn = format!("{prefix}alias/lockgate/round-trip");
    for name in [&arn, id, "alias/lockgate/round-trip", &alias_arn] {
        let settings = at(&url, name, REGION);
        let stored = sealed(&settings);
        assert_eq!(stored.kek, format!("aws-kms:{arn}"));
        assert!(!format!("{stored:?}").contains(SECRET));
        assert_eq!(reopened(&settings, BINDING, &stored).unwrap(), SECRET);
    }
}

#[test]
fn an_arn_names_the_region() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key("ap-south-1");
    let mut settings = at(&url, &arn, "");
    settings.retain(|(name, _)| *name != "LOCKGATE_VAULT_AWS_REGION");
    let stored = sealed(&settings);
    assert_eq!(reopened(&settings, BINDING, &stored).unwrap(), SECRET);
}

#[test]
fn every_seal_has_a_data_key_of_its_own() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    let settings = at(&url, &arn, REGION);
    let (one, two) = (sealed(&settings), sealed(&settings));
    assert_ne!(one.wrapped, two.wrapped);
    let mixed = Stored {
        wrapped: two.wrapped,
        ..one
    };
    assert_eq!(
        reopened(&settings, BINDING, &mixed),
        Err(OpenError::Altered.into())
    );
}

#[test]
fn what_belongs_elsewhere_does_not_open() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    let settings = at(&url, &arn, REGION);
    let stored = sealed(&settings);
    for other in [
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
        assert_eq!(
            reopened(&settings, other, &stored),
            Err(OpenError::WrongKekOrBinding.into()),
            "{other:?}"
        );
    }
}

#[test]
fn what_was_altered_does_not_open() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    let settings = at(&url, &arn, REGION);
    let stored = sealed(&settings);
    // moto's blobs begin with the key's id, 36 characters.
    let named = 36;
    with_vaults(&settings, |host, vaults| async move {
        for at in 0..stored.wrapped.len() {
            let mut altered = stored.clone();
            *altered.wrapped.get_mut(at).unwrap() ^= 1 << (at % 8);
            let error = opened(&host, &vaults, &BINDING, &altered)
                .await
                .unwrap_err();
            match error {
                VaultError::Open(OpenError::WrongKekOrBinding) => {}
                // It names another key.
                VaultError::Refused { .. } if at < named => {}
                other => unreachable!("byte {at}: {other}"),
            }
        }
        for length in 0..stored.wrapped.len() {
            let mut cut = stored.clone();
            cut.wrapped.truncate(length);
            let expected = match length {
                0 => OpenError::Truncated,
                _ => OpenError::WrongKekOrBinding,
            };
            assert_eq!(
                opened(&host, &vaults, &BINDING, &cut).await,
                Err(expected.into()),
                "{length} bytes"
            );
        }
        let long = Stored {
            wrapped: vec![1; 6_145],
            ..stored.clone()
        };
        assert_eq!(
            opened(&host, &vaults, &BINDING, &long).await,
            Err(OpenError::WrongKekOrBinding.into())
        );
        assert_eq!(
            opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
            SECRET
        );
    });
}

#[test]
fn a_key_of_another_region_is_not_found() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    let stored = sealed(&at(&url, &arn, REGION));
    let id = arn.rsplit_once('/').unwrap().1;
    let elsewhere = at(&url, id, "us-west-2");
    with_vaults(&elsewhere, |host, vaults| async move {
        for error in [
            vaults.current(&host).await.unwrap_err(),
            vaults
                .seal(&host, &BINDING, &secret(), "u")
                .await
                .unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, VaultError::Refused { .. }), "{text}");
            assert!(
                text.contains("NotFoundException") && text.contains("check LOCKGATE_VAULT_AWS_KEY"),
                "{text}"
            );
        }
    });
    // What is sealed says where it was sealed, so it opens there wherever new ones go.
    let other = moto.create_key("us-west-2");
    let moved = at(&url, &other, "us-west-2");
    assert_eq!(reopened(&moved, BINDING, &stored).unwrap(), SECRET);
    let forged = Stored {
        kek: stored.kek.replace(REGION, "us-west-2"),
        ..stored
    };
    assert!(matches!(
        reopened(&moved, BINDING, &forged),
        Err(VaultError::Refused { .. })
    ));
    let conflict = misconfigured(&at(&url, &arn, "us-west-2"));
    assert_eq!(conflict.setting, "LOCKGATE_VAULT_AWS_REGION");
    assert!(
        conflict.problem.contains("us-west-2") && conflict.problem.contains(REGION),
        "{conflict}"
    );
}

#[test]
fn a_key_that_is_not_there_is_refused() {
    let moto = moto();
    let url = moto.base_url();
    for key in [
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "alias/none",
        "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ] {
        with_vaults(&at(&url, key, REGION), |host, vaults| async move {
            let error = vaults.current(&host).await.unwrap_err();
            assert!(
                matches!(&error, VaultError::Refused { detail, .. } if detail.contains("NotFoundException")),
                "{error}"
            );
        });
    }
}

#[test]
fn a_key_that_is_not_enabled_is_refused() {
    let moto = moto();
    let url = moto.base_url();
    for (operation, state) in [
        ("DisableKey", "Disabled"),
        ("ScheduleKeyDeletion", "PendingDeletion"),
    ] {
        let arn = moto.create_key(REGION);
        // Unlike KMS, moto takes no ARN here.
        let id = arn.rsplit_once('/').unwrap().1;
        let _ = moto.kms(REGION, operation, &json!({ "KeyId": id }));
        with_vaults(&at(&url, &arn, REGION), |host, vaults| async move {
            let error = vaults.current(&host).await.unwrap_err();
            assert!(
                matches!(&error, VaultError::Refused { detail, .. } if detail.contains(state)),
                "{error}"
            );
            assert!(vaults.rotate(&host).await.is_err());
        });
    }
}

#[test]
fn an_alias_moves_new_secrets_to_another_key_and_rewrap_the_old() {
    let moto = moto();
    let url = moto.base_url();
    let (old, new) = (moto.create_key(REGION), moto.create_key(REGION));
    alias(&moto, "alias/lockgate/rotation", &old, "CreateAlias");
    let settings = at(&url, "alias/lockgate/rotation", REGION);
    let first = sealed(&settings);
    assert_eq!(first.kek, format!("aws-kms:{old}"));

    alias(&moto, "alias/lockgate/rotation", &new, "UpdateAlias");
    let second = sealed(&settings);
    assert_eq!(second.kek, format!("aws-kms:{new}"));
    assert_eq!(reopened(&settings, BINDING, &first).unwrap(), SECRET);

    let moved = rewrapped(&settings, &first).unwrap();
    assert_eq!(moved.kek, second.kek);
    assert_eq!(reopened(&settings, BINDING, &moved).unwrap(), SECRET);
    // The binding goes along.
    let other = Binding {
        workspace: "ws_2",
        ..BINDING
    };
    assert_eq!(
        reopened(&settings, other, &moved),
        Err(OpenError::WrongKekOrBinding.into())
    );
}

#[test]
fn a_rewrap_crosses_regions() {
    let moto = moto();
    let url = moto.base_url();
    let (here, there) = (moto.create_key(REGION), moto.create_key("us-east-2"));
    let stored = sealed(&at(&url, &here, REGION));
    let settings = at(&url, &there, "us-east-2");
    let moved = rewrapped(&settings, &stored).unwrap();
    assert_eq!(moved.kek, format!("aws-kms:{there}"));
    assert_eq!(reopened(&settings, BINDING, &moved).unwrap(), SECRET);
}

#[test]
fn secrets_move_from_the_local_kek_and_back() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    let local = sealed(&[]);
    let aws = with(
        at(&url, &arn, REGION),
        &[("LOCKGATE_VAULT_PREVIOUS", "local")],
    );
    assert_eq!(reopened(&aws, BINDING, &local).unwrap(), SECRET);
    let moved = rewrapped(&aws, &local).unwrap();
    assert_eq!(moved.kek, format!("aws-kms:{arn}"));
    assert_eq!(reopened(&aws, BINDING, &moved).unwrap(), SECRET);

    let back = with(
        aws,
        &[
            ("LOCKGATE_VAULT", "local"),
            ("LOCKGATE_VAULT_PREVIOUS", "aws-kms"),
        ],
    );
    assert_eq!(reopened(&back, BINDING, &moved).unwrap(), SECRET);
    let returned = rewrapped(&back, &moved).unwrap();
    assert_eq!(returned.kek, local.kek);
    assert_eq!(reopened(&[], BINDING, &returned).unwrap(), SECRET);
}

#[test]
fn the_key_is_rotated_inside() {
    let moto = moto();
    let url = moto.base_url();
    let arn = moto.create_key(REGION);
    alias(&moto, "alias/lockgate/inside", &arn, "CreateAlias");
    let settings = at(&url, "alias/lockgate/inside", REGION);
    let stored = sealed(&settings);
    with_vaults(&settings, |host, vaults| async move {
        vaults.rotate(&host).await.unwrap();
    });
    let rotations = moto.kms(REGION, "ListKeyRotations", &json!({ "KeyId": arn }));
    assert_eq!(
        rotations
            .pointer("/Rotations/0/RotationType")
            .and_then(|kind| kind.as_str()),
        Some("ON_DEMAND"),
        "{rotations}"
    );
    // The name stays, and so does what was sealed before.
    assert_eq!(sealed(&settings).kek, stored.kek);
    assert_eq!(reopened(&settings, BINDING, &stored).unwrap(), SECRET);
}
