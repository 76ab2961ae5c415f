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
    /// Its targets, those of the lowest priority first, among equals the heaviest.
    pub targets: Vec<RouteTarget>,
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
