//! The masked form of a secret, the only one ever shown (FEATURES A1).

use lockgate_host::Secret;

/// Secrets shorter than this show nothing.
const MIN_BYTES: usize = 20;
/// How far into the secret its prefix is looked for.
const PREFIX_WITHIN: usize = 8;
/// How much of the end is shown.
const TAIL: usize = 4;

/// What can be shown of a secret so that its owner recognises it, such as `sk-…wxyz`.
///
/// The last four characters and, in front, what ends at a `-` or `_` within the first eight. Never more than a quarter of
/// the secret: a prefix that would exceed it is shortened or left out. Secrets of fewer than 20 characters, and those whose ends
/// are not plain visible ASCII, are shown as `…` alone.
#[must_use]
pub fn mask(secret: &Secret) -> String {
    shown(secret.expose()).unwrap_or_else(|| "…".to_owned())
}

fn shown(secret: &[u8]) -> Option<String> {
    if secret.len() < MIN_BYTES {
        return None;
    }
    let tail = visible(secret.get(secret.len() - TAIL..)?)?;
    let room = (secret.len() / 4 - TAIL).min(PREFIX_WITHIN);
    let prefix = secret
        .get(..room)?
        .iter()
        .rposition(|byte| matches!(byte, b'-' | b'_'))
        .and_then(|end| visible(secret.get(..=end)?))
        .unwrap_or_default();
    Some(format!("{prefix}…{tail}"))
}

/// `bytes` as text, if all are visible ASCII.
fn visible(bytes: &[u8]) -> Option<&str> {
    let plain = bytes.iter().all(u8::is_ascii_graphic);
    plain.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::mask;
    use lockgate_host::Secret;
    use proptest::prelude::*;

    fn masked(text: &str) -> String {
        mask(&Secret::from(text.to_owned()))
    }

    #[test]
    fn masks() {
        for (secret, shown) in [
            ("", "…"),
            ("sk-1234567890123456", "…"),
            ("sk-12345678901234567", "…4567"),
            ("sk-abcdefghijklmnopqrstuwxyz", "sk-…wxyz"),
            ("sk-abcdefghijklmnopqrstuvwxy", "sk-…vwxy"),
            ("sk-abcdefghijklmnopqrstuvwx", "…uvwx"),
            ("gsk_abcdefghijklmnopqrstuvwxyz012345", "gsk_…2345"),
            (
                "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789abcd",
                "sk-proj-…abcd",
            ),
            ("sk-proj-abcdefghijklmnopqrstuvwxyz012345678", "sk-…5678"),
            ("abcdefghi-jklmnopqrstuvwxyz0123456789", "…6789"),
            ("0123456789abcdef0123456789abcdef", "…cdef"),
            ("a b-cdefghijklmnopqrstuvwxyz0123456789", "…6789"),
            ("{\"type\":\"service_account\",\"project_id\":\"p\"}\n", "…"),
            ("schlüssel-schlüssel-schlüssel-ü", "…"),
        ] {
            assert_eq!(masked(secret), shown, "{secret:?}");
        }
        assert_eq!(mask(&Secret::new(vec![0xff; 64])), "…");
    }

    proptest! {
        #[test]
        fn never_more_than_a_quarter(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let masked = mask(&Secret::new(bytes.clone()));
            prop_assert!((masked.len() - "…".len()) * 4 <= bytes.len());
        }
    }
}
