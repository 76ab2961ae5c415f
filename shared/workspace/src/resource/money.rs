//! Prices, and the wallet that pays for what runs on the platform's keys (FEATURES H5). Money is whole micro-USD.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A workspace's own price of a model, which goes before its manifest's. Micro-USD for a million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The provider's slug.
    pub provider: String,
    /// The model, as the provider knows it.
    pub model: String,
    /// Input that was not cached.
    pub input: u64,
    /// Input that the provider had cached; where absent, as other input.
    pub cached_input: Option<u64>,
    /// Output.
    pub output: u64,
}

/// What a workspace has left for managed traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// Can be reserved.
    pub balance_microusd: u64,
    /// Is reserved for requests under way.
    pub reserved_microusd: u64,
}

/// What happened to a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerKind {
    /// Money came in.
    Credit,
    /// Money was set aside for a request.
    Reserve,
    /// A request was paid for; what was set aside beyond that went back.
    Settle,
    /// Nobody said what became of a request: what was set aside went back.
    Expire,
}

/// A line of a wallet's ledger. The balance after each line follows from the line before it:
/// `balance + reserved` changes by credits and by what settling takes, and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Counts the lines of a workspace, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: LedgerKind,
    /// How much came in, was set aside, was paid, or went back.
    pub amount_microusd: u64,
    /// What a request cost beyond what there was, and nobody paid.
    pub shortfall_microusd: u64,
    /// The balance after it.
    pub balance_microusd: u64,
    /// What is reserved after it.
    pub reserved_microusd: u64,
    /// The reservation, where it is about one.
    pub reservation: Option<String>,
    /// The request's id, where it is about one.
    pub request: Option<String>,
    /// What was written beside a credit.
    pub note: Option<String>,
}
