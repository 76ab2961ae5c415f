//! Texts that this installation hands out once and recognises by their form: gateway keys and admin tokens.
//!
//! ```text
//! lgk_ │ workspace id, 16 │ secret, 32 (160 bits) │ tag, 13 (HMAC-SHA256, 64 bits) │ checksum, 7 (CRC-32)
//! ```
//!
//! * The checksum is public: a mistyped text is told from a revoked one, and a secret scanner can recognise one
//!   (`lgk_[a-z2-7]{68}` or `lga_[a-z2-7]{68}`, then CRC-32 of all that stands before the last seven characters).
//! * The tag needs a key derived from the KEK, another one for each kind: a made-up text is refused without waking any
//!   authority, and no kind passes as another.
//! * The workspace id says which authority to ask.
//!
//! Only the SHA-256 of a text is stored. A plain hash is enough for 160 random bits.

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use lockgate_host::{Random, Secret};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::id::{BASE32, BODY};

const SECRET: usize = 32;
const TAG: usize = 13;
const CHECKSUM: usize = 7;

/// The key that tags are made with; derived from the KEK.
#[derive(Clone)]
pub struct TagKey(Zeroizing<[u8; 32]>);

impl TagKey {
    /// Wraps 32 derived bytes.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    fn tag(&self, text: &str) -> [u8; 8] {
        // HMAC takes a key of any length, so this cannot fail; an all-zero tag would match nothing anyway.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else {
            return [0; 8];
        };
        mac.update(text.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut tag = [0u8; 8];
        tag.copy_from_slice(full.get(..8).unwrap_or(&[0; 8]));
        tag
    }
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not of the form, or the checksum differs: mistyped, cut off or something else altogether.
    #[error(
        "it is not of Lockgate's form, or it was mistyped or cut off (its checksum does not fit)"
    )]
    Malformed,
    /// Well formed, but not made by this installation.
    #[error("it was not issued by this gateway")]
    Forged,
}

/// The SHA-256 of a text.
pub type KeyHash = [u8; 32];

/// Hashes a text.
#[must_use]
pub fn hash(text: &str) -> KeyHash {
    Sha256::digest(text.as_bytes()).into()
}

/// A hash as it is stored.
#[must_use]
pub fn hash_text(hash: &KeyHash) -> String {
    HEXLOWER.encode(hash)
}

/// A kind of text, told from others by what it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// Four characters.
    pub(crate) prefix: &'static str,
}

impl Form {
    const fn before_tag(self) -> usize {
        self.prefix.len() + BODY + SECRET
    }

    const fn before_checksum(self) -> usize {
        self.before_tag() + TAG
    }

    /// Characters of a text.
    pub(crate) const fn length(self) -> usize {
        self.before_checksum() + CHECKSUM
    }

    /// Makes a text for a workspace.
    pub(crate) fn mint(self, random: &impl Random, tag_key: &TagKey, workspace: &str) -> Secret {
        let mut bytes = Zeroizing::new([0u8; 20]);
        random.random(bytes.as_mut_slice());
        let mut text = String::with_capacity(self.length());
        text.push_str(self.prefix);
        text.push_str(workspace.strip_prefix("ws_").unwrap_or(workspace));
        BASE32.encode_append(bytes.as_slice(), &mut text);
        let tag = tag_key.tag(&text);
        BASE32.encode_append(&tag, &mut text);
        let checksum = crc32fast::hash(text.as_bytes()).to_be_bytes();
        BASE32.encode_append(&checksum, &mut text);
        Secret::from(text)
    }

    /// Checks form, checksum and tag, and says which workspace the text belongs to.
    pub(crate) fn verify(self, text: &str, tag_key: &TagKey) -> Result<String, KeyError> {
        if text.len() != self.length() || !text.is_ascii() || !text.starts_with(self.prefix) {
            return Err(KeyError::Malformed);
        }
        let (body, checksum) = text.split_at(self.before_checksum());
        let (signed, tag) = body.split_at(self.before_tag());
        let expected = BASE32.encode(&crc32fast::hash(body.as_bytes()).to_be_bytes());
        if expected != checksum {
            return Err(KeyError::Malformed);
        }
        let expected = BASE32.encode(&tag_key.tag(signed));
        if !bool::from(expected.as_bytes().ct_eq(tag.as_bytes())) {
            return Err(KeyError::Forged);
        }
        let workspace = signed.get(self.prefix.len()..self.prefix.len() + BODY);
        Ok(format!("ws_{}", workspace.ok_or(KeyError::Malformed)?))
    }

    /// How a text is shown after it was made: `lgk_…wxyz`.
    pub(crate) fn mask(self, text: &str) -> String {
        let end = text.get(self.length() - 4..).unwrap_or_default();
        format!("{}…{end}", self.prefix)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use lockgate_vault::{Kek, TokenKeys};
    use proptest::prelude::*;

    use super::*;
    use crate::{DEFAULT_WORKSPACE, admin_token, gateway_key};

    const FORMS: [Form; 2] = [gateway_key::FORM, admin_token::FORM];

    struct Seeded(Cell<u64>);
    impl Random for Seeded {
        fn random(&self, buffer: &mut [u8]) {
            for byte in buffer {
                self.0.set(
                    self.0
                        .get()
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1),
                );
                *byte = (self.0.get() >> 33) as u8;
            }
        }
    }

    fn tag_key(byte: u8) -> TagKey {
        TagKey::new(Zeroizing::new([byte; 32]))
    }

    fn mint(form: Form, seed: u64) -> String {
        let minted = form.mint(&Seeded(Cell::new(seed)), &tag_key(1), DEFAULT_WORKSPACE);
        minted.expose_str().unwrap().to_owned()
    }

    proptest! {
        #[test]
        fn a_minted_text_names_its_workspace(seed: u64, form in prop::sample::select(&FORMS)) {
            let text = mint(form, seed);
            prop_assert_eq!(text.len(), form.length());
            prop_assert_eq!(form.verify(&text, &tag_key(1)).unwrap(), DEFAULT_WORKSPACE);
            prop_assert_eq!(form.verify(&text, &tag_key(2)), Err(KeyError::Forged));
        }

        #[test]
        fn any_one_character_changed_is_seen(
            seed: u64,
            form in prop::sample::select(&FORMS),
            at in 4..gateway_key::LENGTH,
            to in "[a-z2-7]",
        ) {
            let text = mint(form, seed);
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != text);
            prop_assert_eq!(form.verify(&changed, &tag_key(1)), Err(KeyError::Malformed));
        }

        #[test]
        fn no_text_panics(text: String, form in prop::sample::select(&FORMS)) {
            let _ = form.verify(&text, &tag_key(1));
            let _ = form.mask(&text);
        }
    }

    /// The checksum is public, so anyone can make a text look like the other kind; the tag says that it is not.
    #[test]
    fn no_kind_passes_as_the_other() {
        for (from, to) in [(FORMS[0], FORMS[1]), (FORMS[1], FORMS[0])] {
            let text = mint(from, 7);
            assert_eq!(to.verify(&text, &tag_key(1)), Err(KeyError::Malformed));
            let mut disguised = text.replacen(from.prefix, to.prefix, 1);
            disguised.truncate(to.before_checksum());
            let checksum = crc32fast::hash(disguised.as_bytes()).to_be_bytes();
            BASE32.encode_append(&checksum, &mut disguised);
            assert_eq!(to.verify(&disguised, &tag_key(1)), Err(KeyError::Forged));
        }
    }

    /// Keys that were handed out stay valid: this one was made before admin tokens were.
    #[test]
    fn a_key_of_the_first_version_is_still_one() {
        let kek = Kek::parse(&"42".repeat(32)).unwrap();
        let tag_key = TagKey::new(TokenKeys::derive(&kek).gateway);
        let minted = gateway_key::mint(&Seeded(Cell::new(1)), &tag_key, DEFAULT_WORKSPACE);
        let text = minted.expose_str().unwrap();
        assert_eq!(
            text,
            "lgk_defaultaaaaaaaaacztshfec3k6oynct74pzk6h65s64wbaweuolbjswim2nuobqfepy"
        );
        assert_eq!(
            gateway_key::verify(text, &tag_key).unwrap(),
            DEFAULT_WORKSPACE
        );
        let other = TagKey::new(TokenKeys::derive(&kek).admin);
        assert_eq!(gateway_key::verify(text, &other), Err(KeyError::Forged));
    }
}
