//! HTTP toward providers, and headers and bodies as the runtime's own objects.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use lockgate_host::{Fetch, FetchError, Inbound, Method, Outbound, OutboundBody, ReadError};
use wasm_bindgen::JsValue;

use zeroize::Zeroizing;

use super::task::{Promised, millis};
use super::{Cloudflare, glue};

thread_local! {
    static ALLOWED: RefCell<Vec<(Vec<String>, u32)>> = const { RefCell::new(Vec::new()) };
}

/// What nearly every request is asked for, and therefore crosses with its head; the others of
/// [`lockgate_host::READ_HEADERS`] are fetched when somebody asks.
pub(crate) const AT_HAND: &[&str] = &[
    "authorization",
    "content-type",
    "content-length",
    "anthropic-version",
    "lockgate-route",
    "lockgate-session",
    "lockgate-request-id",
    "traceparent",
];

/// Headers: those of [`AT_HAND`] where they are a client's, all of them in JavaScript.
///
/// Where a header is repeated the runtime gives its values joined by commas.
#[derive(Clone)]
pub struct Headers {
    /// The runtime's `Headers`.
    pub(crate) js: JsValue,
    at_hand: Option<Rc<AtHand>>,
}

struct AtHand {
    head: String,
    /// Where in `head` each of [`AT_HAND`] is.
    values: [Option<Range<usize>>; AT_HAND.len()],
}

impl lockgate_host::Headers for Headers {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(at_hand) = &self.at_hand
            && let Some(index) = AT_HAND.iter().position(|known| *known == name)
        {
            let range = at_hand.values.get(index)?.clone()?;
            return at_hand.head.get(range).map(Cow::Borrowed);
        }
        glue::header(&self.js, name).map(Cow::Owned)
    }
}

/// Takes apart what JavaScript wrote of a request's head: method, URL and header values, a line each.
pub(crate) fn head(head: String, headers: JsValue) -> (Method, String, Option<String>, Headers) {
    let mut lines = head.split('\n');
    let method = super::method(lines.next().unwrap_or_default());
    let url = lines.next().unwrap_or_default();
    let target = url.split_once("://").map_or(url, |(_, rest)| {
        rest.find('/')
            .map_or("/", |at| rest.get(at..).unwrap_or("/"))
    });
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };

    let mut at = head.len() - lines.clone().map(|line| line.len() + 1).sum::<usize>();
    let mut values = [const { None }; AT_HAND.len()];
    for (line, value) in lines.zip(&mut values) {
        let start = at + 1;
        at = start + line.len();
        if line != "\0" {
            *value = Some(start..at);
        }
    }
    let headers = Headers {
        js: headers,
        at_hand: Some(Rc::new(AtHand { head, values })),
    };
    (method, path, query, headers)
}

/// From this length on an upload is worth reading out before it is refused; the runtime itself does it up to here.
const LARGE: u64 = 65_536;

/// An unread body. Dropped unread, a provider's is cancelled, so that its connection does not linger, and a client's large
/// one is read out before the answer.
pub struct Body {
    /// The `Request` or `Response`; taken when the body is handed on.
    source: Option<JsValue>,
    side: Side,
}

#[derive(Clone, Copy)]
enum Side {
    Client {
        large: bool,
    },
    /// With how long it may be silent.
    Provider {
        idle_ms: f64,
    },
}

impl Body {
    pub(crate) fn incoming(request: JsValue, headers: &Headers) -> Self {
        let length = lockgate_host::Headers::get(headers, "content-length");
        let large =
            length.is_some_and(|length| length.parse().is_ok_and(|bytes: u64| bytes > LARGE));
        Self {
            source: Some(request),
            side: Side::Client { large },
        }
    }

    fn outgoing(response: JsValue, idle_ms: f64) -> Self {
        Self {
            source: Some(response),
            side: Side::Provider { idle_ms },
        }
    }

    /// The `Request` or `Response`, and the idle timeout in ms, 0 for none.
    pub(crate) fn take(mut self) -> (JsValue, f64) {
        let idle_ms = match self.side {
            Side::Client { .. } => 0.0,
            Side::Provider { idle_ms } => idle_ms,
        };
        (self.source.take().unwrap_or_default(), idle_ms)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        match (&self.source, self.side) {
            (Some(request), Side::Client { large: true }) => glue::drain(request),
            (Some(response), Side::Provider { .. }) => glue::discard(response),
            _ => {}
        }
    }
}

/// A body that has been read: its bytes, and the `Uint8Array` they came in, which is what is sent on.
#[derive(Clone)]
pub struct Payload(Rc<PayloadInner>);

struct PayloadInner {
    js: JsValue,
    bytes: Vec<u8>,
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// A request under way; gives it up when dropped.
struct Sending(Option<JsValue>);

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            glue::abort(controller);
        }
    }
}

impl Fetch for Cloudflare {
    type Headers = Headers;
    type Body = Body;
    type Payload = Payload;

    async fn read(&self, body: Body, limit: usize) -> Result<Payload, ReadError> {
        let side = body.side;
        let (source, idle_ms) = body.take();
        let promised = Promised::new();
        glue::read(promised.slot(), &source, limit as f64, idle_ms);
        match promised.await {
            Ok(js) => {
                let bytes = glue::bytes(&js);
                Ok(Payload(Rc::new(PayloadInner { js, bytes })))
            }
            Err(error) => Err(match error.as_string().as_deref() {
                Some("L") => {
                    if let Side::Client { large: true } = side {
                        glue::drain(&source);
                    }
                    ReadError::TooLarge { limit }
                }
                Some("I") => ReadError::Idle,
                _ => ReadError::Broken(glue::text(&error)),
            }),
        }
    }

    async fn fetch(&self, outbound: Outbound<'_, Self>) -> Result<Inbound<Self>, FetchError> {
        let (from, allow) = match outbound.forward {
            Some((headers, names)) => (headers.js.clone(), allowed(names)),
            None => (JsValue::UNDEFINED, 0),
        };
        let message = message(&outbound)?;
        let body = match outbound.body {
            OutboundBody::Empty => JsValue::UNDEFINED,
            OutboundBody::Payload(payload) => payload.0.js.clone(),
            OutboundBody::Bytes(bytes) => glue::to_body(bytes),
            OutboundBody::Stream(body) => glue::stream_of(&body.take().0),
        };
        let promised = Promised::new();
        let mut sending = Sending(Some(glue::send(
            promised.slot(),
            &message,
            &from,
            allow,
            &body,
            millis(outbound.head_timeout),
        )));
        drop(message);
        let outcome = promised.await;
        sending.0 = None;
        match outcome {
            Ok(response) => Ok(Inbound {
                status: glue::status_of(&response),
                headers: Headers {
                    js: glue::headers_of(&response),
                    at_hand: None,
                },
                body: Body::outgoing(
                    response,
                    millis(outbound.idle_timeout.max(Duration::from_millis(1))),
                ),
            }),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// The number under which `glue.js` keeps a list of header names. There are a few lists, one a manifest or so.
fn allowed(names: &[&str]) -> u32 {
    ALLOWED.with_borrow_mut(|lists| {
        if let Some((_, number)) = lists.iter().find(|(list, _)| list == names) {
            return *number;
        }
        let number = glue::allow(&names.join("\n"));
        lists.push((
            names.iter().map(|name| (*name).to_owned()).collect(),
            number,
        ));
        number
    })
}

/// The lines that [`glue::send`] takes. It holds the credential, so it is wiped.
fn message(outbound: &Outbound<'_, Cloudflare>) -> Result<Zeroizing<String>, FetchError> {
    let (name, prefix, secret) = match &outbound.credential {
        Some(credential) => {
            let secret = credential.secret.expose_str();
            (
                credential.header,
                credential.prefix,
                secret.ok_or_else(|| odd("the credential"))?,
            )
        }
        None => ("", "", ""),
    };
    let parts = [outbound.method.as_str(), outbound.url, name, prefix, secret];
    let set = outbound
        .set
        .iter()
        .flat_map(|(name, value)| [*name, *value]);
    let size: usize = parts
        .iter()
        .copied()
        .chain(set)
        .map(|part| part.len() + 1)
        .sum();
    // Made large enough at once, since growing would leave a copy behind.
    let mut message = Zeroizing::new(String::with_capacity(size));
    if parts.iter().any(|part| part.contains(BREAKS)) {
        return Err(odd("the URL or the credential"));
    }
    let [method, url, ..] = parts;
    for part in [method, "\n", url, "\n", name, "\n", prefix, secret] {
        message.push_str(part);
    }
    for (name, value) in outbound.set {
        if value.contains(BREAKS) {
            return Err(odd(name));
        }
        for part in ["\n", name, "\n", value] {
            message.push_str(part);
        }
    }
    Ok(message)
}

fn odd(what: &str) -> FetchError {
    FetchError::Broken(format!("{what} has a line break in it or is not text"))
}

/// What could name another header.
const BREAKS: [char; 3] = ['\n', '\r', '\0'];

/// What `failure` in `glue.js` wrote: a letter for the kind, and a text.
fn failure(error: &JsValue) -> FetchError {
    let text = glue::text(error);
    let detail = text.get(1..).unwrap_or_default().to_owned();
    match text.chars().next() {
        Some('T') => FetchError::Timeout,
        Some('U') => FetchError::Unreachable(detail),
        Some('F') => FetchError::Forbidden(detail),
        _ => FetchError::Broken(detail),
    }
}

/// Names and values, a line each. A value that spans lines could name another header, so it is left out.
pub(crate) fn lines<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs.filter(|(_, value)| !value.contains(BREAKS)) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(name);
        text.push('\n');
        text.push_str(value);
    }
    text
}
