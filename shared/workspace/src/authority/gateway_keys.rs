//! Gateway keys: only hashes are stored.

use lockgate_host::{StoreError, Tx, Value};

use crate::question::{Change, Denial, Kind, Page, Reply};
use crate::resource::{Agent, Budget, Configuration, Gateway, GatewayKey, Limits, Timestamp};

use super::cells::{self, Cells, expect_revision, not_found};
use super::stored::{self, Stored};

const KIND: &str = "gateway key";
const COLUMNS: &str = "id, name, masked, agent, gateway, configuration, team, created_by, expires_at, revoked_at, \
                       created_at, last_used_at, revision, limits, budget";

fn read(mut cells: Cells) -> Result<GatewayKey, StoreError> {
    Ok(GatewayKey {
        id: cells.text()?,
        name: cells.text()?,
        masked: cells.text()?,
        agent: cells.text()?,
        gateway: cells.optional_text()?,
        configuration: cells.optional_text()?,
        team: cells.optional_text()?,
        created_by: cells.text()?,
        expires_at: cells.optional_time()?,
        revoked_at: cells.optional_time()?,
        created_at: cells.time()?,
        last_used_at: cells.optional_time()?,
        revision: cells.number()?,
        limits: cells.json()?,
        budget: cells.optional_json()?,
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
    let agent: Agent = stored::find(tx, workspace, &key.agent)?;
    let gateway = id_of::<Gateway>(tx, workspace, key.gateway.as_deref())?;
    let configuration = id_of::<Configuration>(tx, workspace, key.configuration.as_deref())?;
    tx.query(
        &format!(
            "INSERT INTO gateway_keys (workspace, hash, {COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, NULL, ?12, NULL, 1, ?13, ?14)"
        ),
        &[
            workspace.into(),
            hash.into(),
            key.id.as_str().into(),
            key.name.as_str().into(),
            key.masked.as_str().into(),
            agent.id.into(),
            gateway.into(),
            configuration.into(),
            key.team.clone().into(),
            key.created_by.as_str().into(),
            key.expires_at.map(|t| t.0).into(),
            key.created_at.0.into(),
            cells::json(&key.limits),
            budget(key.budget.as_ref()),
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

/// What a `PATCH` changes.
pub(super) struct Patch {
    pub(super) name: Option<String>,
    pub(super) team: Option<String>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) gateway: Change<String>,
    pub(super) configuration: Change<String>,
    pub(super) limits: Change<Limits>,
    pub(super) budget: Change<Budget>,
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    patch: Patch,
) -> Result<Reply, Denial> {
    let key = find(tx, workspace, reference)?;
    expect_revision(expect, key.revision)?;
    let gateway = match patch.gateway {
        Change::Set(gateway) => id_of::<Gateway>(tx, workspace, Some(&gateway))?,
        kept => kept.of(key.gateway),
    };
    let configuration = match patch.configuration {
        Change::Set(configuration) => id_of::<Configuration>(tx, workspace, Some(&configuration))?,
        kept => kept.of(key.configuration),
    };
    tx.query(
        "UPDATE gateway_keys SET name = ?2, team = ?3, expires_at = ?4, gateway = ?5, configuration = ?6,
         limits = ?7, budget = ?8, revision = revision + 1 WHERE id = ?1",
        &[
            key.id.as_str().into(),
            patch.name.unwrap_or(key.name).into(),
            patch.team.or(key.team).into(),
            patch.expires_at.or(key.expires_at).map(|t| t.0).into(),
            gateway.into(),
            configuration.into(),
            cells::json(&patch.limits.of(Some(key.limits)).unwrap_or_default()),
            budget(patch.budget.of(key.budget).as_ref()),
        ],
    )?;
    found(tx, workspace, &key.id)
}

fn budget(budget: Option<&Budget>) -> Value {
    budget.map_or(Value::Null, cells::json)
}

/// The id of what a gateway key is bound to.
fn id_of<T: Stored>(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: Option<&str>,
) -> Result<Option<String>, Denial> {
    match reference {
        Some(reference) => {
            let found: T = stored::find(tx, workspace, reference)?;
            Ok(Some(found.id().to_owned()))
        }
        None => Ok(None),
    }
}

/// That no gateway key in force is bound to an agent, gateway or configuration.
pub(super) fn unused<T: Stored>(tx: &mut dyn Tx, workspace: &str, bound: &T) -> Result<(), Denial> {
    let column = match T::KIND {
        Kind::Agent => "agent",
        Kind::Gateway => "gateway",
        Kind::Configuration => "configuration",
        Kind::Role | Kind::AdminToken => return Ok(()),
    };
    let users = tx.query(
        &format!(
            "SELECT name FROM gateway_keys WHERE workspace = ?1 AND {column} = ?2 AND revoked_at IS NULL LIMIT 1"
        ),
        &[workspace.into(), bound.id().into()],
    )?;
    match users.into_iter().next() {
        None => Ok(()),
        Some(row) => Err(Denial::InUse(format!(
            "the {} “{}” has gateway keys, “{}” among them: revoke those first",
            T::KIND.word(),
            bound.name(),
            Cells::new(row).text()?
        ))),
    }
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
