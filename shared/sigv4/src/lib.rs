//! AWS Signature Version 4, as headers: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//!
//! Pure: the time is an argument, and what comes out has only the signature, never the key.
#![forbid(unsafe_code)]

mod canonical;

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use lockgate_host::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// An AWS access key.
pub struct Credentials {
    /// `AKIA…` or `ASIA…`; not secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: Secret,
    /// The token of temporary credentials, which the caller sends as `x-amz-security-token`; it is signed here.
    pub session_token: Option<Secret>,
}

impl Credentials {
    /// Reads `ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]`; `None` where it is not of that form.
    #[must_use]
    pub fn parse(text: &Secret) -> Option<Self> {
        let mut parts = text.expose_str()?.splitn(3, ':');
        let (id, secret) = (parts.next()?, parts.next()?);
        let plain = (16..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain || secret.is_empty() {
            return None;
        }
        Some(Self {
            access_key_id: id.to_owned(),
            secret: Secret::from(secret.to_owned()),
            session_token: parts
                .next()
                .filter(|token| !token.is_empty())
                .map(|token| Secret::from(token.to_owned())),
        })
    }
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `POST`, …
    pub method: &'a str,
    /// The absolute URL, percent-encoded as it is sent.
    pub url: &'a str,
    /// Headers that are sent beside `host` and those that [`sign`] returns; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub payload: &'a [u8],
}

/// The key that signs one day's requests to one service in one region.
struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    fn derive(secret: &Secret, date: &str, region: &str, service: &str) -> Self {
        let mut first = Zeroizing::new(Vec::with_capacity(4 + secret.expose().len()));
        first.extend_from_slice(b"AWS4");
        first.extend_from_slice(secret.expose());
        let mut key = Zeroizing::new(mac(&first, date));
        for part in [region, service, "aws4_request"] {
            key = Zeroizing::new(mac(&*key, part));
        }
        Self(key)
    }
}

fn mac(key: &[u8], message: &str) -> [u8; 32] {
    // HMAC takes keys of every length (RFC 2104), so there is no error to be had.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().into()
}

/// Signs a request: the headers to add to it. `now_ms` is milliseconds since the Unix epoch; AWS allows five minutes' difference.
#[must_use]
pub fn sign(
    credentials: &Credentials,
    region: &str,
    service: &str,
    request: &Request<'_>,
    now_ms: u64,
) -> Vec<(&'static str, String)> {
    let payload = HEXLOWER.encode(&Sha256::digest(request.payload));
    let mut headers = vec![("x-amz-content-sha256", payload.as_str())];
    headers.extend_from_slice(request.headers);
    let hashed = Request {
        headers: &headers,
        ..*request
    };
    let authorization = authorized(credentials, region, service, &hashed, &payload, now_ms);
    vec![
        ("authorization", authorization),
        ("x-amz-date", canonical::timestamp(now_ms)),
        ("x-amz-content-sha256", payload),
    ]
}

/// The `authorization` of a request that is sent with `x-amz-date`, the session token if there is one, and its own headers
/// alone. [`sign`] adds the hash of the payload to these, as AWS recommends.
#[must_use]
pub fn authorization(
    credentials: &Credentials,
    region: &str,
    service: &str,
    request: &Request<'_>,
    now_ms: u64,
) -> String {
    let payload = HEXLOWER.encode(&Sha256::digest(request.payload));
    authorized(credentials, region, service, request, &payload, now_ms)
}

fn authorized(
    credentials: &Credentials,
    region: &str,
    service: &str,
    request: &Request<'_>,
    payload_hash: &str,
    now_ms: u64,
) -> String {
    let at = canonical::timestamp(now_ms);
    let date = at.get(..8).unwrap_or_default();
    let scope = format!("{date}/{region}/{service}/aws4_request");

    let token = credentials
        .session_token
        .as_ref()
        .and_then(Secret::expose_str);
    let mut headers = vec![("x-amz-date", at.as_str())];
    headers.extend(token.map(|token| ("x-amz-security-token", token)));
    headers.extend_from_slice(request.headers);
    let (canonical, signed) =
        canonical::request(request.method, request.url, headers, payload_hash);
    let hash = HEXLOWER.encode(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{hash}");

    let key = SigningKey::derive(&credentials.secret, date, region, service);
    let signature = HEXLOWER.encode(&mac(&*key.0, &to_sign));
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
        credentials.access_key_id
    )
}
