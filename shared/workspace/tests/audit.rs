//! The audit log over SQLite in memory: what it tells of, what it leaves out, and that no byte of it can change unseen.
//! And admin tokens, whom it names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "audit/admin_tokens.rs"]
mod admin_tokens;
#[path = "audit/chain.rs"]
mod chain;
#[path = "audit/changes.rs"]
mod changes;
#[path = "audit/incidents.rs"]
mod incidents;
#[path = "support/keyring.rs"]
mod keyring;
#[path = "audit/questions.rs"]
mod questions;
#[path = "support/sample.rs"]
mod sample;
#[path = "support/sqlite.rs"]
#[allow(dead_code)] // It is shared with tests that need more of it.
mod sqlite;
#[path = "audit/tampering.rs"]
mod tampering;

use std::cell::Cell;
use std::collections::BTreeMap;

use lockgate_host::Value as Stored;
use lockgate_workspace::question::{Denial, Envelope, Kind, Question, Reply};
use lockgate_workspace::resource::{
    Access, Agent, AuditEntry, ManagedBy, Role, Timestamp, Verified, Workspace,
};
use lockgate_workspace::{DEFAULT_WORKSPACE, authority};
use sqlite::{MemoryDatabase, now};

/// When the tests begin: ms since the Unix epoch.
const START: u64 = 1_800_000_000_000;
/// The hash before the first row.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A store, and a clock that moves with each question.
struct Store {
    database: MemoryDatabase,
    time: Cell<u64>,
}

impl Store {
    fn new() -> Self {
        Self {
            database: MemoryDatabase::new(),
            time: Cell::new(START),
        }
    }

    fn ask_in(&self, object: &str, question: impl Into<Question>) -> Result<Reply, Denial> {
        self.time.set(self.time.get() + 1);
        let envelope = Envelope {
            object: object.into(),
            actor: "at_tester".into(),
            keys: crate::keyring::keyring("kek"),
            lease_ms: 1_000,
            question: question.into(),
        };
        let answered = authority::process(&self.database, self.time.get(), envelope);
        now(answered).reply
    }

    fn ask(&self, question: impl Into<Question>) -> Result<Reply, Denial> {
        self.ask_in(DEFAULT_WORKSPACE, question)
    }

    /// The whole log of a workspace, oldest first.
    fn log_of(&self, workspace: &str) -> Vec<AuditEntry> {
        let question = Question::ListAudit {
            limit: 1_000,
            before: None,
            action: None,
            actor: None,
            resource: None,
        };
        match self.ask_in(workspace, question) {
            Ok(Reply::Audit(mut rows)) => {
                rows.reverse();
                rows
            }
            other => panic!("{other:?}"),
        }
    }

    fn log(&self) -> Vec<AuditEntry> {
        self.log_of(DEFAULT_WORKSPACE)
    }

    /// The rows that the questions leave, as `action resource`.
    fn told(&self, question: impl Into<Question>) -> Vec<AuditEntry> {
        let before = self.log().len();
        self.ask(question).unwrap();
        self.log().split_off(before)
    }

    fn verify_by(&self, limit: u32) -> Verified {
        let mut found = Verified {
            ok: true,
            rows: 0,
            first_bad_seq: None,
        };
        let (mut from, mut previous) = (1, None);
        loop {
            let question = Question::VerifyAudit {
                from,
                previous,
                limit,
            };
            let Ok(Reply::Verified { verified, next }) = self.ask(question) else {
                panic!("no verdict");
            };
            found = Verified {
                rows: found.rows + verified.rows,
                ..verified
            };
            let Some((seq, hash)) = next else {
                return found;
            };
            (from, previous) = (seq, Some(hash));
        }
    }

    fn verify(&self) -> Verified {
        self.verify_by(1_000)
    }

    fn sql(&self, sql: &str) -> Vec<Vec<Stored>> {
        self.database.sql(sql, &[]).unwrap()
    }
}

/// Action and resource of each row.
fn names(rows: &[AuditEntry]) -> Vec<(&str, &str)> {
    rows.iter()
        .map(|row| (row.action.as_str(), row.resource.as_str()))
        .collect()
}

fn intact(rows: u64) -> Verified {
    Verified {
        ok: true,
        rows,
        first_bad_seq: None,
    }
}

fn role(id: &str, name: &str) -> Role {
    Role {
        id: id.into(),
        name: name.into(),
        statements: Vec::new(),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 0,
    }
}

fn agent(id: &str, name: &str, roles: &[&str]) -> Agent {
    Agent {
        id: id.into(),
        name: name.into(),
        tags: BTreeMap::from([("team".to_owned(), "ops".to_owned())]),
        roles: roles.iter().map(|&r| r.to_owned()).collect(),
        pins: Vec::new(),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 0,
    }
}

fn rename_role(reference: &str, name: &str) -> Question {
    Question::PatchRole {
        reference: reference.into(),
        expect: None,
        name: Some(name.into()),
        statements: None,
        managed_by: None,
    }
}

fn delete(kind: Kind, reference: &str) -> Question {
    Question::Delete {
        kind,
        reference: reference.into(),
        expect: None,
    }
}

fn workspace(id: &str, name: &str, revision: u64) -> Workspace {
    Workspace {
        id: id.into(),
        name: name.into(),
        plan: "free".into(),
        access: Access::Enforced,
        default_configuration: None,
        created_at: Timestamp(START),
        revision,
    }
}
