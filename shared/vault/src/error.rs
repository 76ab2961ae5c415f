//! Why a vault did not do what it was asked.

use thiserror::Error;

use crate::{OpenError, SealError};

/// Why a vault did not do what it was asked. No text has anything secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VaultError {
    /// It cannot be reached, or cannot serve at the moment: what was given before may go on being used for a while.
    #[error("{adapter} does not answer: {detail}")]
    Unavailable {
        /// The adapter's name.
        adapter: &'static str,
        /// What happened.
        detail: String,
    },
    /// It answered no: the key is disabled, or these credentials may not use it. What was given before ends with it.
    #[error("{adapter} refuses: {detail}")]
    Refused {
        /// The adapter's name.
        adapter: &'static str,
        /// What it said.
        detail: String,
    },
    /// The secret is sealed under a KEK that the settings have nothing for.
    #[error("it is sealed under {kek}, which no setting leads to")]
    NotHeld {
        /// The KEK's name.
        kek: String,
    },
    /// What is stored does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is to be stored cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// This adapter cannot do that.
    #[error("{adapter} cannot do that: {detail}")]
    Unsupported {
        /// The adapter's name.
        adapter: &'static str,
        /// The way out.
        detail: String,
    },
}
