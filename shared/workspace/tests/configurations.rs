//! Configurations in the authority over SQLite in memory: drafts, versions, who wins a race, what is declared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "configurations/declared.rs"]
mod declared;
#[path = "support/keyring.rs"]
mod keyring;
#[path = "support/sqlite.rs"]
#[expect(dead_code, reason = "nothing crashes here")]
mod sqlite;
#[path = "configurations/versions.rs"]
mod versions;

use std::collections::BTreeMap;

use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::authority;
use lockgate_workspace::plan::{CredentialKind, Plan, PlanTarget};
use lockgate_workspace::question::{
    Declared, Denial, Envelope, Kind, Outcome, Page, Question, Reply, Resource,
};
use lockgate_workspace::resource::{
    Agent, Configuration, ConfigurationVersion, Draft, Gateway, GatewayKey, ManagedBy, Role,
    Timestamp,
};
use lockgate_workspace::snapshot::Snapshot;
use lockgate_workspace::tags::Tags;
use sqlite::{MemoryDatabase, now};

/// When the tests take place: ms since the Unix epoch.
const START: u64 = 1_800_000_000_000;

struct Store(MemoryDatabase);

impl Store {
    fn new() -> Self {
        Self(MemoryDatabase::new())
    }

    /// A store with the configuration `main`, whose draft is `one`.
    fn with_draft() -> Self {
        let store = Self::new();
        store.create("main", "one");
        store
    }

    fn outcome(&self, question: Question) -> Outcome {
        let envelope = Envelope {
            object: DEFAULT_WORKSPACE.into(),
            actor: "at_tester".into(),
            keys: crate::keyring::keyring("kek"),
            lease_ms: 1_000,
            question,
        };
        now(authority::process(&self.0, START + 5, envelope))
    }

    fn ask(&self, question: Question) -> Result<Reply, Denial> {
        self.outcome(question).reply
    }

    fn shown(&self, question: Question) -> Result<Configuration, Denial> {
        match self.ask(question)? {
            Reply::Resource(resource) => match *resource {
                Resource::Configuration(configuration) => Ok(configuration),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn create(&self, name: &str, document: &str) -> Configuration {
        let made = configuration(name, document);
        self.shown(Question::CreateConfiguration(made)).unwrap()
    }

    fn get(&self, reference: &str) -> Configuration {
        let question = Question::Get(Kind::Configuration, reference.into());
        self.shown(question).unwrap()
    }

    fn put_draft(&self, reference: &str, document: &str) -> Configuration {
        let question = Question::PutDraft {
            reference: reference.into(),
            expect: None,
            document: document.into(),
        };
        self.shown(question).unwrap()
    }

    /// Applies the draft of a configuration as it is now.
    fn apply(&self, reference: &str, declared: Declared) -> Result<Configuration, Denial> {
        let question = apply(&self.get(reference), declared);
        self.shown(question)
    }

    fn version(&self, reference: &str, version: u64) -> Result<ConfigurationVersion, Denial> {
        let question = Question::GetVersion {
            reference: reference.into(),
            version,
        };
        match self.ask(question)? {
            Reply::Version(version) => Ok(*version),
            other => panic!("{other:?}"),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let question = Question::Impersonate {
            agent: "probe".into(),
            gateway: None,
            configuration: None,
        };
        match self.ask(question) {
            Ok(Reply::Caller(_, snapshot)) => *snapshot,
            Err(Denial::NotFound { .. }) => {
                self.ask(Question::CreateAgent(agent("probe", &[])))
                    .unwrap();
                self.snapshot()
            }
            other => panic!("{other:?}"),
        }
    }

    fn delete(&self, kind: Kind, reference: &str) -> Result<Reply, Denial> {
        self.ask(Question::Delete {
            kind,
            reference: reference.into(),
            expect: None,
        })
    }
}

fn configuration(name: &str, document: &str) -> Configuration {
    Configuration {
        id: format!("cfg_{name}"),
        name: name.into(),
        tags: Tags::new(),
        version: 0,
        document: None,
        draft: Some(Draft {
            document: Some(document.into()),
            based_on: 0,
            written_by: "somebody else".into(),
            written_at: Timestamp(1),
        }),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        applied_at: None,
        revision: 1,
    }
}

/// A plan with one target of this name, to tell plans apart.
fn plan(name: &str) -> Plan {
    Plan {
        targets: vec![PlanTarget {
            id: name.into(),
            provider: "openai".into(),
            model: None,
            credential: CredentialKind::Any,
            provider_key: None,
        }],
        ..Plan::default()
    }
}

/// Applies the draft of a configuration as it was found; its plan bears the document's text.
fn apply(found: &Configuration, declared: Declared) -> Question {
    let draft = found.draft.clone().unwrap().document.unwrap();
    Question::ApplyConfiguration {
        id: found.id.clone(),
        expect: found.revision,
        expected_version: found.version,
        plan: plan(&draft),
        document: draft,
        declared,
        restores: None,
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect::<BTreeMap<_, _>>()
}

fn agent(name: &str, roles: &[&str]) -> Agent {
    Agent {
        id: format!("agent_{name}"),
        name: name.into(),
        tags: Tags::new(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        pins: Vec::new(),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 1,
    }
}
