//! Sealing and opening a secret (FEATURES G1).
//!
//! Both blobs have the form `format (1 byte) ‖ nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16)`. The sealed secret is
//! encrypted under its data key, the data key under the KEK's wrapping key; the authenticated data of each is the
//! [`Binding`] under a label of its own. A data key seals one secret once, so its nonce can never repeat; a KEK wraps
//! with random nonces, which is sound for 2³² wraps (NIST SP 800-38D, 8.3), far above the number of keys of a gateway.

use aes_gcm::{AeadInPlace, Aes256Gcm, KeyInit, Nonce, Tag};
use lockgate_host::Secret;
use zeroize::{Zeroize, Zeroizing};

use crate::{Binding, Kek, Random};

/// The longest secret that can be sealed, in bytes. Service-account files, the longest in use, have about 2,400.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;

/// The first byte of each blob: AES-256-GCM as described at the top of this file.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const DEK_BYTES: usize = 32;

const PURPOSE_SECRET: &str = "lockgate/sealed-secret/v1";
const PURPOSE_DEK: &str = "lockgate/wrapped-dek/v1";

/// A sealed secret. None of it is secret without the KEK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The secret under its data key: the content of the KV entry.
    pub ciphertext: Vec<u8>,
    /// The data key under the KEK.
    pub wrapped: Vec<u8>,
    /// Which KEK wrapped it, as [`Kek::id`] names it.
    pub kek_id: String,
}

/// Why a secret was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Nothing to seal.
    #[error("the secret is empty")]
    Empty,
    /// Longer than [`MAX_SECRET_BYTES`].
    #[error("the secret has {bytes} bytes, more than the {MAX_SECRET_BYTES} that can be sealed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why a sealed secret does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The first byte of the wrapped data key or of the ciphertext is none that this version writes.
    #[error("the sealed secret has the unknown format {format}; it may be from a newer version")]
    UnknownFormat {
        /// The byte found.
        format: u8,
    },
    /// The data key does not unwrap.
    #[error(
        "the data key does not unwrap: it was wrapped under another key-encryption key, for another key or version, or was altered"
    )]
    WrongKekOrBinding,
    /// The data key unwraps, the ciphertext does not open under it.
    #[error("the sealed secret was altered or belongs to another key")]
    Altered,
    /// Shorter than any sealed secret or wrapped data key.
    #[error("the sealed secret is cut short")]
    Truncated,
}

/// A data key: the 32 bytes that one secret is sealed under, wiped when dropped.
pub(crate) struct Dek(Box<Zeroizing<[u8; DEK_BYTES]>>);

impl Dek {
    /// A fresh one.
    #[must_use]
    pub(crate) fn generate(random: Random<'_>) -> Self {
        let mut dek = Box::new(Zeroizing::new([0; DEK_BYTES]));
        random(dek.as_mut_slice());
        Self(dek)
    }

    /// One that a vault has unwrapped, where it has the right length.
    #[must_use]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut dek = Box::new(Zeroizing::new([0; DEK_BYTES]));
        if bytes.len() != DEK_BYTES {
            return None;
        }
        dek.copy_from_slice(bytes);
        Some(Self(dek))
    }

    /// The bytes, for wrapping them.
    #[must_use]
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Whether a secret can be sealed at all.
///
/// # Errors
/// An empty secret, or one longer than [`MAX_SECRET_BYTES`].
pub(crate) fn check(secret: &Secret) -> Result<(), SealError> {
    match secret.len() {
        0 => Err(SealError::Empty),
        bytes if bytes > MAX_SECRET_BYTES => Err(SealError::TooLong { bytes }),
        _ => Ok(()),
    }
}

/// Encrypts a secret under its data key, which must have encrypted nothing else.
///
/// # Errors
/// An empty secret, or one longer than [`MAX_SECRET_BYTES`].
pub(crate) fn encrypt_secret(
    dek: &Dek,
    binding: &Binding<'_>,
    secret: &Secret,
    random: Random<'_>,
) -> Result<Vec<u8>, SealError> {
    check(secret)?;
    let aad = binding.authenticated_data(PURPOSE_SECRET);
    // AES-GCM refuses only what is longer than it can count, 64 GiB.
    encrypt(&dek.0, &aad, secret.expose(), random).ok_or(SealError::TooLong {
        bytes: secret.len(),
    })
}

/// Decrypts what [`encrypt_secret`] made, with the same data key and binding.
///
/// # Errors
/// See [`OpenError`]. A ciphertext cut short in its middle is `Altered`: only its tag can tell.
pub(crate) fn decrypt_secret(
    dek: &Dek,
    binding: &Binding<'_>,
    ciphertext: &[u8],
) -> Result<Secret, OpenError> {
    let sealed = Blob::read(ciphertext)?;
    let aad = binding.authenticated_data(PURPOSE_SECRET);
    let mut secret = sealed.decrypt(&dek.0, &aad).ok_or(OpenError::Altered)?;
    Ok(Secret::new(std::mem::take(&mut *secret)))
}

/// Wraps a data key under a local KEK.
#[must_use]
pub(crate) fn wrap_local(
    kek: &Kek,
    binding: &Binding<'_>,
    dek: &Dek,
    random: Random<'_>,
) -> Vec<u8> {
    let aad = binding.authenticated_data(PURPOSE_DEK);
    // 32 bytes are never more than AES-GCM can count.
    encrypt(kek.wrapping(), &aad, dek.expose(), random).unwrap_or_default()
}

/// Unwraps what [`wrap_local`] made, with the same KEK and binding.
///
/// # Errors
/// See [`OpenError`].
pub(crate) fn unwrap_local(
    kek: &Kek,
    binding: &Binding<'_>,
    wrapped: &[u8],
) -> Result<Dek, OpenError> {
    let wrapped = Blob::read(wrapped)?;
    if wrapped.body.len() < DEK_BYTES {
        return Err(OpenError::Truncated);
    }
    let aad = binding.authenticated_data(PURPOSE_DEK);
    let dek = wrapped.decrypt(kek.wrapping(), &aad);
    dek.and_then(|dek| Dek::read(&dek))
        .ok_or(OpenError::WrongKekOrBinding)
}

/// Seals anything of the gateway's own under a local KEK, with authenticated data of the caller's. The data is to begin with a
/// label that no other use has.
pub(crate) fn seal_local(
    kek: &Kek,
    authenticated_data: &[u8],
    plain: &[u8],
    random: Random<'_>,
) -> Vec<u8> {
    encrypt(kek.wrapping(), authenticated_data, plain, random).unwrap_or_default()
}

/// Opens what [`seal_local`] made.
pub(crate) fn open_local(
    kek: &Kek,
    authenticated_data: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let sealed = Blob::read(sealed)?;
    sealed
        .decrypt(kek.wrapping(), authenticated_data)
        .ok_or(OpenError::WrongKekOrBinding)
}

/// Seals `secret` for `binding` under a fresh data key, and wraps that under `kek`.
///
/// # Errors
/// An empty secret, or one longer than [`MAX_SECRET_BYTES`].
pub fn seal(
    kek: &Kek,
    binding: &Binding<'_>,
    secret: &Secret,
    random: Random<'_>,
) -> Result<Sealed, SealError> {
    check(secret)?;
    let dek = Dek::generate(random);
    Ok(Sealed {
        ciphertext: encrypt_secret(&dek, binding, secret, random)?,
        wrapped: wrap_local(kek, binding, &dek, random),
        kek_id: kek.id(),
    })
}

/// Opens what [`seal`] made, with the same KEK and the same binding.
///
/// # Errors
/// See [`OpenError`]. A ciphertext cut short in its middle is `Altered`: only its tag can tell.
pub fn open(
    kek: &Kek,
    binding: &Binding<'_>,
    wrapped: &[u8],
    ciphertext: &[u8],
) -> Result<Secret, OpenError> {
    let dek = unwrap_local(kek, binding, wrapped)?;
    decrypt_secret(&dek, binding, ciphertext)
}

/// A blob taken apart.
struct Blob<'b> {
    nonce: &'b [u8],
    body: &'b [u8],
    tag: &'b [u8],
}

impl<'b> Blob<'b> {
    fn read(blob: &'b [u8]) -> Result<Self, OpenError> {
        let (&format, rest) = blob.split_first().ok_or(OpenError::Truncated)?;
        if format != FORMAT {
            return Err(OpenError::UnknownFormat { format });
        }
        let (nonce, rest) = rest
            .split_at_checked(NONCE_BYTES)
            .ok_or(OpenError::Truncated)?;
        let body = rest
            .len()
            .checked_sub(TAG_BYTES)
            .ok_or(OpenError::Truncated)?;
        let (body, tag) = rest.split_at(body);
        Ok(Self { nonce, body, tag })
    }

    /// The plain text, if key, authenticated data and every bit of the blob are the right ones.
    fn decrypt(&self, key: &[u8; DEK_BYTES], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(self.body.to_vec());
        Aes256Gcm::new(key.into())
            .decrypt_in_place_detached(
                Nonce::from_slice(self.nonce),
                aad,
                &mut plain,
                Tag::from_slice(self.tag),
            )
            .ok()?;
        Some(plain)
    }
}

fn encrypt(key: &[u8; DEK_BYTES], aad: &[u8], plain: &[u8], random: Random<'_>) -> Option<Vec<u8>> {
    const BODY: usize = 1 + NONCE_BYTES;
    // Room for all of it from the start: growing would leave a copy of the plain text in freed memory.
    let mut blob = Vec::with_capacity(BODY + plain.len() + TAG_BYTES);
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce);
    blob.push(FORMAT);
    blob.extend_from_slice(&nonce);
    blob.extend_from_slice(plain);
    let tag = blob.get_mut(BODY..).and_then(|body| {
        Aes256Gcm::new(key.into())
            .encrypt_in_place_detached(Nonce::from_slice(&nonce), aad, body)
            .ok()
    });
    let Some(tag) = tag else {
        blob.zeroize();
        return None;
    };
    blob.extend_from_slice(&tag);
    Some(blob)
}
