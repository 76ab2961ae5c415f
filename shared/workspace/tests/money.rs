//! Money and usage over SQLite in memory: the wallet to the last micro-USD, prices, and what requests are summed up to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "money/housekeeping.rs"]
mod housekeeping;
#[path = "support/keyring.rs"]
mod keyring;
#[path = "money/prices.rs"]
mod prices;
#[path = "support/sqlite.rs"]
mod sqlite;
#[path = "money/states.rs"]
mod states;
#[path = "money/upgrade.rs"]
mod upgrade;
#[path = "money/usage.rs"]
mod usage;
#[path = "money/wallet.rs"]
mod wallet;

use std::cell::Cell;

use lockgate_workspace::question::{
    DataQuestion, Denial, Envelope, Outcome, Question, Records, Reply, Reservation,
};
use lockgate_workspace::resource::{
    AuditEntry, LedgerEntry, RequestRecord, Timestamp, Tokens, Wallet,
};
use lockgate_workspace::{DEFAULT_WORKSPACE, authority};
use sqlite::{MemoryDatabase, now};

/// When the tests take place: 2027-01-15T08:00:00Z.
const START: u64 = 1_800_000_000_000;
const DAY: u64 = 86_400_000;

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

    fn outcome_in(&self, object: &str, question: impl Into<Question>) -> Outcome {
        let envelope = Envelope {
            object: object.into(),
            actor: "at_tester".into(),
            keys: crate::keyring::keyring("kek"),
            lease_ms: 1_000,
            question: question.into(),
        };
        let answered = authority::process(&self.database, self.time.get(), envelope);
        now(answered)
    }

    fn ask_in(&self, object: &str, question: impl Into<Question>) -> Result<Reply, Denial> {
        self.outcome_in(object, question).reply
    }

    fn ask(&self, question: impl Into<Question>) -> Result<Reply, Denial> {
        self.ask_in(DEFAULT_WORKSPACE, question)
    }

    fn wait(&self, ms: u64) {
        self.time.set(self.time.get() + ms);
    }

    fn wallet(&self) -> (u64, u64) {
        shown(self.ask(Question::GetWallet).unwrap())
    }

    /// The whole ledger, oldest first.
    fn ledger(&self) -> Vec<LedgerEntry> {
        let mut all = Vec::new();
        let mut before = None;
        loop {
            let Ok(Reply::Ledger(lines)) = self.ask(Question::ListLedger { limit: 50, before })
            else {
                panic!("no ledger");
            };
            let Some(last) = lines.last() else { break };
            before = Some(last.seq);
            all.extend(lines);
        }
        all.reverse();
        all
    }

    /// What the audit log says, oldest first.
    fn audit(&self) -> Vec<AuditEntry> {
        let question = Question::ListAudit {
            limit: 1_000,
            before: None,
            action: None,
            actor: None,
            resource: None,
        };
        match self.ask(question) {
            Ok(Reply::Audit(mut rows)) => {
                rows.reverse();
                rows
            }
            other => panic!("{other:?}"),
        }
    }

    fn report(&self, records: &[RequestRecord<'_>]) {
        let question = DataQuestion::Report {
            records: Records::new(serde_json::to_string(records).unwrap()),
            incidents: Vec::new(),
            grants: Vec::new(),
            splits: Vec::new(),
            admit: None,
        };
        self.ask(question).unwrap();
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        match self.database.sql(&sql, &[]).unwrap()[0][0] {
            lockgate_host::Value::Integer(count) => count,
            ref other => panic!("{other:?}"),
        }
    }
}

/// Balance and reserved.
fn shown(reply: Reply) -> (u64, u64) {
    match reply {
        Reply::Wallet(Wallet {
            balance_microusd,
            reserved_microusd,
        }) => (balance_microusd, reserved_microusd),
        other => panic!("{other:?}"),
    }
}

fn credit(id: &str, amount_microusd: u64) -> Question {
    Question::CreditWallet {
        id: id.into(),
        amount_microusd,
        note: Some(format!("invoice of {id}")),
    }
}

fn reserve(id: &str, amount_microusd: u64, ttl_ms: u64) -> DataQuestion {
    DataQuestion::Reserve(Reservation {
        id: id.into(),
        amount_microusd,
        request: format!("req_{id}"),
        ttl_ms,
    })
}

fn settle(id: &str, amount_microusd: u64) -> DataQuestion {
    DataQuestion::Settle {
        id: id.into(),
        amount_microusd,
    }
}

/// A request of `gk_1` that went well.
fn record(id: &str, at: u64) -> RequestRecord<'_> {
    RequestRecord {
        id: id.into(),
        at: Timestamp(at),
        milliseconds: 12,
        gateway_key: "gk_1".into(),
        agent: "bot".into(),
        gateway: None,
        team: Some("ops".into()),
        path: "/v1/chat/completions".into(),
        route: Some("chat".into()),
        provider: Some("openai".into()),
        model: Some("gpt-4o".into()),
        provider_key: Some("prod".into()),
        credential: Some("byok".into()),
        status: 200,
        code: None,
        stream: false,
        outcome: None,
        tokens: Some(Tokens {
            input: 100,
            cached_input: Some(40),
            output: 10,
            ..Tokens::default()
        }),
        cost_microusd: Some(350),
        attempts: Vec::new(),
    }
}
