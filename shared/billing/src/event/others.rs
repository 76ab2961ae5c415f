//! Checkouts, ways to pay, and customers.

use serde::{Deserialize, Serialize};

use super::json::Node;
use super::{Kind, PURPOSE};
use crate::shelf::Fact;

/// A checkout session: <https://docs.stripe.com/api/checkout/sessions/object>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// `cs_…`.
    pub id: String,
    /// When it was made; never changes.
    pub created: i64,
    /// `payment`, `subscription` or `setup`.
    pub mode: Option<String>,
    /// `cus_…`.
    pub customer: Option<String>,
    /// The subscription that came of it.
    pub subscription: Option<String>,
    /// The invoice that came of it.
    pub invoice: Option<String>,
    /// Whether the money has come, or none was to come.
    pub paid: bool,
    /// `usd`, …
    pub currency: Option<String>,
    /// With discounts and taxes, in the smallest unit of the currency.
    pub total: i64,
    /// What of the total is tax.
    pub tax: i64,
    /// `metadata.purpose`.
    pub purpose: Option<String>,
}

impl Checkout {
    pub(super) fn read(kind: &Kind, node: Node<'_>) -> Option<Self> {
        Some(Self {
            id: node.at("id").label()?,
            created: node.at("created").int().unwrap_or_default(),
            mode: node.at("mode").label(),
            customer: node.at("customer").id(),
            subscription: node.at("subscription").id(),
            invoice: node.at("invoice").id(),
            paid: *kind == Kind::CheckoutPaid
                || matches!(
                    node.at("payment_status").text(),
                    Some("paid" | "no_payment_required")
                ),
            currency: node.at("currency").label(),
            total: node.at("amount_total").int().unwrap_or_default(),
            tax: node
                .at("total_details")
                .at("amount_tax")
                .int()
                .unwrap_or_default(),
            purpose: node.at("metadata").at(PURPOSE).label(),
        })
    }
}

impl Fact for Checkout {
    fn id(&self) -> &str {
        &self.id
    }

    fn born(&self) -> i64 {
        self.created
    }

    fn is_last_word(&self) -> bool {
        self.paid
    }
}

/// A way to pay: <https://docs.stripe.com/api/payment_methods/object>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// `pm_…`.
    pub id: String,
    /// When it was made; never changes.
    pub created: i64,
    /// Whose it is, while it is attached.
    pub customer: Option<String>,
    /// Whether it was taken away, after which Stripe lets nobody use it again.
    pub detached: bool,
}

impl Method {
    pub(super) fn read(kind: &Kind, node: Node<'_>) -> Option<Self> {
        Some(Self {
            id: node.at("id").label()?,
            created: node.at("created").int().unwrap_or_default(),
            customer: node.at("customer").id(),
            detached: *kind == Kind::MethodDetached,
        })
    }
}

impl Fact for Method {
    fn id(&self) -> &str {
        &self.id
    }

    fn born(&self) -> i64 {
        self.created
    }

    fn is_last_word(&self) -> bool {
        self.detached
    }
}

/// A customer: <https://docs.stripe.com/api/customers/object>. Names and addresses are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// When it was made; never changes.
    pub created: i64,
    /// How it pays where nothing else is said.
    pub default_method: Option<String>,
}

impl Customer {
    pub(super) fn read(node: Node<'_>) -> Option<Self> {
        Some(Self {
            id: node.at("id").label()?,
            created: node.at("created").int().unwrap_or_default(),
            default_method: node
                .at("invoice_settings")
                .at("default_payment_method")
                .id()
                .or_else(|| node.at("default_source").id()),
        })
    }
}

impl Fact for Customer {
    fn id(&self) -> &str {
        &self.id
    }

    fn born(&self) -> i64 {
        self.created
    }
}
