//! Admission: who a gateway key is, for how long that may be believed, and the snapshot to serve from.

use std::sync::Arc;

use lockgate_access::Role;
use lockgate_host::{StoreError, Tx};

use crate::allowance::lease_within;
use crate::lease::Lengths;
use crate::question::{Admission, Admit, Denial, Reply};
use crate::resource::{Agent, Configuration, Gateway, Limits};
use crate::snapshot::{Identity, KeyPointer, Live, SealedPointer, Snapshot};

use super::cells::{Cells, not_found};
use super::stored::find;
use super::{prices, seeds};

pub(super) fn admit(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    lengths: Lengths,
    admit: &Admit,
) -> Result<Reply, Denial> {
    let rows = tx.query(
        "SELECT k.revoked_at, k.expires_at, w.snapshot_version, k.id, k.name, a.name, a.id, a.tags, a.roles, a.pins,
                g.name, g.tags, k.configuration, k.team, k.limits, k.budget
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
        agent_tags: cells.json()?,
        roles: cells.json()?,
        pins: cells.json()?,
        gateway: cells.optional_text()?,
        gateway_tags: cells.optional_json()?,
        configuration: cells.optional_text()?,
        team: cells.optional_text()?,
        limits: cells.json()?,
        budget: cells.optional_json()?,
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
        "SELECT snapshot_version, name, access, default_configuration FROM workspaces WHERE id = ?1",
        &[workspace.into()],
    )?;
    let row = rows
        .into_iter()
        .next()
        .ok_or_else(|| not_found("workspace", workspace))?;
    let mut cells = Cells::new(row);
    let (version, name, access) = (cells.number()?, cells.text()?, cells.word()?);
    let default_configuration = cells.optional_text()?;
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
        roles: roles(tx, workspace)?,
        seeded: seeds::standing(tx, workspace)?,
        configurations: configurations(tx, workspace)?,
        default_configuration,
        prices: prices::all(tx, workspace)?,
    })
}

fn roles(tx: &mut dyn Tx, workspace: &str) -> Result<Vec<Arc<Role>>, StoreError> {
    let rows = tx.query(
        "SELECT id, name, statements FROM roles WHERE workspace = ?1 ORDER BY name",
        &[workspace.into()],
    )?;
    let role = |row| {
        let mut cells = Cells::new(row);
        Ok(Arc::new(Role {
            id: cells.text()?,
            name: cells.text()?,
            statements: cells.json()?,
        }))
    };
    rows.into_iter().map(role).collect()
}

fn configurations(tx: &mut dyn Tx, workspace: &str) -> Result<Vec<Arc<Live>>, StoreError> {
    let rows = tx.query(
        "SELECT id, name, tags, plan FROM configurations WHERE workspace = ?1 ORDER BY name",
        &[workspace.into()],
    )?;
    let live = |row| {
        let mut cells = Cells::new(row);
        Ok(Arc::new(Live {
            id: cells.text()?,
            name: cells.text()?,
            tags: cells.json()?,
            plan: cells.optional_json()?,
        }))
    };
    rows.into_iter().map(live).collect()
}

/// The snapshot of the platform's workspace, from which managed traffic is served.
pub(super) fn platform(
    tx: &mut dyn Tx,
    workspace: &str,
    lengths: Lengths,
    known: Option<u64>,
) -> Result<Reply, Denial> {
    if workspace != crate::PLATFORM_WORKSPACE {
        return Err(not_found("platform", workspace));
    }
    let rows = tx.query(
        "SELECT snapshot_version FROM workspaces WHERE id = ?1",
        &[workspace.into()],
    )?;
    let row = rows.into_iter().next();
    let row = row.ok_or_else(|| not_found("workspace", workspace))?;
    let version = Cells::new(row).number()?;
    Ok(Reply::Platform {
        lease_ms: lengths.lease_ms,
        version,
        snapshot: match known {
            Some(known) if known == version => None,
            _ => Some(Box::new(snapshot(tx, workspace)?)),
        },
    })
}

/// What the data plane would know of a caller whose gateway key were bound to these.
pub(super) fn impersonate(
    tx: &mut dyn Tx,
    workspace: &str,
    agent: &str,
    gateway: Option<&str>,
    configuration: Option<&str>,
) -> Result<Reply, Denial> {
    let agent: Agent = find(tx, workspace, agent)?;
    let gateway: Option<Gateway> = gateway.map(|g| find(tx, workspace, g)).transpose()?;
    let configuration: Option<Configuration> =
        configuration.map(|c| find(tx, workspace, c)).transpose()?;
    let (gateway, gateway_tags) = gateway.map(|g| (g.name, g.tags)).unzip();
    let identity = Identity {
        gateway_key: String::new(),
        name: String::new(),
        agent: agent.name,
        agent_id: agent.id,
        agent_tags: agent.tags,
        roles: agent.roles,
        pins: agent.pins,
        gateway,
        gateway_tags,
        configuration: configuration.map(|c| c.id),
        team: None,
        limits: Limits::default(),
        budget: None,
    };
    let snapshot = snapshot(tx, workspace)?;
    Ok(Reply::Caller(Box::new(identity), Box::new(snapshot)))
}

/// Selects what [`pointer`] reads.
pub(super) const POINTERS: &str =
    "SELECT k.id, k.provider, k.name, k.enabled, k.is_default, k.base_url, k.options, k.health, k.tags,
            v.version, v.entry, v.wrapped, v.kek
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
        tags: cells.json()?,
        sealed: match cells.optional_number()? {
            None => None,
            Some(version) => Some(SealedPointer {
                version,
                entry: cells.text()?,
                wrapped: cells.text()?,
                kek: cells.text()?,
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
