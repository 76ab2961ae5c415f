//! Deliveries of Stripe and of Standard Webhooks: those that their own SDKs signed are taken, and everything that was
//! tampered with is not.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "signatures/settings.rs"]
mod settings;
#[path = "signatures/standard.rs"]
mod standard;
#[path = "signatures/stripe.rs"]
mod stripe;
#[path = "signatures/support.rs"]
mod support;
