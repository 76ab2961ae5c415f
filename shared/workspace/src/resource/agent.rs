//! Agents, on whose behalf requests are sent, and gateways, through which they come.

use serde::{Deserialize, Serialize};

use super::{ManagedBy, Timestamp, is_zero};
use crate::tags::Tags;

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// `agent_…`
    pub id: String,
    /// Unique in the workspace.
    pub name: String,
    /// Tags.
    pub tags: Tags,
    /// Ids of the roles attached to it; on its way to the authority they may be names.
    pub roles: Vec<String>,
    /// The provider keys it holds to, at most one for each provider.
    pub pins: Vec<Pin>,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}

/// The one provider key that an agent uses for a provider (FEATURES B7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The provider's slug.
    pub provider: String,
    /// The provider key's id; on its way to the authority it may be a name.
    pub provider_key: String,
    /// The name that the key had when it was pinned, for messages once it is gone.
    #[serde(default)]
    pub name: String,
    /// What happens when the key is gone.
    pub mode: PinMode,
}

/// What happens when a pinned key is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinMode {
    /// An error says so.
    Hard,
    /// The provider's default key is used, with a warning and an audit entry.
    Soft,
}

/// A gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// `gw_…`
    pub id: String,
    /// Unique in the workspace.
    pub name: String,
    /// Tags.
    pub tags: Tags,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}
