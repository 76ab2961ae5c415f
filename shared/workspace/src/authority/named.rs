//! Agents and gateways.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, NamedKind, Page, Reply};
use crate::resource::{ManagedBy, Named};
use crate::tags::Tags;

use super::admit::touch;
use super::cells::{self, Cells, expect_revision, json, not_found, taken, word};

const COLUMNS: &str = "id, name, tags, managed_by, created_at, revision";

fn table(kind: NamedKind) -> &'static str {
    match kind {
        NamedKind::Agent => "agents",
        NamedKind::Gateway => "gateways",
    }
}

fn read(mut cells: Cells) -> Result<Named, StoreError> {
    Ok(Named {
        id: cells.text()?,
        name: cells.text()?,
        tags: cells.json()?,
        managed_by: cells.word()?,
        created_at: cells.time()?,
        revision: cells.number()?,
    })
}

pub(super) fn find(
    tx: &mut dyn Tx,
    workspace: &str,
    kind: NamedKind,
    reference: &str,
) -> Result<Named, Denial> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM {} WHERE workspace = ?1 AND (id = ?2 OR name = ?2) ORDER BY id = ?2 DESC",
            table(kind)
        ),
        &[workspace.into(), reference.into()],
    )?;
    match rows.into_iter().next() {
        Some(row) => Ok(read(Cells::new(row))?),
        None => Err(not_found(kind.word(), reference)),
    }
}

pub(super) fn create(
    tx: &mut dyn Tx,
    workspace: &str,
    kind: NamedKind,
    named: Named,
) -> Result<Reply, Denial> {
    tx.query(
        &format!(
            "INSERT INTO {} (workspace, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
            table(kind)
        ),
        &[
            workspace.into(),
            named.id.as_str().into(),
            named.name.as_str().into(),
            json(&named.tags),
            word(&named.managed_by),
            named.created_at.0.into(),
        ],
    )
    .map_err(|e| taken(e, kind.word(), &named.name))?;
    Ok(Reply::Named(find(tx, workspace, kind, &named.id)?))
}

pub(super) fn list(
    tx: &mut dyn Tx,
    workspace: &str,
    kind: NamedKind,
    page: &Page,
) -> Result<Reply, Denial> {
    let all = cells::page(tx, (table(kind), COLUMNS), workspace, page, read)?;
    Ok(Reply::Nameds(all))
}

pub(super) fn get(
    tx: &mut dyn Tx,
    workspace: &str,
    kind: NamedKind,
    reference: &str,
) -> Result<Reply, Denial> {
    Ok(Reply::Named(find(tx, workspace, kind, reference)?))
}

#[allow(clippy::too_many_arguments)]
pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    kind: NamedKind,
    reference: &str,
    expect: Option<u64>,
    name: Option<String>,
    tags: Option<Tags>,
    managed_by: Option<ManagedBy>,
) -> Result<Reply, Denial> {
    let named = editable(find(tx, workspace, kind, reference)?, kind)?;
    expect_revision(expect, named.revision)?;
    let name = name.unwrap_or_else(|| named.name.clone());
    tx.query(
        &format!(
            "UPDATE {} SET name = ?2, tags = ?3, managed_by = ?4, revision = revision + 1 WHERE id = ?1",
            table(kind)
        ),
        &[
            named.id.as_str().into(),
            name.as_str().into(),
            json(&tags.unwrap_or(named.tags)),
            word(&managed_by.unwrap_or(named.managed_by)),
        ],
    )
    .map_err(|e| taken(e, kind.word(), &name))?;
    touch(tx, workspace)?;
    Ok(Reply::Named(find(tx, workspace, kind, &named.id)?))
}

pub(super) fn delete(
    tx: &mut dyn Tx,
    workspace: &str,
    kind: NamedKind,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let named = editable(find(tx, workspace, kind, reference)?, kind)?;
    expect_revision(expect, named.revision)?;
    let column = match kind {
        NamedKind::Agent => "agent",
        NamedKind::Gateway => "gateway",
    };
    let users = tx.query(
        &format!(
            "SELECT name FROM gateway_keys WHERE workspace = ?1 AND {column} = ?2 AND revoked_at IS NULL LIMIT 1"
        ),
        &[workspace.into(), named.id.as_str().into()],
    )?;
    if let Some(row) = users.into_iter().next() {
        return Err(Denial::InUse(format!(
            "the {} “{}” has gateway keys, “{}” among them: revoke those first",
            kind.word(),
            named.name,
            Cells::new(row).text()?
        )));
    }
    tx.query(
        &format!("DELETE FROM {} WHERE id = ?1", table(kind)),
        &[named.id.as_str().into()],
    )?;
    touch(tx, workspace)?;
    Ok(Reply::Done)
}

fn editable(named: Named, kind: NamedKind) -> Result<Named, Denial> {
    match named.managed_by {
        ManagedBy::Manual => Ok(named),
        ManagedBy::Declarative => Err(Denial::Declarative {
            kind: kind.word().into(),
            name: named.name,
        }),
    }
}
