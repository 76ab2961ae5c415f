//! An invoice: <https://docs.stripe.com/api/invoices/object>.

use serde::{Deserialize, Serialize};

use super::json::Node;
use super::{InvoiceStatus, Kind, PURPOSE};
use crate::shelf::Fact;

/// What is known of an invoice. Amounts are in the smallest unit of the currency, as Stripe writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// `in_…`.
    pub id: String,
    /// When it was made; never changes.
    pub created: i64,
    /// `cus_…`.
    pub customer: Option<String>,
    /// `sub_…`, where it is for one.
    pub subscription: Option<String>,
    /// Its state.
    pub status: InvoiceStatus,
    /// `usd`, …
    pub currency: Option<String>,
    /// With discounts and taxes.
    pub total: i64,
    /// What of the total is tax.
    pub tax: i64,
    /// What is still or was to be paid.
    pub amount_due: i64,
    /// What was paid.
    pub amount_paid: i64,
    /// What time it is for.
    pub period_start: Option<i64>,
    /// What time it is for.
    pub period_end: Option<i64>,
    /// `metadata.purpose`.
    pub purpose: Option<String>,
}

/// Where an invoice says what subscription it is for: in `parent` since API version 2025-03-31.
pub(super) fn subscription_details(node: Node<'_>) -> Node<'_> {
    let now = node.at("parent").at("subscription_details");
    if now.is_object() {
        now
    } else {
        node.at("subscription_details")
    }
}

impl Invoice {
    pub(super) fn read(kind: &Kind, node: Node<'_>) -> Option<Self> {
        let told = node.at("status").label().map(InvoiceStatus::from);
        let status = match (kind, told) {
            (Kind::InvoicePaid, _) => InvoiceStatus::Paid,
            (Kind::InvoiceVoided, _) => InvoiceStatus::Void,
            (_, Some(told)) => told,
            (_, None) if node.at("paid").flag() => InvoiceStatus::Paid,
            (Kind::InvoiceCreated, None) => InvoiceStatus::Draft,
            (_, None) => InvoiceStatus::Open,
        };
        let total = node.at("total").int().unwrap_or_default();
        // The lines say what time is paid for; the invoice's own period is the one before.
        let period = node
            .at("lines")
            .each()
            .map(|line| line.at("period"))
            .max_by_key(|period| period.at("end").int())
            .filter(|period| period.at("end").int().is_some());
        let edge = |line: &str, own: &str| {
            period
                .and_then(|period| period.at(line).int())
                .or_else(|| node.at(own).int())
        };
        Some(Self {
            id: node.at("id").label()?,
            created: node.at("created").int().unwrap_or_default(),
            customer: node.at("customer").id(),
            subscription: node
                .at("subscription")
                .id()
                .or_else(|| subscription_details(node).at("subscription").id()),
            status,
            currency: node.at("currency").label(),
            total,
            tax: tax(node, total),
            amount_due: node.at("amount_due").int().unwrap_or_default(),
            amount_paid: node.at("amount_paid").int().unwrap_or_default(),
            period_start: edge("start", "period_start"),
            period_end: edge("end", "period_end"),
            purpose: node.at("metadata").at(PURPOSE).label(),
        })
    }
}

/// The tax in the total, where each API version says it.
fn tax(node: Node<'_>, total: i64) -> i64 {
    if let Some(net) = node.at("total_excluding_tax").int() {
        return total.saturating_sub(net);
    }
    if let Some(tax) = node.at("tax").int() {
        return tax;
    }
    node.at("total_taxes")
        .each()
        .filter_map(|tax| tax.at("amount").int())
        .fold(0, i64::saturating_add)
}

impl Fact for Invoice {
    fn id(&self) -> &str {
        &self.id
    }

    fn born(&self) -> i64 {
        self.created
    }

    fn is_last_word(&self) -> bool {
        matches!(self.status, InvoiceStatus::Paid | InvoiceStatus::Void)
    }

    fn rank(&self) -> (u8, i64) {
        let state = match self.status {
            InvoiceStatus::Other(_) => 0,
            InvoiceStatus::Draft => 1,
            InvoiceStatus::Open => 2,
            InvoiceStatus::Uncollectible => 3,
            InvoiceStatus::Void => 4,
            InvoiceStatus::Paid => 5,
        };
        (state, self.amount_paid)
    }
}
