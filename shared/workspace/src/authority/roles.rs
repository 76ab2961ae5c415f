//! Roles.

use lockgate_access::Statement;
use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Kind, Reply};
use crate::resource::{Agent, ManagedBy, Role};

use super::admit::touch;
use super::agents;
use super::cells::{Cells, json, taken, word};
use super::stored::{Stored, accessors, editable, get, patchable, remove};

impl Stored for Role {
    const KIND: Kind = Kind::Role;
    const TABLE: &'static str = "roles";
    const COLUMNS: &'static str = "id, name, statements, managed_by, created_at, revision";

    fn read(mut cells: Cells) -> Result<Self, StoreError> {
        Ok(Self {
            id: cells.text()?,
            name: cells.text()?,
            statements: cells.json()?,
            managed_by: cells.word()?,
            created_at: cells.time()?,
            revision: cells.number()?,
        })
    }

    accessors!(Role, managed);
}

pub(super) fn create(tx: &mut dyn Tx, workspace: &str, role: &Role) -> Result<Reply, Denial> {
    tx.query(
        "INSERT INTO roles (workspace, id, name, statements, managed_by, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
        &[
            workspace.into(),
            role.id.as_str().into(),
            role.name.as_str().into(),
            json(&role.statements),
            word(&role.managed_by),
            role.created_at.0.into(),
        ],
    )
    .map_err(|e| taken(e, Role::KIND.word(), &role.name))?;
    // Nobody has it yet. Whoever is given it next, a new agent, needs a snapshot in which it is.
    touch(tx, workspace)?;
    get::<Role>(tx, workspace, &role.id)
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    name: Option<String>,
    statements: Option<Vec<Statement>>,
    managed_by: Option<ManagedBy>,
) -> Result<Reply, Denial> {
    let hands_back = (&name, &statements, managed_by) == (&None, &None, Some(ManagedBy::Manual));
    let role: Role = patchable(tx, workspace, reference, expect, hands_back)?;
    let changed = Role {
        name: name.unwrap_or(role.name),
        statements: statements.unwrap_or(role.statements),
        managed_by: managed_by.unwrap_or(role.managed_by),
        ..role
    };
    update(tx, &changed)?;
    touch(tx, workspace)?;
    get::<Role>(tx, workspace, &changed.id)
}

/// Writes what can change.
pub(super) fn update(tx: &mut dyn Tx, role: &Role) -> Result<(), Denial> {
    tx.query(
        "UPDATE roles SET name = ?2, statements = ?3, managed_by = ?4, revision = revision + 1 WHERE id = ?1",
        &[
            role.id.as_str().into(),
            role.name.as_str().into(),
            json(&role.statements),
            word(&role.managed_by),
        ],
    )
    .map_err(|e| taken(e, Role::KIND.word(), &role.name))?;
    Ok(())
}

/// Removes a role and detaches it from every agent that has it.
pub(super) fn delete(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let role: Role = editable(tx, workspace, reference, expect)?;
    let rows = tx.query(
        &format!("SELECT {} FROM agents WHERE workspace = ?1", Agent::COLUMNS),
        &[workspace.into()],
    )?;
    for row in rows {
        let mut agent = Agent::read(Cells::new(row))?;
        if agent.roles.contains(&role.id) {
            agent.roles.retain(|id| *id != role.id);
            agents::update(tx, &agent)?;
        }
    }
    remove(tx, &role)?;
    touch(tx, workspace)?;
    Ok(Reply::Done)
}
