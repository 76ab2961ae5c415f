//! What the data plane asks. It is a type of its own so that whoever asks nothing else carries the code for nothing else:
//! the proxy on Spin cannot change a role or read the audit log, and is a tenth smaller for it.

use serde::{Deserialize, Serialize};

use super::{
    Admit, Asking, Draws, GrantReport, Incident, Question, Records, Reservation, SplitDraw,
    SplitReturn,
};
use crate::resource::Health;

/// A question of the data plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DataQuestion {
    /// What gateway keys and admin tokens are tagged with.
    TokenKeys,
    /// May this gateway key be served, and from which snapshot?
    Admit(Admit),
    /// Stores what the isolate has logged, and renews a lease in the same hop where one is due.
    Report {
        /// Log records.
        records: Records,
        /// What the audit log is to know.
        incidents: Vec<Incident>,
        /// What has become of allowances.
        grants: Vec<GrantReport>,
        /// What was not used of blocks of splits.
        splits: Vec<SplitReturn>,
        /// The lease to renew.
        admit: Option<Admit>,
    },
    /// The keys and prices of the managed path, in the authority of [`crate::PLATFORM_WORKSPACE`].
    Platform {
        /// The snapshot version the isolate has.
        known: Option<u64>,
    },
    /// Allowances under a gateway key's limits: from all of them, or from none.
    Draw(Draws),
    /// A block of a weighted split.
    DrawSplit(SplitDraw),
    /// Sets money aside for a request on the platform's keys.
    Reserve(Reservation),
    /// Pays for one. Saying it again changes nothing.
    Settle {
        /// The reservation's id.
        id: String,
        /// What the request cost.
        amount_microusd: u64,
    },
    /// The authority's copy of the newest sealed secret of a key, for a KV that has not caught up.
    SealedCopy {
        /// Provider key id.
        provider_key: String,
        /// The version wanted; refused where it is no longer the one in force.
        version: u64,
    },
    /// What a managed vault gave for a version not long ago.
    Bridge {
        /// Provider key id.
        provider_key: String,
        /// The version wanted; refused where it is no longer the one in force.
        version: u64,
        /// The KEK that it is sealed under.
        kek: String,
    },
    /// May the asker ask the vault for a version?
    TakeTurn {
        /// Provider key id.
        provider_key: String,
        /// The version.
        version: u64,
        /// The KEK that it is sealed under.
        kek: String,
        /// When the vault gave what the asker knows, ms since the Unix epoch; 0 for nothing.
        known: u64,
        /// How long the asker may take, ms; after that the turn is somebody else's.
        turn_ms: u64,
    },
    /// The asker has asked the vault.
    EndTurn {
        /// Provider key id.
        provider_key: String,
        /// The version.
        version: u64,
        /// The KEK that it is sealed under.
        kek: String,
        /// How it ended.
        asking: Asking,
    },
    /// Somebody has slept for a whole wait since this generation of lease lengths was in force.
    RetireLease {
        /// The generation.
        generation: u64,
    },
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
}

impl From<DataQuestion> for Question {
    fn from(question: DataQuestion) -> Self {
        Self::Data(question)
    }
}
