//! The management plane, `/api`: workspaces, provider keys, agents, gateways, gateway keys, providers, the request log,
//! usage, prices, wallets, and the tick that does what is due.
//!
//! It reads the authority, never a snapshot, and answers a change only when no lease granted before it can still run
//! (`lockgate_workspace::ask`).
#![forbid(unsafe_code)]

mod address;
mod admin_tokens;
mod agents;
mod audit;
mod body;
mod check;
mod configurations;
mod gateway_keys;
mod gateways;
mod limits;
mod prices;
mod provider_keys;
mod providers;
mod requests;
mod resources;
mod respond;
mod rights;
mod roles;
#[cfg(test)]
mod sample;
mod simulate;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;
mod tick;
mod usage;
mod vault;
mod wallet;
mod workspaces;

use std::rc::Rc;

use lockgate_host::{Answer, Headers, Host, Incoming, Method};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::question::{Kind, Question, Reply};
use lockgate_workspace::{DEFAULT_WORKSPACE, Settings, new_id};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use body::Body;
use respond::Page;
use rights::{Actor, Visit};
pub use tick::scheduled;

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
    actor: Actor,
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
        let (host, settings) = (self.host, &self.settings);
        let answered =
            lockgate_workspace::ask_as(host, settings, object, &self.actor.id, question).await?;
        Ok(answered.reply)
    }

    /// Writes to the audit log what no change of a resource does; of the default workspace, where it concerns them all.
    async fn record(&self, action: &str, resource: &str, detail: Value) -> Result<(), Refusal> {
        let question = Question::Record {
            action: action.into(),
            resource: resource.into(),
            detail,
        };
        self.ask_of(DEFAULT_WORKSPACE, question).await.map(drop)
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
    let actor = rights::authenticate(host, &settings, &request.headers).await?;
    let expect = respond::expected(&request.headers)?;
    let mut segments = segments(path)?;
    let method = request.method.as_str();
    let Some(rule) = rights::rule(method, &segments) else {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        return Err(missing(method, &segments));
    };
    let visit = Visit {
        actor: actor.clone(),
        rule,
        path: path.to_owned(),
    };
    let mut call = Call {
        host,
        settings: settings.clone(),
        workspace: String::new(),
        actor,
        query: request.query.as_deref(),
        expect,
        body: Body::new(&[]),
    };
    let entered = rights::enter(&mut call, rule, &request.headers, &mut segments).await;
    let workspace = call.workspace.clone();
    let served = match entered {
        Ok(()) => {
            if let Some(length) = request.headers.get("content-length")
                && length.parse::<usize>().is_ok_and(|n| n > MAX_BODY)
            {
                return Err(lockgate_host::ReadError::TooLarge { limit: MAX_BODY }.into());
            }
            let body = host.read(request.body, MAX_BODY).await?;
            call.body = Body::new(body.as_ref());
            let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
            dispatch(call, &request.method, &segments).await
        }
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &served {
        visit.note(host, &settings, &workspace, refusal).await;
    }
    served
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

        ("POST", ["admin-tokens"]) => admin_tokens::create(&call).await,
        ("GET", ["admin-tokens"]) => resources::list(&call, Kind::AdminToken).await,
        ("GET", ["admin-tokens", id]) => resources::get(&call, Kind::AdminToken, id).await,
        ("DELETE", ["admin-tokens", id]) => resources::delete(&call, Kind::AdminToken, id).await,

        ("GET", ["providers"]) => providers::list(&call).await,
        ("DELETE", ["providers", provider, "seed"]) => providers::unseed(&call, provider).await,

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

        ("GET", ["roles"]) => resources::list(&call, Kind::Role).await,
        ("POST", ["roles"]) => roles::create(&call).await,
        ("GET", ["roles", id]) => resources::get(&call, Kind::Role, id).await,
        ("PATCH", ["roles", id]) => roles::patch(&call, id).await,
        ("DELETE", ["roles", id]) => resources::delete(&call, Kind::Role, id).await,

        ("GET", ["agents"]) => resources::list(&call, Kind::Agent).await,
        ("POST", ["agents"]) => agents::create(&call).await,
        ("GET", ["agents", id]) => resources::get(&call, Kind::Agent, id).await,
        ("PATCH", ["agents", id]) => agents::patch(&call, id).await,
        ("DELETE", ["agents", id]) => resources::delete(&call, Kind::Agent, id).await,
        ("PUT", ["agents", id, "tags"]) => agents::tags(&call, id).await,
        ("POST", ["agents", id, "simulate"]) => simulate::simulate(&call, id).await,

        ("GET", ["gateways"]) => resources::list(&call, Kind::Gateway).await,
        ("POST", ["gateways"]) => gateways::create(&call).await,
        ("GET", ["gateways", id]) => resources::get(&call, Kind::Gateway, id).await,
        ("PATCH", ["gateways", id]) => gateways::patch(&call, id).await,
        ("DELETE", ["gateways", id]) => resources::delete(&call, Kind::Gateway, id).await,
        ("PUT", ["gateways", id, "tags"]) => gateways::tags(&call, id).await,

        ("GET", ["configurations"]) => resources::list(&call, Kind::Configuration).await,
        ("POST", ["configurations"]) => configurations::create(&call).await,
        ("POST", ["configurations", "validate"]) => configurations::validate(&call).await,
        ("GET", ["configurations", id]) => resources::get(&call, Kind::Configuration, id).await,
        ("PATCH", ["configurations", id]) => configurations::patch(&call, id).await,
        ("DELETE", ["configurations", id]) => {
            resources::delete(&call, Kind::Configuration, id).await
        }
        ("PUT", ["configurations", id, "tags"]) => configurations::tags(&call, id).await,
        ("PUT", ["configurations", id, "draft"]) => configurations::put_draft(&call, id).await,
        ("GET", ["configurations", id, "diff"]) => configurations::diff(&call, id).await,
        ("POST", ["configurations", id, "apply"]) => configurations::apply(&call, id).await,
        ("GET", ["configurations", id, "versions"]) => configurations::versions(&call, id).await,
        ("GET", ["configurations", id, "versions", version]) => {
            configurations::version(&call, id, version).await
        }
        ("POST", ["configurations", id, "rollback"]) => configurations::rollback(&call, id).await,

        ("GET", ["audit"]) => audit::list(&call).await,
        ("GET", ["audit", "verify"]) => audit::verify(&call).await,

        ("GET", ["requests"]) => requests::list(&call).await,
        ("GET", ["usage"]) => usage::sums(&call).await,

        ("GET", ["prices"]) => prices::list(&call).await,
        ("PUT", ["prices", provider, model]) => prices::put(&call, provider, model).await,
        ("DELETE", ["prices", provider, model]) => prices::delete(&call, provider, model).await,

        ("GET", ["wallet"]) => wallet::get(&call).await,
        ("GET", ["wallet", "ledger"]) => wallet::ledger(&call).await,
        ("POST", ["wallet", "credit"]) => wallet::credit(&call).await,

        ("GET", ["vault"]) => vault::status(&call).await,
        ("POST", ["vault", "rewrap"]) => vault::rewrap_some(&call).await,
        ("POST", ["vault", "rotate"]) => vault::rotate(&call).await,

        ("POST", ["tick"]) => tick::tick(&call).await,

        _ => Err(missing(method, segments)),
    }
}

/// Tells a path that does not exist from a method that it does not take.
fn missing(method: &str, segments: &[&str]) -> Refusal {
    let path = segments.join("/");
    let path: String = path.chars().take(100).collect();
    let takes = match segments {
        ["admin-tokens"] => "GET and POST",
        ["admin-tokens", _] => "GET and DELETE",
        [
            "workspaces" | "provider-keys" | "gateway-keys" | "roles" | "agents" | "gateways"
            | "configurations",
        ] => "GET and POST",
        [
            "workspaces" | "provider-keys" | "gateway-keys" | "roles" | "agents" | "gateways"
            | "configurations",
            _,
        ] => "GET, PATCH and DELETE",
        ["provider-keys", _, "secret"]
        | ["configurations", _, "draft"]
        | [
            "provider-keys" | "agents" | "gateways" | "configurations",
            _,
            "tags",
        ] => "PUT",
        ["provider-keys", _, "check"]
        | ["agents", _, "simulate"]
        | ["configurations", _, "apply" | "rollback"]
        | ["wallet", "credit"]
        | ["vault", "rewrap" | "rotate"]
        | ["tick"] => "POST",
        ["providers", _, "seed"] => "DELETE",
        ["prices", _, _] => "PUT and DELETE",
        ["configurations", _, "diff" | "versions"]
        | ["configurations", _, "versions", _]
        | ["audit"]
        | ["audit", "verify"]
        | ["wallet", "ledger"]
        | [
            "providers" | "requests" | "usage" | "prices" | "wallet" | "vault" | "healthz"
            | "openapi.json",
        ] => "GET",
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

/// The path's segments after `/api`, decoded. The slashes in a model's name may stand as they are.
fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    let rest = path.strip_prefix("/api").unwrap_or(path);
    let most = if rest.starts_with("/prices/") {
        4
    } else {
        usize::MAX
    };
    rest.splitn(most, '/')
        .skip(1)
        .map(|segment| {
            percent_decode_str(segment)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Refusal::new(Code::INVALID_REQUEST, "The path is not UTF-8."))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::segments;

    #[test]
    fn the_slashes_of_a_model_may_stand_as_they_are() {
        let of = |path: &str| segments(path).unwrap();
        let price = ["prices", "openrouter", "meta-llama/llama-3.3"];
        assert_eq!(of("/api/prices/openrouter/meta-llama/llama-3.3"), price);
        assert_eq!(of("/api/prices/openrouter/meta-llama%2Fllama-3.3"), price);
        assert_eq!(of("/api/prices/openai"), ["prices", "openai"]);
        assert_eq!(
            of("/api/provider-keys/openai%2Fa/tags"),
            ["provider-keys", "openai/a", "tags"]
        );
        assert!(segments("/api/prices/openai/%ff").is_err());
    }
}
