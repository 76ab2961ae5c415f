//! The bill of a workspace at some time: what `GET /api/billing` shows and what access there is.

use std::fmt;

use crate::account::Account;
use crate::date;
use crate::event::{Interval, Invoice, InvoiceStatus, Status};
use crate::plan::{Plan, Prices};
use crate::term::{NEWS_GRACE_SECONDS, Standing, standings};

/// How many invoices the bill shows.
const SHOWN: usize = 24;

/// How long after the end of a period the news of the next one may be on its way before it is asked for.
const NEWS_LATE_SECONDS: i64 = 60 * 60;

/// What a workspace has and owes. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// What it is on now.
    pub plan: Plan,
    /// The second from which on it is not, where that is known.
    pub access_ends_at: Option<i64>,
    /// How often it is charged, while it is.
    pub interval: Option<Interval>,
    /// The state of the subscription that counts: `canceled` also from the date of a scheduled cancellation on.
    pub status: Option<Status>,
    /// The subscription that counts.
    pub subscription: Option<String>,
    /// The seats that are paid for now, over all subscriptions to this plan.
    pub seats_purchased: u32,
    /// The date of a scheduled cancellation that is still to come.
    pub cancel_at: Option<i64>,
    /// The end of a trial that is running.
    pub trial_ends_at: Option<i64>,
    /// The youngest invoice that is not a draft.
    pub latest_invoice: Option<Line>,
    /// Invoices that are not drafts, the youngest first, 24 at most.
    pub history: Vec<Line>,
    /// Whether there is a way to pay.
    pub payment_ready: bool,
    /// What to do next.
    pub next_step: NextStep,
}

/// An invoice on the bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `in_…`.
    pub id: String,
    /// Its state.
    pub status: InvoiceStatus,
    /// When it was made.
    pub created: i64,
    /// The total in micro-USD; `None` in another currency.
    pub amount_microusd: Option<i64>,
    /// The total in the smallest unit of `currency`.
    pub amount: i64,
    /// `usd`, …
    pub currency: Option<String>,
    /// The time it is for, where it says so.
    pub period: Option<(i64, i64)>,
}

/// What to do next about billing. Writes itself in plain English.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// There is no plan, and none is needed.
    Choose,
    /// There is no plan, and a way to pay comes first.
    AddPaymentMethod,
    /// An invoice is to be paid.
    Pay {
        /// Which one, where it is known.
        invoice: Option<String>,
    },
    /// Cancelled, but not yet over.
    ResumeBefore {
        /// The date.
        at: i64,
    },
    /// Paused.
    Resume,
    /// A subscription is to something that is no plan here.
    UnknownPrice {
        /// The subscription.
        subscription: String,
    },
    /// More than one subscription is being paid.
    CancelOne {
        /// How many.
        count: usize,
    },
    /// A trial ends, and there is no way to pay.
    AddPaymentMethodBefore {
        /// The end.
        at: i64,
    },
    /// All is well.
    Nothing,
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choose => f.write_str(
                "Nothing: your own provider keys work on every plan. For seats, start a trial or check out.",
            ),
            Self::AddPaymentMethod => f.write_str(
                "Nothing: your own provider keys work on every plan. For a trial, add a payment method first.",
            ),
            Self::Pay { invoice: Some(invoice) } => {
                write!(f, "Pay the invoice {invoice} in the billing portal.")
            }
            Self::Pay { invoice: None } => f.write_str("Pay the open invoice in the billing portal."),
            Self::ResumeBefore { at } => write!(
                f,
                "Nothing: the plan ends at {}. To keep it, resume before that.",
                date(*at)
            ),
            Self::Resume => {
                f.write_str("The subscription is paused: add a payment method, then resume.")
            }
            Self::UnknownPrice { subscription } => write!(
                f,
                "The subscription {subscription} is to a price that is no plan: name it in STRIPE_PRICE_TEAM or STRIPE_PRICE_ENTERPRISE, or set `plan` in its metadata."
            ),
            Self::CancelOne { count } => write!(
                f,
                "{count} subscriptions are being paid: cancel all but one in the billing portal."
            ),
            Self::AddPaymentMethodBefore { at } => write!(
                f,
                "Add a payment method before the trial ends at {}.",
                date(*at)
            ),
            Self::Nothing => f.write_str("Nothing."),
        }
    }
}

impl Account {
    /// The bill at `now`.
    #[must_use]
    pub fn bill(&self, now: i64, prices: &Prices) -> Bill {
        let all = standings(self, now, prices);
        let first = all.first();
        let payment_ready = self.payment_ready();
        let (plan, access_ends_at) = access(&all);
        let history: Vec<Line> = self
            .invoices
            .youngest_first()
            .into_iter()
            .filter(|invoice| invoice.status != InvoiceStatus::Draft)
            .take(SHOWN)
            .map(line)
            .collect();
        let alive = first.filter(|standing| standing.lives);
        Bill {
            plan,
            access_ends_at,
            interval: alive
                .and_then(|standing| prices.bought(standing.subscription))
                .and_then(|(_, item)| item?.interval),
            status: first.map(|standing| {
                let known = standing.subscription;
                if standing.lives || known.is_over() {
                    known.status.clone()
                } else {
                    Status::Canceled
                }
            }),
            subscription: first.map(|standing| standing.subscription.id.clone()),
            seats_purchased: seats(&all, plan, prices),
            cancel_at: alive.and_then(|standing| standing.subscription.cancels_at()),
            trial_ends_at: alive
                .filter(|standing| standing.subscription.status == Status::Trialing)
                .and_then(|standing| standing.subscription.trial_end),
            latest_invoice: history.first().cloned(),
            next_step: self.next_step(&all, payment_ready),
            history,
            payment_ready,
        }
    }

    /// What the workspace is on at `now`, and the second from which on it is not, where that is known.
    #[must_use]
    pub fn access(&self, now: i64, prices: &Prices) -> (Plan, Option<i64>) {
        access(&standings(self, now, prices))
    }

    /// The subscriptions that Stripe should be asked about, where it can be: events of one second contradict one another,
    /// or the news of a new period is more than an hour late. Take the answers in by [`Account::observe`].
    #[must_use]
    pub fn doubtful(&self, now: i64) -> Vec<&str> {
        let late =
            |at: Option<i64>| at.is_some_and(|at| now > at.saturating_add(NEWS_LATE_SECONDS));
        self.subscriptions
            .with_time()
            .filter(|(subscription, told_at)| {
                let due = match subscription.status {
                    Status::Trialing => subscription.trial_end.or(subscription.period_end()),
                    Status::Active | Status::PastDue => subscription.period_end(),
                    _ => None,
                };
                // What was told after the date is the news of it.
                let unheard = due.filter(|due| told_at < due);
                self.subscriptions.is_contested(&subscription.id)
                    || late(unheard)
                    || (!subscription.is_over() && late(subscription.cancels_at()))
            })
            .map(|(subscription, _)| subscription.id.as_str())
            .collect()
    }

    fn next_step(&self, all: &[Standing<'_>], payment_ready: bool) -> NextStep {
        let paying = all
            .iter()
            .filter(|one| one.lives && one.holds && one.subscription.cancels_at().is_none())
            .count();
        let Some(first) = all.first().filter(|first| first.lives) else {
            return if payment_ready {
                NextStep::Choose
            } else {
                NextStep::AddPaymentMethod
            };
        };
        let known = first.subscription;
        if first.plan.is_none() {
            return NextStep::UnknownPrice {
                subscription: known.id.clone(),
            };
        }
        match known.status {
            Status::Incomplete | Status::PastDue | Status::Unpaid => NextStep::Pay {
                invoice: self.open_invoice(&known.id),
            },
            Status::Paused => NextStep::Resume,
            _ if paying > 1 => NextStep::CancelOne { count: paying },
            _ => match (known.cancels_at(), known.trial_end) {
                (Some(at), _) => NextStep::ResumeBefore { at },
                (None, Some(at)) if known.status == Status::Trialing && !payment_ready => {
                    NextStep::AddPaymentMethodBefore { at }
                }
                _ => NextStep::Nothing,
            },
        }
    }

    /// The youngest invoice of a subscription that is to be paid.
    pub(crate) fn open_invoice(&self, subscription: &str) -> Option<String> {
        self.invoices
            .youngest_first()
            .into_iter()
            .find(|invoice| {
                invoice.status == InvoiceStatus::Open
                    && invoice.subscription.as_deref() == Some(subscription)
            })
            .map(|invoice| invoice.id.clone())
    }
}

fn access(all: &[Standing<'_>]) -> (Plan, Option<i64>) {
    all.first()
        .filter(|first| first.holds)
        .and_then(|first| Some((first.plan?, first.term.end())))
        .unwrap_or_default()
}

fn seats(all: &[Standing<'_>], plan: Plan, prices: &Prices) -> u32 {
    all.iter()
        .filter(|one| one.holds && one.plan == Some(plan))
        .filter_map(|one| prices.bought(one.subscription))
        .map(|(_, item)| item.and_then(|item| item.quantity).unwrap_or(1))
        .fold(0, u32::saturating_add)
}

fn line(invoice: &Invoice) -> Line {
    Line {
        id: invoice.id.clone(),
        status: invoice.status.clone(),
        created: invoice.created,
        amount_microusd: microusd(invoice.currency.as_deref(), invoice.total),
        amount: invoice.total,
        currency: invoice.currency.clone(),
        period: invoice.period_start.zip(invoice.period_end),
    }
}

/// Cents as micro-USD, where they are US cents.
pub(crate) fn microusd(currency: Option<&str>, cents: i64) -> Option<i64> {
    currency
        .filter(|currency| currency.eq_ignore_ascii_case("usd"))
        .and_then(|_| cents.checked_mul(10_000))
}

/// Whether the news of a trial's end is not to be waited for any longer.
pub(crate) fn is_overdue(trial_end: i64, now: i64) -> bool {
    now >= trial_end.saturating_add(NEWS_GRACE_SECONDS)
}
