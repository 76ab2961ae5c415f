//! Checks AWS's Signature Version 4 by making it once more.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::ask::{Ask, Refusal, Verdict};
use crate::{AWS_ACCESS_KEY, AWS_SECRET_KEY};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the clocks may be apart.
const TOLERANCE: u64 = 5 * 60;

/// The parts of an `authorization` header.
struct Authorization<'a> {
    access_key: &'a str,
    /// Date, region, service, `aws4_request`.
    scope: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let (access_key, scope) = field("Credential")?.split_once('/')?;
        Some(Self {
            access_key,
            scope,
            signed: field("SignedHeaders")?.split(';').collect(),
            signature: field("Signature")?,
        })
    }
}

fn refused(kind: &'static str, message: &str) -> Refusal {
    Refusal::new(403, message).kind(kind)
}

/// Whether a request is signed with the key that this provider knows.
pub(super) fn check(ask: &Ask<'_>, header: &str) -> Verdict {
    let incomplete = || {
        refused(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters.",
        )
    };
    let authorization = Authorization::parse(header).ok_or_else(incomplete)?;
    let forbidden = authorization.access_key.contains("FORBIDDEN");
    if authorization.access_key != AWS_ACCESS_KEY && !forbidden {
        return Err(refused(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    let time = ask.header("x-amz-date").ok_or_else(incomplete)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map(|since| since.as_secs()).unwrap_or_default();
    if seconds(time).is_none_or(|seconds| seconds.abs_diff(now) > TOLERANCE) {
        return Err(refused("InvalidSignatureException", "Signature expired"));
    }
    let scope: Vec<&str> = authorization.scope.split('/').collect();
    let [date, _, service, "aws4_request"] = scope[..] else {
        return Err(incomplete());
    };
    if service != "bedrock" {
        return Err(refused(
            "InvalidSignatureException",
            "Credential should be scoped to correct service: 'bedrock'.",
        ));
    }
    if !time.starts_with(date) {
        return Err(refused(
            "InvalidSignatureException",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
        ));
    }
    let must = [
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
    ];
    let unsigned = must
        .iter()
        .find(|name| ask.headers.contains_key(**name) && !authorization.signed.contains(name));
    if unsigned.is_some() || !authorization.signed.is_sorted() {
        return Err(refused(
            "InvalidSignatureException",
            "'Host' and all 'x-amz-*' headers must be signed, in order.",
        ));
    }
    let hash = hex(&Sha256::digest(ask.body));
    if ask
        .header("x-amz-content-sha256")
        .is_some_and(|said| said != hash)
    {
        return Err(refused(
            "InvalidSignatureException",
            "The value of the x-amz-content-sha256 header does not match the calculated value.",
        ));
    }
    let headers: String = authorization
        .signed
        .iter()
        .map(|name| {
            let value = ask.header(name).unwrap_or_default();
            let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            format!("{name}:{value}\n")
        })
        .collect();
    let signed = authorization.signed.join(";");
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{hash}",
        ask.method,
        canonical_path(ask.path),
        canonical_query(ask.query)
    );
    let expected = signature(
        AWS_SECRET_KEY,
        &scope,
        authorization.scope,
        time,
        &canonical,
    );
    if expected != authorization.signature {
        return Err(refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    if forbidden {
        return Err(refused(
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
        ));
    }
    Ok(())
}

fn signature(
    secret: &str,
    scope: &[&str],
    whole_scope: &str,
    time: &str,
    canonical: &str,
) -> String {
    let to_sign = format!(
        "{ALGORITHM}\n{time}\n{whole_scope}\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope
        .iter()
        .fold(first, |key, part| hmac(&key, part.as_bytes()));
    hex(&hmac(&key, to_sign.as_bytes()))
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The path as it was sent, encoded once more: every service but S3 has it so.
fn canonical_path(path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(encoded).collect();
    segments.join("/")
}

fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<String> = pairs
        .map(|pair| {
            if pair.contains('=') {
                pair.to_owned()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn encoded(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02X}");
        }
        text
    })
}

/// Seconds since 1970 of `YYYYMMDDTHHMMSSZ`.
fn seconds(time: &str) -> Option<u64> {
    let (date, rest) = time.split_once('T')?;
    let clock = rest.strip_suffix('Z')?;
    let number = |text: &str, from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (
        number(date, 0, 4)?,
        number(date, 4, 6)?,
        number(date, 6, 8)?,
    );
    let (hour, minute, second) = (
        number(clock, 0, 2)?,
        number(clock, 2, 4)?,
        number(clock, 4, 6)?,
    );
    // Days since 1970 by the calendar that begins its years in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::{canonical_path, canonical_query, seconds, signature};

    /// `get-vanilla` of AWS's Signature Version 4 test suite.
    #[test]
    fn a_published_signature() {
        let scope = "20150830/us-east-1/service/aws4_request";
        let canonical = "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let parts: Vec<&str> = scope.split('/').collect();
        let made = signature(
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            &parts,
            scope,
            "20150830T123600Z",
            canonical,
        );
        assert_eq!(
            made,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[test]
    fn paths_queries_and_times() {
        assert_eq!(
            canonical_path("/model/a%3A0/converse"),
            "/model/a%253A0/converse"
        );
        assert_eq!(canonical_query("b=1&a"), "a=&b=1");
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(seconds("20000229T235959Z"), Some(951_868_799));
        assert_eq!(seconds("2015-08-30"), None);
    }
}
