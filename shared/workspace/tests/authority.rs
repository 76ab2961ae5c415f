//! The authority over SQLite in memory: what each question answers, and why it is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "authority/admission.rs"]
mod admission;
#[path = "authority/bridges.rs"]
mod bridges;
#[path = "authority/callers.rs"]
mod callers;
#[path = "support/keyring.rs"]
mod keyring;
#[path = "authority/limits.rs"]
mod limits;
#[path = "authority/provider_keys.rs"]
mod provider_keys;
#[path = "authority/requests.rs"]
mod requests;
#[path = "authority/roles.rs"]
mod roles;
#[path = "support/sample.rs"]
mod sample;
#[path = "authority/seeds.rs"]
mod seeds;
#[path = "support/sqlite.rs"]
mod sqlite;
#[path = "authority/store.rs"]
mod store;
#[path = "authority/workspaces.rs"]
mod workspaces;

use std::cell::Cell;
use std::collections::BTreeMap;

use lockgate_workspace::authority;
use lockgate_workspace::plan::Plan;
use lockgate_workspace::question::{
    Admission, Admit, Change, DataQuestion, Declared, Denial, Envelope, Kind, Outcome, Page,
    Question, Reply, SealedVersion,
};
use lockgate_workspace::resource::{
    Access, Agent, Configuration, Draft, Gateway, GatewayKey, ManagedBy, Pin, ProviderKey,
    Timestamp,
};
use lockgate_workspace::snapshot::Snapshot;
use lockgate_workspace::tags::Tags;
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
            .ask(Question::CreateAgent(agent("agent_1", "bot")))
            .unwrap();
        store
    }

    fn outcome(&self, object: &str, question: impl Into<Question>) -> Outcome {
        let envelope = Envelope {
            object: object.into(),
            actor: "at_tester".into(),
            keys: crate::keyring::keyring("kek"),
            lease_ms: self.lease_ms.get(),
            question: question.into(),
        };
        now(authority::process(
            &self.database,
            self.time.get(),
            envelope,
        ))
    }

    fn ask_in(&self, object: &str, question: impl Into<Question>) -> Result<Reply, Denial> {
        self.outcome(object, question).reply
    }

    fn ask(&self, question: impl Into<Question>) -> Result<Reply, Denial> {
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
        match self.ask(DataQuestion::Admit(Admit { hash, known })) {
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
    sample::provider_key(id, provider, name, START)
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

fn tags(key: &str, value: &str) -> Tags {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

fn agent(id: &str, name: &str) -> Agent {
    Agent {
        id: id.into(),
        name: name.into(),
        tags: tags("team", "ops"),
        roles: Vec::new(),
        pins: Vec::new(),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 0,
    }
}

fn gateway(id: &str, name: &str) -> Gateway {
    Gateway {
        id: id.into(),
        name: name.into(),
        tags: tags("team", "ops"),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 0,
    }
}

/// What a change of an agent names.
#[derive(Default)]
struct PatchAgent {
    expect: Option<u64>,
    name: Option<String>,
    tags: Option<Tags>,
    roles: Option<Vec<String>>,
    pins: Option<Vec<Pin>>,
    managed_by: Option<ManagedBy>,
}

impl PatchAgent {
    fn of(self, reference: &str) -> Question {
        Question::PatchAgent {
            reference: reference.into(),
            expect: self.expect,
            name: self.name,
            tags: self.tags,
            roles: self.roles,
            pins: self.pins,
            managed_by: self.managed_by,
        }
    }
}

fn patch_gateway(reference: &str, expect: Option<u64>, name: &str) -> Question {
    Question::PatchGateway {
        reference: reference.into(),
        expect,
        name: Some(name.into()),
        tags: None,
        managed_by: None,
    }
}

/// A gateway key's new end.
fn patch_caller(reference: &str, expect: Option<u64>, expires_at: Option<u64>) -> Question {
    Question::PatchGatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        reference: reference.into(),
        expect,
        name: None,
        team: None,
        expires_at: expires_at.map(Timestamp),
        gateway: Change::Keep,
        configuration: Change::Keep,
    }
}

fn delete(kind: Kind, reference: &str, expect: Option<u64>) -> Question {
    Question::Delete {
        kind,
        reference: reference.into(),
        expect,
    }
}

fn patch_workspace(reference: &str, expect: Option<u64>, name: Option<&str>) -> Question {
    Question::PatchWorkspace {
        reference: reference.into(),
        expect,
        name: name.map(Into::into),
        access: Some(Access::Enforced),
        default_configuration: Change::Keep,
    }
}

fn gateway_key(id: &str, name: &str) -> GatewayKey {
    GatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        id: id.into(),
        name: name.into(),
        masked: "lgk_…wxyz".into(),
        agent: "bot".into(),
        gateway: None,
        configuration: None,
        team: Some("ops".into()),
        created_by: "root".into(),
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

/// Makes a configuration and applies it, with agents that it declares.
fn configuration(store: &Store, id: &str, name: &str, agents: &[&str]) {
    configuration_in(store, DEFAULT_WORKSPACE, (id, name), agents);
}

fn configuration_in(store: &Store, object: &str, (id, name): (&str, &str), agents: &[&str]) {
    let ask = |question| store.ask_in(object, question).unwrap();
    let draft = Draft {
        document: Some("draft".into()),
        based_on: 0,
        written_by: String::new(),
        written_at: Timestamp(START),
    };
    let made = Configuration {
        id: id.into(),
        name: name.into(),
        tags: tags("environment", name),
        version: 0,
        document: None,
        draft: Some(draft),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        applied_at: None,
        revision: 0,
    };
    ask(Question::CreateConfiguration(made));
    let declared = Declared {
        agents: agents
            .iter()
            .map(|name| agent(&format!("agent_{name}"), name))
            .collect(),
        ..Declared::default()
    };
    let apply = Question::ApplyConfiguration {
        id: id.into(),
        expect: 1,
        expected_version: 0,
        document: "draft".into(),
        plan: Plan::default(),
        declared,
        restores: None,
    };
    ask(apply);
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
