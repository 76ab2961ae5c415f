//! Outages, throttling and answers that make no sense.

use std::time::Duration;

use lockgate_vault::{VaultError, Vaults};
use mock_vault::{Answer, Ask, Fault, MockVault, Service};
use serde_json::json;

use crate::common::{BINDING, place, secret, with_vaults};
use crate::fake::Kms;
use crate::moto::sealed;
use crate::{REGION, SECRET_ACCESS_KEY, at, with};

const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN//8wEaCXVzLWVhc3QtMSJ==";

fn error(kind: &str) -> String {
    json!({ "__type": kind, "message": "You have exceeded the rate at which you may call KMS." })
        .to_string()
}

/// What a sealing comes to under a fault, and how often KMS was called for it.
fn sealing(kms: &Kms, fault: Fault) -> (VaultError, usize) {
    kms.server.clear();
    kms.server.fail(fault);
    let url = kms.server.base_url();
    let settings = with(
        at(&url, "alias/lockgate", REGION),
        &[("LOCKGATE_VAULT_TIMEOUT_MS", "800")],
    );
    let error = with_vaults(&settings, |host, vaults| async move {
        vaults
            .seal(&host, &BINDING, &secret(), "u")
            .await
            .unwrap_err()
    });
    (error, kms.server.asked().len())
}

#[test]
fn not_now_is_an_outage_and_is_tried_again() {
    let kms = Kms::start();
    let mut faults = vec![
        Fault::Down,
        Fault::Says(500, error("KMSInternalException")),
        Fault::Says(503, String::new()),
        Fault::Says(429, "slow down".into()),
        // Without a status that says so.
        Fault::Says(400, error("com.amazonaws.kms#ThrottlingException")),
        Fault::Says(
            400,
            error("ThrottlingException:http://internal.amazon.com/"),
        ),
    ];
    for kind in [
        "ThrottlingException",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "ServiceUnavailable",
    ] {
        faults.push(Fault::Says(400, error(kind)));
    }
    for fault in faults {
        let (error, calls) = sealing(&kms, fault.clone());
        assert!(
            matches!(error, VaultError::Unavailable { .. }),
            "{fault:?}: {error}"
        );
        assert_eq!(calls, 3, "{fault:?}");
    }
}

#[test]
fn silence_is_an_outage() {
    let kms = Kms::start();
    for fault in [Fault::Silent, Fault::Slow(Duration::from_secs(5))] {
        let (error, calls) = sealing(&kms, fault);
        assert!(matches!(error, VaultError::Unavailable { .. }), "{error}");
        // Its time is up then.
        assert_eq!(calls, 1);
    }
}

#[test]
fn an_answer_that_makes_no_sense_is_an_outage() {
    let kms = Kms::start();
    let arn = kms.arn(0);
    let long = data_encoding::BASE64.encode(&[0; 6_145]);
    let key = data_encoding::BASE64.encode(&[7; 32]);
    for body in [
        String::new(),
        "null".into(),
        "<html>Welcome</html>".into(),
        "{}".into(),
        json!({ "KeyId": arn, "CiphertextBlob": "AAAA" }).to_string(),
        json!({ "KeyId": arn, "CiphertextBlob": "", "Plaintext": key }).to_string(),
        json!({ "KeyId": arn, "CiphertextBlob": long, "Plaintext": key }).to_string(),
        json!({ "KeyId": arn, "CiphertextBlob": "not base64", "Plaintext": key }).to_string(),
        json!({ "KeyId": "alias/lockgate", "CiphertextBlob": "AAAA", "Plaintext": key })
            .to_string(),
        // 16 bytes.
        json!({ "KeyId": arn, "CiphertextBlob": "AAAA", "Plaintext": "AAAAAAAAAAAAAAAAAAAAAA==" })
            .to_string(),
    ] {
        let (error, calls) = sealing(&kms, Fault::Says(200, body.clone()));
        assert!(
            matches!(&error, VaultError::Unavailable { detail, .. } if detail.contains("GenerateDataKey")),
            "{body}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains(&key));
        assert_eq!(calls, 1);
    }
    for status in [301, 400, 404] {
        let (error, _) = sealing(&kms, Fault::Says(status, "<html>not KMS</html>".into()));
        assert!(
            matches!(error, VaultError::Unavailable { .. }),
            "{status}: {error}"
        );
    }
}

#[test]
fn a_no_on_the_way_is_a_no() {
    let kms = Kms::start();
    for status in [401, 403] {
        let (error, calls) = sealing(&kms, Fault::Says(status, "<html>forbidden</html>".into()));
        assert!(
            matches!(&error, VaultError::Refused { detail, .. } if detail.contains("forbidden")),
            "{error}"
        );
        assert_eq!(calls, 1);
    }
}

#[test]
fn another_key_than_the_one_that_was_asked_is_no_answer() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    let key = data_encoding::BASE64.encode(&[7; 32]);
    let body = json!({ "KeyId": kms.arn(1), "Plaintext": key }).to_string();
    kms.server.fail(Fault::Says(200, body));
    with_vaults(&settings, |host, vaults| async move {
        let error = vaults.give(&host, &BINDING, place(&stored)).await;
        let error = error.unwrap_err();
        assert!(matches!(error, VaultError::Unavailable { .. }), "{error}");
    });
}

/// Whatever an outage has KMS say, and on whatever way it comes: what was sent in confidence is not shown.
#[test]
fn an_echo_is_not_shown() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = with(
        at(&url, "alias/lockgate", REGION),
        &[("LOCKGATE_VAULT_AWS_SESSION_TOKEN", TOKEN)],
    );
    for (status, body) in [
        (
            400,
            json!({ "__type": "ValidationException", "message": TOKEN }).to_string(),
        ),
        (400, json!({ "__type": TOKEN }).to_string()),
        (403, format!("x-amz-security-token: {TOKEN}")),
        (500, format!("x-amz-security-token: {TOKEN}")),
    ] {
        kms.server.fail(Fault::Says(status, body));
        with_vaults(&settings, |host, vaults| async move {
            let error = vaults.current(&host).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains(TOKEN) && text.contains('…'), "{text}");
            assert!(!text.contains(SECRET_ACCESS_KEY), "{text}");
        });
    }
}

/// It repeats the data key that it is to encrypt.
struct Echo;

impl Service for Echo {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let said = ask.json().unwrap();
        let said = said.get("Plaintext").unwrap().as_str().unwrap();
        let message = format!("Value '{said}' at 'plaintext' failed");
        Answer::new(
            400,
            json!({ "__type": "ValidationException", "message": message }),
        )
    }
}

#[test]
fn a_data_key_that_is_repeated_is_not_shown() {
    let server = MockVault::start(Echo);
    let url = server.base_url();
    let local = sealed(&[]);
    let settings = with(
        at(&url, "alias/lockgate", REGION),
        &[("LOCKGATE_VAULT_PREVIOUS", "local")],
    );
    with_vaults(&settings, |host, vaults| async move {
        let ciphertext = local.ciphertext.clone().unwrap();
        let moved = vaults
            .rewrap(&host, &BINDING, place(&local), &ciphertext, "v")
            .await;
        let error = moved.unwrap_err();
        assert!(
            matches!(&error, VaultError::Refused { detail, .. } if detail.contains("Value '…' at")),
            "{error}"
        );
    });
    assert_eq!(server.calls("/"), 1);
}

#[test]
fn a_rotation_of_another_key_is_no_answer() {
    for key in ["", "another"] {
        let kms = Kms::start();
        let url = kms.server.base_url();
        let metadata = json!({ "Arn": kms.arn(0), "KeyState": "Enabled" });
        // What DescribeKey says, and RotateKeyOnDemand.
        let body = json!({ "KeyMetadata": metadata, "KeyId": key }).to_string();
        kms.server.fail(Fault::Says(200, body));
        let settings = at(&url, "alias/lockgate", REGION);
        with_vaults(&settings, |host, vaults| async move {
            let error = vaults.rotate(&host).await.unwrap_err();
            assert!(
                matches!(&error, VaultError::Unavailable { detail, .. } if detail.contains("RotateKeyOnDemand")),
                "{error}"
            );
        });
    }
}

#[test]
fn a_vault_that_is_dead_is_left_alone_and_found_again() {
    let kms = Kms::start();
    let url = kms.server.base_url();
    let settings = at(&url, "alias/lockgate", REGION);
    let stored = sealed(&settings);
    let kms = &kms;
    with_vaults(&settings, |host, vaults| async move {
        kms.server.clear();
        kms.server.fail(Fault::Down);
        let give = async |vaults: &Vaults| vaults.give(&host, &BINDING, place(&stored)).await;
        assert!(give(&vaults).await.is_err());
        let asked = kms.server.asked().len();
        let error = give(&vaults).await.unwrap_err();
        assert!(
            matches!(&error, VaultError::Unavailable { detail, .. } if detail.contains("in a row")),
            "{error}"
        );
        assert_eq!(kms.server.asked().len(), asked, "nobody is asked");
        kms.server.fail(Fault::None);
        // It is asked again after five seconds.
        let mut tries = 0;
        while give(&vaults).await.is_err() {
            tries += 1;
            assert!(tries < 600, "it is not found again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(kms.server.asked().len(), asked + 1);
    });
}
