//! What the audit log is to know of requests: denials by policy, and soft pins that were passed over. They are counted
//! together where they are alike, and go to the authority with the request log.

use std::collections::HashMap;

use lockgate_routing::{NotReady, PassedOver};
use lockgate_workspace::question::Incident;
use lockgate_workspace::resource::Timestamp;

/// Incidents of one workspace that are told apart by their models. What comes on top is counted without one, so that a
/// client that makes up models cannot fill the log: all else that tells incidents apart has been made by whoever runs
/// the workspace.
const MAX_APART: usize = 64;

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

/// Incidents of one workspace that wait to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Incidents(HashMap<Kind, Tally>);

impl Incidents {
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

    /// Counts others as well: those that could not be delivered.
    pub(crate) fn absorb(&mut self, others: Self) {
        for (kind, tally) in others.0 {
            self.add(kind, tally);
        }
    }

    fn add(&mut self, mut kind: Kind, tally: Tally) {
        if self.0.len() >= MAX_APART && !self.0.contains_key(&kind) {
            kind.model = None;
        }
        let sum = self.0.entry(kind).or_insert(Tally { count: 0, ..tally });
        sum.count = sum.count.saturating_add(tally.count);
        sum.first = sum.first.min(tally.first);
        sum.last = sum.last.max(tally.last);
    }

    /// In the form that the authority takes, the earliest first.
    pub(crate) fn told(&self) -> Vec<Incident> {
        let mut told: Vec<Incident> = self
            .0
            .iter()
            .map(|(kind, tally)| Incident {
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
            })
            .collect();
        told.sort_by_key(|incident| incident.first_at);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_is_alike_is_counted_together() {
        let mut waiting = Incidents::default();
        assert!(waiting.is_empty());
        for (model, at) in [("a", 5), ("b", 3), ("a", 9), ("a", 7)] {
            waiting.count(kind(model, "denied_by_policy"), at);
        }
        let told = waiting.told();
        let seen: Vec<_> = told
            .iter()
            .map(|one| {
                (
                    one.model.as_deref(),
                    one.count,
                    one.first_at.0,
                    one.last_at.0,
                )
            })
            .collect();
        assert_eq!(seen, [(Some("b"), 1, 3, 3), (Some("a"), 3, 5, 9)]);
    }

    #[test]
    fn made_up_models_do_not_fill_the_log_and_nothing_goes_uncounted() {
        let mut waiting = Incidents::default();
        for n in 0..1_000 {
            waiting.count(kind(&n.to_string(), "denied_by_policy"), n);
        }
        waiting.count(kind("0", "denied_by_policy"), 2_000);
        waiting.count(kind("x", "tag_mismatch"), 2_001);
        let told = waiting.told();
        assert_eq!(told.len(), MAX_APART + 2);
        assert_eq!(told.iter().map(|one| one.count).sum::<u64>(), 1_002);
        let rest: Vec<_> = told.iter().filter(|one| one.model.is_none()).collect();
        assert_eq!(rest.len(), 2, "one for each reason");
    }

    #[test]
    fn what_was_not_delivered_is_told_with_what_came_since() {
        let (mut lost, mut waiting) = (Incidents::default(), Incidents::default());
        lost.count(kind("a", "tag_mismatch"), 1);
        lost.count(kind("b", "tag_mismatch"), 2);
        waiting.count(kind("a", "tag_mismatch"), 3);
        waiting.absorb(lost);
        let mut all = Incidents::default();
        for (model, at) in [("a", 1), ("b", 2), ("a", 3)] {
            all.count(kind(model, "tag_mismatch"), at);
        }
        assert_eq!(waiting, all);
    }
}
