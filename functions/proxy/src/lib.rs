//! The data plane, `/v1`: authenticate → admit → route → choose the credential → send → stream → account.
//!
//! [`serve`] reads from top to bottom as a request goes. Nothing is refused from a snapshot: before a 403, 404 or 424
//! the authority is asked once more (`serve`'s loop), so a refusal is never older than the last acknowledged write.
#![forbid(unsafe_code)]

mod admission;
mod answer;
mod count;
mod credential;
mod endpoint;
mod failure;
mod form;
mod health;
mod incidents;
mod log;
mod models;
mod skim;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;
mod stream;
mod surface;
mod target;
mod translate;
mod upstream;

use std::borrow::Cow;
use std::rc::Rc;

use lockgate_dialects::embed::Embeddings;
use lockgate_host::{Answer, AnswerBody, Headers, Host, Incoming, Method, OutboundBody};
use lockgate_providers::call::Operation;
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_routing::Wanted;
use lockgate_workspace::{Settings, is_id, new_id};

use admission::{Caller, Freshness};
use answer::{Asked, header_value};
use credential::Credential;
use endpoint::{BodyKind, Call, Endpoint};
use failure::Who;
use log::Draft;
use surface::Ask;
use target::Way;
use upstream::Outgoing;

/// Answers one request.
pub async fn handle<H: Host>(host: &H, request: Incoming<H>) -> Answer<H> {
    let shape = Shape::of(&request.path);
    let request_id = request_id(host, &request.headers);
    match serve(host, request, request_id.clone()).await {
        Ok(answer) => answer,
        Err(refusal) => {
            let mut answer = refusal.answer(shape, &request_id);
            if let Some(route) = &refusal.route {
                answer
                    .set
                    .push(("lockgate-route", header_value(route).into()));
            }
            answer
        }
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
    let call = match endpoint {
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
        Endpoint::Call(call) => call,
    };
    let draft = Draft::new(host, started, request_id, &path, &caller);
    let request = Request {
        method,
        call,
        query: query.as_deref(),
        key: &key,
        headers: &headers,
    };
    let result = forward(host, &settings, request, body, caller, &draft).await;
    result.map_err(|mut refusal| {
        // What failed after a route had decided names it, whatever failed.
        refusal.route = refusal.route.take().or_else(|| draft.routed());
        draft.refused(&refusal);
        log::push(host, &settings, draft);
        refusal
    })
}

/// A request whose caller is known.
struct Request<'a, H: Host> {
    method: Method,
    call: Call<'a>,
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
    let call = request.call;
    let provider = surface::named(request.headers, "lockgate-provider")?;
    let route = surface::named(request.headers, "lockgate-route")?;
    // What routing or translation needs is read; the rest is passed on as it arrives.
    let (payload, unread) = match call.body {
        BodyKind::None => (None, None),
        BodyKind::Unread => (None, Some(body)),
        // Where the provider is named, a form needs no reading, and may be as large as the provider takes; but where a
        // configuration is in play, it has a say about models.
        BodyKind::Form if provider.is_some() && caller.who.plan().is_none() => (None, Some(body)),
        BodyKind::Json | BodyKind::JsonMaybe | BodyKind::Form => {
            surface::check_length(request.headers, settings.max_body)?;
            (Some(host.read(body, settings.max_body).await?), None)
        }
    };
    let ask = match &payload {
        Some(payload) => {
            let kind = request.headers.get("content-type");
            let told = provider.is_some() || route.is_some();
            Ask::read(payload.as_ref(), &call, kind.as_deref(), told)?
        }
        None => Ask::unread(),
    };
    draft.stream(ask.stream);
    if !caller.holds(host) {
        caller = admission::caller(host, settings, request.key, Freshness::Leased).await?;
    }
    let wanted = Wanted {
        model: ask.model.as_deref(),
        route: route.as_deref(),
        provider: provider.as_deref(),
        names: ask.names,
        surface: Some(call.surface),
    };
    let (target, credential) = loop {
        draft.undecided();
        let chosen = match target::target(&caller.who, call.surface, &wanted, ask.further_models) {
            Ok(target) => {
                draft.target(&target);
                credential::choose(host, settings, &caller, &target, draft)
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
    let whole = match &payload {
        Some(payload) if target.way != Way::Through => {
            ask.completed(target.model, payload.as_ref())
        }
        _ => Cow::default(),
    };
    let body = std::str::from_utf8(&whole).unwrap_or_default();
    let mut asked = Asked {
        surface: call.surface,
        target: &target,
        who: Who::of(&target, &credential),
        stream: ask.stream,
        stream_usage: true,
        body,
        embeddings: Embeddings::default(),
        warnings: credential.warnings.clone(),
    };
    let outgoing = match target.way {
        Way::Count => return counted(host, settings, asked, &credential, draft),
        Way::Translate(from) => {
            let (encoded, stream_usage) = translate::request(from, body, &target)?;
            asked.stream_usage = stream_usage;
            asked.warnings.extend(encoded.warnings);
            Outgoing {
                method: Method::POST,
                operation: Operation::Chat {
                    model: target.model,
                    stream: ask.stream,
                },
                body: OutboundBody::Bytes(encoded.body),
                translated: true,
            }
        }
        Way::Embed => {
            let (encoded, embeddings) = translate::embeddings(body, &target)?;
            asked.warnings.extend(encoded.warnings);
            asked.embeddings = embeddings;
            Outgoing {
                method: Method::POST,
                operation: Operation::Embed {
                    model: target.model,
                    many: asked.embeddings.many(),
                },
                body: OutboundBody::Bytes(encoded.body),
                translated: true,
            }
        }
        Way::Through => Outgoing {
            method: request.method.clone(),
            operation: Operation::Surface {
                surface: call.surface,
                path: call.path,
                model: Some(target.model).filter(|model| !model.is_empty()),
            },
            body: match (&payload, unread) {
                (Some(payload), _) => match ask.rewritten(target.model, payload.as_ref())? {
                    Some(bytes) => OutboundBody::Bytes(bytes),
                    None => OutboundBody::Payload(payload.clone()),
                },
                (None, Some(body)) => OutboundBody::Stream(body),
                (None, None) => OutboundBody::Empty,
            },
            translated: false,
        },
    };
    let reply = upstream::send(
        host,
        settings,
        &request,
        &target,
        &credential,
        outgoing,
        draft,
    )
    .await?;
    answer::answer(host, settings, asked, reply, draft).await
}

/// The answer to a request for a count of tokens, which no provider is asked for.
fn counted<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    mut asked: Asked<'_>,
    credential: &Credential,
    draft: &Draft,
) -> Result<Answer<H>, Refusal> {
    draft.attempt(&credential.key.name);
    let bytes = count::answer(asked.body).map_err(translate::wrong)?;
    asked.warnings.push(format!(
        "the count is an estimate: {} was not asked",
        asked.who.title
    ));
    draft.answered(200);
    log::push(host, settings, draft.clone());
    let mut set = answer::headers(&asked, draft);
    set.push(("content-type", Cow::Borrowed("application/json")));
    Ok(Answer {
        status: 200,
        from: None,
        set,
        body: AnswerBody::Bytes(bytes),
    })
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
