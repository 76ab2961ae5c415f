//! Roles, agents and gateways that a configuration's document declares: made and changed when it is applied, managed
//! by hand again once the document no longer names them.

use lockgate_host::{StoreError, Tx};
use serde::{Deserialize, Serialize};

use crate::question::{Declared, Denial};
use crate::resource::{Agent, Configuration, Gateway, ManagedBy, Role};

use super::super::cells::{Cells, json, not_found};
use super::super::stored::{Stored, find};
use super::super::{agents, gateways, roles};

/// Ids of what a configuration declares.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    roles: Vec<String>,
    agents: Vec<String>,
    gateways: Vec<String>,
}

/// What others hold, each with the name of its configuration.
type Others = Vec<(String, Held)>;

/// A kind that documents declare.
trait Declarable: Stored + Clone + PartialEq {
    fn make(tx: &mut dyn Tx, workspace: &str, new: &Self) -> Result<(), Denial>;
    fn write(tx: &mut dyn Tx, changed: &Self) -> Result<(), Denial>;
    /// What `found` is to become: the identity of the one, what the document says of the other.
    fn merged(
        tx: &mut dyn Tx,
        workspace: &str,
        found: &Self,
        wanted: &Self,
    ) -> Result<Self, Denial>;
    fn managed(self, by: ManagedBy) -> Self;
    fn held(held: &Held) -> &[String];
}

impl Declarable for Role {
    fn make(tx: &mut dyn Tx, workspace: &str, new: &Self) -> Result<(), Denial> {
        roles::create(tx, workspace, new).map(|_| ())
    }

    fn write(tx: &mut dyn Tx, changed: &Self) -> Result<(), Denial> {
        roles::update(tx, changed)
    }

    fn merged(_: &mut dyn Tx, _: &str, found: &Self, wanted: &Self) -> Result<Self, Denial> {
        Ok(Self {
            statements: wanted.statements.clone(),
            ..found.clone()
        })
    }

    fn managed(mut self, by: ManagedBy) -> Self {
        self.managed_by = by;
        self
    }

    fn held(held: &Held) -> &[String] {
        &held.roles
    }
}

impl Declarable for Agent {
    fn make(tx: &mut dyn Tx, workspace: &str, new: &Self) -> Result<(), Denial> {
        agents::create(tx, workspace, new).map(|_| ())
    }

    fn write(tx: &mut dyn Tx, changed: &Self) -> Result<(), Denial> {
        agents::update(tx, changed)
    }

    /// Pins are not part of a document and stay.
    fn merged(
        tx: &mut dyn Tx,
        workspace: &str,
        found: &Self,
        wanted: &Self,
    ) -> Result<Self, Denial> {
        Ok(Self {
            tags: wanted.tags.clone(),
            roles: agents::role_ids(tx, workspace, &wanted.roles)?,
            ..found.clone()
        })
    }

    fn managed(mut self, by: ManagedBy) -> Self {
        self.managed_by = by;
        self
    }

    fn held(held: &Held) -> &[String] {
        &held.agents
    }
}

impl Declarable for Gateway {
    fn make(tx: &mut dyn Tx, workspace: &str, new: &Self) -> Result<(), Denial> {
        gateways::create(tx, workspace, new).map(|_| ())
    }

    fn write(tx: &mut dyn Tx, changed: &Self) -> Result<(), Denial> {
        gateways::update(tx, changed)
    }

    fn merged(_: &mut dyn Tx, _: &str, found: &Self, wanted: &Self) -> Result<Self, Denial> {
        Ok(Self {
            tags: wanted.tags.clone(),
            ..found.clone()
        })
    }

    fn managed(mut self, by: ManagedBy) -> Self {
        self.managed_by = by;
        self
    }

    fn held(held: &Held) -> &[String] {
        &held.gateways
    }
}

/// Makes the workspace have what a configuration declares now, and no longer declare what it does not.
pub(super) fn declare(
    tx: &mut dyn Tx,
    workspace: &str,
    configuration: &Configuration,
    declared: &Declared,
) -> Result<(), Denial> {
    let (before, others) = holdings(tx, workspace, &configuration.id)?;
    // Agents name roles, so those come first.
    let held = Held {
        roles: put(tx, workspace, &others, &declared.roles)?,
        agents: put(tx, workspace, &others, &declared.agents)?,
        gateways: put(tx, workspace, &others, &declared.gateways)?,
    };
    release::<Agent>(tx, workspace, &before, &held)?;
    release::<Gateway>(tx, workspace, &before, &held)?;
    release::<Role>(tx, workspace, &before, &held)?;
    tx.query(
        "UPDATE configurations SET declared = ?2 WHERE id = ?1",
        &[configuration.id.as_str().into(), json(&held)],
    )?;
    Ok(())
}

/// What a configuration holds, and what the others do.
fn holdings(tx: &mut dyn Tx, workspace: &str, id: &str) -> Result<(Held, Others), Denial> {
    let rows = tx.query(
        "SELECT id, name, declared FROM configurations WHERE workspace = ?1",
        &[workspace.into()],
    )?;
    let mut own = None;
    let mut others = Vec::new();
    for row in rows {
        let mut cells = Cells::new(row);
        let (found, name) = (cells.text()?, cells.text()?);
        let held: Held = cells.optional_json()?.unwrap_or_default();
        if found == id {
            own = Some(held);
        } else {
            others.push((name, held));
        }
    }
    let own = own.ok_or_else(|| not_found(Configuration::KIND.word(), id))?;
    Ok((own, others))
}

/// Makes or changes what is wanted, by name, and answers its ids.
fn put<T: Declarable>(
    tx: &mut dyn Tx,
    workspace: &str,
    others: &Others,
    wanted: &[T],
) -> Result<Vec<String>, Denial> {
    let mut ids = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let Some(found) = named::<T>(tx, workspace, wanted.name())? else {
            T::make(
                tx,
                workspace,
                &wanted.clone().managed(ManagedBy::Declarative),
            )?;
            ids.push(wanted.id().to_owned());
            continue;
        };
        let id = found.id().to_owned();
        if let Some((owner, _)) = others.iter().find(|(_, held)| T::held(held).contains(&id)) {
            return Err(Denial::InUse(format!(
                "the {} “{}” is declared by the configuration “{owner}”: take it out of one of the two documents",
                T::KIND.word(),
                found.name()
            )));
        }
        let changed = T::merged(tx, workspace, &found, wanted)?.managed(ManagedBy::Declarative);
        if changed != found {
            T::write(tx, &changed)?;
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Hands back what was held before and is not any more.
fn release<T: Declarable>(
    tx: &mut dyn Tx,
    workspace: &str,
    before: &Held,
    now: &Held,
) -> Result<(), Denial> {
    for id in T::held(before) {
        if T::held(now).contains(id) {
            continue;
        }
        match find::<T>(tx, workspace, id) {
            Ok(found) => T::write(tx, &found.managed(ManagedBy::Manual))?,
            // It was removed meanwhile.
            Err(Denial::NotFound { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// One by its name alone: a document names what it declares, and a name never stands for an id.
fn named<T: Stored>(tx: &mut dyn Tx, workspace: &str, name: &str) -> Result<Option<T>, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {} FROM {} WHERE workspace = ?1 AND name = ?2",
            T::COLUMNS,
            T::TABLE
        ),
        &[workspace.into(), name.into()],
    )?;
    let row = rows.into_iter().next();
    row.map(|row| T::read(Cells::new(row))).transpose()
}
