//! What a configuration's document says, compiled: the management plane parses and checks documents, the data plane
//! serves from this (API.md, “The configuration document”).

use serde::{Deserialize, Serialize};

/// A compiled document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where requests can go.
    pub targets: Vec<PlanTarget>,
    /// Which requests go where, in order.
    pub routes: Vec<Route>,
    /// Whether models outside the routes are served (`gateway.direct_models`).
    pub direct_models: bool,
    /// Sections of the document that this version reads but does not enforce; every answer under the configuration
    /// warns of them.
    pub unenforced: Vec<String>,
}

/// A provider and model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTarget {
    /// Its name in the document.
    pub id: String,
    /// The provider's slug.
    pub provider: String,
    /// The model as the provider knows it; where absent, what was asked for.
    pub model: Option<String>,
    /// Whose key pays.
    pub credential: CredentialKind,
    /// The provider key's name or id, where only that one will do.
    pub provider_key: Option<String>,
}

/// Whose key pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// The workspace's own.
    Byok,
    /// The platform's.
    Managed,
    /// The workspace's own, else the platform's.
    Any,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Globs over the model asked for.
    pub models: Vec<String>,
    /// The task it is for, as `lockgate-route` or a model `route:<task>` names it.
    pub task: Option<String>,
    /// The only providers it may use.
    pub allow_providers: Option<Vec<String>>,
    /// What happens when a target fails.
    #[serde(default)]
    pub fallback: Fallback,
    /// Its targets, those of the lowest priority first, among equals the heaviest.
    pub targets: Vec<RouteTarget>,
}

/// What happens when a target fails before the first byte of its answer has reached the client (FEATURES C3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fallback {
    /// After what another try is made.
    pub on: Vec<Cause>,
    /// Which of a provider's keys are tried before the next target.
    pub keys: KeysTried,
    /// So many tries at most; where absent, each target once (and each key, where [`KeysTried::All`]). More than there
    /// are targets go round again, after a pause.
    pub attempts: Option<u32>,
    /// Milliseconds that all tries have together, up to the head of an answer; where absent, each has as long as a provider
    /// may take for one.
    pub deadline_ms: Option<u64>,
}

impl Default for Fallback {
    fn default() -> Self {
        Self {
            on: vec![Cause::Timeout, Cause::RateLimit, Cause::ServerError],
            keys: KeysTried::One,
            attempts: None,
            deadline_ms: None,
        }
    }
}

/// Why a try failed, as far as another one may help. A request that the provider finds wrong has no cause and never falls
/// back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No head of an answer in time, 408, 504.
    Timeout,
    /// 429 that is about a rate.
    RateLimit,
    /// Any other 5xx, a connection that could not be made or broke before the head, an answer that makes no sense; a key whose
    /// secret the vault does not give.
    ServerError,
    /// No key may be used: there is none, it is disabled, or policy denies it.
    KeyMissing,
    /// The provider refused the key: 401, 403.
    KeyRejected,
    /// The account behind the key is exhausted: 402, or a 429 that says quota; the workspace's wallet, where the platform
    /// pays.
    QuotaExhausted,
}

/// Which of a provider's keys are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeysTried {
    /// The one that is chosen.
    One,
    /// After a failure that is the key's own (429, 401, 403, 402) the others that the caller may use.
    All,
}

/// A target of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTarget {
    /// Its place in [`Plan::targets`].
    pub target: usize,
    /// Lower is tried first.
    pub priority: u32,
    /// Its share among targets of one priority.
    pub weight: u32,
}
