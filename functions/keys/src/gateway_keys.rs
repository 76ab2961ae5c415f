//! Gateway keys: what applications hold. The text is shown once, in the answer that makes it.

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question::{Change, Question, Reply};
use lockgate_workspace::resource::{GatewayKey, Timestamp};
use lockgate_workspace::{AskError, PLATFORM_WORKSPACE, gateway_key, new_id, token_keys};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Call;
use crate::body::{change, name, shortened};
use crate::limits::{self, BudgetField, LimitsField};
use crate::respond::{self, removed, value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    agent: String,
    gateway: Option<String>,
    team: Option<String>,
    expires_in: Option<String>,
    expires_at: Option<Timestamp>,
    configuration: Option<String>,
    limits: Option<LimitsField>,
    budget: Option<BudgetField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    team: Option<String>,
    expires_in: Option<String>,
    expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "change")]
    gateway: Change<String>,
    #[serde(default, deserialize_with = "change")]
    configuration: Change<String>,
    #[serde(default, deserialize_with = "change")]
    limits: Change<LimitsField>,
    #[serde(default, deserialize_with = "change")]
    budget: Change<BudgetField>,
}

/// A key in the form that is shown: with its limits and its budget where it has none, too.
fn shown(key: &GatewayKey) -> Value {
    let mut value = respond::shown(key);
    if let Value::Object(fields) = &mut value {
        fields.entry("limits").or_insert_with(|| json!({}));
        fields.entry("budget").or_insert(Value::Null);
    }
    value
}

/// Checks a team, which is a name too.
fn team(team: Option<&str>) -> Result<(), Refusal> {
    match team.map(|team| lockgate_workspace::name::check(team, None)) {
        Some(Err(problem)) => Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("The team cannot be used: {problem}."),
        )
        .param("team")),
        _ => Ok(()),
    }
}

/// When a key ends, from `expires_in` (`90d`) or `expires_at`.
pub(crate) fn expiry<H: Host>(
    call: &Call<'_, H>,
    expires_in: Option<&str>,
    expires_at: Option<Timestamp>,
) -> Result<Option<Timestamp>, Refusal> {
    let now = call.host.now_ms();
    let wrong = |param: &str, message: String| {
        Err(Refusal::new(Code::INVALID_REQUEST, message).param(param))
    };
    match (expires_in, expires_at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => wrong(
            "expires_in",
            "Give expires_in or expires_at, not both.".into(),
        ),
        (None, Some(at)) if at.0 <= now => wrong(
            "expires_at",
            format!("expires_at {at} is past; it is {} now.", Timestamp(now)),
        ),
        (None, Some(at)) if at > Timestamp::LAST => wrong(
            "expires_at",
            format!(
                "expires_at is after {}, the last time there is.",
                Timestamp::LAST
            ),
        ),
        (None, Some(at)) => Ok(Some(at)),
        (Some(text), None) => match humantime::parse_duration(text) {
            Ok(duration) if !duration.is_zero() => {
                let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                Ok(Some(Timestamp(now.saturating_add(ms)).min(Timestamp::LAST)))
            }
            _ => wrong(
                "expires_in",
                format!(
                    "“{}” is no time span such as 90d, 12h or 30m.",
                    shortened(text)
                ),
            ),
        },
    }
}

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    match call.ask(Question::ListGatewayKeys(page.question())).await? {
        Reply::GatewayKeys(items) => Ok(page.reply_of(items, |k| (k.created_at.0, &k.id), shown)),
        _ => Err(AskError::Mismatch.into()),
    }
}

fn found(reply: Reply) -> Result<Box<GatewayKey>, Refusal> {
    match reply {
        Reply::GatewayKey(key) => Ok(key),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn get<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    let key = found(call.ask(Question::GetGatewayKey(id.into())).await?)?;
    Ok(value(200, shown(&key)))
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    if call.workspace == PLATFORM_WORKSPACE {
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            "The workspace “platform” has no gateway keys: its provider keys serve the managed traffic of the others.",
        )
        .remedy(
            "Pick another workspace (the header `lockgate-workspace`), and let a route of its configuration have a target \
             with `credential: managed` or `any`.",
        ));
    }
    let body: Create = call.body.read()?;
    name(&body.name, "gk")?;
    team(body.team.as_deref())?;
    let limits = body.limits.map(|limits| limits.read()).transpose()?;
    let budget = body.budget.map(|budget| budget.read()).transpose()?;
    let expires_at = expiry(call, body.expires_in.as_deref(), body.expires_at)?;
    let keys = token_keys::tag_keys(call.host, &call.settings).await?;
    let text = gateway_key::mint(call.host, &keys.gateway, &call.workspace);
    let exposed = text.expose_str().unwrap_or_default();
    let key = GatewayKey {
        id: new_id(call.host, "gk"),
        name: body.name,
        masked: gateway_key::mask(exposed),
        agent: body.agent,
        gateway: body.gateway,
        configuration: body.configuration,
        team: body.team,
        limits: limits.unwrap_or_default(),
        budget,
        created_by: call.actor.id.clone(),
        expires_at,
        revoked_at: None,
        created_at: Timestamp(call.host.now_ms()),
        last_used_at: None,
        revision: 1,
    };
    let question = Question::CreateGatewayKey {
        key: Box::new(key),
        hash: gateway_key::hash_text(&gateway_key::hash(exposed)),
    };
    let made = found(call.ask(question).await?)?;
    let mut answer = shown(&made);
    answer["key"] = exposed.into();
    Ok(value(201, answer))
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        name(new, "gk")?;
    }
    team(body.team.as_deref())?;
    let question = Question::PatchGatewayKey {
        reference: id.into(),
        expect: call.expect,
        expires_at: expiry(call, body.expires_in.as_deref(), body.expires_at)?,
        name: body.name,
        team: body.team,
        gateway: body.gateway,
        configuration: body.configuration,
        limits: limits::change(&body.limits, LimitsField::read)?,
        budget: limits::change(&body.budget, BudgetField::read)?,
    };
    let key = found(call.ask(question).await?)?;
    Ok(value(200, shown(&key)))
}

pub(crate) async fn revoke<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let question = Question::RevokeGatewayKey {
        reference: id.into(),
        expect: call.expect,
    };
    call.ask(question).await?;
    Ok(removed())
}
