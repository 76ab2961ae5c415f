//! What functions ask the authority, and what it answers. Both travel as JSON where the authority is another place
//! (a Durable Object); elsewhere they are passed as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::lease::Lengths;
use crate::resource::{
    Access, GatewayKey, Health, ManagedBy, Named, ProviderKey, RequestRecord, Timestamp, Workspace,
};
use crate::snapshot::{Identity, KeyPointer, Snapshot};
use crate::tags::Tags;

/// A question with what the authority checks before it answers anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The workspace's id, or `registry`.
    pub object: String,
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

/// Agents or gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamedKind {
    /// Agents.
    Agent,
    /// Gateways.
    Gateway,
}

impl NamedKind {
    /// For messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Gateway => "gateway",
        }
    }
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

    /// Makes an agent or gateway.
    CreateNamed {
        /// Which.
        kind: NamedKind,
        /// It.
        named: Named,
    },
    /// Lists agents or gateways.
    ListNamed(NamedKind, Page),
    /// One by id or name.
    GetNamed(NamedKind, String),
    /// Changes one.
    PatchNamed {
        /// Which.
        kind: NamedKind,
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
    /// Removes one.
    DeleteNamed {
        /// Which.
        kind: NamedKind,
        /// Its id or name.
        reference: String,
        /// The revision it must have.
        expect: Option<u64>,
    },

    /// Makes a gateway key; `agent` and `gateway` may be names.
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
    /// An agent or gateway.
    Named(Named),
    /// Agents or gateways.
    Nameds(Vec<Named>),
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
    #[error(
        "the {kind} “{name}” is managed declaratively: change its document and apply the draft"
    )]
    Declarative {
        /// Of what kind.
        kind: String,
        /// The name.
        name: String,
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

impl From<lockgate_host::StoreError> for Denial {
    fn from(error: lockgate_host::StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// Options of a provider, by name.
pub type Options = BTreeMap<String, String>;
