//! Admin tokens (FEATURES A9). The text is shown once, in the answer that makes it.

use lockgate_host::Host;
use lockgate_refusal::Refusal;
use lockgate_workspace::question::{Kind, Question, Reply};
use lockgate_workspace::resource::{AdminRole, AdminToken, Timestamp};
use lockgate_workspace::{AskError, DEFAULT_WORKSPACE, admin_token, minted, new_id, token_keys};
use serde::Deserialize;

use crate::body::name;
use crate::gateway_keys::expiry;
use crate::respond;
use crate::{Call, rights};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    role: AdminRole,
    workspace: Option<String>,
    expires_in: Option<String>,
    expires_at: Option<Timestamp>,
}

/// The workspace that a new token is for: `None` for all of them, which only a token for all can make.
async fn scope<H: Host>(
    call: &Call<'_, H>,
    wanted: Option<&str>,
) -> Result<Option<String>, Refusal> {
    match (&call.actor.workspace, wanted) {
        (Some(own), None) => Ok(Some(own.clone())),
        (Some(own), Some(reference)) => {
            rights::only(call, own, reference).await?;
            Ok(Some(own.clone()))
        }
        (None, Some(reference)) => Ok(Some(rights::workspace_id(call, reference).await?)),
        // Who picks a workspace by the header means that one.
        (None, None) => Ok(Some(call.workspace.clone()).filter(|w| w != DEFAULT_WORKSPACE)),
    }
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    name(&body.name, Kind::AdminToken.prefix())?;
    call.actor.may_grant(body.role)?;
    let workspace = scope(call, body.workspace.as_deref()).await?;
    let expires_at = expiry(call, body.expires_in.as_deref(), body.expires_at)?;
    let home = workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE).to_owned();
    let keys = token_keys::tag_keys(call.host, &call.settings).await?;
    let text = admin_token::mint(call.host, &keys.admin, &home);
    let exposed = text.expose_str().unwrap_or_default();
    let token = AdminToken {
        id: new_id(call.host, Kind::AdminToken.prefix()),
        name: body.name,
        masked: admin_token::mask(exposed),
        workspace,
        role: body.role,
        created_by: call.actor.id.clone(),
        expires_at,
        created_at: Timestamp(call.host.now_ms()),
        revision: 1,
    };
    let question = Question::CreateAdminToken {
        token,
        hash: minted::hash_text(&minted::hash(exposed)),
    };
    let Reply::Resource(made) = call.ask_of(&home, question).await? else {
        return Err(AskError::Mismatch.into());
    };
    let mut answer = made.value();
    answer["token"] = exposed.into();
    Ok(respond::one_value(201, answer))
}
