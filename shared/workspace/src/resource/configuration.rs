//! Configurations: a document with a draft, a live version and a history (FEATURES B6).

use serde::{Deserialize, Serialize};

use super::{ManagedBy, Timestamp, is_zero};
use crate::tags::Tags;

/// A configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// `cfg_…`
    pub id: String,
    /// Unique in the workspace.
    pub name: String,
    /// Tags.
    pub tags: Tags,
    /// The version that is live; 0 until the first is applied.
    pub version: u64,
    /// The live document as it was written; `None` in lists, and before the first is applied.
    pub document: Option<String>,
    /// What would be applied next.
    pub draft: Option<Draft>,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the live version was applied.
    pub applied_at: Option<Timestamp>,
    /// Counts changes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}

/// A draft of a configuration's next version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// The document; `None` in lists.
    pub document: Option<String>,
    /// The version that was live when it was written.
    pub based_on: u64,
    /// Who wrote it.
    pub written_by: String,
    /// When.
    pub written_at: Timestamp,
}

/// A version that is or was live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationVersion {
    /// Its number.
    pub version: u64,
    /// The document as it was written; `None` in lists.
    pub document: Option<String>,
    /// Who applied it.
    pub applied_by: String,
    /// When.
    pub applied_at: Timestamp,
    /// The version whose document it brought back, where it was a rollback.
    pub restores: Option<u64>,
}
