//! Agents: tags, attached roles and pins.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Kind, Reply};
use crate::resource::{Agent, ManagedBy, Pin, Role};
use crate::tags::Tags;

use super::admit::touch;
use super::cells::{Cells, json, taken, word};
use super::provider_keys;
use super::stored::{Stored, accessors, find, get, patchable};

impl Stored for Agent {
    const KIND: Kind = Kind::Agent;
    const TABLE: &'static str = "agents";
    const COLUMNS: &'static str = "id, name, tags, roles, pins, managed_by, created_at, revision";

    fn read(mut cells: Cells) -> Result<Self, StoreError> {
        Ok(Self {
            id: cells.text()?,
            name: cells.text()?,
            tags: cells.json()?,
            roles: cells.json()?,
            pins: cells.json()?,
            managed_by: cells.word()?,
            created_at: cells.time()?,
            revision: cells.number()?,
        })
    }

    accessors!(Agent, managed);
}

pub(super) fn create(tx: &mut dyn Tx, workspace: &str, agent: &Agent) -> Result<Reply, Denial> {
    let roles = role_ids(tx, workspace, &agent.roles)?;
    let pins = pinned(tx, workspace, &agent.pins, &[])?;
    tx.query(
        "INSERT INTO agents (workspace, id, name, tags, roles, pins, managed_by, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1)",
        &[
            workspace.into(),
            agent.id.as_str().into(),
            agent.name.as_str().into(),
            json(&agent.tags),
            json(&roles),
            json(&pins),
            word(&agent.managed_by),
            agent.created_at.0.into(),
        ],
    )
    .map_err(|e| taken(e, Agent::KIND.word(), &agent.name))?;
    get::<Agent>(tx, workspace, &agent.id)
}

/// What a `PATCH` changes.
pub(super) struct Patch {
    pub(super) name: Option<String>,
    pub(super) tags: Option<Tags>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) pins: Option<Vec<Pin>>,
    pub(super) managed_by: Option<ManagedBy>,
}

impl Patch {
    /// Whether it does nothing but make people the managers.
    fn hands_back(&self) -> bool {
        let Self {
            name: None,
            tags: None,
            roles: None,
            pins: None,
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
    let agent: Agent = patchable(tx, workspace, reference, expect, patch.hands_back())?;
    let roles = match patch.roles {
        Some(roles) => role_ids(tx, workspace, &roles)?,
        None => agent.roles,
    };
    let pins = match patch.pins {
        Some(pins) => pinned(tx, workspace, &pins, &agent.pins)?,
        None => agent.pins,
    };
    let changed = Agent {
        name: patch.name.unwrap_or(agent.name),
        tags: patch.tags.unwrap_or(agent.tags),
        roles,
        pins,
        managed_by: patch.managed_by.unwrap_or(agent.managed_by),
        ..agent
    };
    update(tx, &changed)?;
    touch(tx, workspace)?;
    get::<Agent>(tx, workspace, &changed.id)
}

/// Writes what can change; roles and pins by id.
pub(super) fn update(tx: &mut dyn Tx, agent: &Agent) -> Result<(), Denial> {
    tx.query(
        "UPDATE agents SET name = ?2, tags = ?3, roles = ?4, pins = ?5, managed_by = ?6, revision = revision + 1
         WHERE id = ?1",
        &[
            agent.id.as_str().into(),
            agent.name.as_str().into(),
            json(&agent.tags),
            json(&agent.roles),
            json(&agent.pins),
            word(&agent.managed_by),
        ],
    )
    .map_err(|e| taken(e, Agent::KIND.word(), &agent.name))?;
    Ok(())
}

/// Roles by id, each once, in the order they were named.
pub(super) fn role_ids(
    tx: &mut dyn Tx,
    workspace: &str,
    references: &[String],
) -> Result<Vec<String>, Denial> {
    let mut ids = Vec::with_capacity(references.len());
    for reference in references {
        let role: Role = find(tx, workspace, reference)?;
        if !ids.contains(&role.id) {
            ids.push(role.id);
        }
    }
    Ok(ids)
}

/// Pins by the ids of their keys. A key is looked for among those of the pin's provider; one that is gone may stay
/// pinned, so that its pin can be made soft.
fn pinned(
    tx: &mut dyn Tx,
    workspace: &str,
    pins: &[Pin],
    before: &[Pin],
) -> Result<Vec<Pin>, Denial> {
    let pin = |pin: &Pin| {
        let key = provider_keys::of_provider(tx, workspace, &pin.provider, &pin.provider_key);
        let kept = before
            .iter()
            .find(|b| b.provider == pin.provider && b.provider_key == pin.provider_key);
        let (provider_key, name) = match (key, kept) {
            (Ok(key), _) => (key.id, key.name),
            (Err(Denial::NotFound { .. }), Some(kept)) => {
                (kept.provider_key.clone(), kept.name.clone())
            }
            (Err(denial), _) => return Err(denial),
        };
        Ok(Pin {
            provider: pin.provider.clone(),
            provider_key,
            name,
            mode: pin.mode,
        })
    };
    pins.iter().map(pin).collect()
}
