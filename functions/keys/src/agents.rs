//! Agents: tags, attached roles and pins.

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::new_id;
use lockgate_workspace::question::{Kind, Question, Reply};
use lockgate_workspace::resource::{Agent, ManagedBy, Pin, PinMode, Timestamp};
use lockgate_workspace::tags::{RawTags, Tags};
use serde::Deserialize;

use crate::Call;
use crate::body::{name, shortened};
use crate::provider_keys::manifest;
use crate::resources::shown;
use crate::respond;

/// Roles of one agent.
const MAX_ROLES: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    tags: RawTags,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    pins: Vec<PinField>,
    managed_by: Option<ManagedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    tags: Option<RawTags>,
    roles: Option<Vec<String>>,
    pins: Option<Vec<PinField>>,
    managed_by: Option<ManagedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinField {
    provider: String,
    provider_key: String,
    mode: Option<PinMode>,
}

/// That there are not too many roles. Whether there are such roles is for the authority to say.
fn roles(roles: Vec<String>) -> Result<Vec<String>, Refusal> {
    if roles.len() > MAX_ROLES {
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("{} roles; an agent has at most {MAX_ROLES}.", roles.len()),
        )
        .param("roles")
        .remedy("Put the statements of several roles into one."));
    }
    Ok(roles)
}

/// Pins of known providers, at most one for each.
fn pins(fields: Vec<PinField>) -> Result<Vec<Pin>, Refusal> {
    let mut pins: Vec<Pin> = Vec::with_capacity(fields.len());
    for (at, field) in fields.into_iter().enumerate() {
        let provider = manifest(&field.provider)
            .map_err(|refusal| refusal.param(format!("pins[{at}].provider")))?;
        if let Some(first) = pins.iter().find(|pin| pin.provider == provider.slug) {
            return Err(Refusal::new(
                Code::INVALID_REQUEST,
                format!(
                    "Two pins are for {}, “{}” and “{}”; an agent holds to one key of a provider.",
                    provider.title,
                    shortened(&first.provider_key),
                    shortened(&field.provider_key)
                ),
            )
            .param(format!("pins[{at}].provider"))
            .provider(provider.slug)
            .remedy("Leave one of them out."));
        }
        pins.push(Pin {
            provider: field.provider,
            provider_key: field.provider_key,
            name: String::new(),
            mode: field.mode.unwrap_or(PinMode::Hard),
        });
    }
    Ok(pins)
}

/// Asks; where something was not found, looks whether a pin names the key of another provider, and says that instead.
async fn asked<H: Host>(
    call: &Call<'_, H>,
    status: u16,
    pins: &[Pin],
    question: Question,
) -> Result<respond::Reply, Refusal> {
    let refusal = match call.ask(question).await {
        Ok(reply) => return shown(status, reply),
        Err(refusal) if refusal.code == Code::NOT_FOUND => refusal,
        Err(refusal) => return Err(refusal),
    };
    for (at, pin) in pins.iter().enumerate() {
        let get = Question::GetProviderKey(pin.provider_key.clone());
        if let Ok(Reply::ProviderKey(key)) = call.ask(get).await
            && key.provider != pin.provider
        {
            return Err(Refusal::new(
                Code::INVALID_REQUEST,
                format!(
                    "The provider key “{}” is one of {}, not of {}, so an agent cannot be pinned to it for {}.",
                    key.name, key.provider, pin.provider, pin.provider
                ),
            )
            .param(format!("pins[{at}].provider_key"))
            .provider(&pin.provider)
            .remedy(format!("Name a key of {}, or pin for {}.", pin.provider, key.provider)));
        }
    }
    Err(refusal)
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    name(&body.name, Kind::Agent.prefix())?;
    let pins = pins(body.pins)?;
    let agent = Agent {
        id: new_id(call.host, Kind::Agent.prefix()),
        name: body.name,
        tags: body.tags.check()?,
        roles: roles(body.roles)?,
        pins: pins.clone(),
        managed_by: body.managed_by.unwrap_or(ManagedBy::Manual),
        created_at: Timestamp(call.host.now_ms()),
        revision: 1,
    };
    asked(call, 201, &pins, Question::CreateAgent(agent)).await
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        name(new, Kind::Agent.prefix())?;
    }
    let pins = body.pins.map(pins).transpose()?;
    let question = Question::PatchAgent {
        reference: id.into(),
        expect: call.expect,
        name: body.name,
        tags: body.tags.map(RawTags::check).transpose()?,
        roles: body.roles.map(roles).transpose()?,
        pins: pins.clone(),
        managed_by: body.managed_by,
    };
    asked(call, 200, &pins.unwrap_or_default(), question).await
}

pub(crate) async fn tags<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let tags: Tags = call.body.read::<RawTags>()?.check()?;
    let question = Question::PatchAgent {
        reference: id.into(),
        expect: call.expect,
        name: None,
        tags: Some(tags),
        roles: None,
        pins: None,
        managed_by: None,
    };
    shown(200, call.ask(question).await?)
}
