//! What each question changes, and so what the log says of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lockgate_host::Tx;
use serde_json::{Value, json};

use crate::authority::{Context, answer, prices, seeds};
use crate::question::{Denial, Kind, Page, Question, Reply, Resource};
use crate::resource::ProviderKey;

use super::chain::Chain;
use super::{Filter, digest, list, text};

/// Kinds of things that the log tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Workspace,
    ProviderKey,
    GatewayKey,
    Seed,
    /// By `provider/model`.
    Price,
    /// By the id of a credit.
    Wallet,
    Of(Kind),
}

impl Thing {
    /// What its actions begin with.
    fn word(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::ProviderKey => "provider-key",
            Self::GatewayKey => "gateway-key",
            Self::Seed => "seed",
            Self::Price => "price",
            Self::Wallet => "wallet",
            Self::Of(Kind::AdminToken) => "admin-token",
            Self::Of(kind) => kind.word(),
        }
    }
}

const ROLE: Thing = Thing::Of(Kind::Role);
const AGENT: Thing = Thing::Of(Kind::Agent);
const GATEWAY: Thing = Thing::Of(Kind::Gateway);
const CONFIGURATION: Thing = Thing::Of(Kind::Configuration);

/// A change of one thing.
struct Change<'a> {
    thing: Thing,
    verb: &'static str,
    /// Its id, or its name where it is there already.
    reference: Cow<'a, str>,
    /// Whether it was there before.
    was: bool,
    /// Whether it is there afterwards.
    stays: bool,
    /// Kinds of which others may change with it.
    beside: &'static [Thing],
}

impl<'a> Change<'a> {
    fn create(thing: Thing, id: impl Into<Cow<'a, str>>) -> Self {
        Self {
            was: false,
            ..Self::of(thing, "create", id)
        }
    }

    fn of(thing: Thing, verb: &'static str, reference: impl Into<Cow<'a, str>>) -> Self {
        Self {
            thing,
            verb,
            reference: reference.into(),
            was: true,
            stays: true,
            beside: &[],
        }
    }

    fn delete(thing: Thing, reference: impl Into<Cow<'a, str>>) -> Self {
        Self {
            stays: false,
            ..Self::of(thing, "delete", reference)
        }
    }

    fn beside(self, beside: &'static [Thing]) -> Self {
        Self { beside, ..self }
    }
}

/// Decides for every question there is; a new one has to decide too.
fn change(question: &Question) -> Option<Change<'_>> {
    let update = |thing, reference| Change::of(thing, "update", reference);
    Some(match question {
        // They read, or keep what is no resource.
        Question::Data(_)
        | Question::ListWorkspaces(_)
        | Question::GetWorkspace(_)
        | Question::ListProviderKeys(_)
        | Question::GetProviderKey(_)
        | Question::PointToProviderKey(_)
        | Question::SweepProviderKey { .. }
        | Question::Get(..)
        | Question::List(..)
        | Question::Impersonate { .. }
        | Question::ListSeeds
        | Question::ListVersions { .. }
        | Question::GetVersion { .. }
        | Question::CheckAdminToken { .. }
        | Question::Record { .. }
        | Question::ListAudit { .. }
        | Question::VerifyAudit { .. }
        | Question::ListGatewayKeys(_)
        | Question::GetGatewayKey(_)
        | Question::ListRequests(..)
        | Question::Usage(_)
        | Question::ListPrices
        | Question::GetWallet
        | Question::ListLedger { .. }
        | Question::Housekeep(_)
        | Question::RememberEntries(_)
        | Question::ClaimLeftovers { .. }
        | Question::Forgotten(_)
        | Question::CountSealed
        | Question::ListSealed { .. }
        | Question::PutTokenKeys { .. } => return None,
        // No resource changes, but it is told of by the module that does it.
        Question::Rewrap(_) => return None,
        // A workspace's end is told of by `Record`, in the log of the default one.
        Question::DeleteWorkspace { .. } | Question::DropWorkspace => return None,
        // Where the registry is the same database, this is the change; elsewhere `SyncWorkspace` is, in the workspace's
        // own, and the registry's rows are read by nobody.
        Question::CreateWorkspace(workspace) => Change::create(Thing::Workspace, &workspace.id),
        Question::PatchWorkspace { reference, .. } => update(Thing::Workspace, reference),
        Question::SyncWorkspace(workspace) if workspace.revision <= 1 => {
            Change::create(Thing::Workspace, &workspace.id)
        }
        Question::SyncWorkspace(workspace) => update(Thing::Workspace, &workspace.id),

        Question::CreateProviderKey { key, .. } => {
            let change = Change::create(Thing::ProviderKey, &key.id);
            change.beside(if key.default {
                &[Thing::ProviderKey]
            } else {
                &[]
            })
        }
        Question::PatchProviderKey {
            reference, default, ..
        } => {
            let change = update(Thing::ProviderKey, reference);
            change.beside(match default {
                Some(true) => &[Thing::ProviderKey],
                _ => &[],
            })
        }
        Question::RotateProviderKey { id, .. } => Change::of(Thing::ProviderKey, "rotate", id),
        Question::DeleteProviderKey { reference, .. } => {
            Change::delete(Thing::ProviderKey, reference)
        }
        Question::DeleteSeed { provider } => Change::delete(Thing::Seed, provider),

        Question::CreateRole(role) => Change::create(ROLE, &role.id),
        Question::PatchRole { reference, .. } => update(ROLE, reference),
        Question::CreateAgent(agent) => Change::create(AGENT, &agent.id),
        Question::PatchAgent { reference, .. } => update(AGENT, reference),
        Question::CreateGateway(gateway) => Change::create(GATEWAY, &gateway.id),
        Question::PatchGateway { reference, .. } => update(GATEWAY, reference),
        Question::CreateConfiguration(made) => Change::create(CONFIGURATION, &made.id),
        Question::PatchConfiguration { reference, .. } => update(CONFIGURATION, reference),
        Question::PutDraft { reference, .. } => Change::of(CONFIGURATION, "draft", reference),
        Question::ApplyConfiguration { id, restores, .. } => {
            let verb = match restores {
                Some(_) => "rollback",
                None => "apply",
            };
            Change::of(CONFIGURATION, verb, id).beside(&[ROLE, AGENT, GATEWAY])
        }
        Question::CreateAdminToken { token, .. } => {
            Change::create(Thing::Of(Kind::AdminToken), &token.id)
        }
        Question::Delete {
            kind, reference, ..
        } => Change::delete(Thing::Of(*kind), reference).beside(match kind {
            Kind::Role => &[AGENT],
            Kind::Configuration => &[ROLE, AGENT, GATEWAY],
            Kind::Agent | Kind::Gateway | Kind::AdminToken => &[],
        }),

        Question::CreateGatewayKey { key, .. } => Change::create(Thing::GatewayKey, &key.id),
        Question::PatchGatewayKey { reference, .. } => update(Thing::GatewayKey, reference),
        Question::RevokeGatewayKey { reference, .. } => {
            Change::of(Thing::GatewayKey, "revoke", reference)
        }

        Question::PutPrice(price) => {
            let named = price_of(&price.provider, &price.model);
            Change::of(Thing::Price, "update", named)
        }
        Question::DeletePrice { provider, model } => {
            Change::delete(Thing::Price, price_of(provider, model))
        }
        Question::CreditWallet { id, .. } => Change::of(Thing::Wallet, "credit", id),
    })
}

/// All things of a kind, by id.
type Census = BTreeMap<String, Value>;

/// A change that is about to be made, with what was there before.
pub(in crate::authority) struct Subject {
    thing: Thing,
    verb: &'static str,
    id: String,
    before: Option<Value>,
    stays: bool,
    beside: Vec<(Thing, Census)>,
}

/// What the audit log says of a question, if it says anything: looked up before the question is answered.
pub(in crate::authority) fn subject(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    question: &Question,
) -> Result<Option<Subject>, Denial> {
    let Some(change) = change(question) else {
        return Ok(None);
    };
    if let Question::SyncWorkspace(workspace) = question
        && logged(tx, &workspace.id)? >= Some(workspace.revision)
    {
        return Ok(None);
    }
    let before = match question {
        _ if !change.was => None,
        // Its own row may be missing where an earlier one did not arrive.
        Question::SyncWorkspace(workspace) => {
            match look(tx, context, Thing::Workspace, &workspace.id) {
                Err(Denial::NotFound { .. }) => None,
                found => found?,
            }
        }
        _ => look(tx, context, change.thing, &change.reference)?,
    };
    let id = before.as_ref().and_then(id_of);
    let mut beside = Vec::with_capacity(change.beside.len());
    for thing in change.beside {
        beside.push((*thing, census(tx, context, *thing)?));
    }
    Ok(Some(Subject {
        thing: change.thing,
        verb: change.verb,
        id: id.unwrap_or(&change.reference).to_owned(),
        before,
        stays: change.stays,
        beside,
    }))
}

/// Writes the rows of a change that was made: its own, then those of what changed with it.
pub(in crate::authority) fn changed(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    subject: Subject,
    reply: &Reply,
) -> Result<(), Denial> {
    let after = match value(reply) {
        _ if !subject.stays => None,
        Some(shown) => Some(shown),
        None => look(tx, context, subject.thing, &subject.id)?,
    };
    if subject.thing == Thing::Wallet && subject.before == after {
        // The credit was made before.
        return Ok(());
    }
    let mut rows = vec![(
        format!("{}.{}", subject.thing.word(), subject.verb),
        subject.id.clone(),
        subject.before,
        after,
    )];
    for (thing, mut before) in subject.beside {
        for (id, after) in census(tx, context, thing)? {
            let was = before.remove(&id);
            if id == subject.id || was.as_ref() == Some(&after) {
                continue;
            }
            let verb = if was.is_some() { "update" } else { "create" };
            rows.push((format!("{}.{verb}", thing.word()), id, was, Some(after)));
        }
        for (id, was) in before {
            if id != subject.id {
                rows.push((format!("{}.delete", thing.word()), id, Some(was), None));
            }
        }
    }
    // The registry has no log of its own: what it does goes into that of the workspace.
    let context = &Context {
        workspace: match subject.thing {
            Thing::Workspace => &subject.id,
            _ => context.workspace,
        },
        ..*context
    };
    let mut chain = Chain::open(tx, context)?;
    for (action, id, before, after) in rows {
        let (before, after) = (before.as_ref().map(text), after.as_ref().map(text));
        chain.append(
            tx,
            (context.actor, &action, &id),
            (before.as_deref(), after.as_deref()),
        )?;
    }
    Ok(chain.close(tx)?)
}

/// A thing as it is.
fn look(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    thing: Thing,
    reference: &str,
) -> Result<Option<Value>, Denial> {
    let question = match thing {
        Thing::Workspace => Question::GetWorkspace(reference.to_owned()),
        Thing::ProviderKey => Question::GetProviderKey(reference.to_owned()),
        Thing::GatewayKey => Question::GetGatewayKey(reference.to_owned()),
        Thing::Of(kind) => Question::Get(kind, reference.to_owned()),
        Thing::Seed => {
            let standing = seeds::standing(tx, context.workspace)?;
            let stands = standing.iter().any(|provider| provider == reference);
            return Ok(stands.then(|| json!({ "provider": reference, "seeded": true })));
        }
        Thing::Price => {
            let (provider, model) = reference.split_once('/').unwrap_or_default();
            let price = prices::one(tx, context.workspace, provider, model)?;
            return Ok(price.and_then(|price| serde_json::to_value(price).ok()));
        }
        Thing::Wallet => Question::GetWallet,
    };
    Ok(value(&answer(tx, context, question)?))
}

/// The newest revision of a workspace that its log tells of.
fn logged(tx: &mut dyn Tx, workspace: &str) -> Result<Option<u64>, Denial> {
    let mut newest = None;
    for action in ["workspace.update", "workspace.create"] {
        let filter = Filter {
            action: Some(action.to_owned()),
            actor: None,
            resource: Some(workspace.to_owned()),
        };
        if let Reply::Audit(rows) = list(tx, workspace, 1, None, &filter)? {
            let after = rows.into_iter().next().and_then(|row| row.after);
            newest = newest.max(after.and_then(|after| after["revision"].as_u64()));
        }
    }
    Ok(newest)
}

/// All things of a kind that can change beside another one.
fn census(tx: &mut dyn Tx, context: &Context<'_>, thing: Thing) -> Result<Census, Denial> {
    let page = Page {
        limit: u32::MAX,
        after: None,
    };
    let question = match thing {
        Thing::ProviderKey => Question::ListProviderKeys(page),
        Thing::Of(kind) => Question::List(kind, page),
        Thing::Workspace | Thing::GatewayKey | Thing::Seed | Thing::Price | Thing::Wallet => {
            return Ok(Census::new());
        }
    };
    let values: Vec<Value> = match answer(tx, context, question)? {
        Reply::ProviderKeys(keys) => keys.iter().map(provider_key).collect(),
        Reply::Resources(resources) => resources.iter().map(resource).collect(),
        _ => Vec::new(),
    };
    let by_id = values
        .into_iter()
        .filter_map(|v| Some((id_of(&v)?.to_owned(), v)));
    Ok(by_id.collect())
}

/// How the log names a price. A provider's slug has no `/`.
fn price_of(provider: &str, model: &str) -> String {
    format!("{provider}/{model}")
}

fn id_of(value: &Value) -> Option<&str> {
    value.get("id").and_then(Value::as_str)
}

/// What a reply shows, in the form of the log.
fn value(reply: &Reply) -> Option<Value> {
    match reply {
        Reply::Workspace(workspace) => serde_json::to_value(workspace).ok(),
        Reply::ProviderKey(key) => Some(provider_key(key)),
        Reply::GatewayKey(key) => serde_json::to_value(key).ok(),
        Reply::Wallet(wallet) => serde_json::to_value(wallet).ok(),
        Reply::Resource(one) => Some(resource(one)),
        _ => None,
    }
}

/// Without the list of its versions, which only some answers have.
fn provider_key(key: &ProviderKey) -> Value {
    let mut value = serde_json::to_value(key).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.remove("versions");
    }
    value
}

/// Documents are told from one another and kept elsewhere: the log has their digests.
fn resource(resource: &Resource) -> Value {
    let mut value = resource.value();
    if matches!(resource, Resource::Configuration(_)) {
        for document in ["/document", "/draft/document"] {
            if let Some(place) = value.pointer_mut(document)
                && let Some(text) = place.as_str()
            {
                *place = digest(text);
            }
        }
    }
    value
}
