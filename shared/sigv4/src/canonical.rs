//! A request in canonical form, and a time.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same inside a path.
const ENCODED_PATH: &AsciiSet = &ENCODED.remove(b'/');

/// The canonical request, and the names of the headers in it. It may hold a session token, so it is wiped.
pub(crate) fn request<'a>(
    method: &str,
    url: &'a str,
    mut headers: Vec<(&'a str, &'a str)>,
    payload_hash: &str,
) -> (Zeroizing<String>, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
    let at = target.find('/').unwrap_or(target.len());
    let (authority, path) = target.split_at(at);
    headers.push(("host", authority));
    headers.sort_unstable();

    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let signed = names.join(";");
    let size: usize = headers.iter().map(|(n, v)| n.len() + v.len() + 2).sum();
    let mut out = Zeroizing::new(String::with_capacity(
        size + url.len() * 3 + signed.len() + payload_hash.len() + 32,
    ));
    for part in [
        method,
        "\n",
        &canonical_path(path),
        "\n",
        &canonical_query(query),
        "\n",
    ] {
        out.push_str(part);
    }
    for (name, value) in &headers {
        for part in [name, ":", &trimmed(value), "\n"] {
            out.push_str(part);
        }
    }
    for part in ["\n", &signed, "\n", payload_hash] {
        out.push_str(part);
    }
    (out, signed)
}

/// Every segment is encoded once more than it is sent, for every service but S3.
fn canonical_path(path: &str) -> Cow<'_, str> {
    if path.is_empty() {
        return Cow::Borrowed("/");
    }
    utf8_percent_encode(path, ENCODED_PATH).into()
}

/// Sorted by name, then value, both encoded.
fn canonical_query(query: &str) -> String {
    let encode = |text: &str| {
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&decoded, ENCODED).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Without white space around it, and with single spaces inside.
fn trimmed(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    if !value.contains("  ") {
        return Cow::Borrowed(value);
    }
    Cow::Owned(
        value
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// `20150830T123600Z`.
pub(crate) fn timestamp(now_ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(now_ms);
    let mut text = humantime::format_rfc3339_seconds(time).to_string();
    text.retain(|c| !matches!(c, '-' | ':'));
    text
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn times_are_written() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(1_440_938_160_999), "20150830T123600Z");
        assert_eq!(timestamp(1_709_208_000_000), "20240229T120000Z");
    }
}
