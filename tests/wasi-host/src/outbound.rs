//! Outbound HTTP of the components: the `allowed_outbound_hosts` check with Spin's grammar, and one pooled client
//! per process for `http` and `https` (rustls, webpki roots). Unlike Spin, sockets get `TCP_NODELAY`.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Uri;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// What Spin and wasmtime use where the guest sets no timeout.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

tokio::task_local! {
    /// The pooled client takes no options with a request; its connector runs inside the request's task and finds
    /// the guest's connect timeout here.
    static CONNECT_TIMEOUT: Duration;
}

/// One entry of `allowed_outbound_hosts`.
#[derive(Debug, PartialEq, Eq)]
pub struct AllowedHost {
    scheme: Option<String>,
    host: HostPattern,
    /// First and one past the last port; `None` is any.
    ports: Option<std::ops::Range<u32>>,
}

#[derive(Debug, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// With the leading dot.
    Suffix(String),
    Exact(String),
}

impl AllowedHost {
    /// Parses `scheme://host[:port]`; `*` is allowed for each part and as `*.` before a domain, a port may be a
    /// range `from..to`. Addresses in CIDR notation and `self` are refused.
    ///
    /// # Errors
    /// When the entry does not have that form.
    pub fn parse(entry: &str) -> Result<Self> {
        let entry = entry.trim();
        let (scheme, rest) = entry.split_once("://").with_context(|| {
            format!(
                "{entry:?} is not an allowed outbound host: it must be <scheme>://<host>[:<port>]"
            )
        })?;
        let scheme_ok =
            scheme == "*" || (!scheme.is_empty() && scheme.chars().all(char::is_alphabetic));
        ensure!(scheme_ok, "{entry:?}: the scheme must be letters or `*`");
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        ensure!(!rest.contains('/'), "{entry:?}: a path is not allowed");
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let host = match host {
            "" | "self" | "self.alt" => bail!("{entry:?}: the host is not supported"),
            "*" => HostPattern::Any,
            host => match host.strip_prefix('*') {
                Some(suffix) if suffix.starts_with('.') && !suffix.contains('*') => {
                    HostPattern::Suffix(suffix.into())
                }
                None if !host.contains('*') => HostPattern::Exact(host.into()),
                _ => bail!("{entry:?}: a wildcard stands for the whole host or its first labels"),
            },
        };
        let ports = match port {
            Some("*") => None,
            Some(port) => Some(parse_ports(port).with_context(|| format!("{entry:?}: bad port"))?),
            None => {
                let port = default_port(scheme).with_context(|| {
                    format!("{entry:?}: no port, and the scheme has no default one")
                })?;
                Some(port..port + 1)
            }
        };
        let scheme = (scheme != "*").then(|| scheme.to_owned());
        Ok(Self {
            scheme,
            host,
            ports,
        })
    }

    /// Whether a request to `uri` may be sent.
    #[must_use]
    pub fn allows(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return false;
        };
        let port = uri
            .port_u16()
            .map(u32::from)
            .or_else(|| default_port(scheme));
        self.scheme
            .as_deref()
            .is_none_or(|allowed| allowed == scheme)
            && match &self.host {
                HostPattern::Any => true,
                HostPattern::Suffix(suffix) => host.ends_with(suffix.as_str()),
                HostPattern::Exact(exact) => host == exact,
            }
            && match (&self.ports, port) {
                (None, _) => true,
                (Some(ports), Some(port)) => ports.contains(&port),
                (Some(_), None) => false,
            }
    }
}

fn parse_ports(port: &str) -> Result<std::ops::Range<u32>> {
    if let Some((start, end)) = port.split_once("..") {
        return Ok(start.parse::<u16>()?.into()..end.parse::<u16>()?.into());
    }
    let port = u32::from(port.parse::<u16>()?);
    Ok(port..port + 1)
}

fn default_port(scheme: &str) -> Option<u32> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

type PooledClient = Client<Connector, WasiBody>;

/// The client all components share, as under Spin.
#[derive(Clone)]
pub struct OutboundClient(PooledClient);

impl OutboundClient {
    /// Makes the client; connections are opened on first use.
    #[must_use]
    pub fn new() -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(Connector(https));
        Self(client)
    }
}

impl Default for OutboundClient {
    fn default() -> Self {
        Self::new()
    }
}

/// The TCP and TLS connector with the guest's connect timeout around it.
#[derive(Clone)]
struct Connector(HttpsConnector<HttpConnector>);

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = CONNECT_TIMEOUT.try_get().unwrap_or(DEFAULT_TIMEOUT);
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

/// The hooks wasi:http calls for one component.
pub struct Hooks {
    client: OutboundClient,
    allowed: Arc<[AllowedHost]>,
}

impl Hooks {
    /// Hooks that send through `client` what `allowed` permits.
    #[must_use]
    pub fn new(client: OutboundClient, allowed: Arc<[AllowedHost]>) -> Self {
        Self { client, allowed }
    }
}

type Sent = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_result: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        if !self
            .allowed
            .iter()
            .any(|allowed| allowed.allows(request.uri()))
        {
            let target = request
                .uri()
                .authority()
                .map_or("", |authority| authority.as_str());
            eprintln!("wasi-host: {target} is not in allowed_outbound_hosts");
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        }
        let client = self.client.0.clone();
        Box::new(async move {
            let response = send(client, request, options.as_ref()).await?;
            // The pool drives the connection: there is no I/O future of this one request to hand back.
            Ok((response, Box::new(std::future::ready(Ok(()))) as Box<_>))
        })
    }
}

async fn send(
    client: PooledClient,
    request: http::Request<WasiBody>,
    options: Option<&RequestOptions>,
) -> Result<http::Response<WasiBody>, Error> {
    let connect = options
        .and_then(|options| options.connect_timeout)
        .unwrap_or(DEFAULT_TIMEOUT);
    let first_byte = options
        .and_then(|options| options.first_byte_timeout)
        .unwrap_or(DEFAULT_TIMEOUT);
    let between_bytes = options.and_then(|options| options.between_bytes_timeout);
    let response = CONNECT_TIMEOUT.scope(
        connect,
        tokio::time::timeout(first_byte, client.request(request)),
    );
    let response = response
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(client_error)?;
    Ok(response.map(|incoming| match between_bytes {
        None => incoming.map_err(Error::from).boxed_unsync(),
        Some(limit) => TimedBody::new(incoming, limit).boxed_unsync(),
    }))
}

/// Finds the cause in the pooled client's error that wasi:http has a name for.
fn client_error(error: ClientError) -> Error {
    let connecting = error.is_connect();
    let mut source = StdError::source(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                io::ErrorKind::InvalidData if connecting => Error::TlsProtocolError,
                _ if connecting => Error::Connect(io::Error::new(io.kind(), io.to_string())),
                _ => Error::ConnectionTerminated,
            };
        }
        if let Some(guest) = cause.downcast_ref::<Error>() {
            return Error::InternalError(Some(guest.to_string()));
        }
        source = cause.source();
    }
    match connecting {
        true => Error::DestinationNotFound,
        false => Error::HttpProtocolError,
    }
}

pin_project_lite::pin_project! {
    /// An upstream body under the guest's between-bytes timeout.
    struct TimedBody {
        incoming: Incoming,
        limit: Duration,
        #[pin]
        sleep: tokio::time::Sleep,
    }
}

impl TimedBody {
    fn new(incoming: Incoming, limit: Duration) -> Self {
        Self {
            incoming,
            limit,
            sleep: tokio::time::sleep(limit),
        }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        match Pin::new(&mut *this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.sleep
                    .as_mut()
                    .reset(tokio::time::Instant::now() + *this.limit);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|result| result.map_err(Error::from))),
            Poll::Pending => {
                std::task::ready!(this.sleep.poll(cx));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn hosts_match_as_in_spin() {
        let allows = |entry: &str, uri: &'static str| {
            AllowedHost::parse(entry)
                .unwrap()
                .allows(&Uri::from_static(uri))
        };
        assert!(allows("https://*:*", "https://api.example.com/v1"));
        assert!(allows("https://*:*", "https://api.example.com:8443"));
        assert!(!allows("https://*:*", "http://api.example.com/"));
        assert!(allows("http://127.0.0.1:*", "http://127.0.0.1:9000/x"));
        assert!(!allows("http://127.0.0.1:*", "http://localhost:9000/x"));
        assert!(!allows("http://127.0.0.1", "http://127.0.0.1:9000/x"));
        assert!(allows("http://127.0.0.1", "http://127.0.0.1/x"));
        assert!(allows("https://*.x.com", "https://a.b.x.com/"));
        assert!(!allows("https://*.x.com", "https://x.com/"));
        assert!(allows("*://*:8000..8002", "http://h:8001/"));
        assert!(!allows("*://*:8000..8002", "http://h:8002/"));
        assert!(allows("http://[::1]:*", "http://[::1]:80/"));
    }

    #[test]
    fn other_forms_are_refused() {
        for entry in [
            "",
            "*",
            "x.com",
            "https://",
            "https://a.*.com",
            "https://x.com/path",
            "ftp://x.com",
            "http://self",
        ] {
            assert!(AllowedHost::parse(entry).is_err(), "{entry:?}");
        }
    }
}
