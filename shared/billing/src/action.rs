//! Which actions are allowed at some time, and what each is to do at Stripe; or why it is not.
//!
//! What these guarantee: **a subscription that is cancelled never bills again by an action of ours.** One that is over is
//! never touched. One whose cancellation is scheduled is resumed or left alone, never changed, since a change would be
//! billed; and after its date it is not resumed either, whether or not Stripe's news of the end has come.

use crate::account::Account;
use crate::date;
use crate::event::{Interval, Status};
use crate::plan::{Plan, Prices};
use crate::term::{Standing, standings};

/// What the installation can do at Stripe.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Whether there is a key for Stripe's API.
    pub has_api_key: bool,
    /// What is sold.
    pub prices: &'a Prices,
}

impl Setup<'_> {
    fn price(self, plan: Plan, interval: Interval) -> Result<String, Refused> {
        let setting = plan
            .allows()
            .price_setting
            .ok_or(Refused::NotSold { plan })?;
        if !self.has_api_key {
            return Err(Refused::NotConfigured);
        }
        self.prices
            .price(plan, interval)
            .map(str::to_owned)
            .ok_or(Refused::NoPrice {
                plan,
                interval,
                setting,
            })
    }
}

/// How a plan is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purchase {
    /// By a checkout session, which makes a subscription.
    New {
        /// To this price.
        price: String,
    },
    /// By changing the subscription that there is: a second one would bill twice.
    Change {
        /// Which one.
        subscription: String,
        /// To this price.
        price: String,
    },
}

/// How a subscription is cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancel {
    /// With the end of its period: until then there is access.
    AtPeriodEnd {
        /// Which one.
        subscription: String,
    },
    /// At once, since it gives no access that could be lost.
    Now {
        /// Which one.
        subscription: String,
    },
}

/// How a subscription is resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// Its scheduled cancellation is taken back.
    KeepOn {
        /// Which one.
        subscription: String,
    },
    /// It was paused and goes on.
    Unpause {
        /// Which one.
        subscription: String,
    },
}

/// Why an action is not allowed. Writes itself with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is no way to pay, or none can be had since checkout is not configured (`payment_method_required`).
    #[error("add a payment method first: a trial becomes a paid plan when it ends")]
    PaymentMethodRequired,
    /// There is no key for Stripe's API.
    #[error("checkout is not configured: set STRIPE_SECRET_KEY and the prices of the plans")]
    NotConfigured,
    /// The plan is not for sale.
    #[error("the plan `{}` is not bought; cancel to go back to it", plan.as_str())]
    NotSold {
        /// The plan.
        plan: Plan,
    },
    /// The plan has no such price.
    #[error("the plan `{}` has no price for each {}: name one in {setting}", plan.as_str(), interval.as_str())]
    NoPrice {
        /// The plan.
        plan: Plan,
        /// For this interval.
        interval: Interval,
        /// Where prices are named.
        setting: &'static str,
    },
    /// The workspace has had its trial.
    #[error("this workspace has had its trial; check out to buy a plan")]
    TrialUsed,
    /// There is a subscription already.
    #[error("there is a subscription already, {subscription}; check out to change it")]
    Subscribed {
        /// Which one.
        subscription: String,
    },
    /// The subscription is cancelled as of a date that is to come.
    #[error("the subscription is cancelled and ends at {}; resume it first, or check out after that", date(*.at))]
    Scheduled {
        /// The date.
        at: i64,
    },
    /// It is cancelled already.
    #[error("the subscription is cancelled already and ends at {}; resume it before that to keep it", date(*.at))]
    AlreadyCancelled {
        /// The date.
        at: i64,
    },
    /// There is something to pay before anything else.
    #[error("a payment is outstanding; pay it in the billing portal first")]
    PaymentOutstanding {
        /// The invoice, where it is known.
        invoice: Option<String>,
    },
    /// The subscription is paused.
    #[error("the subscription is paused; resume it first")]
    Paused,
    /// The subscription has ended.
    #[error("the subscription ended at {} and cannot be resumed; check out to buy a plan again", date(*.at))]
    Ended {
        /// When.
        at: i64,
    },
    /// There is nothing to cancel.
    #[error("there is no subscription to cancel; the workspace is not billed")]
    NothingToCancel,
    /// There is nothing to resume.
    #[error("there is nothing to resume: no subscription is cancelled or paused")]
    NothingToResume,
    /// Stripe does not know the workspace.
    #[error("the workspace is no customer at Stripe yet; check out first")]
    NoCustomer,
}

impl Account {
    /// Whether `plan` may be bought, for each `interval`.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn may_check_out(
        &self,
        plan: Plan,
        interval: Interval,
        now: i64,
        setup: Setup<'_>,
    ) -> Result<Purchase, Refused> {
        let price = setup.price(plan, interval)?;
        let all = standings(self, now, setup.prices);
        let Some(current) = all.iter().find(|one| one.lives) else {
            return Ok(Purchase::New { price });
        };
        let known = current.subscription;
        if let Some(at) = known.cancels_at() {
            return Err(Refused::Scheduled { at });
        }
        match known.status {
            Status::Incomplete | Status::PastDue | Status::Unpaid => {
                Err(Refused::PaymentOutstanding {
                    invoice: self.open_invoice(&known.id),
                })
            }
            Status::Paused => Err(Refused::Paused),
            _ => Ok(Purchase::Change {
                subscription: known.id.clone(),
                price,
            }),
        }
    }

    /// Whether a trial of `plan` may begin; the price that it goes over to, and its days.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn may_start_trial(
        &self,
        plan: Plan,
        interval: Interval,
        now: i64,
        setup: Setup<'_>,
    ) -> Result<(String, u32), Refused> {
        let days = plan.allows().trial_days.ok_or(Refused::NotSold { plan })?;
        let all = standings(self, now, setup.prices);
        if let Some(current) = all.iter().find(|one| one.lives) {
            return Err(Refused::Subscribed {
                subscription: current.subscription.id.clone(),
            });
        }
        if all.iter().any(|one| one.subscription.had_trial()) {
            return Err(Refused::TrialUsed);
        }
        if !setup.has_api_key || !self.payment_ready() {
            return Err(Refused::PaymentMethodRequired);
        }
        Ok((setup.price(plan, interval)?, days))
    }

    /// Whether the workspace may cancel: everything that would go on billing.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn may_cancel(&self, now: i64, prices: &Prices) -> Result<Vec<Cancel>, Refused> {
        let all = standings(self, now, prices);
        let cancels: Vec<Cancel> = all
            .iter()
            .filter(|one| one.lives && one.subscription.cancels_at().is_none())
            .map(|one| {
                let subscription = one.subscription.id.clone();
                if one.holds {
                    Cancel::AtPeriodEnd { subscription }
                } else {
                    Cancel::Now { subscription }
                }
            })
            .collect();
        if !cancels.is_empty() {
            return Ok(cancels);
        }
        Err(all
            .iter()
            .filter(|one| one.lives)
            .find_map(|one| one.subscription.cancels_at())
            .map_or(Refused::NothingToCancel, |at| Refused::AlreadyCancelled {
                at,
            }))
    }

    /// Whether the workspace may resume: before the date of a cancellation, or when it is paused.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn may_resume(&self, now: i64, prices: &Prices) -> Result<Resume, Refused> {
        let all = standings(self, now, prices);
        if let Some(resume) = all.iter().find_map(|one| self.resumes(one)) {
            return resume;
        }
        if all.iter().any(|one| one.lives) {
            return Err(Refused::NothingToResume);
        }
        Err(all
            .iter()
            .filter_map(|one| {
                let cancelled = one.subscription.cancels_at().filter(|at| *at <= now);
                one.subscription
                    .ended_at
                    .or(cancelled)
                    .or(Some(one.told_at).filter(|_| one.subscription.is_over()))
            })
            .max()
            .map_or(Refused::NothingToResume, |at| Refused::Ended { at }))
    }

    fn resumes(&self, one: &Standing<'_>) -> Option<Result<Resume, Refused>> {
        if !one.lives {
            return None;
        }
        let subscription = one.subscription.id.clone();
        if one.subscription.cancels_at().is_some() {
            return Some(Ok(Resume::KeepOn { subscription }));
        }
        if one.subscription.status != Status::Paused {
            return None;
        }
        Some(if self.payment_ready() {
            Ok(Resume::Unpause { subscription })
        } else {
            Err(Refused::PaymentMethodRequired)
        })
    }

    /// Whether the billing portal may be opened, and for which customer.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn may_open_portal(&self, setup: Setup<'_>) -> Result<&str, Refused> {
        if !setup.has_api_key {
            return Err(Refused::NotConfigured);
        }
        self.customer().ok_or(Refused::NoCustomer)
    }
}
