//! Agents and gateways: a name with tags.

use lockgate_host::Host;
use lockgate_refusal::Refusal;
use lockgate_workspace::question::{NamedKind, Question, Reply};
use lockgate_workspace::resource::{ManagedBy, Named, Timestamp};
use lockgate_workspace::tags::{RawTags, Tags};
use lockgate_workspace::{AskError, new_id};
use serde::Deserialize;

use crate::Call;
use crate::body::name;
use crate::respond::{self, one, removed};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    tags: RawTags,
    managed_by: Option<ManagedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    tags: Option<RawTags>,
    managed_by: Option<ManagedBy>,
}

fn prefix(kind: NamedKind) -> &'static str {
    match kind {
        NamedKind::Agent => "agent",
        NamedKind::Gateway => "gw",
    }
}

fn shown(status: u16, reply: Reply) -> Result<respond::Reply, Refusal> {
    match reply {
        Reply::Named(named) => Ok(one(status, &named)),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn list<H: Host>(
    call: &Call<'_, H>,
    kind: NamedKind,
) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    match call.ask(Question::ListNamed(kind, page.question())).await? {
        Reply::Nameds(items) => Ok(page.reply(items, |n| (n.created_at.0, &n.id))),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn get<H: Host>(
    call: &Call<'_, H>,
    kind: NamedKind,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    shown(200, call.ask(Question::GetNamed(kind, id.into())).await?)
}

pub(crate) async fn create<H: Host>(
    call: &Call<'_, H>,
    kind: NamedKind,
) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    name(&body.name, prefix(kind))?;
    let named = Named {
        id: new_id(call.host, prefix(kind)),
        name: body.name,
        tags: body.tags.check()?,
        managed_by: body.managed_by.unwrap_or(ManagedBy::Manual),
        created_at: Timestamp(call.host.now_ms()),
        revision: 1,
    };
    shown(201, call.ask(Question::CreateNamed { kind, named }).await?)
}

async fn change<H: Host>(
    call: &Call<'_, H>,
    kind: NamedKind,
    id: &str,
    name: Option<String>,
    tags: Option<Tags>,
    managed_by: Option<ManagedBy>,
) -> Result<respond::Reply, Refusal> {
    let question = Question::PatchNamed {
        kind,
        reference: id.into(),
        expect: call.expect,
        name,
        tags,
        managed_by,
    };
    shown(200, call.ask(question).await?)
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    kind: NamedKind,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        name(new, prefix(kind))?;
    }
    let tags = body.tags.map(RawTags::check).transpose()?;
    change(call, kind, id, body.name, tags, body.managed_by).await
}

pub(crate) async fn tags<H: Host>(
    call: &Call<'_, H>,
    kind: NamedKind,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let tags = call.body.read::<RawTags>()?.check()?;
    change(call, kind, id, None, Some(tags), None).await
}

pub(crate) async fn delete<H: Host>(
    call: &Call<'_, H>,
    kind: NamedKind,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let question = Question::DeleteNamed {
        kind,
        reference: id.into(),
        expect: call.expect,
    };
    call.ask(question).await?;
    Ok(removed())
}
