//! The data plane, `/v1`: authenticate → admit → route → choose the credential → send → stream → account.
//!
//! [`serve`] reads from top to bottom as a request goes. Nothing is refused from a snapshot: before a 403, 404 or 424
//! the authority is asked once more (`serve`'s loop), so a refusal is never older than the last acknowledged write.
#![forbid(unsafe_code)]

mod account;
mod admission;
mod answer;
mod attempt;
mod circuit;
mod count;
mod credential;
mod endpoint;
mod estimate;
mod failure;
mod form;
mod health;
mod incidents;
mod limits;
mod log;
mod metered;
mod models;
mod otel;
mod skim;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;
mod split;
mod stream;
mod surface;
mod target;
mod terms;
mod translate;
mod upstream;
mod usage;
mod wallet;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use lockgate_host::{Answer, Headers, Host, Incoming, Method};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_routing::{Failed, Next, Tries, Wanted};
use lockgate_workspace::plan::Cause;
use lockgate_workspace::snapshot::KeyPointer;
use lockgate_workspace::{Settings, is_id, new_id};

use admission::{Caller, Freshness};
use answer::header_value;
use attempt::{Cargo, attempt};
use credential::Unusable;
use endpoint::{BodyKind, Call, Endpoint};
use failure::Failure;
use log::Draft;
use surface::Ask;

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
    draft.trace(otel::Trace::of(host, &settings, &headers));
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
        refusal.headers.extend(answer::told(&draft));
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
        BodyKind::Form
            if provider.is_some() && caller.who.plan().is_none() && !terms::metered(&caller) =>
        {
            (None, Some(body))
        }
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
    let session = surface::named(request.headers, "lockgate-session")?;
    let mut cargo = Cargo {
        request: &request,
        ask: &ask,
        payload: payload.as_ref(),
        once: unread.is_some(),
        unread,
        size: Cell::default(),
        ticket: None,
        sent: None,
    };
    let mut moves = 0;
    loop {
        draft.undecided();
        let who = caller.clone();
        let tried = pursue(
            host,
            settings,
            &who,
            &wanted,
            session.as_deref(),
            &mut cargo,
            draft,
        );
        match tried.await {
            Ok(answer) => return Ok(answer),
            Err(End::Refused(refusal)) => return Err(refusal),
            // Nothing is refused from a snapshot.
            Err(End::Unready(_)) if !caller.fresh && draft.attempts() == 0 => {
                caller = admission::caller(host, settings, request.key, Freshness::Asked).await?;
            }
            // What it says of the secret is known to be over, however young it is.
            Err(End::Moved) if moves < MAX_MOVES && draft.attempts() == 0 => {
                moves += 1;
                caller = admission::caller(host, settings, request.key, Freshness::Asked).await?;
            }
            Err(End::Moved) => return Err(being_replaced()),
            Err(End::Unready(refusal)) => return Err(refusal),
        }
    }
}

/// How often a request looks where a secret has gone that is moved under its hands.
const MAX_MOVES: u32 = 3;

/// Why a request is not served.
enum End {
    /// By what is known of the workspace.
    Unready(Refusal),
    /// By a key's secret that was moved or replaced after the workspace was read.
    Moved,
    /// By what happened.
    Refused(Refusal),
}

/// Finds where the request may go and tries one target after the other, as its route says.
async fn pursue<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    session: Option<&str>,
    cargo: &mut Cargo<'_, H>,
    draft: &Draft,
) -> Result<Answer<H>, End> {
    let (call, ask) = (cargo.request.call, cargo.ask);
    let course = target::course(&caller.who, call.surface, wanted, ask.further_models)
        .map_err(End::Unready)?;
    if let Some(route) = course.of.route {
        draft.route(&route.name);
    }
    let mut tries = Tries::new(course.of.route, course.sizes(), host.monotonic_ms());
    // Keys of the provider at hand that have failed, and how the last of them did.
    let mut spent: Vec<String> = Vec::new();
    let mut pending: Option<Failed> = None;
    let mut last: Option<End> = None;
    loop {
        let (step, place, within_ms) = match tries.next(host.monotonic_ms()) {
            Next::Try {
                step,
                place,
                within_ms,
            } => (step, place, within_ms),
            Next::Arrange(step) => {
                let order = split::order(host, settings, caller, &course.of, step, session).await;
                tries.arranged(order, |place| {
                    circuit::out(host, &caller.who, &course.at(step, place)?)
                });
                continue;
            }
            Next::Pause(ms) => {
                host.sleep(Duration::from_millis(ms)).await;
                continue;
            }
            Next::Stop => return Err(last.unwrap_or_else(|| End::Refused(nothing_left()))),
        };
        let Some(target) = course.at(step, place) else {
            return Err(End::Refused(nothing_left()));
        };
        draft.target(&target);
        let others = tries.takes_other_keys(Cause::RateLimit);
        let passed = |key: &KeyPointer| {
            spent.contains(&key.id)
                || health::is_rejected(host, key)
                || others && circuit::rests(host, key)
        };
        let chosen = credential::choose(host, settings, caller, &target, &passed, draft).await;
        let credential = match chosen {
            Ok(credential) if !spent.contains(&credential.key.id) => credential,
            // Every key there is has been tried.
            Ok(_) => {
                spent.clear();
                let failed = pending.take().unwrap_or(Failed::UNREADY);
                tries.failed(failed, host.monotonic_ms(), chance(host));
                continue;
            }
            Err(Unusable::Moved) => return Err(End::Moved),
            Err(Unusable::Refused(refusal)) => return Err(End::Refused(refusal)),
            // A failure of the gateway's own, as a provider's 5xx is one of his.
            Err(Unusable::Sealed(refusal)) => {
                spent.clear();
                tries.failed(Failed::SEALED, host.monotonic_ms(), chance(host));
                last = Some(End::Refused(refusal));
                continue;
            }
            Err(Unusable::NotReady(refusal)) => {
                spent.clear();
                let failed = pending.take().unwrap_or(Failed::UNREADY);
                tries.failed(failed, host.monotonic_ms(), chance(host));
                // What a provider has said goes before what is missing.
                if !matches!(last, Some(End::Refused(_))) {
                    last = Some(End::Unready(refusal));
                }
                continue;
            }
        };
        let target = match credential.managed {
            true => target.on_platform(call.surface),
            false => target,
        };
        let terms = terms::terms(
            host,
            settings,
            caller,
            &target,
            &credential,
            cargo,
            within_ms,
        );
        let terms = terms.await.map_err(End::Unready)?;
        if cargo.ticket.is_none() {
            let need = terms::need(caller, &course, cargo, terms);
            let ticket = limits::admit(host, settings, caller, need).await;
            let ticket = ticket.map_err(End::Refused)?;
            draft.limited(ticket.headers());
            cargo.ticket = Some(ticket);
        }
        tries.sent();
        let before = draft.attempts();
        let made = attempt(host, settings, cargo, &target, &credential, terms, draft);
        let failure = match made.await {
            Ok(answer) => {
                circuit::worked(draft.workspace(), &target, &credential.key);
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        let Failure {
            refusal,
            mut failed,
            ..
        } = failure;
        // What failed before it was sent, such as for want of money, is neither the provider's fault nor its key's.
        let sent = draft.attempts() > before;
        if sent {
            draft.failed(refusal.code.text);
            circuit::failed(host, draft.workspace(), &target, &credential.key, &failed);
        }
        last = Some(End::Refused(refusal));
        if cargo.is_gone() {
            failed.cause = None;
        }
        let other_key = |cause| sent && tries.takes_other_keys(cause);
        if failed.cause.is_some_and(other_key) {
            spent.push(credential.key.id.clone());
            pending = Some(failed);
        } else {
            spent.clear();
            tries.failed(failed, host.monotonic_ms(), chance(host));
        }
    }
}

fn chance<H: Host>(host: &H) -> u64 {
    let mut bytes = [0; 8];
    host.random(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn being_replaced() -> Refusal {
    Refusal::new(
        Code::PROVIDER_NOT_READY,
        "The provider key is being replaced at this moment.",
    )
    .remedy("Try again.")
}

/// No course is without a target, so that some failure is there to be shown.
fn nothing_left() -> Refusal {
    Refusal::new(Code::INTERNAL_ERROR, "There was no target to be tried.")
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
