//! Whether a delivery comes from whom it says: [`StripeSecrets`] for Stripe's header, [`StandardKeys`] for Standard
//! Webhooks. Both sign the raw body, so it is verified before anybody parses it.
//!
//! The signature is judged before the time: only a sender who knows the secret learns that a clock is wrong.

mod standard;
mod stripe;

use hmac::{Hmac, Mac};
use lockgate_host::Secret;
use sha2::Sha256;

pub use standard::{StandardHeaders, StandardKeys};
pub use stripe::StripeSecrets;

/// How far a delivery's time may be from ours, either way; the edges are inside.
pub const TOLERANCE_SECONDS: i64 = 300;

/// How many signatures a header may carry. Senders give one for each secret in use; more would only cost us work.
const MOST_SIGNATURES: usize = 32;

/// Why a delivery is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// A header that the scheme needs is not there, or empty.
    #[error("the header `{header}` is missing; the sender must sign its deliveries")]
    HeaderMissing {
        /// Which one.
        header: &'static str,
    },
    /// A header is not of its form.
    #[error("the header `{header}` is malformed: {problem}")]
    HeaderMalformed {
        /// Which one.
        header: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are signatures, but of no scheme that there is a key for.
    #[error("the header `{header}` has no signature of the scheme {wanted}")]
    NoKnownScheme {
        /// Which header.
        header: &'static str,
        /// What there are keys for.
        wanted: &'static str,
    },
    /// No signature fits any key: another secret, or something changed on the way.
    #[error(
        "no signature fits: the secret is another one, or body, id or time changed on the way; sign the raw body"
    )]
    NoneFits,
    /// Signed longer ago than the tolerance.
    #[error(
        "the delivery was signed {seconds} s ago, more than the 300 s that are allowed; send it again, signed anew"
    )]
    TooOld {
        /// How long ago.
        seconds: i64,
    },
    /// Signed further in the future than the tolerance.
    #[error(
        "the delivery was signed {seconds} s in the future, more than the 300 s that are allowed; one of the clocks is wrong"
    )]
    TooNew {
        /// How far ahead.
        seconds: i64,
    },
}

impl Unverified {
    /// Whether the signature is good and only its time is not (`timestamp_out_of_tolerance`).
    #[must_use]
    pub fn is_about_time(&self) -> bool {
        matches!(self, Self::TooOld { .. } | Self::TooNew { .. })
    }
}

/// A setting that holds no keys. Names the setting and the place in it, never what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{setting}, item {item}: {problem}")]
pub struct BadSetting {
    /// The setting.
    pub setting: &'static str,
    /// Which of its comma-separated items, from 1.
    pub item: usize,
    /// What is wrong, and the way out.
    pub problem: &'static str,
}

/// Reads each item of a comma-separated setting.
fn read_items(
    setting: &'static str,
    text: &Secret,
    mut read: impl FnMut(&str) -> Result<(), &'static str>,
) -> Result<(), BadSetting> {
    let bad = |item, problem| BadSetting {
        setting,
        item,
        problem,
    };
    let text = text
        .expose_str()
        .ok_or_else(|| bad(1, "it is not text; set it to the secrets, comma separated"))?;
    for (index, item) in text.split(',').enumerate() {
        let item = item.trim();
        if item.is_empty() {
            return Err(bad(
                index + 1,
                "it is empty; set it to a secret or take the comma away",
            ));
        }
        read(item).map_err(|problem| bad(index + 1, problem))?;
    }
    Ok(())
}

/// A header's value, where it is there and says something.
fn present<'a>(header: &'static str, value: Option<&'a str>) -> Result<&'a str, Unverified> {
    value
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .ok_or(Unverified::HeaderMissing { header })
}

/// Unix seconds as senders write them: digits and nothing else.
fn seconds(header: &'static str, text: &str) -> Result<i64, Unverified> {
    Some(text)
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Unverified::HeaderMalformed {
            header,
            problem: "its time is not Unix seconds in digits",
        })
}

/// Whether `at` is within the tolerance of `now`.
fn in_time(at: i64, now: i64) -> Result<(), Unverified> {
    let age = now.saturating_sub(at);
    if age > TOLERANCE_SECONDS {
        return Err(Unverified::TooOld { seconds: age });
    }
    if age < -TOLERANCE_SECONDS {
        return Err(Unverified::TooNew {
            seconds: age.saturating_neg(),
        });
    }
    Ok(())
}

/// Whether any of `signatures` is the HMAC-SHA256 of `parts` under `key`; each comparison takes the same time.
fn hmac_fits(key: &[u8], parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    // HMAC takes keys of every length (RFC 2104); were that to change, nothing would fit.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    signatures
        .iter()
        .any(|signature| mac.clone().verify_slice(signature).is_ok())
}
