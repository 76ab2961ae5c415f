//! Listening, one thread per core, and stopping in good order.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::header::EXPECT;
use hyper::Request;
use hyper::body::Incoming as Hyper;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::answer::respond;
use crate::{Answer, Body, Incoming, NativeHeaders, NativeHost, Shared};

/// How long the head of a request may take, and how long a connection may wait for its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// At most this many headers; more is a 431.
const MAX_HEADERS: usize = 100;
/// How long requests in flight may go on once stopping has begun.
const DRAIN: Duration = Duration::from_secs(30);
/// How long background work may go on after that.
const SETTLE: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted, which means that the process is short of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the system may hold for us.
const BACKLOG: i32 = 1024;

/// Bound sockets, one for each thread.
#[derive(Debug)]
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<StdListener>,
}

impl Listeners {
    /// Binds `threads` sockets (at least one) to one address; with port 0 the system chooses the port.
    ///
    /// # Errors
    /// Where the address is taken or not ours.
    pub fn bind(address: SocketAddr, threads: usize) -> io::Result<Self> {
        // Sockets that share a port would share it with another gateway's too: so first see that it is free.
        let first = listener(address, false)?;
        let address = first.local_addr()?;
        if threads <= 1 {
            return Ok(Self {
                address,
                sockets: vec![first],
            });
        }
        #[cfg(target_os = "linux")]
        let sockets = {
            drop(first);
            (0..threads)
                .map(|_| listener(address, true))
                .collect::<io::Result<_>>()?
        };
        // Elsewhere a shared port does not spread connections; threads take turns on one socket.
        #[cfg(not(target_os = "linux"))]
        let sockets = (0..threads)
            .map(|_| first.try_clone())
            .collect::<io::Result<_>>()?;
        Ok(Self { address, sockets })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn listener(address: SocketAddr, share: bool) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(share)?;
    #[cfg(not(target_os = "linux"))]
    let _ = share;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A gateway that is being served.
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// Starts serving: each request is given to `handler`, on the thread that accepted its connection.
///
/// # Errors
/// Where a thread or its runtime cannot be made.
pub fn start<F, Fut>(listeners: Listeners, shared: Arc<Shared>, handler: F) -> io::Result<Running>
where
    F: Fn(NativeHost, Incoming) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Answer> + 'static,
{
    start_beside(listeners, shared, handler, |_| std::future::pending())
}

/// As [`start`], with `beside` going on beside the requests, on the first of the threads. It is dropped when stopping begins;
/// what it has spawned is background work as any other.
///
/// # Errors
/// As [`start`].
pub fn start_beside<F, Fut, B, BFut>(
    listeners: Listeners,
    shared: Arc<Shared>,
    handler: F,
    beside: B,
) -> io::Result<Running>
where
    F: Fn(NativeHost, Incoming) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Answer> + 'static,
    B: FnOnce(NativeHost) -> BFut + Send + 'static,
    BFut: Future<Output = ()> + 'static,
{
    let mut beside = Some(beside);
    let (stop, stopped) = watch::channel(false);
    let mut threads = Vec::with_capacity(listeners.sockets.len());
    for (number, socket) in listeners.sockets.into_iter().enumerate() {
        let (shared, handler, stopped) = (Arc::clone(&shared), handler.clone(), stopped.clone());
        let beside = beside.take();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name(format!("serve-{number}"))
            .spawn(move || {
                let work = async {
                    let host = NativeHost::new(shared);
                    let beside =
                        beside.map(|beside| spawn_local(beside(host.clone())).abort_handle());
                    serve(socket, host, handler, stopped, beside).await
                };
                LocalSet::new().block_on(&runtime, work)
            })?;
        threads.push(thread);
    }
    Ok(Running {
        address: listeners.address,
        stop,
        threads,
    })
}

impl Running {
    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, requests in flight go on for at most 30 s, background work for 10 s after that.
    ///
    /// # Errors
    /// Where a thread failed.
    pub fn stop(self) -> io::Result<()> {
        self.stop.send_replace(true);
        let mut outcome = Ok(());
        for thread in self.threads {
            match thread.join() {
                Ok(ended) => outcome = outcome.and(ended),
                Err(_) => outcome = Err(io::Error::other("a serving thread panicked")),
            }
        }
        outcome
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT), then as [`Running::stop`].
    /// A second signal ends the process at once, with exit code 130. `heard` is called once signals are heard: whoever
    /// is told of the gateway there may send one.
    ///
    /// # Errors
    /// Where a thread failed, or signals cannot be heard.
    pub fn until_signal(self, heard: impl FnOnce()) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut signals = runtime.block_on(async { Signals::new() })?;
        heard();
        runtime.block_on(signals.next());
        std::thread::Builder::new()
            .name("second-signal".to_owned())
            .spawn(move || {
                runtime.block_on(signals.next());
                std::process::exit(130);
            })?;
        self.stop()
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One thread's work.
async fn serve<F, Fut>(
    socket: StdListener,
    host: NativeHost,
    handler: F,
    mut stopped: watch::Receiver<bool>,
    beside: Option<AbortHandle>,
) -> io::Result<()>
where
    F: Fn(NativeHost, Incoming) -> Fut + Clone + 'static,
    Fut: Future<Output = Answer> + 'static,
{
    let listener = TcpListener::from_std(socket)?;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS);
    let graceful = GracefulShutdown::new();
    let connection = |stream: TcpStream| {
        let (host, handler) = (host.clone(), handler.clone());
        let service = service_fn(move |request| {
            let answer = handler(host.clone(), incoming(request));
            async move { Ok::<_, Infallible>(respond(answer.await)) }
        });
        // Without it small answers wait for the acknowledgement of what went before.
        let _ = stream.set_nodelay(true);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        async move {
            // A connection that ends badly is the client's affair; what it asked for has been dropped.
            let _ = connection.await;
        }
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn_local(connection(stream))),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    if let Some(beside) = beside {
        beside.abort();
    }
    // What has been connected before we stopped is served.
    while let Ok(Ok((stream, _))) = timeout(Duration::ZERO, listener.accept()).await {
        connections.spawn_local(connection(stream));
    }
    drop(listener);
    let _ = timeout(DRAIN, graceful.shutdown()).await;
    // Cut what is left while there is still something to run on: watchers of bodies record how they ended.
    connections.shutdown().await;
    host.finish(SETTLE).await;
    Ok(())
}

fn incoming(request: Request<Hyper>) -> Incoming {
    let (parts, body) = request.into_parts();
    let expects = parts.headers.contains_key(EXPECT);
    Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: NativeHeaders(parts.headers),
        body: Body::request(body, expects),
    }
}
