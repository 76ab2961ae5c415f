//! The authority over SQLite in memory: what each question answers, and why it is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "authority/admission.rs"]
mod admission;
#[path = "authority/callers.rs"]
mod callers;
#[path = "authority/provider_keys.rs"]
mod provider_keys;
#[path = "authority/requests.rs"]
mod requests;
#[path = "support/sqlite.rs"]
mod sqlite;
#[path = "authority/store.rs"]
mod store;
#[path = "authority/workspaces.rs"]
mod workspaces;

use std::cell::Cell;
use std::collections::BTreeMap;

use lockgate_workspace::authority;
use lockgate_workspace::question::{
    Admission, Admit, Denial, Envelope, NamedKind, Outcome, Page, Question, Reply, SealedVersion,
};
use lockgate_workspace::resource::{GatewayKey, Health, ManagedBy, Named, ProviderKey, Timestamp};
use lockgate_workspace::snapshot::Snapshot;
use lockgate_workspace::{DEFAULT_WORKSPACE, REGISTRY};
use sqlite::{MemoryDatabase, now};

/// When the tests take place: ms since the Unix epoch.
const START: u64 = 1_800_000_000_000;

/// A store and a clock.
struct Store {
    database: MemoryDatabase,
    time: Cell<u64>,
    lease_ms: Cell<u64>,
}

impl Store {
    fn new() -> Self {
        Self {
            database: MemoryDatabase::new(),
            time: Cell::new(START),
            lease_ms: Cell::new(1_000),
        }
    }

    /// A store with the agent `bot` in its default workspace.
    fn with_agent() -> Self {
        let store = Self::new();
        store
            .ask(create_named(NamedKind::Agent, "agent_1", "bot"))
            .unwrap();
        store
    }

    fn outcome(&self, object: &str, question: Question) -> Outcome {
        let envelope = Envelope {
            object: object.into(),
            kek_check: "kek".into(),
            lease_ms: self.lease_ms.get(),
            question,
        };
        now(authority::process(
            &self.database,
            self.time.get(),
            envelope,
        ))
    }

    fn ask_in(&self, object: &str, question: Question) -> Result<Reply, Denial> {
        self.outcome(object, question).reply
    }

    fn ask(&self, question: Question) -> Result<Reply, Denial> {
        self.ask_in(DEFAULT_WORKSPACE, question)
    }

    fn registry(&self, question: Question) -> Result<Reply, Denial> {
        self.ask_in(REGISTRY, question)
    }

    fn key(&self, reference: &str) -> ProviderKey {
        match self.ask(Question::GetProviderKey(reference.into())) {
            Ok(Reply::ProviderKey(key)) => *key,
            other => panic!("{other:?}"),
        }
    }

    fn admit(&self, hash: &str, known: Option<u64>) -> Admission {
        let hash = hash.into();
        match self.ask(Question::Admit(Admit { hash, known })) {
            Ok(Reply::Admission(admission)) => *admission,
            other => panic!("{other:?}"),
        }
    }

    /// The snapshot for the gateway key made by [`create_caller`].
    fn snapshot(&self) -> Snapshot {
        match self.admit("hash of app", None) {
            Admission::Granted { snapshot, .. } => *snapshot.unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn provider_key(id: &str, provider: &str, name: &str) -> ProviderKey {
    ProviderKey {
        id: id.into(),
        provider: provider.into(),
        name: name.into(),
        masked: "sk-…wxyz".into(),
        version: 1,
        base_url: None,
        options: BTreeMap::new(),
        default: false,
        enabled: true,
        tags: BTreeMap::new(),
        health: Health::Unknown,
        health_detail: None,
        checked_at: None,
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        rotated_at: None,
        last_used_at: None,
        versions: Vec::new(),
        revision: 0,
    }
}

fn sealed(id: &str, version: u64) -> SealedVersion {
    SealedVersion {
        version,
        entry: format!("entry {id} {version}"),
        wrapped: format!("wrapped {id} {version}"),
        ciphertext: format!("ciphertext {id} {version}"),
        kek: "kek 1".into(),
        masked: format!("sk-…000{version}"),
    }
}

fn create_key(id: &str, provider: &str, name: &str) -> Question {
    Question::CreateProviderKey {
        key: Box::new(provider_key(id, provider, name)),
        sealed: Some(sealed(id, 1)),
    }
}

fn rotate(id: &str, version: u64) -> Question {
    Question::RotateProviderKey {
        id: id.into(),
        expect: None,
        sealed: sealed(id, version),
    }
}

fn delete_key(reference: &str) -> Question {
    Question::DeleteProviderKey {
        reference: reference.into(),
        expect: None,
    }
}

fn named(id: &str, name: &str) -> Named {
    Named {
        id: id.into(),
        name: name.into(),
        tags: BTreeMap::from([("team".to_owned(), "ops".to_owned())]),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 0,
    }
}

fn create_named(kind: NamedKind, id: &str, name: &str) -> Question {
    let named = named(id, name);
    Question::CreateNamed { kind, named }
}

fn gateway_key(id: &str, name: &str) -> GatewayKey {
    GatewayKey {
        id: id.into(),
        name: name.into(),
        masked: "lgk_…wxyz".into(),
        agent: "bot".into(),
        gateway: None,
        team: Some("ops".into()),
        expires_at: None,
        revoked_at: None,
        created_at: Timestamp(START),
        last_used_at: None,
        revision: 0,
    }
}

/// Makes a gateway key for the agent `bot`; its hash is `hash of <name>`.
fn create_caller(id: &str, name: &str) -> Question {
    Question::CreateGatewayKey {
        key: Box::new(gateway_key(id, name)),
        hash: format!("hash of {name}"),
    }
}

fn revoke(reference: &str) -> Question {
    Question::RevokeGatewayKey {
        reference: reference.into(),
        expect: None,
    }
}

fn page(limit: u32) -> Page {
    Page { limit, after: None }
}

fn not_found(kind: &str, reference: &str) -> Denial {
    Denial::NotFound {
        kind: kind.into(),
        reference: reference.into(),
    }
}

fn taken(kind: &str, name: &str) -> Denial {
    Denial::AlreadyExists {
        kind: kind.into(),
        name: name.into(),
    }
}

const STALE: Denial = Denial::Stale {
    expected: 9,
    found: 1,
};
