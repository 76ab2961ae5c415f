//! Who calls `/api`, and what they may do there (FEATURES A9).

use lockgate_host::{Headers, Host};
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::resource::AdminRole;
use lockgate_workspace::{ROOT, Settings};

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
    let _ = host;
    let header = headers.get("authorization").unwrap_or_default();
    let scheme = header.get(..7).unwrap_or_default();
    let token = if scheme.eq_ignore_ascii_case("bearer ") {
        header.get(7..).unwrap_or_default().trim()
    } else {
        ""
    };
    if settings.is_admin(token) {
        return Ok(Actor {
            id: ROOT.into(),
            role: AdminRole::Owner,
            workspace: None,
        });
    }
    let message = if token.is_empty() {
        "The request carries no admin token."
    } else if token.starts_with("lgk_") {
        "That is a gateway key; /api takes an admin token."
    } else {
        "The admin token is not the one of this gateway."
    };
    Err(Refusal::new(Code::ADMIN_TOKEN_INVALID, message)
        .remedy("Send `Authorization: Bearer <LOCKGATE_ADMIN_TOKEN>`."))
}
