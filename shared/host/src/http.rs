//! Requests and answers as the functions see them, with headers and bodies left in the engine's own form.
//!
//! Nothing here copies a body: an engine hands over its own stream ([`Fetch::Body`]) and gets the same stream back
//! inside an [`Answer`], so pass-through needs no crossing into wasm and no buffer.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use http::Method;
use thiserror::Error;

use crate::Secret;

/// Request and answer headers that some function reads. An engine for which each look-up is a costly crossing
/// may fetch exactly these at once; any other name still works, only slower.
pub const READ_HEADERS: &[&str] = &[
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "content-type",
    "content-length",
    "retry-after",
    "if-match",
    "anthropic-version",
    "lockgate-route",
    "lockgate-session",
    "lockgate-request-id",
    "lockgate-provider",
    "lockgate-workspace",
    "traceparent",
];

/// Headers that never pass from a provider's answer to the client: hop-by-hop ones (RFC 9110, 7.6.1), and those
/// API.md withholds. An engine leaves these out of [`Answer::from`]; it also withholds what the answer's
/// `connection` header names, and `content-length` where it pumps a [`AnswerBody::Watched`] body.
pub const WITHHELD_HEADERS: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "http2-settings",
    "set-cookie",
    "server",
];

/// At most this many of a watched body's last bytes are handed to [`Watch::ended`].
pub const TAIL_BYTES: usize = 4096;

/// At most this many of a watched body's first bytes are.
pub const HEAD_BYTES: usize = 2048;

/// Headers in an engine's own form.
pub trait Headers {
    /// The first value of `name`, which is lower case; `None` where it is absent or not text.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// A request as it came from a client, its body unread.
pub struct Incoming<F: Fetch> {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded, beginning with `/`.
    pub path: String,
    /// What follows `?`, still percent-encoded.
    pub query: Option<String>,
    /// The headers.
    pub headers: F::Headers,
    /// The unread body.
    pub body: F::Body,
}

/// A credential to set on a request to a provider: `<header>: <prefix><secret>`.
pub struct Credential<'a> {
    /// Header name, lower case.
    pub header: &'a str,
    /// What stands before the secret, such as `Bearer ` with its space; may be empty.
    pub prefix: &'a str,
    /// The secret. Engines mark the header as sensitive where they can.
    pub secret: &'a Secret,
}

/// The body of a request to a provider.
pub enum OutboundBody<F: Fetch> {
    /// None.
    Empty,
    /// What the client sent, read and untouched.
    Payload(F::Payload),
    /// Bytes of our own making.
    Bytes(Vec<u8>),
    /// A client's unread body, passed on natively as it arrives, with its `content-length` where it announced one.
    Stream(F::Body),
}

/// A request to a provider. Redirects are not followed. The engine adds `host`, `content-length` and
/// `accept-encoding: identity` and nothing else.
pub struct Outbound<'a, F: Fetch> {
    /// The method.
    pub method: Method,
    /// Absolute URL, `http` or `https`.
    pub url: &'a str,
    /// Headers of the client's request, and the names (lower case) of those to pass on.
    pub forward: Option<(&'a F::Headers, &'a [&'a str])>,
    /// Headers to set.
    pub set: &'a [(&'a str, &'a str)],
    /// The provider's credential.
    pub credential: Option<Credential<'a>>,
    /// The body.
    pub body: OutboundBody<F>,
    /// How long to wait for the head of the answer, the sending of the body included.
    pub head_timeout: Duration,
    /// How long the answer's body may be silent where the engine reads it ([`Fetch::read`], [`AnswerBody::Watched`],
    /// [`AnswerBody::Transformed`]).
    pub idle_timeout: Duration,
}

/// A provider's answer, its body unread.
pub struct Inbound<F: Fetch> {
    /// HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: F::Headers,
    /// The unread body.
    pub body: F::Body,
}

/// What goes back to the client.
pub struct Answer<F: Fetch> {
    /// HTTP status.
    pub status: u16,
    /// A provider's headers to pass on, less [`WITHHELD_HEADERS`].
    pub from: Option<F::Headers>,
    /// Headers to set; they replace what `from` has under the same name, and may repeat among themselves.
    pub set: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: AnswerBody<F>,
}

/// The body of an answer.
pub enum AnswerBody<F: Fetch> {
    /// Bytes of our own; the engine sets `content-length`.
    Bytes(Vec<u8>),
    /// A provider's body, passed natively and unread.
    Through(F::Body),
    /// A provider's stream of server-sent events, passed on as they arrive, each whole ([`crate::WholeEvents`]); how it
    /// ended is told to the watcher, who may add last words. Where he does, an unfinished event before them is dropped, or
    /// finished where the engine has passed its beginning already.
    Watched(F::Body, Box<dyn Watch>),
    /// A provider's body, passed on as it comes, its length known to the client where the provider said it; a watcher is
    /// told what its beginning and end were, and has no last words.
    Followed(F::Body, Box<dyn Watch>),
    /// A provider's stream, rewritten as it arrives; what [`Transform`] appends is sent at once. The engine withholds the
    /// provider's `content-length` and `content-encoding`.
    Transformed(F::Body, Box<dyn Transform>),
}

/// How a watched body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The provider closed it as HTTP prescribes.
    Complete,
    /// The connection broke; the text is for logs.
    Broken(String),
    /// It was silent for longer than the idle timeout; the provider's connection has been dropped.
    Idle,
    /// The client went away first; the provider's connection has been dropped and last words go nowhere.
    ClientLeft,
}

/// Learns how a body ended.
pub trait Watch {
    /// Called exactly once. Returned bytes are sent to the client before the body is ended normally, where it is a
    /// [`AnswerBody::Watched`] one.
    fn ended(self: Box<Self>, seen: Seen<'_>, end: End) -> Option<Vec<u8>>;
}

/// What a watcher is shown of a body that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// Its first bytes, at most [`HEAD_BYTES`].
    pub head: &'a [u8],
    /// Its last bytes, at most [`TAIL_BYTES`]; they may overlap with the first.
    pub tail: &'a [u8],
    /// How many there were.
    pub bytes: u64,
}

/// Rewrites a body on its way.
pub trait Transform {
    /// Takes the next piece of the provider's body, cut anywhere, and appends what the client is to get now, maybe nothing.
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Flow;
    /// Called exactly once, also where the client has left. Appends last words, which are sent before the body is ended
    /// normally.
    fn ended(&mut self, end: End, out: &mut Vec<u8>);
}

/// Whether a [`Transform`] wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next piece.
    More,
    /// Nothing more: the provider's connection is dropped, the transform ended with [`End::Complete`], the client's body
    /// ended normally.
    Enough,
}

/// Why a provider could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FetchError {
    /// No connection: DNS, refused, TLS.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// Connected, but no head within the time allowed.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before the head was complete, or the head made no sense.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The engine does not allow this destination.
    #[error("not allowed by the engine: {0}")]
    Forbidden(String),
}

/// Why a body could not be read whole.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// More than the limit; reading stopped there.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The sender broke off.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// The sender was silent for too long.
    #[error("the body stopped arriving")]
    Idle,
}

/// HTTP toward providers, and the engine's own forms of headers and bodies.
#[allow(async_fn_in_trait)]
pub trait Fetch: Sized + 'static {
    /// Headers in the engine's own form.
    type Headers: Headers;
    /// An unread body, the engine's own stream.
    type Body: 'static;
    /// A body that has been read, kept so that it can be sent on without another copy. Cloning is cheap.
    type Payload: AsRef<[u8]> + Clone + 'static;

    /// Reads a body whole, up to `limit` bytes.
    fn read(
        &self,
        body: Self::Body,
        limit: usize,
    ) -> impl Future<Output = Result<Self::Payload, ReadError>>;

    /// Sends a request and waits for the head of the answer. Dropping the future gives up the request.
    fn fetch(
        &self,
        outbound: Outbound<'_, Self>,
    ) -> impl Future<Output = Result<Inbound<Self>, FetchError>>;
}
