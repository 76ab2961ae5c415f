//! Allowances: how limits and budgets stay exact although isolates count for themselves (DESIGN.md, “Limits and
//! budgets are exact under leases”).
//!
//! The authority keeps one [`Ledger`] for each limit. An isolate draws a number of units (requests, tokens,
//! micro-USD) and hands them to requests for as long as its lease holds, with no hop ([`crate::purse`]). Units are
//! deducted before they are handed out; what is reported unused comes back; what is not reported in time is spent.
//! Messages may be lost, repeated and overtaken: a grant has an id that the isolate makes, is deducted once, and what is
//! reported of it is cumulative.
//!
//! Pure: the ledger is data that is stored in the transaction that answers, so a restart forgets nothing. Which limits
//! a gateway key has, and where their ledgers are stored, is decided in `authority/limits.rs`; `tests/leases.rs` runs this
//! code over random schedules.
//!
//! # A grant's life
//! While its lease runs, an isolate hands its units to requests. With its first report the isolate has closed it: nobody
//! begins to use it any more, and units neither returned nor spent are *held* by requests under way. They count until a
//! report says what became of them, but no longer than [`Measure`] allows after the lease; then they are spent.
//!
//! # What is exact
//! By the authority's clock no half-open span of 60 s holds more than the limit ([`Window::Minute`]), and no UTC day or
//! month does. A unit counts at the latest time it might have been used: a request when the lease has ended under which
//! it was admitted, margin for drift included, an amount when it was reported; both earlier where they are reported
//! earlier. Until then it is counted as well, so it is never free in between. In days and months a unit counts in the one in
//! which it was drawn. What a request took beyond its estimate counts in full, from the report on.
//!
//! The ledger's own time never goes back: where the clock does, by up to [`STANDSTILL_MS`], the ledger stands still; where
//! it goes back further it was set wrong before, and the ledger moves with it, keeping everything it counts. A clock that
//! jumps forward may let a limit be exceeded by what was outstanding at that moment.

mod window;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lease::Lengths;
pub use window::Window;

const MINUTE_MS: u64 = 60_000;

/// Spent units of a sliding window are kept in slots of this length and count until the slot has passed: at most some
/// 600 entries a ledger, and a unit may come free this much later.
const SLOT_MS: u64 = 100;

/// One draw takes at most one in so many of the units left beyond what it needs, so that isolates share what is left
/// and the last units go one request at a time.
const SHARES: u64 = 8;

/// How long a grant of which nothing is left is remembered, for messages that come again.
const REMEMBERED_MS: u64 = 10_000;

/// How long after its lease a request may be reported that was admitted but not sent.
const COUNT_HOLD_MS: u64 = 10_000;

/// How long after its lease an amount may be reported: a request that takes longer counts as it was estimated.
const AMOUNT_HOLD_MS: u64 = 600_000;

/// The longest step back of the clock that the ledger sits out, ms.
pub const STANDSTILL_MS: u64 = 60_000;

/// The longest lease whose end, margin for drift included, comes before `left_ms` are over: what may be granted where
/// something expires, or a window ends, that soon. 0 where only the request that asks can be served.
#[must_use]
pub fn lease_within(left_ms: u64) -> u64 {
    // The inverse of the margin, from below: for a lease of up to 1 s it is 100 ms, above that a tenth.
    left_ms.saturating_sub((left_ms / 10).max(100))
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Requests. Each is used when it is admitted. One that was not sent may be given back until 10 s after the lease.
    Count,
    /// Tokens or money, which requests hold until it is known what they came to; until 10 minutes after the lease.
    Amount,
}

impl Measure {
    fn hold_ms(self) -> u64 {
        match self {
            Self::Count => COUNT_HOLD_MS,
            Self::Amount => AMOUNT_HOLD_MS,
        }
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    units: u64,
    /// Of them, those that will never be used.
    #[serde(default, skip_serializing_if = "is_zero")]
    returned: u64,
    /// What was used, of the units and beyond them.
    #[serde(default, skip_serializing_if = "is_zero")]
    spent: u64,
    drawn_at: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    lease_ms: u64,
    /// When the day or month ends in which it was drawn; 0 in a sliding window.
    #[serde(default, skip_serializing_if = "is_zero")]
    border: u64,
    /// Whether the isolate has closed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reported: bool,
}

impl Grant {
    /// When its lease has ended by any clock that is within the margin.
    fn ends_at(&self) -> u64 {
        let lengths = Lengths::new(self.lease_ms);
        self.drawn_at.saturating_add(lengths.settle_ms())
    }

    /// Units of which it is not known what became of them.
    fn held(&self) -> u64 {
        self.units
            .saturating_sub(self.returned)
            .saturating_sub(self.spent)
    }

    /// Whether requests may still begin to use it.
    fn is_open(&self, now: u64) -> bool {
        !self.reported && now < self.ends_at()
    }
}

/// What an isolate asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The grant's id, made by the isolate, different for each draw, the same where the question is sent again.
    pub grant: String,
    /// What the request at hand needs, at least 1.
    pub least: u64,
    /// What would be welcome with it.
    pub most: u64,
    /// The lease that goes with the answer, ms.
    pub lease_ms: u64,
}

/// The answer to a [`Draw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drawn {
    /// Take these.
    Granted {
        /// From `least` to `most`.
        units: u64,
        /// How long what the asking request does not need may be used, ms from before the question was sent; never past
        /// a border of the window.
        lease_ms: u64,
    },
    /// Nothing is left now, but others have units that may come back: ask again after this time, or sooner.
    Wait {
        /// Until the first of them has ended, ms.
        retry_ms: u64,
    },
    /// The limit is reached, and nothing that is not in use could change it: 429 or 402.
    Exhausted {
        /// Until there is enough again, were requests under way to end now, ms.
        retry_ms: u64,
    },
    /// The request needs more than the whole limit.
    TooLarge,
    /// This grant was closed already.
    Over,
}

/// What one limit has handed out and what is spent of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    window: Window,
    measure: Measure,
    limit: u64,
    /// The latest time it has seen.
    time: u64,
    grants: BTreeMap<String, Grant>,
    /// Grants of which nothing is left, with the time until which they are remembered.
    over: BTreeMap<String, u64>,
    /// Spent units by the time until which they count.
    spent: BTreeMap<u64, u64>,
}

impl Ledger {
    /// A ledger of a limit of which nothing is spent.
    #[must_use]
    pub fn new(window: Window, measure: Measure, limit: u64) -> Self {
        Self {
            window,
            measure,
            limit,
            time: 0,
            grants: BTreeMap::new(),
            over: BTreeMap::new(),
            spent: BTreeMap::new(),
        }
    }

    /// Another limit from now on. What is outstanding stays so.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Units that no request holds, as far as is known, and that may come back, at `now`, ms since the Unix epoch.
    #[must_use]
    pub fn outstanding(&self, now: u64) -> u64 {
        let now = now.max(self.time);
        let open = self.grants.values().filter(|grant| grant.is_open(now));
        open.fold(0, |sum, grant| sum.saturating_add(grant.held()))
    }

    /// Units that could be drawn at `now`.
    #[must_use]
    pub fn available(&self, now: u64) -> u64 {
        let now = now.max(self.time);
        let held = self.grants.values().map(|grant| {
            let until = self.counts_until(grant, self.hold_until(grant));
            (until, grant.held())
        });
        let counted = self.spent().chain(held).filter(|(until, _)| now < *until);
        let taken = counted.fold(0, |sum: u64, (_, units)| sum.saturating_add(units));
        self.limit.saturating_sub(taken)
    }

    /// How long until all of it could be drawn, were nothing more used and requests under way to end now, ms.
    #[must_use]
    pub fn reset_ms(&self, now: u64) -> u64 {
        let now = now.max(self.time);
        let last = self.expected(now).map(|(until, _)| until).max();
        last.map_or(0, |until| until.saturating_sub(now))
    }

    fn spent(&self) -> impl Iterator<Item = (u64, u64)> {
        self.spent.iter().map(|(until, units)| (*until, *units))
    }

    /// What counts, with the time until which it does if requests under way end now.
    fn expected(&self, now: u64) -> impl Iterator<Item = (u64, u64)> {
        let held = self.grants.values().map(move |grant| {
            let until = self.counts_until(grant, now.min(self.hold_until(grant)));
            (until, grant.held())
        });
        self.spent().chain(held).filter(move |entry| now < entry.0)
    }

    /// Until when what was reported, or taken for spent, at `at` counts.
    fn counts_until(&self, grant: &Grant, at: u64) -> u64 {
        let used_by = match (self.window, self.measure) {
            (Window::Day | Window::Month, _) => return grant.border,
            (Window::Minute, Measure::Count) => at.min(grant.ends_at()),
            (Window::Minute, Measure::Amount) => at,
        };
        let slot = used_by.div_ceil(SLOT_MS).saturating_mul(SLOT_MS);
        slot.saturating_add(MINUTE_MS)
    }

    /// Until when a grant may be reported.
    fn hold_until(&self, grant: &Grant) -> u64 {
        grant.ends_at().saturating_add(self.measure.hold_ms())
    }

    /// Why a draw of at least `least` units would not be granted at `now`; `None` where it would. It changes nothing, so
    /// a limit that is reached is told by reading.
    #[must_use]
    pub fn refusal(&self, now: u64, least: u64) -> Option<Drawn> {
        if self.is_ahead(now) {
            // The clock has been set right, which only a draw takes note of.
            return None;
        }
        let now = now.max(self.time);
        let least = least.max(1);
        let mut free = self.available(now);
        if free >= least {
            return None;
        }
        if least > self.limit {
            return Some(Drawn::TooLarge);
        }
        if free.saturating_add(self.outstanding(now)) >= least {
            let open = self.grants.values().filter(|grant| grant.is_open(now));
            let first = open.map(Grant::ends_at).min().unwrap_or(now);
            return Some(Drawn::Wait {
                retry_ms: first.saturating_sub(now),
            });
        }
        let mut counted: Vec<(u64, u64)> = self.expected(now).collect();
        counted.sort_unstable();
        let enough = counted.into_iter().find(|(_, units)| {
            free = free.saturating_add(*units);
            free >= least
        });
        Some(Drawn::Exhausted {
            retry_ms: enough.map_or(0, |(until, _)| until.saturating_sub(now)),
        })
    }

    /// Deducts units and hands them out. The same draw again is answered again and deducts nothing.
    pub fn draw(&mut self, now: u64, draw: &Draw) -> Drawn {
        let now = self.advance(now);
        if self.over.contains_key(&draw.grant) {
            return Drawn::Over;
        }
        if let Some(grant) = self.grants.get(&draw.grant) {
            if grant.reported {
                return Drawn::Over;
            }
            let passed = now.saturating_sub(grant.drawn_at);
            return Drawn::Granted {
                units: grant.units,
                lease_ms: grant.lease_ms.saturating_sub(passed),
            };
        }
        let least = draw.least.max(1);
        if let Some(refusal) = self.refusal(now, least) {
            return refusal;
        }
        let border = self.window.border(now);
        let lease_ms = match border {
            // One that ended at the border itself would count beyond it.
            Some(border) => {
                let left = border.saturating_sub(now.saturating_add(1));
                draw.lease_ms.min(lease_within(left))
            }
            None => draw.lease_ms,
        };
        let units = if lease_ms == 0 {
            least
        } else {
            least.max(draw.most.min(self.available(now) / SHARES))
        };
        let grant = Grant {
            units,
            returned: 0,
            spent: 0,
            drawn_at: now,
            lease_ms,
            border: border.unwrap_or_default(),
            reported: false,
        };
        self.grants.insert(draw.grant.clone(), grant);
        Drawn::Granted { units, lease_ms }
    }

    /// Takes note of what has become of a grant so far: how many of its units will never be used, and how many were, and
    /// were used beyond them. Both are cumulative, so that it may be said again, late, and out of order. With the first
    /// report nothing of the grant may be handed to requests any more. Nothing is done where the grant is not known (any
    /// more).
    pub fn report(&mut self, now: u64, id: &str, returned: u64, spent: u64) {
        let now = self.advance(now);
        let Some(mut grant) = self.grants.remove(id) else {
            return;
        };
        let until = self.counts_until(&grant, now);
        let more = spent.saturating_sub(grant.spent);
        grant.reported = true;
        grant.returned = grant.returned.max(returned.min(grant.units));
        grant.spent = grant.spent.saturating_add(more);
        self.spend(until, more);
        if grant.held() == 0 {
            let remembered = now.saturating_add(REMEMBERED_MS);
            self.over.insert(id.to_owned(), remembered);
        } else {
            self.grants.insert(id.to_owned(), grant);
        }
    }

    fn spend(&mut self, until: u64, units: u64) {
        if units > 0 && until > self.time {
            let counted = self.spent.entry(until).or_default();
            *counted = counted.saturating_add(units);
        }
    }

    /// Whether its time is so far ahead that the clock must have been set back since.
    #[must_use]
    pub fn is_ahead(&self, now: u64) -> bool {
        now.saturating_add(STANDSTILL_MS) < self.time
    }

    /// Takes over the time, counts what has ended and forgets what no longer counts. Returns the ledger's own time.
    pub fn advance(&mut self, now: u64) -> u64 {
        if self.is_ahead(now) {
            self.move_back(now);
        }
        self.time = self.time.max(now);
        let now = self.time;
        let mut ended = Vec::new();
        for (id, grant) in &self.grants {
            let at = self.hold_until(grant);
            if at <= now {
                let until = self.counts_until(grant, at);
                ended.push((id.clone(), at, until, grant.held()));
            }
        }
        for (id, at, until, units) in ended {
            self.grants.remove(&id);
            self.over.insert(id, at.saturating_add(REMEMBERED_MS));
            self.spend(until, units);
        }
        self.over.retain(|_, until| now < *until);
        self.spent = self.spent.split_off(&now.saturating_add(1));
        now
    }

    /// The clock was ahead and has been set right: everything stays as long ago, or as far off, as it was; what a day or
    /// month counts, this one counts.
    fn move_back(&mut self, now: u64) {
        let by = self.time.saturating_sub(now);
        let border = self.window.border(now);
        for grant in self.grants.values_mut() {
            grant.drawn_at = grant.drawn_at.saturating_sub(by);
            grant.border = border.unwrap_or_default();
        }
        for until in self.over.values_mut() {
            *until = until.saturating_sub(by);
        }
        self.time = now;
        for (until, units) in std::mem::take(&mut self.spent) {
            self.spend(border.unwrap_or_else(|| until.saturating_sub(by)), units);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_with_its_margin_ends_within_what_is_left() {
        for left in 0..30_000 {
            let lease = lease_within(left);
            assert!(Lengths::new(lease).settle_ms() <= left, "{left}: {lease}");
        }
        assert_eq!(lease_within(1_100), 990);
        assert_eq!(lease_within(100), 0);
    }
}
