//! Gateway keys, what applications hold: `lgk_` and 68 characters of lower-case base32, of the form that
//! [`crate::minted`] describes.

use lockgate_host::{Random, Secret};

use crate::minted::Form;
pub use crate::minted::{KeyError, KeyHash, TagKey, hash, hash_text};

pub(crate) const FORM: Form = Form { prefix: "lgk_" };
/// Characters of a gateway key.
pub const LENGTH: usize = FORM.length();

/// Makes a key for a workspace.
pub fn mint(random: &impl Random, tag_key: &TagKey, workspace: &str) -> Secret {
    FORM.mint(random, tag_key, workspace)
}

/// Checks form, checksum and tag, and says which workspace the key belongs to.
///
/// # Errors
/// [`KeyError`].
pub fn verify(text: &str, tag_key: &TagKey) -> Result<String, KeyError> {
    FORM.verify(text, tag_key)
}

/// How a key is shown after it was made: `lgk_…wxyz`.
#[must_use]
pub fn mask(text: &str) -> String {
    FORM.mask(text)
}
