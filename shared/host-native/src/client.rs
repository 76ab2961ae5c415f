//! HTTP toward providers: hyper-util's pooled client, HTTP/1.1 and, where TLS negotiates it, HTTP/2.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Uri};
use hyper::rt::Executor;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pooled, Error as ClientError};
use hyper_util::rt::TokioTimer;
use lockgate_host::{Credential, FetchError, Inbound, Outbound, OutboundBody};
use tokio::task::LocalSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::upload::Upload;
use crate::{Body, NativeHeaders, NativeHost};

/// How long name look-up, connection and TLS may take together with all addresses tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// An HTTP/2 connection on which nothing has come for this long is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(20);
/// And is given up without an answer in this time.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// TCP keep-alive, so that a peer that vanished is noticed under a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How connections are made; cloned for each thread, so that TLS sessions are resumed across them.
#[derive(Clone)]
pub(crate) struct Connector(HttpsConnector<HttpConnector>);

impl Connector {
    /// TLS trusts the roots that Mozilla does, and plain `http` is left to the functions to allow.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Ok(Self(connector))
    }
}

/// Runs connections as tasks beside those that use them: on the `LocalSet`, so that a piece of a body needs no turn of
/// the runtime to get from one to the other.
#[derive(Clone, Copy)]
struct Beside;

impl<F: Future<Output = ()> + 'static> Executor<F> for Beside {
    fn execute(&self, connection: F) {
        tokio::task::spawn_local(connection);
    }
}

/// The client of one thread, with its pool.
pub(crate) struct Client(Pooled<HttpsConnector<HttpConnector>, Upload>);

impl Client {
    /// A client for use inside a `LocalSet`.
    pub(crate) fn new(connector: Connector) -> Self {
        Self(
            Pooled::builder(Beside)
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .http2_keep_alive_interval(PING_EVERY)
                .http2_keep_alive_timeout(PING_TIMEOUT)
                .build(connector.0),
        )
    }

    pub(crate) async fn fetch(
        &self,
        outbound: Outbound<'_, NativeHost>,
    ) -> Result<Inbound<NativeHost>, FetchError> {
        let (head_timeout, idle) = (outbound.head_timeout, outbound.idle_timeout);
        let request = request(outbound)?;
        let response = match timeout(head_timeout, self.0.request(request)).await {
            Err(_) => return Err(FetchError::Timeout),
            Ok(Err(error)) => return Err(failure(&error)),
            Ok(Ok(response)) => response,
        };
        let (parts, body) = response.into_parts();
        Ok(Inbound {
            status: parts.status.as_u16(),
            headers: NativeHeaders(parts.headers),
            body: Body::provider(body, idle),
        })
    }
}

/// HTTP for tools: the engine's client without the engine.
pub struct Caller {
    client: Client,
    tasks: LocalSet,
}

impl Caller {
    /// A client with a pool of its own, for the current tokio runtime.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new() -> Result<Self, FetchError> {
        let connector = Connector::new().map_err(|e| FetchError::Unreachable(e.to_string()))?;
        Ok(Self {
            client: Client::new(connector),
            tasks: LocalSet::new(),
        })
    }

    /// Sends a request and reads the answer, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`FetchError`]; [`FetchError::Broken`] also where the body cannot be read whole.
    pub async fn call(
        &self,
        outbound: Outbound<'_, NativeHost>,
        limit: usize,
    ) -> Result<(u16, Bytes), FetchError> {
        let call = async {
            let answer = self.client.fetch(outbound).await?;
            let body = answer.body.read(limit).await;
            let body = body.map_err(|error| FetchError::Broken(error.to_string()))?;
            Ok((answer.status, body))
        };
        self.tasks.run_until(call).await
    }
}

fn request(outbound: Outbound<'_, NativeHost>) -> Result<Request<Upload>, FetchError> {
    let uri: Uri = outbound
        .url
        .parse()
        .map_err(|error| FetchError::Unreachable(format!("{} is no URL: {error}", outbound.url)))?;
    let body = match outbound.body {
        OutboundBody::Empty => Upload::Bytes(Bytes::new()),
        OutboundBody::Payload(bytes) => Upload::Bytes(bytes),
        OutboundBody::Bytes(bytes) => Upload::Bytes(Bytes::from(bytes)),
        OutboundBody::Stream(body) => body.into_upload(),
    };
    let mut headers = HeaderMap::with_capacity(outbound.set.len() + 16);
    if let Some((from, names)) = outbound.forward {
        for (name, value) in &from.0 {
            if names.contains(&name.as_str()) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    for (name, value) in outbound.set {
        headers.insert(header_name(name)?, header_value(name, value)?);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(credential) = &outbound.credential {
        headers.insert(header_name(credential.header)?, sealed(credential)?);
    }
    let mut request = Request::new(body);
    *request.method_mut() = outbound.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

fn header_name(name: &str) -> Result<HeaderName, FetchError> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| FetchError::Broken(format!("{name:?} is no header name")))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, FetchError> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| FetchError::Broken(format!("the value of header {name} cannot be sent")))
}

/// The credential as a header that is not indexed by HTTP/2, does not show in debug output, and is wiped when the
/// request has been sent.
fn sealed(credential: &Credential<'_>) -> Result<HeaderValue, FetchError> {
    let secret = credential.secret.expose();
    let mut text = Zeroizing::new(Vec::with_capacity(credential.prefix.len() + secret.len()));
    text.extend_from_slice(credential.prefix.as_bytes());
    text.extend_from_slice(secret);
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| {
        FetchError::Broken(format!(
            "the value of header {} cannot be sent",
            credential.header
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn failure(error: &ClientError) -> FetchError {
    if error.is_connect() {
        FetchError::Unreachable(causes(error))
    } else {
        FetchError::Broken(causes(error))
    }
}

/// What an error says, with its causes: the outermost alone rarely tells anything.
pub(crate) fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}
