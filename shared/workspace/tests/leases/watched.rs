//! What is watched of each limit in a simulated world: what was used under it, and what its stored ledger says.

use std::cell::RefCell;

use lockgate_host::Value;
use lockgate_workspace::allowance::{Ledger, Window};
use lockgate_workspace::purse::Each;
use lockgate_workspace::question::Limit;
use lockgate_workspace::resource::{Budget, Limits, Period};

use super::sqlite::MemoryDatabase;
use super::world::{Rng, World};

pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const DAY: u64 = 86_400_000;
/// When a UTC day, and with it a month, begins: 2027-02-01.
pub(crate) const BORDER: u64 = 20_850 * DAY;

/// Units that were used, by the authority's clock.
pub(crate) struct Use {
    pub(crate) at: u64,
    /// When it is that decides in which day they count: for requests the same, for amounts when they were drawn.
    pub(crate) dated: u64,
    pub(crate) units: u64,
}

/// One limit of the world, and what was used under it.
pub(crate) struct Watched {
    pub(crate) kind: &'static str,
    pub(crate) window: Window,
    pub(crate) whole: u64,
    pub(crate) uses: RefCell<Vec<Use>>,
    /// Used beyond what was estimated, and when it was drawn.
    pub(crate) beyond: RefCell<Vec<(u64, u64)>>,
}

/// The first number that a statement answers.
pub(crate) fn number(database: &MemoryDatabase, sql: &str, params: &[Value]) -> Option<u64> {
    match database.sql(sql, params).unwrap().first()?.first()? {
        Value::Integer(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

/// The stored ledger of a kind.
pub(crate) fn ledger(database: &MemoryDatabase, kind: &str) -> Option<Ledger> {
    let sql = "SELECT ledger FROM ledgers WHERE kind = ?1";
    match database
        .sql(sql, &[kind.into()])
        .unwrap()
        .first()?
        .first()?
    {
        Value::Text(text) => Some(serde_json::from_str(text).unwrap()),
        _ => None,
    }
}

/// Takes units out of what a ledger counts as spent: what giving back a second time would do.
pub(crate) fn credit(database: &MemoryDatabase, kind: &str, mut units: u64) {
    let Some(ledger) = ledger(database, kind) else {
        return;
    };
    let mut json = serde_json::to_value(&ledger).unwrap();
    for spent in json["spent"].as_object_mut().unwrap().values_mut() {
        let taken = units.min(spent.as_u64().unwrap());
        units -= taken;
        *spent = (spent.as_u64().unwrap() - taken).into();
    }
    let text = json.to_string();
    let sql = "UPDATE ledgers SET ledger = ?2 WHERE kind = ?1";
    database
        .sql(sql, &[kind.into(), text.as_str().into()])
        .unwrap();
}

pub(crate) fn taken(each: &Each<u64>, kind: &str) -> u64 {
    match kind {
        "requests_per_minute" => each.minute,
        "requests_per_day" => each.day,
        "tokens_per_minute" => each.tokens,
        _ => each.budget,
    }
}

impl Watched {
    /// Looks whether there is too much in a window with `at` in it.
    pub(crate) fn check(&self, world: &World, at: u64, dated: u64) {
        let all = self.uses.borrow();
        let sum = |within: &dyn Fn(&Use) -> bool| -> u64 {
            all.iter().filter(|u| within(u)).map(|u| u.units).sum()
        };
        let most = match self.window {
            // Of all spans with this moment in them, those that begin with a use hold the most.
            Window::Minute => {
                let begins = all.iter().map(|u| u.at);
                let begins = begins.filter(|t| *t <= at && at < t + MINUTE);
                let held = begins.map(|t| sum(&|u| t <= u.at && u.at < t + MINUTE));
                held.max().unwrap_or(0)
            }
            // In the world there are two of each.
            Window::Day => sum(&|u| u.dated / DAY == dated / DAY),
            Window::Month => sum(&|u| (u.dated < BORDER) == (dated < BORDER)),
        };
        if most > self.whole {
            world.violated(|| {
                format!(
                    "{most} of {} were used around {at}, {} are allowed",
                    self.kind, self.whole
                )
            });
        }
    }
}

pub(crate) fn limit_of(kind: &str) -> Limit {
    match kind {
        "requests_per_minute" => Limit::RequestsPerMinute,
        "requests_per_day" => Limit::RequestsPerDay,
        "tokens_per_minute" => Limit::TokensPerMinute,
        _ => Limit::Budget,
    }
}

/// Some limits, and what is to be watched of them.
pub(crate) fn limits(rng: &Rng) -> (Limits, Option<Budget>, Vec<Watched>) {
    let mut watched = Vec::new();
    let mut some = |kind, window, whole: u64, chance| {
        rng.percent(chance).then(|| {
            watched.push(Watched {
                kind,
                window,
                whole,
                uses: RefCell::default(),
                beyond: RefCell::default(),
            });
            whole
        })
    };
    let limits = Limits {
        requests_per_minute: some(
            "requests_per_minute",
            Window::Minute,
            rng.between(1, 20),
            40,
        ),
        requests_per_day: some("requests_per_day", Window::Day, rng.between(1, 40), 30),
        tokens_per_minute: some("tokens_per_minute", Window::Minute, rng.between(10, 90), 40),
    };
    let (period, window, kind) = match rng.below(2) {
        0 => (Period::Day, Window::Day, "budget_per_day"),
        _ => (Period::Month, Window::Month, "budget_per_month"),
    };
    let chance = if limits.is_empty() { 100 } else { 30 };
    let amount = some(kind, window, rng.between(10, 150), chance);
    let budget = amount.map(|amount_microusd| Budget {
        amount_microusd,
        period,
    });
    (limits, budget, watched)
}
