//! The request log: written in groups, read newest first.

use std::collections::BTreeMap;

use lockgate_host::{StoreError, Tx, Value};

use crate::question::{Denial, Page, Reply, RequestFilter};
use crate::resource::RequestRecord;

use super::cells::{Cells, json};

const COLUMNS: &str = "id, at, milliseconds, gateway_key, agent, gateway, team, path, route, provider, model, \
                       provider_key, credential, status, code, stream, outcome, attempts";

pub(super) fn store(
    tx: &mut dyn Tx,
    workspace: &str,
    records: &[RequestRecord],
) -> Result<(), StoreError> {
    let mut keys: BTreeMap<&str, u64> = BTreeMap::new();
    let mut provider_keys: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let insert = format!(
        "INSERT INTO requests (workspace, {COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
    );
    for record in records {
        let latest = keys.entry(&record.gateway_key).or_default();
        *latest = record.at.0.max(*latest);
        if let (Some(provider), Some(name)) = (&record.provider, &record.provider_key) {
            let latest = provider_keys.entry((provider, name)).or_default();
            *latest = record.at.0.max(*latest);
        }
        tx.query(
            &insert,
            &[
                workspace.into(),
                record.id.as_str().into(),
                record.at.0.into(),
                record.milliseconds.into(),
                record.gateway_key.as_str().into(),
                record.agent.as_str().into(),
                record.gateway.clone().into(),
                record.team.clone().into(),
                record.path.as_str().into(),
                record.route.clone().into(),
                record.provider.clone().into(),
                record.model.clone().into(),
                record.provider_key.clone().into(),
                record.credential.clone().into(),
                u64::from(record.status).into(),
                record.code.clone().into(),
                record.stream.into(),
                record.outcome.clone().into(),
                json(&record.attempts),
            ],
        )?;
    }
    for (id, at) in keys {
        tx.query(
            "UPDATE gateway_keys SET last_used_at = ?2
             WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
            &[id.into(), at.into()],
        )?;
    }
    for ((provider, name), at) in provider_keys {
        tx.query(
            "UPDATE provider_keys SET last_used_at = ?4
             WHERE workspace = ?1 AND provider = ?2 AND name = ?3 AND (last_used_at IS NULL OR last_used_at < ?4)",
            &[workspace.into(), provider.into(), name.into(), at.into()],
        )?;
    }
    Ok(())
}

pub(super) fn list(
    tx: &mut dyn Tx,
    workspace: &str,
    filter: &RequestFilter,
    page: &Page,
) -> Result<Reply, Denial> {
    let mut sql = format!("SELECT {COLUMNS} FROM requests WHERE workspace = ?1");
    let mut params: Vec<Value> = vec![workspace.into()];
    let mut add = |condition: &str, value: Value| {
        params.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace("{}", &format!("?{}", params.len())));
    };
    let texts = [
        ("gateway_key = {}", &filter.gateway_key),
        ("agent = {}", &filter.agent),
        ("route = {}", &filter.route),
        ("provider = {}", &filter.provider),
        ("model = {}", &filter.model),
        ("credential = {}", &filter.credential),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            add(condition, value.as_str().into());
        }
    }
    if let Some(status) = filter.status {
        add("status = {}", u64::from(status).into());
    }
    if let Some(since) = filter.since {
        add("at >= {}", since.0.into());
    }
    if let Some(until) = filter.until {
        add("at < {}", until.0.into());
    }
    if let Some((at, id)) = &page.after {
        add("at <= {}", (*at).into());
        params.extend([(*at).into(), id.as_str().into()]);
        let n = params.len();
        sql.push_str(&format!(" AND (at < ?{} OR id < ?{n})", n - 1));
    }
    params.push(u64::from(page.limit).into());
    sql.push_str(&format!(
        " ORDER BY at DESC, id DESC LIMIT ?{}",
        params.len()
    ));
    let rows = tx.query(&sql, &params)?;
    let records: Result<_, _> = rows.into_iter().map(|row| read(Cells::new(row))).collect();
    Ok(Reply::Requests(records?))
}

fn read(mut cells: Cells) -> Result<RequestRecord, StoreError> {
    Ok(RequestRecord {
        id: cells.text()?,
        at: cells.time()?,
        milliseconds: cells.number()?,
        gateway_key: cells.text()?,
        agent: cells.text()?,
        gateway: cells.optional_text()?,
        team: cells.optional_text()?,
        path: cells.text()?,
        route: cells.optional_text()?,
        provider: cells.optional_text()?,
        model: cells.optional_text()?,
        provider_key: cells.optional_text()?,
        credential: cells.optional_text()?,
        status: u16::try_from(cells.number()?).unwrap_or(0),
        code: cells.optional_text()?,
        stream: cells.flag()?,
        outcome: cells.optional_text()?,
        attempts: cells.json()?,
    })
}
