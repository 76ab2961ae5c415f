//! The vaults of the settings: which one new secrets go to, and which are still read.
#![allow(clippy::unwrap_used)]

mod common;

use common::{BINDING, SECRET, misconfigured, opened, place, secret, with_vaults};

const NEW: &str = "0202020202020202020202020202020202020202020202020202020202020202";

#[test]
fn a_local_kek_is_rotated() {
    let (old_id, mut stored) = with_vaults(&[], |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        (vaults.current(&host).await.unwrap(), stored)
    });
    assert_eq!(stored.kek, old_id);
    let both = [
        ("LOCKGATE_KEK", NEW),
        ("LOCKGATE_KEK_PREVIOUS", common::KEK),
    ];
    let old = stored.clone();
    let moved = with_vaults(&both, |host, vaults| async move {
        assert_eq!(
            opened(&host, &vaults, &BINDING, &old).await.unwrap(),
            SECRET
        );
        let ciphertext = old.ciphertext.clone().unwrap();
        vaults
            .rewrap(&host, &BINDING, place(&old), &ciphertext, "v")
            .await
            .unwrap()
    });
    assert_ne!(moved.kek, old_id);
    assert_eq!((&moved.entry, moved.ciphertext), (&stored.entry, None));
    stored.kek = moved.kek;
    stored.wrapped = moved.wrapped;
    with_vaults(&[("LOCKGATE_KEK", NEW)], |host, vaults| async move {
        assert_eq!(
            opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
            SECRET
        );
    });
}

#[test]
fn what_is_wrong_is_named() {
    for (settings, setting, found) in [
        (
            vec![("LOCKGATE_VAULT", "shoe-box")],
            "LOCKGATE_VAULT",
            "shoe-box",
        ),
        (
            vec![("LOCKGATE_VAULT_PREVIOUS", "local,shoe-box")],
            "LOCKGATE_VAULT_PREVIOUS",
            "shoe-box",
        ),
        (
            vec![("LOCKGATE_KEK_PREVIOUS", "abc")],
            "LOCKGATE_KEK_PREVIOUS",
            "32 bytes",
        ),
        (vec![("LOCKGATE_KEK", "")], "LOCKGATE_KEK", "not set"),
        (
            vec![("LOCKGATE_VAULT_OUTAGE_MS", "an hour")],
            "LOCKGATE_VAULT_OUTAGE_MS",
            "an hour",
        ),
        (
            vec![("LOCKGATE_VAULT_BRIDGE", "perhaps")],
            "LOCKGATE_VAULT_BRIDGE",
            "perhaps",
        ),
    ] {
        let problem = misconfigured(&settings);
        assert_eq!(problem.setting, setting);
        assert!(problem.problem.contains(found), "{problem}");
    }
}
