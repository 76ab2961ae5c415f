//! Billing webhooks, /webhooks, and /api/billing.
