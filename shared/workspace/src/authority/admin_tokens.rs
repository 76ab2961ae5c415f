//! Admin tokens: only hashes are stored. Those for one workspace are kept with it, those for all with the default one.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Kind, Reply};
use crate::resource::AdminToken;

use super::cells::{Cells, not_found, taken, word};
use super::stored::{Stored, accessors, editable, get, remove};

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

    accessors!(AdminToken);
}

pub(super) fn create(
    tx: &mut dyn Tx,
    workspace: &str,
    token: &AdminToken,
    hash: &str,
) -> Result<Reply, Denial> {
    tx.query(
        "INSERT INTO admin_tokens (workspace, id, hash, name, masked, scope, role, created_by, expires_at, created_at,
         revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)",
        &[
            workspace.into(),
            token.id.as_str().into(),
            hash.into(),
            token.name.as_str().into(),
            token.masked.as_str().into(),
            token.workspace.clone().into(),
            word(&token.role),
            token.created_by.as_str().into(),
            token.expires_at.map(|t| t.0).into(),
            token.created_at.0.into(),
        ],
    )
    .map_err(|e| taken(e, AdminToken::KIND.word(), &token.name))?;
    get::<AdminToken>(tx, workspace, &token.id)
}

/// The token with this hash, also where it has ended: the asker says so.
pub(super) fn check(tx: &mut dyn Tx, workspace: &str, hash: &str) -> Result<Reply, Denial> {
    let rows = tx.query(
        &format!(
            "SELECT {} FROM admin_tokens WHERE workspace = ?1 AND hash = ?2",
            AdminToken::COLUMNS
        ),
        &[workspace.into(), hash.into()],
    )?;
    match rows.into_iter().next() {
        Some(row) => {
            let token = AdminToken::read(Cells::new(row))?;
            Ok(Reply::Resource(Box::new(token.resource())))
        }
        // Its name is not known, and its hash is nobody's business.
        None => Err(not_found(AdminToken::KIND.word(), "with this text")),
    }
}

/// Revokes a token: it is not known any more with the commit.
pub(super) fn delete(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let token: AdminToken = editable(tx, workspace, reference, expect)?;
    remove(tx, &token)?;
    Ok(Reply::Done)
}
