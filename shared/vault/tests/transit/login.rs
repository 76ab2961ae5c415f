//! Tokens: how they are got, kept, renewed and replaced.

use std::time::Duration;

use lockgate_host::Clock;
use lockgate_vault::VaultError;
use mock_vault::hashicorp::Hashicorp;
use mock_vault::{Fault, MockVault};

use crate::common::{BINDING, SECRET, opened, secret, with_vaults};
use crate::{TOKEN, policy, problem, refused, settings, vault};

const ROLE_ID: &str = "role-id-0123";
const SECRET_ID: &str = "secret-id-0123";

fn with_role(ttl: u64) -> Hashicorp {
    Hashicorp::new()
        .key("transit", "lockgate")
        .policy("lockgate", policy())
        .role("approle", ROLE_ID, SECRET_ID, &["default", "lockgate"], ttl)
}

fn by_role(address: &str) -> Vec<(&str, &str)> {
    let mut settings = settings(address);
    settings.retain(|(name, _)| *name != "LOCKGATE_VAULT_TOKEN");
    settings.push(("LOCKGATE_VAULT_ROLE_ID", ROLE_ID));
    settings.push(("LOCKGATE_VAULT_SECRET_ID", SECRET_ID));
    settings
}

#[test]
fn one_login_serves_many_calls() {
    let vault = with_role(3_600);
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&by_role(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        for _ in 0..5 {
            let again = opened(&host, &vaults, &BINDING, &stored).await;
            assert_eq!(again.unwrap(), SECRET);
        }
        assert_eq!(vault.logins(), 1);
        assert_eq!(server.calls("auth/token"), 0);
    });
}

#[test]
fn logins_at_the_same_time_do_not_disturb_each_other() {
    let vault = with_role(3_600);
    let server = MockVault::start(vault.clone());
    server.fail(Fault::Slow(Duration::from_millis(20)));
    let address = server.base_url();
    with_vaults(&by_role(&address), |host, vaults| async move {
        let secret = secret();
        let one = vaults.seal(&host, &BINDING, &secret, "u");
        let other = vaults.seal(&host, &BINDING, &secret, "v");
        let (one, other) = tokio::join!(one, other);
        vault.revoke_tokens();
        let (one, other) = (one.unwrap(), other.unwrap());
        let one = opened(&host, &vaults, &BINDING, &one);
        let other = opened(&host, &vaults, &BINDING, &other);
        let (one, other) = tokio::join!(one, other);
        assert_eq!(
            (one.unwrap().as_str(), other.unwrap().as_str()),
            (SECRET, SECRET)
        );
        assert!(vault.logins() <= 4);
    });
}

#[test]
fn a_token_that_was_revoked_is_replaced_once() {
    let vault = with_role(3_600);
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&by_role(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        vault.revoke_tokens();
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
        assert_eq!(vault.logins(), 2);

        // Nor can it be had anew: that is a no, in the server's words unless they have a secret in them.
        vault.revoke_tokens();
        vault.drop_secret_id(SECRET_ID);
        let said = refused(opened(&host, &vaults, &BINDING, &stored).await);
        assert!(said.contains("LOCKGATE_VAULT_SECRET_ID"), "{said}");
        assert!(said.contains("repeats a secret"), "{said}");
    });
}

#[test]
fn a_missing_permission_is_no_reason_to_log_in_again() {
    let vault = with_role(3_600).policy("lockgate", r#"path "a" { capabilities = ["read"] }"#);
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&by_role(&address), |host, vaults| async move {
        for _ in 0..3 {
            let said = refused(vaults.current(&host).await);
            assert!(said.contains("the role's policy lacks `read`"), "{said}");
        }
        assert_eq!(vault.logins(), 1);
    });
}

#[test]
fn wrong_credentials_are_refused() {
    for (setting, value, found) in [
        (
            "LOCKGATE_VAULT_ROLE_ID",
            "another",
            "invalid role or secret ID",
        ),
        (
            "LOCKGATE_VAULT_SECRET_ID",
            "another",
            "invalid role or secret ID",
        ),
        (
            "LOCKGATE_VAULT_APPROLE_MOUNT",
            "elsewhere",
            "no handler for route",
        ),
    ] {
        let server = MockVault::start(with_role(3_600));
        let address = server.base_url();
        let mut settings = by_role(&address);
        settings.push((setting, value));
        with_vaults(&settings, |host, vaults| async move {
            let said = refused(vaults.seal(&host, &BINDING, &secret(), "u").await);
            assert!(said.contains(found), "{said}");
            // One try: it is a no, and each try is a failed login in the server's log.
            assert_eq!(server.calls("login"), 1);
        });
    }
}

#[test]
fn nonsense_is_no_login() {
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"auth":null}"#,
        r#"{"auth":{"client_token":"","lease_duration":1,"renewable":true}}"#,
        r#"{"auth":{"client_token":"a\nb","lease_duration":1,"renewable":true}}"#,
    ] {
        let server = MockVault::start(with_role(3_600));
        server.fail(Fault::Says(200, body.to_owned()));
        let address = server.base_url();
        with_vaults(&by_role(&address), |host, vaults| async move {
            let error = problem(vaults.current(&host).await);
            let is_outage = matches!(error, VaultError::Unavailable { .. });
            assert!(is_outage, "{body}: {error:?}");
        });
    }
}

/// Seals, waits until half of the token's life has passed, opens, and says how often it was renewed and logged in.
fn after_half_a_life(change: impl Fn(&Hashicorp, &MockVault) + Copy) -> (usize, usize) {
    // Long enough that a busy machine does not sleep through the other half.
    let vault = with_role(6);
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&by_role(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        change(&vault, &server);
        host.sleep(Duration::from_millis(3_100)).await;
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
        // And goes on so.
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
        (server.calls("renew-self"), vault.logins())
    })
}

#[test]
fn a_token_is_renewed_at_half_its_life() {
    assert_eq!(after_half_a_life(|_, _| {}), (1, 1));
}

#[test]
fn a_renewal_that_is_refused_leads_to_a_login() {
    assert_eq!(
        after_half_a_life(|vault, _| vault.renewals_give(None)),
        (1, 2)
    );
}

#[test]
fn a_token_that_was_given_is_renewed_if_it_can_be() {
    // Little is left of its period: an instance that has just begun renews it all the same.
    let vault = vault().periodic("hvs.periodic", &["default", "lockgate"], 3_600, 60);
    let server = MockVault::start(vault);
    let address = server.base_url();
    let mut settings = settings(&address);
    settings.push(("LOCKGATE_VAULT_TOKEN", "hvs.periodic"));
    with_vaults(&settings, |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        opened(&host, &vaults, &BINDING, &stored).await.unwrap();
        assert_eq!(server.calls("renew-self"), 1);
        assert_eq!(server.calls("lookup-self"), 1);
    });
}

#[test]
fn a_token_without_the_default_policy_can_be_used() {
    let vault = vault().token("hvs.bare", &["lockgate"]);
    let server = MockVault::start(vault);
    let address = server.base_url();
    let mut settings = settings(&address);
    settings.push(("LOCKGATE_VAULT_TOKEN", "hvs.bare"));
    with_vaults(&settings, |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        opened(&host, &vaults, &BINDING, &stored).await.unwrap();
        assert_eq!(server.calls("renew-self"), 0);
    });
}

#[test]
fn a_given_token_that_has_ended_is_refused() {
    let vault = vault();
    let server = MockVault::start(vault.clone());
    let address = server.base_url();
    with_vaults(&settings(&address), |host, vaults| async move {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        vault.revoke_tokens();
        let said = refused(opened(&host, &vaults, &BINDING, &stored).await);
        assert!(said.contains("LOCKGATE_VAULT_TOKEN has ended"), "{said}");
        // An operator makes it again.
        let _ = vault.token(TOKEN, &["default", "lockgate"]);
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
    });
}

#[test]
fn an_outage_at_the_login_is_an_outage() {
    let vault = with_role(3_600);
    let server = MockVault::start(vault.clone());
    vault.seal(true);
    let address = server.base_url();
    with_vaults(&by_role(&address), |host, vaults| async move {
        let error = problem(vaults.current(&host).await);
        assert!(matches!(error, VaultError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("Vault is sealed"), "{error}");
        vault.seal(false);
    });
}
