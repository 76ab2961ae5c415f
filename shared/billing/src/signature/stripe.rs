//! Stripe's scheme, `Stripe-Signature: t=…,v1=…`: <https://docs.stripe.com/webhooks#verify-manually>.
//!
//! `v1` is the HMAC-SHA256 of `{t}.{raw body}` in hex, under the endpoint's secret as it stands, `whsec_` included.
//! While a secret is rolled there is a `v1` for each. Other schemes (`v0` of test mode) prove nothing and are passed over.

use data_encoding::HEXLOWER_PERMISSIVE;
use lockgate_host::Secret;

use super::{
    BadSetting, MOST_SIGNATURES, Unverified, hmac_fits, in_time, present, read_items, seconds,
};

const HEADER: &str = "stripe-signature";

/// The endpoint secrets that are in force, one or more.
#[derive(Debug)]
pub struct StripeSecrets(Vec<Secret>);

impl StripeSecrets {
    /// Reads one or more `whsec_…`, comma separated, from the setting of that name.
    ///
    /// # Errors
    ///
    /// Names the item that is no endpoint secret.
    pub fn parse(setting: &'static str, text: &Secret) -> Result<Self, BadSetting> {
        let mut secrets = Vec::new();
        read_items(setting, text, |item| {
            let rest = item.strip_prefix("whsec_").ok_or(
                "it does not begin with `whsec_`; take the signing secret of the webhook endpoint, not an API key",
            )?;
            if rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(
                    "after `whsec_` there is no secret of visible ASCII; copy it again from the endpoint",
                );
            }
            secrets.push(Secret::from(item.to_owned()));
            Ok(())
        })?;
        Ok(Self(secrets))
    }

    /// Whether the delivery is Stripe's and of now; `header` is the value of `Stripe-Signature`, `now` Unix seconds.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the delivery.
    pub fn verify(&self, header: Option<&str>, body: &[u8], now: i64) -> Result<(), Unverified> {
        let parsed = parse(present(HEADER, header)?)?;
        if parsed.signatures.is_empty() {
            return Err(Unverified::NoKnownScheme {
                header: HEADER,
                wanted: "v1",
            });
        }
        let content = [parsed.time.as_bytes(), b".", body];
        let known = self
            .0
            .iter()
            .any(|secret| hmac_fits(secret.expose(), &content, &parsed.signatures));
        if !known {
            return Err(Unverified::NoneFits);
        }
        in_time(parsed.at, now)
    }
}

struct Parsed<'a> {
    /// The time as it was signed.
    time: &'a str,
    at: i64,
    signatures: Vec<Vec<u8>>,
}

fn parse(header: &str) -> Result<Parsed<'_>, Unverified> {
    let malformed = |problem| Unverified::HeaderMalformed {
        header: HEADER,
        problem,
    };
    let mut time = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        let (scheme, value) = item
            .trim()
            .split_once('=')
            .ok_or(malformed("its items are not `name=value`"))?;
        match scheme {
            // Stripe's own libraries disagree on which of two counts, so neither does.
            "t" if time.is_some() => return Err(malformed("it has more than one time")),
            "t" => time = Some(value),
            "v1" => signatures.push(value),
            _ => {}
        }
    }
    if signatures.len() > MOST_SIGNATURES {
        return Err(malformed("it has more than 32 signatures"));
    }
    let time = time.ok_or(malformed("it has no time, `t=`"))?;
    Ok(Parsed {
        time,
        at: seconds(HEADER, time)?,
        signatures: signatures
            .into_iter()
            // What is no hex is a signature that does not fit, as for Stripe's own libraries.
            .map(|hex| {
                HEXLOWER_PERMISSIVE
                    .decode(hex.as_bytes())
                    .unwrap_or_default()
            })
            .collect(),
    })
}
