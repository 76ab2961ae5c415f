//! The key-encryption key: reading it from a setting, making a new one, and what is derived from it
//! (FEATURES G3; API.md, `LOCKGATE_KEK`).

use std::fmt;

use data_encoding::{
    BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE,
};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Random;

/// Length of a KEK in bytes.
const KEK_BYTES: usize = 32;

// One label per use, so that no derived value says anything about another. They are part of the stored format.
const LABEL_WRAP: &str = "lockgate/kek/v1/wrap";
const LABEL_ID: &str = "lockgate/kek/v1/id";
const LABEL_CHECK: &str = "lockgate/kek/v1/check";
const LABEL_DERIVE: &str = "lockgate/kek/v1/derive/";

/// 32 secret bytes under which data keys are wrapped. Wiped on drop; its `Debug` shows only its [`Kek::id`].
///
/// The key is never used for encryption itself: wrapping, identifiers and [`Kek::derive`] each use a key derived from it with
/// HKDF-SHA256 under a label of their own. The hash states that HKDF goes through are on the stack for its duration and are
/// not wiped there (the `hkdf` crate offers no way to); everything kept is.
#[derive(Clone)]
pub struct Kek {
    // Boxed so that moving a `Kek` leaves no copies behind on the stack.
    root: Box<Zeroizing<[u8; KEK_BYTES]>>,
    wrapping: Box<Zeroizing<[u8; KEK_BYTES]>>,
    id: String,
}

/// Why a setting is no KEK. The message says what was found, never the value itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KekError {
    /// Nothing but whitespace.
    #[error("LOCKGATE_KEK must be 32 bytes in base64 or hex; it is empty")]
    Empty,
    /// A known encoding of too few or too many bytes.
    #[error("LOCKGATE_KEK must be 32 bytes in base64 or hex; it decodes as {encoding} to {bytes} {}", plural(*bytes, "byte"))]
    Length {
        /// `base64` or `hex`.
        encoding: &'static str,
        /// How many bytes it holds.
        bytes: usize,
    },
    /// Neither base64 nor hex.
    #[error("LOCKGATE_KEK must be 32 bytes in base64 or hex; it is text of {characters} {} that is neither", plural(*characters, "character"))]
    Encoding {
        /// How many characters there are, without surrounding whitespace.
        characters: usize,
    },
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

impl Kek {
    /// Reads a KEK from text: base64 with the standard or the URL alphabet, padded or not, or hex in either case.
    /// Whitespace around it is ignored.
    ///
    /// # Errors
    /// Any other encoding, or any other length than 32 bytes.
    pub fn parse(text: &str) -> Result<Self, KekError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KekError::Empty);
        }
        // 32 bytes are 64 characters of hex and 43 or 44 of base64, so what is valid is never ambiguous. What is not valid is named as
        // hex first: hex of another length mostly is base64 too.
        let hex = decode(&HEXLOWER_PERMISSIVE, text);
        let base64 = || {
            [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
                .iter()
                .find_map(|encoding| decode(encoding, text))
        };
        let (encoding, bytes) = match hex {
            Some(bytes) => ("hex", bytes),
            None => match base64() {
                Some(bytes) => ("base64", bytes),
                None => {
                    return Err(KekError::Encoding {
                        characters: text.chars().count(),
                    });
                }
            },
        };
        let mut root = Box::new(Zeroizing::new([0; KEK_BYTES]));
        if bytes.len() != root.len() {
            return Err(KekError::Length {
                encoding,
                bytes: bytes.len(),
            });
        }
        root.copy_from_slice(&bytes);
        Ok(Self::new(root))
    }

    /// A new KEK from the engine's random source.
    #[must_use]
    pub fn generate(random: Random<'_>) -> Self {
        let mut root = Box::new(Zeroizing::new([0; KEK_BYTES]));
        random(root.as_mut_slice());
        Self::new(root)
    }

    fn new(root: Box<Zeroizing<[u8; KEK_BYTES]>>) -> Self {
        let mut wrapping = Box::new(Zeroizing::new([0; KEK_BYTES]));
        expand(&root, &[LABEL_WRAP], wrapping.as_mut_slice());
        let mut id = [0; 8];
        expand(&root, &[LABEL_ID], &mut id);
        Self {
            root,
            wrapping,
            id: format!("kek_{}", HEXLOWER.encode(&id)),
        }
    }

    /// The key itself, for writing it to the local file: standard base64 with padding, which [`Kek::parse`] reads.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(BASE64.encode_len(self.root.len())));
        BASE64.encode_append(self.root.as_slice(), &mut text);
        text
    }

    /// A short name for this KEK that is not secret, kept beside everything it sealed: `kek_` and 16 hex characters.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// What a store keeps to recognise its KEK: 64 hex characters, not secret. See [`Kek::is_the_one_checked_by`].
    #[must_use]
    pub fn check_value(&self) -> String {
        let mut value = [0; 32];
        expand(&self.root, &[LABEL_CHECK], &mut value);
        HEXLOWER.encode(&value)
    }

    /// Whether `check_value` is this KEK's, compared in constant time.
    #[must_use]
    pub fn is_the_one_checked_by(&self, check_value: &str) -> bool {
        self.check_value()
            .as_bytes()
            .ct_eq(check_value.as_bytes())
            .into()
    }

    /// A key for another purpose, named by `label` (HKDF-SHA256). Nothing about the KEK follows from it, nor about
    /// the key of another label.
    #[must_use]
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        expand(&self.root, &[LABEL_DERIVE, label], key.as_mut_slice());
        key
    }

    /// The key that wraps data keys.
    pub(crate) fn wrapping(&self) -> &[u8; KEK_BYTES] {
        &self.wrapping
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

/// Decodes into memory that is wiped, also where decoding fails half-way.
fn decode(encoding: &Encoding, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; encoding.decode_len(text.len()).ok()?]);
    let written = encoding.decode_mut(text.as_bytes(), &mut bytes).ok()?;
    bytes.truncate(written);
    Some(bytes)
}

/// HKDF-SHA256 without salt: the input is a uniformly random key already (RFC 5869, 3.1).
fn expand(root: &[u8; KEK_BYTES], label: &[&str], out: &mut [u8]) {
    let label: Vec<&[u8]> = label.iter().map(|part| part.as_bytes()).collect();
    let done = Hkdf::<Sha256>::new(None, root).expand_multi_info(&label, out);
    // HKDF refuses only outputs over 255 hash lengths; every caller is in this file and asks for at most one.
    debug_assert!(done.is_ok());
}
