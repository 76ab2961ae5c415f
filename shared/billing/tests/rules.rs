//! What follows from an account: access, the bill, the actions that are allowed, and the effects that are due.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "rules/access.rs"]
mod access;
#[path = "rules/actions.rs"]
mod actions;
#[path = "rules/dues.rs"]
mod dues;
#[path = "rules/shown.rs"]
mod shown;
#[path = "rules/support.rs"]
mod support;
