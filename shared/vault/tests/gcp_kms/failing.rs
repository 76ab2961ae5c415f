//! What Cloud KMS refuses, what it answers when something is wrong, and when it does not answer.

use std::time::Duration;

use lockgate_vault::OpenError;
use mock_vault::Fault;
use mock_vault::gcp::{EMAIL, Gcp};

use super::common::{BINDING, SECRET, opened, secret};
use super::{assert_refused, assert_unavailable, on, sealed, started};

#[test]
fn a_key_that_cannot_be_used_is_refused() {
    for (spoil, words) in [
        (
            (|gcp: &Gcp| gcp.set_state(1, "DISABLED")) as fn(&Gcp),
            ["DISABLED", "enable"],
        ),
        (
            |gcp| gcp.set_state(1, "DESTROYED"),
            ["DESTROYED", "primary"],
        ),
        (|gcp| gcp.set_primary(0), ["primary version", "primary"]),
    ] {
        let (gcp, server) = started();
        on(&server, |host, vaults| {
            let server = &server;
            async move {
                let stored = sealed(&host, &vaults).await;
                spoil(&gcp);
                let error = vaults.current(&host).await.unwrap_err();
                assert_refused(error, server, &words);
                let error = vaults.seal(&host, &BINDING, &secret(), "v").await;
                assert_refused(error.unwrap_err(), server, &words);
                if words[0] != "primary version" {
                    let error = opened(&host, &vaults, &BINDING, &stored).await;
                    assert_refused(error.unwrap_err(), server, &["FAILED_PRECONDITION"]);
                }
            }
        });
    }
    let (gcp, server) = started();
    gcp.set_purpose("ASYMMETRIC_SIGN");
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["ASYMMETRIC_SIGN", "symmetric"]);
        }
    });
}

#[test]
fn each_missing_permission_is_told() {
    let (gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let stored = sealed(&host, &vaults).await;
            gcp.deny("cloudkms.cryptoKeys.update");
            let error = vaults.rotate(&host).await.unwrap_err();
            let words = [
                "PERMISSION_DENIED",
                EMAIL,
                "cryptoKeys.update",
                "LOCKGATE_VAULT_GCP_KEY",
            ];
            assert_refused(error, server, &words);
            gcp.deny("cloudkms.cryptoKeyVersions.create");
            let error = vaults.rotate(&host).await.unwrap_err();
            assert_refused(error, server, &["cryptoKeyVersions.create"]);
            gcp.deny("cloudkms.cryptoKeyVersions.useToEncrypt");
            let error = vaults.seal(&host, &BINDING, &secret(), "v").await;
            assert_refused(error.unwrap_err(), server, &["useToEncrypt"]);
            gcp.deny("cloudkms.cryptoKeys.get");
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["cryptoKeys.get"]);
            gcp.deny("cloudkms.cryptoKeyVersions.useToDecrypt");
            let error = opened(&host, &vaults, &BINDING, &stored).await;
            assert_refused(error.unwrap_err(), server, &["useToDecrypt"]);
        }
    });
}

#[test]
fn a_token_that_is_no_longer_good_is_made_anew_once() {
    let (gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            vaults.current(&host).await.unwrap();
            gcp.unauthenticated(1);
            server.clear();
            vaults.current(&host).await.unwrap();
            assert_eq!(server.asked().len(), 2);
            // An hour too early for this service: no token of ours is good, and one more try is made.
            gcp.ahead(3_700_000);
            server.clear();
            let error = vaults.current(&host).await.unwrap_err();
            assert_eq!(server.asked().len(), 2);
            let words = [
                "UNAUTHENTICATED",
                EMAIL,
                "clock",
                "LOCKGATE_VAULT_GCP_CREDENTIALS",
            ];
            assert_refused(error, server, &words);
            // A token that was just made is not made again.
            server.clear();
            vaults.current(&host).await.unwrap_err();
            assert_eq!(server.asked().len(), 1);
            gcp.ahead(0);
            vaults.current(&host).await.unwrap();
        }
    });
}

#[test]
fn what_is_altered_on_the_way_is_sent_again() {
    let (gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            gcp.alter(2);
            let stored = sealed(&host, &vaults).await;
            assert_eq!(server.calls(":encrypt"), 3);
            gcp.alter(1);
            assert_eq!(
                opened(&host, &vaults, &BINDING, &stored).await.unwrap(),
                SECRET
            );
            gcp.alter(3);
            let error = opened(&host, &vaults, &BINDING, &stored).await;
            assert_unavailable(error.unwrap_err(), server, "checksum");
        }
    });
}

#[test]
fn answers_that_make_no_sense_are_no_answers() {
    let right = format!(
        r#"{{"purpose":"ENCRYPT_DECRYPT","primary":{{"name":"{0}","state":"ENABLED"}},"name":"{0}","ciphertext":"AAEC","ciphertextCrc32c":"2466073594","verifiedPlaintextCrc32c":true,"verifiedAdditionalAuthenticatedDataCrc32c":true}}"#,
        Gcp::version(1)
    );
    let (_gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let stored = sealed(&host, &vaults).await;
            let encrypt = |body: String| {
                let (host, vaults) = (&host, &vaults);
                async move {
                    server.fail(Fault::Says(200, body));
                    vaults.seal(host, &BINDING, &secret(), "v").await
                }
            };
            // Only what is wrong with it makes the others fail.
            assert_eq!(encrypt(right.clone()).await.unwrap().wrapped, [0, 1, 2]);
            for (part, instead, word) in [
                ("2466073594", "2466073593", "altered"),
                ("AAEC", "AAED", "altered"),
                (
                    r#""verifiedPlaintextCrc32c":true"#,
                    r#""verifiedPlaintextCrc32c":false"#,
                    "altered",
                ),
                (
                    r#","verifiedAdditionalAuthenticatedDataCrc32c":true"#,
                    "",
                    "altered",
                ),
                ("AAEC", "A", "makes no sense"),
                ("test-project/locations", "p/locations/x", "makes no sense"),
                (
                    "cryptoKeyVersions/1",
                    "cryptoKeyVersions/",
                    "makes no sense",
                ),
                // It has used another version than the one that it was told.
                (r#"/1","ciphertext"#, r#"/2","ciphertext"#, "makes no sense"),
            ] {
                let answer = right.replace(part, instead);
                assert_ne!(answer, right);
                assert_unavailable(encrypt(answer).await.unwrap_err(), server, word);
            }
            for answer in ["", "{}", "[]", "<html>", r#"{"plaintext":"AAEC"}"#] {
                server.fail(Fault::Says(200, answer.into()));
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                assert_unavailable(error.unwrap_err(), server, "makes no sense");
                let error = vaults.current(&host).await.unwrap_err();
                assert_unavailable(error, server, "makes no sense");
                let error = vaults.rotate(&host).await.unwrap_err();
                assert_unavailable(error, server, "makes no sense");
            }
            let altered = r#"{"plaintext":"AAEC","plaintextCrc32c":"1"}"#;
            server.fail(Fault::Says(200, altered.into()));
            let error = opened(&host, &vaults, &BINDING, &stored).await;
            assert_unavailable(error.unwrap_err(), server, "altered");
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
fn a_data_key_of_another_length_does_not_open() {
    let (_gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let stored = sealed(&host, &vaults).await;
            let short = r#"{"plaintext":"AAEC","plaintextCrc32c":"2466073594"}"#;
            server.fail(Fault::Says(200, short.into()));
            let error = opened(&host, &vaults, &BINDING, &stored).await;
            assert_eq!(error, Err(OpenError::WrongKekOrBinding.into()));
        }
    });
}

#[test]
fn what_repeats_a_secret_is_not_shown() {
    let (_gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            vaults.current(&host).await.unwrap();
            let token = server.asked()[0]
                .header("authorization")
                .unwrap()
                .to_owned();
            let answer = serde_json::json!({"error": {
                "code": 403, "status": "PERMISSION_DENIED", "message": format!("you sent {token}"),
            }});
            server.fail(Fault::Says(403, answer.to_string()));
            let error = vaults.current(&host).await.unwrap_err();
            assert_refused(error, server, &["PERMISSION_DENIED", "left out"]);
        }
    });
}

#[test]
fn outages_are_tried_again_and_then_left_alone() {
    let busy = r#"{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}"#;
    let failed = r#"{"error":{"code":500,"message":"Internal error","status":"INTERNAL"}}"#;
    for (fault, word) in [
        (Fault::Down, ""),
        (Fault::Says(429, busy.into()), "RESOURCE_EXHAUSTED"),
        (Fault::Says(500, failed.into()), "INTERNAL"),
        (Fault::Says(503, String::new()), "503"),
    ] {
        let (_gcp, server) = started();
        on(&server, |host, vaults| {
            let server = &server;
            async move {
                let stored = sealed(&host, &vaults).await;
                server.clear();
                server.fail(fault);
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                assert_unavailable(error.unwrap_err(), server, word);
                let asked = server.asked().len();
                assert_eq!(asked, 3);
                let error = vaults.current(&host).await.unwrap_err();
                assert_unavailable(error, server, "asked again in");
                assert_eq!(server.asked().len(), asked);
            }
        });
    }
}

#[test]
fn a_service_that_never_answers_is_given_up_and_comes_back() {
    let (_gcp, server) = started();
    on(&server, |host, vaults| {
        let server = &server;
        async move {
            let stored = sealed(&host, &vaults).await;
            server.fail(Fault::Silent);
            while server.calls(":decrypt") < 3 {
                let error = opened(&host, &vaults, &BINDING, &stored).await;
                assert_unavailable(error.unwrap_err(), server, "");
            }
            server.fail(Fault::Slow(Duration::from_millis(50)));
            let mut outcome = opened(&host, &vaults, &BINDING, &stored).await;
            assert!(outcome.is_err());
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                outcome = opened(&host, &vaults, &BINDING, &stored).await;
                if outcome.is_ok() {
                    break;
                }
            }
            assert_eq!(outcome.unwrap(), SECRET);
        }
    });
}
