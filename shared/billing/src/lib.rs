//! Billing, decided: whether a delivery is genuine ([`signature`]), what a Stripe event says ([`event`]), what a
//! workspace's account is after any number of them in any order ([`account`]), and what follows from that: the bill
//! ([`bill`]), the actions that are allowed ([`action`]) and the side effects that are due ([`due`]).
//!
//! Pure: the time is an argument, in Unix seconds as Stripe writes it, and nothing here reads, writes or draws.
#![forbid(unsafe_code)]

pub mod account;
pub mod action;
pub mod bill;
pub mod due;
pub mod event;
pub mod plan;
mod shelf;
pub mod signature;
mod term;

use std::time::{Duration, UNIX_EPOCH};

pub use account::Account;
pub use event::Event;
pub use plan::{Plan, Prices};

/// A time for people to read, in UTC; one that no calendar has stays Unix seconds.
fn date(at: i64) -> String {
    const YEAR_10000: u64 = 253_402_300_800;
    match u64::try_from(at) {
        Ok(seconds) if seconds < YEAR_10000 => {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            humantime::format_rfc3339_seconds(time).to_string()
        }
        _ => at.to_string(),
    }
}
