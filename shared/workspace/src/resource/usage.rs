//! What requests used (FEATURES F6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Tokens of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// All input.
    pub input: u64,
    /// Of it, read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<u64>,
    /// All output.
    pub output: u64,
    /// Of it, reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
    /// Whether these are an estimate, since the provider did not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

impl Tokens {
    /// Input and output.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// A line of `GET /api/usage`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// What it was grouped by, with the group's value; `null` where requests had none.
    #[serde(flatten)]
    pub group: BTreeMap<String, Option<String>>,
    /// Requests.
    pub requests: u64,
    /// Of them, those whose answer was an error (status 400 and above).
    pub errors: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Of them, read from the providers' caches.
    pub cached_input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Cost.
    pub cost_microusd: u64,
}
