//! What the audit log is to know of requests: denials by policy, and soft pins that were passed over. They are counted
//! together where they are alike, and go to the authority with the request log: at once while they are new, then once a
//! minute, so that a client that goes on and on does not fill the log. What is counted in between is told by the next
//! flush that finds the minute over, whoever's request it hangs on; an isolate that ends before takes it along.

use std::collections::HashMap;

use lockgate_routing::{NotReady, PassedOver};
use lockgate_workspace::question::Incident;
use lockgate_workspace::resource::Timestamp;

/// Kinds of one workspace that are told apart by their models. What comes on top is counted without one, so that a
/// client that makes up models cannot fill the log: all else that tells kinds apart has been made by whoever runs the
/// workspace.
const MAX_APART: usize = 64;
/// Kinds of one workspace that are remembered; were there more, all are told and forgotten.
const MAX_KINDS: usize = 1_000;
/// So long a kind is new and told by each flush: a short series is then there as a whole, with no request after it.
const NEW_MS: u64 = 2_000;
/// So long a kind that is no longer new waits from one telling to the next.
const PAUSE_MS: u64 = 60_000;

/// What happened to one request.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    action: &'static str,
    provider_key: Option<String>,
    reason: &'static str,
}

impl Event {
    /// Policy denied a request; `None` where something else was the matter.
    pub(crate) fn denied(not_ready: &NotReady<'_>) -> Option<Self> {
        not_ready.reason.denies().then(|| Self {
            action: "access.deny",
            provider_key: not_ready.key.map(|key| key.name.clone()),
            reason: not_ready.reason.word(),
        })
    }

    /// A soft pin was passed over.
    pub(crate) fn passed_over(passed_over: &PassedOver<'_>) -> Self {
        Self {
            action: "pin.fallback",
            provider_key: Some(passed_over.pin.name.clone()),
            reason: passed_over.reason.word(),
        }
    }

    /// Whose request it was, and where it was to go.
    pub(crate) fn of(self, request: Of<'_>) -> Kind {
        Kind {
            action: self.action,
            gateway_key: request.gateway_key.to_owned(),
            agent: request.agent.to_owned(),
            provider: request.provider.to_owned(),
            provider_key: self.provider_key,
            model: request.model.map(str::to_owned),
            route: request.route.map(str::to_owned),
            reason: self.reason,
        }
    }
}

/// A request as the audit log knows it.
pub(crate) struct Of<'a> {
    pub(crate) gateway_key: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) model: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
}

/// What incidents that are counted together have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    action: &'static str,
    gateway_key: String,
    agent: String,
    provider: String,
    provider_key: Option<String>,
    model: Option<String>,
    route: Option<String>,
    reason: &'static str,
}

/// How many, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    count: u64,
    first: u64,
    last: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// When a kind was told, by the clock that only goes on.
#[derive(Debug, Clone, Copy)]
struct Told {
    first: u64,
    last: u64,
}

impl Told {
    fn is_new(self, now: u64) -> bool {
        now.saturating_sub(self.first) < NEW_MS
    }

    /// Whether the pause after the last telling is over. A clock that has stepped back holds nothing up.
    fn is_over(self, now: u64) -> bool {
        now < self.last || now - self.last >= PAUSE_MS
    }
}

/// What is known of a kind: how many wait to be told, and when it was told.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    waiting: Option<Tally>,
    told: Option<Told>,
}

/// Incidents of one workspace, those that wait to be told and those that were told not long ago.
#[derive(Debug, Default)]
pub(crate) struct Incidents(HashMap<Kind, Seen>);

impl Incidents {
    /// Whether nothing waits and nothing is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts one, at this time.
    pub(crate) fn count(&mut self, kind: Kind, at: u64) {
        let once = Tally {
            count: 1,
            first: at,
            last: at,
        };
        self.add(kind, once);
    }

    /// Counts those again that could not be delivered; the next flush tells them.
    pub(crate) fn put_back(&mut self, due: Due) {
        for (kind, tally) in due.0 {
            self.add(kind, tally).told = None;
        }
    }

    fn add(&mut self, mut kind: Kind, tally: Tally) -> &mut Seen {
        if self.0.len() >= MAX_APART && !self.0.contains_key(&kind) {
            kind.model = None;
        }
        let seen = self.0.entry(kind).or_default();
        match &mut seen.waiting {
            Some(waiting) => waiting.add(tally),
            None => seen.waiting = Some(tally),
        }
        seen
    }

    /// Takes what is to be told now, and forgets what nothing has come of for a while.
    pub(crate) fn due(&mut self, now: u64) -> Due {
        let mut due = Vec::new();
        let full = self.0.len() > MAX_KINDS;
        self.0.retain(|kind, seen| {
            let free = full
                || seen
                    .told
                    .is_none_or(|told| told.is_new(now) || told.is_over(now));
            let pauses = seen.told.is_some_and(|told| !told.is_over(now));
            match seen.waiting.take_if(|_| free) {
                Some(tally) => {
                    due.push((kind.clone(), tally));
                    let first = seen.told.map_or(now, |told| told.first.min(now));
                    seen.told = Some(Told { first, last: now });
                    !full
                }
                None => !full && (seen.waiting.is_some() || pauses),
            }
        });
        due.sort_by_key(|(_, tally)| tally.first);
        Due(due)
    }
}

/// Incidents that are to be told, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Due(Vec<(Kind, Tally)>);

impl Due {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the form that the authority takes.
    pub(crate) fn told(&self) -> Vec<Incident> {
        let told = self.0.iter().map(|(kind, tally)| Incident {
            action: kind.action.to_owned(),
            gateway_key: kind.gateway_key.clone(),
            agent: kind.agent.clone(),
            provider: kind.provider.clone(),
            provider_key: kind.provider_key.clone(),
            model: kind.model.clone(),
            route: kind.route.clone(),
            reason: kind.reason.to_owned(),
            count: tally.count,
            first_at: Timestamp(tally.first),
            last_at: Timestamp(tally.last),
        });
        told.collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// One denial.
    pub(crate) fn one() -> Incidents {
        let mut incidents = Incidents::default();
        incidents.count(kind("a", "denied_by_policy"), 1);
        incidents
    }

    fn kind(model: &str, reason: &'static str) -> Kind {
        let event = Event {
            action: "access.deny",
            provider_key: Some("main".into()),
            reason,
        };
        event.of(Of {
            gateway_key: "gk_1",
            agent: "reviewer",
            provider: "openai",
            model: Some(model),
            route: None,
        })
    }

    /// Model, count, first and last of all that is due.
    fn due(incidents: &mut Incidents, now: u64) -> Vec<(Option<String>, u64, u64, u64)> {
        let told = incidents.due(now).told().into_iter();
        told.map(|one| (one.model, one.count, one.first_at.0, one.last_at.0))
            .collect()
    }

    fn is(model: &str, count: u64, first: u64, last: u64) -> (Option<String>, u64, u64, u64) {
        (Some(model.into()), count, first, last)
    }

    #[test]
    fn what_is_alike_is_counted_together() {
        let mut incidents = Incidents::default();
        assert!(incidents.is_empty());
        for (model, at) in [("a", 5), ("b", 3), ("a", 9), ("a", 7)] {
            incidents.count(kind(model, "denied_by_policy"), at);
        }
        assert_eq!(due(&mut incidents, 0), [is("b", 1, 3, 3), is("a", 3, 5, 9)]);
    }

    #[test]
    fn what_goes_on_is_told_at_once_and_then_once_a_minute() {
        let mut incidents = Incidents::default();
        let mut rows = Vec::new();
        // Two requests and a flush each half a second, for ten minutes.
        for now in (0..600_000).step_by(500) {
            incidents.count(kind("a", "denied_by_policy"), now);
            incidents.count(kind("a", "denied_by_policy"), now);
            rows.extend(due(&mut incidents, now));
        }
        assert_eq!(rows.first(), Some(&is("a", 2, 0, 0)));
        let new = usize::try_from(NEW_MS / 500).unwrap();
        assert_eq!(rows.len(), new + 9, "{rows:?}");
        assert_eq!(rows.last().map(|row| row.1), Some(240));
        // What came since the last row is told by a later flush, without a request of that kind.
        let pending = 2_400 - rows.iter().map(|row| row.1).sum::<u64>();
        assert!(due(&mut incidents, 600_000).is_empty());
        let later = due(&mut incidents, 600_000 + PAUSE_MS);
        assert_eq!(later.len(), 1);
        assert_eq!(later.first().map(|row| row.1), Some(pending));
        // Then there is nothing left to tell, and it is forgotten.
        assert!(due(&mut incidents, 600_001 + PAUSE_MS).is_empty() && !incidents.is_empty());
        assert!(due(&mut incidents, 600_000 + 2 * PAUSE_MS).is_empty() && incidents.is_empty());
    }

    #[test]
    fn a_clock_that_steps_back_holds_nothing_up() {
        let mut incidents = Incidents::default();
        incidents.count(kind("a", "tag_mismatch"), 1);
        assert_eq!(due(&mut incidents, 1_000_000).len(), 1);
        incidents.count(kind("a", "tag_mismatch"), 2);
        assert_eq!(due(&mut incidents, 5).len(), 1);
    }

    #[test]
    fn made_up_models_do_not_fill_the_log_and_nothing_goes_uncounted() {
        let mut incidents = Incidents::default();
        let mut told = Vec::new();
        // Each model is new, and a flush comes with each tenth.
        for n in 0..1_000 {
            incidents.count(kind(&n.to_string(), "denied_by_policy"), n);
            if n % 10 == 9 {
                told.extend(incidents.due(10_000 + 50 * n).told());
            }
        }
        incidents.count(kind("0", "denied_by_policy"), 2_000);
        incidents.count(kind("x", "tag_mismatch"), 2_001);
        told.extend(incidents.due(60_000 + PAUSE_MS).told());
        assert_eq!(told.iter().map(|one| one.count).sum::<u64>(), 1_002);
        let named = told.iter().filter(|one| one.model.is_some()).count();
        assert_eq!(named, MAX_APART + 1, "64, and one of them again");
        let mut rest: Vec<_> = told.iter().filter(|one| one.model.is_none()).collect();
        rest.retain(|one| one.reason == "denied_by_policy");
        let new = usize::try_from(NEW_MS / 500).unwrap();
        assert!(rest.len() <= new + 2, "{rest:?}");
        assert_eq!(
            told.len() - named - rest.len(),
            1,
            "one for the other reason"
        );
    }

    #[test]
    fn kinds_are_not_remembered_without_bound() {
        let mut incidents = Incidents::default();
        for n in 0..=MAX_KINDS {
            let mut one = kind("a", "tag_mismatch");
            one.gateway_key = format!("gk_{n}");
            incidents.count(one, 1);
        }
        assert_eq!(incidents.due(0).told().len(), MAX_KINDS + 1);
        assert!(incidents.is_empty());
    }

    #[test]
    fn what_was_not_delivered_is_told_with_what_came_since() {
        let mut incidents = Incidents::default();
        incidents.count(kind("a", "tag_mismatch"), 1);
        incidents.count(kind("b", "tag_mismatch"), 2);
        let lost = incidents.due(0);
        assert!(incidents.due(NEW_MS).is_empty());
        incidents.count(kind("a", "tag_mismatch"), 3);
        incidents.put_back(lost);
        assert_eq!(
            due(&mut incidents, NEW_MS),
            [is("a", 2, 1, 3), is("b", 1, 2, 2)]
        );
        assert!(incidents.due(NEW_MS).is_empty());
    }
}
