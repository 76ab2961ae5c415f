//! What of a Stripe event counts: <https://docs.stripe.com/api/events/object>.
//!
//! Events of every API version are read: what newer versions moved (`current_period_end` to the items, an invoice's
//! subscription to its `parent`) is looked for in both places, and what is missing is missing.

mod invoice;
mod json;
mod others;
mod subscription;
mod words;

use serde_json::Value;

pub use invoice::Invoice;
pub use others::{Checkout, Customer, Method};
pub use subscription::{Item, MissingMethod, Subscription};
pub use words::{Interval, InvoiceStatus, Kind, Status};

use json::Node;

/// The metadata member that says what a payment is for.
pub const PURPOSE: &str = "purpose";

/// The purpose of a payment that is to become wallet credit.
pub const WALLET_CREDIT: &str = "wallet_credit";

/// A Stripe event, as far as the rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `evt_…`; redeliveries have the same.
    pub id: String,
    /// What happened.
    pub kind: Kind,
    /// When it happened, Unix seconds.
    pub created: i64,
    /// Whether it is about real money.
    pub livemode: bool,
    /// To whom it belongs.
    pub owner: Owner,
    /// The object as it was then.
    pub object: Object,
}

/// What an event says about whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// `metadata.workspace` of the object, or of the subscription that an invoice is for.
    pub workspace: Option<String>,
    /// `client_reference_id` of a checkout. Anybody who can open a checkout link can write it, so it counts only on
    /// checkouts that Lockgate made.
    pub client_reference_id: Option<String>,
    /// The customer, `cus_…`.
    pub customer: Option<String>,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// A subscription.
    Subscription(Box<Subscription>),
    /// An invoice.
    Invoice(Box<Invoice>),
    /// A checkout session.
    Checkout(Box<Checkout>),
    /// A way to pay.
    Method(Method),
    /// A customer.
    Customer(Customer),
    /// Something that no rule is about.
    Other,
}

/// Why a body is no event that can be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The body is no JSON object.
    #[error("the body is not a JSON object")]
    NotJson,
    /// The event lacks what every event has.
    #[error(
        "the event has no `{0}`; Lockgate takes snapshot events of Stripe's API v1, no thin events"
    )]
    Missing(&'static str),
}

impl Event {
    /// Reads the body of a delivery.
    ///
    /// # Errors
    ///
    /// Says what makes the body no event. An event of an unknown type is none of these.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let value: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
        let event = Node(Some(&value));
        if !event.is_object() {
            return Err(Unreadable::NotJson);
        }
        let id = event.at("id").label().ok_or(Unreadable::Missing("id"))?;
        let kind = event
            .at("type")
            .label()
            .ok_or(Unreadable::Missing("type"))?;
        let created = event
            .at("created")
            .int()
            .ok_or(Unreadable::Missing("created"))?;
        let kind = Kind::from(kind);
        let node = event.at("data").at("object");
        Ok(Self {
            id,
            created,
            livemode: event.at("livemode").flag(),
            owner: Owner::read(&kind, node),
            object: Object::read(&kind, node).ok_or(Unreadable::Missing("data.object.id"))?,
            kind,
        })
    }
}

impl Owner {
    fn read(kind: &Kind, node: Node<'_>) -> Self {
        let subscription = invoice::subscription_details(node);
        Self {
            workspace: [node, subscription]
                .into_iter()
                .find_map(|node| node.at("metadata").at("workspace").label()),
            client_reference_id: node.at("client_reference_id").label(),
            customer: if *kind == Kind::CustomerUpdated {
                node.at("id").label()
            } else {
                node.at("customer").id()
            },
        }
    }
}

impl Object {
    /// `None` where a kind that counts has an object without an id.
    fn read(kind: &Kind, node: Node<'_>) -> Option<Self> {
        Some(match kind {
            Kind::SubscriptionCreated
            | Kind::SubscriptionUpdated
            | Kind::SubscriptionDeleted
            | Kind::SubscriptionPaused
            | Kind::SubscriptionResumed
            | Kind::TrialWillEnd => {
                Self::Subscription(Box::new(Subscription::read(Some(kind), node)?))
            }
            Kind::InvoiceCreated
            | Kind::InvoiceFinalized
            | Kind::InvoicePaid
            | Kind::InvoicePaymentFailed
            | Kind::InvoiceVoided => Self::Invoice(Box::new(Invoice::read(kind, node)?)),
            Kind::CheckoutCompleted | Kind::CheckoutPaid => {
                Self::Checkout(Box::new(Checkout::read(kind, node)?))
            }
            Kind::MethodAttached | Kind::MethodDetached => Self::Method(Method::read(kind, node)?),
            Kind::CustomerUpdated => Self::Customer(Customer::read(node)?),
            Kind::Other(_) => Self::Other,
        })
    }
}
