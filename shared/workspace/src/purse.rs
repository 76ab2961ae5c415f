//! What an isolate holds of a gateway key's limits: grants drawn from the authority ([`crate::allowance`]), from which
//! requests are served with no hop for as long as their leases hold.
//!
//! Pure, so that the simulator in `tests/leases.rs` runs exactly what is served. Times are the isolate's own monotonic
//! clock.
//!
//! A request takes from one grant what it needs of every limit: one request, and tokens and money as estimated. When it
//! has ended it says what it came to ([`Purse::settle`]): the rest goes back to the grant while others may still take
//! from it, else to the authority. [`Purse::reports`] closes every grant, so that nothing is left behind in an isolate
//! that ends; the next request draws anew, and with it as much as was used lately.

mod acquire;

use std::rc::Rc;

use crate::allowance::Drawn;
use crate::lease::Lease;
use crate::question::{DrawnAll, DrawnPart, Draws, GrantPart, GrantReport, Limit, Want};
use crate::resource::{Budget, Limits};
pub use acquire::{Owner, Stopped, acquire};

/// Reports that did not reach the authority and are sent again, at most; of what is dropped, the units count as spent.
const MAX_UNTOLD: usize = 100;

/// Something for each limit that a key may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Each<T> {
    /// Of [`Limit::RequestsPerMinute`].
    pub minute: T,
    /// Of [`Limit::RequestsPerDay`].
    pub day: T,
    /// Of [`Limit::TokensPerMinute`].
    pub tokens: T,
    /// Of [`Limit::Budget`].
    pub budget: T,
}

impl<T> Each<T> {
    /// What there is of a limit.
    #[must_use]
    pub fn of(&self, limit: Limit) -> &T {
        match limit {
            Limit::RequestsPerMinute => &self.minute,
            Limit::RequestsPerDay => &self.day,
            Limit::TokensPerMinute => &self.tokens,
            Limit::Budget => &self.budget,
        }
    }

    fn of_mut(&mut self, limit: Limit) -> &mut T {
        match limit {
            Limit::RequestsPerMinute => &mut self.minute,
            Limit::RequestsPerDay => &mut self.day,
            Limit::TokensPerMinute => &mut self.tokens,
            Limit::Budget => &mut self.budget,
        }
    }
}

const LIMITS: [Limit; 4] = [
    Limit::RequestsPerMinute,
    Limit::RequestsPerDay,
    Limit::TokensPerMinute,
    Limit::Budget,
];

/// What a request takes of each limit that its key has, at least 1, so that whatever it comes to in the end has a grant
/// that it counts on; 0 of the others.
#[must_use]
pub fn needs(
    limits: &Limits,
    budget: Option<&Budget>,
    tokens: u64,
    microusd: u64,
) -> Option<Each<u64>> {
    if limits.is_empty() && budget.is_none() {
        return None;
    }
    let one = |limit: Option<u64>| u64::from(limit.is_some());
    Some(Each {
        minute: one(limits.requests_per_minute),
        day: one(limits.requests_per_day),
        tokens: limits.tokens_per_minute.map_or(0, |_| tokens.max(1)),
        budget: budget.map_or(0, |_| microusd.max(1)),
    })
}

/// What an isolate has of one limit in one grant. What is in none of these was used.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    drawn: bool,
    /// Not taken.
    free: u64,
    /// Taken by requests under way.
    held: u64,
    /// Never to be used.
    returned: u64,
    /// Used, out of what was taken.
    spent: u64,
    /// Used beyond what was taken. It is reported when no request holds anything, since only then the authority can tell
    /// it from what is held.
    beyond: u64,
}

#[derive(Debug)]
struct Grant {
    id: Rc<str>,
    lease: Lease,
    parts: Each<Part>,
    /// Whether requests may take from it.
    open: bool,
    /// Whether the authority does not know yet how it stands.
    changed: bool,
}

impl Grant {
    fn close(&mut self) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        self.changed = true;
        for limit in LIMITS {
            let part = self.parts.of_mut(limit);
            part.returned = part.returned.saturating_add(std::mem::take(&mut part.free));
        }
    }

    fn has(&self, needs: &Each<u64>) -> bool {
        LIMITS
            .iter()
            .all(|limit| *needs.of(*limit) <= self.parts.of(*limit).free)
    }

    fn take(&mut self, needs: &Each<u64>) {
        for limit in LIMITS {
            let (part, need) = (self.parts.of_mut(limit), *needs.of(limit));
            part.free = part.free.saturating_sub(need);
            part.held = part.held.saturating_add(need);
        }
    }

    fn is_held(&self) -> bool {
        LIMITS.iter().any(|limit| self.parts.of(*limit).held > 0)
    }

    fn report(&self, gateway_key: &str) -> GrantReport {
        let parts = LIMITS.iter().filter_map(|limit| {
            let part = self.parts.of(*limit);
            let beyond = if part.held == 0 { part.beyond } else { 0 };
            part.drawn.then(|| GrantPart {
                limit: *limit,
                returned: part.returned,
                spent: part.spent.saturating_add(beyond),
            })
        });
        GrantReport {
            gateway_key: gateway_key.to_owned(),
            grant: self.id.to_string(),
            parts: parts.collect(),
        }
    }
}

/// What a request has taken of its key's limits. It is to be settled.
#[derive(Debug, PartialEq, Eq)]
pub struct Hold {
    grant: Rc<str>,
    taken: Each<u64>,
}

impl Hold {
    /// The grant's id.
    #[must_use]
    pub fn grant(&self) -> &str {
        &self.grant
    }

    /// What was taken.
    #[must_use]
    pub fn taken(&self) -> &Each<u64> {
        &self.taken
    }
}

/// When a question was asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    at: u64,
    era: u64,
}

/// How a limit stood when the authority last spoke of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The whole limit.
    pub whole: u64,
    /// What is left of it, as far as the isolate knows.
    pub remaining: u64,
    /// Until all of it can be used again, were nothing more used, ms.
    pub reset_ms: u64,
}

/// What an isolate holds of one gateway key's limits.
#[derive(Debug)]
pub struct Purse {
    limits: Limits,
    budget: Option<Budget>,
    grants: Vec<Grant>,
    /// The latest time that the clock has shown.
    latest: u64,
    /// Counts what ends every lease: steps back of the clock, other limits.
    era: u64,
    /// Taken since the last flush, and between the two before.
    used: Each<u64>,
    pace: Each<u64>,
    reached: bool,
    /// What the authority said last, and when it was asked.
    said: Each<Option<(DrawnPart, u64)>>,
    untold: Vec<GrantReport>,
    /// When the draw that is under way was begun.
    filling: Option<u64>,
}

impl Purse {
    /// An empty purse for a key with these limits.
    #[must_use]
    pub fn new(limits: Limits, budget: Option<Budget>) -> Self {
        Self {
            limits,
            budget,
            grants: Vec::new(),
            latest: 0,
            era: 0,
            used: Each::default(),
            pace: Each::default(),
            reached: false,
            said: Each::default(),
            untold: Vec::new(),
            filling: None,
        }
    }

    /// The limits that the key has now. What was drawn under others is closed.
    pub fn under(&mut self, limits: &Limits, budget: Option<&Budget>) {
        if self.limits == *limits && self.budget.as_ref() == budget {
            return;
        }
        self.limits = *limits;
        self.budget = budget.copied();
        self.reached = false;
        self.said = Each::default();
        self.end();
    }

    /// Takes note of the time. A clock that has stepped back ends every lease, since nobody knows by how much they are too
    /// long.
    fn look(&mut self, now: u64) {
        if now < self.latest {
            self.end();
        }
        self.latest = now;
    }

    fn end(&mut self) {
        self.era += 1;
        self.close();
    }

    fn close(&mut self) {
        self.grants.iter_mut().for_each(Grant::close);
    }

    /// Takes what a request that starts now needs, if one grant under its lease has all of it.
    pub fn take(&mut self, now: u64, needs: &Each<u64>) -> Option<Hold> {
        self.look(now);
        let mut open = self.grants.iter_mut();
        let grant = open.find(|grant| grant.open && grant.lease.holds(now) && grant.has(needs))?;
        grant.take(needs);
        let hold = Hold {
            grant: grant.id.clone(),
            taken: *needs,
        };
        self.uses(needs);
        Some(hold)
    }

    fn uses(&mut self, needs: &Each<u64>) {
        for limit in LIMITS {
            let used = self.used.of_mut(limit);
            *used = used.saturating_add(*needs.of(limit));
        }
    }

    /// Whether the authority has refused the last draw: then it is asked what it would say before it is asked to write.
    #[must_use]
    pub fn is_at_its_limit(&self) -> bool {
        self.reached
    }

    /// Whether a draw is under way. One that has not come back after a second may never do.
    #[must_use]
    pub fn is_being_filled(&self, now: u64) -> bool {
        let recent = |began: u64| began <= now && now - began < 1_000;
        !self.reached && self.filling.is_some_and(recent)
    }

    /// A question is about to be asked.
    pub fn asks(&mut self, now: u64) -> Asked {
        self.look(now);
        Asked {
            at: now,
            era: self.era,
        }
    }

    /// The question for what a request needs, and for as much again as twice of what was used lately. `look`: only what the
    /// answer would be.
    #[must_use]
    pub fn draws(&self, gateway_key: &str, grant: &str, needs: &Each<u64>, look: bool) -> Draws {
        let wants = LIMITS.iter().filter_map(|limit| {
            let least = *needs.of(*limit);
            let used = *self.used.of(*limit).max(self.pace.of(*limit));
            (least > 0).then(|| Want {
                limit: *limit,
                least,
                most: least.saturating_add(used.saturating_mul(2)),
            })
        });
        Draws {
            gateway_key: gateway_key.to_owned(),
            grant: grant.to_owned(),
            look,
            wants: wants.collect(),
        }
    }

    /// Keeps what was granted to the question [`Purse::draws`], and takes of it what the request needs. `None`: it was
    /// refused.
    pub fn drawn(
        &mut self,
        (asked, now): (Asked, u64),
        grant: &str,
        needs: &Each<u64>,
        answer: &DrawnAll,
    ) -> Option<Hold> {
        self.look(now);
        self.heard(asked, answer);
        let mut parts: Each<Part> = Each::default();
        let mut lease = u64::MAX;
        for said in &answer.parts {
            let Drawn::Granted { units, lease_ms } = said.drawn else {
                return None;
            };
            lease = lease.min(lease_ms);
            let part = parts.of_mut(said.limit);
            part.drawn = true;
            part.free = units;
        }
        let mut grant = Grant {
            id: grant.into(),
            lease: Lease::new(asked.at, lease),
            parts,
            open: true,
            changed: true,
        };
        if !grant.has(needs) {
            return None;
        }
        grant.take(needs);
        if asked.era != self.era {
            grant.close();
        }
        let hold = Hold {
            grant: grant.id.clone(),
            taken: *needs,
        };
        self.grants.push(grant);
        self.uses(needs);
        Some(hold)
    }

    /// Takes note of how the limits stand.
    pub fn heard(&mut self, asked: Asked, answer: &DrawnAll) {
        let granted = |part: &DrawnPart| matches!(part.drawn, Drawn::Granted { .. });
        self.reached = !answer.parts.iter().all(granted);
        for said in &answer.parts {
            *self.said.of_mut(said.limit) = Some((*said, asked.at));
        }
    }

    /// No answer came: whatever was granted is not used.
    pub fn lost(&mut self, draws: Draws) {
        let all = |want: &Want| GrantPart {
            limit: want.limit,
            returned: u64::MAX,
            spent: 0,
        };
        let parts = draws.wants.iter().map(all).collect();
        self.untold(GrantReport {
            gateway_key: draws.gateway_key,
            grant: draws.grant,
            parts,
        });
    }

    /// A request has ended that came to `spent`. What it did not need can be taken by others while the lease holds.
    pub fn settle(&mut self, now: u64, hold: &Hold, spent: &Each<u64>) {
        self.look(now);
        let mut grants = self.grants.iter_mut();
        let Some(grant) = grants.find(|grant| grant.id == hold.grant) else {
            return;
        };
        grant.changed = true;
        let usable = grant.open && grant.lease.holds(now);
        for limit in LIMITS {
            let (taken, spent) = (*hold.taken.of(limit), *spent.of(limit));
            if taken == 0 {
                continue;
            }
            let part = grant.parts.of_mut(limit);
            part.held = part.held.saturating_sub(taken);
            // What nobody has taken goes before what nobody has drawn.
            let own = spent.min(taken);
            let free = (spent - own).min(part.free);
            part.free -= free;
            part.spent = part.spent.saturating_add(own).saturating_add(free);
            part.beyond = part.beyond.saturating_add(spent - own - free);
            let rest = if usable {
                &mut part.free
            } else {
                &mut part.returned
            };
            *rest = rest.saturating_add(taken - own);
        }
    }

    /// How a limit stands, where the authority has spoken of it.
    #[must_use]
    pub fn standing(&self, limit: Limit, now: u64) -> Option<Standing> {
        let (said, asked_at) = (*self.said.of(limit))?;
        let open = self.grants.iter().filter(|grant| grant.open);
        let free = open.fold(0, |sum: u64, grant| {
            sum.saturating_add(grant.parts.of(limit).free)
        });
        Some(Standing {
            whole: said.whole,
            remaining: said.available.saturating_add(free).min(said.whole),
            reset_ms: said.reset_ms.saturating_sub(now.saturating_sub(asked_at)),
        })
    }

    /// Closes every grant, and says what has become of those that the authority does not know everything of. What nobody
    /// holds is forgotten with it.
    pub fn reports(&mut self, gateway_key: &str) -> Vec<GrantReport> {
        self.close();
        let mut reports = std::mem::take(&mut self.untold);
        self.grants.retain_mut(|grant| {
            if std::mem::take(&mut grant.changed) {
                reports.push(grant.report(gateway_key));
            }
            grant.is_held()
        });
        reports
    }

    /// A flush begins: what was used since the last one is what the next one is expected to use.
    pub fn flushed(&mut self) {
        self.pace = std::mem::take(&mut self.used);
    }

    /// A report did not reach the authority and is to be sent again.
    pub fn untold(&mut self, report: GrantReport) {
        let mut grants = self.grants.iter_mut();
        if let Some(grant) = grants.find(|grant| *grant.id == *report.grant) {
            grant.changed = true;
        } else if self.untold.len() < MAX_UNTOLD {
            self.untold.push(report);
        }
    }

    /// Whether there is anything to be reported.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.untold.is_empty() || self.grants.iter().any(|grant| grant.changed)
    }

    /// Whether nothing is lost if it is forgotten.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.grants.is_empty() && self.untold.is_empty() && self.pace == Each::default()
    }
}
