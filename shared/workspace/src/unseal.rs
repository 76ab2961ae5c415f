//! A provider key's secret out of the vault: the sealed entry from KV, or the authority's copy of it (FEATURES G1, G2).

use data_encoding::BASE64;
use lockgate_host::{Host, Secret};
use lockgate_vault::{Binding, OpenError};
use thiserror::Error;

use crate::question::{DataQuestion, Denial, Reply};
use crate::snapshot::{KeyPointer, SealedPointer};
use crate::{AskError, Settings, ask};

/// Why a secret does not come out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnsealError {
    /// Another version is in force, or the key is gone: the pointer is to be asked for again.
    #[error("the key was rotated or removed meanwhile")]
    Moved,
    /// The authority could not be asked for its copy.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Neither KV's entry nor the authority's copy opens.
    #[error("The sealed secret of {provider} key `{name}` does not open: {error}.")]
    Closed {
        /// The provider's slug.
        provider: String,
        /// The key's name.
        name: String,
        /// Why.
        error: OpenError,
    },
}

/// Unseals the secret of `key`, a key of `workspace` (its id); `pointer` is what [`KeyPointer::sealed`] holds.
///
/// # Errors
/// [`UnsealError`].
pub async fn unseal<H: Host>(
    host: &H,
    settings: &Settings,
    workspace: &str,
    key: &KeyPointer,
    pointer: &SealedPointer,
) -> Result<Secret, UnsealError> {
    let binding = Binding {
        workspace,
        provider: &key.provider,
        key_id: &key.id,
        version: pointer.version,
    };
    let wrapped = BASE64
        .decode(pointer.wrapped.as_bytes())
        .unwrap_or_default();
    let open =
        |ciphertext: &[u8]| lockgate_vault::open(&settings.kek, &binding, &wrapped, ciphertext);
    // A KV that is slow to show the entry, has lost it or holds something else is no reason to fail: the authority has a copy.
    if let Ok(Some(ciphertext)) = host.kv_get(&pointer.entry).await
        && let Ok(secret) = open(&ciphertext)
    {
        return Ok(secret);
    }
    let question = DataQuestion::SealedCopy {
        provider_key: key.id.clone(),
        version: pointer.version,
    };
    let copy = match ask(host, settings, workspace, question).await {
        Ok(answered) => answered.reply,
        Err(AskError::Denied(Denial::NotFound { .. })) => return Err(UnsealError::Moved),
        Err(error) => return Err(error.into()),
    };
    let Reply::Ciphertext(copy) = copy else {
        return Err(AskError::Mismatch.into());
    };
    let copy = BASE64.decode(copy.as_bytes()).unwrap_or_default();
    open(&copy).map_err(|error| UnsealError::Closed {
        provider: key.provider.clone(),
        name: key.name.clone(),
        error,
    })
}
