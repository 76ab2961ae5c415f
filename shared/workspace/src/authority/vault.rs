//! What is sealed under which KEK, what is to be moved, and what is left over.

use std::collections::BTreeMap;

use lockgate_host::{StoreError, Tx};
use lockgate_vault::Vaults;
use serde_json::json;

use crate::DEFAULT_WORKSPACE;
use crate::question::{
    Denial, Keyring, Reply, Rewrapped, SealedAt, SealedCounts, SealedRow, StoredTokenKeys,
};
use crate::resource::Timestamp;

use super::admit::touch;
use super::cells::Cells;
use super::{Context, audit, bridges};

/// Secrets that are not under any of these KEKs, versions that are no longer in force included: the name of one of their
/// KEKs, and how many there are.
pub(super) fn beyond(tx: &mut dyn Tx, keys: &Keyring) -> Result<Option<(String, u64)>, StoreError> {
    let rows = tx.query(
        "SELECT kek, COUNT(*) FROM provider_key_versions WHERE entry IS NOT NULL GROUP BY kek ORDER BY kek",
        &[],
    )?;
    for row in rows {
        let mut cells = Cells::new(row);
        let (kek, count) = (cells.text()?, cells.number()?);
        if !keys.opens(&kek) {
            return Ok(Some((kek, count)));
        }
    }
    Ok(None)
}

/// Secrets that are left over in a vault's own store which none of these is, so that nobody could remove them from there: the
/// first such entry, and how many there are.
pub(super) fn left_beyond(
    tx: &mut dyn Tx,
    keys: &Keyring,
) -> Result<Option<(String, u64)>, StoreError> {
    let rows = tx.query("SELECT DISTINCT entry FROM leftovers ORDER BY entry", &[])?;
    let mut left = super::provider_keys::entries(rows)?;
    left.retain(|entry| Vaults::is_in_store(entry) && !keys.opens(entry));
    let count = left.len() as u64;
    Ok(left.into_iter().next().map(|entry| (entry, count)))
}

/// The local KEK that seals the token keys, and what it sealed.
pub(super) fn sealed_token_keys(tx: &mut dyn Tx) -> Result<Option<(String, String)>, StoreError> {
    let rows = tx.query("SELECT kek, sealed FROM token_keys", &[])?;
    let row = rows.into_iter().next();
    row.map(|row| {
        let mut cells = Cells::new(row);
        Ok((cells.text()?, cells.text()?))
    })
    .transpose()
}

pub(super) fn token_keys(tx: &mut dyn Tx, origin: &str) -> Result<Reply, Denial> {
    Ok(Reply::TokenKeys(StoredTokenKeys {
        origin: origin.to_owned(),
        sealed: sealed_token_keys(tx)?,
    }))
}

pub(super) fn put_token_keys(
    tx: &mut dyn Tx,
    from: Option<&str>,
    (kek, sealed): (&str, &str),
) -> Result<Reply, Denial> {
    let stored = sealed_token_keys(tx)?;
    if stored.as_ref().map(|(kek, _)| kek.as_str()) == from {
        tx.query("DELETE FROM token_keys", &[])?;
        tx.query(
            "INSERT INTO token_keys (kek, sealed) VALUES (?1, ?2)",
            &[kek.into(), sealed.into()],
        )?;
    }
    Ok(Reply::Done)
}

/// What is under each KEK, as [`beyond`] sees it: a version that was replaced counts until its secret is forgotten.
pub(super) fn count(tx: &mut dyn Tx, workspace: &str) -> Result<Reply, Denial> {
    let rows = tx.query(
        "SELECT v.kek, COUNT(*) FROM provider_keys k JOIN provider_key_versions v ON v.provider_key = k.id
         WHERE k.workspace = ?1 AND v.entry IS NOT NULL GROUP BY v.kek ORDER BY v.kek",
        &[workspace.into()],
    )?;
    let counted = |row| {
        let mut cells = Cells::new(row);
        Ok((cells.text()?, cells.number()?))
    };
    let secrets: Result<Vec<(String, u64)>, StoreError> = rows.into_iter().map(counted).collect();
    let leftovers = left(tx, workspace)?.len();
    Ok(Reply::SealedCounts(SealedCounts {
        secrets: secrets?,
        leftovers: leftovers as u64,
    }))
}

pub(super) fn list(
    tx: &mut dyn Tx,
    workspace: &str,
    not_under: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Reply, Denial> {
    let rows = tx.query(
        "SELECT k.id, k.name, k.provider, v.version, v.kek, v.entry, v.wrapped, v.ciphertext
         FROM provider_keys k
         JOIN provider_key_versions v ON v.provider_key = k.id AND v.version = k.version
         WHERE k.workspace = ?1 AND v.entry IS NOT NULL AND v.kek <> ?2 AND k.id > ?3 ORDER BY k.id LIMIT ?4",
        &[
            workspace.into(),
            not_under.into(),
            after.unwrap_or_default().into(),
            u64::from(limit).into(),
        ],
    )?;
    let sealed = |row| {
        let mut cells = Cells::new(row);
        Ok(SealedRow {
            provider_key: cells.text()?,
            name: cells.text()?,
            provider: cells.text()?,
            version: cells.number()?,
            at: SealedAt {
                kek: cells.text()?,
                entry: cells.text()?,
                wrapped: cells.text()?,
            },
            ciphertext: cells.optional_text()?.unwrap_or_default(),
        })
    };
    let sealed: Result<_, StoreError> = rows.into_iter().map(sealed).collect();
    Ok(Reply::Sealed(sealed?))
}

/// Puts secrets under another KEK where they are what they were when it was done; those that were rotated or removed
/// meanwhile stay as they are.
pub(super) fn rewrap(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    rewrapped: &[Rewrapped],
) -> Result<Reply, Denial> {
    let Context {
        now_ms, workspace, ..
    } = *context;
    let mut moved = 0;
    let mut told = BTreeMap::new();
    let mut left = Vec::new();
    for row in rewrapped {
        let Rewrapped { from, to, .. } = row;
        let there = tx.query(
            "SELECT 1 FROM provider_keys k
             JOIN provider_key_versions v ON v.provider_key = k.id AND v.version = k.version
             WHERE k.workspace = ?1 AND k.id = ?2 AND v.version = ?3 AND v.kek = ?4 AND v.entry = ?5 AND v.wrapped = ?6",
            &[
                workspace.into(),
                row.provider_key.as_str().into(),
                row.version.into(),
                from.kek.as_str().into(),
                from.entry.as_str().into(),
                from.wrapped.as_str().into(),
            ],
        )?;
        let replaced = from.entry != to.entry;
        if there.is_empty() {
            // An entry of a vault's own store is remembered already. Where it is the one in force, the asker is told a
            // second time what was done.
            if replaced && !in_force(tx, &to.entry)? {
                leave(tx, now_ms, workspace, &to.entry)?;
                left.push(to.entry.clone());
            }
            continue;
        }
        if replaced {
            arrive(tx, workspace, &to.entry)?;
            leave(tx, now_ms, workspace, &from.entry)?;
            left.push(from.entry.clone());
        }
        let ciphertext = if replaced { "ciphertext = ?6, " } else { "" };
        let mut values = vec![
            row.provider_key.as_str().into(),
            row.version.into(),
            to.kek.as_str().into(),
            to.entry.as_str().into(),
            to.wrapped.as_str().into(),
        ];
        if replaced {
            values.push(row.ciphertext.clone().into());
        }
        tx.query(
            &format!(
                "UPDATE provider_key_versions SET {ciphertext}kek = ?3, entry = ?4, wrapped = ?5
                 WHERE provider_key = ?1 AND version = ?2"
            ),
            &values,
        )?;
        bridges::drop_all(tx, &row.provider_key)?;
        moved += 1;
        *told.entry((&from.kek, &to.kek)).or_insert(0_u64) += 1;
    }
    if moved > 0 {
        touch(tx, workspace)?;
    }
    for ((from, to), secrets) in told {
        let detail = json!({"from": from, "to": to, "secrets": secrets});
        audit::record(tx, context, "vault.rewrap", "vault", &detail)?;
    }
    Ok(Reply::Rewrapped(moved, left))
}

/// Whether a secret is in this entry.
fn in_force(tx: &mut dyn Tx, entry: &str) -> Result<bool, StoreError> {
    let rows = tx.query(
        "SELECT 1 FROM provider_key_versions WHERE entry = ?1 LIMIT 1",
        &[entry.into()],
    )?;
    Ok(!rows.is_empty())
}

/// Remembers an entry that is to be removed, or that is about to be written in a vault's own store.
pub(super) fn leave(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    entry: &str,
) -> Result<(), StoreError> {
    tx.query(
        "INSERT INTO leftovers (workspace, entry, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        &[workspace.into(), entry.into(), now_ms.into()],
    )
    .map(|_| ())
}

/// A secret in force is to point to this entry. One in a vault's own store has to be remembered still: what is not, or is
/// claimed, has been taken for a leftover and removed, or is about to be.
pub(super) fn arrive(tx: &mut dyn Tx, workspace: &str, entry: &str) -> Result<(), Denial> {
    let rows = tx.query(
        "DELETE FROM leftovers WHERE workspace = ?1 AND entry = ?2 AND since > 0 RETURNING entry",
        &[workspace.into(), entry.into()],
    )?;
    if rows.is_empty() && Vaults::is_in_store(entry) {
        return Err(Denial::InUse(
            "sealing the secret took so long that it was given up; do it again".into(),
        ));
    }
    Ok(())
}

/// Whose leftovers somebody who asks for `?1` gets: the workspace's own; for the default workspace also those of workspaces
/// that were removed, which nobody else asks for.
fn concerned() -> String {
    format!(
        "(workspace = ?1 OR (?1 = '{DEFAULT_WORKSPACE}'
         AND NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.id = leftovers.workspace)))"
    )
}

/// All that is left over.
pub(super) fn left(tx: &mut dyn Tx, workspace: &str) -> Result<Vec<String>, StoreError> {
    let all = format!(
        "SELECT DISTINCT entry FROM leftovers WHERE {} ORDER BY entry",
        concerned()
    );
    super::provider_keys::entries(tx.query(&all, &[workspace.into()])?)
}

/// Claims what is left over, for somebody who removes it: nothing can be made to point to it any more. In `since` a claimed one
/// has the time of the claim, negative. One that was not removed after all is claimed again, after those that wait longer.
pub(super) fn claim(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    before: Timestamp,
    limit: u32,
) -> Result<Reply, Denial> {
    // Somebody who was told late to remember it: it is in use.
    tx.query(
        "DELETE FROM leftovers
         WHERE workspace = ?1 AND entry IN (SELECT entry FROM provider_key_versions WHERE entry IS NOT NULL)",
        &[workspace.into()],
    )?;
    let rows = tx.query(
        &format!(
            "SELECT entry FROM leftovers WHERE {} AND ABS(since) < ?2
             GROUP BY entry ORDER BY MIN(ABS(since)), entry LIMIT ?3",
            concerned()
        ),
        &[workspace.into(), before.0.into(), u64::from(limit).into()],
    )?;
    let entries = super::provider_keys::entries(rows)?;
    let claim = format!(
        "UPDATE leftovers SET since = -?3 WHERE {} AND entry = ?2",
        concerned()
    );
    for entry in &entries {
        tx.query(
            &claim,
            &[workspace.into(), entry.as_str().into(), now_ms.into()],
        )?;
    }
    Ok(Reply::Entries(entries))
}

pub(super) fn forgotten(
    tx: &mut dyn Tx,
    workspace: &str,
    entries: &[String],
) -> Result<Reply, Denial> {
    let forget = format!("DELETE FROM leftovers WHERE {} AND entry = ?2", concerned());
    for entry in entries {
        tx.query(&forget, &[workspace.into(), entry.as_str().into()])?;
    }
    Ok(Reply::Done)
}
