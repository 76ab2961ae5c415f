//! Provider keys: sealed here, before anything is stored; never returned.

use std::collections::BTreeMap;

use lockgate_host::{Host, Secret};
use lockgate_providers::{Manifest, OptionError};
use lockgate_refusal::{Code, Refusal};
use lockgate_vault::Binding;
use lockgate_workspace::question::{Denial, Question, Reply, SealedVersion};
use lockgate_workspace::resource::{Health, ManagedBy, ProviderKey, Timestamp};
use lockgate_workspace::tags::{RawTags, Tags};
use lockgate_workspace::{Answered, AskError, ask, ask_as, forget, new_id};
use serde::Deserialize;

use crate::body::{SecretField, name, shortened};
use crate::respond::{self, one, removed};
use crate::{Call, address};

/// How often a rotation seals again because another one came between.
const ROTATE_TRIES: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    provider: String,
    name: String,
    secret: Option<SecretField>,
    base_url: Option<String>,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    tags: RawTags,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    force: bool,
    managed_by: Option<ManagedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    tags: Option<RawTags>,
    default: Option<bool>,
    enabled: Option<bool>,
    managed_by: Option<ManagedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    secret: SecretField,
    #[serde(default)]
    force: bool,
}

pub(crate) fn manifest(slug: &str) -> Result<&'static Manifest, Refusal> {
    lockgate_providers::find(slug).ok_or_else(|| {
        let known: Vec<&str> = lockgate_providers::all().iter().map(|m| m.slug).collect();
        Refusal::new(
            Code::INVALID_REQUEST,
            format!("There is no provider “{}”.", shortened(slug)),
        )
        .param("provider")
        .remedy(format!("Known providers: {}.", known.join(", ")))
    })
}

fn check_format(manifest: &'static Manifest, secret: &Secret, force: bool) -> Result<(), Refusal> {
    match lockgate_providers::check_key(manifest, secret) {
        Ok(()) => Ok(()),
        // What a header cannot carry is refused all the same.
        Err(_) if force && lockgate_providers::can_be_sent(secret) => Ok(()),
        Err(error) => Err(Refusal::new(Code::INVALID_REQUEST, error.to_string())
            .param("secret")
            .reason("provider_key_format")
            .provider(manifest.slug)
            .remedy(manifest.key_hint)),
    }
}

fn check_options(
    manifest: &'static Manifest,
    options: &BTreeMap<String, String>,
    has_base_url: bool,
) -> Result<(), Refusal> {
    lockgate_providers::check_options(manifest, options, has_base_url).map_err(|error| {
        let param = format!("options.{}", error.option());
        let (code, remedy) = match &error {
            OptionError::Unknown { .. } => (Code::UNKNOWN_FIELD, "Leave it out."),
            OptionError::NoBase(_) => (
                Code::INVALID_REQUEST,
                "Send the option, or a `base_url` that does without it.",
            ),
            OptionError::Missing { .. } | OptionError::Invalid { .. } => {
                (Code::INVALID_REQUEST, "Send the option as described.")
            }
        };
        Refusal::new(code, error.to_string())
            .param(param)
            .provider(manifest.slug)
            .remedy(remedy)
    })
}

/// Seals a secret; the authority's row comes after.
async fn seal<H: Host>(
    call: &Call<'_, H>,
    provider: &str,
    key_id: &str,
    version: u64,
    secret: &Secret,
) -> Result<SealedVersion, Refusal> {
    let binding = Binding {
        workspace: &call.workspace,
        provider,
        key_id,
        version,
    };
    Ok(lockgate_workspace::seal(call.host, &call.settings, &binding, secret).await?)
}

fn found(reply: Reply) -> Result<Box<ProviderKey>, Refusal> {
    match reply {
        Reply::ProviderKey(key) => Ok(key),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    match call
        .ask(Question::ListProviderKeys(page.question()))
        .await?
    {
        Reply::ProviderKeys(items) => Ok(page.reply(items, |k| (k.created_at.0, &k.id))),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn get<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    Ok(one(
        200,
        &found(call.ask(Question::GetProviderKey(id.into())).await?)?,
    ))
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    let manifest = manifest(&body.provider)?;
    name(&body.name, "pk")?;
    let tags = body.tags.check()?;
    check_options(manifest, &body.options, body.base_url.is_some())?;
    let base_url = match &body.base_url {
        Some(text) => Some(address::check(text, &call.settings.http_hosts)?),
        None => None,
    };
    let secret = body.secret.map(|field| field.0);
    match &secret {
        Some(secret) => check_format(manifest, secret, body.force)?,
        None if manifest.needs_key() => {
            return Err(Refusal::new(
                Code::INVALID_REQUEST,
                format!("{} needs a key, and `secret` is missing.", manifest.title),
            )
            .param("secret")
            .remedy(manifest.key_hint));
        }
        None => {}
    }
    let id = new_id(call.host, "pk");
    let sealed = match &secret {
        Some(secret) => Some(seal(call, manifest.slug, &id, 1, secret).await?),
        None => None,
    };
    let key = ProviderKey {
        id,
        provider: manifest.slug.into(),
        name: body.name,
        masked: sealed
            .as_ref()
            .map(|s| s.masked.clone())
            .unwrap_or_default(),
        version: u64::from(sealed.is_some()),
        base_url,
        options: body.options,
        default: body.default,
        enabled: true,
        tags,
        health: Health::Unknown,
        health_detail: None,
        checked_at: None,
        managed_by: body.managed_by.unwrap_or(ManagedBy::Manual),
        created_at: Timestamp(call.host.now_ms()),
        rotated_at: None,
        last_used_at: None,
        versions: Vec::new(),
        revision: 1,
    };
    let entry = sealed.as_ref().map(|s| s.entry.clone());
    let question = Question::CreateProviderKey {
        key: Box::new(key),
        sealed,
    };
    match own(call, question).await {
        Ok(answered) => Ok(one(201, &found(answered.reply)?)),
        Err(error) => Err(undone(call, entry, error).await),
    }
}

/// Asks as [`Call::ask`] does, and leaves the reason for a refusal as it is.
async fn own<H: Host>(call: &Call<'_, H>, question: Question) -> Result<Answered, AskError> {
    let (host, settings) = (call.host, &call.settings);
    ask_as(host, settings, &call.workspace, &call.actor.id, question).await
}

/// After a refusal nothing points to the new entry. Where the store failed or did not answer something may: then it is the
/// tick that removes what is left over.
async fn undone<H: Host>(call: &Call<'_, H>, entry: Option<String>, error: AskError) -> Refusal {
    if matches!(&error, AskError::Denied(denial) if !matches!(denial, Denial::Store(_))) {
        let entries = entry.into_iter().collect();
        forget(call.host, &call.settings, &call.workspace, entries).await;
    }
    error.into()
}

pub(crate) async fn rotate<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Rotate = call.body.read()?;
    let key = found(call.ask(Question::GetProviderKey(id.into())).await?)?;
    check_format(manifest(&key.provider)?, &body.secret.0, body.force)?;
    let mut newest = key.version;
    for _ in 0..ROTATE_TRIES {
        let sealed = seal(call, &key.provider, &key.id, newest + 1, &body.secret.0).await?;
        let entry = sealed.entry.clone();
        let question = Question::RotateProviderKey {
            id: key.id.clone(),
            expect: call.expect,
            sealed,
        };
        match own(call, question).await {
            Ok(answered) => {
                sweep(call, &key.id);
                return Ok(one(200, &found(answered.reply)?));
            }
            Err(AskError::Denied(Denial::VersionMoved(version))) => {
                forget(call.host, &call.settings, &call.workspace, vec![entry]).await;
                newest = version;
            }
            Err(error) => return Err(undone(call, Some(entry), error).await),
        }
    }
    Err(Denial::VersionMoved(newest).into())
}

/// The rotation has been waited out, so nobody can need the old secret any more: it is forgotten in the background.
fn sweep<H: Host>(call: &Call<'_, H>, id: &str) {
    let (host, settings) = (call.host.clone(), call.settings.clone());
    let (workspace, id) = (call.workspace.clone(), id.to_owned());
    call.host.spawn(async move {
        let question = Question::SweepProviderKey { id };
        if let Ok(answered) = ask(&host, &settings, &workspace, question).await
            && let Reply::Entries(entries) = answered.reply
        {
            forget(&host, &settings, &workspace, entries).await;
        }
    });
}

async fn change<H: Host>(
    call: &Call<'_, H>,
    id: &str,
    body: Patch,
    tags: Option<Tags>,
) -> Result<respond::Reply, Refusal> {
    let question = Question::PatchProviderKey {
        reference: id.into(),
        expect: call.expect,
        name: body.name,
        tags,
        default: body.default,
        enabled: body.enabled,
        managed_by: body.managed_by,
    };
    Ok(one(200, &found(call.ask(question).await?)?))
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let mut body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        name(new, "pk")?;
    }
    let tags = body.tags.take().map(RawTags::check).transpose()?;
    change(call, id, body, tags).await
}

pub(crate) async fn tags<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let tags = call.body.read::<RawTags>()?.check()?;
    let body = Patch {
        name: None,
        tags: None,
        default: None,
        enabled: None,
        managed_by: None,
    };
    change(call, id, body, Some(tags)).await
}

pub(crate) async fn delete<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let question = Question::DeleteProviderKey {
        reference: id.into(),
        expect: call.expect,
    };
    match call.ask(question).await? {
        Reply::Entries(entries) => {
            forget(call.host, &call.settings, &call.workspace, entries).await;
            Ok(removed())
        }
        _ => Err(AskError::Mismatch.into()),
    }
}
