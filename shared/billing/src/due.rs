//! Side effects that are due. They are derived, never done here: whoever does them keeps the keys of those done, and
//! sends the key to Stripe as `Idempotency-Key`. A key follows from the object alone, so that every derivation of the
//! same effect, from whatever event and after whatever crash, has the same one.

use crate::account::Account;
use crate::bill::{is_overdue, microusd};
use crate::event::{
    Checkout, Event, Invoice, InvoiceStatus, Object, Status, Subscription, WALLET_CREDIT,
};

/// An effect that is to be had once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What makes it the same effect.
    pub key: String,
    /// The customer that it is about.
    pub customer: Option<String>,
    /// What is to be done.
    pub what: What,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A trial has closed: if there was managed usage in its time, a `trial_usage` invoice item is due for it.
    TrialUsage {
        /// The subscription that was on trial.
        subscription: String,
        /// When the trial began.
        from: i64,
        /// When it closed.
        to: i64,
    },
    /// Money has come that is wallet credit.
    Credit {
        /// How much, without tax.
        microusd: i64,
    },
    /// Money has come that should be wallet credit, but not in US dollars: a person must say how much it is.
    CreditInQuestion {
        /// How much, without tax, in the smallest unit.
        amount: i64,
        /// Of what currency.
        currency: Option<String>,
    },
}

impl Due {
    /// The credit that an event by itself makes due, also where the account is too full to remember its invoice.
    #[must_use]
    pub fn of_event(event: &Event) -> Option<Self> {
        match &event.object {
            Object::Invoice(invoice) => of_invoice(invoice),
            Object::Checkout(checkout) => of_checkout(checkout),
            _ => None,
        }
    }
}

impl Account {
    /// Everything that is due at `now` by what the account remembers, whether done or not.
    #[must_use]
    pub fn dues(&self, now: i64) -> Vec<Due> {
        let trials = self
            .subscriptions
            .with_time()
            .filter_map(|(subscription, told_at)| of_trial(subscription, told_at, now));
        let invoices = self.invoices.youngest_first().into_iter();
        let checkouts = self.checkouts.youngest_first().into_iter();
        let mut dues: Vec<Due> = trials
            .chain(invoices.filter_map(of_invoice))
            .chain(checkouts.filter_map(of_checkout))
            .collect();
        // A checkout and the invoice that came of it say the same.
        dues.sort_by(|a, b| a.key.cmp(&b.key));
        dues.dedup_by(|a, b| a.key == b.key);
        dues
    }
}

fn of_trial(subscription: &Subscription, told_at: i64, now: i64) -> Option<Due> {
    if !subscription.had_trial() {
        return None;
    }
    let end = subscription.trial_end.unwrap_or(told_at);
    let to = match subscription.status {
        // Its end may still be moved; only a cancellation whose date has passed cannot be taken back.
        Status::Trialing => match subscription.cancels_at() {
            Some(cancelled) if cancelled <= end => Some(cancelled).filter(|at| *at <= now),
            _ => Some(end).filter(|end| is_overdue(*end, now)),
        },
        Status::Canceled => Some(end.min(subscription.ended_at.unwrap_or(told_at))),
        _ => Some(end.min(told_at)),
    }?;
    Some(Due {
        key: format!("trial_usage:{}", subscription.id),
        customer: subscription.customer.clone(),
        what: What::TrialUsage {
            subscription: subscription.id.clone(),
            from: subscription.trial_start.unwrap_or(subscription.created),
            to,
        },
    })
}

fn of_invoice(invoice: &Invoice) -> Option<Due> {
    if invoice.status != InvoiceStatus::Paid || invoice.purpose.as_deref() != Some(WALLET_CREDIT) {
        return None;
    }
    credit(
        &invoice.id,
        invoice.customer.as_ref(),
        invoice.total.saturating_sub(invoice.tax),
        invoice.currency.as_ref(),
    )
}

fn of_checkout(checkout: &Checkout) -> Option<Due> {
    if !checkout.paid || checkout.purpose.as_deref() != Some(WALLET_CREDIT) {
        return None;
    }
    credit(
        checkout.invoice.as_ref().unwrap_or(&checkout.id),
        checkout.customer.as_ref(),
        checkout.total.saturating_sub(checkout.tax),
        checkout.currency.as_ref(),
    )
}

fn credit(
    source: &str,
    customer: Option<&String>,
    amount: i64,
    currency: Option<&String>,
) -> Option<Due> {
    if amount <= 0 {
        return None;
    }
    Some(Due {
        key: format!("credit:{source}"),
        customer: customer.cloned(),
        what: match microusd(currency.map(String::as_str), amount) {
            Some(microusd) => What::Credit { microusd },
            None => What::CreditInQuestion {
                amount,
                currency: currency.cloned(),
            },
        },
    })
}
