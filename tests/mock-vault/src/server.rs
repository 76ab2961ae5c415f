//! The server: a thread of its own with a single-threaded runtime, so that tests without a runtime can use it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::oneshot;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The method, in capitals.
    pub method: String,
    /// The path, still percent-encoded, with what follows `?`.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Ask {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// JSON, or nothing at all for `Null`.
    pub body: Value,
}

impl Answer {
    /// An answer.
    #[must_use]
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, body }
    }
}

/// A key management service.
pub trait Service: Send + 'static {
    /// Answers one request.
    fn answer(&mut self, ask: &Ask) -> Answer;
}

/// How the server fails, if it does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// Connections are closed before anything is answered.
    Down,
    /// It never answers.
    Silent,
    /// It answers so much later.
    Slow(Duration),
    /// It answers this, with this body.
    Says(u16, String),
}

struct Shared {
    service: Box<dyn Service>,
    fault: Fault,
    asked: Vec<Ask>,
}

/// A service that runs until it is dropped.
pub struct MockVault {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn held(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A service that panicked has failed its test already.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MockVault {
    /// Serves a service on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    #[expect(clippy::panic, reason = "documented; what a test wants")]
    pub fn start(service: impl Service) -> Self {
        Self::try_start(service)
            .unwrap_or_else(|error| panic!("the mock vault cannot listen: {error}"))
    }

    fn try_start(service: impl Service) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared {
            service: Box::new(service),
            fault: Fault::None,
            asked: Vec::new(),
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("mock-vault".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, served) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it fails so.
    pub fn fail(&self, fault: Fault) {
        held(&self.shared).fault = fault;
    }

    /// What was asked so far, those that were failed included.
    #[must_use]
    pub fn asked(&self) -> Vec<Ask> {
        held(&self.shared).asked.clone()
    }

    /// How many requests were made so far to paths that contain `part`.
    #[must_use]
    pub fn calls(&self, part: &str) -> usize {
        let shared = held(&self.shared);
        shared
            .asked
            .iter()
            .filter(|ask| ask.path.contains(part))
            .count()
    }

    /// Forgets what was asked.
    pub fn clear(&self) {
        held(&self.shared).asked.clear();
    }
}

impl Drop for MockVault {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked only if a test's own thread already shows why.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(Arc::clone(&shared), request));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// An error ends the connection, which is what [`Fault::Down`] wants.
async fn respond(
    shared: Arc<Mutex<Shared>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = parts.uri.path_and_query();
    let ask = Ask {
        method: parts.method.to_string(),
        path: path.map(ToString::to_string).unwrap_or_default(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect(),
        body: body.to_vec(),
    };
    let fault = {
        let mut shared = held(&shared);
        shared.asked.push(ask.clone());
        shared.fault.clone()
    };
    match fault {
        Fault::None => {}
        Fault::Down => return Err(io::Error::other("down")),
        Fault::Silent => std::future::pending().await,
        Fault::Slow(delay) => tokio::time::sleep(delay).await,
        Fault::Says(status, body) => return Ok(answered(status, body)),
    }
    let answer = held(&shared).service.answer(&ask);
    let body = match answer.body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    Ok(answered(answer.status, body))
}

fn answered(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    response
}
