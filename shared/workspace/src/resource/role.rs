//! A role as `/api/roles` shows it.

use serde::{Deserialize, Serialize};

use super::{ManagedBy, Timestamp, is_zero};

pub use lockgate_access::{Statement, read as read_statements};

/// What agents may do: statements under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// `role_…`
    pub id: String,
    /// Unique in the workspace.
    pub name: String,
    /// What it grants and forbids.
    pub statements: Vec<Statement>,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}
