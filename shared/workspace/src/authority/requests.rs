//! The request log: written in groups, read newest first.
//!
//! A group is one JSON array. Each record is stored as the text it came as, beside the columns that filters need; `at`
//! is RFC 3339 with milliseconds, which sorts as text. Rows go in several to a statement: reading the columns with
//! SQLite's own JSON functions cost four times as much (docs/decisions/0004-log-records-as-json.md). Beside the rows the
//! same transaction adds them up ([`super::usage`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use lockgate_host::{StoreError, Tx, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::question::{Denial, Page, Reply, RequestFilter};
use crate::resource::{Timestamp, Tokens};

use super::cells::Cells;
use super::usage::{self, Of, Request, Sums};

/// Values a row has, beside the workspace, which is one for all.
const VALUES: usize = 10;
/// Rows that one statement stores: a Durable Object takes at most 100 parameters.
const ROWS: usize = 9;

/// Text of a record, borrowed from it. Serde borrows a [`Cow`] only where it is a field by itself.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What filters and sums need of a record.
#[derive(Deserialize)]
struct Columns<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    gateway_key: Cow<'a, str>,
    #[serde(borrow)]
    agent: Cow<'a, str>,
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    team: Option<Text<'a>>,
    #[serde(borrow)]
    route: Option<Text<'a>>,
    #[serde(borrow)]
    provider: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    provider_key: Option<Text<'a>>,
    #[serde(borrow)]
    credential: Option<Text<'a>>,
    status: u64,
    tokens: Option<Tokens>,
    cost_microusd: Option<u64>,
}

pub(super) fn store(tx: &mut dyn Tx, workspace: &str, records: &str) -> Result<(), StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Constraint(error.to_string());
    let records: Vec<&RawValue> = serde_json::from_str(records).map_err(damaged)?;
    let mut sums = Sums::default();
    let full = (records.len() >= ROWS).then(|| statement(ROWS));
    for group in records.chunks(ROWS) {
        let mut params: Vec<Value> = Vec::with_capacity(1 + VALUES * ROWS);
        params.push(workspace.into());
        for record in group {
            let columns: Columns<'_> = serde_json::from_str(record.get()).map_err(damaged)?;
            let optional = |text: &Option<Text<'_>>| Value::from(text.as_ref().map(|t| &*t.0));
            params.extend([
                columns.at.as_ref().into(),
                columns.id.as_ref().into(),
                columns.gateway_key.as_ref().into(),
                columns.agent.as_ref().into(),
                optional(&columns.route),
                optional(&columns.provider),
                optional(&columns.model),
                optional(&columns.credential),
                columns.status.into(),
                record.get().into(),
            ]);
            count(&mut sums, columns);
        }
        match &full {
            Some(full) if group.len() == ROWS => tx.query(full, &params)?,
            _ => tx.query(&statement(group.len()), &params)?,
        };
    }
    used(tx, workspace, &sums)?;
    sums.store(tx, workspace)
}

/// How paths end where tokens are counted, which asks no provider.
const COUNT: &str = "/count_tokens";

/// Adds a request to the sums.
fn count<'a>(sums: &mut Sums<'a>, columns: Columns<'a>) {
    let text = |text: Option<Text<'a>>| text.map(|text| text.0).unwrap_or_default();
    let error = columns.status >= 400;
    let request = Request {
        error,
        tokens: columns.tokens.unwrap_or_default(),
        cost_microusd: columns.cost_microusd.unwrap_or_default(),
    };
    // Whoever asks can make up names of models, but not such as a provider answers to; tokens are counted without one.
    let model = columns
        .model
        .filter(|_| columns.provider.is_some() && !error && !columns.path.0.ends_with(COUNT));
    let of = Of {
        day: usage::day(&columns.at),
        gateway_key: columns.gateway_key,
        agent: columns.agent,
        team: text(columns.team),
        route: text(columns.route),
        provider: text(columns.provider),
        provider_key: text(columns.provider_key),
        model: text(model),
        credential: text(columns.credential),
    };
    sums.add(columns.at, of, &request);
}

/// Notes when the keys were last used.
fn used(tx: &mut dyn Tx, workspace: &str, sums: &Sums<'_>) -> Result<(), StoreError> {
    let mut keys: BTreeMap<&str, &str> = BTreeMap::new();
    let mut provider_keys: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (of, latest) in sums.latest() {
        later(keys.entry(&of.gateway_key), latest);
        // The platform's keys are of another workspace.
        if of.credential == "byok" {
            later(
                provider_keys.entry((&of.provider, &of.provider_key)),
                latest,
            );
        }
    }
    for (id, at) in keys {
        tx.query(
            "UPDATE gateway_keys SET last_used_at = ?2
             WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
            &[id.into(), milliseconds(at)],
        )?;
    }
    for ((provider, name), at) in provider_keys {
        tx.query(
            "UPDATE provider_keys SET last_used_at = ?4
             WHERE workspace = ?1 AND provider = ?2 AND name = ?3 AND (last_used_at IS NULL OR last_used_at < ?4)",
            &[workspace.into(), provider.into(), name.into(), milliseconds(at)],
        )?;
    }
    Ok(())
}

/// Keeps the latest of the times; as text they sort by time.
fn later<'a, K: Ord>(entry: Entry<'_, K, &'a str>, at: &'a str) {
    let latest = entry.or_default();
    *latest = at.max(*latest);
}

/// The statement that stores so many rows.
fn statement(rows: usize) -> String {
    let mut sql = String::from(
        "INSERT INTO requests (workspace, at, id, gateway_key, agent, route, provider, model, credential, status, record) VALUES",
    );
    for row in 0..rows {
        sql.push_str(if row == 0 { " (?1" } else { ", (?1" });
        for value in 0..VALUES {
            // Writing to a String cannot fail.
            let _ = write!(sql, ", ?{}", 2 + row * VALUES + value);
        }
        sql.push(')');
    }
    sql
}

fn milliseconds(at: &str) -> Value {
    Timestamp::parse(at).map(|t| t.0).into()
}

pub(super) fn list(
    tx: &mut dyn Tx,
    workspace: &str,
    filter: &RequestFilter,
    page: &Page,
) -> Result<Reply, Denial> {
    let mut sql = String::from("SELECT record FROM requests WHERE workspace = ?1");
    let mut params: Vec<Value> = vec![workspace.into()];
    let mut add = |condition: &str, value: Value| {
        params.push(value);
        sql.push_str(&format!(" AND {condition} ?{}", params.len()));
    };
    for (column, value) in filter.texts() {
        add(&format!("{column} ="), value.into());
    }
    if let Some(status) = filter.status {
        add("status =", u64::from(status).into());
    }
    if let Some(since) = filter.since {
        add("at >=", since.to_string().into());
    }
    if let Some(until) = filter.until {
        add("at <", until.to_string().into());
    }
    if let Some((at, id)) = &page.after {
        let at = Timestamp(*at).to_string();
        params.extend([at.into(), id.as_str().into()]);
        let n = params.len();
        sql.push_str(&format!(" AND (at, id) < (?{}, ?{n})", n - 1));
    }
    params.push(u64::from(page.limit).into());
    sql.push_str(&format!(
        " ORDER BY at DESC, id DESC LIMIT ?{}",
        params.len()
    ));
    let rows = tx.query(&sql, &params)?;
    let records: Result<_, _> = rows.into_iter().map(|row| Cells::new(row).json()).collect();
    Ok(Reply::Requests(records?))
}

/// Removes up to `most` records from before a time, the oldest first, and says how many.
pub(super) fn forget(
    tx: &mut dyn Tx,
    workspace: &str,
    before: Timestamp,
    most: u32,
) -> Result<u64, StoreError> {
    let gone = tx.query(
        "DELETE FROM requests WHERE workspace = ?1 AND (at, id) IN (
            SELECT at, id FROM requests WHERE workspace = ?1 AND at < ?2 ORDER BY at, id LIMIT ?3) RETURNING id",
        &[
            workspace.into(),
            before.to_string().into(),
            u64::from(most).into(),
        ],
    )?;
    Ok(gone.len() as u64)
}
