//! Gateway keys, what applications hold: `lgk_` and 68 characters of lower-case base32.
//!
//! ```text
//! lgk_ │ workspace id, 16 │ secret, 32 (160 bits) │ tag, 13 (HMAC-SHA256, 64 bits) │ checksum, 7 (CRC-32)
//! ```
//!
//! * The checksum is public: a mistyped key is told from a revoked one, and a secret scanner can recognise a key
//!   (`lgk_[a-z2-7]{68}`, then CRC-32 of all that stands before the last seven characters).
//! * The tag needs a key derived from the KEK: a made-up key is refused without waking any authority.
//! * The workspace id says which authority to ask.
//!
//! Only the SHA-256 of a key is stored. A plain hash is enough for 160 random bits.

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use lockgate_host::{Random, Secret};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::id::{BASE32, BODY};

const PREFIX: &str = "lgk_";
const SECRET: usize = 32;
const TAG: usize = 13;
const CHECKSUM: usize = 7;
const BEFORE_TAG: usize = PREFIX.len() + BODY + SECRET;
const BEFORE_CHECKSUM: usize = BEFORE_TAG + TAG;
/// Characters of a gateway key.
pub const LENGTH: usize = BEFORE_CHECKSUM + CHECKSUM;

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

/// What is wrong with the text of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not of the form, or the checksum differs: mistyped, cut off or something else altogether.
    #[error(
        "it is not a Lockgate gateway key, or it was mistyped or cut off (its checksum does not fit)"
    )]
    Malformed,
    /// Well formed, but not made by this installation.
    #[error("it was not issued by this gateway")]
    Forged,
}

/// The SHA-256 of a key's text.
pub type KeyHash = [u8; 32];

/// Hashes a key's text.
#[must_use]
pub fn hash(text: &str) -> KeyHash {
    Sha256::digest(text.as_bytes()).into()
}

/// A hash as it is stored.
#[must_use]
pub fn hash_text(hash: &KeyHash) -> String {
    HEXLOWER.encode(hash)
}

/// Makes a key for a workspace.
pub fn mint(random: &impl Random, tag_key: &TagKey, workspace: &str) -> Secret {
    let mut bytes = Zeroizing::new([0u8; 20]);
    random.random(bytes.as_mut_slice());
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    text.push_str(workspace.strip_prefix("ws_").unwrap_or(workspace));
    BASE32.encode_append(bytes.as_slice(), &mut text);
    let tag = tag_key.tag(&text);
    BASE32.encode_append(&tag, &mut text);
    let checksum = crc32fast::hash(text.as_bytes()).to_be_bytes();
    BASE32.encode_append(&checksum, &mut text);
    Secret::from(text)
}

/// Checks form, checksum and tag, and says which workspace the key belongs to.
///
/// # Errors
/// [`KeyError`].
pub fn verify(text: &str, tag_key: &TagKey) -> Result<String, KeyError> {
    if text.len() != LENGTH || !text.is_ascii() || !text.starts_with(PREFIX) {
        return Err(KeyError::Malformed);
    }
    let (body, checksum) = text.split_at(BEFORE_CHECKSUM);
    let (signed, tag) = body.split_at(BEFORE_TAG);
    let expected = BASE32.encode(&crc32fast::hash(body.as_bytes()).to_be_bytes());
    if expected != checksum {
        return Err(KeyError::Malformed);
    }
    let expected = BASE32.encode(&tag_key.tag(signed));
    if !bool::from(expected.as_bytes().ct_eq(tag.as_bytes())) {
        return Err(KeyError::Forged);
    }
    let workspace = signed.get(PREFIX.len()..PREFIX.len() + BODY);
    Ok(format!("ws_{}", workspace.ok_or(KeyError::Malformed)?))
}

/// How a key is shown after it was made: `lgk_…wxyz`.
#[must_use]
pub fn mask(text: &str) -> String {
    format!("{PREFIX}…{}", text.get(LENGTH - 4..).unwrap_or(""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::DEFAULT_WORKSPACE;

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

    proptest! {
        #[test]
        fn a_minted_key_names_its_workspace(seed: u64) {
            let key = mint(&Seeded(Cell::new(seed)), &tag_key(1), DEFAULT_WORKSPACE);
            let text = key.expose_str().unwrap();
            prop_assert_eq!(text.len(), LENGTH);
            prop_assert_eq!(verify(text, &tag_key(1)).unwrap(), DEFAULT_WORKSPACE);
            prop_assert_eq!(verify(text, &tag_key(2)), Err(KeyError::Forged));
        }

        #[test]
        fn any_one_character_changed_is_seen(seed: u64, at in 4..LENGTH, to in "[a-z2-7]") {
            let key = mint(&Seeded(Cell::new(seed)), &tag_key(1), DEFAULT_WORKSPACE);
            let text = key.expose_str().unwrap();
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != text);
            prop_assert_eq!(verify(&changed, &tag_key(1)), Err(KeyError::Malformed));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = verify(&text, &tag_key(1));
            let _ = mask(&text);
        }
    }
}
