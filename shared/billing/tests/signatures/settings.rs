//! The settings that hold the keys: an error names the setting and the place, never what stands there.

use data_encoding::BASE64;
use lockgate_host::Secret;
use lockgate_subscription::signature::{BadSetting, StandardKeys, StripeSecrets};
use proptest::prelude::*;

use crate::support::secret;

fn stripe(text: &str) -> Result<StripeSecrets, BadSetting> {
    StripeSecrets::parse("STRIPE_WEBHOOK_SECRET", &secret(text))
}

fn standard(text: &str) -> Result<StandardKeys, BadSetting> {
    StandardKeys::parse("STANDARD_WEBHOOK_SECRETS", &secret(text))
}

#[test]
fn names_the_item_that_is_no_stripe_secret() {
    assert!(stripe("whsec_a").is_ok());
    assert!(stripe(" whsec_a , whsec_b ").is_ok());
    for (text, item) in [
        ("", 1),
        (" ", 1),
        ("sk_live_51abc", 1),
        ("whsec_", 1),
        ("whsec_a,", 2),
        ("whsec_a,,whsec_b", 2),
        ("whsec_a whsec_b", 1),
        ("whsec_a,whsec_b,WHSEC_c", 3),
    ] {
        let bad = stripe(text).unwrap_err();
        assert_eq!((bad.setting, bad.item), ("STRIPE_WEBHOOK_SECRET", item));
    }
    let bad = StripeSecrets::parse("STRIPE_WEBHOOK_SECRET", &Secret::new(vec![0xff])).unwrap_err();
    assert_eq!(bad.item, 1);
}

#[test]
fn names_the_item_that_is_no_standard_key() {
    let long = BASE64.encode(&[7; 24]);
    let public = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    for good in [
        format!("whsec_{long}"),
        format!("{public},whsec_{long}"),
        public.trim_end_matches('=').to_owned(),
        format!("whsec_{}", BASE64.encode(&[7; 75])),
    ] {
        assert!(standard(&good).is_ok(), "{good}");
    }
    let (short, odd) = (BASE64.encode(&[7; 23]), BASE64.encode(&[7; 31]));
    let (zero, one) = (BASE64.encode(&[0; 32]), {
        let mut identity = [0; 32];
        identity[0] = 1;
        BASE64.encode(&identity)
    });
    for (text, part) in [
        (format!("whsec_{short}"), "24 bytes"),
        (format!("whsk_{long}"), "public one"),
        (format!("{public},whpk_{odd}"), "32 bytes"),
        (format!("whpk_{zero}"), "proves anything"),
        (format!("whpk_{one}"), "proves anything"),
        ("whsec_???".to_owned(), "base64"),
        ("whpk_???".to_owned(), "base64"),
        (long.clone(), "whsec_"),
        (String::new(), "empty"),
    ] {
        let bad = standard(&text).unwrap_err();
        assert!(bad.to_string().contains(part), "{text}: {bad}");
        assert_eq!(bad.item, text.split(',').count());
    }
}

#[test]
fn keys_do_not_show_themselves() {
    let keys = standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert!(!format!("{keys:?}").contains("49, 242"));
    let secrets = stripe("whsec_hidden").unwrap();
    assert!(!format!("{secrets:?}").contains("hidden"));
}

proptest! {
    #[test]
    fn an_error_never_shows_the_value(text in "[a-z]{12,40}") {
        for bad in [stripe(&text).unwrap_err(), standard(&text).unwrap_err()] {
            prop_assert!(!bad.to_string().contains(&text));
            let debug = format!("{bad:?}");
            prop_assert!(!debug.contains(&text));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let text = Secret::new(bytes);
        let _ = StripeSecrets::parse("STRIPE_WEBHOOK_SECRET", &text);
        let _ = StandardKeys::parse("STANDARD_WEBHOOK_SECRETS", &text);
    }
}
