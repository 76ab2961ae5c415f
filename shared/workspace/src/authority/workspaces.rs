//! Workspaces: the registry's list, and each workspace's own row.

use lockgate_host::{StoreError, Tx};

use crate::question::{Change, Denial, Page, Reply};
use crate::resource::{Access, Workspace};

use super::cells::{Cells, expect_revision, not_found, taken, word};
use super::{provider_keys, seeds, vault};

const KIND: &str = "workspace";
const COLUMNS: &str = "id, name, plan, access, default_configuration, created_at, revision";

fn read(mut cells: Cells) -> Result<Workspace, StoreError> {
    Ok(Workspace {
        id: cells.text()?,
        name: cells.text()?,
        plan: cells.text()?,
        access: cells.word()?,
        default_configuration: cells.optional_text()?,
        created_at: cells.time()?,
        revision: cells.number()?,
    })
}

fn find(tx: &mut dyn Tx, reference: &str) -> Result<Workspace, Denial> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM workspaces WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC"
        ),
        &[reference.into()],
    )?;
    match rows.into_iter().next() {
        Some(row) => Ok(read(Cells::new(row))?),
        None => Err(Denial::NotFound {
            kind: KIND.into(),
            reference: reference.chars().take(200).collect(),
        }),
    }
}

fn insert(tx: &mut dyn Tx, workspace: &Workspace, conflict: &str) -> Result<(), StoreError> {
    tx.query(
        &format!(
            "INSERT INTO workspaces ({COLUMNS}, snapshot_version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1) {conflict}"
        ),
        &[
            workspace.id.as_str().into(),
            workspace.name.as_str().into(),
            workspace.plan.as_str().into(),
            word(&workspace.access),
            workspace.default_configuration.clone().into(),
            workspace.created_at.0.into(),
            workspace.revision.into(),
        ],
    )
    .map(|_| ())
}

pub(super) fn create(tx: &mut dyn Tx, workspace: &Workspace) -> Result<Reply, Denial> {
    insert(tx, workspace, "").map_err(|e| taken(e, KIND, &workspace.name))?;
    Ok(Reply::Workspace(find(tx, &workspace.id)?))
}

pub(super) fn list(tx: &mut dyn Tx, page: &Page) -> Result<Reply, Denial> {
    let (at, id) = page.after.clone().unwrap_or_default();
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM workspaces WHERE created_at > ?1 OR (created_at = ?1 AND id > ?2)
             ORDER BY created_at, id LIMIT ?3"
        ),
        &[at.into(), id.into(), u64::from(page.limit).into()],
    )?;
    let all: Result<_, _> = rows.into_iter().map(|row| read(Cells::new(row))).collect();
    Ok(Reply::Workspaces(all?))
}

pub(super) fn get(tx: &mut dyn Tx, reference: &str) -> Result<Reply, Denial> {
    Ok(Reply::Workspace(find(tx, reference)?))
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    reference: &str,
    expect: Option<u64>,
    name: Option<String>,
    access: Option<Access>,
    default_configuration: Change<String>,
) -> Result<Reply, Denial> {
    let workspace = find(tx, reference)?;
    expect_revision(expect, workspace.revision)?;
    let name = name.unwrap_or_else(|| workspace.name.clone());
    tx.query(
        "UPDATE workspaces SET name = ?2, access = ?3, default_configuration = ?4, revision = revision + 1,
         snapshot_version = snapshot_version + 1 WHERE id = ?1",
        &[
            workspace.id.as_str().into(),
            name.as_str().into(),
            word(&access.unwrap_or(workspace.access)),
            default_configuration.of(workspace.default_configuration).into(),
        ],
    )
    .map_err(|e| taken(e, KIND, &name))?;
    Ok(Reply::Workspace(find(tx, &workspace.id)?))
}

pub(super) fn delete(tx: &mut dyn Tx, id: &str, expect: Option<u64>) -> Result<Reply, Denial> {
    let workspace = find(tx, id)?;
    expect_revision(expect, workspace.revision)?;
    tx.query("DELETE FROM workspaces WHERE id = ?1", &[id.into()])?;
    Ok(Reply::Done)
}

/// Where the registry is another database, the workspace's own authority learns its row from here. Where it is the
/// same database, the row is there already and nothing changes. Nor does it where a later change has come before an
/// earlier one: the registry has counted them.
pub(super) fn sync(tx: &mut dyn Tx, now_ms: u64, workspace: &Workspace) -> Result<Reply, Denial> {
    insert(
        tx,
        workspace,
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, access = excluded.access, plan = excluded.plan,
         default_configuration = excluded.default_configuration, revision = excluded.revision,
         snapshot_version = workspaces.snapshot_version + 1
         WHERE workspaces.revision < excluded.revision",
    )?;
    seeds::plant(tx, now_ms, &workspace.id)?;
    Ok(Reply::Workspace(workspace.clone()))
}

/// Removes everything that a workspace owns; keys stop working with the commit. Entries are remembered until they are removed.
pub(super) fn clear(tx: &mut dyn Tx, now_ms: u64, workspace: &str) -> Result<Reply, Denial> {
    if [crate::DEFAULT_WORKSPACE, crate::PLATFORM_WORKSPACE].contains(&workspace) {
        return Err(not_found(KIND, workspace));
    }
    let of = [workspace.into()];
    let rows = tx.query(
        "DELETE FROM provider_key_versions
         WHERE provider_key IN (SELECT id FROM provider_keys WHERE workspace = ?1) RETURNING entry",
        &of,
    )?;
    provider_keys::left(tx, now_ms, workspace, rows)?;
    let entries = vault::left(tx, workspace)?;
    tx.query(
        "DELETE FROM bridges WHERE provider_key IN (SELECT id FROM provider_keys WHERE workspace = ?1)",
        &of,
    )?;
    tx.query(
        "DELETE FROM configuration_versions
         WHERE configuration IN (SELECT id FROM configurations WHERE workspace = ?1)",
        &of,
    )?;
    for table in [
        "admin_tokens",
        "audit",
        "audit_heads",
        "configurations",
        "roles",
        "seeds",
        "provider_keys",
        "gateway_keys",
        "agents",
        "gateways",
        "requests",
        "ledgers",
        "splits",
        "prices",
        "wallets",
        "reservations",
        "wallet_ledger",
        "usage",
    ] {
        tx.query(&format!("DELETE FROM {table} WHERE workspace = ?1"), &of)?;
    }
    tx.query("DELETE FROM workspaces WHERE id = ?1", &of)?;
    Ok(Reply::Entries(entries))
}
