//! Limits of gateway keys: a ledger for each, drawn from and reported to (DESIGN.md, “Limits and budgets are exact under
//! leases”).
//!
//! What a key may use is read in the transaction that answers, so a change of it is in force at once. A budget that is
//! given another period begins anew, and continues where it was when it is given the old one back.

use std::collections::BTreeMap;

use lockgate_host::{StoreError, Tx};

use crate::allowance::{Draw, Drawn, Ledger, Measure, Window};
use crate::lease::Lengths;
use crate::question::{Denial, DrawnAll, DrawnPart, Draws, GrantReport, Limit, Reply, Want};
use crate::resource::{Budget, Limits, Period};

use super::cells::{Cells, json, not_found};

/// What is in force for one limit of a key.
struct Rule {
    kind: &'static str,
    window: Window,
    measure: Measure,
    whole: u64,
}

const REQUESTS_PER_MINUTE: &str = "requests_per_minute";
const REQUESTS_PER_DAY: &str = "requests_per_day";
const TOKENS_PER_MINUTE: &str = "tokens_per_minute";
const BUDGET_PER_DAY: &str = "budget_per_day";
const BUDGET_PER_MONTH: &str = "budget_per_month";

/// The ledgers that a limit may have, whatever its period.
fn kinds(limit: Limit) -> &'static [&'static str] {
    match limit {
        Limit::RequestsPerMinute => &[REQUESTS_PER_MINUTE],
        Limit::RequestsPerDay => &[REQUESTS_PER_DAY],
        Limit::TokensPerMinute => &[TOKENS_PER_MINUTE],
        Limit::Budget => &[BUDGET_PER_DAY, BUDGET_PER_MONTH],
    }
}

fn rule(limit: Limit, limits: &Limits, budget: Option<&Budget>) -> Option<Rule> {
    let (kind, window, measure, whole) = match limit {
        Limit::RequestsPerMinute => (
            REQUESTS_PER_MINUTE,
            Window::Minute,
            Measure::Count,
            limits.requests_per_minute?,
        ),
        Limit::RequestsPerDay => (
            REQUESTS_PER_DAY,
            Window::Day,
            Measure::Count,
            limits.requests_per_day?,
        ),
        Limit::TokensPerMinute => (
            TOKENS_PER_MINUTE,
            Window::Minute,
            Measure::Amount,
            limits.tokens_per_minute?,
        ),
        Limit::Budget => {
            let budget = budget?;
            let (kind, window) = match budget.period {
                Period::Day => (BUDGET_PER_DAY, Window::Day),
                Period::Month => (BUDGET_PER_MONTH, Window::Month),
            };
            (kind, window, Measure::Amount, budget.amount_microusd)
        }
    };
    Some(Rule {
        kind,
        window,
        measure,
        whole,
    })
}

/// The stored ledgers of a gateway key.
fn load(tx: &mut dyn Tx, gateway_key: &str) -> Result<BTreeMap<String, Ledger>, StoreError> {
    let rows = tx.query(
        "SELECT kind, ledger FROM ledgers WHERE gateway_key = ?1",
        &[gateway_key.into()],
    )?;
    let ledger = |row| {
        let mut cells = Cells::new(row);
        Ok((cells.text()?, cells.json()?))
    };
    rows.into_iter().map(ledger).collect()
}

fn store(
    tx: &mut dyn Tx,
    workspace: &str,
    gateway_key: &str,
    kind: &str,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    tx.query(
        "INSERT INTO ledgers (workspace, gateway_key, kind, ledger) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (gateway_key, kind) DO UPDATE SET ledger = excluded.ledger",
        &[
            workspace.into(),
            gateway_key.into(),
            kind.into(),
            json(ledger),
        ],
    )
    .map(|_| ())
}

pub(super) fn draw(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    lengths: Lengths,
    draws: &Draws,
) -> Result<Reply, Denial> {
    let gateway_key = draws.gateway_key.as_str();
    let rows = tx.query(
        "SELECT limits, budget FROM gateway_keys WHERE workspace = ?1 AND id = ?2 AND revoked_at IS NULL",
        &[workspace.into(), gateway_key.into()],
    )?;
    let Some(row) = rows.into_iter().next() else {
        return Err(not_found("gateway key", gateway_key));
    };
    let mut cells = Cells::new(row);
    let (limits, budget): (Limits, Option<Budget>) = (cells.json()?, cells.optional_json()?);
    let mut stored = load(tx, gateway_key)?;
    let (mut parts, mut changed) = (Vec::new(), Vec::new());
    for want in &draws.wants {
        let Some(rule) = rule(want.limit, &limits, budget.as_ref()) else {
            parts.push((without(want, lengths), u64::MAX));
            continue;
        };
        let ledger = stored.remove(rule.kind);
        let mut ledger = ledger.unwrap_or_else(|| Ledger::new(rule.window, rule.measure, 0));
        ledger.set_limit(rule.whole);
        if ledger.is_ahead(now_ms) && !draws.look {
            // Kept even where the draw is refused, or else its time would never begin to run.
            ledger.advance(now_ms);
            store(tx, workspace, gateway_key, rule.kind, &ledger)?;
        }
        let available = ledger.available(now_ms);
        let (least, lease_ms) = (want.least, lengths.lease_ms);
        let drawn = if draws.look {
            let granted = Drawn::Granted {
                units: least,
                lease_ms,
            };
            ledger.refusal(now_ms, least).unwrap_or(granted)
        } else {
            let draw = Draw {
                grant: draws.grant.clone(),
                least,
                most: want.most,
                lease_ms,
            };
            ledger.draw(now_ms, &draw)
        };
        let part = DrawnPart {
            limit: want.limit,
            drawn,
            whole: rule.whole,
            available: ledger.available(now_ms),
            reset_ms: ledger.reset_ms(now_ms),
        };
        parts.push((part, available));
        changed.push((rule.kind, ledger));
    }
    let granted = |(part, _): &(DrawnPart, u64)| matches!(part.drawn, Drawn::Granted { .. });
    let all = parts.iter().all(granted);
    if all && !draws.look {
        for (kind, ledger) in &changed {
            store(tx, workspace, gateway_key, kind, ledger)?;
        }
    }
    let parts = parts.into_iter().map(|(part, before)| DrawnPart {
        // Where one refuses, nothing was taken from the others.
        available: if all { part.available } else { before },
        ..part
    });
    Ok(Reply::Drawn(DrawnAll {
        parts: parts.collect(),
    }))
}

/// The answer of a limit that the key has no more.
fn without(want: &Want, lengths: Lengths) -> DrawnPart {
    DrawnPart {
        limit: want.limit,
        drawn: Drawn::Granted {
            units: want.least.max(want.most),
            lease_ms: lengths.lease_ms,
        },
        whole: u64::MAX,
        available: u64::MAX,
        reset_ms: 0,
    }
}

pub(super) fn report(
    tx: &mut dyn Tx,
    now_ms: u64,
    grants: &[GrantReport],
) -> Result<(), StoreError> {
    let mut by_key: BTreeMap<&str, Vec<&GrantReport>> = BTreeMap::new();
    for report in grants {
        let of_key = by_key.entry(&report.gateway_key).or_default();
        of_key.push(report);
    }
    for (gateway_key, reports) in by_key {
        let rows = tx.query(
            "SELECT workspace FROM gateway_keys WHERE id = ?1 AND revoked_at IS NULL",
            &[gateway_key.into()],
        )?;
        let Some(row) = rows.into_iter().next() else {
            // Nobody will ever draw from them again.
            let delete = "DELETE FROM ledgers WHERE gateway_key = ?1";
            tx.query(delete, &[gateway_key.into()])?;
            continue;
        };
        let workspace = Cells::new(row).text()?;
        for (kind, mut ledger) in load(tx, gateway_key)? {
            let before = ledger.clone();
            for report in &reports {
                let of_kind = |limit| kinds(limit).contains(&kind.as_str());
                for part in report.parts.iter().filter(|part| of_kind(part.limit)) {
                    ledger.report(now_ms, &report.grant, part.returned, part.spent);
                }
            }
            if ledger != before {
                store(tx, &workspace, gateway_key, &kind, &ledger)?;
            }
        }
    }
    Ok(())
}
