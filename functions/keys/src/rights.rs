//! Who calls `/api`, and what they may do there (FEATURES A9). docs/admin-tokens.md says the same in words.

mod denials;
mod table;

use lockgate_host::{Headers, Host};
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question::{Denial, Kind, Question, Reply, Resource};
use lockgate_workspace::resource::{AdminRole, AdminToken};
use lockgate_workspace::{
    AskError, DEFAULT_WORKSPACE, REGISTRY, ROOT, Settings, admin_token, minted, token_keys,
};

use crate::Call;

pub(crate) use denials::Visit;
use table::Needs;
pub(crate) use table::{Rule, rule};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The admin token's id, or `root`; the audit log names it.
    pub(crate) id: String,
    /// What they may do.
    pub(crate) role: AdminRole,
    /// The only workspace they may do it in, by id.
    pub(crate) workspace: Option<String>,
}

/// Finds out who calls.
pub(crate) async fn authenticate<H: Host>(
    host: &H,
    settings: &Settings,
    headers: &H::Headers,
) -> Result<Actor, Refusal> {
    let header = headers.get("authorization").unwrap_or_default();
    let scheme = header.get(..7).unwrap_or_default();
    let token = if scheme.eq_ignore_ascii_case("bearer ") {
        header.get(7..).unwrap_or_default().trim()
    } else {
        ""
    };
    if settings.is_admin(token) {
        return Ok(Actor::root());
    }
    if admin_token::looks_like_one(token) {
        return named(host, settings, token).await;
    }
    Err(unknown(if token.is_empty() {
        "The request carries no admin token."
    } else if token.starts_with("lgk_") {
        "That is a gateway key; /api takes an admin token."
    } else {
        "The admin token is not the one of this gateway."
    }))
}

fn unknown(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::ADMIN_TOKEN_INVALID, message).remedy(
        "Send `Authorization: Bearer <token>` with LOCKGATE_ADMIN_TOKEN or a token (lga_…) made by POST /api/admin-tokens.",
    )
}

/// Finds the token that was made with this text. What was made up is refused without asking any authority.
async fn named<H: Host>(host: &H, settings: &Settings, text: &str) -> Result<Actor, Refusal> {
    let home = token_keys::verify_admin_token(host, settings, text)
        .await?
        .map_err(|error| unknown(format!("The admin token cannot be right: {error}.")))?;
    let question = Question::CheckAdminToken {
        hash: minted::hash_text(&minted::hash(text)),
    };
    let token = match lockgate_workspace::ask(host, settings, &home, question).await {
        Ok(answered) => admin_token_of(answered.reply)?,
        Err(AskError::Denied(Denial::NotFound { .. })) => {
            return Err(unknown(
                "The admin token is not known any more: it was revoked, or its workspace was deleted.",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(end) = token.expires_at
        && end.0 <= host.now_ms()
    {
        return Err(unknown(format!(
            "The admin token “{}” ended at {end}.",
            token.name
        )));
    }
    Ok(Actor {
        id: token.id,
        role: token.role,
        workspace: token.workspace,
    })
}

fn admin_token_of(reply: Reply) -> Result<AdminToken, Refusal> {
    match reply {
        Reply::Resource(resource) => match *resource {
            Resource::AdminToken(token) => Ok(token),
            _ => Err(AskError::Mismatch.into()),
        },
        _ => Err(AskError::Mismatch.into()),
    }
}

/// Lets a call in: picks its workspace and holds the caller's rights against what the rule asks for. Where rights
/// depend on who made a thing, its reference becomes its id, so that what is looked at is what is changed.
pub(crate) async fn enter<H: Host>(
    call: &mut Call<'_, H>,
    rule: &Rule,
    headers: &H::Headers,
    segments: &mut [String],
) -> Result<(), Refusal> {
    let [collection, rest @ ..] = segments else {
        return Ok(());
    };
    if collection != "workspaces" {
        call.workspace = pick(call, headers.get("lockgate-workspace").as_deref()).await?;
    }
    call.actor.meets(rule)?;
    let Some(reference) = rest.first_mut() else {
        return Ok(());
    };
    match collection.as_str() {
        "workspaces" => {
            if let Some(own) = &call.actor.workspace {
                only(call, own, reference).await?;
                reference.clone_from(own);
            }
        }
        "gateway-keys" if rule.needs == Needs::Made && call.actor.role < AdminRole::Admin => {
            *reference = made(call, reference).await?;
        }
        "admin-tokens" if rule.method == "DELETE" => {
            let question = Question::Get(Kind::AdminToken, reference.clone());
            let token = admin_token_of(call.ask(question).await?)?;
            if call.actor.workspace.is_some() && call.actor.workspace != token.workspace {
                return Err(call.actor.elsewhere());
            }
            call.actor.may_grant(token.role)?;
            *reference = token.id;
        }
        _ => {}
    }
    Ok(())
}

/// The workspace that a request picks: where it picks none, the caller's only one, else `default`.
async fn pick<H: Host>(call: &Call<'_, H>, wanted: Option<&str>) -> Result<String, Refusal> {
    match (wanted, &call.actor.workspace) {
        (None | Some(""), Some(own)) => Ok(own.clone()),
        (None | Some("" | "default" | DEFAULT_WORKSPACE), None) => Ok(DEFAULT_WORKSPACE.into()),
        (Some(reference), Some(own)) => {
            only(call, own, reference).await?;
            Ok(own.clone())
        }
        (Some(reference), None) => workspace_id(call, reference).await,
    }
}

/// The id of a workspace that is called by name or id.
pub(crate) async fn workspace_id<H: Host>(
    call: &Call<'_, H>,
    reference: &str,
) -> Result<String, Refusal> {
    let question = Question::GetWorkspace(reference.to_owned());
    match call.ask_of(REGISTRY, question).await? {
        Reply::Workspace(workspace) => Ok(workspace.id),
        _ => Err(AskError::Mismatch.into()),
    }
}

/// That a reference means the caller's only workspace. One that does not exist is refused like one of somebody else,
/// so that nobody learns of names.
pub(crate) async fn only<H: Host>(
    call: &Call<'_, H>,
    own: &str,
    reference: &str,
) -> Result<(), Refusal> {
    let is_own = match reference {
        _ if reference == own => true,
        "default" => own == DEFAULT_WORKSPACE,
        _ => match workspace_id(call, reference).await {
            Ok(id) => id == own,
            Err(refusal) if refusal.code == Code::NOT_FOUND => false,
            Err(refusal) => return Err(refusal),
        },
    };
    if is_own {
        Ok(())
    } else {
        Err(call.actor.elsewhere())
    }
}

/// The id of a gateway key that the caller made.
async fn made<H: Host>(call: &Call<'_, H>, reference: &str) -> Result<String, Refusal> {
    let question = Question::GetGatewayKey(reference.to_owned());
    let Reply::GatewayKey(key) = call.ask(question).await? else {
        return Err(AskError::Mismatch.into());
    };
    if key.created_by == call.actor.id {
        return Ok(key.id);
    }
    let message = format!(
        "The gateway key “{}” was made by {}; {}, a {}, may change and revoke only those it made.",
        key.name,
        key.created_by,
        call.actor.id,
        word(call.actor.role),
    );
    Err(Refusal::new(Code::ACCESS_DENIED, message)
        .reason("not_yours")
        .detail("needs", word(AdminRole::Admin).into())
        .remedy("Ask whoever made it, or an admin or owner of the workspace."))
}

impl Actor {
    /// Who has `LOCKGATE_ADMIN_TOKEN`, and the engine itself.
    pub(crate) fn root() -> Self {
        Self {
            id: ROOT.into(),
            role: AdminRole::Owner,
            workspace: None,
        }
    }

    /// Holds the caller's role and reach against a rule.
    fn meets(&self, rule: &Rule) -> Result<(), Refusal> {
        let call = format!("{} {}", rule.method, rule.shown());
        let least = rule.needs.least();
        let everywhere = matches!(rule.needs, Needs::Everywhere(_));
        let refusal = if self.role < least {
            self.too_low(&call, least)
        } else if let Some(own) = &self.workspace
            && everywhere
        {
            let message = format!(
                "{call} is for whoever runs all workspaces; the admin token {} is for {own} only.",
                self.id
            );
            Refusal::new(Code::ACCESS_DENIED, message).reason("other_workspace")
        } else {
            return Ok(());
        };
        if !everywhere {
            return Err(refusal);
        }
        Err(refusal.remedy(format!(
            "Use LOCKGATE_ADMIN_TOKEN, or a token for all workspaces with the role `{}`, which its holder makes by \
             POST /api/admin-tokens without a `workspace`.",
            word(least)
        )))
    }

    /// Whether the caller may make and revoke tokens of a role.
    pub(crate) fn may_grant(&self, role: AdminRole) -> Result<(), Refusal> {
        if self.role == AdminRole::Owner || role < AdminRole::Admin {
            return Ok(());
        }
        let what = format!("making or revoking a token with the role `{}`", word(role));
        Err(self.too_low(&what, AdminRole::Owner))
    }

    fn too_low(&self, what: &str, least: AdminRole) -> Refusal {
        let granter = match least {
            AdminRole::Viewer | AdminRole::Member => "an admin or owner",
            AdminRole::Admin | AdminRole::Owner => "an owner",
        };
        let (has, needs) = (word(self.role), word(least));
        let message = format!(
            "The admin token {} has the role `{has}`; {what} needs `{needs}`.",
            self.id
        );
        Refusal::new(Code::ACCESS_DENIED, message)
            .reason("role_too_low")
            .detail("needs", needs.into())
            .remedy(format!(
                "Ask {granter} of the workspace for a token with the role `{needs}` (POST /api/admin-tokens)."
            ))
    }

    fn elsewhere(&self) -> Refusal {
        let own = self.workspace.as_deref().unwrap_or_default();
        Refusal::new(
            Code::ACCESS_DENIED,
            format!("The admin token {} is for the workspace {own} only.", self.id),
        )
        .reason("other_workspace")
        .remedy(
            "Leave `lockgate-workspace` out, or use a token of the other workspace, which its owner makes (POST /api/admin-tokens).",
        )
    }
}

/// A role as it is written.
pub(crate) fn word(role: AdminRole) -> &'static str {
    match role {
        AdminRole::Viewer => "viewer",
        AdminRole::Member => "member",
        AdminRole::Admin => "admin",
        AdminRole::Owner => "owner",
    }
}
