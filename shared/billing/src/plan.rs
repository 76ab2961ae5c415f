//! The plans, as data, and which price buys which.
//!
//! A plan never decides whether traffic flows: provider keys do that, and on every plan alike (FEATURES, H4). No plan has
//! credits in it; managed traffic is paid from the wallet.

use serde::{Deserialize, Serialize};

use crate::event::{Interval, Item, Subscription};

/// What a workspace is on. Later variants are worth more.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// Nothing is bought. Ready for the workspace's own provider keys.
    #[default]
    Free,
    /// Bought by the seat.
    Team,
    /// Bought by the seat.
    Enterprise,
}

/// What a plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allows {
    /// Whether it is bought, and so has seats, a checkout and an end.
    pub paid: bool,
    /// How long its trial is, where it has one.
    pub trial_days: Option<u32>,
    /// The setting that names its prices.
    pub price_setting: Option<&'static str>,
}

impl Plan {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Free, Self::Team, Self::Enterprise];

    /// What it allows.
    #[must_use]
    pub fn allows(self) -> Allows {
        match self {
            Self::Free => Allows {
                paid: false,
                trial_days: None,
                price_setting: None,
            },
            Self::Team => Allows {
                paid: true,
                trial_days: Some(14),
                price_setting: Some("STRIPE_PRICE_TEAM"),
            },
            Self::Enterprise => Allows {
                paid: true,
                trial_days: Some(14),
                price_setting: Some("STRIPE_PRICE_ENTERPRISE"),
            },
        }
    }

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Team => "team",
            Self::Enterprise => "enterprise",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == name)
    }

    fn parse_paid(name: &str) -> Option<Self> {
        Self::parse(name).filter(|plan| plan.allows().paid)
    }
}

/// Which prices buy which plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices(Vec<(Plan, Interval, String)>);

/// A setting that names no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting}: “{item}” is no price; write the id of a Stripe price (`price_…`), or one for each interval: `month=price_…,year=price_…`"
)]
pub struct BadPrice {
    /// The setting.
    pub setting: &'static str,
    /// What stands there.
    pub item: String,
}

impl Prices {
    /// Adds what the setting of `plan` says: `price_…`, which is charged each month, or `month=price_…,year=price_…`.
    /// A plan that is not paid has no setting, and nothing is added.
    ///
    /// # Errors
    ///
    /// Names the item that is no price, or an interval that was named before.
    pub fn add(&mut self, plan: Plan, text: &str) -> Result<(), BadPrice> {
        let Some(setting) = plan.allows().price_setting else {
            return Ok(());
        };
        for item in text.split(',').map(str::trim) {
            let bad = || BadPrice {
                setting,
                item: item.to_owned(),
            };
            let (interval, price) = match item.split_once('=') {
                Some((word, price)) => {
                    (Interval::parse(word.trim()).ok_or_else(bad)?, price.trim())
                }
                None => (Interval::Month, item),
            };
            let id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if price.is_empty() || !price.bytes().all(id) || self.price(plan, interval).is_some() {
                return Err(bad());
            }
            self.0.push((plan, interval, price.to_owned()));
        }
        Ok(())
    }

    /// The price of `plan` for `interval`.
    #[must_use]
    pub fn price(&self, plan: Plan, interval: Interval) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, each, _)| (*known, *each) == (plan, interval))
            .map(|(_, _, price)| price.as_str())
    }

    /// What an item buys: by its price, else by the plan in its metadata.
    fn of_item(&self, item: &Item) -> Option<Plan> {
        let by_price = item.price.as_deref().and_then(|price| {
            self.0
                .iter()
                .find(|(_, _, known)| known == price)
                .map(|(plan, _, _)| *plan)
        });
        by_price.or_else(|| item.plan.as_deref().and_then(Plan::parse_paid))
    }

    /// What a subscription buys, and by which of its items; `None` where nothing in it is known to be a plan.
    ///
    /// Where no item tells, the subscription's own metadata do, for its first item.
    #[must_use]
    pub fn bought<'a>(&self, subscription: &'a Subscription) -> Option<(Plan, Option<&'a Item>)> {
        let by_item = subscription
            .items
            .iter()
            .filter_map(|item| Some((self.of_item(item)?, Some(item))))
            .max_by_key(|(plan, _)| *plan);
        by_item.or_else(|| {
            let plan = subscription.plan.as_deref().and_then(Plan::parse_paid)?;
            Some((plan, subscription.items.first()))
        })
    }
}
