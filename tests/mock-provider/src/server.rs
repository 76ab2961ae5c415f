//! The server: a thread of its own with a single-threaded runtime, so that tests without a runtime can use it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::play::Play;
use crate::record::{Outcome, Recorded, Recorder, Track, secret_of};
use crate::wire::{Cutter, Wire};
use crate::{admin, answer};

/// How to start a [`MockProvider`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 is any free one.
    pub port: u16,
    /// Whether to keep what is received; benchmarks do without.
    pub record: bool,
}

/// A mock provider that runs until it is dropped. Dropping it closes its port and all its connections at once.
pub struct MockProvider {
    address: SocketAddr,
    recorder: Arc<Recorder>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockProvider {
    /// Starts a provider that records.
    ///
    /// # Panics
    /// If it cannot listen on the port.
    #[must_use]
    #[expect(clippy::panic, reason = "documented; what a test wants")]
    pub fn start(port: u16) -> Self {
        Self::try_start(Options { port, record: true }).unwrap_or_else(|error| {
            panic!("the mock provider cannot listen on port {port}: {error}")
        })
    }

    /// Starts a provider.
    ///
    /// # Errors
    /// If it cannot listen on the port, or start its thread.
    pub fn try_start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let recorder = Arc::new(Recorder::new(options.record));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&recorder);
        let thread = std::thread::Builder::new()
            .name("mock-provider".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            recorder,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was recorded so far, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.recorder.all()
    }

    /// What was recorded so far, which is then forgotten; the end of those under way is not recorded any more.
    #[must_use]
    pub fn take_requests(&self) -> Vec<Recorded> {
        self.recorder.take()
    }

    /// Forgets what was recorded.
    pub fn clear(&self) {
        drop(self.recorder.take());
    }

    /// Waits until at least `count` requests have arrived with their whole body, or broke off. All records then; `None` after `timeout`.
    #[must_use]
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Option<Vec<Recorded>> {
        self.recorder.wait_received(count, timeout)
    }

    /// Waits until at least `count` requests have ended, one way or another. All records then; `None` after `timeout`.
    #[must_use]
    pub fn wait_for_ended(&self, count: usize, timeout: Duration) -> Option<Vec<Recorded>> {
        self.recorder.wait_ended(count, timeout)
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked only if a test's own thread already shows why.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, recorder: Arc<Recorder>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, Arc::clone(&recorder)));
            }
            // Out of file descriptors, or a client that left before it was accepted.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, recorder: Arc<Recorder>) {
    let (wire, cutter) = Wire::new(stream);
    let service = service_fn(|request| respond(request, Arc::clone(&recorder), cutter.clone()));
    // Room for what gateways are tested with: thousands of headers, long ones. Contiguous writes, for the wire's marker.
    let served = http1::Builder::new()
        .max_headers(20_000)
        .max_buf_size(4 * 1024 * 1024)
        .writev(false)
        .serve_connection(TokioIo::new(wire), service)
        .await;
    // Ends in an error whenever a client leaves or a cut is made; both are on record.
    drop(served);
}

async fn respond(
    request: Request<Incoming>,
    recorder: Arc<Recorder>,
    cutter: Cutter,
) -> io::Result<Response<Play>> {
    let (parts, mut body) = request.into_parts();
    if parts.uri.path() == admin::PATH {
        let answer = admin::answer(parts.method.as_str(), &recorder);
        return Ok(perform(answer, Track::none(), cutter));
    }
    let secret = secret_of(&parts);
    let mut track = recorder.begin(&parts, secret.as_deref());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => track.body.extend(frame.into_data().unwrap_or_default()),
            // The client left in the middle, or its chunks are malformed; only then can it read this.
            Err(error) => {
                track.end(Outcome::ClientLeft);
                let answer = Answer::error(400, &format!("The body does not arrive: {error}."));
                return Ok(perform(answer, track, cutter));
            }
        }
    }
    track.received();
    let mut answer = answer::answer(&Ask {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        secret: secret.as_deref(),
        body: &track.body,
    });
    if let Ok(id) = HeaderValue::try_from(format!("mock-{}", track.id)) {
        answer.headers.insert("x-request-id", id);
    }
    match answer.delay {
        Some(Duration::ZERO) => {}
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
    if answer.reset {
        cutter.reset();
        track.end(Outcome::Broken);
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(perform(answer, track, cutter))
}

fn perform(answer: Answer, track: Track, cutter: Cutter) -> Response<Play> {
    track.head();
    let mut response = Response::new(Play::new(answer.script, track, cutter));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
