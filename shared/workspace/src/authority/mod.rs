//! The authority: answers questions out of the SQL database, each in one transaction.

mod admit;
mod cells;
mod gateway_keys;
mod meta;
mod named;
mod provider_keys;
mod requests;
mod workspaces;

use lockgate_host::{Database, Tx, TxKind};

use crate::lease::Lengths;
use crate::question::{Denial, Envelope, Outcome, Question, Reply};

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
pub async fn process<D: Database>(database: &D, now_ms: u64, envelope: Envelope) -> Outcome {
    let kind = kind(&envelope.question);
    let first = {
        let envelope = envelope.clone();
        database
            .transact(kind, move |tx| attempt(tx, now_ms, envelope))
            .await
    };
    match first {
        Err(Stop::NotReady) => {
            let prepared = {
                let envelope = envelope.clone();
                database
                    .transact(TxKind::Write, move |tx| {
                        meta::prepare(tx, now_ms, &envelope)
                    })
                    .await
            };
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
    /// The tables, the KEK's check value or the lease length have to be written first.
    NotReady,
    /// Refused.
    Denied(Denial, Option<Lengths>),
}

impl From<lockgate_host::StoreError> for Stop {
    fn from(error: lockgate_host::StoreError) -> Self {
        Self::Denied(error.into(), None)
    }
}

fn attempt(tx: &mut dyn Tx, now_ms: u64, envelope: Envelope) -> Result<Outcome, Stop> {
    let Some(meta) = Meta::read(tx)? else {
        return Err(Stop::NotReady);
    };
    if meta.kek_check != envelope.kek_check {
        return Err(Stop::Denied(Denial::WrongKek, Some(meta.lengths)));
    }
    // Whoever has slept through a longer lease began before the length that is in force now.
    let adopts = !matches!(envelope.question, Question::RetireLease { .. });
    if meta.differs() || (adopts && meta.lengths.lease_ms != envelope.lease_ms) {
        return Err(Stop::NotReady);
    }
    let changed = changes(&envelope.question);
    match answer(
        tx,
        now_ms,
        &envelope.object,
        meta.lengths,
        envelope.question,
    ) {
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

fn kind(question: &Question) -> TxKind {
    match question {
        Question::Admit(_)
        | Question::SealedCopy { .. }
        | Question::ListWorkspaces(_)
        | Question::GetWorkspace(_)
        | Question::ListProviderKeys(_)
        | Question::GetProviderKey(_)
        | Question::PointToProviderKey(_)
        | Question::ListNamed(..)
        | Question::GetNamed(..)
        | Question::ListGatewayKeys(_)
        | Question::GetGatewayKey(_)
        | Question::ListRequests(..) => TxKind::Read,
        _ => TxKind::Write,
    }
}

/// Whether a committed change can alter what a request is answered, so that it must wait out the leases. What only
/// adds something that no lease can know of yet (a gateway key, an agent) does not; a new provider key does, since
/// it can change which key is chosen. So can a key's health, but it is a label that takes nothing away: isolates learn it
/// with their next renewal.
fn changes(question: &Question) -> bool {
    matches!(
        question,
        Question::PatchWorkspace { .. }
            | Question::SyncWorkspace(_)
            | Question::DropWorkspace
            | Question::CreateProviderKey { .. }
            | Question::PatchProviderKey { .. }
            | Question::RotateProviderKey { .. }
            | Question::DeleteProviderKey { .. }
            | Question::PatchNamed { .. }
            | Question::DeleteNamed { .. }
            | Question::PatchGatewayKey { .. }
            | Question::RevokeGatewayKey { .. }
    )
}

/// Decides one question within an open transaction.
///
/// # Errors
/// [`Denial`]; the transaction is then rolled back.
pub fn answer(
    tx: &mut dyn Tx,
    now_ms: u64,
    object: &str,
    lengths: Lengths,
    question: Question,
) -> Result<Reply, Denial> {
    match question {
        Question::Admit(admit) => admit::admit(tx, now_ms, object, lengths, &admit),
        Question::Report { records, admit } => {
            requests::store(tx, object, records.text())?;
            match admit {
                Some(admit) => admit::admit(tx, now_ms, object, lengths, &admit),
                None => Ok(Reply::Done),
            }
        }
        Question::SealedCopy {
            provider_key,
            version,
        } => provider_keys::sealed_copy(tx, object, &provider_key, version),
        Question::RetireLease { generation } => {
            if let Some(retired) = lengths.retire(generation) {
                meta::store_lengths(tx, &retired)?;
            }
            Ok(Reply::Done)
        }

        Question::CreateWorkspace(workspace) => workspaces::create(tx, &workspace),
        Question::ListWorkspaces(page) => workspaces::list(tx, &page),
        Question::GetWorkspace(reference) => workspaces::get(tx, &reference),
        Question::PatchWorkspace {
            reference,
            expect,
            name,
            access,
        } => workspaces::patch(tx, &reference, expect, name, access),
        Question::DeleteWorkspace { id, expect } => workspaces::delete(tx, &id, expect),
        Question::SyncWorkspace(workspace) => workspaces::sync(tx, &workspace),
        Question::DropWorkspace => workspaces::clear(tx, object),

        Question::CreateProviderKey { key, sealed } => {
            provider_keys::create(tx, object, *key, sealed)
        }
        Question::ListProviderKeys(page) => provider_keys::list(tx, object, &page),
        Question::GetProviderKey(reference) => provider_keys::get(tx, object, &reference),
        Question::PatchProviderKey {
            reference,
            expect,
            name,
            tags,
            default,
            enabled,
        } => provider_keys::patch(
            tx,
            object,
            &reference,
            expect,
            provider_keys::Patch {
                name,
                tags,
                default,
                enabled,
            },
        ),
        Question::RotateProviderKey { id, expect, sealed } => {
            provider_keys::rotate(tx, now_ms, object, &id, expect, &sealed)
        }
        Question::DeleteProviderKey { reference, expect } => {
            provider_keys::delete(tx, object, &reference, expect)
        }
        Question::PointToProviderKey(reference) => provider_keys::point(tx, object, &reference),
        Question::MarkHealth {
            id,
            version,
            health,
            detail,
        } => provider_keys::mark(tx, now_ms, object, &id, version, (health, &detail)),
        Question::SweepProviderKey { id } => provider_keys::sweep(tx, object, &id),

        Question::CreateNamed { kind, named } => named::create(tx, object, kind, named),
        Question::ListNamed(kind, page) => named::list(tx, object, kind, &page),
        Question::GetNamed(kind, reference) => named::get(tx, object, kind, &reference),
        Question::PatchNamed {
            kind,
            reference,
            expect,
            name,
            tags,
            managed_by,
        } => named::patch(tx, object, kind, &reference, expect, name, tags, managed_by),
        Question::DeleteNamed {
            kind,
            reference,
            expect,
        } => named::delete(tx, object, kind, &reference, expect),

        Question::CreateGatewayKey { key, hash } => gateway_keys::create(tx, object, *key, &hash),
        Question::ListGatewayKeys(page) => gateway_keys::list(tx, object, &page),
        Question::GetGatewayKey(reference) => gateway_keys::get(tx, object, &reference),
        Question::PatchGatewayKey {
            reference,
            expect,
            name,
            team,
            expires_at,
        } => gateway_keys::patch(tx, object, &reference, expect, name, team, expires_at),
        Question::RevokeGatewayKey { reference, expect } => {
            gateway_keys::revoke(tx, now_ms, object, &reference, expect)
        }

        Question::ListRequests(filter, page) => requests::list(tx, object, &filter, &page),
    }
}
