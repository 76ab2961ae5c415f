//! Asking the authority, wherever it is, and waiting out the leases after a change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use lockgate_host::{Host, StoreError};
use thiserror::Error;

use crate::Settings;
use crate::authority::{self, Asked};
use crate::lease::Lengths;
use crate::question::{DataQuestion, Denial, Envelope, Outcome, Question, Reply};

/// Who acts where nobody does: the gateway itself.
const SYSTEM: &str = "system";

/// Why a question got no useful answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// The authority would not.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The authority could not be reached, or what came back made no sense.
    #[error("the authority cannot be reached: {0}")]
    Unreachable(String),
    /// The answer was of another kind than the question.
    #[error("the authority gave an answer of another kind")]
    Mismatch,
}

impl From<StoreError> for AskError {
    fn from(error: StoreError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// An answer, and the lease lengths that were in force.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub reply: Reply,
    /// The lengths.
    pub lengths: Lengths,
}

/// A retirement that this isolate has begun to sleep for.
struct Retiring {
    generation: u64,
    /// When it should be done; after that the engine has ended it early, and it is tried again.
    until: u64,
}

thread_local! {
    /// By authority, since each counts its own generations.
    static RETIRING: RefCell<HashMap<String, Retiring>> = RefCell::default();
}

/// Asks `object` (a workspace's id or [`crate::REGISTRY`]) on nobody's behalf.
///
/// # Errors
/// [`AskError`].
pub async fn ask<H: Host, Q: Asked>(
    host: &H,
    settings: &Settings,
    object: &str,
    question: Q,
) -> Result<Answered, AskError> {
    ask_as(host, settings, object, SYSTEM, question).await
}

/// Asks `object` on behalf of `actor`, whom the audit log names. When this returns after a change, no request that
/// starts later, anywhere, is answered from the state before it.
///
/// # Errors
/// [`AskError`].
pub async fn ask_as<H: Host, Q: Asked>(
    host: &H,
    settings: &Settings,
    object: &str,
    actor: &str,
    question: Q,
) -> Result<Answered, AskError> {
    let removes = question.removes();
    let envelope = Envelope {
        object: object.to_owned(),
        actor: actor.to_owned(),
        keys: settings.keys.clone(),
        lease_ms: settings.lease_ms,
        question,
    };
    let outcome = match host.database() {
        Some(database) => authority::process(database, host.now_ms(), envelope).await,
        None => {
            let bytes = written(envelope).ok_or(AskError::Mismatch)?;
            let bytes = host.ask(object, bytes).await?;
            serde_json::from_slice::<Outcome>(&bytes).map_err(|_| AskError::Mismatch)?
        }
    };
    // “It is gone” acknowledges a removal whose own answer was lost.
    let gone = removes && matches!(outcome.reply, Err(Denial::NotFound { .. }));
    if outcome.changed || gone {
        match host.epoch() {
            Some(_) => host.advance_epoch(),
            None => {
                host.sleep(Duration::from_millis(outcome.lengths.settle_ms()))
                    .await;
            }
        }
    }
    if outcome.lengths.settling() {
        retire_later(host, object, &outcome.lengths, settings);
    }
    Ok(Answered {
        reply: outcome.reply?,
        lengths: outcome.lengths,
    })
}

/// A question as it travels: always as one of all questions.
fn written<Q: Asked>(envelope: Envelope<Q>) -> Option<Vec<u8>> {
    let Envelope {
        object,
        actor,
        keys,
        lease_ms,
        question,
    } = envelope;
    let envelope = Envelope::<Question> {
        object,
        actor,
        keys,
        lease_ms,
        question: question.into(),
    };
    serde_json::to_vec(&envelope).ok()
}

/// Sleeps through the longer wait in the background and then lets writes wait for the new length only.
fn retire_later<H: Host>(host: &H, object: &str, lengths: &Lengths, settings: &Settings) {
    let generation = lengths.generation;
    let now = host.monotonic_ms();
    let begun = RETIRING.with_borrow_mut(|retiring| {
        let begun = retiring
            .get(object)
            .is_some_and(|r| r.generation == generation && now < r.until);
        if !begun {
            // Twice the wait is room for an engine that is slow, and no more than a slow write costs.
            let until = now.saturating_add(lengths.settle_ms().saturating_mul(2));
            retiring.insert(object.to_owned(), Retiring { generation, until });
        }
        begun
    });
    if begun {
        return;
    }
    let envelope = Envelope {
        object: object.to_owned(),
        actor: SYSTEM.to_owned(),
        keys: settings.keys.clone(),
        lease_ms: lengths.lease_ms,
        question: DataQuestion::RetireLease { generation },
    };
    let (host, object, settle) = (host.clone(), object.to_owned(), lengths.settle_ms());
    let background = host.clone();
    background.spawn(async move {
        host.sleep(Duration::from_millis(settle)).await;
        // Lost answers cost nothing: the next isolate that sees the longer wait tries again.
        match host.database() {
            Some(database) => {
                authority::process(database, host.now_ms(), envelope).await;
            }
            None => {
                if let Some(bytes) = written(envelope) {
                    let _ = host.ask(&object, bytes).await;
                }
            }
        }
    });
}
