//! Gateways: a name with tags.

use lockgate_host::Host;
use lockgate_refusal::Refusal;
use lockgate_workspace::new_id;
use lockgate_workspace::question::{Kind, Question};
use lockgate_workspace::resource::{Gateway, ManagedBy, Timestamp};
use lockgate_workspace::tags::{RawTags, Tags};
use serde::Deserialize;

use crate::Call;
use crate::body::name;
use crate::resources::shown;
use crate::respond;

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

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    name(&body.name, Kind::Gateway.prefix())?;
    let gateway = Gateway {
        id: new_id(call.host, Kind::Gateway.prefix()),
        name: body.name,
        tags: body.tags.check()?,
        managed_by: body.managed_by.unwrap_or(ManagedBy::Manual),
        created_at: Timestamp(call.host.now_ms()),
        revision: 1,
    };
    shown(201, call.ask(Question::CreateGateway(gateway)).await?)
}

async fn change<H: Host>(
    call: &Call<'_, H>,
    id: &str,
    name: Option<String>,
    tags: Option<Tags>,
    managed_by: Option<ManagedBy>,
) -> Result<respond::Reply, Refusal> {
    let question = Question::PatchGateway {
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
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        name(new, Kind::Gateway.prefix())?;
    }
    let tags = body.tags.map(RawTags::check).transpose()?;
    change(call, id, body.name, tags, body.managed_by).await
}

pub(crate) async fn tags<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let tags = call.body.read::<RawTags>()?.check()?;
    change(call, id, None, Some(tags), None).await
}
