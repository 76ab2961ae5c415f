//! The authority: answers questions out of the SQL database, each in one transaction.

mod admin_tokens;
mod admit;
mod agents;
mod answer;
mod asked;
mod audit;
mod bridges;
mod cells;
mod configurations;
mod gateway_keys;
mod gateways;
mod housekeeping;
mod limits;
mod meta;
mod prices;
mod provider_keys;
mod requests;
mod roles;
mod seeds;
mod splits;
mod stored;
mod usage;
mod vault;
mod wallet;
mod workspaces;

use lockgate_host::{Database, Tx, TxKind};

use crate::lease::Lengths;
use crate::question::{Denial, Envelope, Outcome};

pub use answer::answer;
pub use asked::Asked;
use meta::Meta;

/// Answers one question, given and answered as JSON; this is what a Durable Object serves.
pub async fn serve<D: Database>(database: &D, now_ms: u64, question: Vec<u8>) -> Vec<u8> {
    let outcome = match serde_json::from_slice::<Envelope>(&question) {
        Ok(envelope) => process(database, now_ms, envelope).await,
        Err(error) => failed(Denial::Store(format!("not a question: {error}"))),
    };
    // An outcome is made of strings, numbers and lists; writing it cannot fail.
    serde_json::to_vec(&outcome).unwrap_or_default()
}

/// Answers one question. The first question to a new store makes its tables; one that brings another lease length
/// changes the length in force.
pub async fn process<D: Database, Q: Asked>(
    database: &D,
    now_ms: u64,
    envelope: Envelope<Q>,
) -> Outcome {
    let kind = envelope.question.kind();
    let first = {
        let envelope = envelope.clone();
        database
            .transact(kind, move |tx| attempt(tx, now_ms, envelope))
            .await
    };
    match first {
        Err(Stop::NotReady) => {
            let (keys, lease_ms) = (envelope.keys.clone(), envelope.lease_ms);
            let prepared = database
                .transact(TxKind::Write, move |tx| {
                    meta::prepare(tx, now_ms, &keys, lease_ms)
                })
                .await;
            if let Err(denial) = prepared {
                return failed(denial);
            }
            match database
                .transact(kind, move |tx| attempt(tx, now_ms, envelope))
                .await
            {
                Ok(outcome) => outcome,
                Err(Stop::Denied(denial, lengths)) => denied(denial, lengths),
                Err(Stop::NotReady) => failed(Denial::Store("the tables were not made".into())),
            }
        }
        Err(Stop::Denied(denial, lengths)) => denied(denial, lengths),
        Ok(outcome) => outcome,
    }
}

/// Why a transaction is rolled back.
enum Stop {
    /// The tables, what secrets are sealed under or the lease length have to be written first.
    NotReady,
    /// Refused.
    Denied(Denial, Option<Lengths>),
}

impl From<lockgate_host::StoreError> for Stop {
    fn from(error: lockgate_host::StoreError) -> Self {
        Self::Denied(error.into(), None)
    }
}

fn attempt<Q: Asked>(tx: &mut dyn Tx, now_ms: u64, envelope: Envelope<Q>) -> Result<Outcome, Stop> {
    let Some(meta) = Meta::read(tx)? else {
        return Err(Stop::NotReady);
    };
    let adopts = envelope.question.adopts();
    if meta.differs(&envelope.keys) || (adopts && meta.lengths.lease_ms != envelope.lease_ms) {
        return Err(Stop::NotReady);
    }
    let changed = envelope.question.changes();
    let context = Context {
        now_ms,
        workspace: &envelope.object,
        actor: &envelope.actor,
        lengths: meta.lengths,
        origin: meta.origin(),
    };
    match envelope.question.answered(tx, &context) {
        Ok(reply) => Ok(Outcome {
            reply: Ok(reply),
            lengths: meta.lengths,
            changed,
        }),
        Err(denial) => Err(Stop::Denied(denial, Some(meta.lengths))),
    }
}

fn failed(denial: Denial) -> Outcome {
    denied(denial, None)
}

fn denied(denial: Denial, lengths: Option<Lengths>) -> Outcome {
    Outcome {
        reply: Err(denial),
        lengths: lengths.unwrap_or(Lengths::new(0)),
        changed: false,
    }
}

/// Under what a question is answered.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The authority's clock.
    pub now_ms: u64,
    /// The workspace's id, or `registry`.
    pub workspace: &'a str,
    /// Who asks.
    pub actor: &'a str,
    /// The lease lengths in force.
    pub lengths: Lengths,
    /// The check value of the store's first local KEK.
    pub origin: &'a str,
}
