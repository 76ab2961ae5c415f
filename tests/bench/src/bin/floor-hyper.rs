//! The floor of the native engine: the least that a proxy in hyper can do and still read the model out of a request.
//!
//! `floor-hyper --port N --upstream http://HOST:PORT [--threads T]`: one current-thread runtime per core with a listening
//! socket of its own, a pooled client, TCP_NODELAY both ways; reads the body, reads `model` without copying it, sends the
//! body on to the same path and hands the answer back unread. No credential, no log, no limits.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use http::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use socket2::{Domain, Protocol, Socket, Type};

#[derive(Parser)]
struct Options {
    /// Port to listen on.
    #[arg(long)]
    port: u16,
    /// Where requests go, without a path.
    #[arg(long)]
    upstream: String,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Deserialize)]
struct Ask<'a> {
    #[serde(borrow)]
    model: &'a str,
}

type Pool = Client<HttpConnector, Full<Bytes>>;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let threads = options
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let upstream: Arc<str> = options.upstream.into();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let mut serving = Vec::new();
    for _ in 0..threads {
        let (listener, upstream) = (listener(address)?, Arc::clone(&upstream));
        serving.push(std::thread::spawn(move || serve(listener, upstream)));
    }
    println!("listening on http://{address}");
    for thread in serving {
        thread.join().ok().context("a thread panicked")??;
    }
    Ok(())
}

fn listener(address: SocketAddr) -> anyhow::Result<StdListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn serve(listener: StdListener, upstream: Arc<str>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool: Pool = Client::builder(TokioExecutor::new()).build(connector);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (pool, upstream) = (pool.clone(), Arc::clone(&upstream));
            let service = service_fn(move |request| {
                let (pool, upstream) = (pool.clone(), Arc::clone(&upstream));
                async move { Ok::<_, Infallible>(pass(&pool, &upstream, request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn pass(
    pool: &Pool,
    upstream: &str,
    request: Request<Incoming>,
) -> Response<Either<Incoming, Full<Bytes>>> {
    match forward(pool, upstream, request).await {
        Ok(response) => response.map(Either::Left),
        Err(error) => {
            let mut response = Response::new(Either::Right(Full::from(error.to_string())));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

async fn forward(
    pool: &Pool,
    upstream: &str,
    request: Request<Incoming>,
) -> anyhow::Result<Response<Incoming>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let ask: Ask<'_> = serde_json::from_slice(&body)?;
    anyhow::ensure!(!ask.model.is_empty(), "no model");
    parts.uri = Uri::try_from(format!("{upstream}{}", parts.uri.path()))?;
    parts.headers.remove(HOST);
    parts.headers.remove(CONNECTION);
    parts.headers.remove(TRANSFER_ENCODING);
    parts
        .headers
        .insert("authorization", HeaderValue::from_static("Bearer sk-none"));
    let mut response = pool
        .request(Request::from_parts(parts, Full::new(body)))
        .await?;
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(TRANSFER_ENCODING);
    Ok(response)
}
