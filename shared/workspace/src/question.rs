//! What functions ask the authority, and what it answers. Both travel as JSON where the authority is another place
//! (a Durable Object); elsewhere they are passed as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::lease::Lengths;
use crate::plan::Plan;
use crate::resource::{
    Access, AdminToken, Agent, AuditEntry, Configuration, ConfigurationVersion, Gateway,
    GatewayKey, Health, ManagedBy, Pin, ProviderKey, RequestRecord, Role, Statement, Timestamp,
    Verified, Workspace,
};
use crate::snapshot::{Identity, KeyPointer, Snapshot};
use crate::tags::Tags;

/// A question with what the authority checks before it answers anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The workspace's id, or `registry`.
    pub object: String,
    /// Who asks, for the audit log: the id of an admin token, `root`, or `system`.
    pub actor: String,
    /// Recognises the asker's KEK.
    pub kek_check: String,
    /// The asker's setting; the authority adopts it.
    pub lease_ms: u64,
    /// The question.
    pub question: Question,
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

/// Kinds of resources that are found, listed and removed alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Roles.
    Role,
    /// Agents.
    Agent,
    /// Gateways.
    Gateway,
    /// Configurations.
    Configuration,
    /// Admin tokens.
    AdminToken,
}

impl Kind {
    /// For messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Configuration => "configuration",
            Self::AdminToken => "admin token",
        }
    }

    /// What its ids begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Agent => "agent",
            Self::Gateway => "gw",
            Self::Configuration => "cfg",
            Self::AdminToken => "at",
        }
    }
}

/// One resource of any [`Kind`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Resource {
    /// A role.
    Role(Role),
    /// An agent.
    Agent(Agent),
    /// A gateway.
    Gateway(Gateway),
    /// A configuration.
    Configuration(Configuration),
    /// An admin token.
    AdminToken(AdminToken),
}

impl Resource {
    /// Where it stands in lists: when it was made, and its id.
    #[must_use]
    pub fn place(&self) -> (u64, &str) {
        match self {
            Self::Role(one) => (one.created_at.0, &one.id),
            Self::Agent(one) => (one.created_at.0, &one.id),
            Self::Gateway(one) => (one.created_at.0, &one.id),
            Self::Configuration(one) => (one.created_at.0, &one.id),
            Self::AdminToken(one) => (one.created_at.0, &one.id),
        }
    }

    /// In the form that `/api` shows, with its `revision`.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        let value = match self {
            Self::Role(one) => serde_json::to_value(one),
            Self::Agent(one) => serde_json::to_value(one),
            Self::Gateway(one) => serde_json::to_value(one),
            Self::Configuration(one) => serde_json::to_value(one),
            Self::AdminToken(one) => serde_json::to_value(one),
        };
        value.unwrap_or_default()
    }
}

/// A change of something that can be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// Absent from now on.
    Clear,
    /// This from now on.
    Set(T),
}

impl<T> Change<T> {
    /// What it comes to.
    #[must_use]
    pub fn of(self, present: Option<T>) -> Option<T> {
        match self {
            Self::Keep => present,
            Self::Clear => None,
            Self::Set(new) => Some(new),
        }
    }
}

/// Requests that policy denied, or that a soft pin was passed over for, counted together for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// `access.deny` or `pin.fallback`.
    pub action: String,
    /// The gateway key's id.
    pub gateway_key: String,
    /// The agent's name.
    pub agent: String,
    /// The provider's slug.
    pub provider: String,
    /// The provider key's name, where one was looked at.
    pub provider_key: Option<String>,
    /// The model asked for; `None` where there was none, or where many were.
    pub model: Option<String>,
    /// The route, where one decided.
    pub route: Option<String>,
    /// A word of FEATURES B4.
    pub reason: String,
    /// How often since the last report.
    pub count: u64,
    /// The first of them.
    pub first_at: Timestamp,
    /// The last of them.
    pub last_at: Timestamp,
}

/// What applying a document makes of roles, agents, gateways and provider keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// Gateways with their tags.
    pub gateways: Vec<Gateway>,
    /// Agents with their tags and roles; `roles` may be names.
    pub agents: Vec<Agent>,
    /// Roles with their statements.
    pub roles: Vec<Role>,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// At most so many items.
    pub limit: u32,
    /// Where the last page ended: creation time and id of its last item.
    pub after: Option<(u64, String)>,
}

/// A sealed secret on its way to the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedVersion {
    /// The number that it was sealed for; refused if another version came between.
    pub version: u64,
    /// The name of its KV entry.
    pub entry: String,
    /// The wrapped data key, base64.
    pub wrapped: String,
    /// A copy of the ciphertext, base64.
    pub ciphertext: String,
    /// Which KEK wrapped it.
    pub kek: String,
    /// `sk-…wxyz`
    pub masked: String,
}

/// Filters of the request log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFilter {
    /// Gateway key id.
    pub gateway_key: Option<String>,
    /// Agent name.
    pub agent: Option<String>,
    /// Route name.
    pub route: Option<String>,
    /// Provider slug.
    pub provider: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// `byok` or `managed`.
    pub credential: Option<String>,
    /// Status.
    pub status: Option<u16>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// The question itself. Ids are made by the asker, so that the authority needs no randomness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// May this gateway key be served, and from which snapshot?
    Admit(Admit),
    /// Stores what the isolate has logged, and renews a lease in the same hop where one is due.
    Report {
        /// Log records.
        records: Records,
        /// What the audit log is to know.
        incidents: Vec<Incident>,
        /// The lease to renew.
        admit: Option<Admit>,
    },
    /// The authority's copy of the newest sealed secret of a key, for a KV that has not caught up.
    SealedCopy {
        /// Provider key id.
        provider_key: String,
        /// The version wanted; refused where it is no longer the one in force.
        version: u64,
    },
    /// Somebody has slept for a whole wait since this generation of lease lengths was in force.
    RetireLease {
        /// The generation.
        generation: u64,
    },

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
    /// What has been learnt of a provider key's health.
    MarkHealth {
        /// Its id.
        id: String,
        /// The version of the secret that was tried; the label of another one is dropped.
        version: u64,
        /// What was learnt.
        health: Health,
        /// The same in a sentence for people; nothing secret.
        detail: String,
    },
    /// After a rotation was acknowledged: which KV entries nothing points to any more; their copies are forgotten.
    SweepProviderKey {
        /// Its id.
        id: String,
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
}

/// A JSON array of [`RequestRecord`]s, kept as text: written once, and read where it is stored. Inside an [`Envelope`]
/// that travels it stands as the array that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(String);

impl Records {
    /// Wraps the text of a JSON array; whether it is one is seen when it is stored.
    #[must_use]
    pub fn new(json: String) -> Self {
        Self(json)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Serialize for Records {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let array: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        array.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let array = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Box::<str>::from(array).into_string()))
    }
}

/// A request for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// SHA-256 of the gateway key, hex.
    pub hash: String,
    /// The snapshot version the isolate has.
    pub known: Option<u64>,
}

/// The answer to [`Admit`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every admission is a grant, and replies box it whole"
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
    /// To [`Question::Admit`], and to [`Question::Report`] with one inside.
    Admission(Box<Admission>),
    /// Base64 of a ciphertext.
    Ciphertext(String),
    /// KV entries that nothing points to any more.
    Entries(Vec<String>),
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

/// Why the authority would not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Denial {
    /// No such thing.
    #[error("no {kind} “{reference}” in this workspace")]
    NotFound {
        /// What was looked for.
        kind: String,
        /// By what it was called.
        reference: String,
    },
    /// The name is taken.
    #[error("there is a {kind} named “{name}” already")]
    AlreadyExists {
        /// Of what kind.
        kind: String,
        /// The name.
        name: String,
    },
    /// `If-Match` named another revision.
    #[error("it has changed since you read it: you have \"{expected}\", it is \"{found}\"")]
    Stale {
        /// What the asker has.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// Another version was stored between reading and sealing; the asker seals again.
    #[error("another version was stored meanwhile; the newest is {0}")]
    VersionMoved(u64),
    /// It is managed by a document.
    #[error("{}", declaratively(.kind, .name, .configuration.as_deref()))]
    Declarative {
        /// Of what kind.
        kind: String,
        /// The name.
        name: String,
        /// Id and name of the configuration whose document declares it, where one does.
        configuration: Option<Box<(String, String)>>,
    },
    /// Something needs it.
    #[error("{0}")]
    InUse(String),
    /// The store was made with another KEK.
    #[error(
        "the store was made with another LOCKGATE_KEK; start with that one (nothing was read or written)"
    )]
    WrongKek,
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

/// What the error says: that there is a way, and which.
fn declaratively(kind: &str, name: &str, configuration: Option<&(String, String)>) -> String {
    let (id, by, or) = match configuration {
        Some((id, name)) => (id.as_str(), format!(" by the configuration “{name}”"), ""),
        None => (
            "{id}",
            String::new(),
            "; no document declares it, so a PATCH of {\"managed_by\":\"manual\"} alone hands it back to people",
        ),
    };
    format!(
        "the {kind} “{name}” is managed declaratively{by}, so live edits are refused: change the document's draft \
         (PUT /api/configurations/{id}/draft), then apply it (POST /api/configurations/{id}/apply){or}"
    )
}

impl From<lockgate_host::StoreError> for Denial {
    fn from(error: lockgate_host::StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// Options of a provider, by name.
pub type Options = BTreeMap<String, String>;
