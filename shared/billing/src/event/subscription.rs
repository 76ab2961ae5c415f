//! A subscription: <https://docs.stripe.com/api/subscriptions/object>.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::Node;
use super::{Interval, Kind, Status};
use crate::shelf::Fact;

/// Stripe allows so many items of a subscription.
const MOST_ITEMS: usize = 20;

/// What is known of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// When it was made; never changes.
    pub created: i64,
    /// `cus_…`.
    pub customer: Option<String>,
    /// Its state.
    pub status: Status,
    /// What is bought.
    pub items: Vec<Item>,
    /// `metadata.plan`.
    pub plan: Option<String>,
    /// When it will be cancelled.
    pub cancel_at: Option<i64>,
    /// Whether it will be cancelled when its period ends.
    pub cancel_at_period_end: bool,
    /// When somebody cancelled it, which may be long before it ends.
    pub canceled_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// When its trial began.
    pub trial_start: Option<i64>,
    /// When its trial ends or ended.
    pub trial_end: Option<i64>,
    /// What happens at the end of the trial without a way to pay.
    pub missing_method: MissingMethod,
    /// When the current period ends, where the subscription itself says so (API versions before 2025-03-31).
    pub current_period_end: Option<i64>,
    /// The way that it is paid, where it has its own.
    pub default_method: Option<String>,
}

/// What is bought by a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// `price_…`, or `plan_…` of old.
    pub price: Option<String>,
    /// `metadata.plan` of the item or its price.
    pub plan: Option<String>,
    /// How often it is charged.
    pub interval: Option<Interval>,
    /// How many.
    pub quantity: Option<u32>,
    /// When the current period ends (API versions since 2025-03-31).
    pub current_period_end: Option<i64>,
}

/// What Stripe does when a trial ends and there is no way to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingMethod {
    /// It goes on, with an invoice. What Stripe does where nothing else is said.
    #[default]
    CreateInvoice,
    /// It ends.
    Cancel,
    /// It is paused.
    Pause,
}

impl Subscription {
    /// Reads a subscription as Stripe's API answers it, for [`crate::Account::observe`]; `None` where it has no id.
    #[must_use]
    pub fn from_answer(value: &Value) -> Option<Self> {
        Self::read(None, Node(Some(value)))
    }

    pub(super) fn read(kind: Option<&Kind>, node: Node<'_>) -> Option<Self> {
        let told = node.at("status").label().map(Status::from);
        let status = match (kind, told) {
            (Some(Kind::SubscriptionDeleted), Some(Status::IncompleteExpired)) => {
                Status::IncompleteExpired
            }
            (Some(Kind::SubscriptionDeleted), _) => Status::Canceled,
            (Some(Kind::SubscriptionPaused), None) => Status::Paused,
            (Some(Kind::SubscriptionResumed), None) => Status::Active,
            (Some(Kind::TrialWillEnd), None) => Status::Trialing,
            (_, told) => told.unwrap_or(Status::Incomplete),
        };
        let mut items: Vec<Item> = node
            .at("items")
            .each()
            .filter(|item| !item.at("deleted").flag())
            .take(MOST_ITEMS)
            .map(Item::read)
            .collect();
        // The oldest API versions say what is bought on the subscription itself.
        if items.is_empty() && node.at("plan").is_object() {
            items.push(Item::read(node));
        }
        Some(Self {
            id: node.at("id").label()?,
            created: node.at("created").int().unwrap_or_default(),
            customer: node.at("customer").id(),
            status,
            items,
            plan: node.at("metadata").at("plan").label(),
            cancel_at: node.at("cancel_at").int(),
            cancel_at_period_end: node.at("cancel_at_period_end").flag(),
            canceled_at: node.at("canceled_at").int(),
            ended_at: node.at("ended_at").int(),
            trial_start: node.at("trial_start").int(),
            trial_end: node.at("trial_end").int(),
            missing_method: match node
                .at("trial_settings")
                .at("end_behavior")
                .at("missing_payment_method")
                .text()
            {
                Some("cancel") => MissingMethod::Cancel,
                Some("pause") => MissingMethod::Pause,
                _ => MissingMethod::CreateInvoice,
            },
            current_period_end: node.at("current_period_end").int(),
            default_method: node
                .at("default_payment_method")
                .id()
                .or_else(|| node.at("default_source").id()),
        })
    }

    /// When the current period ends. Items may have periods of their own; the last one counts.
    #[must_use]
    pub fn period_end(&self) -> Option<i64> {
        self.current_period_end.or_else(|| {
            self.items
                .iter()
                .filter_map(|item| item.current_period_end)
                .max()
        })
    }

    /// When it will be cancelled, if it will be.
    #[must_use]
    pub fn cancels_at(&self) -> Option<i64> {
        let at_period_end = if self.cancel_at_period_end {
            self.period_end()
        } else {
            None
        };
        self.cancel_at.or(at_period_end)
    }

    /// Whether it is over and can never come back.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status, Status::Canceled | Status::IncompleteExpired)
    }

    /// Whether it is or was a trial.
    #[must_use]
    pub fn had_trial(&self) -> bool {
        self.trial_end.is_some() || self.status == Status::Trialing
    }
}

impl Item {
    fn read(node: Node<'_>) -> Self {
        let (price, plan) = (node.at("price"), node.at("plan"));
        Self {
            price: price.id().or_else(|| plan.id()),
            plan: [node, price, plan]
                .into_iter()
                .find_map(|node| node.at("metadata").at("plan").label()),
            interval: [price.at("recurring"), plan]
                .into_iter()
                .find_map(|node| node.at("interval").text())
                .and_then(Interval::parse),
            quantity: node
                .at("quantity")
                .int()
                .map(|quantity| u32::try_from(quantity.max(0)).unwrap_or(u32::MAX)),
            current_period_end: node.at("current_period_end").int(),
        }
    }
}

impl Fact for Subscription {
    fn id(&self) -> &str {
        &self.id
    }

    fn born(&self) -> i64 {
        self.created
    }

    fn is_last_word(&self) -> bool {
        self.is_over()
    }

    /// The way that a subscription usually goes within a second: paid at once, a trial that becomes paid, a failure made
    /// good. A failure in the very second of a payment is what a fetch is for.
    fn rank(&self) -> (u8, i64) {
        let state = match self.status {
            Status::Other(_) => 0,
            Status::Incomplete => 1,
            Status::Trialing => 2,
            Status::Paused => 3,
            Status::PastDue => 4,
            Status::Unpaid => 5,
            Status::Active => 6,
            Status::IncompleteExpired => 7,
            Status::Canceled => 8,
        };
        (state, self.period_end().unwrap_or(i64::MIN))
    }
}
