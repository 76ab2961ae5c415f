//! Each adapter from the first secret to the last: what reaches the provider, what reaches the vault, and what lies on disk
//! (FEATURES G3).

use mock_vault::azure::CLIENT_SECRET;
use serde_json::json;

use crate::case::{Case, Env, cases};
use crate::misconfiguration::refused;
use crate::stores::{holders, holds};
use crate::tenant::{eventually, secret};
use crate::vault::{AWS_SECRET, House, TOKEN, Vault, counts, plan, status};

pub(crate) fn cases() -> Vec<Case> {
    cases!["vault_adapters":
        aws_kms [process],
        vault_transit [process],
        vault_kv [process],
        gcp_kms [process],
        azure_key_vault [process],
        settings [process],
    ]
}

fn aws_kms(env: &Env) {
    assert!(!lived(env, &Vault::aws_kms()));
}

fn vault_transit(env: &Env) {
    let (vault, _) = Vault::transit();
    assert!(!lived(env, &vault));
}

fn vault_kv(env: &Env) {
    let (vault, server) = Vault::kv();
    assert!(lived(env, &vault), "it holds the secrets themselves");
    assert_eq!(
        server.entries("secret"),
        [],
        "what nothing points to is removed"
    );
}

fn gcp_kms(env: &Env) {
    let (vault, _) = Vault::gcp_kms();
    assert!(!lived(env, &vault));
}

fn azure_key_vault(env: &Env) {
    assert!(!lived(env, &Vault::azure_key_vault()));
}

/// A key is made, used, rotated, used after a restart, and removed. Whether the vault was shown the secret.
fn lived(env: &Env, vault: &Vault) -> bool {
    let gateway = vault.on(plan(env)).start();
    let mut house = House::build(&gateway, &["openai", "groq"]);
    let first = house.secret("openai").to_owned();
    house.all_served(&gateway);
    let second = secret("second");
    house.mock.clear();
    house.rotate(&gateway, "openai", second.clone()).expect(200);
    house.served(&gateway, "openai");
    let said = status(&gateway);
    assert_eq!(
        (&said["adapter"], &said["error"]),
        (&json!(vault.adapter), &json!(null)),
        "{said}"
    );
    assert_eq!(said["secrets"], said["under_kek"], "{said}");
    // A replaced version counts until its secret is forgotten, which is done in the background.
    eventually("the replaced secret is forgotten", || {
        (counts(&gateway)[vault.adapter] == 2).then_some(())
    });
    let data = gateway.stop();

    // Another process has nothing of it in memory.
    let unseals = vault.unseals();
    assert!(
        unseals >= 3,
        "each version was unsealed by the vault: {unseals}"
    );
    let gateway = vault
        .on(plan(env))
        .set("LOCKGATE_VAULT_BRIDGE", "off")
        .data(&data)
        .start();
    house.all_served(&gateway);
    assert_eq!(vault.unseals(), unseals + 2, "one call each");
    // What the secret belongs to is bound to it in the vault, but for Azure's, which wraps with RSA and has no place for that.
    let told = ["openai", "groq"].map(|provider| vault.saw(house.id(provider)));
    assert_eq!(
        told,
        [vault.adapter != "azure-key-vault"; 2],
        "is told which key it is about"
    );
    house.remove(&gateway, "openai");
    house.remove(&gateway, "groq");
    eventually("the removed secrets are forgotten", || {
        (status(&gateway)["secrets"] == 0).then_some(())
    });
    let data = gateway.stop();

    let found = holders(&data.path(), house.id("openai"));
    assert!(
        !found.is_empty(),
        "these are the files it keeps its state in"
    );
    for hidden in [
        &first,
        &second,
        TOKEN,
        AWS_SECRET,
        CLIENT_SECRET,
        "PRIVATE KEY",
    ] {
        let found = holders(&data.path(), hidden);
        assert!(found.is_empty(), "`{}…` is in {found:?}", &hidden[..10]);
        assert!(
            !holds(data.printed().as_bytes(), hidden),
            "`{}…` is in the log",
            &hidden[..10]
        );
    }
    let shown = [&first, &second].map(|secret| vault.saw(secret));
    assert_eq!(shown[0], shown[1]);
    shown[0]
}

/// Settings that are missing or wrong, by name.
fn settings(env: &Env) {
    let on = |vault: &Vault, name: &str, value: &str| vault.on(plan(env)).set(name, value);
    let (transit, _) = Vault::transit();
    let (gcp, _) = Vault::gcp_kms();
    let key = "LOCKGATE_VAULT_TRANSIT_KEY";
    refused(on(&transit, key, ""), key, TOKEN);
    let plain = "http://vault.example:8200";
    refused(
        on(&transit, "LOCKGATE_VAULT_ADDR", plain),
        "LOCKGATE_VAULT_ADDR",
        TOKEN,
    );
    refused(
        on(&transit, "LOCKGATE_VAULT_TOKEN", ""),
        "LOCKGATE_VAULT_TOKEN",
        "",
    );
    let credentials = "LOCKGATE_VAULT_GCP_CREDENTIALS";
    refused(
        on(&gcp, credentials, "{\"private_key\": \"s3cret\"}"),
        credentials,
        "s3cret",
    );
    let aws = plan(env).set("LOCKGATE_VAULT", "aws-kms");
    refused(aws, "LOCKGATE_VAULT_AWS_KEY", "");
    refused(
        on(&transit, "LOCKGATE_VAULT_OUTAGE_MS", "86400001"),
        "LOCKGATE_VAULT_OUTAGE_MS",
        TOKEN,
    );
    refused(
        on(&transit, "LOCKGATE_VAULT_BRIDGE", "perhaps"),
        "LOCKGATE_VAULT_BRIDGE",
        TOKEN,
    );
}
