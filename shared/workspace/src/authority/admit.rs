//! Admission: who a gateway key is, for how long that may be believed, and the snapshot to serve from.

use lockgate_host::{StoreError, Tx};

use crate::allowance::lease_within;
use crate::lease::Lengths;
use crate::question::{Admission, Admit, Denial, Reply};
use crate::snapshot::{Identity, KeyPointer, SealedPointer, Snapshot};

use super::cells::{Cells, not_found};

pub(super) fn admit(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    lengths: Lengths,
    admit: &Admit,
) -> Result<Reply, Denial> {
    let rows = tx.query(
        "SELECT k.revoked_at, k.expires_at, w.snapshot_version, k.id, k.name, a.name, a.id, g.name, k.team
         FROM gateway_keys k
         JOIN workspaces w ON w.id = k.workspace
         LEFT JOIN agents a ON a.id = k.agent
         LEFT JOIN gateways g ON g.id = k.gateway
         WHERE k.hash = ?1 AND k.workspace = ?2",
        &[admit.hash.as_str().into(), workspace.into()],
    )?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(Reply::Admission(Box::new(Admission::Unknown)));
    };
    let mut cells = Cells::new(row);
    let (revoked_at, expires_at) = (cells.optional_time()?, cells.optional_time()?);
    if let Some(at) = revoked_at {
        // Its agent may be gone.
        return Ok(Reply::Admission(Box::new(Admission::Revoked(at))));
    }
    let version = cells.number()?;
    let identity = Identity {
        gateway_key: cells.text()?,
        name: cells.text()?,
        agent: cells.text()?,
        agent_id: cells.text()?,
        gateway: cells.optional_text()?,
        team: cells.optional_text()?,
    };
    let mut lease_ms = lengths.lease_ms;
    if let Some(at) = expires_at {
        if at.0 <= now_ms {
            return Ok(Reply::Admission(Box::new(Admission::Expired(at))));
        }
        // The isolate's clock may be slower than this one.
        lease_ms = lease_ms.min(lease_within(at.0.saturating_sub(now_ms)));
    }
    let snapshot = if admit.known == Some(version) {
        None
    } else {
        Some(Box::new(snapshot(tx, workspace)?))
    };
    Ok(Reply::Admission(Box::new(Admission::Granted {
        identity,
        lease_ms,
        version,
        snapshot,
    })))
}

fn snapshot(tx: &mut dyn Tx, workspace: &str) -> Result<Snapshot, Denial> {
    let rows = tx.query(
        "SELECT snapshot_version, name, access FROM workspaces WHERE id = ?1",
        &[workspace.into()],
    )?;
    let row = rows
        .into_iter()
        .next()
        .ok_or_else(|| not_found("workspace", workspace))?;
    let mut cells = Cells::new(row);
    let (version, name, access) = (cells.number()?, cells.text()?, cells.word()?);
    let rows = tx.query(
        &format!(
            "{POINTERS} WHERE k.workspace = ?1 ORDER BY k.provider, k.is_default DESC, k.name"
        ),
        &[workspace.into()],
    )?;
    let keys = rows
        .into_iter()
        .map(|row| pointer(Cells::new(row)).map(Into::into))
        .collect::<Result<_, _>>()?;
    Ok(Snapshot {
        version,
        workspace: workspace.into(),
        name,
        access,
        keys,
    })
}

/// Selects what [`pointer`] reads.
pub(super) const POINTERS: &str =
    "SELECT k.id, k.provider, k.name, k.enabled, k.is_default, k.base_url, k.options, k.health,
            v.version, v.entry, v.wrapped
     FROM provider_keys k
     LEFT JOIN provider_key_versions v ON v.provider_key = k.id AND v.version = k.version";

pub(super) fn pointer(mut cells: Cells) -> Result<KeyPointer, StoreError> {
    Ok(KeyPointer {
        id: cells.text()?,
        provider: cells.text()?,
        name: cells.text()?,
        enabled: cells.flag()?,
        default: cells.flag()?,
        base_url: cells.optional_text()?,
        options: cells.json()?,
        health: cells.word()?,
        sealed: match cells.optional_number()? {
            None => None,
            Some(version) => Some(SealedPointer {
                version,
                entry: cells.text()?,
                wrapped: cells.text()?,
            }),
        },
    })
}

/// Marks the workspace's snapshot as changed.
pub(super) fn touch(tx: &mut dyn Tx, workspace: &str) -> Result<(), StoreError> {
    tx.query(
        "UPDATE workspaces SET snapshot_version = snapshot_version + 1 WHERE id = ?1",
        &[workspace.into()],
    )
    .map(|_| ())
}
