//! What questions about limits, splits, wallets and usage are made of.

use serde::{Deserialize, Serialize};

use crate::allowance::Drawn;
use crate::resource::Timestamp;

/// A limit of a gateway key that is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Requests in any minute.
    RequestsPerMinute,
    /// Requests in a day.
    RequestsPerDay,
    /// Tokens in any minute.
    TokensPerMinute,
    /// Micro-USD in a day or month.
    Budget,
}

/// A draw from every limit of a gateway key at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draws {
    /// The gateway key's id.
    pub gateway_key: String,
    /// The grant's id, made by the isolate, different for each draw.
    pub grant: String,
    /// Only find out whether it would be granted: then nothing is written. For a key that is at its limit.
    pub look: bool,
    /// What is wanted of each limit that the isolate knows the key to have.
    pub wants: Vec<Want>,
}

/// What is wanted of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The limit.
    pub limit: Limit,
    /// What the request at hand needs.
    pub least: u64,
    /// What would be welcome with it.
    pub most: u64,
}

/// The answer to [`Draws`]: one for each want, in their order. Unless all are granted, none is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawnAll {
    /// What each limit said. Where one refuses, the others say what they would have said. A limit that the key has no
    /// more grants what was asked for.
    pub parts: Vec<DrawnPart>,
}

/// What a limit says to a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawnPart {
    /// The limit.
    pub limit: Limit,
    /// Its word.
    pub drawn: Drawn,
    /// The whole limit in force, in its units.
    pub whole: u64,
    /// What can be drawn after this.
    pub available: u64,
    /// Until all of it could be drawn again, were nothing more used, ms.
    pub reset_ms: u64,
}

/// What has become of a grant so far. Cumulative, so that a report that comes twice or late says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantReport {
    /// The gateway key's id.
    pub gateway_key: String,
    /// The grant's id.
    pub grant: String,
    /// For each limit drawn from.
    pub parts: Vec<GrantPart>,
}

/// What has become of a grant's units of one limit. What is neither returned nor spent is held by requests under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantPart {
    /// The limit.
    pub limit: Limit,
    /// Will never be used.
    pub returned: u64,
    /// Was used; may be more than was drawn, where a request took more than was estimated.
    pub spent: u64,
}

/// A draw from a weighted split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitDraw {
    /// Names the split: the configuration's id, the route's name and the priority.
    pub split: String,
    /// The weights of its targets, in their order; a split with other weights begins anew.
    pub weights: Vec<u32>,
    /// So many requests at most.
    pub most: u32,
}

/// What was not used of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitReturn {
    /// The split.
    pub split: String,
    /// Its weights when the block was drawn.
    pub weights: Vec<u32>,
    /// How many requests to each target did not take place.
    pub unused: Vec<u32>,
}

/// Money to be set aside for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// `res_…`, made by the isolate; the same where the question is sent again.
    pub id: String,
    /// How much.
    pub amount_microusd: u64,
    /// The request's id.
    pub request: String,
    /// After so long it is given back, unless it was settled, ms.
    pub ttl_ms: u64,
}

/// What `GET /api/usage` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageQuery {
    /// What to group by, in this order; nothing for one line of all.
    pub group_by: Vec<UsageGroup>,
    /// Filters as of the request log; times count by whole days.
    pub filter: super::RequestFilter,
    /// Team.
    pub team: Option<String>,
    /// Lines at most.
    pub limit: u32,
}

/// What usage can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageGroup {
    /// The day, in UTC.
    Day,
    /// The gateway key's id.
    GatewayKey,
    /// The agent's name.
    Agent,
    /// The team.
    Team,
    /// The route.
    Route,
    /// The provider's slug.
    Provider,
    /// The provider key's name.
    ProviderKey,
    /// The model.
    Model,
    /// `byok` or `managed`.
    Credential,
}

/// What to tidy up in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Housekeeping {
    /// Lines of the request log that are older go.
    pub log_before: Timestamp,
    /// Days of usage that are older go.
    pub usage_before: Timestamp,
    /// Rows that one call removes, at most, of each kind.
    pub most: u32,
}

/// What was tidied up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Housekept {
    /// Reservations that were given back.
    pub reservations_expired: u64,
    /// Lines of the request log that went.
    pub log_removed: u64,
    /// Whether there is more to do.
    pub more: bool,
}
