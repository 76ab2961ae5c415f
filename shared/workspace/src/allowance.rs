//! Allowances: how limits and budgets stay exact although isolates count for themselves (DESIGN.md, “Limits and
//! budgets are exact under leases”).
//!
//! The authority keeps one [`Ledger`] for each limit. An isolate draws a number of units (requests, tokens,
//! micro-USD) and uses them for as long as its lease holds, with no hop ([`Allowance`]). Units are deducted before they
//! are handed out; what is reported unused comes back; what is not reported by the end of the lease is spent. Messages
//! may be lost and repeated: a grant has an id that the isolate makes, is deducted once and is given back once.
//!
//! Pure: the ledger is data that is stored in the transaction that answers, so a restart forgets nothing. Which limits
//! a gateway key has, and where their ledgers are stored, is decided where limits are enforced (the Routing part of the
//! product); `tests/leases.rs` runs this code over random schedules.
//!
//! # What is exact
//! By the authority's clock no half-open span of 60 s holds more than the limit ([`Window::Minute`]), and no UTC day or
//! month does. A unit counts at the latest time it might have been used: at the end of its grant's lease, margin
//! for drift included, or when the rest was given back. The request for which was asked counts from the draw on, however
//! late the answer reaches it. Until its grant has ended, a unit is counted as well, so it is never free in between.
//!
//! The ledger's own time never goes back: where the clock does, by up to [`STANDSTILL_MS`], the ledger stands still; where
//! it goes back further it was set wrong before, and the ledger moves with it, keeping everything it counts. A clock that
//! jumps forward may let a limit be exceeded by what was outstanding at that moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lease::{Lease, Lengths};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

/// Spent units of a sliding window are kept in slots of this length and count until the slot has passed: at most 600
/// entries a ledger, and a unit may come free this much later.
const SLOT_MS: u64 = 100;

/// One draw takes at most one in so many of the units left beyond what it needs, so that isolates share what is left
/// and the last units go one request at a time.
const SHARES: u64 = 8;

/// How long a grant is remembered after its end, for messages that come again.
const REMEMBERED_MS: u64 = 10_000;

/// The longest step back of the clock that the ledger sits out, ms.
pub const STANDSTILL_MS: u64 = 60_000;

/// The longest lease whose end, margin for drift included, comes before `left_ms` are over: what may be granted where
/// something expires, or a window ends, that soon. 0 where only the request that asks can be served.
#[must_use]
pub fn lease_within(left_ms: u64) -> u64 {
    // The inverse of the margin, from below: for a lease of up to 1 s it is 100 ms, above that a tenth.
    left_ms.saturating_sub((left_ms / 10).max(100))
}

/// What a limit is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// Any 60 seconds.
    Minute,
    /// A day in UTC.
    Day,
    /// A calendar month in UTC.
    Month,
}

impl Window {
    /// Until when something that counts at `at` is counted.
    fn counted_until(self, at: u64) -> u64 {
        match self {
            Self::Minute => at.div_ceil(SLOT_MS).saturating_mul(SLOT_MS) + MINUTE_MS,
            Self::Day | Self::Month => self.border(at).unwrap_or(u64::MAX),
        }
    }

    /// When the day or month of `at` ends; a sliding window has no border.
    fn border(self, at: u64) -> Option<u64> {
        let day = at / DAY_MS;
        match self {
            Self::Minute => None,
            Self::Day => Some((day + 1).saturating_mul(DAY_MS)),
            Self::Month => Some(next_month(day).saturating_mul(DAY_MS)),
        }
    }
}

/// The day on which the month after that of `day` begins; days count from 1970-01-01. After Howard Hinnant's
/// `civil_from_days`: years begin in March, so that the leap day is the last of a year.
fn next_month(day: u64) -> u64 {
    const ERA: u64 = 146_097;
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / ERA, shifted % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let year_began = 365 * year + year / 4 - year / 100;
    let month = (5 * (of_era - year_began) + 2) / 153;
    let next_began = if month == 11 {
        // From February to March: the beginning of the next year.
        let year = year + 1;
        365 * year + year / 4 - year / 100 + u64::from(year == 400)
    } else {
        year_began + (153 * (month + 1) + 2) / 5
    };
    era * ERA + next_began - 719_468
}

/// What became of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Its units may be being used.
    Out,
    /// Its lease ended without a report; all of it is spent.
    Ended,
    /// The rest was given back.
    Returned,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    units: u64,
    drawn_at: u64,
    lease_ms: u64,
    /// When the lease has ended by any clock that is within the margin.
    ends_at: u64,
    state: State,
}

/// What an isolate asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Nothing is left now, but others hold units that may come back: ask again after this time, or sooner.
    Wait {
        /// Until the first of them has ended, ms.
        retry_ms: u64,
    },
    /// The limit is reached, and nothing that is outstanding could change it: 429 or 402.
    Exhausted {
        /// Until there is enough again, ms.
        retry_ms: u64,
    },
    /// The request needs more than the whole limit.
    TooLarge,
    /// This grant was given back already.
    Over,
}

/// What one limit has handed out and what is spent of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    window: Window,
    limit: u64,
    /// The latest time it has seen.
    time: u64,
    grants: BTreeMap<String, Grant>,
    /// Spent units by the time until which they count.
    spent: BTreeMap<u64, u64>,
}

impl Ledger {
    /// A ledger of a limit of which nothing is spent.
    #[must_use]
    pub fn new(window: Window, limit: u64) -> Self {
        Self {
            window,
            limit,
            time: 0,
            grants: BTreeMap::new(),
            spent: BTreeMap::new(),
        }
    }

    /// Another limit from now on. What is outstanding stays so.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Units that isolates hold and have not reported, at `now`, ms since the Unix epoch.
    #[must_use]
    pub fn outstanding(&self, now: u64) -> u64 {
        let now = now.max(self.time);
        self.grants
            .values()
            .filter(|grant| grant.state == State::Out && now < grant.ends_at)
            .fold(0, |sum, grant| sum.saturating_add(grant.units))
    }

    /// Units that could be drawn at `now`.
    #[must_use]
    pub fn available(&self, now: u64) -> u64 {
        let now = now.max(self.time);
        let counted = |until: u64, units: u64| if now < until { units } else { 0 };
        let spent = self.spent.iter().map(|(until, units)| (*until, *units));
        let taken = spent
            .chain(self.unreported())
            .fold(0, |sum: u64, (until, units)| {
                sum.saturating_add(counted(until, units))
            });
        self.limit.saturating_sub(taken)
    }

    /// Grants not reported, with the time until which they count if they never are.
    fn unreported(&self) -> impl Iterator<Item = (u64, u64)> {
        let out = self.grants.values().filter(|g| g.state == State::Out);
        out.map(|grant| (self.window.counted_until(grant.ends_at), grant.units))
    }

    /// Why a draw of at least `least` units would not be granted at `now`; `None` where it would. It changes nothing, so
    /// a limit that is reached is told by reading.
    #[must_use]
    pub fn refusal(&self, now: u64, least: u64) -> Option<Drawn> {
        if now.saturating_add(STANDSTILL_MS) < self.time {
            // The clock has been set right, which only a draw takes note of.
            return None;
        }
        let now = now.max(self.time);
        let available = self.available(now);
        if available >= least {
            return None;
        }
        if least > self.limit {
            return Some(Drawn::TooLarge);
        }
        if available.saturating_add(self.outstanding(now)) >= least {
            let ends = self
                .grants
                .values()
                .filter(|g| g.state == State::Out && now < g.ends_at);
            let first = ends.map(|grant| grant.ends_at).min().unwrap_or(now);
            return Some(Drawn::Wait {
                retry_ms: first - now,
            });
        }
        let spent = self.spent.iter().map(|(until, units)| (*until, *units));
        let mut counted: Vec<(u64, u64)> = spent
            .chain(self.unreported())
            .filter(|(until, _)| now < *until)
            .collect();
        counted.sort_unstable();
        let mut free = available;
        let enough = counted.into_iter().find(|(_, units)| {
            free = free.saturating_add(*units);
            free >= least
        });
        Some(Drawn::Exhausted {
            retry_ms: enough.map_or(0, |(until, _)| until - now),
        })
    }

    /// Deducts units and hands them out. The same draw again is answered again and deducts nothing.
    pub fn draw(&mut self, now: u64, draw: &Draw) -> Drawn {
        let now = self.advance(now);
        if let Some(grant) = self.grants.get(&draw.grant) {
            if grant.state == State::Returned {
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
        let lease_ms = match self.window.border(now) {
            // One that ended at the border itself would count beyond it.
            Some(border) => draw
                .lease_ms
                .min(lease_within(border.saturating_sub(now + 1))),
            None => draw.lease_ms,
        };
        let units = if lease_ms == 0 {
            least
        } else {
            least.max(draw.most.min(self.available(now) / SHARES))
        };
        let grant = Grant {
            units,
            drawn_at: now,
            lease_ms,
            ends_at: now.saturating_add(Lengths::new(lease_ms).settle_ms()),
            state: State::Out,
        };
        self.grants.insert(draw.grant.clone(), grant);
        self.settle(now);
        Drawn::Granted { units, lease_ms }
    }

    /// Takes back what was not used of a grant, and says how much that is: nothing where the grant has ended, was given
    /// back before or is not known. The isolate must not use it any more when it sends this.
    pub fn give_back(&mut self, now: u64, grant: &str, unused: u64) -> u64 {
        let now = self.advance(now);
        let Some(grant) = self.grants.get_mut(grant) else {
            return 0;
        };
        if grant.state != State::Out {
            return 0;
        }
        grant.state = State::Returned;
        let unused = unused.min(grant.units);
        let used = grant.units - unused;
        self.spend(now, used);
        unused
    }

    fn spend(&mut self, at: u64, units: u64) {
        if units > 0 {
            let until = self.window.counted_until(at);
            let counted = self.spent.entry(until).or_default();
            *counted = counted.saturating_add(units);
        }
    }

    /// Takes over the time, and returns the ledger's own.
    fn advance(&mut self, now: u64) -> u64 {
        if now.saturating_add(STANDSTILL_MS) < self.time {
            self.move_back(now);
        }
        self.time = self.time.max(now);
        self.settle(self.time);
        self.time
    }

    /// Counts what has ended and forgets what no longer counts.
    fn settle(&mut self, now: u64) {
        let mut ended = Vec::new();
        for grant in self.grants.values_mut() {
            if grant.state == State::Out && grant.ends_at <= now {
                grant.state = State::Ended;
                ended.push((grant.ends_at, grant.units));
            }
        }
        for (at, units) in ended {
            self.spend(at, units);
        }
        self.grants.retain(|_, grant| {
            grant.state == State::Out || now < grant.ends_at.saturating_add(REMEMBERED_MS)
        });
        self.spent = self.spent.split_off(&now.saturating_add(1));
    }

    /// The clock was ahead and has been set right: everything stays as long ago, or as far off, as it was; what a day or
    /// month counts, this one counts.
    fn move_back(&mut self, now: u64) {
        let by = self.time - now;
        for grant in self.grants.values_mut() {
            grant.drawn_at = grant.drawn_at.saturating_sub(by);
            grant.ends_at = grant.ends_at.saturating_sub(by);
        }
        let border = self.window.border(now);
        let mut moved = BTreeMap::new();
        for (until, units) in std::mem::take(&mut self.spent) {
            let until = border.unwrap_or_else(|| until.saturating_sub(by));
            let counted: &mut u64 = moved.entry(until).or_default();
            *counted = counted.saturating_add(units);
        }
        self.spent = moved;
        self.time = now;
    }
}

/// What an isolate holds of a grant.
#[derive(Debug, PartialEq, Eq)]
pub struct Allowance {
    grant: String,
    left: u64,
    lease: Lease,
}

impl Allowance {
    /// What is left of `units` after the request that asked has taken the `own` that it needed, under a lease of
    /// `lease_ms` that was asked for at `asked_at` on the isolate's own clock.
    #[must_use]
    pub fn new(grant: String, units: u64, own: u64, asked_at: u64, lease_ms: u64) -> Self {
        Self {
            grant,
            left: units.saturating_sub(own),
            lease: Lease::new(asked_at, lease_ms),
        }
    }

    /// The grant's id.
    #[must_use]
    pub fn grant(&self) -> &str {
        &self.grant
    }

    /// Takes `units` for a request that starts now, if there are as many and the lease holds.
    #[must_use]
    pub fn take(&mut self, now: u64, units: u64) -> bool {
        let enough = self.lease.holds(now) && units <= self.left;
        if enough {
            self.left -= units;
        }
        enough
    }

    /// Ends it: the grant's id and what was not used, to be reported with [`Ledger::give_back`].
    #[must_use]
    pub fn close(self) -> (String, u64) {
        (self.grant, self.left)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::resource::Timestamp;

    fn at(text: &str) -> u64 {
        Timestamp::parse(text).unwrap().0
    }

    #[test]
    fn days_and_months_end_where_the_calendar_says() {
        let mut months = Vec::new();
        for year in [1970, 1999, 2000, 2024, 2026, 2100, 2399, 2400] {
            months.extend((1..=12).map(move |month| (year, month)));
        }
        for (year, month) in months {
            let (next_year, next) = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            let border = at(&format!("{next_year:04}-{next:02}-01T00:00:00Z"));
            let first = at(&format!("{year:04}-{month:02}-01T00:00:00Z"));
            for inside in [first, first + 13 * DAY_MS + 7, border - 1] {
                assert_eq!(Window::Month.border(inside), Some(border), "{year}-{month}");
            }
        }
        let noon = at("2026-02-28T12:00:00Z");
        assert_eq!(Window::Day.border(noon), Some(at("2026-03-01T00:00:00Z")));
        assert_eq!(Window::Minute.border(noon), None);
    }

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
