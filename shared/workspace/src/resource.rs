//! The resources of a workspace, in the shapes that `/api` shows (API.md, “Management plane”).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};

use crate::tags::Tags;

mod admin_token;
mod agent;
mod audit;
mod configuration;
mod limits;
mod money;
mod role;
mod usage;

pub use admin_token::{AdminRole, AdminToken};
pub use agent::{Agent, Gateway, Pin, PinMode};
pub use audit::{AuditEntry, Verified};
pub use configuration::{Configuration, ConfigurationVersion, Draft};
pub use limits::{Budget, Limits, Period};
pub use money::{LedgerEntry, LedgerKind, Price, Wallet};
pub use role::{Role, Statement, read_statements};
pub use usage::{Tokens, UsageRow};

/// Milliseconds since the Unix epoch, shown as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = UNIX_EPOCH + Duration::from_millis(self.0.min(Self::LAST.0));
        write!(f, "{}", humantime::format_rfc3339_millis(at))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "“{}” is not an RFC 3339 time such as 2027-01-31T00:00:00Z",
                text.chars().take(40).collect::<String>()
            ))
        })
    }
}

impl Timestamp {
    /// The end of the year 9999, the last that RFC 3339 can write.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// Reads RFC 3339 in UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let at = humantime::parse_rfc3339(text.trim()).ok()?;
        let since = at.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok().map(Self)
    }
}

/// Who may manage a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ManagedBy {
    /// People, by live edits.
    Manual,
    /// A document, by draft and apply.
    Declarative,
}

/// Who may use a workspace's provider keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Every agent may use every provider key.
    Open,
    /// Only what roles grant.
    Enforced,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// `ws_…`
    pub id: String,
    /// Unique in the installation.
    pub name: String,
    /// The plan; `free` routes on the workspace's own provider keys.
    pub plan: String,
    /// Who may use provider keys.
    pub access: Access,
    /// The configuration used where a gateway key names none.
    pub default_configuration: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes; shown as the entity tag.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What is known of a provider key's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not checked yet.
    Unknown,
    /// The provider took it.
    Ok,
    /// The provider said 401.
    Invalid,
    /// The provider said 429.
    RateLimited,
    /// The provider could not be reached.
    Unreachable,
}

/// What a check of a provider key found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// In a word.
    pub health: Health,
    /// In a sentence, for people; nothing secret.
    pub detail: String,
    /// When.
    pub checked_at: Timestamp,
}

/// A provider key, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderKey {
    /// `pk_…`
    pub id: String,
    /// The provider's slug.
    pub provider: String,
    /// Unique for the provider in the workspace.
    pub name: String,
    /// `sk-…wxyz`, or empty where the provider needs no secret and none is stored.
    pub masked: String,
    /// Counts the secrets it has had.
    pub version: u64,
    /// Where it goes, if not to the manifest's own address.
    pub base_url: Option<String>,
    /// Options of the provider.
    pub options: BTreeMap<String, String>,
    /// Whether it is the provider's default.
    pub default: bool,
    /// Whether it may be used.
    pub enabled: bool,
    /// Tags.
    pub tags: Tags,
    /// Health.
    pub health: Health,
    /// Why, for people; nothing secret.
    pub health_detail: Option<String>,
    /// When the health was learnt: by a check, or from the provider's 401 to a request.
    pub checked_at: Option<Timestamp>,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its secret was last replaced.
    pub rotated_at: Option<Timestamp>,
    /// When a request last used it, as far as the log has been written.
    pub last_used_at: Option<Timestamp>,
    /// Number and time of each secret it has had, newest first; only in the answer for a single key.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub versions: Vec<KeyVersion>,
    /// Counts changes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}

/// One secret a provider key has had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyVersion {
    /// The number.
    pub version: u64,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A gateway key, without its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayKey {
    /// `gk_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// `lgk_…wxyz`
    pub masked: String,
    /// The agent's id.
    pub agent: String,
    /// The gateway's id.
    pub gateway: Option<String>,
    /// The configuration's id.
    pub configuration: Option<String>,
    /// For grouping usage.
    pub team: Option<String>,
    /// How much it may ask for.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// How much it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The admin token that made it, `root` for the root token.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, as far as the log has been written.
    pub last_used_at: Option<Timestamp>,
    /// Counts changes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}

/// One try at one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt<'a> {
    /// The provider's slug.
    pub provider: Cow<'a, str>,
    /// The model, as the provider was asked for it.
    #[serde(default)]
    pub model: Option<Cow<'a, str>>,
    /// The provider key's name.
    pub provider_key: Option<Cow<'a, str>>,
    /// `byok` or `managed`.
    #[serde(default)]
    pub credential: Option<Cow<'a, str>>,
    /// The provider's HTTP status, if it gave one.
    pub status: Option<u16>,
    /// Our code for what went wrong, if something did.
    pub code: Option<Cow<'a, str>>,
    /// Milliseconds until the head of the provider's answer, or until it failed.
    pub milliseconds: u64,
}

/// One request of the data plane. Prompts and answers are not in it.
///
/// The isolate writes it as JSON once, the authority stores that text and `/api/requests` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord<'a> {
    /// `req_…`, or what the client sent in `lockgate-request-id`.
    pub id: Cow<'a, str>,
    /// When it came.
    pub at: Timestamp,
    /// Milliseconds until the answer had been passed on; where an engine passes a body natively, until its head.
    pub milliseconds: u64,
    /// The gateway key's id.
    pub gateway_key: Cow<'a, str>,
    /// The agent's name.
    pub agent: Cow<'a, str>,
    /// The gateway's name.
    pub gateway: Option<Cow<'a, str>>,
    /// The team.
    pub team: Option<Cow<'a, str>>,
    /// The path called.
    pub path: Cow<'a, str>,
    /// The route, where one decided.
    pub route: Option<Cow<'a, str>>,
    /// The provider's slug.
    pub provider: Option<Cow<'a, str>>,
    /// The model, as the provider was asked for it.
    pub model: Option<Cow<'a, str>>,
    /// The provider key's name.
    pub provider_key: Option<Cow<'a, str>>,
    /// `byok` or `managed`.
    pub credential: Option<Cow<'a, str>>,
    /// The status the client got.
    pub status: u16,
    /// The error code the client got.
    pub code: Option<Cow<'a, str>>,
    /// Whether it was streamed.
    pub stream: bool,
    /// How a watched stream ended: `complete`, `broken`, `idle` or `client_left`.
    pub outcome: Option<Cow<'a, str>>,
    /// What was used, where the provider said or it could be estimated.
    #[serde(default)]
    pub tokens: Option<Tokens>,
    /// What that costs at the prices in force, in micro-USD; where the platform paid, what the wallet was charged.
    #[serde(default)]
    pub cost_microusd: Option<u64>,
    /// The tries, in their order.
    pub attempts: Vec<Attempt<'a>>,
}
