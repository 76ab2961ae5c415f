//! `Stripe-Signature`.

use lockgate_subscription::signature::{StripeSecrets, Unverified};
use proptest::prelude::*;
use serde::Deserialize;

use crate::support::{NOW, secret, stripe};

const SECRET: &str = "whsec_8f1c0d2b7e6a4c59b3d2e1f00a9b8c7d";
const OTHER: &str = "whsec_another";
const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;

fn secrets(text: &str) -> StripeSecrets {
    StripeSecrets::parse("STRIPE_WEBHOOK_SECRET", &secret(text)).unwrap()
}

fn verify(header: &str) -> Result<(), Unverified> {
    secrets(SECRET).verify(Some(header), BODY, NOW)
}

fn v1() -> String {
    stripe(SECRET, NOW, BODY)
}

#[derive(Deserialize)]
struct Signed {
    by: String,
    secret: String,
    body: String,
    at: i64,
    header: String,
}

#[test]
fn takes_what_stripes_own_sdks_signed() {
    let all: Vec<Signed> = serde_json::from_str(include_str!("../data/stripe.json")).unwrap();
    assert_eq!(all.len(), 30);
    for Signed {
        by,
        secret,
        body,
        at,
        header,
    } in all
    {
        let known = secrets(&secret);
        let header = Some(header.as_str());
        assert_eq!(known.verify(header, body.as_bytes(), at), Ok(()), "{by}");
        let changed = format!("{body} ");
        assert_eq!(
            known.verify(header, changed.as_bytes(), at),
            Err(Unverified::NoneFits)
        );
    }
}

#[test]
fn the_secret_is_the_whole_text_with_its_prefix() {
    let bare = stripe(SECRET.strip_prefix("whsec_").unwrap(), NOW, BODY);
    assert_eq!(
        verify(&format!("t={NOW},v1={bare}")),
        Err(Unverified::NoneFits)
    );
}

#[test]
fn one_of_several_secrets_and_one_of_several_signatures_are_enough() {
    let (mine, foreign) = (v1(), stripe(OTHER, NOW, BODY));
    for header in [
        format!("t={NOW},v1={mine}"),
        format!("t={NOW},v1={foreign},v1={mine}"),
        format!("t={NOW},v1={mine},v1={foreign},v0={foreign}"),
        format!("v1={mine},t={NOW}"),
        format!("t={NOW}, v1={}", mine.to_uppercase()),
        format!("t={NOW},v1=zz,v1=,v1={mine}"),
    ] {
        assert_eq!(verify(&header), Ok(()), "{header}");
    }
    let both = secrets(&format!("{OTHER}, {SECRET}"));
    for signature in [&mine, &foreign] {
        let header = format!("t={NOW},v1={signature}");
        assert_eq!(both.verify(Some(&header), BODY, NOW), Ok(()));
    }
    let third = format!("t={NOW},v1={}", stripe("whsec_third", NOW, BODY));
    assert_eq!(
        both.verify(Some(&third), BODY, NOW),
        Err(Unverified::NoneFits)
    );
}

#[test]
fn a_good_signature_under_another_scheme_proves_nothing() {
    let good = v1();
    for header in [
        format!("t={NOW},v0={good}"),
        format!("t={NOW},v2={good}"),
        format!("t={NOW},V1={good}"),
        format!("t={NOW}"),
    ] {
        assert_eq!(
            verify(&header),
            Err(Unverified::NoKnownScheme {
                header: "stripe-signature",
                wanted: "v1"
            }),
            "{header}"
        );
    }
    let bad = stripe(OTHER, NOW, BODY);
    assert_eq!(
        verify(&format!("t={NOW},v1={bad},v0={good}")),
        Err(Unverified::NoneFits)
    );
}

#[test]
fn the_time_is_signed() {
    let header = format!("t={},v1={}", NOW - 1, v1());
    assert_eq!(verify(&header), Err(Unverified::NoneFits));
}

#[test]
fn the_tolerance_has_its_edges_inside_both_ways() {
    let at = |at: i64| verify(&format!("t={at},v1={}", stripe(SECRET, at, BODY)));
    assert_eq!(at(NOW - 300), Ok(()));
    assert_eq!(at(NOW - 301), Err(Unverified::TooOld { seconds: 301 }));
    assert_eq!(at(NOW + 300), Ok(()));
    assert_eq!(at(NOW + 301), Err(Unverified::TooNew { seconds: 301 }));
    assert!(at(NOW - 301).unwrap_err().is_about_time());
    // Who does not know the secret does not learn what our clock says.
    let forged = format!("t=1,v1={}", v1());
    assert_eq!(verify(&forged), Err(Unverified::NoneFits));
}

#[test]
fn clocks_at_the_ends_of_time_do_no_harm() {
    let at = i64::MAX;
    let header = format!("t={at},v1={}", stripe(SECRET, at, BODY));
    let known = secrets(SECRET);
    for now in [i64::MIN, -1, 0] {
        let refused = known.verify(Some(&header), BODY, now);
        assert!(matches!(refused, Err(Unverified::TooNew { .. })));
    }
    assert_eq!(known.verify(Some(&header), BODY, at), Ok(()));
}

#[test]
fn a_header_that_is_missing_or_malformed_is_told_apart() {
    let known = secrets(SECRET);
    for header in [None, Some(""), Some("  ")] {
        assert_eq!(
            known.verify(header, BODY, NOW),
            Err(Unverified::HeaderMissing {
                header: "stripe-signature"
            })
        );
    }
    let v1 = v1();
    let many = format!("t={NOW}{}", format!(",v1={v1}").repeat(33));
    for header in [
        format!("v1={v1}"),
        format!("t=,v1={v1}"),
        format!("t=-5,v1={v1}"),
        format!("t=+{NOW},v1={v1}"),
        format!("t={NOW}.0,v1={v1}"),
        format!("t=99999999999999999999,v1={v1}"),
        format!("t={NOW},t={NOW},v1={v1}"),
        format!("t={NOW},v1={v1},"),
        format!("t={NOW};v1={v1}"),
        "nonsense".to_owned(),
        many,
    ] {
        let refused = verify(&header);
        assert!(
            matches!(refused, Err(Unverified::HeaderMalformed { .. })),
            "{header}: {refused:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_change_of_a_bit_is_seen(
        body in proptest::collection::vec(any::<u8>(), 1..200),
        place in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let known = secrets(SECRET);
        let header = format!("t={NOW},v1={}", stripe(SECRET, NOW, &body));
        prop_assert_eq!(known.verify(Some(&header), &body, NOW), Ok(()));
        let mut changed = body.clone();
        *place.get_mut(&mut changed) ^= 1 << bit;
        prop_assert_eq!(known.verify(Some(&header), &changed, NOW), Err(Unverified::NoneFits));
        let (first, rest) = body.split_first().unwrap();
        prop_assert_eq!(known.verify(Some(&header), rest, NOW), Err(Unverified::NoneFits), "without {}", first);
    }

    #[test]
    fn no_header_is_taken_by_chance_or_breaks_anything(header in ".{0,200}", now in any::<i64>()) {
        prop_assert!(secrets(SECRET).verify(Some(&header), BODY, now).is_err());
    }

    #[test]
    fn no_signature_but_the_right_one_is_taken(signature in "[0-9a-f]{0,130}") {
        prop_assume!(signature != v1());
        prop_assert_eq!(verify(&format!("t={NOW},v1={signature}")), Err(Unverified::NoneFits));
    }
}
