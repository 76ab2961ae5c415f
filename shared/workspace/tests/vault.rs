//! What the authority knows of KEKs: who may use a store, what a rewrap changes, what is left over, and whose turn it is to ask a
//! vault (FEATURES G3, G4, G5).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "vault/leftovers.rs"]
mod leftovers;
#[path = "vault/marks.rs"]
mod marks;
#[path = "vault/rewrap.rs"]
mod rewrap;
#[path = "support/sample.rs"]
mod sample;
#[allow(dead_code)]
#[path = "support/sqlite.rs"]
mod sqlite;
#[path = "vault/turns.rs"]
mod turns;

use std::cell::Cell;
use std::sync::Arc;

use lockgate_host::{Row, Value};
use lockgate_vault::{Held, Kek};
use lockgate_workspace::question::{
    Denial, Envelope, Keyring, Outcome, Question, Reply, SealedAt, SealedRow, SealedVersion,
};
use lockgate_workspace::{DEFAULT_WORKSPACE, authority};
use sqlite::{MemoryDatabase, now};

/// When the tests take place: ms since the Unix epoch.
const START: u64 = 1_800_000_000_000;

/// A local KEK by number, or a managed vault by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Vault {
    Local(u8),
    Managed(&'static str),
}

use Vault::{Local, Managed};

impl Vault {
    fn held(self) -> Held {
        match self {
            Local(number) => {
                let kek = Kek::generate(&mut |out| out.fill(number));
                Held {
                    mark: kek.check_value(),
                    prefix: kek.id(),
                }
            }
            Managed(name) => Held {
                mark: name.to_owned(),
                prefix: format!("{name}:"),
            },
        }
    }

    /// The name of its KEK.
    fn kek(self) -> String {
        match self {
            Local(_) => self.held().prefix,
            Managed(name) => format!("{name}:its own name"),
        }
    }
}

/// The settings of an asker. A local KEK is in force always; where the first vault is another one, it is so beside it.
fn keyring(in_force: &[Vault], readable: &[Vault]) -> Arc<Keyring> {
    let held = |vaults: &[Vault]| vaults.iter().map(|vault| vault.held()).collect();
    Arc::new(Keyring {
        in_force: held(in_force),
        readable: held(readable),
    })
}

/// A store and a clock.
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

    fn outcome(&self, keys: &Arc<Keyring>, object: &str, question: Question) -> Outcome {
        let envelope = Envelope {
            object: object.to_owned(),
            actor: "at_tester".to_owned(),
            keys: keys.clone(),
            lease_ms: 1_000,
            question,
        };
        now(authority::process(
            &self.database,
            self.time.get(),
            envelope,
        ))
    }

    fn ask(&self, keys: &Arc<Keyring>, question: impl Into<Question>) -> Result<Reply, Denial> {
        self.outcome(keys, DEFAULT_WORKSPACE, question.into()).reply
    }

    /// Everything that is in it.
    fn dump(&self) -> Vec<(String, Vec<Row>)> {
        let sql = |sql: &str| self.database.sql(sql, &[]).unwrap();
        let tables = sql("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
        let rows = |row: &Row| {
            let Value::Text(table) = &row[0] else {
                panic!("{row:?}");
            };
            (table.clone(), sql(&format!("SELECT * FROM {table}")))
        };
        tables.iter().map(rows).collect()
    }

    /// The first column of a query, texts.
    fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.database.sql(sql, &[]).unwrap();
        let text = |row: &Row| match &row[0] {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        rows.iter().map(text).collect()
    }

    /// What is sealed under another KEK than this.
    fn sealed(&self, keys: &Arc<Keyring>, not_under: &str) -> Vec<SealedRow> {
        let question = Question::ListSealed {
            not_under: not_under.to_owned(),
            after: None,
            limit: 100,
        };
        match self.ask(keys, question) {
            Ok(Reply::Sealed(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn left(&self) -> Vec<String> {
        self.texts("SELECT entry FROM leftovers ORDER BY entry")
    }
}

/// A version as an asker seals it. What a KV store holds has no wrapped data key and no copy.
fn sealed(id: &str, version: u64, vault: Vault) -> SealedVersion {
    let at = at(id, version, vault);
    SealedVersion {
        version,
        ciphertext: match vault {
            Managed("vault-kv") => String::new(),
            _ => format!("ciphertext {id} {version}"),
        },
        entry: at.entry,
        wrapped: at.wrapped,
        kek: at.kek,
        masked: "sk-…wxyz".to_owned(),
    }
}

fn at(id: &str, version: u64, vault: Vault) -> SealedAt {
    let kek = vault.kek();
    let path = format!("secret/{id}/{version}");
    match vault {
        Managed("vault-kv") => SealedAt {
            entry: format!("{kek}#{path}"),
            wrapped: String::new(),
            kek,
        },
        _ => SealedAt {
            entry: path,
            wrapped: format!("{id} {version} under {kek}"),
            kek,
        },
    }
}

fn create(id: &str, vault: Vault) -> Question {
    Question::CreateProviderKey {
        key: Box::new(sample::provider_key(id, "openai", id, START)),
        sealed: Some(sealed(id, 1, vault)),
    }
}

fn rotate(id: &str, version: u64, vault: Vault) -> Question {
    Question::RotateProviderKey {
        id: id.to_owned(),
        expect: None,
        sealed: sealed(id, version, vault),
    }
}

fn delete(id: &str) -> Question {
    Question::DeleteProviderKey {
        reference: id.to_owned(),
        expect: None,
    }
}

fn intend(id: &str, version: u64, vault: Vault) -> Question {
    Question::RememberEntries(vec![at(id, version, vault).entry])
}
