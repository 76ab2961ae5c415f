//! Gateway keys: only hashes are stored.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, NamedKind, Page, Reply};
use crate::resource::{GatewayKey, Timestamp};

use super::cells::{self, Cells, expect_revision, not_found};
use super::named;

const KIND: &str = "gateway key";
const COLUMNS: &str = "id, name, masked, agent, gateway, team, expires_at, revoked_at, created_at, last_used_at, revision";

fn read(mut cells: Cells) -> Result<GatewayKey, StoreError> {
    Ok(GatewayKey {
        id: cells.text()?,
        name: cells.text()?,
        masked: cells.text()?,
        agent: cells.text()?,
        gateway: cells.optional_text()?,
        team: cells.optional_text()?,
        expires_at: cells.optional_time()?,
        revoked_at: cells.optional_time()?,
        created_at: cells.time()?,
        last_used_at: cells.optional_time()?,
        revision: cells.number()?,
    })
}

/// A key by id, or by name where one key in force has it.
fn find(tx: &mut dyn Tx, workspace: &str, reference: &str) -> Result<GatewayKey, Denial> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM gateway_keys
             WHERE workspace = ?1 AND (id = ?2 OR (name = ?2 AND revoked_at IS NULL))
             ORDER BY id = ?2 DESC LIMIT 2"
        ),
        &[workspace.into(), reference.into()],
    )?;
    let several = rows.len() > 1;
    match rows.into_iter().next() {
        None => Err(not_found(KIND, reference)),
        Some(row) => {
            let key = read(Cells::new(row))?;
            if several && key.id != reference {
                return Err(Denial::InUse(format!(
                    "several gateway keys are named “{reference}”: use the id"
                )));
            }
            Ok(key)
        }
    }
}

fn found(tx: &mut dyn Tx, workspace: &str, id: &str) -> Result<Reply, Denial> {
    Ok(Reply::GatewayKey(Box::new(find(tx, workspace, id)?)))
}

pub(super) fn create(
    tx: &mut dyn Tx,
    workspace: &str,
    key: GatewayKey,
    hash: &str,
) -> Result<Reply, Denial> {
    let agent = named::find(tx, workspace, NamedKind::Agent, &key.agent)?;
    let gateway = match &key.gateway {
        Some(reference) => Some(named::find(tx, workspace, NamedKind::Gateway, reference)?.id),
        None => None,
    };
    tx.query(
        &format!(
            "INSERT INTO gateway_keys (workspace, hash, {COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10, NULL, 1)"
        ),
        &[
            workspace.into(),
            hash.into(),
            key.id.as_str().into(),
            key.name.as_str().into(),
            key.masked.as_str().into(),
            agent.id.into(),
            gateway.into(),
            key.team.clone().into(),
            key.expires_at.map(|t| t.0).into(),
            key.created_at.0.into(),
        ],
    )?;
    found(tx, workspace, &key.id)
}

pub(super) fn list(tx: &mut dyn Tx, workspace: &str, page: &Page) -> Result<Reply, Denial> {
    let all = cells::page(tx, ("gateway_keys", COLUMNS), workspace, page, read)?;
    Ok(Reply::GatewayKeys(all))
}

pub(super) fn get(tx: &mut dyn Tx, workspace: &str, reference: &str) -> Result<Reply, Denial> {
    found(tx, workspace, reference)
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    name: Option<String>,
    team: Option<String>,
    expires_at: Option<Timestamp>,
) -> Result<Reply, Denial> {
    let key = find(tx, workspace, reference)?;
    expect_revision(expect, key.revision)?;
    tx.query(
        "UPDATE gateway_keys SET name = ?2, team = ?3, expires_at = ?4, revision = revision + 1 WHERE id = ?1",
        &[
            key.id.as_str().into(),
            name.unwrap_or(key.name).into(),
            team.or(key.team).into(),
            expires_at.or(key.expires_at).map(|t| t.0).into(),
        ],
    )?;
    found(tx, workspace, &key.id)
}

/// Revoking twice is no error and keeps the first time.
pub(super) fn revoke(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let key = find(tx, workspace, reference)?;
    expect_revision(expect, key.revision)?;
    if key.revoked_at.is_none() {
        tx.query(
            "UPDATE gateway_keys SET revoked_at = ?2, revision = revision + 1 WHERE id = ?1",
            &[key.id.as_str().into(), now_ms.into()],
        )?;
    }
    Ok(Reply::Done)
}
