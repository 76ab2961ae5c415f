//! What functions ask the authority, and what it answers. Both travel as JSON where the authority is another place
//! (a Durable Object); elsewhere they are passed as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lease::Lengths;
use crate::plan::Plan;
use crate::resource::{
    Access, AdminToken, Agent, Budget, Configuration, Gateway, GatewayKey, Limits, ManagedBy, Pin,
    Price, ProviderKey, Role, Statement, Timestamp, Workspace,
};
use crate::tags::Tags;

mod data;
mod denial;
mod kind;
mod money;
mod parts;
mod reply;
mod vault;

pub use data::DataQuestion;
pub use denial::Denial;
pub use kind::{Change, Kind, Resource};
pub use money::{
    DrawnAll, DrawnPart, Draws, GrantPart, GrantReport, Housekeeping, Housekept, Limit,
    Reservation, SplitDraw, SplitReturn, UsageGroup, UsageQuery, Want,
};
pub use parts::{Admit, Declared, Incident, Page, Records, RequestFilter, SealedVersion};
pub use reply::{Admission, Reply};
pub use vault::{
    Asking, Bridge, Keyring, Rewrapped, SealedAt, SealedCounts, SealedRow, StoredTokenKeys, Turn,
};

/// A question with what the authority checks before it answers anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<Q = Question> {
    /// The workspace's id, or `registry`.
    pub object: String,
    /// Who asks, for the audit log: the id of an admin token, `root`, or `system`.
    pub actor: String,
    /// What the asker can open.
    pub keys: Arc<Keyring>,
    /// The asker's setting; the authority adopts it.
    pub lease_ms: u64,
    /// The question.
    pub question: Q,
}

/// The authority's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The answer, or why not.
    pub reply: Result<Reply, Denial>,
    /// The lease lengths in force.
    pub lengths: Lengths,
    /// Whether a change was committed that can alter what a request is answered; it is acknowledged only after
    /// [`Lengths::settle_ms`].
    pub changed: bool,
}

/// The question itself. Ids are made by the asker, so that the authority needs no randomness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// What the data plane asks.
    Data(DataQuestion),

    /// Makes a workspace (registry).
    CreateWorkspace(Workspace),
    /// Lists workspaces (registry).
    ListWorkspaces(Page),
    /// A workspace by id or name (registry).
    GetWorkspace(String),
    /// Changes a workspace (registry).
    PatchWorkspace {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// New name.
        name: Option<String>,
        /// New access.
        access: Option<Access>,
        /// New default configuration, by id.
        default_configuration: Change<String>,
    },
    /// Forgets a workspace (registry).
    DeleteWorkspace {
        /// Its id.
        id: String,
        /// The revision it must have.
        expect: Option<u64>,
    },
    /// Takes over a workspace's own row from the registry, in the workspace's own authority.
    SyncWorkspace(Workspace),
    /// Removes everything of a workspace, in its own authority; answers the KV entries to delete.
    DropWorkspace,

    /// Makes a provider key.
    CreateProviderKey {
        /// The key; `version` 1, or 0 without a secret.
        key: Box<ProviderKey>,
        /// Its secret, if it has one.
        sealed: Option<SealedVersion>,
    },
    /// Lists provider keys.
    ListProviderKeys(Page),
    /// A provider key by id or name.
    GetProviderKey(String),
    /// Changes a provider key.
    PatchProviderKey {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// New name.
        name: Option<String>,
        /// New tags.
        tags: Option<Tags>,
        /// Make it the default, or not.
        default: Option<bool>,
        /// Enable or disable it.
        enabled: Option<bool>,
        /// New manager.
        managed_by: Option<ManagedBy>,
    },
    /// Replaces a provider key's secret.
    RotateProviderKey {
        /// Its id.
        id: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// The new secret.
        sealed: SealedVersion,
    },
    /// Removes a provider key; answers the KV entries to delete.
    DeleteProviderKey {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
    },
    /// Where a provider key's sealed secret is, by the key's id or name.
    PointToProviderKey(String),
    /// After a rotation was acknowledged: which entries nothing points to any more; their copies are forgotten.
    SweepProviderKey {
        /// Its id.
        id: String,
    },

    /// Remembers entries that are about to be written, or to be removed. What makes one of a vault's own store a secret in
    /// force finds it remembered, or is refused; what nothing comes of is removed in time.
    RememberEntries(Vec<String>),
    /// Entries that nothing points to since this time, to be removed by whoever asks. Nothing will point to them again.
    ClaimLeftovers {
        /// Only those that were left, or last claimed, before.
        before: Timestamp,
        /// So many at most.
        limit: u32,
    },
    /// They have been removed.
    Forgotten(Vec<String>),
    /// How many secrets are under which KEK.
    CountSealed,
    /// The secrets in force that are not under this KEK, by provider key's id.
    ListSealed {
        /// Its name.
        not_under: String,
        /// Only keys after this one.
        after: Option<String>,
        /// So many at most.
        limit: u32,
    },
    /// Secrets were sealed under another KEK.
    Rewrap(Vec<Rewrapped>),
    /// The token keys are sealed under another local KEK now.
    PutTokenKeys {
        /// The KEK that sealed them so far; nothing changes where it is another.
        from: Option<String>,
        /// The KEK's name, and what it sealed.
        sealed: (String, String),
    },

    /// One by id or name.
    Get(Kind, String),
    /// Lists those of a kind.
    List(Kind, Page),
    /// Removes one.
    Delete {
        /// Which.
        kind: Kind,
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
    },

    /// Makes a role.
    CreateRole(Role),
    /// Changes a role.
    PatchRole {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// New name.
        name: Option<String>,
        /// New statements.
        statements: Option<Vec<Statement>>,
        /// New manager.
        managed_by: Option<ManagedBy>,
    },
    /// Makes an agent; `roles` and the pins' `provider_key` may be names.
    CreateAgent(Agent),
    /// Changes an agent.
    PatchAgent {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// New name.
        name: Option<String>,
        /// New tags.
        tags: Option<Tags>,
        /// New roles, by id or name.
        roles: Option<Vec<String>>,
        /// New pins.
        pins: Option<Vec<Pin>>,
        /// New manager.
        managed_by: Option<ManagedBy>,
    },
    /// Makes a gateway.
    CreateGateway(Gateway),
    /// Changes a gateway.
    PatchGateway {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// New name.
        name: Option<String>,
        /// New tags.
        tags: Option<Tags>,
        /// New manager.
        managed_by: Option<ManagedBy>,
    },
    /// What the data plane would know of a caller with this agent, gateway and configuration.
    Impersonate {
        /// The agent's id or name.
        agent: String,
        /// The gateway's id or name.
        gateway: Option<String>,
        /// The configuration's id or name.
        configuration: Option<String>,
    },

    /// The providers with a seeded entry.
    ListSeeds,
    /// Deletes a seeded entry for good.
    DeleteSeed {
        /// The provider's slug.
        provider: String,
    },

    /// Makes a configuration with a draft.
    CreateConfiguration(Configuration),
    /// Changes what is not the document.
    PatchConfiguration {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// New name.
        name: Option<String>,
        /// New tags.
        tags: Option<Tags>,
    },
    /// Replaces a configuration's draft.
    PutDraft {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// The document.
        document: String,
    },
    /// Makes a document the live version.
    ApplyConfiguration {
        /// The configuration's id.
        id: String,
        /// The revision it must have, which is the one its document was read and compiled at.
        expect: u64,
        /// The version that must be live.
        expected_version: u64,
        /// The document as it was written.
        document: String,
        /// What it says.
        plan: Plan,
        /// What it declares.
        declared: Declared,
        /// The version whose document this is, for a rollback; the draft then stays.
        restores: Option<u64>,
    },
    /// The versions of a configuration, newest first, without their documents.
    ListVersions {
        /// Its id or name.
        reference: String,
        /// So many at most.
        limit: u32,
        /// Only versions before this one.
        before: Option<u64>,
    },
    /// One version with its document.
    GetVersion {
        /// The configuration's id or name.
        reference: String,
        /// The version.
        version: u64,
    },

    /// Makes an admin token.
    CreateAdminToken {
        /// It.
        token: AdminToken,
        /// SHA-256 of its text, hex.
        hash: String,
    },
    /// Whose text has this SHA-256?
    CheckAdminToken {
        /// Hex.
        hash: String,
    },

    /// Writes to the audit log what no change of a resource does.
    Record {
        /// What was done, such as `api.deny`.
        action: String,
        /// To what.
        resource: String,
        /// What there is to say.
        detail: serde_json::Value,
    },
    /// The audit log, newest first.
    ListAudit {
        /// So many rows at most.
        limit: u32,
        /// Only rows before this one.
        before: Option<u64>,
        /// Only this action.
        action: Option<String>,
        /// Only this actor.
        actor: Option<String>,
        /// Only this resource.
        resource: Option<String>,
    },
    /// Checks a stretch of the audit log.
    VerifyAudit {
        /// The row to begin with; 1 for the first.
        from: u64,
        /// The hash that the row before was found to have, when `from` is not 1.
        previous: Option<String>,
        /// Rows to look at, at most.
        limit: u32,
    },

    /// Makes a gateway key; `agent`, `gateway` and `configuration` may be names.
    CreateGatewayKey {
        /// It.
        key: Box<GatewayKey>,
        /// SHA-256 of its text, hex.
        hash: String,
    },
    /// Lists gateway keys.
    ListGatewayKeys(Page),
    /// One by id or name.
    GetGatewayKey(String),
    /// Changes one.
    PatchGatewayKey {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
        /// New name.
        name: Option<String>,
        /// New team.
        team: Option<String>,
        /// New end.
        expires_at: Option<Timestamp>,
        /// New gateway, by id or name.
        gateway: Change<String>,
        /// New configuration, by id or name.
        configuration: Change<String>,
        /// New limits, all of them.
        limits: Change<Limits>,
        /// New budget.
        budget: Change<Budget>,
    },
    /// Revokes one.
    RevokeGatewayKey {
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
    },

    /// Lists the request log, newest first.
    ListRequests(RequestFilter, Page),
    /// Sums up usage.
    Usage(UsageQuery),

    /// The workspace's own prices, by provider and model.
    ListPrices,
    /// Sets a price.
    PutPrice(Price),
    /// Goes back to the manifest's price.
    DeletePrice {
        /// The provider's slug.
        provider: String,
        /// The model.
        model: String,
    },
    /// The wallet.
    GetWallet,
    /// The wallet's ledger, newest first.
    ListLedger {
        /// So many lines at most.
        limit: u32,
        /// Only lines before this one.
        before: Option<u64>,
    },
    /// Puts money into the wallet.
    CreditWallet {
        /// Made by the asker; the same credit again changes nothing.
        id: String,
        /// How much.
        amount_microusd: u64,
        /// What for.
        note: Option<String>,
    },
    /// Gives back reservations that nobody has settled, and removes what is kept no longer.
    Housekeep(Housekeeping),
}

/// Options of a provider, by name.
pub type Options = BTreeMap<String, String>;
