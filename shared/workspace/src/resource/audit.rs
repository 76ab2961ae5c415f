//! The audit log as `/api/audit` shows it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Timestamp;

/// One row of the chain. Secrets are never in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place in the workspace's chain, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who: the id of an admin token, `root`, `system`, or the id of the gateway key that was denied.
    pub actor: String,
    /// What was done, such as `provider-key.rotate` or `access.deny`.
    pub action: String,
    /// To what: an id, or `<provider>/<key>` of a denial.
    pub resource: String,
    /// The resource before, as `/api` showed it.
    pub before: Option<Value>,
    /// The resource after, or what a denial says.
    pub after: Option<Value>,
    /// SHA-256 over this row and the hash before it, hex.
    pub hash: String,
    /// The hash of the row before; 64 zeros for the first.
    pub previous_hash: String,
}

/// What a check of the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether every row is as it was written.
    pub ok: bool,
    /// Rows looked at.
    pub rows: u64,
    /// The first row that is not.
    pub first_bad_seq: Option<u64>,
}
