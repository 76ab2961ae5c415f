//! What a person has to mend before anything can be done; the process then ends with exit code 2.

use thiserror::Error;

/// A setting or an argument that cannot be used. The text names it and says what was found, never a secret.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);
