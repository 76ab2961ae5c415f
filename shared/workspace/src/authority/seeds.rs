//! Seeded entries: providers that a new workspace shows as waiting for a key (FEATURES B5). A deleted one leaves its
//! row behind with the time it was deleted, so nothing brings it back.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Reply};

use super::admit::touch;
use super::cells::{Cells, not_found};

/// Slugs of the providers that every workspace is seeded with.
const SEEDED: [&str; 3] = ["anthropic", "google", "openai"];

/// Seeds a workspace. What it has or had is left alone.
pub(super) fn plant(tx: &mut dyn Tx, now_ms: u64, workspace: &str) -> Result<(), StoreError> {
    let mut planted = false;
    for provider in SEEDED {
        let rows = tx.query(
            "INSERT INTO seeds (workspace, provider, created_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (workspace, provider) DO NOTHING RETURNING provider",
            &[workspace.into(), provider.into(), now_ms.into()],
        )?;
        planted |= !rows.is_empty();
    }
    if planted {
        touch(tx, workspace)?;
    }
    Ok(())
}

/// The providers with an entry that was not deleted.
pub(super) fn standing(tx: &mut dyn Tx, workspace: &str) -> Result<Vec<String>, StoreError> {
    let rows = tx.query(
        "SELECT provider FROM seeds WHERE workspace = ?1 AND deleted_at IS NULL ORDER BY provider",
        &[workspace.into()],
    )?;
    rows.into_iter().map(|row| Cells::new(row).text()).collect()
}

/// Deletes an entry for good. Deleting it twice keeps the first time.
pub(super) fn delete(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    provider: &str,
) -> Result<Reply, Denial> {
    let rows = tx.query(
        "UPDATE seeds SET deleted_at = COALESCE(deleted_at, ?3) WHERE workspace = ?1 AND provider = ?2
         RETURNING provider",
        &[workspace.into(), provider.into(), now_ms.into()],
    )?;
    if rows.is_empty() {
        return Err(not_found("seeded entry", provider));
    }
    touch(tx, workspace)?;
    Ok(Reply::Done)
}
