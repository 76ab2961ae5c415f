//! The words that Stripe uses for kinds and states. A word that is not known is kept as it came: Stripe adds new ones.

use serde::{Deserialize, Serialize};

/// An enum of words, which is written and stored as the word itself.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$each])* $variant,)+
            /// A word that Lockgate does not know, as it came.
            Other(String),
        }

        impl $name {
            /// The word as Stripe writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }
    };
}

words! {
    /// What an event is about: <https://docs.stripe.com/api/events/types>.
    Kind {
        /// A checkout was completed; the money may still be on its way.
        CheckoutCompleted = "checkout.session.completed",
        /// The money of a completed checkout has come.
        CheckoutPaid = "checkout.session.async_payment_succeeded",
        /// A subscription was made.
        SubscriptionCreated = "customer.subscription.created",
        /// Something of a subscription changed.
        SubscriptionUpdated = "customer.subscription.updated",
        /// A subscription ended.
        SubscriptionDeleted = "customer.subscription.deleted",
        /// A subscription was paused.
        SubscriptionPaused = "customer.subscription.paused",
        /// A paused subscription goes on.
        SubscriptionResumed = "customer.subscription.resumed",
        /// A trial ends in three days or was made shorter than that.
        TrialWillEnd = "customer.subscription.trial_will_end",
        /// A draft of an invoice was made.
        InvoiceCreated = "invoice.created",
        /// An invoice can be paid.
        InvoiceFinalized = "invoice.finalized",
        /// An invoice was paid.
        InvoicePaid = "invoice.paid",
        /// A payment of an invoice failed.
        InvoicePaymentFailed = "invoice.payment_failed",
        /// An invoice was cancelled.
        InvoiceVoided = "invoice.voided",
        /// A customer has a new way to pay.
        MethodAttached = "payment_method.attached",
        /// A customer's way to pay was taken away.
        MethodDetached = "payment_method.detached",
        /// Something of a customer changed.
        CustomerUpdated = "customer.updated",
    }
}

words! {
    /// The state of a subscription: <https://docs.stripe.com/api/subscriptions/object#subscription_object-status>.
    Status {
        /// The first payment is still to be made.
        Incomplete = "incomplete",
        /// The first payment was not made within a day. Final.
        IncompleteExpired = "incomplete_expired",
        /// In its trial.
        Trialing = "trialing",
        /// Paid.
        Active = "active",
        /// A payment failed, and Stripe tries again.
        PastDue = "past_due",
        /// Ended. Final.
        Canceled = "canceled",
        /// Stripe has given up trying; invoices are drawn and not collected.
        Unpaid = "unpaid",
        /// Paused: no invoices until it is resumed.
        Paused = "paused",
    }
}

words! {
    /// The state of an invoice: <https://docs.stripe.com/api/invoices/object#invoice_object-status>.
    InvoiceStatus {
        /// Still being made up.
        Draft = "draft",
        /// To be paid.
        Open = "open",
        /// Paid. Final.
        Paid = "paid",
        /// Given up.
        Uncollectible = "uncollectible",
        /// Cancelled. Final.
        Void = "void",
    }
}

/// How often a price is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// Each day.
    Day,
    /// Each week.
    Week,
    /// Each month.
    Month,
    /// Each year.
    Year,
}

impl Interval {
    /// Reads the word, where it is one of the four.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}
