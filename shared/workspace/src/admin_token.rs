//! The text of admin tokens, what people and their programs call `/api` with: `lga_` and 68 characters of lower-case
//! base32, of the form that [`crate::minted`] describes.

use lockgate_host::{Random, Secret};

use crate::minted::Form;
pub use crate::minted::{KeyError, KeyHash, TagKey, hash, hash_text};

pub(crate) const FORM: Form = Form { prefix: "lga_" };

/// Whether a text means to be an admin token.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    text.starts_with(FORM.prefix)
}

/// Makes a token that is kept with a workspace.
pub fn mint(random: &impl Random, tag_key: &TagKey, workspace: &str) -> Secret {
    FORM.mint(random, tag_key, workspace)
}

/// Checks form, checksum and tag, and says which workspace the token is kept with.
///
/// # Errors
/// [`KeyError`].
pub fn verify(text: &str, tag_key: &TagKey) -> Result<String, KeyError> {
    FORM.verify(text, tag_key)
}

/// How a token is shown after it was made: `lga_…wxyz`.
#[must_use]
pub fn mask(text: &str) -> String {
    FORM.mask(text)
}
