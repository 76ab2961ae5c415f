//! The authority: answers questions out of the SQL database, each in one transaction.

mod admin_tokens;
mod admit;
mod agents;
mod audit;
mod cells;
mod configurations;
mod gateway_keys;
mod gateways;
mod meta;
mod provider_keys;
mod requests;
mod roles;
mod seeds;
mod stored;
mod workspaces;

use lockgate_host::{Database, Tx, TxKind};

use crate::lease::Lengths;
use crate::question::{DataQuestion, Denial, Envelope, Kind, Outcome, Page, Question, Reply};
use crate::resource::{AdminToken, Agent, Configuration, Gateway, Role};

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
            let (kek_check, lease_ms) = (envelope.kek_check.clone(), envelope.lease_ms);
            let prepared = database
                .transact(TxKind::Write, move |tx| {
                    meta::prepare(tx, now_ms, &kek_check, lease_ms)
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

fn attempt<Q: Asked>(tx: &mut dyn Tx, now_ms: u64, envelope: Envelope<Q>) -> Result<Outcome, Stop> {
    let Some(meta) = Meta::read(tx)? else {
        return Err(Stop::NotReady);
    };
    if meta.kek_check != envelope.kek_check {
        return Err(Stop::Denied(Denial::WrongKek, Some(meta.lengths)));
    }
    let adopts = envelope.question.adopts();
    if meta.differs() || (adopts && meta.lengths.lease_ms != envelope.lease_ms) {
        return Err(Stop::NotReady);
    }
    let changed = envelope.question.changes();
    let context = Context {
        now_ms,
        workspace: &envelope.object,
        actor: &envelope.actor,
        lengths: meta.lengths,
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
            Self::Ping | Self::Admit(_) | Self::SealedCopy { .. } => TxKind::Read,
            Self::Report { .. } | Self::RetireLease { .. } | Self::MarkHealth { .. } => {
                TxKind::Write
            }
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
            Self::Ping => Ok(Reply::Done),
            Self::Admit(admit) => admit::admit(tx, now_ms, object, lengths, &admit),
            Self::Report {
                records,
                incidents,
                admit,
            } => {
                requests::store(tx, object, records.text())?;
                audit::incidents(tx, context, &incidents)?;
                match admit {
                    Some(admit) => admit::admit(tx, now_ms, object, lengths, &admit),
                    None => Ok(Reply::Done),
                }
            }
            Self::SealedCopy {
                provider_key,
                version,
            } => provider_keys::sealed_copy(tx, object, &provider_key, version),
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
            | Self::ListRequests(..) => TxKind::Read,
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
            | Self::DeleteProviderKey { .. }
            | Self::PatchRole { .. }
            | Self::PatchAgent { .. }
            | Self::PatchGateway { .. }
            | Self::PatchConfiguration { .. }
            | Self::ApplyConfiguration { .. }
            | Self::DeleteSeed { .. }
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
}

/// Decides one question within an open transaction.
///
/// # Errors
/// [`Denial`]; the transaction is then rolled back.
pub fn answer(tx: &mut dyn Tx, context: &Context<'_>, question: Question) -> Result<Reply, Denial> {
    let Context {
        now_ms,
        workspace: object,
        ..
    } = *context;
    match question {
        Question::Data(question) => question.answered(tx, context),
        Question::CreateWorkspace(workspace) => workspaces::create(tx, &workspace),
        Question::ListWorkspaces(page) => workspaces::list(tx, &page),
        Question::GetWorkspace(reference) => workspaces::get(tx, &reference),
        Question::PatchWorkspace {
            reference,
            expect,
            name,
            access,
            default_configuration,
        } => workspaces::patch(tx, &reference, expect, name, access, default_configuration),
        Question::DeleteWorkspace { id, expect } => workspaces::delete(tx, &id, expect),
        Question::SyncWorkspace(workspace) => workspaces::sync(tx, now_ms, &workspace),
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
            managed_by,
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
                managed_by,
            },
        ),
        Question::RotateProviderKey { id, expect, sealed } => {
            provider_keys::rotate(tx, now_ms, object, &id, expect, &sealed)
        }
        Question::DeleteProviderKey { reference, expect } => {
            provider_keys::delete(tx, object, &reference, expect)
        }
        Question::PointToProviderKey(reference) => provider_keys::point(tx, object, &reference),
        Question::SweepProviderKey { id } => provider_keys::sweep(tx, object, &id),

        Question::Get(kind, reference) => get(tx, object, kind, &reference),
        Question::List(kind, page) => list(tx, object, kind, &page),
        Question::Delete {
            kind,
            reference,
            expect,
        } => match kind {
            Kind::Role => roles::delete(tx, object, &reference, expect),
            Kind::Agent => stored::delete::<Agent>(tx, object, &reference, expect),
            Kind::Gateway => stored::delete::<Gateway>(tx, object, &reference, expect),
            Kind::Configuration => configurations::delete(tx, object, &reference, expect),
            Kind::AdminToken => admin_tokens::delete(tx, object, &reference, expect),
        },

        Question::CreateRole(role) => roles::create(tx, object, &role),
        Question::PatchRole {
            reference,
            expect,
            name,
            statements,
            managed_by,
        } => roles::patch(tx, object, &reference, expect, name, statements, managed_by),
        Question::CreateAgent(agent) => agents::create(tx, object, &agent),
        Question::PatchAgent {
            reference,
            expect,
            name,
            tags,
            roles,
            pins,
            managed_by,
        } => agents::patch(
            tx,
            object,
            &reference,
            expect,
            agents::Patch {
                name,
                tags,
                roles,
                pins,
                managed_by,
            },
        ),
        Question::CreateGateway(gateway) => gateways::create(tx, object, &gateway),
        Question::PatchGateway {
            reference,
            expect,
            name,
            tags,
            managed_by,
        } => gateways::patch(tx, object, &reference, expect, name, tags, managed_by),
        Question::Impersonate {
            agent,
            gateway,
            configuration,
        } => admit::impersonate(
            tx,
            object,
            &agent,
            gateway.as_deref(),
            configuration.as_deref(),
        ),

        Question::ListSeeds => Ok(Reply::Providers(seeds::standing(tx, object)?)),
        Question::DeleteSeed { provider } => seeds::delete(tx, now_ms, object, &provider),

        Question::CreateConfiguration(configuration) => {
            configurations::create(tx, context, &configuration)
        }
        Question::PatchConfiguration {
            reference,
            expect,
            name,
            tags,
        } => configurations::patch(tx, object, &reference, expect, name, tags),
        Question::PutDraft {
            reference,
            expect,
            document,
        } => configurations::put_draft(tx, context, &reference, expect, &document),
        Question::ApplyConfiguration {
            id,
            expect,
            expected_version,
            document,
            plan,
            declared,
            restores,
        } => configurations::apply(
            tx,
            context,
            configurations::Apply {
                id: &id,
                expect,
                expected_version,
                document: &document,
                plan: &plan,
                declared: &declared,
                restores,
            },
        ),
        Question::ListVersions {
            reference,
            limit,
            before,
        } => configurations::versions(tx, object, &reference, limit, before),
        Question::GetVersion { reference, version } => {
            configurations::version(tx, object, &reference, version)
        }

        Question::CreateAdminToken { token, hash } => {
            admin_tokens::create(tx, object, &token, &hash)
        }
        Question::CheckAdminToken { hash } => admin_tokens::check(tx, object, &hash),

        Question::Record {
            action,
            resource,
            detail,
        } => audit::record(tx, context, &action, &resource, &detail),
        Question::ListAudit {
            limit,
            before,
            action,
            actor,
            resource,
        } => audit::list(
            tx,
            object,
            limit,
            before,
            &audit::Filter {
                action,
                actor,
                resource,
            },
        ),
        Question::VerifyAudit {
            from,
            previous,
            limit,
        } => audit::verify(tx, object, from, previous, limit),

        Question::CreateGatewayKey { key, hash } => gateway_keys::create(tx, object, *key, &hash),
        Question::ListGatewayKeys(page) => gateway_keys::list(tx, object, &page),
        Question::GetGatewayKey(reference) => gateway_keys::get(tx, object, &reference),
        Question::PatchGatewayKey {
            reference,
            expect,
            name,
            team,
            expires_at,
            gateway,
            configuration,
        } => gateway_keys::patch(
            tx,
            object,
            &reference,
            expect,
            gateway_keys::Patch {
                name,
                team,
                expires_at,
                gateway,
                configuration,
            },
        ),
        Question::RevokeGatewayKey { reference, expect } => {
            gateway_keys::revoke(tx, now_ms, object, &reference, expect)
        }

        Question::ListRequests(filter, page) => requests::list(tx, object, &filter, &page),
    }
}

fn get(tx: &mut dyn Tx, workspace: &str, kind: Kind, reference: &str) -> Result<Reply, Denial> {
    match kind {
        Kind::Role => stored::get::<Role>(tx, workspace, reference),
        Kind::Agent => stored::get::<Agent>(tx, workspace, reference),
        Kind::Gateway => stored::get::<Gateway>(tx, workspace, reference),
        Kind::Configuration => stored::get::<Configuration>(tx, workspace, reference),
        Kind::AdminToken => stored::get::<AdminToken>(tx, workspace, reference),
    }
}

fn list(tx: &mut dyn Tx, workspace: &str, kind: Kind, page: &Page) -> Result<Reply, Denial> {
    match kind {
        Kind::Role => stored::list::<Role>(tx, workspace, page),
        Kind::Agent => stored::list::<Agent>(tx, workspace, page),
        Kind::Gateway => stored::list::<Gateway>(tx, workspace, page),
        Kind::Configuration => stored::list::<Configuration>(tx, workspace, page),
        Kind::AdminToken => stored::list::<AdminToken>(tx, workspace, page),
    }
}
