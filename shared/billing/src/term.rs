//! How long a subscription gives access, and which of several is the workspace's.

use crate::account::Account;
use crate::event::{MissingMethod, Status, Subscription};
use crate::plan::{Plan, Prices};

/// Stripe repeats a delivery for up to three days (<https://docs.stripe.com/webhooks#behaviors>). So long a trial that
/// goes over into a paid subscription is waited for, rather than ended because the news of it is late.
pub(crate) const NEWS_GRACE_SECONDS: i64 = 3 * 24 * 60 * 60;

/// Until when a subscription gives access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Term {
    /// It gives none.
    None,
    /// Before that second, and not from it on.
    Before(i64),
    /// Until Stripe says otherwise.
    Open,
}

impl Term {
    pub(crate) fn holds(self, now: i64) -> bool {
        match self {
            Self::None => false,
            Self::Before(end) => now < end,
            Self::Open => true,
        }
    }

    /// The end, where there is one.
    pub(crate) fn end(self) -> Option<i64> {
        match self {
            Self::Before(end) => Some(end),
            Self::None | Self::Open => None,
        }
    }

    /// The term of `subscription`, of which was last told at `told_at`.
    pub(crate) fn of(subscription: &Subscription, told_at: i64, payment_ready: bool) -> Self {
        let cancelled = subscription.cancels_at().map_or(Self::Open, Self::Before);
        match subscription.status {
            // Stripe tries again while it is past due, so access goes on until Stripe gives up and says so.
            Status::Active | Status::PastDue => cancelled,
            Status::Trialing => cancelled.min(trial(subscription, payment_ready)),
            // When it was cancelled says nothing about when it ended.
            Status::Canceled => Self::Before(subscription.ended_at.unwrap_or(told_at)),
            Status::Incomplete | Status::IncompleteExpired | Status::Unpaid | Status::Paused => {
                Self::None
            }
            // A state that is new to Lockgate takes nothing away that was paid for.
            Status::Other(_) => subscription
                .period_end()
                .map_or(Self::None, |end| cancelled.min(Self::Before(end))),
        }
    }
}

fn trial(subscription: &Subscription, payment_ready: bool) -> Term {
    let goes_on = payment_ready || subscription.missing_method == MissingMethod::CreateInvoice;
    match subscription.trial_end {
        Some(end) if goes_on => Term::Before(end.saturating_add(NEWS_GRACE_SECONDS)),
        Some(end) => Term::Before(end),
        None => Term::Open,
    }
}

/// A subscription at some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing<'a> {
    pub(crate) subscription: &'a Subscription,
    pub(crate) told_at: i64,
    pub(crate) plan: Option<Plan>,
    pub(crate) term: Term,
    /// Whether it gives access now.
    pub(crate) holds: bool,
    /// Whether it is not over: neither by its state nor because the date of its cancellation has passed.
    pub(crate) lives: bool,
}

impl<'a> Standing<'a> {
    /// What decides between two: access, a plan, life, the longer term, the younger one.
    fn worth(&self) -> (bool, Option<Plan>, bool, Term, i64, &'a str) {
        (
            self.holds && self.plan.is_some(),
            self.plan.filter(|_| self.holds),
            self.lives,
            self.term,
            self.subscription.created,
            &self.subscription.id,
        )
    }
}

/// The subscriptions of an account at a time, the one that counts first.
pub(crate) fn standings<'a>(account: &'a Account, now: i64, prices: &Prices) -> Vec<Standing<'a>> {
    let payment_ready = account.payment_ready();
    let mut all: Vec<Standing<'a>> = account
        .subscriptions
        .with_time()
        .map(|(subscription, told_at)| {
            let term = Term::of(subscription, told_at, payment_ready);
            let cancelled = subscription.cancels_at().is_some_and(|at| at <= now);
            Standing {
                subscription,
                told_at,
                plan: prices.bought(subscription).map(|(plan, _)| plan),
                term,
                holds: term.holds(now),
                lives: !subscription.is_over() && !cancelled,
            }
        })
        .collect();
    all.sort_by(|a, b| b.worth().cmp(&a.worth()));
    all
}
