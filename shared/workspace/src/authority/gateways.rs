//! Gateways: a name with tags.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Kind, Reply};
use crate::resource::{Gateway, ManagedBy};
use crate::tags::Tags;

use super::admit::touch;
use super::cells::{Cells, json, taken, word};
use super::stored::{Stored, accessors, get, patchable};

impl Stored for Gateway {
    const KIND: Kind = Kind::Gateway;
    const TABLE: &'static str = "gateways";
    const COLUMNS: &'static str = "id, name, tags, managed_by, created_at, revision";

    fn read(mut cells: Cells) -> Result<Self, StoreError> {
        Ok(Self {
            id: cells.text()?,
            name: cells.text()?,
            tags: cells.json()?,
            managed_by: cells.word()?,
            created_at: cells.time()?,
            revision: cells.number()?,
        })
    }

    accessors!(Gateway, managed);
}

pub(super) fn create(tx: &mut dyn Tx, workspace: &str, gateway: &Gateway) -> Result<Reply, Denial> {
    tx.query(
        "INSERT INTO gateways (workspace, id, name, tags, managed_by, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
        &[
            workspace.into(),
            gateway.id.as_str().into(),
            gateway.name.as_str().into(),
            json(&gateway.tags),
            word(&gateway.managed_by),
            gateway.created_at.0.into(),
        ],
    )
    .map_err(|e| taken(e, Gateway::KIND.word(), &gateway.name))?;
    get::<Gateway>(tx, workspace, &gateway.id)
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    name: Option<String>,
    tags: Option<Tags>,
    managed_by: Option<ManagedBy>,
) -> Result<Reply, Denial> {
    let hands_back = (&name, &tags, managed_by) == (&None, &None, Some(ManagedBy::Manual));
    let gateway: Gateway = patchable(tx, workspace, reference, expect, hands_back)?;
    let changed = Gateway {
        name: name.unwrap_or(gateway.name),
        tags: tags.unwrap_or(gateway.tags),
        managed_by: managed_by.unwrap_or(gateway.managed_by),
        ..gateway
    };
    update(tx, &changed)?;
    touch(tx, workspace)?;
    get::<Gateway>(tx, workspace, &changed.id)
}

/// Writes what can change.
pub(super) fn update(tx: &mut dyn Tx, gateway: &Gateway) -> Result<(), Denial> {
    tx.query(
        "UPDATE gateways SET name = ?2, tags = ?3, managed_by = ?4, revision = revision + 1 WHERE id = ?1",
        &[
            gateway.id.as_str().into(),
            gateway.name.as_str().into(),
            json(&gateway.tags),
            word(&gateway.managed_by),
        ],
    )
    .map_err(|e| taken(e, Gateway::KIND.word(), &gateway.name))?;
    Ok(())
}
