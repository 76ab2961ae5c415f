//! A workspace's billing account: what Stripe has told about it.
//!
//! It is a fold over events. For every set of events, **any order and any repetition ends in the same account**, and so
//! does a delivery with gaps once the gaps are closed; `shelf.rs` says why. What follows from the account at some time is
//! in [`crate::bill`], [`crate::action`] and [`crate::due`], none of which store anything.
//!
//! It is bounded: the 64 youngest subscriptions and ways to pay, 96 invoices, 32 checkouts and 8 customers, by
//! the date of their making. An older object that is told about has no effect.

use serde::{Deserialize, Serialize};

use crate::event::{Checkout, Customer, Event, Invoice, Kind, Method, Object, Subscription};
use crate::shelf::{Shelf, Source};

/// What is known of a workspace's billing. Store it as it serialises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    pub(crate) subscriptions: Shelf<Subscription, 64>,
    pub(crate) invoices: Shelf<Invoice, 96>,
    pub(crate) checkouts: Shelf<Checkout, 32>,
    pub(crate) methods: Shelf<Method, 64>,
    pub(crate) customers: Shelf<Customer, 8>,
}

impl Account {
    /// Takes in an event that belongs to this workspace; whether anything is different now.
    pub fn apply(&mut self, event: &Event) -> bool {
        let source = match event.kind {
            Kind::SubscriptionCreated
            | Kind::InvoiceCreated
            | Kind::CheckoutCompleted
            | Kind::MethodAttached => Source::Birth,
            _ => Source::Event,
        };
        let (at, id) = (event.created, event.id.as_str());
        match &event.object {
            Object::Subscription(fact) => self.subscriptions.tell(at, source, id, fact.as_ref()),
            Object::Invoice(fact) => self.invoices.tell(at, source, id, fact.as_ref()),
            Object::Checkout(fact) => self.checkouts.tell(at, source, id, fact.as_ref()),
            Object::Method(fact) => self.methods.tell(at, source, id, fact),
            Object::Customer(fact) => self.customers.tell(at, source, id, fact),
            Object::Other => false,
        }
    }

    /// Takes in a subscription as Stripe's API answered it; whether anything is different now.
    ///
    /// `at` is the time of the answer **by Stripe's clock** (its `Date` header), since it is compared with those of
    /// events, and `request` the answer's `Request-Id`. Within a second, an answer knows better than events.
    pub fn observe(&mut self, subscription: &Subscription, at: i64, request: &str) -> bool {
        self.subscriptions
            .tell(at, Source::Answer, request, subscription)
    }

    /// The customer that this workspace is at Stripe: of the youngest subscription, else of the youngest checkout, way to
    /// pay or customer.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        let subscriptions = self.subscriptions.youngest_first().into_iter();
        let checkouts = self.checkouts.youngest_first().into_iter();
        let methods = self.methods.youngest_first().into_iter();
        let customers = self.customers.youngest_first().into_iter();
        subscriptions
            .filter_map(|known| known.customer.as_deref())
            .chain(checkouts.filter_map(|known| known.customer.as_deref()))
            .chain(methods.filter_map(|known| known.customer.as_deref()))
            .chain(customers.map(|known| known.id.as_str()))
            .next()
    }

    /// Whether there is a way to pay: one that is attached, or a default of the customer or of a subscription that goes
    /// on, unless it was taken away since.
    #[must_use]
    pub fn payment_ready(&self) -> bool {
        let attached = self.methods.youngest_first();
        let gone = |id: &str| self.methods.get(id).is_some_and(|known| known.detached);
        let customers = self.customers.youngest_first().into_iter();
        let subscriptions = self.subscriptions.youngest_first().into_iter();
        attached.iter().any(|known| !known.detached)
            || customers
                .filter_map(|known| known.default_method.as_deref())
                .chain(
                    subscriptions
                        .filter(|known| !known.is_over())
                        .filter_map(|known| known.default_method.as_deref()),
                )
                .any(|id| !gone(id))
    }
}
