//! Workspaces: the registry knows them all, each one's own authority holds what is in it.

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question::{Change, Denial, Kind, Question, Reply};
use lockgate_workspace::resource::{Access, Timestamp, Workspace};
use lockgate_workspace::{AskError, DEFAULT_WORKSPACE, PLATFORM_WORKSPACE, REGISTRY, new_id};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Call;
use crate::body::{change, name};
use crate::respond::{self, one_value, removed};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    access: Option<Access>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    name: Option<String>,
    access: Option<Access>,
    #[serde(default, deserialize_with = "change")]
    default_configuration: Change<String>,
}

/// What stands in every answer that shows a workspace which roles do not guard.
const OPEN: &str = "access is open: every agent of this workspace may use every provider key, and roles are not looked \
    at. PATCH the workspace with {\"access\":\"enforced\"} to let only what roles grant through.";

/// A workspace in the form that is shown.
fn shown(workspace: &Workspace) -> Value {
    let mut value = serde_json::to_value(workspace).unwrap_or_default();
    if workspace.access == Access::Open {
        value["warning"] = OPEN.into();
    }
    value
}

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    if let Some(own) = &call.actor.workspace {
        let own = find(call, own).await?;
        return Ok(page.reply_of(vec![own], |w| (w.created_at.0, &w.id), shown));
    }
    match call
        .ask_of(REGISTRY, Question::ListWorkspaces(page.question()))
        .await?
    {
        Reply::Workspaces(items) => Ok(page.reply_of(items, |w| (w.created_at.0, &w.id), shown)),
        _ => Err(AskError::Mismatch.into()),
    }
}

async fn find<H: Host>(call: &Call<'_, H>, reference: &str) -> Result<Workspace, Refusal> {
    match call
        .ask_of(REGISTRY, Question::GetWorkspace(reference.into()))
        .await?
    {
        Reply::Workspace(workspace) => Ok(workspace),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn get<H: Host>(call: &Call<'_, H>, id: &str) -> Result<respond::Reply, Refusal> {
    Ok(one_value(200, shown(&find(call, id).await?)))
}

/// The workspaces that always exist: their ids, their names, which stay with them, and what they are for.
const FIXED: [(&str, &str, &str); 2] = [
    (
        DEFAULT_WORKSPACE,
        "default",
        "the one that calls mean which pick none",
    ),
    (
        PLATFORM_WORKSPACE,
        "platform",
        "the one whose provider keys serve managed traffic",
    ),
];

fn fixed(id: &str) -> Option<&'static str> {
    let mut fixed = FIXED.iter();
    fixed.find(|(it, ..)| *it == id).map(|(_, name, _)| *name)
}

/// Checks the new name of a workspace, by its id where it has one.
fn rename(new: &str, id: Option<&str>) -> Result<(), Refusal> {
    name(new, "ws")?;
    let own = id.and_then(fixed);
    if own == Some(new) {
        return Ok(());
    }
    let refusal = match own {
        Some(name) => Refusal::new(
            Code::IN_USE,
            format!("The workspace “{name}” keeps its name."),
        )
        .remedy("Make a workspace of the name you want."),
        None => match FIXED.iter().find(|(_, name, _)| *name == new) {
            None => return Ok(()),
            Some((_, name, what)) => Refusal::new(
                Code::ALREADY_EXISTS,
                format!("The name “{name}” always means one workspace, {what}."),
            ),
        },
    };
    Err(refusal.param("name"))
}

pub(crate) async fn create<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Create = call.body.read()?;
    rename(&body.name, None)?;
    let workspace = Workspace {
        id: new_id(call.host, "ws"),
        name: body.name,
        plan: "free".into(),
        access: body.access.unwrap_or(Access::Enforced),
        default_configuration: None,
        created_at: Timestamp(call.host.now_ms()),
        revision: 1,
    };
    let Reply::Workspace(made) = call
        .ask_of(REGISTRY, Question::CreateWorkspace(workspace))
        .await?
    else {
        return Err(AskError::Mismatch.into());
    };
    call.ask_of(&made.id, Question::SyncWorkspace(made.clone()))
        .await?;
    Ok(one_value(201, shown(&made)))
}

pub(crate) async fn patch<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let body: Patch = call.body.read()?;
    if let Some(new) = &body.name {
        rename(new, Some(&find(call, id).await?.id))?;
    }
    let question = Question::PatchWorkspace {
        reference: id.into(),
        expect: call.expect,
        name: body.name,
        access: body.access,
        default_configuration: match body.default_configuration {
            Change::Set(reference) => Change::Set(configuration(call, id, reference).await?),
            kept => kept,
        },
    };
    let Reply::Workspace(changed) = call.ask_of(REGISTRY, question).await? else {
        return Err(AskError::Mismatch.into());
    };
    call.ask_of(&changed.id, Question::SyncWorkspace(changed.clone()))
        .await?;
    Ok(one_value(200, shown(&changed)))
}

/// The id of a workspace's configuration, which only its own authority knows.
async fn configuration<H: Host>(
    call: &Call<'_, H>,
    workspace: &str,
    reference: String,
) -> Result<String, Refusal> {
    let workspace = find(call, workspace).await?;
    let get = Question::Get(Kind::Configuration, reference);
    match call.ask_of(&workspace.id, get).await {
        Ok(Reply::Resource(found)) => Ok(found.place().1.to_owned()),
        Ok(_) => Err(AskError::Mismatch.into()),
        Err(refusal) => Err(refusal.param("default_configuration")),
    }
}

pub(crate) async fn delete<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let workspace = find(call, id).await?;
    if let Some(name) = fixed(&workspace.id) {
        return Err(Refusal::new(
            Code::IN_USE,
            format!("The workspace “{name}” always exists."),
        ));
    }
    let confirmed = form_urlencoded::parse(call.query.unwrap_or_default().as_bytes())
        .any(|(field, value)| field == "confirm" && value == workspace.name);
    if !confirmed {
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!(
                "Deleting workspace “{}” removes its keys, agents and log for good.",
                workspace.name
            ),
        )
        .param("confirm")
        .remedy("Repeat the call with ?confirm= and the workspace's name."));
    }
    if let Some(expected) = call.expect
        && expected != workspace.revision
    {
        return Err(Denial::Stale {
            expected,
            found: workspace.revision,
        }
        .into());
    }
    // The workspace's own chain goes with it, and this one is another authority's: a row too many is better than none.
    let detail = json!({ "deleted": workspace });
    call.record("workspace.delete", &workspace.id, detail)
        .await?;
    let Reply::Entries(entries) = call.ask_of(&workspace.id, Question::DropWorkspace).await? else {
        return Err(AskError::Mismatch.into());
    };
    let (host, settings) = (call.host, &call.settings);
    let left = lockgate_workspace::forget(host, settings, &workspace.id, entries).await;
    if !left.is_empty() {
        // Nobody visits this workspace's own store any more. Should this fail, the call can be repeated: the registry still
        // has the workspace. Where the registry is the same database, that one has what is left already.
        let remember = Question::RememberEntries(left.clone());
        call.ask_of(DEFAULT_WORKSPACE, remember).await?;
        call.ask_of(&workspace.id, Question::Forgotten(left))
            .await?;
    }
    let question = Question::DeleteWorkspace {
        id: workspace.id,
        expect: None,
    };
    let actor = &call.actor.id;
    match lockgate_workspace::ask_as(host, settings, REGISTRY, actor, question).await {
        // Where the registry is the same database, the workspace's own row is gone already.
        Ok(_) | Err(AskError::Denied(Denial::NotFound { .. })) => Ok(removed()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn some_workspaces_keep_their_names() {
        let other = Some("ws_aaaaaaaaaaaaaaaa");
        for (new, id, code) in [
            ("team", None, None),
            ("team", other, None),
            ("default", Some(DEFAULT_WORKSPACE), None),
            ("platform", Some(PLATFORM_WORKSPACE), None),
            ("team", Some(DEFAULT_WORKSPACE), Some(Code::IN_USE)),
            ("default", Some(PLATFORM_WORKSPACE), Some(Code::IN_USE)),
            ("default", None, Some(Code::ALREADY_EXISTS)),
            ("platform", None, Some(Code::ALREADY_EXISTS)),
            ("platform", other, Some(Code::ALREADY_EXISTS)),
        ] {
            let refused = rename(new, id).err();
            assert_eq!(refused.map(|refusal| refusal.code), code, "{new} {id:?}");
        }
    }
}
