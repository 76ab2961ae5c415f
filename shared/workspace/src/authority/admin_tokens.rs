//! Admin tokens: only hashes are stored. Those for one workspace are kept with it, those for all with the default one.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Kind, Reply, Resource};
use crate::resource::AdminToken;

use super::cells::Cells;
use super::stored::Stored;

impl Stored for AdminToken {
    const KIND: Kind = Kind::AdminToken;
    const TABLE: &'static str = "admin_tokens";
    const COLUMNS: &'static str =
        "id, name, masked, scope, role, created_by, expires_at, created_at, revision";

    fn read(mut cells: Cells) -> Result<Self, StoreError> {
        Ok(Self {
            id: cells.text()?,
            name: cells.text()?,
            masked: cells.text()?,
            workspace: cells.optional_text()?,
            role: cells.word()?,
            created_by: cells.text()?,
            expires_at: cells.optional_time()?,
            created_at: cells.time()?,
            revision: cells.number()?,
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn resource(self) -> Resource {
        Resource::AdminToken(self)
    }
}

pub(super) fn create(
    tx: &mut dyn Tx,
    workspace: &str,
    token: &AdminToken,
    hash: &str,
) -> Result<Reply, Denial> {
    let _ = (tx, workspace, token, hash);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn check(tx: &mut dyn Tx, workspace: &str, hash: &str) -> Result<Reply, Denial> {
    let _ = (tx, workspace, hash);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn delete(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let _ = (tx, workspace, reference, expect);
    Err(Denial::Store("not yet".into()))
}
