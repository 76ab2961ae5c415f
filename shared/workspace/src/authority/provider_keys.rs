//! Provider keys and the versions of their secrets.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Page, Reply, SealedVersion};
use crate::resource::{Health, KeyVersion, ManagedBy, ProviderKey};
use crate::tags::Tags;

use super::admit::{POINTERS, pointer, touch};
use super::cells::{self, Cells, expect_revision, json, not_found, taken, word};
use super::stored::undeclared;
use super::{bridges, vault};

const KIND: &str = "provider key";
const COLUMNS: &str = "id, provider, name, masked, version, base_url, options, is_default, enabled, tags, health, \
                       managed_by, created_at, health_detail, checked_at, rotated_at, last_used_at, revision";
/// Characters of a health detail that are kept.
const MAX_DETAIL: usize = 1_000;

fn read(mut cells: Cells) -> Result<ProviderKey, StoreError> {
    Ok(ProviderKey {
        id: cells.text()?,
        provider: cells.text()?,
        name: cells.text()?,
        masked: cells.text()?,
        version: cells.number()?,
        base_url: cells.optional_text()?,
        options: cells.json()?,
        default: cells.flag()?,
        enabled: cells.flag()?,
        tags: cells.json()?,
        health: cells.word()?,
        managed_by: cells.word()?,
        created_at: cells.time()?,
        health_detail: cells.optional_text()?,
        checked_at: cells.optional_time()?,
        rotated_at: cells.optional_time()?,
        last_used_at: cells.optional_time()?,
        versions: Vec::new(),
        revision: cells.number()?,
    })
}

/// A key by id, by name where only one provider has it, or by `provider/name`.
fn find(tx: &mut dyn Tx, workspace: &str, reference: &str) -> Result<ProviderKey, Denial> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM provider_keys
             WHERE workspace = ?1 AND (id = ?2 OR name = ?2 OR provider || '/' || name = ?2)
             ORDER BY id = ?2 DESC LIMIT 2"
        ),
        &[workspace.into(), reference.into()],
    )?;
    let several = rows.len() > 1;
    let Some(row) = rows.into_iter().next() else {
        return Err(not_found(KIND, reference));
    };
    let key = read(Cells::new(row))?;
    if several && key.id != reference {
        return Err(Denial::InUse(format!(
            "several providers have a key named “{reference}”: write provider/name, or its id"
        )));
    }
    Ok(key)
}

/// A key of one provider, by id or name.
pub(super) fn of_provider(
    tx: &mut dyn Tx,
    workspace: &str,
    provider: &str,
    reference: &str,
) -> Result<ProviderKey, Denial> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM provider_keys
             WHERE workspace = ?1 AND provider = ?2 AND (id = ?3 OR name = ?3) ORDER BY id = ?3 DESC"
        ),
        &[workspace.into(), provider.into(), reference.into()],
    )?;
    match rows.into_iter().next() {
        Some(row) => Ok(read(Cells::new(row))?),
        None => Err(not_found(&format!("{provider} key"), reference)),
    }
}

fn found(tx: &mut dyn Tx, workspace: &str, id: &str) -> Result<Reply, Denial> {
    Ok(Reply::ProviderKey(Box::new(find(tx, workspace, id)?)))
}

fn store_version(
    tx: &mut dyn Tx,
    (workspace, key): (&str, &str),
    now_ms: u64,
    sealed: &SealedVersion,
) -> Result<(), Denial> {
    vault::arrive(tx, workspace, &sealed.entry)?;
    let ciphertext = Some(sealed.ciphertext.as_str()).filter(|text| !text.is_empty());
    tx.query(
        "INSERT INTO provider_key_versions (provider_key, version, entry, wrapped, ciphertext, kek, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            key.into(),
            sealed.version.into(),
            sealed.entry.as_str().into(),
            sealed.wrapped.as_str().into(),
            ciphertext.into(),
            sealed.kek.as_str().into(),
            now_ms.into(),
        ],
    )?;
    Ok(())
}

pub(super) fn create(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    mut key: ProviderKey,
    sealed: Option<SealedVersion>,
) -> Result<Reply, Denial> {
    let others = tx.query(
        "SELECT id FROM provider_keys WHERE workspace = ?1 AND provider = ?2 LIMIT 1",
        &[workspace.into(), key.provider.as_str().into()],
    )?;
    key.default |= others.is_empty();
    if key.default {
        undefault(tx, workspace, &key.provider)?;
    }
    tx.query(
        &format!(
            "INSERT INTO provider_keys (workspace, {COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, NULL, NULL, NULL, NULL, 1)"
        ),
        &[
            workspace.into(),
            key.id.as_str().into(),
            key.provider.as_str().into(),
            key.name.as_str().into(),
            key.masked.as_str().into(),
            key.version.into(),
            key.base_url.clone().into(),
            json(&key.options),
            key.default.into(),
            key.enabled.into(),
            json(&key.tags),
            word(&key.health),
            word(&key.managed_by),
            key.created_at.0.into(),
        ],
    )
    .map_err(|e| taken(e, &format!("{} key", key.provider), &key.name))?;
    if let Some(sealed) = &sealed {
        store_version(tx, (workspace, &key.id), now_ms, sealed)?;
    }
    touch(tx, workspace)?;
    found(tx, workspace, &key.id)
}

pub(super) fn list(tx: &mut dyn Tx, workspace: &str, page: &Page) -> Result<Reply, Denial> {
    let all = cells::page(tx, ("provider_keys", COLUMNS), workspace, page, read)?;
    Ok(Reply::ProviderKeys(all))
}

pub(super) fn get(tx: &mut dyn Tx, workspace: &str, reference: &str) -> Result<Reply, Denial> {
    let mut key = find(tx, workspace, reference)?;
    let rows = tx.query(
        "SELECT version, created_at FROM provider_key_versions WHERE provider_key = ?1 ORDER BY version DESC LIMIT 100",
        &[key.id.as_str().into()],
    )?;
    for row in rows {
        let mut cells = Cells::new(row);
        key.versions.push(KeyVersion {
            version: cells.number()?,
            created_at: cells.time()?,
        });
    }
    Ok(Reply::ProviderKey(Box::new(key)))
}

/// What a `PATCH` changes.
pub(super) struct Patch {
    pub(super) name: Option<String>,
    pub(super) tags: Option<Tags>,
    pub(super) default: Option<bool>,
    pub(super) enabled: Option<bool>,
    pub(super) managed_by: Option<ManagedBy>,
}

impl Patch {
    /// Whether it does nothing but make people the managers.
    fn hands_back(&self) -> bool {
        let Self {
            name: None,
            tags: None,
            default: None,
            enabled: None,
            managed_by: Some(ManagedBy::Manual),
        } = self
        else {
            return false;
        };
        true
    }
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    patch: Patch,
) -> Result<Reply, Denial> {
    let key = editable(tx, workspace, reference, expect, patch.hands_back())?;
    let name = patch.name.unwrap_or_else(|| key.name.clone());
    if patch.default == Some(true) {
        undefault(tx, workspace, &key.provider)?;
    }
    tx.query(
        "UPDATE provider_keys SET name = ?2, tags = ?3, is_default = ?4, enabled = ?5, managed_by = ?6,
         revision = revision + 1 WHERE id = ?1",
        &[
            key.id.as_str().into(),
            name.as_str().into(),
            json(&patch.tags.unwrap_or(key.tags)),
            patch.default.unwrap_or(key.default).into(),
            patch.enabled.unwrap_or(key.enabled).into(),
            word(&patch.managed_by.unwrap_or(key.managed_by)),
        ],
    )
    .map_err(|e| taken(e, &format!("{} key", key.provider), &name))?;
    touch(tx, workspace)?;
    found(tx, workspace, &key.id)
}

pub(super) fn rotate(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    id: &str,
    expect: Option<u64>,
    sealed: &SealedVersion,
) -> Result<Reply, Denial> {
    let key = find(tx, workspace, id)?;
    expect_revision(expect, key.revision)?;
    if sealed.version != key.version + 1 {
        return Err(Denial::VersionMoved(key.version));
    }
    store_version(tx, (workspace, &key.id), now_ms, sealed)?;
    tx.query(
        "UPDATE provider_keys SET version = ?2, masked = ?3, rotated_at = ?4, health = 'unknown', health_detail = NULL,
         checked_at = NULL, revision = revision + 1 WHERE id = ?1",
        &[
            key.id.as_str().into(),
            sealed.version.into(),
            sealed.masked.as_str().into(),
            now_ms.into(),
        ],
    )?;
    touch(tx, workspace)?;
    found(tx, workspace, &key.id)
}

pub(super) fn delete(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let key = editable(tx, workspace, reference, expect, false)?;
    let rows = tx.query(
        "DELETE FROM provider_key_versions WHERE provider_key = ?1 RETURNING entry",
        &[key.id.as_str().into()],
    )?;
    let entries = left(tx, now_ms, workspace, rows)?;
    bridges::drop_all(tx, &key.id)?;
    tx.query(
        "DELETE FROM provider_keys WHERE id = ?1",
        &[key.id.as_str().into()],
    )?;
    touch(tx, workspace)?;
    Ok(Reply::Entries(entries))
}

/// Notes what was learnt of the secret in force. The revision stays: nobody's edit is made stale by a label.
pub(super) fn mark(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    id: &str,
    version: u64,
    (health, detail): (Health, &str),
) -> Result<Reply, Denial> {
    let key = find(tx, workspace, id)?;
    if key.version != version {
        return Ok(Reply::ProviderKey(Box::new(key)));
    }
    let detail: String = detail.chars().take(MAX_DETAIL).collect();
    tx.query(
        "UPDATE provider_keys SET health = ?2, health_detail = ?3, checked_at = ?4 WHERE id = ?1",
        &[
            key.id.as_str().into(),
            word(&health),
            detail.into(),
            now_ms.into(),
        ],
    )?;
    if key.health != health {
        touch(tx, workspace)?;
    }
    found(tx, workspace, &key.id)
}

/// Where the sealed secret of a key is.
pub(super) fn point(tx: &mut dyn Tx, workspace: &str, reference: &str) -> Result<Reply, Denial> {
    let key = find(tx, workspace, reference)?;
    let rows = tx.query(
        &format!("{POINTERS} WHERE k.workspace = ?1 AND k.id = ?2"),
        &[workspace.into(), key.id.as_str().into()],
    )?;
    match rows.into_iter().next() {
        Some(row) => Ok(Reply::KeyPointer(Box::new(pointer(Cells::new(row))?))),
        None => Err(not_found(KIND, reference)),
    }
}

/// Forgets the secrets of versions that are no longer in force; their numbers and times stay.
pub(super) fn sweep(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    id: &str,
) -> Result<Reply, Denial> {
    let key = find(tx, workspace, id)?;
    let old = [key.id.as_str().into(), key.version.into()];
    let rows = tx.query(
        "SELECT entry FROM provider_key_versions WHERE provider_key = ?1 AND version < ?2 AND entry IS NOT NULL",
        &old,
    )?;
    tx.query(
        "UPDATE provider_key_versions SET entry = NULL, wrapped = NULL, ciphertext = NULL
         WHERE provider_key = ?1 AND version < ?2",
        &old,
    )?;
    tx.query(
        "DELETE FROM bridges WHERE provider_key = ?1 AND version < ?2",
        &old,
    )?;
    Ok(Reply::Entries(left(tx, now_ms, workspace, rows)?))
}

/// Forgets the secrets of old versions whose rotation was long ago: those that [`sweep`] never came to.
pub(super) fn sweep_old(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    rotated_before: u64,
    most: u32,
) -> Result<u64, Denial> {
    let rows = tx.query(
        "SELECT DISTINCT k.id FROM provider_keys k
         JOIN provider_key_versions v ON v.provider_key = k.id AND v.version < k.version
         WHERE k.workspace = ?1 AND k.rotated_at < ?2 AND v.entry IS NOT NULL LIMIT ?3",
        &[
            workspace.into(),
            rotated_before.into(),
            u64::from(most).into(),
        ],
    )?;
    let swept = rows.len() as u64;
    for id in entries(rows)? {
        sweep(tx, now_ms, workspace, &id)?;
    }
    Ok(swept)
}

pub(super) fn sealed_copy(
    tx: &mut dyn Tx,
    workspace: &str,
    id: &str,
    version: u64,
) -> Result<Reply, Denial> {
    let rows = tx.query(
        "SELECT v.ciphertext FROM provider_keys k
         JOIN provider_key_versions v ON v.provider_key = k.id AND v.version = k.version
         WHERE k.workspace = ?1 AND k.id = ?2 AND k.version = ?3",
        &[workspace.into(), id.into(), version.into()],
    )?;
    match rows.into_iter().next() {
        // A copy that is gone is answered as an empty one, which does not open.
        Some(row) => Ok(Reply::Ciphertext(
            Cells::new(row).optional_text()?.unwrap_or_default(),
        )),
        None => Err(not_found(KIND, id)),
    }
}

fn undefault(tx: &mut dyn Tx, workspace: &str, provider: &str) -> Result<(), StoreError> {
    tx.query(
        "UPDATE provider_keys SET is_default = 0, revision = revision + 1
         WHERE workspace = ?1 AND provider = ?2 AND is_default = 1",
        &[workspace.into(), provider.into()],
    )
    .map(|_| ())
}

/// A key that a live edit may change, in the revision that the asker has seen.
fn editable(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    hands_back: bool,
) -> Result<ProviderKey, Denial> {
    let key = find(tx, workspace, reference)?;
    if key.managed_by == ManagedBy::Declarative {
        undeclared(tx, workspace, (KIND, &key.id, &key.name), hands_back)?;
    }
    expect_revision(expect, key.revision)?;
    Ok(key)
}

/// The entries of these rows, remembered until they are removed.
pub(super) fn left(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    rows: Vec<lockgate_host::Row>,
) -> Result<Vec<String>, StoreError> {
    let entries = entries(rows)?;
    for entry in &entries {
        vault::leave(tx, now_ms, workspace, entry)?;
    }
    Ok(entries)
}

/// The texts in the first column.
pub(super) fn entries(rows: Vec<lockgate_host::Row>) -> Result<Vec<String>, StoreError> {
    let mut entries = Vec::new();
    for row in rows {
        entries.extend(Cells::new(row).optional_text()?);
    }
    Ok(entries)
}
