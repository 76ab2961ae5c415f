//! Signing for the tests. That it signs as the senders do, their own vectors show.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, Mac};
use lockgate_host::Secret;
use sha2::Sha256;

pub(crate) const NOW: i64 = 1_790_000_000;

pub(crate) fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

pub(crate) fn hmac(key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(content);
    mac.finalize().into_bytes().to_vec()
}

/// What Stripe writes behind `v1=`.
pub(crate) fn stripe(secret: &str, at: i64, body: &[u8]) -> String {
    HEXLOWER.encode(&hmac(
        secret.as_bytes(),
        &[format!("{at}.").as_bytes(), body].concat(),
    ))
}

pub(crate) fn content(id: &str, at: i64, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{at}.").as_bytes(), body].concat()
}

/// What Standard Webhooks write for a shared key.
pub(crate) fn shared(key: &[u8], id: &str, at: i64, body: &[u8]) -> String {
    format!("v1,{}", BASE64.encode(&hmac(key, &content(id, at, body))))
}
