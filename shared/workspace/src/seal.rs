//! Sealing a provider key's secret where new ones go, moving it under another KEK, and removing what nothing points to any
//! more (FEATURES G1, G4). Whatever comes between two steps, each secret still opens: what there was stays until a
//! transaction has put the new in its place, and what is written elsewhere is remembered before it is written.

use data_encoding::BASE64;
use lockgate_host::{Host, Secret};
use lockgate_vault::{Binding, Place, Stored, VaultError, Vaults};
use thiserror::Error;

use crate::question::{Question, Reply, Rewrapped, SealedAt, SealedRow, SealedVersion};
use crate::{AskError, Settings, ask, ask_as, new_id};

/// Why a secret was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealFailure {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The authority.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Seals a secret and stores its entry; the authority's row comes after.
///
/// # Errors
/// [`SealFailure`]; nothing points to anything then.
pub async fn seal<H: Host>(
    host: &H,
    settings: &Settings,
    binding: &Binding<'_>,
    secret: &Secret,
) -> Result<SealedVersion, SealFailure> {
    let unique = intended(host, settings, binding, None).await?;
    let vaults = &settings.vaults;
    let stored = vaults.seal(host, binding, secret, &unique).await?;
    let at = put(host, &stored).await;
    Ok(SealedVersion {
        version: binding.version,
        entry: at.entry,
        wrapped: at.wrapped,
        ciphertext: copy(&stored).unwrap_or_default(),
        kek: at.kek,
        masked: lockgate_vault::mask(secret),
    })
}

/// A name for a new entry, which the authority remembers until something points to it. `from` is the KEK that the secret is
/// under already.
async fn intended<H: Host>(
    host: &H,
    settings: &Settings,
    binding: &Binding<'_>,
    from: Option<&str>,
) -> Result<String, AskError> {
    let unique = new_id(host, "e");
    if let Some(entry) = settings.vaults.new_entry(binding, from, &unique) {
        let question = Question::RememberEntries(vec![entry]);
        ask(host, settings, binding.workspace, question).await?;
    }
    Ok(unique)
}

/// Writes the entry of a sealed secret to the KV binding, if it is new.
async fn put<H: Host>(host: &H, stored: &Stored) -> SealedAt {
    if let Some(ciphertext) = &stored.ciphertext {
        // The authority keeps a copy, so a KV that fails here costs a hop later, not the key.
        let _ = host.kv_put(&stored.entry, ciphertext).await;
    }
    SealedAt {
        kek: stored.kek.clone(),
        entry: stored.entry.clone(),
        wrapped: BASE64.encode(&stored.wrapped),
    }
}

fn copy(stored: &Stored) -> Option<String> {
    let ciphertext = stored.ciphertext.as_ref();
    ciphertext.map(|ciphertext| BASE64.encode(ciphertext))
}

/// What one batch of a rewrap did.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many secrets are under the KEK in force now that were not.
    pub rewrapped: u64,
    /// Those that could not be moved, and why.
    pub failed: Vec<(SealedRow, SealFailure)>,
    /// How many were looked at.
    pub looked_at: usize,
    /// The last provider key that was done with, where there may be more after it.
    pub last: Option<String>,
    /// Whether it ended early because the vault does not answer.
    pub stopped: bool,
}

/// Seals secrets of a workspace that are under another KEK than `current` under that one, at most `limit` of them. It may be
/// stopped anywhere and called again.
///
/// # Errors
/// [`AskError`] where the authority cannot be asked; what one secret comes to is in [`Batch::failed`].
pub async fn rewrap<H: Host>(
    host: &H,
    settings: &Settings,
    (workspace, actor): (&str, &str),
    current: &str,
    after: Option<String>,
    limit: u32,
) -> Result<Batch, AskError> {
    let after_first = after.clone();
    let question = Question::ListSealed {
        not_under: current.to_owned(),
        after,
        limit,
    };
    let Reply::Sealed(rows) = ask(host, settings, workspace, question).await?.reply else {
        return Err(AskError::Mismatch);
    };
    let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let mut batch = Batch {
        looked_at: rows.len(),
        last: rows
            .last()
            .filter(|_| full)
            .map(|row| row.provider_key.clone()),
        ..Batch::default()
    };
    let mut moved = Vec::new();
    let mut before = after_first;
    for row in rows {
        let id = row.provider_key.clone();
        match moved_row(host, settings, workspace, &row).await {
            // It was there already: whoever said which KEK is in force knew of an older one.
            Ok(Rewrapped { from, to, .. }) if from.kek == to.kek && from.entry == to.entry => {}
            Ok(rewrapped) => moved.push(rewrapped),
            Err(failure) => {
                let dead = matches!(&failure, SealFailure::Vault(VaultError::Unavailable { .. }));
                batch.failed.push((row, failure));
                // The next would fare no better.
                if dead {
                    batch.stopped = true;
                    batch.last = before;
                    break;
                }
            }
        }
        before = Some(id);
    }
    if moved.is_empty() {
        return Ok(batch);
    }
    let question = Question::Rewrap(moved);
    match ask_as(host, settings, workspace, actor, question)
        .await?
        .reply
    {
        Reply::Rewrapped(count, entries) => {
            batch.rewrapped = count;
            forget(host, settings, workspace, entries).await;
            Ok(batch)
        }
        _ => Err(AskError::Mismatch),
    }
}

async fn moved_row<H: Host>(
    host: &H,
    settings: &Settings,
    workspace: &str,
    row: &SealedRow,
) -> Result<Rewrapped, SealFailure> {
    let binding = Binding {
        workspace,
        provider: &row.provider,
        key_id: &row.provider_key,
        version: row.version,
    };
    let decoded = |text: &str| BASE64.decode(text.as_bytes()).unwrap_or_default();
    let (wrapped, ciphertext) = (decoded(&row.at.wrapped), decoded(&row.ciphertext));
    let place = Place {
        kek: &row.at.kek,
        entry: &row.at.entry,
        wrapped: &wrapped,
    };
    let unique = intended(host, settings, &binding, Some(place.kek)).await?;
    let vaults = &settings.vaults;
    let mut outcome = vaults
        .rewrap(host, &binding, place, &ciphertext, &unique)
        .await;
    // The KV binding may have what the copy is no longer.
    if let Err(VaultError::Open(_)) = outcome
        && !Vaults::is_in_store(place.entry)
        && let Ok(Some(entry)) = host.kv_get(place.entry).await
        && *entry != *ciphertext
    {
        outcome = vaults.rewrap(host, &binding, place, &entry, &unique).await;
    }
    let stored = outcome?;
    Ok(Rewrapped {
        provider_key: row.provider_key.clone(),
        version: row.version,
        from: row.at.clone(),
        to: put(host, &stored).await,
        ciphertext: copy(&stored),
    })
}

/// Removes entries that nothing points to, in the KV binding or in a vault's own store, and has the authority forget those
/// that are gone. Those that could not be removed are returned; the scheduled work tries it again.
pub async fn forget<H: Host>(
    host: &H,
    settings: &Settings,
    workspace: &str,
    entries: Vec<String>,
) -> Vec<String> {
    let (mut gone, mut left) = (Vec::new(), Vec::new());
    for entry in entries {
        let removed = if Vaults::is_in_store(&entry) {
            settings.vaults.forget(host, &entry).await.is_ok()
        } else {
            host.kv_delete(&entry).await.is_ok()
        };
        if removed {
            gone.push(entry);
        } else {
            left.push(entry);
        }
    }
    if !gone.is_empty() {
        // They are looked for once more, and not found.
        let _ = ask(host, settings, workspace, Question::Forgotten(gone)).await;
    }
    left
}
