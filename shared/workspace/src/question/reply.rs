//! What the authority answers.

use serde::{Deserialize, Serialize};

use super::{
    Bridge, DrawnAll, Housekept, Resource, SealedCounts, SealedRow, StoredTokenKeys, Turn,
};
use crate::resource::{
    AuditEntry, ConfigurationVersion, GatewayKey, LedgerEntry, Price, ProviderKey, RequestRecord,
    Timestamp, UsageRow, Verified, Wallet, Workspace,
};
use crate::snapshot::{Identity, KeyPointer, Snapshot};

/// The answer to [`Admit`](super::Admit).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every admission is a grant, and replies box it whole; where pointers are short, none is large"
)]
pub enum Admission {
    /// Serve it for so long.
    Granted {
        /// Who it is.
        identity: Identity,
        /// Milliseconds, counted from before the question was asked; never past the key's expiry.
        lease_ms: u64,
        /// The version of the snapshot in force.
        version: u64,
        /// The snapshot, where it is not the one the isolate has.
        snapshot: Option<Box<Snapshot>>,
    },
    /// No such key.
    Unknown,
    /// Revoked at this time.
    Revoked(Timestamp),
    /// Ended at this time.
    Expired(Timestamp),
}

/// What the authority answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// To [`DataQuestion::Admit`](super::DataQuestion::Admit), and to
    /// [`DataQuestion::Report`](super::DataQuestion::Report) with one inside.
    Admission(Box<Admission>),
    /// The snapshot of the platform's workspace.
    Platform {
        /// Milliseconds, counted from before the question was asked.
        lease_ms: u64,
        /// The version in force.
        version: u64,
        /// The snapshot, where it is not the one the isolate has.
        snapshot: Option<Box<Snapshot>>,
    },
    /// To [`DataQuestion::Draw`](super::DataQuestion::Draw).
    Drawn(DrawnAll),
    /// To [`DataQuestion::DrawSplit`](super::DataQuestion::DrawSplit): the places of the targets, in the order in which
    /// requests are to go to them; how long they may be used, ms from before the question was sent.
    Split {
        /// At least one.
        places: Vec<u32>,
        /// 0 where only the request that asks may use the first.
        lease_ms: u64,
    },
    /// To [`DataQuestion::Reserve`](super::DataQuestion::Reserve): whether there was enough, and what there is after it.
    Reserved {
        /// Whether it was set aside.
        reserved: bool,
        /// The wallet after it.
        wallet: Wallet,
    },
    /// A wallet.
    Wallet(Wallet),
    /// Lines of a wallet's ledger.
    Ledger(Vec<LedgerEntry>),
    /// Prices.
    Prices(Vec<Price>),
    /// Sums of usage.
    Usage(Vec<UsageRow>),
    /// What was tidied up.
    Housekept(Housekept),
    /// Base64 of a ciphertext.
    Ciphertext(String),
    /// Entries that nothing points to any more.
    Entries(Vec<String>),
    /// What a managed vault gave for a version.
    Bridge(Option<Bridge>),
    /// Whose turn it is.
    Turn(Turn),
    /// To [`DataQuestion::TokenKeys`](super::DataQuestion::TokenKeys).
    TokenKeys(StoredTokenKeys),
    /// What is sealed.
    SealedCounts(SealedCounts),
    /// Sealed secrets.
    Sealed(Vec<SealedRow>),
    /// How many were where they were said to be, and entries that nothing points to any more.
    Rewrapped(u64, Vec<String>),
    /// A workspace.
    Workspace(Workspace),
    /// Workspaces.
    Workspaces(Vec<Workspace>),
    /// A provider key.
    ProviderKey(Box<ProviderKey>),
    /// Where a provider key's sealed secret is.
    KeyPointer(Box<KeyPointer>),
    /// Provider keys.
    ProviderKeys(Vec<ProviderKey>),
    /// A role, agent, gateway, configuration or admin token.
    Resource(Box<Resource>),
    /// Several of one kind.
    Resources(Vec<Resource>),
    /// Slugs of providers.
    Providers(Vec<String>),
    /// What the data plane would know of a caller.
    Caller(Box<Identity>, Box<Snapshot>),
    /// Versions of a configuration.
    Versions(Vec<ConfigurationVersion>),
    /// One version of a configuration.
    Version(Box<ConfigurationVersion>),
    /// Rows of the audit log.
    Audit(Vec<AuditEntry>),
    /// What a check of a stretch of the audit log found.
    Verified {
        /// So far.
        verified: Verified,
        /// Where to go on, and the hash to go on with; `None` at the end, or where a row is bad.
        next: Option<(u64, String)>,
    },
    /// A gateway key.
    GatewayKey(Box<GatewayKey>),
    /// Gateway keys.
    GatewayKeys(Vec<GatewayKey>),
    /// The request log.
    Requests(Vec<RequestRecord<'static>>),
}
