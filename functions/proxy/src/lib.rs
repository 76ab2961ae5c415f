//! The data plane, `/v1`: authenticate → admit → route → choose the credential → send → stream → account.
//!
//! [`serve`] reads from top to bottom as a request goes. Nothing is refused from a snapshot: before a 403, 404 or 424
//! the authority is asked once more (`serve`'s loop), so a refusal is never older than the last acknowledged write.
#![forbid(unsafe_code)]

mod admission;
mod credential;
mod log;
mod models;
mod skim;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;
mod stream;
mod surface;
mod upstream;

use std::rc::Rc;

use lockgate_host::{Answer, Headers, Host, Incoming};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::{Settings, is_id, new_id};

use lockgate_providers::Surface;

use admission::{Caller, Freshness};
use log::Draft;
use surface::{Ask, Endpoint};

/// Answers one request.
pub async fn handle<H: Host>(host: &H, request: Incoming<H>) -> Answer<H> {
    let shape = Shape::of(&request.path);
    let request_id = request_id(host, &request.headers);
    match serve(host, request, request_id.clone()).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.answer(shape, &request_id),
    }
}

async fn serve<H: Host>(
    host: &H,
    request: Incoming<H>,
    request_id: Rc<str>,
) -> Result<Answer<H>, Refusal> {
    let started = host.monotonic_ms();
    let Incoming {
        method,
        path,
        query,
        headers,
        body,
    } = request;
    let settings = Settings::get(host).await?;
    let endpoint = Endpoint::of(&method, &path)?;
    let key = surface::gateway_key(&headers)?;
    let caller = admission::caller(host, &settings, &key, Freshness::Leased).await?;
    let surface = match endpoint {
        Endpoint::Models(wanted) => {
            return models::answer(
                host,
                &settings,
                &key,
                &caller,
                wanted,
                &request_id,
                &headers,
            )
            .await;
        }
        Endpoint::Forward(surface) => surface,
    };
    let draft = Draft::new(host, started, request_id, &path, &caller);
    let request = Request {
        surface,
        query: query.as_deref(),
        key: &key,
        headers: &headers,
    };
    let result = forward(host, &settings, request, body, caller, &draft).await;
    if let Err(refusal) = &result {
        draft.refused(refusal);
        log::push(host, &settings, draft);
    }
    result
}

/// A request whose caller is known.
struct Request<'a, H: Host> {
    surface: Surface,
    query: Option<&'a str>,
    key: &'a str,
    headers: &'a H::Headers,
}

/// Everything after the caller is known, so that whatever happens from here on is logged.
async fn forward<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    request: Request<'_, H>,
    body: H::Body,
    mut caller: Caller,
    draft: &Draft,
) -> Result<Answer<H>, Refusal> {
    surface::check_length(request.headers, settings.max_body)?;
    let payload = host.read(body, settings.max_body).await?;
    let ask = Ask::read(payload.as_ref(), request.surface)?;
    draft.stream(ask.stream);
    if !caller.holds(host) {
        caller = admission::caller(host, settings, request.key, Freshness::Leased).await?;
    }
    let (target, credential) = loop {
        let chosen = match ask.target(&caller.snapshot) {
            Ok(target) => {
                draft.target(&target);
                credential::choose(host, settings, &caller, &target)
                    .await
                    .map(|credential| (target, credential))
            }
            Err(refusal) => Err(refusal.into()),
        };
        match chosen {
            Ok(chosen) => break chosen,
            Err(_) if !caller.fresh => {
                caller = admission::caller(host, settings, request.key, Freshness::Asked).await?;
            }
            Err(credential::Unusable::Moved) => {
                return Err(Refusal::new(
                    Code::PROVIDER_NOT_READY,
                    "The provider key is being replaced at this moment.",
                )
                .remedy("Try again."));
            }
            Err(credential::Unusable::Refused(refusal)) => return Err(refusal),
        }
    };
    let reply = upstream::send(
        host,
        settings,
        &request,
        &ask,
        &target,
        &credential,
        payload.clone(),
        draft,
    )
    .await?;
    Ok(stream::answer(host, settings, &target, reply, draft))
}

/// The client's own id where it sent one that can stand in a header and a log; else a new one.
fn request_id<H: Host>(host: &H, headers: &H::Headers) -> Rc<str> {
    let usable = |id: &str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && (!id.starts_with("req_") || is_id(id, "req"))
    };
    match headers.get("lockgate-request-id") {
        Some(id) if usable(&id) => Rc::from(&*id),
        _ => new_id(host, "req").into(),
    }
}
