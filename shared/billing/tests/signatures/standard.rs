//! Standard Webhooks.

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use lockgate_subscription::signature::{StandardHeaders, StandardKeys, Unverified};
use proptest::prelude::*;
use serde::Deserialize;

use crate::support::{NOW, content, secret, shared};

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &[u8] = br#"{"test": 2432232314}"#;

fn keys(text: &str) -> StandardKeys {
    StandardKeys::parse("STANDARD_WEBHOOK_SECRETS", &secret(text)).unwrap()
}

fn shared_key() -> Vec<u8> {
    BASE64
        .decode(SHARED.strip_prefix("whsec_").unwrap().as_bytes())
        .unwrap()
}

fn pair(seed: u8) -> (SigningKey, String) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = format!("whpk_{}", BASE64.encode(key.verifying_key().as_bytes()));
    (key, public)
}

fn v1a(key: &SigningKey, id: &str, at: i64, body: &[u8]) -> String {
    let signature = key.sign(&content(id, at, body));
    format!("v1a,{}", BASE64.encode(&signature.to_bytes()))
}

fn verify(keys: &StandardKeys, signature: &str) -> Result<(), Unverified> {
    deliver(keys, ID, &NOW.to_string(), signature, BODY)
}

fn deliver(
    keys: &StandardKeys,
    id: &str,
    timestamp: &str,
    signature: &str,
    body: &[u8],
) -> Result<(), Unverified> {
    let headers = StandardHeaders {
        id: Some(id),
        timestamp: Some(timestamp),
        signature: Some(signature),
    };
    keys.verify(headers, body, NOW)
}

#[derive(Deserialize)]
struct Signed {
    by: String,
    secret: String,
    id: String,
    body: String,
    at: i64,
    signature: String,
}

#[test]
fn takes_what_the_official_libraries_signed() {
    let all: Vec<Signed> = serde_json::from_str(include_str!("../data/standard.json")).unwrap();
    assert_eq!(all.len(), 24);
    for one in all {
        let known = keys(&one.secret);
        let timestamp = one.at.to_string();
        let headers = StandardHeaders {
            id: Some(&one.id),
            timestamp: Some(&timestamp),
            signature: Some(&one.signature),
        };
        let body = one.body.as_bytes();
        assert_eq!(known.verify(headers, body, one.at), Ok(()), "{}", one.by);
        let other = StandardHeaders {
            id: Some("msg_other"),
            ..headers
        };
        assert_eq!(known.verify(other, body, one.at), Err(Unverified::NoneFits));
    }
}

/// The vectors that the specification's repository tests its own libraries with
/// (`libraries/*/`, “sign function works”; `libraries/go/webhook_asymmetric_test.go`).
#[test]
fn takes_the_vectors_of_the_specification() {
    let at = 1_614_265_330;
    let seed: [u8; 32] = BASE64
        .decode(b"VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=")
        .unwrap()
        .try_into()
        .unwrap();
    let public = SigningKey::from_bytes(&seed).verifying_key();
    let public = format!("whpk_{}", BASE64.encode(public.as_bytes()));
    for (key, signature) in [
        (SHARED, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (
            public.as_str(),
            "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
        ),
    ] {
        let headers = StandardHeaders {
            id: Some(ID),
            timestamp: Some("1614265330"),
            signature: Some(signature),
        };
        assert_eq!(keys(key).verify(headers, BODY, at), Ok(()), "{key}");
        assert_eq!(
            keys(key).verify(headers, b"{}", at),
            Err(Unverified::NoneFits)
        );
    }
}

#[test]
fn one_of_several_keys_and_one_of_several_signatures_are_enough() {
    let ((first, first_public), (second, second_public)) = (pair(1), pair(2));
    let other = BASE64.encode(&[9; 32]);
    let all = keys(&format!(
        "{first_public},whsec_{other},{second_public},{SHARED}"
    ));
    let foreign = shared(b"a key that nobody here has", ID, NOW, BODY);
    for good in [
        v1a(&first, ID, NOW, BODY),
        v1a(&second, ID, NOW, BODY),
        shared(&shared_key(), ID, NOW, BODY),
        shared(&[9; 32], ID, NOW, BODY),
    ] {
        for list in [
            good.clone(),
            format!("{foreign} {good}"),
            format!("v2,AAAA v1,??? v1a,AAAA v1, {good} {foreign}"),
        ] {
            assert_eq!(verify(&all, &list), Ok(()), "{list}");
        }
    }
    assert_eq!(verify(&all, &foreign), Err(Unverified::NoneFits));
    assert_eq!(
        verify(&all, &v1a(&pair(3).0, ID, NOW, BODY)),
        Err(Unverified::NoneFits)
    );
}

#[test]
fn a_signature_counts_only_under_its_own_scheme() {
    let (key, public) = pair(1);
    let asymmetric = v1a(&key, ID, NOW, BODY);
    let symmetric = shared(&shared_key(), ID, NOW, BODY);
    for (keys_text, list) in [
        (SHARED, asymmetric.clone()),
        (public.as_str(), symmetric.clone()),
        (SHARED, symmetric.replace("v1,", "v2,")),
        (SHARED, symmetric.replace("v1,", "V1,")),
        // A public key is known to all: it must never serve as a shared one.
        (public.as_str(), {
            let bytes = key.verifying_key();
            shared(bytes.as_bytes(), ID, NOW, BODY)
        }),
    ] {
        assert!(
            matches!(
                verify(&keys(keys_text), &list),
                Err(Unverified::NoKnownScheme { .. })
            ),
            "{list}"
        );
    }
    let swapped = asymmetric.replace("v1a,", "v1,");
    assert_eq!(verify(&keys(SHARED), &swapped), Err(Unverified::NoneFits));
    let swapped = symmetric.replace("v1,", "v1a,");
    assert_eq!(verify(&keys(&public), &swapped), Err(Unverified::NoneFits));
}

#[test]
fn id_time_and_body_are_signed() {
    let (key, public) = pair(1);
    for (known, signature) in [
        (keys(SHARED), shared(&shared_key(), ID, NOW, BODY)),
        (keys(&public), v1a(&key, ID, NOW, BODY)),
    ] {
        let (now, later) = (NOW.to_string(), (NOW + 1).to_string());
        let refused = Err(Unverified::NoneFits);
        assert_eq!(deliver(&known, ID, &now, &signature, BODY), Ok(()));
        assert_eq!(deliver(&known, "msg_2", &now, &signature, BODY), refused);
        assert_eq!(deliver(&known, ID, &later, &signature, BODY), refused);
        assert_eq!(deliver(&known, ID, &now, &signature, b"{}"), refused);
    }
}

#[test]
fn an_id_with_a_full_stop_cannot_move_the_borders() {
    // Signed were id `a`, time NOW and the body `{NOW}.x`; the same bytes read with the id `a.{NOW}` and the body `x`.
    let body = format!("{NOW}.x");
    let signature = shared(&shared_key(), "a", NOW, body.as_bytes());
    let now = NOW.to_string();
    let known = keys(SHARED);
    assert_eq!(
        deliver(&known, "a", &now, &signature, body.as_bytes()),
        Ok(())
    );
    assert!(matches!(
        deliver(&known, &format!("a.{NOW}"), &now, &signature, b"x"),
        Err(Unverified::HeaderMalformed {
            header: "webhook-id",
            ..
        })
    ));
}

#[test]
fn the_tolerance_has_its_edges_inside_both_ways() {
    let (key, public) = pair(1);
    let (symmetric, asymmetric) = (keys(SHARED), keys(&public));
    for (at, expected) in [
        (NOW - 300, Ok(())),
        (NOW - 301, Err(Unverified::TooOld { seconds: 301 })),
        (NOW + 300, Ok(())),
        (NOW + 301, Err(Unverified::TooNew { seconds: 301 })),
    ] {
        let time = at.to_string();
        let v1 = shared(&shared_key(), ID, at, BODY);
        assert_eq!(deliver(&symmetric, ID, &time, &v1, BODY), expected);
        let v1a = v1a(&key, ID, at, BODY);
        assert_eq!(deliver(&asymmetric, ID, &time, &v1a, BODY), expected);
    }
}

#[test]
fn headers_that_are_missing_or_malformed_are_named() {
    let known = keys(SHARED);
    let signature = shared(&shared_key(), ID, NOW, BODY);
    let now = NOW.to_string();
    let whole = StandardHeaders {
        id: Some(ID),
        timestamp: Some(&now),
        signature: Some(&signature),
    };
    for (headers, header) in [
        (StandardHeaders { id: None, ..whole }, "webhook-id"),
        (
            StandardHeaders {
                id: Some(""),
                ..whole
            },
            "webhook-id",
        ),
        (
            StandardHeaders {
                timestamp: None,
                ..whole
            },
            "webhook-timestamp",
        ),
        (
            StandardHeaders {
                signature: Some(" "),
                ..whole
            },
            "webhook-signature",
        ),
    ] {
        assert_eq!(
            known.verify(headers, BODY, NOW),
            Err(Unverified::HeaderMissing { header })
        );
    }
    let many = format!("{signature} ").repeat(33);
    for (timestamp, list) in [
        ("2026-09-21T14:13:20Z", signature.as_str()),
        ("-1", signature.as_str()),
        ("1790000000.0", signature.as_str()),
        ("99999999999999999999", signature.as_str()),
        (now.as_str(), "v1"),
        (now.as_str(), many.as_str()),
    ] {
        assert!(matches!(
            deliver(&known, ID, timestamp, list, BODY),
            Err(Unverified::HeaderMalformed { .. })
        ));
    }
}

proptest! {
    #[test]
    fn any_change_of_a_bit_is_seen(
        body in proptest::collection::vec(any::<u8>(), 1..100),
        place in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let (key, public) = pair(1);
        let known = keys(&format!("{SHARED},{public}"));
        let now = NOW.to_string();
        let mut changed = body.clone();
        *place.get_mut(&mut changed) ^= 1 << bit;
        for signature in [shared(&shared_key(), ID, NOW, &body), v1a(&key, ID, NOW, &body)] {
            prop_assert_eq!(deliver(&known, ID, &now, &signature, &body), Ok(()));
            prop_assert_eq!(deliver(&known, ID, &now, &signature, &changed), Err(Unverified::NoneFits));
        }
    }

    #[test]
    fn any_change_of_a_signature_is_seen(place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (key, public) = pair(1);
        let mut bytes = key.sign(&content(ID, NOW, BODY)).to_bytes();
        *place.get_mut(&mut bytes) ^= 1 << bit;
        let list = format!("v1a,{}", BASE64.encode(&bytes));
        prop_assert_eq!(verify(&keys(&public), &list), Err(Unverified::NoneFits));
    }

    #[test]
    fn no_headers_are_taken_by_chance_or_break_anything(
        id in ".{0,40}", timestamp in ".{0,20}", list in ".{0,200}",
    ) {
        let (_, public) = pair(1);
        let known = keys(&format!("{SHARED},{public}"));
        prop_assert!(deliver(&known, &id, &timestamp, &list, BODY).is_err());
        prop_assert!(deliver(&known, ID, &NOW.to_string(), &list, BODY).is_err());
    }
}
