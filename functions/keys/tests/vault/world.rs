//! What outlives a process: the database, the KV binding, the vaults and the time. Each thing that a process does to it is one
//! step, and one of all steps may go wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lockgate_host::{Row, Value};
use mock_vault::hashicorp::Hashicorp;
use mock_vault::{Answer, Ask, Service};

use crate::kms::Kms;
use crate::sqlite::MemoryDatabase;

/// When the tests take place: ms since the Unix epoch.
const START: u64 = 1_800_000_000_000;
/// Where Vault is.
pub(crate) const VAULT: &str = "https://vault.test";
/// Where AWS KMS is.
pub(crate) const KMS: &str = "https://kms.test";
/// Vault's token.
pub(crate) const TOKEN: &str = "hvs.token";

/// What happens to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends before it.
    Killed,
    /// It fails, and has done nothing.
    Fails,
    /// It is done, and nobody is told.
    Unheard,
    /// From this step on no vault answers.
    Away,
}

pub(crate) struct State {
    pub(crate) database: MemoryDatabase,
    pub(crate) kv: BTreeMap<String, Vec<u8>>,
    /// Whether the KV binding shows nothing of what it has.
    pub(crate) kv_blind: bool,
    pub(crate) hashicorp: Hashicorp,
    kms: Kms,
    pub(crate) now_ms: u64,
    seed: u64,
    steps: u64,
    fault: Option<(u64, Fault)>,
    /// The step that went wrong.
    struck: Option<String>,
    /// The calls to providers: the key that each was made with.
    pub(crate) sent: Vec<String>,
}

/// The world; a clone is the same one.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    pub(crate) fn new() -> Self {
        let hashicorp = Hashicorp::new()
            .key("transit", "lockgate")
            .store("secret", 2)
            .policy("all", ALL)
            .token(TOKEN, &["all"]);
        Self(Arc::new(Mutex::new(State {
            database: MemoryDatabase::new(),
            kv: BTreeMap::new(),
            kv_blind: false,
            hashicorp,
            kms: Kms::default(),
            now_ms: START,
            seed: 1,
            steps: 0,
            fault: None,
            struck: None,
            sent: Vec::new(),
        })))
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on the steps are counted, and one of them goes wrong.
    pub(crate) fn arm(&self, at: u64, fault: Fault) {
        let mut state = self.held();
        state.steps = 0;
        state.struck = None;
        state.fault = Some((at, fault));
    }

    /// Nothing goes wrong any more. Which step did, if one did.
    pub(crate) fn disarm(&self) -> Option<String> {
        let mut state = self.held();
        state.fault = None;
        state.struck.take()
    }

    /// Time passes.
    pub(crate) fn pass(&self, ms: u64) {
        self.held().now_ms += ms;
    }

    /// One statement, to look at the database or to damage it.
    pub(crate) fn sql(&self, sql: &str, params: &[Value]) -> Vec<Row> {
        self.held().database.sql(sql, params).unwrap()
    }

    /// The first column of a query, texts.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.sql(sql, &[]);
        let text = |row: &Row| match &row[0] {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        rows.iter().map(text).collect()
    }
}

/// The policy of the token.
pub(crate) const ALL: &str = r#"
path "transit/*" { capabilities = ["read", "update"] }
path "secret/*" { capabilities = ["create", "read", "update", "delete"] }
"#;

impl State {
    /// The next step, named for whoever reads of a failure: what is to go wrong with it.
    pub(crate) fn step(&mut self, name: &str) -> Option<Fault> {
        let now = self.steps;
        self.steps += 1;
        let to_vault = name.contains(VAULT) || name.contains(KMS);
        let (_, fault) = self.fault.filter(|(at, fault)| match fault {
            Fault::Away => *at <= now && to_vault,
            _ => *at == now,
        })?;
        self.struck = Some(format!("{fault:?} at step {now}, {name}"));
        Some(fault)
    }

    /// What is at this address, other than a provider.
    pub(crate) fn service(&mut self, url: &str, ask: &Ask) -> Option<Answer> {
        if url.starts_with(VAULT) {
            return Some(self.hashicorp.answer(ask));
        }
        url.starts_with(KMS).then(|| self.kms.answer(ask))
    }

    /// Bytes that are the same in each run of a test, and never the same twice in it.
    pub(crate) fn random(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            // SplitMix64.
            self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.seed;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56) as u8;
        }
    }
}
