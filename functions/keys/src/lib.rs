//! The management plane, `/api`: workspaces, provider keys, agents, gateways, gateway keys, providers, the request log,
//! and the tick that does what is due.
//!
//! It reads the authority, never a snapshot, and answers a change only when no lease granted before it can still run
//! (`lockgate_workspace::ask`).
#![forbid(unsafe_code)]

mod address;
mod body;
mod check;
mod gateway_keys;
mod named;
mod provider_keys;
mod providers;
mod requests;
mod respond;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;
mod tick;
mod workspaces;

use std::rc::Rc;

use lockgate_host::{Answer, Headers, Host, Incoming, Method};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::question::{NamedKind, Question, Reply};
use lockgate_workspace::{DEFAULT_WORKSPACE, REGISTRY, Settings, new_id};
use percent_encoding::percent_decode_str;

use body::Body;
use respond::Page;

/// Bytes of a request body that `/api` reads.
const MAX_BODY: usize = 1 << 20;

/// Answers one request.
pub async fn handle<H: Host>(host: &H, request: Incoming<H>) -> Answer<H> {
    let request_id = new_id(host, "req");
    match serve(host, request).await {
        Ok(reply) => reply.answer(&request_id),
        Err(refusal) => refusal.answer(Shape::OpenAi, &request_id),
    }
}

/// What every handler is given: the engine, the settings, the workspace that was picked, and the request's own parts.
struct Call<'a, H: Host> {
    host: &'a H,
    settings: Rc<Settings>,
    workspace: String,
    /// What follows `?`, as it came.
    query: Option<&'a str>,
    /// The revision in `If-Match`.
    expect: Option<u64>,
    body: Body,
}

impl<H: Host> Call<'_, H> {
    /// Asks the authority of the workspace.
    async fn ask(&self, question: Question) -> Result<Reply, Refusal> {
        self.ask_of(&self.workspace, question).await
    }

    /// Asks another authority.
    async fn ask_of(&self, object: &str, question: Question) -> Result<Reply, Refusal> {
        let answered = lockgate_workspace::ask(self.host, &self.settings, object, question).await?;
        Ok(answered.reply)
    }

    fn page(&self) -> Result<Page, Refusal> {
        Page::read(self.query, &[])
    }
}

async fn serve<H: Host>(host: &H, request: Incoming<H>) -> Result<respond::Reply, Refusal> {
    let settings = Settings::get(host).await?;
    let path = request.path.trim_end_matches('/');
    if path == "/api/healthz" && request.method == Method::GET {
        return Ok(respond::health(H::ENGINE));
    }
    if path == "/api/openapi.json" && request.method == Method::GET {
        return Ok(respond::openapi());
    }
    authenticate(&settings, &request.headers)?;
    let expect = respond::expected(&request.headers)?;
    let segments = segments(path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let Some(length) = request.headers.get("content-length")
        && length.parse::<usize>().is_ok_and(|n| n > MAX_BODY)
    {
        return Err(lockgate_host::ReadError::TooLarge { limit: MAX_BODY }.into());
    }
    let body = host.read(request.body, MAX_BODY).await?;
    let mut call = Call {
        host,
        settings,
        workspace: String::new(),
        query: request.query.as_deref(),
        expect,
        body: Body::new(body.as_ref()),
    };
    if segments.first() != Some(&"workspaces") {
        call.workspace = workspace(&call, &request.headers).await?;
    }
    dispatch(call, &request.method, &segments).await
}

async fn dispatch<H: Host>(
    call: Call<'_, H>,
    method: &Method,
    segments: &[&str],
) -> Result<respond::Reply, Refusal> {
    let method = method.as_str();
    match (method, segments) {
        ("GET", ["workspaces"]) => workspaces::list(&call).await,
        ("POST", ["workspaces"]) => workspaces::create(&call).await,
        ("GET", ["workspaces", id]) => workspaces::get(&call, id).await,
        ("PATCH", ["workspaces", id]) => workspaces::patch(&call, id).await,
        ("DELETE", ["workspaces", id]) => workspaces::delete(&call, id).await,

        ("GET", ["providers"]) => providers::list(&call).await,

        ("GET", ["provider-keys"]) => provider_keys::list(&call).await,
        ("POST", ["provider-keys"]) => provider_keys::create(&call).await,
        ("GET", ["provider-keys", id]) => provider_keys::get(&call, id).await,
        ("PATCH", ["provider-keys", id]) => provider_keys::patch(&call, id).await,
        ("DELETE", ["provider-keys", id]) => provider_keys::delete(&call, id).await,
        ("PUT", ["provider-keys", id, "secret"]) => provider_keys::rotate(&call, id).await,
        ("PUT", ["provider-keys", id, "tags"]) => provider_keys::tags(&call, id).await,
        ("POST", ["provider-keys", id, "check"]) => check::check(&call, id).await,

        ("GET", ["gateway-keys"]) => gateway_keys::list(&call).await,
        ("POST", ["gateway-keys"]) => gateway_keys::create(&call).await,
        ("GET", ["gateway-keys", id]) => gateway_keys::get(&call, id).await,
        ("PATCH", ["gateway-keys", id]) => gateway_keys::patch(&call, id).await,
        ("DELETE", ["gateway-keys", id]) => gateway_keys::revoke(&call, id).await,

        ("GET", ["requests"]) => requests::list(&call).await,
        ("POST", ["tick"]) => tick::tick(&call).await,

        (_, [kind @ ("agents" | "gateways"), rest @ ..]) => {
            let kind = if *kind == "agents" {
                NamedKind::Agent
            } else {
                NamedKind::Gateway
            };
            match (method, rest) {
                ("GET", []) => named::list(&call, kind).await,
                ("POST", []) => named::create(&call, kind).await,
                ("GET", [id]) => named::get(&call, kind, id).await,
                ("PATCH", [id]) => named::patch(&call, kind, id).await,
                ("DELETE", [id]) => named::delete(&call, kind, id).await,
                ("PUT", [id, "tags"]) => named::tags(&call, kind, id).await,
                _ => Err(missing(method, segments)),
            }
        }
        _ => Err(missing(method, segments)),
    }
}

/// Tells a path that does not exist from a method that it does not take.
fn missing(method: &str, segments: &[&str]) -> Refusal {
    let path = segments.join("/");
    let path: String = path.chars().take(100).collect();
    let takes = match segments {
        ["workspaces" | "provider-keys" | "gateway-keys" | "agents" | "gateways"] => "GET and POST",
        [
            "workspaces" | "provider-keys" | "gateway-keys" | "agents" | "gateways",
            _,
        ] => "GET, PATCH and DELETE",
        ["provider-keys", _, "secret"] | ["provider-keys" | "agents" | "gateways", _, "tags"] => {
            "PUT"
        }
        ["provider-keys", _, "check"] | ["tick"] => "POST",
        ["providers" | "requests" | "healthz" | "openapi.json"] => "GET",
        _ => {
            return Refusal::new(Code::NOT_FOUND, format!("There is no /api/{path}."))
                .remedy("GET /api/openapi.json lists what there is.");
        }
    };
    Refusal::new(
        Code::METHOD_NOT_ALLOWED,
        format!("/api/{path} takes {takes}, not {method}."),
    )
}

fn authenticate<T: Headers>(settings: &Settings, headers: &T) -> Result<(), Refusal> {
    let header = headers.get("authorization").unwrap_or_default();
    let scheme = header.get(..7).unwrap_or_default();
    let token = if scheme.eq_ignore_ascii_case("bearer ") {
        header.get(7..).unwrap_or_default().trim()
    } else {
        ""
    };
    if settings.is_admin(token) {
        return Ok(());
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

/// The path's segments after `/api`, decoded.
fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    let rest = path.strip_prefix("/api").unwrap_or(path);
    rest.split('/')
        .skip(1)
        .map(|segment| {
            percent_decode_str(segment)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Refusal::new(Code::INVALID_REQUEST, "The path is not UTF-8."))
        })
        .collect()
}

/// The workspace that the request picks; `default` where it picks none.
async fn workspace<H: Host>(call: &Call<'_, H>, headers: &H::Headers) -> Result<String, Refusal> {
    let wanted = headers.get("lockgate-workspace");
    match wanted.as_deref() {
        None | Some("" | "default" | DEFAULT_WORKSPACE) => Ok(DEFAULT_WORKSPACE.into()),
        Some(reference) => {
            let question = Question::GetWorkspace(reference.to_owned());
            match call.ask_of(REGISTRY, question).await? {
                Reply::Workspace(workspace) => Ok(workspace.id),
                _ => Err(lockgate_workspace::AskError::Mismatch.into()),
            }
        }
    }
}
