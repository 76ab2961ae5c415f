//! The request log: written in groups, read newest first.
//!
//! A group is one JSON array, and one statement stores it whole, so a record costs no crossing into the engine of
//! its own. The columns are what filters need; `at` is RFC 3339 with milliseconds, which sorts as text.

use lockgate_host::{StoreError, Tx, Value};

use crate::question::{Denial, Page, Reply, RequestFilter};
use crate::resource::Timestamp;

use super::cells::Cells;

pub(super) fn store(tx: &mut dyn Tx, workspace: &str, records: &str) -> Result<(), StoreError> {
    tx.query(
        "INSERT INTO requests (workspace, at, id, gateway_key, agent, route, provider, model, credential, status, record)
         SELECT ?1, value ->> 'at', value ->> 'id', value ->> 'gateway_key', value ->> 'agent', value ->> 'route',
                value ->> 'provider', value ->> 'model', value ->> 'credential', value ->> 'status', value
         FROM json_each(?2)",
        &[workspace.into(), records.into()],
    )?;
    let used = tx.query(
        "SELECT value ->> 'gateway_key', max(value ->> 'at') FROM json_each(?1) GROUP BY 1",
        &[records.into()],
    )?;
    for row in used {
        let mut cells = Cells::new(row);
        let (id, at) = (cells.text()?, cells.text()?);
        tx.query(
            "UPDATE gateway_keys SET last_used_at = ?2
             WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
            &[id.into(), milliseconds(&at)],
        )?;
    }
    let used = tx.query(
        "SELECT value ->> 'provider', value ->> 'provider_key', max(value ->> 'at') FROM json_each(?1)
         WHERE value ->> 'provider_key' IS NOT NULL GROUP BY 1, 2",
        &[records.into()],
    )?;
    for row in used {
        let mut cells = Cells::new(row);
        let (provider, name, at) = (cells.text()?, cells.text()?, cells.text()?);
        tx.query(
            "UPDATE provider_keys SET last_used_at = ?4
             WHERE workspace = ?1 AND provider = ?2 AND name = ?3 AND (last_used_at IS NULL OR last_used_at < ?4)",
            &[workspace.into(), provider.into(), name.into(), milliseconds(&at)],
        )?;
    }
    Ok(())
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
    let texts = [
        ("gateway_key =", &filter.gateway_key),
        ("agent =", &filter.agent),
        ("route =", &filter.route),
        ("provider =", &filter.provider),
        ("model =", &filter.model),
        ("credential =", &filter.credential),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            add(condition, value.as_str().into());
        }
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
