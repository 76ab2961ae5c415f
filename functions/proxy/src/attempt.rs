//! One try at one target: the request in the provider's dialect, sent with one key, and the answer out of its answer.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use lockgate_dialects::embed::Embeddings;
use lockgate_host::{Answer, AnswerBody, Host, Method, OutboundBody};
use lockgate_providers::Surface;
use lockgate_providers::call::Operation;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::Settings;
use lockgate_workspace::plan::Cause;

use crate::Request;
use crate::account::Account;
use crate::answer::{self, Asked};
use crate::count;
use crate::credential::Credential;
use crate::estimate::Size;
use crate::failure::{Failure, Who};
use crate::limits::Ticket;
use crate::log::Draft;
use crate::metered;
use crate::surface::Ask;
use crate::target::{Target, Way};
use crate::terms::Terms;
use crate::translate;
use crate::upstream::{self, Outgoing};
use crate::wallet::{self, Reserved};

/// What is sent, to whichever target.
pub(crate) struct Cargo<'a, H: Host> {
    pub(crate) request: &'a Request<'a, H>,
    pub(crate) ask: &'a Ask<'a>,
    /// The body, where it was read.
    pub(crate) payload: Option<&'a H::Payload>,
    /// The body, where it was not; it can be sent once.
    pub(crate) unread: Option<H::Body>,
    /// Whether there was such a body.
    pub(crate) once: bool,
    /// What the body says of what the request may use, once it was looked at.
    pub(crate) size: Cell<Option<Size>>,
    /// What the request holds of its key's limits, until its answer has begun.
    pub(crate) ticket: Option<Ticket>,
    /// Once something was sent: the tokens and micro-USD that it may have used where nobody waits for the answer.
    pub(crate) sent: Option<(u64, u64)>,
}

/// A request that is given up before its answer has begun has cost what was sent.
impl<H: Host> Drop for Cargo<'_, H> {
    fn drop(&mut self) {
        if let (Some(ticket), Some((tokens, microusd))) = (self.ticket.take(), self.sent) {
            ticket.settle(tokens, microusd);
        }
    }
}

impl<H: Host> Cargo<'_, H> {
    /// Whether the body was sent and cannot be sent again.
    pub(crate) fn is_gone(&self) -> bool {
        self.once && self.unread.is_none()
    }
}

/// Makes the try.
pub(crate) async fn attempt<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    cargo: &mut Cargo<'_, H>,
    target: &Target<'_>,
    credential: &Credential,
    terms: Terms,
    draft: &Draft,
) -> Result<Answer<H>, Failure> {
    let (ask, call) = (cargo.ask, cargo.request.call);
    let whole = match cargo.payload {
        Some(payload) if target.way != Way::Through => {
            ask.completed(target.model, payload.as_ref())
        }
        _ => Cow::default(),
    };
    let body = std::str::from_utf8(&whole).unwrap_or_default();
    let mut asked = Asked {
        surface: call.surface,
        target,
        who: Who::of(target, credential),
        stream: ask.stream,
        stream_usage: true,
        usage_added: false,
        body,
        embeddings: Embeddings::default(),
        warnings: credential.warnings.clone(),
    };
    let exact = terms.estimate.is_some();
    let outgoing = match target.way {
        Way::Count => {
            return counted(
                host,
                settings,
                asked,
                credential,
                cargo.ticket.take(),
                draft,
            );
        }
        Way::Translate(from) => {
            let (encoded, stream_usage) =
                translate::request(from, body, target).map_err(Failure::last)?;
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
                within: terms.within,
            }
        }
        Way::Embed => {
            let (encoded, embeddings) =
                translate::embeddings(body, target).map_err(Failure::last)?;
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
                within: terms.within,
            }
        }
        Way::Through => {
            let mut body = match (cargo.payload, cargo.unread.take()) {
                (Some(payload), _) => {
                    let rewritten = ask.rewritten(target.model, payload.as_ref());
                    match rewritten.map_err(Failure::last)? {
                        Some(bytes) => OutboundBody::Bytes(bytes),
                        None => OutboundBody::Payload(payload.clone()),
                    }
                }
                (None, Some(body)) => OutboundBody::Stream(body),
                (None, None) => OutboundBody::Empty,
            };
            let streams_usage = matches!(call.surface, Surface::Chat | Surface::Completions)
                && target.manifest.quirks.stream_usage;
            if exact && ask.stream && streams_usage {
                let bytes = match &body {
                    OutboundBody::Bytes(bytes) => metered::with_usage(bytes).map_err(unclear)?,
                    OutboundBody::Payload(payload) => {
                        let payload: &H::Payload = payload;
                        metered::with_usage(payload.as_ref()).map_err(unclear)?
                    }
                    OutboundBody::Empty | OutboundBody::Stream(_) => None,
                };
                if let Some(bytes) = bytes {
                    body = OutboundBody::Bytes(bytes);
                    asked.usage_added = true;
                    asked.warnings.push(
                        "stream_options.include_usage was set, for exact accounting".to_owned(),
                    );
                }
            }
            Outgoing {
                method: cargo.request.method.clone(),
                operation: Operation::Surface {
                    surface: call.surface,
                    path: call.path,
                    model: Some(target.model).filter(|model| !model.is_empty()),
                },
                body,
                translated: false,
                within: terms.within,
            }
        }
    };
    let mut reserved = match credential.managed {
        true => Some(reserve(host, settings, target, terms, draft).await?),
        false => None,
    };
    if let Some(ticket) = &mut cargo.ticket {
        ticket.sent();
        let input = terms.input();
        let cost = terms.rate.map_or(0, |rate| rate.cost(&input));
        cargo.sent = Some((input.total(), cost));
    }
    let sent = upstream::send(
        host,
        settings,
        cargo.request,
        target,
        credential,
        outgoing,
        draft,
    );
    let reply = match sent.await {
        Ok(reply) => reply,
        Err(failure) => {
            // A provider that refuses is owed nothing; one that fell silent may have begun to work, and is owed what was sent.
            if !failure.may_be_charged() {
                cargo.sent = Some((0, 0));
                if let Some(reserved) = reserved {
                    reserved.settle(0);
                }
            }
            return Err(failure);
        }
    };
    let ticket = &mut cargo.ticket;
    let open = || {
        Account::new(host, settings, draft, terms.rate, terms.estimate)
            .holding(ticket.take(), reserved.take())
    };
    answer::answer(host, asked, reply, draft, exact, open)
        .await
        .map_err(|refusal| Failure::new(refusal, Some(Cause::ServerError)))
}

/// Whether usage will be told must not be a matter of who reads the request.
fn unclear(unclear: metered::Unclear) -> Failure {
    Failure::last(
        Refusal::new(
            Code::INVALID_REQUEST,
            format!("This request is accounted for exactly, and {unclear}."),
        )
        .param("stream_options")
        .remedy("Write `stream_options` and what is in it once."),
    )
}

/// Sets aside what a try on the platform's keys may cost.
async fn reserve<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    target: &Target<'_>,
    terms: Terms,
    draft: &Draft,
) -> Result<Reserved<H>, Failure> {
    let (Some(rate), Some(estimate)) = (terms.rate, terms.estimate) else {
        return Err(Failure::new(
            lockgate_routing::unpriced(target),
            Some(Cause::QuotaExhausted),
        ));
    };
    let (most, least) = (rate.cost(&estimate), rate.cost(&terms.input()));
    let id = draft.request_id();
    wallet::reserve(host, settings, draft.workspace(), id, most, least)
        .await
        .map_err(|refusal| {
            let poor = refusal.code == Code::WALLET_INSUFFICIENT;
            let mut refusal = refusal.provider(target.manifest.slug);
            refusal.route = target.route.map(str::to_owned);
            Failure::new(refusal, poor.then_some(Cause::QuotaExhausted))
        })
}

/// The answer to a request for a count of tokens, which no provider is asked for.
fn counted<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    mut asked: Asked<'_>,
    credential: &Credential,
    ticket: Option<Ticket>,
    draft: &Draft,
) -> Result<Answer<H>, Failure> {
    draft.attempt(host, asked.target, credential);
    let bytes =
        count::answer(asked.body).map_err(|problem| Failure::last(translate::wrong(problem)))?;
    asked.warnings.push(format!(
        "the count is an estimate: {} was not asked",
        asked.who.title
    ));
    draft.answered(200);
    Account::new(host, settings, draft, None, None)
        .holding(ticket, None)
        .delivered(None);
    let mut set = answer::headers(&asked, draft);
    set.push(("content-type", Cow::Borrowed("application/json")));
    Ok(Answer {
        status: 200,
        from: None,
        set,
        body: AnswerBody::Bytes(bytes),
    })
}
