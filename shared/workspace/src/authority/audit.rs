//! The audit log (FEATURES F5): each workspace has a chain of rows, each with the hash of the one before, written in the
//! transaction of the change it tells of. docs/audit.md describes it to those who read it.

mod chain;
mod subject;

use lockgate_host::{StoreError, Tx, Value};
use serde_json::json;

use crate::minted;
use crate::question::{Denial, Incident, Reply};
use crate::resource::AuditEntry;

use super::Context;
use super::cells::{Cells, MAX_NUMBER};

pub(super) use chain::verify;
use chain::{Chain, Row};
pub(super) use subject::{changed, subject};

/// Bytes of JSON that a row keeps of a resource; of what is larger it keeps the digest.
const MAX_TEXT: usize = 16 << 10;
/// Rows that one report of the data plane may add.
const MAX_INCIDENTS: usize = 100;
/// Rows in one answer at most.
const MAX_ROWS: u32 = 1_001;

/// JSON as the log keeps it, and as its hash covers it: members sorted by name, no spaces.
fn text(value: &serde_json::Value) -> String {
    let text = sorted(value.clone());
    if text.len() <= MAX_TEXT {
        return text;
    }
    sorted(json!({ "left_out": digest(&text) }))
}

/// Sorts whatever features of `serde_json` some other crate asks for.
fn sorted(mut value: serde_json::Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

/// What stands in the log for a text that is not in it.
fn digest(text: &str) -> serde_json::Value {
    json!({ "bytes": text.len(), "sha256": minted::hash_text(&minted::hash(text)) })
}

/// Writes the rows of what the data plane reports: the gateway key acted.
pub(super) fn incidents(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    incidents: &[Incident],
) -> Result<(), Denial> {
    if incidents.is_empty() {
        return Ok(());
    }
    let mut chain = Chain::open(tx, context)?;
    let (told, rest) = incidents.split_at(incidents.len().min(MAX_INCIDENTS));
    for incident in told {
        let key = incident.provider_key.as_deref().unwrap_or("*");
        let resource = format!("{}/{key}", incident.provider);
        let after = text(&serde_json::to_value(incident).unwrap_or_default());
        chain.append(
            tx,
            (&incident.gateway_key, &incident.action, &resource),
            (None, Some(&after)),
        )?;
    }
    if !rest.is_empty() {
        let count = rest
            .iter()
            .fold(0_u64, |sum, i| sum.saturating_add(i.count));
        let after = text(&json!({ "incidents": rest.len(), "count": count }));
        let told = (context.actor, "incidents.left_out", "*");
        chain.append(tx, told, (None, Some(&after)))?;
    }
    Ok(chain.close(tx)?)
}

/// Writes what no change of a resource does.
pub(super) fn record(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    action: &str,
    resource: &str,
    detail: &serde_json::Value,
) -> Result<Reply, Denial> {
    let mut chain = Chain::open(tx, context)?;
    let detail = text(detail);
    chain.append(tx, (context.actor, action, resource), (None, Some(&detail)))?;
    chain.close(tx)?;
    Ok(Reply::Done)
}

/// Rows to list.
pub(super) struct Filter {
    pub(super) action: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) resource: Option<String>,
}

/// The log, newest first.
pub(super) fn list(
    tx: &mut dyn Tx,
    workspace: &str,
    limit: u32,
    before: Option<u64>,
    filter: &Filter,
) -> Result<Reply, Denial> {
    let mut sql = format!(
        "SELECT {} FROM audit WHERE workspace = ?1 AND seq >= 1",
        chain::COLUMNS
    );
    let mut params: Vec<Value> = vec![workspace.into()];
    let mut add = |condition: &str, value: Value| {
        params.push(value);
        sql.push_str(&format!(" AND {condition} ?{}", params.len()));
    };
    if let Some(before) = before {
        add("seq <", before.min(MAX_NUMBER).into());
    }
    let texts = [
        ("action =", &filter.action),
        ("actor =", &filter.actor),
        ("resource =", &filter.resource),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            add(condition, value.as_str().into());
        }
    }
    params.push(u64::from(limit.min(MAX_ROWS)).into());
    sql.push_str(&format!(" ORDER BY seq DESC LIMIT ?{}", params.len()));
    let rows = tx.query(&sql, &params)?;
    let entries: Result<_, _> = rows.into_iter().map(|r| entry(Cells::new(r))).collect();
    Ok(Reply::Audit(entries?))
}

fn entry(cells: Cells) -> Result<AuditEntry, StoreError> {
    let Row {
        seq,
        at,
        actor,
        action,
        resource,
        before,
        after,
        previous_hash,
        hash,
    } = Row::read(cells)?;
    Ok(AuditEntry {
        seq,
        at,
        actor,
        action,
        resource,
        before: before.map(shown),
        after: after.map(shown),
        previous_hash,
        hash,
    })
}

/// What was tampered with may not be JSON any more; it is shown as it is, and the check names its row.
fn shown(text: String) -> serde_json::Value {
    serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
}
