//! Why the authority would not.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why the authority would not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Denial {
    /// No such thing.
    #[error("no {kind} “{reference}” in this workspace")]
    NotFound {
        /// What was looked for.
        kind: String,
        /// By what it was called.
        reference: String,
    },
    /// The name is taken.
    #[error("there is a {kind} named “{name}” already")]
    AlreadyExists {
        /// Of what kind.
        kind: String,
        /// The name.
        name: String,
    },
    /// `If-Match` named another revision.
    #[error("it has changed since you read it: you have \"{expected}\", it is \"{found}\"")]
    Stale {
        /// What the asker has.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// Another version was stored between reading and sealing; the asker seals again.
    #[error("another version was stored meanwhile; the newest is {0}")]
    VersionMoved(u64),
    /// It is managed by a document.
    #[error("{}", declaratively(.kind, .name, .configuration.as_deref()))]
    Declarative {
        /// Of what kind.
        kind: String,
        /// The name.
        name: String,
        /// Id and name of the configuration whose document declares it, where one does.
        configuration: Option<Box<(String, String)>>,
    },
    /// Something needs it.
    #[error("{0}")]
    InUse(String),
    /// The store was made with another KEK.
    #[error(
        "the store was made with another LOCKGATE_KEK; start with that one, or with a new one and that one in \
         LOCKGATE_KEK_PREVIOUS (nothing was read or written)"
    )]
    WrongKek,
    /// Something is still under a KEK that the asker has not.
    #[error("{}", needed(.kek, *.secrets))]
    KekNeeded {
        /// The KEK's name.
        kek: String,
        /// How many secrets are under it; 0 where it is the token keys alone.
        secrets: u64,
    },
    /// Secrets that nothing points to any more are still to be removed from a vault's own store that the asker has not.
    #[error(
        "{entries} entries are still to be removed from a vault's own store, {entry} for one: put its adapter into \
         LOCKGATE_VAULT_PREVIOUS, with its settings, until GET /api/vault counts no `leftovers`; the scheduled work (POST \
         /api/tick) removes them (nothing was read or written)"
    )]
    StoreNeeded {
        /// One of them.
        entry: String,
        /// How many there are.
        entries: u64,
    },
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

/// Where a KEK that is needed belongs.
fn needed(kek: &str, secrets: u64) -> String {
    let what = match secrets {
        0 => "what gateway keys are recognised by is".to_owned(),
        1 => "one secret is".to_owned(),
        many => format!("{many} secrets are"),
    };
    if lockgate_vault::Vaults::has_one_key(kek) {
        let adapter = kek.split_once(':').unwrap_or_default().0;
        return format!(
            "{what} still sealed under {kek}: put that key back into the settings of `{adapter}`, and `{adapter}` into \
             LOCKGATE_VAULT_PREVIOUS where it is not in LOCKGATE_VAULT; one key of it can be read at a time, so rewrap \
             (POST /api/vault/rewrap) to `local` or another vault before you change it (nothing was read or written)"
        );
    }
    let setting = match kek.split_once(':') {
        None => "that KEK into LOCKGATE_KEK_PREVIOUS".to_owned(),
        Some((adapter, _)) => {
            format!("`{adapter}` into LOCKGATE_VAULT_PREVIOUS, with its settings")
        }
    };
    format!(
        "{what} still sealed under {kek}: put {setting}, and rewrap (POST /api/vault/rewrap) before you take it away \
         (nothing was read or written)"
    )
}

/// What the error says: that there is a way, and which.
fn declaratively(kind: &str, name: &str, configuration: Option<&(String, String)>) -> String {
    let (id, by, or) = match configuration {
        Some((id, name)) => (id.as_str(), format!(" by the configuration “{name}”"), ""),
        None => (
            "{id}",
            String::new(),
            "; no document declares it, so a PATCH of {\"managed_by\":\"manual\"} alone hands it back to people",
        ),
    };
    format!(
        "the {kind} “{name}” is managed declaratively{by}, so live edits are refused: change the document's draft \
         (PUT /api/configurations/{id}/draft), then apply it (POST /api/configurations/{id}/apply){or}"
    )
}

impl From<lockgate_host::StoreError> for Denial {
    fn from(error: lockgate_host::StoreError) -> Self {
        Self::Store(error.to_string())
    }
}
