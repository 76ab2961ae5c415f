//! What Azure Key Vault refuses, what it answers when something is wrong, and when it does not answer.

use lockgate_vault::OpenError;
use mock_vault::Fault;
use mock_vault::azure::{Azure, Version};

use super::common::{BINDING, SECRET, opened, secret, with_vaults};
use super::{assert_refused, assert_unavailable, borrowed, on, sealed, started, with};

/// Seconds since 1970, long ago and far ahead.
const PAST: u64 = 1_000_000_000;
const FUTURE: u64 = 10_000_000_000;

#[test]
fn a_version_that_may_not_be_used_wraps_nothing() {
    for (change, words) in [
        (
            (|version: &mut Version| version.enabled = false) as fn(&mut Version),
            ["is disabled", "enable it"],
        ),
        (
            |version| version.exp = Some(PAST),
            ["has expired", "new version"],
        ),
        (
            |version| version.nbf = Some(FUTURE),
            ["not yet valid", "activation"],
        ),
        (|version| version.kty = "EC", ["no RSA key", "make one"]),
        (
            |version| version.key_ops = vec!["unwrapKey"],
            ["may not wrap", "allow it"],
        ),
        (
            |version| version.key_ops = vec!["wrapKey", "encrypt"],
            ["may not wrap", "allow it"],
        ),
    ] {
        let (azure, server) = started();
        azure.change(1, change);
        on(&server, |host, vaults| {
            let server = &server;
            async move {
                let error = vaults.current(&host).await.unwrap_err();
                assert_refused(error, server, &words);
                let error = vaults.seal(&host, &BINDING, &secret(), "v").await;
                assert_refused(error.unwrap_err(), server, &words);
                assert_eq!(server.calls("/wrapkey"), 0);
            }
        });
    }
    // These may be used, a hardware key and one with dates among them.
    let (azure, server) = started();
    azure.change(1, |version| {
        version.kty = "RSA-HSM";
        version.nbf = Some(PAST);
        version.exp = Some(FUTURE);
    });
    let stored = on(&server, |host, vaults| async move {
        sealed(&host, &vaults).await
    });
    // What an expired version has wrapped still opens.
    azure.change(1, |version| version.exp = Some(PAST));
    on(&server, |host, vaults| async move {
        assert_eq!(
            opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
            SECRET
        );
    });
}

#[test]
fn each_missing_permission_is_told() {
    let (azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let stored = sealed(&host, &vaults).await;
            azure.deny("keys/rotate");
            let error = vaults.rotate(&host).await.unwrap_err();
            let words = ["Forbidden/ForbiddenByRbac", "keys/rotate", "CLIENT_ID"];
            assert_refused(error, server, &words);
            azure.deny("keys/wrapKey");
            let error = vaults.seal(&host, &BINDING, &secret(), "v").await;
            assert_refused(error.unwrap_err(), server, &["keys/wrapKey"]);
            azure.deny("keys/get");
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["keys/get"]);
            azure.deny("keys/unwrapKey");
            let error = opened(&host, &vaults, &BINDING, &stored).await;
            assert_refused(error.unwrap_err(), server, &["keys/unwrapKey"]);
        }
    });
}

#[test]
fn a_key_that_is_not_there_is_told() {
    let (_azure, server) = started();
    let other = format!("{}/keys/other", server.base_url());
    let settings = with(&server, "LOCKGATE_VAULT_AZURE_KEY", &other);
    with_vaults(&borrowed(&settings), |host, vaults| {
        let server = &server;
        async move {
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["KeyNotFound", "LOCKGATE_VAULT_AZURE_KEY"]);
        }
    });
    // So is a version that has been purged, or that the database has made up.
    let (_azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let mut stored = sealed(&host, &vaults).await;
            stored.kek = super::kek(server, 9);
            let error = opened(&host, &vaults, &BINDING, &stored).await;
            assert_refused(error.unwrap_err(), server, &["KeyNotFound"]);
        }
    });
}

#[test]
fn answers_that_make_no_sense_are_no_answers() {
    let (_azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let stored = sealed(&host, &vaults).await;
            let kid = Azure::version(&server.base_url(), 1);
            let other = Azure::version(&server.base_url(), 2);
            let foreign = Azure::version("https://evil.example", 1);
            let outcome =
                |kid: &str, value: &str| format!(r#"{{"kid":"{kid}","value":"{value}"}}"#);
            for answer in [
                String::new(),
                "{}".into(),
                "<html>".into(),
                outcome(&kid, "not base64url!"),
                outcome(&kid, "AAEC="),
                outcome(&other, "AAEC"),
                outcome(&foreign, "AAEC"),
                outcome("", "AAEC"),
            ] {
                server.fail(Fault::Says(200, answer));
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                assert_unavailable(error.unwrap_err(), server, "makes no sense");
                let error = vaults.current(&host).await.unwrap_err();
                assert_unavailable(error, server, "makes no sense");
                let error = vaults.rotate(&host).await.unwrap_err();
                assert_unavailable(error, server, "makes no sense");
            }
            // A data key of another length is none.
            server.fail(Fault::Says(200, outcome(&kid, "AAEC")));
            let error = opened(&host, &vaults, &BINDING, &stored).await;
            assert_eq!(error, Err(OpenError::WrongKekOrBinding.into()));
            let bundle = |kid: &str| format!(r#"{{"key":{{"kid":"{kid}","kty":"RSA"}}}}"#);
            server.fail(Fault::Says(200, bundle(&foreign)));
            let error = vaults.current(&host).await.unwrap_err();
            assert_unavailable(error, server, "makes no sense");
            server.fail(Fault::Says(200, bundle(&kid)));
            assert_eq!(vaults.current(&host).await.unwrap(), super::kek(server, 1));
            // A page of somebody in between is no refusal of the service's.
            for status in [302, 403, 404] {
                server.fail(Fault::Says(status, "<html>no</html>".into()));
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                assert_unavailable(error.unwrap_err(), server, "makes no sense");
            }
        }
    });
}

#[test]
fn what_repeats_a_token_is_not_shown() {
    let (_azure, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            vaults.current(&host).await.unwrap();
            let asked = server.asked();
            let token = asked[1].header("authorization").unwrap();
            let answer = serde_json::json!({"error": {
                "code": "Forbidden", "message": format!("you sent {token}"),
            }});
            server.fail(Fault::Says(403, answer.to_string()));
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["Forbidden", "left out"]);
        }
    });
}

#[test]
fn outages_are_tried_again_and_then_left_alone() {
    let busy = r#"{"error":{"code":"Throttled","message":"Request was not processed because too many requests were received."}}"#;
    let failed = r#"{"error":{"code":"InternalServerError","message":"Try again"}}"#;
    for (fault, word) in [
        (Fault::Down, ""),
        (Fault::Says(429, busy.into()), "Throttled"),
        (Fault::Says(500, failed.into()), "InternalServerError"),
        (Fault::Says(503, String::new()), "503"),
    ] {
        let (_azure, server) = started();
        on(&server, |host, vaults| {
            let server = &server;
            async move {
                let stored = sealed(&host, &vaults).await;
                server.clear();
                server.fail(fault);
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                assert_unavailable(error.unwrap_err(), server, word);
                assert_eq!(server.asked().len(), 3);
                let error = vaults.current(&host).await.unwrap_err();
                assert_unavailable(error, server, "asked again in");
                assert_eq!(server.asked().len(), 3);
            }
        });
    }
}

#[test]
fn a_service_that_never_answers_is_given_up() {
    let (_azure, server) = started();
    let settings = with(&server, "LOCKGATE_VAULT_TIMEOUT_MS", "200");
    with_vaults(&borrowed(&settings), |host, vaults| {
        let server = &server;
        async move {
            server.fail(Fault::Silent);
            let error = vaults.current(&host).await.unwrap_err();
            assert_unavailable(error, server, "");
            assert!(!server.asked().is_empty());
        }
    });
}
