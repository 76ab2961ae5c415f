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
    // Values of one name stay in the order in which they are sent.
    headers.sort_by_key(|(name, _)| *name);

    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.dedup();
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
    let mut before = None;
    for (name, value) in &headers {
        if before == Some(name) {
            out.push(',');
        } else {
            if before.is_some() {
                out.push('\n');
            }
            out.push_str(name);
            out.push(':');
        }
        out.push_str(&trimmed(value));
        before = Some(name);
    }
    out.push('\n');
    for part in ["\n", &signed, "\n", payload_hash] {
        out.push_str(part);
    }
    (out, signed)
}

/// Every segment is encoded once more than it is sent, for every service but S3. Steps (`.`, `..`) and empty segments stay:
/// no URL that the gateway makes has any.
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
    let value = value.trim_ascii();
    let single = |byte: u8| byte == b' ' || !byte.is_ascii_whitespace();
    if value.bytes().all(single) && !value.contains("  ") {
        return Cow::Borrowed(value);
    }
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    Cow::Owned(words.join(" "))
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
    use super::*;

    #[test]
    fn times_are_written() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(1_440_938_160_999), "20150830T123600Z");
        assert_eq!(timestamp(1_709_208_000_000), "20240229T120000Z");
    }

    /// As the gateway makes them for Bedrock: the model is one segment, whatever is in its name.
    #[test]
    fn names_of_models_are_encoded_twice() {
        for (sent, canonical) in [
            (
                "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
                "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%253A0/converse",
            ),
            (
                "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.amazon.nova-lite-v1%3A0/converse-stream",
                "/model/arn%253Aaws%253Abedrock%253Aeu-west-1%253A123456789012%253Ainference-profile%252Feu.amazon.nova-lite-v1%253A0/converse-stream",
            ),
            ("", "/"),
        ] {
            assert_eq!(canonical_path(sent), canonical);
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_once() {
        for (sent, canonical) in [
            ("", ""),
            ("b&a=1", "a=1&b="),
            ("a=10&a=9", "a=10&a=9"),
            ("x=a.b&x=a%2Fb", "x=a%2Fb&x=a.b"),
            ("q=a+b", "q=a%2Bb"),
            ("q=a%20b", "q=a%20b"),
            ("a=1=2", "a=1%3D2"),
        ] {
            assert_eq!(canonical_query(sent), canonical, "{sent}");
        }
    }

    #[test]
    fn a_request_is_written() {
        let headers = vec![("x-b", " 1 "), ("x-a", "2"), ("x-b", "0")];
        let (text, signed) = request("POST", "https://example.com?b=1#x", headers, "hash");
        assert_eq!(
            text.as_str(),
            "POST\n/\nb=1\nhost:example.com\nx-a:2\nx-b:1,0\n\nhost;x-a;x-b\nhash"
        );
        assert_eq!(signed, "host;x-a;x-b");
    }
}
