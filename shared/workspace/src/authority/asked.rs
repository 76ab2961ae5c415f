//! What can be asked, and what each kind of question means for transactions, leases and the audit log.

use lockgate_host::{Tx, TxKind};

use crate::question::{DataQuestion, Denial, Kind, Question, Reply};

use super::answer::answer;
use super::{
    Context, admit, audit, bridges, limits, meta, provider_keys, requests, splits, vault, wallet,
};

/// What can be asked: every question, or those of the data plane only.
pub trait Asked: Clone + Into<Question> + Send + 'static {
    /// Whether the answer writes.
    fn kind(&self) -> TxKind;
    /// Whether a committed change can alter what a request is answered, so that it must wait out the leases. What only
    /// adds something that no lease can know of yet (a gateway key, an agent) does not; a new provider key does, since
    /// it can change which key is chosen. So can a key's health, but it is a label that takes nothing away: isolates
    /// learn it with their next renewal.
    fn changes(&self) -> bool;
    /// Whether it removes something, so that “it is gone” acknowledges it too.
    fn removes(&self) -> bool;
    /// Whether the authority adopts the asker's lease length. Whoever has slept through a longer lease began before the
    /// length that is in force now.
    fn adopts(&self) -> bool;
    /// Answers it within an open transaction.
    ///
    /// # Errors
    /// [`Denial`]; the transaction is then rolled back.
    fn answered(self, tx: &mut dyn Tx, context: &Context<'_>) -> Result<Reply, Denial>;
}

impl Asked for DataQuestion {
    fn kind(&self) -> TxKind {
        match self {
            Self::TokenKeys
            | Self::Admit(_)
            | Self::Platform { .. }
            | Self::SealedCopy { .. }
            | Self::Bridge { .. } => TxKind::Read,
            Self::Draw(draws) if draws.look => TxKind::Read,
            Self::Report { .. }
            | Self::Draw(_)
            | Self::DrawSplit(_)
            | Self::Reserve(_)
            | Self::Settle { .. }
            | Self::TakeTurn { .. }
            | Self::EndTurn { .. }
            | Self::RetireLease { .. }
            | Self::MarkHealth { .. } => TxKind::Write,
        }
    }

    fn changes(&self) -> bool {
        false
    }

    fn removes(&self) -> bool {
        false
    }

    fn adopts(&self) -> bool {
        !matches!(self, Self::RetireLease { .. })
    }

    fn answered(self, tx: &mut dyn Tx, context: &Context<'_>) -> Result<Reply, Denial> {
        let Context {
            now_ms,
            workspace: object,
            lengths,
            ..
        } = *context;
        match self {
            Self::TokenKeys => vault::token_keys(tx, context.origin),
            Self::Admit(admit) => admit::admit(tx, now_ms, object, lengths, &admit),
            Self::Report {
                records,
                incidents,
                grants,
                splits,
                admit,
            } => {
                requests::store(tx, object, records.text())?;
                limits::report(tx, now_ms, &grants)?;
                splits::take_back(tx, object, &splits)?;
                audit::incidents(tx, context, &incidents)?;
                match admit {
                    Some(admit) => admit::admit(tx, now_ms, object, lengths, &admit),
                    None => Ok(Reply::Done),
                }
            }
            Self::Platform { known } => admit::platform(tx, object, lengths, known),
            Self::Draw(draws) => limits::draw(tx, now_ms, object, lengths, &draws),
            Self::DrawSplit(draw) => splits::draw(tx, object, lengths, &draw),
            Self::Reserve(reservation) => wallet::reserve(tx, now_ms, object, &reservation),
            Self::Settle {
                id,
                amount_microusd,
            } => wallet::settle(tx, now_ms, object, &id, amount_microusd),
            Self::SealedCopy {
                provider_key,
                version,
            } => provider_keys::sealed_copy(tx, object, &provider_key, version),
            Self::Bridge {
                provider_key,
                version,
                kek,
            } => bridges::bridge(tx, of(object, &provider_key, version, &kek)),
            Self::TakeTurn {
                provider_key,
                version,
                kek,
                known,
                turn_ms,
            } => bridges::take_turn(
                tx,
                now_ms,
                of(object, &provider_key, version, &kek),
                known,
                turn_ms,
            ),
            Self::EndTurn {
                provider_key,
                version,
                kek,
                asking,
            } => bridges::end_turn(tx, now_ms, of(object, &provider_key, version, &kek), asking),
            Self::RetireLease { generation } => {
                if let Some(retired) = lengths.retire(generation) {
                    meta::store_lengths(tx, &retired)?;
                }
                Ok(Reply::Done)
            }
            Self::MarkHealth {
                id,
                version,
                health,
                detail,
            } => provider_keys::mark(tx, now_ms, object, &id, version, (health, &detail)),
        }
    }
}

fn of<'a>(
    workspace: &'a str,
    provider_key: &'a str,
    version: u64,
    kek: &'a str,
) -> bridges::Version<'a> {
    bridges::Version {
        workspace,
        provider_key,
        version,
        kek,
    }
}

impl Asked for Question {
    fn kind(&self) -> TxKind {
        match self {
            Self::Data(question) => question.kind(),
            Self::ListWorkspaces(_)
            | Self::GetWorkspace(_)
            | Self::ListProviderKeys(_)
            | Self::GetProviderKey(_)
            | Self::PointToProviderKey(_)
            | Self::List(..)
            | Self::Get(..)
            | Self::Impersonate { .. }
            | Self::ListSeeds
            | Self::ListVersions { .. }
            | Self::GetVersion { .. }
            | Self::CheckAdminToken { .. }
            | Self::ListAudit { .. }
            | Self::VerifyAudit { .. }
            | Self::ListGatewayKeys(_)
            | Self::GetGatewayKey(_)
            | Self::ListRequests(..)
            | Self::Usage(_)
            | Self::ListPrices
            | Self::GetWallet
            | Self::CountSealed
            | Self::ListSealed { .. }
            | Self::ListLedger { .. } => TxKind::Read,
            _ => TxKind::Write,
        }
    }

    fn changes(&self) -> bool {
        match self {
            Self::Data(question) => question.changes(),
            Self::PatchWorkspace { .. }
            | Self::SyncWorkspace(_)
            | Self::DropWorkspace
            | Self::CreateProviderKey { .. }
            | Self::PatchProviderKey { .. }
            | Self::RotateProviderKey { .. }
            | Self::Rewrap(_)
            | Self::DeleteProviderKey { .. }
            | Self::PatchRole { .. }
            | Self::PatchAgent { .. }
            | Self::PatchGateway { .. }
            | Self::PatchConfiguration { .. }
            | Self::ApplyConfiguration { .. }
            | Self::DeleteSeed { .. }
            | Self::PutPrice(_)
            | Self::DeletePrice { .. }
            | Self::PatchGatewayKey { .. }
            | Self::RevokeGatewayKey { .. } => true,
            Self::Delete { kind, .. } => *kind != Kind::AdminToken,
            _ => false,
        }
    }

    fn removes(&self) -> bool {
        matches!(
            self,
            Self::DropWorkspace
                | Self::DeletePrice { .. }
                | Self::DeleteProviderKey { .. }
                | Self::Delete { .. }
                | Self::RevokeGatewayKey { .. }
        )
    }

    fn adopts(&self) -> bool {
        match self {
            Self::Data(question) => question.adopts(),
            _ => true,
        }
    }

    /// What it changed is written to the audit log in the same transaction.
    fn answered(self, tx: &mut dyn Tx, context: &Context<'_>) -> Result<Reply, Denial> {
        let subject = audit::subject(tx, context, &self)?;
        let reply = answer(tx, context, self)?;
        if let Some(subject) = subject {
            audit::changed(tx, context, subject, &reply)?;
        }
        Ok(reply)
    }
}
