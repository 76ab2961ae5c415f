//! Usage, summed up by day and by whatever tells requests apart.
//!
//! The sums are added to where the log is written, in the same transaction: a group of records takes one upsert for what
//! is alike in it (docs/decisions/0011-usage-sums.md). They outlive the log, and are read without it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use lockgate_host::{StoreError, Tx, Value};

use crate::question::{Denial, Reply, UsageGroup, UsageQuery};
use crate::resource::{Timestamp, Tokens, UsageRow};

use super::cells::Cells;

/// What tells sums apart, within a workspace; the primary key. What a request had none of is the empty text.
const KEY: &str = "day, gateway_key, agent, team, route, provider, provider_key, model, credential";
/// What is added up.
const SUMS: [&str; 6] = [
    "requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost",
];
/// Characters of a day.
const DAY: usize = "2027-01-31".len();
/// Values a row has, beside the workspace, which is one for all.
const VALUES: usize = 15;
/// Rows that one statement stores: a Durable Object takes at most 100 parameters.
const ROWS: usize = 6;
/// Characters of a model's name that are kept.
const MAX_MODEL: usize = 256;
/// Tokens and micro-USD of a request that are counted: far above what one can take, and far below what sums can hold. What
/// a provider claims is nobody else's word.
const MAX_TOKENS: u64 = 1_000_000_000;
const MAX_COST: u64 = 100_000_000_000;
/// Lines in one answer at most.
const MAX_LINES: u32 = 10_000;

/// What a request is counted under.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Of<'a> {
    pub(super) day: Cow<'a, str>,
    pub(super) gateway_key: Cow<'a, str>,
    pub(super) agent: Cow<'a, str>,
    pub(super) team: Cow<'a, str>,
    pub(super) route: Cow<'a, str>,
    pub(super) provider: Cow<'a, str>,
    pub(super) provider_key: Cow<'a, str>,
    pub(super) model: Cow<'a, str>,
    pub(super) credential: Cow<'a, str>,
}

/// What one request adds.
pub(super) struct Request {
    pub(super) error: bool,
    pub(super) tokens: Tokens,
    pub(super) cost_microusd: u64,
}

/// What requests that are alike add.
#[derive(Default)]
struct Sum<'a> {
    /// When the last of them was.
    latest: Cow<'a, str>,
    sums: [u64; SUMS.len()],
}

/// What a group of records adds.
#[derive(Default)]
pub(super) struct Sums<'a>(BTreeMap<Of<'a>, Sum<'a>>);

impl<'a> Sums<'a> {
    /// Counts a request that came `at` this time.
    pub(super) fn add(&mut self, at: Cow<'a, str>, mut of: Of<'a>, request: &Request) {
        of.model = kept(of.model);
        let sum = self.0.entry(of).or_default();
        if sum.latest < at {
            sum.latest = at;
        }
        let tokens = &request.tokens;
        let added = [
            1,
            u64::from(request.error),
            tokens.input.min(MAX_TOKENS),
            tokens.cached_input.unwrap_or_default().min(MAX_TOKENS),
            tokens.output.min(MAX_TOKENS),
            request.cost_microusd.min(MAX_COST),
        ];
        for (sum, added) in sum.sums.iter_mut().zip(added) {
            *sum = sum.saturating_add(added);
        }
    }

    /// When the last request of each kind was.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&Of<'a>, &str)> {
        self.0.iter().map(|(of, sum)| (of, &*sum.latest))
    }

    /// Adds them to what is stored.
    pub(super) fn store(self, tx: &mut dyn Tx, workspace: &str) -> Result<(), StoreError> {
        let mut sums = self.0.into_iter();
        loop {
            let mut params: Vec<Value> = Vec::new();
            let mut rows = 0;
            for (of, sum) in sums.by_ref().take(ROWS) {
                if params.is_empty() {
                    params.push(workspace.into());
                }
                params.extend(of.values());
                params.extend(sum.sums.map(Value::from));
                rows += 1;
            }
            if rows == 0 {
                return Ok(());
            }
            tx.query(&statement(rows), &params)?;
        }
    }
}

impl Of<'_> {
    /// In the order of [`KEY`].
    fn values(self) -> [Value; 9] {
        [
            self.day,
            self.gateway_key,
            self.agent,
            self.team,
            self.route,
            self.provider,
            self.provider_key,
            self.model,
            self.credential,
        ]
        .map(|text| text.into_owned().into())
    }
}

/// The day of a time in RFC 3339.
pub(super) fn day<'a>(at: &Cow<'a, str>) -> Cow<'a, str> {
    match at {
        Cow::Borrowed(at) => Cow::Borrowed(at.get(..DAY).unwrap_or(at)),
        Cow::Owned(at) => Cow::Owned(at.get(..DAY).unwrap_or(at).to_owned()),
    }
}

fn day_of(at: Timestamp) -> String {
    day(&Cow::Owned(at.to_string())).into_owned()
}

fn kept(model: Cow<'_, str>) -> Cow<'_, str> {
    match model.char_indices().nth(MAX_MODEL) {
        Some((end, _)) => Cow::Owned(model.get(..end).unwrap_or_default().to_owned()),
        None => model,
    }
}

/// The statement that adds so many rows.
fn statement(rows: usize) -> String {
    let mut sql = format!(
        "INSERT INTO usage (workspace, {KEY}, {}) VALUES",
        SUMS.join(", ")
    );
    for row in 0..rows {
        sql.push_str(if row == 0 { " (?1" } else { ", (?1" });
        for value in 0..VALUES {
            // Writing to a String cannot fail.
            let _ = write!(sql, ", ?{}", 2 + row * VALUES + value);
        }
        sql.push(')');
    }
    let _ = write!(sql, " ON CONFLICT (workspace, {KEY}) DO UPDATE SET");
    for (n, sum) in SUMS.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(sql, "{comma} {sum} = usage.{sum} + excluded.{sum}");
    }
    sql
}

/// Sums by what the query groups by, in that order. Days are whole, so times count by the day they fall on.
pub(super) fn sums(tx: &mut dyn Tx, workspace: &str, query: &UsageQuery) -> Result<Reply, Denial> {
    let filter = &query.filter;
    if filter.status.is_some() {
        return Err(Denial::InUse(
            "usage is not kept by status: leave the filter out, and see errors, or GET /api/requests".into(),
        ));
    }
    let mut columns: Vec<&str> = Vec::new();
    for column in query.group_by.iter().copied().map(column) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let mut sql = String::from("SELECT ");
    for column in &columns {
        sql.push_str(column);
        sql.push_str(", ");
    }
    // Of no rows at all the sum is none.
    let sums = SUMS.map(|sum| format!("COALESCE(SUM({sum}), 0)"));
    sql.push_str(&sums.join(", "));
    sql.push_str(" FROM usage WHERE workspace = ?1");
    let mut params: Vec<Value> = vec![workspace.into()];
    let mut add = |condition: &str, value: Value| {
        params.push(value);
        let _ = write!(sql, " AND {condition} ?{}", params.len());
    };
    let team = query.team.as_deref().map(|team| ("team", team));
    for (column, value) in filter.texts().chain(team) {
        add(&format!("{column} ="), value.into());
    }
    if let Some(since) = filter.since {
        add("day >=", day_of(since).into());
    }
    match filter.until {
        // Nothing was before the first moment.
        Some(Timestamp(0)) => add("day <", "".into()),
        // The day that the last moment before it is in.
        Some(until) => add("day <=", day_of(Timestamp(until.0 - 1)).into()),
        None => {}
    }
    if !columns.is_empty() {
        let columns = columns.join(", ");
        let _ = write!(sql, " GROUP BY {columns} ORDER BY {columns}");
    }
    params.push(u64::from(query.limit.min(MAX_LINES)).into());
    let _ = write!(sql, " LIMIT ?{}", params.len());
    let rows = tx.query(&sql, &params)?;
    let lines: Result<_, _> = rows
        .into_iter()
        .map(|row| line(&columns, Cells::new(row)))
        .collect();
    Ok(Reply::Usage(lines?))
}

/// The column of a group, under whose name the answer has it too.
fn column(group: UsageGroup) -> &'static str {
    match group {
        UsageGroup::Day => "day",
        UsageGroup::GatewayKey => "gateway_key",
        UsageGroup::Agent => "agent",
        UsageGroup::Team => "team",
        UsageGroup::Route => "route",
        UsageGroup::Provider => "provider",
        UsageGroup::ProviderKey => "provider_key",
        UsageGroup::Model => "model",
        UsageGroup::Credential => "credential",
    }
}

fn line(columns: &[&str], mut cells: Cells) -> Result<UsageRow, StoreError> {
    let mut group = BTreeMap::new();
    for column in columns {
        let value = cells.text()?;
        group.insert(
            (*column).to_owned(),
            Some(value).filter(|value| !value.is_empty()),
        );
    }
    Ok(UsageRow {
        group,
        requests: cells.number()?,
        errors: cells.number()?,
        input_tokens: cells.number()?,
        cached_input_tokens: cells.number()?,
        output_tokens: cells.number()?,
        cost_microusd: cells.number()?,
    })
}

/// Removes up to `most` sums of days before the one that this time falls on, and says whether there may be more.
pub(super) fn forget(
    tx: &mut dyn Tx,
    workspace: &str,
    before: Timestamp,
    most: u32,
) -> Result<bool, StoreError> {
    let gone = tx.query(
        &format!(
            "DELETE FROM usage WHERE workspace = ?1 AND ({KEY}) IN (
                SELECT {KEY} FROM usage WHERE workspace = ?1 AND day < ?2 ORDER BY {KEY} LIMIT ?3) RETURNING day"
        ),
        &[
            workspace.into(),
            day_of(before).into(),
            u64::from(most).into(),
        ],
    )?;
    Ok(gone.len() as u64 >= u64::from(most))
}
