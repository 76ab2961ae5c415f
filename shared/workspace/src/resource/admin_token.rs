//! Admin tokens (FEATURES A9).

use serde::{Deserialize, Serialize};

use super::{Timestamp, is_zero};

/// What an admin token may do. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminRole {
    /// Look at everything but secrets.
    Viewer,
    /// Make gateway keys, and change and revoke its own.
    Member,
    /// Change everything in a workspace, and make tokens below its own role.
    Admin,
    /// Make and revoke any token; unscoped, make and delete workspaces.
    Owner,
}

/// An admin token, without its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdminToken {
    /// `at_…`
    pub id: String,
    /// Unique where it is kept.
    pub name: String,
    /// `lga_…wxyz`
    pub masked: String,
    /// The workspace it is for, by id; `None`: all of them.
    pub workspace: Option<String>,
    /// What it may do.
    pub role: AdminRole,
    /// The token that made it, `root` for the root token.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub revision: u64,
}
