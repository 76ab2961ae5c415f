//! The HTTP server in front of the components: hyper for HTTP/1.1 and h2c as Spin has it, Spin's routing and request
//! headers, and a drain at the end. Unlike Spin, accepted sockets get `TCP_NODELAY`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::app::App;
use crate::manifest::Route;

/// Serves `app` on `listener` until `stop` resolves, then stops accepting and gives requests and background tasks in
/// flight up to `drain` to finish.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> Result<()> {
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, client) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The usual cause is a lack of file descriptors, which passes.
                    eprintln!("wasi-host: accept: {error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        spawn_connection(&app, &graceful, stream, client);
    }
    drop(listener);
    let finished = async {
        graceful.shutdown().await;
        app.drained().await;
    };
    if tokio::time::timeout(drain, finished).await.is_err() {
        eprintln!(
            "wasi-host: requests still ran {} s after the signal",
            drain.as_secs()
        );
    }
    Ok(())
}

fn spawn_connection(
    app: &Arc<App>,
    graceful: &GracefulShutdown,
    stream: TcpStream,
    client: SocketAddr,
) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("wasi-host: TCP_NODELAY: {error}");
    }
    let app = Arc::clone(app);
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { respond(&app, request, client).await }
    });
    let connection = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let connection = graceful.watch(connection);
    // A connection's errors are its client's: broken off, or a malformed request that hyper has answered.
    tokio::spawn(async move { drop(connection.await) });
}

async fn respond(
    app: &App,
    request: http::Request<Incoming>,
    client: SocketAddr,
) -> Result<http::Response<WasiBody>> {
    let path = request.uri().path().to_owned();
    if path == "/.well-known/spin/health" {
        let mut response = empty(StatusCode::OK);
        *response.body_mut() = http_body_util::Full::from("OK")
            .map_err(|never| match never {})
            .boxed_unsync();
        return Ok(response);
    }
    let Some((route, rest)) = app.manifest().route(&path) else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    let (mut parts, body) = request.into_parts();
    parts.uri = absolute_uri(parts.uri, &parts.headers)?;
    add_spin_headers(&mut parts.headers, &parts.uri, route, rest, client)?;
    let body = body.map_err(Error::from).boxed_unsync();
    let request = http::Request::from_parts(parts, body);
    match app.handle(&route.component, request).await {
        Ok(response) => Ok(response),
        Err(error) => {
            eprintln!("wasi-host: {} {path}: {error:?}", route.component);
            Ok(empty(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}

fn empty(status: StatusCode) -> http::Response<WasiBody> {
    let mut response =
        http::Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// The request's URI with scheme and authority, which a guest reads from the request and not from `host`. An error
/// closes the connection, as in Spin.
fn absolute_uri(uri: Uri, headers: &HeaderMap) -> Result<Uri> {
    let host = match headers.get(HOST) {
        Some(host) => {
            Some(Authority::try_from(host.as_bytes()).context("the host header is malformed")?)
        }
        None => None,
    };
    let mut parts = uri.into_parts();
    parts.authority = match (host, parts.authority.take()) {
        (Some(host), Some(authority)) if host != authority => {
            bail!("the host header and the URI differ")
        }
        (None, None) => bail!("the request names no host"),
        (host, authority) => authority.or(host),
    };
    parts.scheme = Some(Scheme::HTTP);
    Ok(Uri::from_parts(parts)?)
}

/// The headers Spin adds for its components; a gateway must not forward them.
fn add_spin_headers(
    headers: &mut HeaderMap,
    uri: &Uri,
    route: &Route,
    rest: &str,
    client: SocketAddr,
) -> Result<()> {
    let raw = route.raw();
    let text = [
        ("spin-path-info", rest),
        ("spin-full-url", &uri.to_string()),
        ("spin-matched-route", &raw),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", &raw),
        ("spin-component-route", &route.path),
        ("spin-client-addr", &client.to_string()),
    ];
    for (name, value) in text {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    Ok(())
}
