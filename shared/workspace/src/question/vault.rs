//! What questions and answers about sealed secrets are made of.

use lockgate_vault::Held;
use serde::{Deserialize, Serialize};

/// What an asker can open, so that a store is never used by somebody who cannot read it, nor written to by somebody whom its
/// other users could not follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// What it seals under: the local KEK, and the managed vault if there is one.
    pub in_force: Vec<Held>,
    /// What it can read beside that.
    pub readable: Vec<Held>,
}

impl Keyring {
    /// All that it can open.
    pub fn all(&self) -> impl Iterator<Item = &Held> {
        self.in_force.iter().chain(&self.readable)
    }

    /// Whether it can open what is under the KEK, or in the entry of a vault's own store, of this name.
    #[must_use]
    pub fn opens(&self, name: &str) -> bool {
        self.all().any(|held| name.starts_with(&held.prefix))
    }
}

/// What a managed vault gave, sealed under the local KEK for a while ([`lockgate_vault::bridge`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// The local KEK's name.
    pub kek: String,
    /// Base64.
    pub sealed: String,
    /// When the vault gave it, ms since the Unix epoch.
    pub proven_at: u64,
    /// When it ends, likewise.
    pub expires_at: u64,
}

/// Whose turn it is to ask the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Turn {
    /// The asker's, who then tells how it ended.
    Ask,
    /// Somebody else is asking.
    Wait,
    /// Nobody's for so many milliseconds: the vault has just failed.
    Hold(u64),
    /// Nobody's: this is newer than what the asker knows.
    Built(Bridge),
}

/// How asking the vault ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asking {
    /// It gave.
    Gave(Bridge),
    /// It did not answer.
    Failed,
    /// It will not give any more.
    Refused,
}

/// Where a sealed secret is and what opens it; texts as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedAt {
    /// The KEK's name.
    pub kek: String,
    /// The entry's name.
    pub entry: String,
    /// The wrapped data key, base64.
    pub wrapped: String,
}

/// A sealed secret that is to be sealed under another KEK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRow {
    /// The provider key's id.
    pub provider_key: String,
    /// Its name.
    pub name: String,
    /// The provider's slug.
    pub provider: String,
    /// The version.
    pub version: u64,
    /// Where it is.
    pub at: SealedAt,
    /// The copy of the ciphertext, base64; empty where the vault holds the secret itself.
    pub ciphertext: String,
}

/// One that has been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrapped {
    /// The provider key's id.
    pub provider_key: String,
    /// The version.
    pub version: u64,
    /// Where it was: only if it still is does anything change.
    pub from: SealedAt,
    /// Where it is now.
    pub to: SealedAt,
    /// The copy of the new ciphertext, base64, where there is a new one.
    pub ciphertext: Option<String>,
}

/// What a store has sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCounts {
    /// How many secrets are under each KEK, by its name; those of versions that are no longer in force included.
    pub secrets: Vec<(String, u64)>,
    /// Entries that nothing points to and that are still to be removed.
    pub leftovers: u64,
}

/// The token keys as a store has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTokenKeys {
    /// The check value of the store's first local KEK, from which they were derived.
    pub origin: String,
    /// The local KEK that seals them, and what it sealed, once they were sealed.
    pub sealed: Option<(String, String)>,
}
