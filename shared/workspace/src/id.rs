//! Identifiers: a prefix that names the kind, and 80 random bits in lower-case base32 (RFC 4648, no padding).

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use lockgate_host::Random;

/// Lower-case base32 without padding: letters and `2`–`7`, so an id or a key is one word to a double click.
pub(crate) static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("abcdefghijklmnopqrstuvwxyz234567");
    // The alphabet above is a constant of 32 distinct ASCII symbols, which is all that can go wrong here.
    specification
        .encoding()
        .unwrap_or(data_encoding::BASE32_NOPAD)
});

/// Characters of an identifier after its prefix.
pub(crate) const BODY: usize = 16;

/// The workspace that always exists, under the name `default`.
pub const DEFAULT_WORKSPACE: &str = "ws_defaultaaaaaaaaa";

/// The workspace whose provider keys pay for managed traffic, under the name `platform`; it always exists too.
pub const PLATFORM_WORKSPACE: &str = "ws_platformaaaaaaaa";

/// A new identifier such as `pk_3v7d…`.
pub fn new_id(random: &impl Random, prefix: &str) -> String {
    let mut bytes = [0u8; 10];
    random.random(&mut bytes);
    let mut id = String::with_capacity(prefix.len() + 1 + BODY);
    id.push_str(prefix);
    id.push('_');
    BASE32.encode_append(&bytes, &mut id);
    id
}

/// Whether `text` has the form of an identifier with this prefix.
#[must_use]
pub fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|body| {
            body.len() == BODY
                && body
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Random for Counting {
        fn random(&self, buffer: &mut [u8]) {
            for (i, byte) in buffer.iter_mut().enumerate() {
                *byte = i as u8;
            }
        }
    }

    #[test]
    fn ids_have_their_form() {
        let id = new_id(&Counting, "pk");
        assert_eq!(id, "pk_aaaqeayeaudaocaj");
        assert!(is_id(&id, "pk"));
        assert!(!is_id(&id, "ws"));
        assert!(is_id(DEFAULT_WORKSPACE, "ws"));
        assert!(!is_id("pk_AAAQEAYEAUDAOCAJ", "pk"));
    }
}
