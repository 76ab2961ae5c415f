//! Which target is tried next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod random;
mod story;
mod table;
