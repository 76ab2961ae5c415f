//! Which module answers which question.

use lockgate_host::Tx;

use crate::question::{Denial, Kind, Page, Question, Reply};
use crate::resource::{AdminToken, Agent, Configuration, Gateway, Role};

use super::asked::Asked;
use super::{
    Context, admin_tokens, admit, agents, audit, configurations, gateway_keys, gateways,
    housekeeping, prices, provider_keys, requests, roles, seeds, stored, usage, vault, wallet,
    workspaces,
};

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
        Question::DropWorkspace => workspaces::clear(tx, now_ms, object),

        Question::CreateProviderKey { key, sealed } => {
            provider_keys::create(tx, now_ms, object, *key, sealed)
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
            provider_keys::delete(tx, now_ms, object, &reference, expect)
        }
        Question::PointToProviderKey(reference) => provider_keys::point(tx, object, &reference),
        Question::SweepProviderKey { id } => provider_keys::sweep(tx, now_ms, object, &id),

        Question::RememberEntries(entries) => {
            for entry in entries {
                vault::leave(tx, now_ms, object, &entry)?;
            }
            Ok(Reply::Done)
        }
        Question::ClaimLeftovers { before, limit } => {
            vault::claim(tx, now_ms, object, before, limit)
        }
        Question::Forgotten(entries) => vault::forgotten(tx, object, &entries),
        Question::CountSealed => vault::count(tx, object),
        Question::ListSealed {
            not_under,
            after,
            limit,
        } => vault::list(tx, object, &not_under, after.as_deref(), limit),
        Question::Rewrap(rewrapped) => vault::rewrap(tx, context, &rewrapped),
        Question::PutTokenKeys {
            from,
            sealed: (kek, sealed),
        } => vault::put_token_keys(tx, from.as_deref(), (&kek, &sealed)),

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
            limits,
            budget,
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
                limits,
                budget,
            },
        ),
        Question::RevokeGatewayKey { reference, expect } => {
            gateway_keys::revoke(tx, now_ms, object, &reference, expect)
        }

        Question::ListRequests(filter, page) => requests::list(tx, object, &filter, &page),
        Question::Usage(query) => usage::sums(tx, object, &query),

        Question::ListPrices => prices::list(tx, object),
        Question::PutPrice(price) => prices::put(tx, object, &price),
        Question::DeletePrice { provider, model } => prices::delete(tx, object, &provider, &model),
        Question::GetWallet => wallet::get(tx, object),
        Question::ListLedger { limit, before } => wallet::ledger(tx, object, limit, before),
        Question::CreditWallet {
            id,
            amount_microusd,
            note,
        } => wallet::credit(tx, now_ms, object, &id, amount_microusd, note.as_deref()),
        Question::Housekeep(work) => housekeeping::housekeep(tx, now_ms, object, work),
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
