//! The load generator: keep-alive connections in a closed loop, over loopback only, counted in a window that begins when
//! the server is under way and ends before the load does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// No answer may take longer than this, as a whole.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of one measurement, whatever the clock says.
const MAX_REQUESTS: u64 = 2_000_000;
const CHAT: &str = "/v1/chat/completions";

/// Where requests go, and with which credential.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) key: HeaderValue,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Requests,
    Events,
}

/// What is asked for, on how many connections at once.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) unit: Unit,
    pub(crate) body: Bytes,
    /// What the floor is asked, where that is another thing.
    pub(crate) floor: Option<Bytes>,
}

impl Load {
    /// The same load as the floor gets it.
    pub(crate) fn of_floor(&self) -> Self {
        Self {
            body: self.floor.clone().unwrap_or_else(|| self.body.clone()),
            ..self.clone()
        }
    }

    /// Whether the gateway translates it, which the floor does not.
    pub(crate) fn translated(&self) -> bool {
        self.floor.is_some()
    }
}

/// A chat request of exactly `bytes` bytes, if they are enough for it.
pub(crate) fn chat(model: &str, bytes: usize, stream: bool) -> Bytes {
    let body = |content: &str| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
        if stream {
            body["stream"] = Value::Bool(true);
        }
        body.to_string()
    };
    let padding = bytes.saturating_sub(body("").len());
    body(&"a".repeat(padding)).into()
}

/// CPU time used so far, by those who take part.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) server: Duration,
    pub(crate) provider: Duration,
    pub(crate) load: Duration,
}

/// What a window held.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Requests or events a second; none if nothing came back.
    pub(crate) rate: f64,
    /// CPU seconds of the server for 1,000 of them.
    pub(crate) cpu: f64,
    /// The share of a core that the busier of the mock provider and the load generator used; each has one thread.
    pub(crate) busy: f64,
}

struct Shared {
    units: AtomicU64,
    requests: AtomicU64,
    stop: AtomicBool,
}

/// Loads `target` for `lead` and then for `window`, which alone is counted.
pub(crate) async fn run(
    target: &Target,
    load: &Load,
    (lead, window): (Duration, Duration),
    cpu: impl Fn() -> Result<Cpu>,
) -> Result<Sample> {
    let shared = Arc::new(Shared {
        units: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        connections.spawn(keep_asking(
            target.clone(),
            load.clone(),
            Arc::clone(&shared),
        ));
    }
    let look = || {
        let units = shared.units.load(Ordering::Relaxed);
        Ok::<_, anyhow::Error>((Instant::now(), units, cpu()?))
    };
    healthy(&mut connections, lead).await?;
    let (began, units_before, before) = look()?;
    healthy(&mut connections, window).await?;
    let (ended, units_after, after) = look()?;

    shared.stop.store(true, Ordering::Relaxed);
    let last = async {
        while let Some(connection) = connections.join_next().await {
            connection??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, last)
        .await
        .context("an answer does not end")??;

    let units = units_after - units_before;
    let seconds = (ended - began).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let units = units as f64;
    let used = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64();
    let provider = used(before.provider, after.provider) / seconds;
    Ok(Sample {
        rate: units / seconds,
        cpu: used(before.server, after.server) * 1000.0 / units.max(1.0),
        busy: provider.max(used(before.load, after.load) / seconds),
    })
}

/// Waits while all connections go on; none ends by itself unless something is wrong.
async fn healthy(connections: &mut JoinSet<Result<()>>, time: Duration) -> Result<()> {
    match tokio::time::timeout(time, connections.join_next()).await {
        Err(_) => Ok(()),
        Ok(Some(ended)) => {
            ended??;
            bail!("a connection made {MAX_REQUESTS} requests before its time was over")
        }
        Ok(None) => bail!("there are no connections"),
    }
}

async fn keep_asking(target: Target, load: Load, shared: Arc<Shared>) -> Result<()> {
    let mut client = Client::new(target);
    while !shared.stop.load(Ordering::Relaxed)
        && shared.requests.fetch_add(1, Ordering::Relaxed) < MAX_REQUESTS
    {
        match load.unit {
            Unit::Requests => {
                client.ask(&load.body, |_| {}).await?;
                shared.units.fetch_add(1, Ordering::Relaxed);
            }
            Unit::Events => {
                let mut tail = Tail::default();
                client
                    .ask(&load.body, |data| {
                        tail.take(data);
                        shared.units.fetch_add(tail.events(data), Ordering::Relaxed);
                    })
                    .await?;
                ensure!(tail.done(), "a stream ended without [DONE]");
            }
        }
    }
    Ok(())
}

/// What is kept of a stream: enough to count its events and to know that it is complete.
#[derive(Default)]
struct Tail {
    last: Vec<u8>,
    odd: bool,
}

impl Tail {
    const DONE: &[u8] = b"data: [DONE]\n\n";

    fn take(&mut self, data: &[u8]) {
        let keep = data.len().min(Self::DONE.len());
        self.last
            .extend_from_slice(data.get(data.len() - keep..).unwrap_or_default());
        let surplus = self.last.len().saturating_sub(Self::DONE.len());
        self.last.drain(..surplus);
    }

    /// Events that end in `data`: the mock provider's are two line feeds each, of which the first may have come before.
    fn events(&mut self, data: &[u8]) -> u64 {
        let feeds = data.iter().filter(|byte| **byte == b'\n').count() as u64;
        let feeds = feeds + u64::from(self.odd);
        self.odd = feeds % 2 == 1;
        feeds / 2
    }

    fn done(&self) -> bool {
        self.last == Self::DONE
    }
}

/// One keep-alive connection, made again where the server closed it between two requests.
pub(crate) struct Client {
    target: Target,
    headers: HeaderMap,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(target: Target) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(host) = HeaderValue::try_from(target.address.to_string()) {
            headers.insert(HOST, host);
        }
        headers.insert(AUTHORIZATION, target.key.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self {
            target,
            headers,
            sender: None,
        }
    }

    /// Further calls are of this workspace.
    pub(crate) fn choose_workspace(&mut self, name: &str) -> Result<()> {
        let name = HeaderValue::try_from(name)?;
        self.headers.insert("lockgate-workspace", name);
        Ok(())
    }

    /// A chat request; `each` sees the answer's body as it comes. An answer other than 200 is an error.
    pub(crate) async fn ask(&mut self, body: &Bytes, mut each: impl FnMut(&[u8])) -> Result<()> {
        let response = self.send(Method::POST, CHAT, body).await?;
        let status = response.status();
        let mut answer = response.into_body();
        if status != StatusCode::OK {
            let said = answer.collect().await?.to_bytes();
            let said = said.get(..said.len().min(400)).unwrap_or_default();
            bail!("answer {status}: {}", String::from_utf8_lossy(said));
        }
        while let Some(frame) = answer.frame().await {
            if let Some(data) = frame?.data_ref() {
                each(data);
            }
        }
        Ok(())
    }

    /// The time from here to the first event of an answer, whose rest is read too.
    pub(crate) async fn first_event(&mut self, body: &Bytes) -> Result<Duration> {
        let began = Instant::now();
        let mut first = None;
        let asking = self.ask(body, |data| {
            if data.windows(5).any(|at| at == b"data:") {
                first.get_or_insert_with(|| began.elapsed());
            }
        });
        tokio::time::timeout(PATIENCE, asking)
            .await
            .context("no answer")??;
        first.context("an answer had no event")
    }

    /// A call of the management plane that makes something; the answer's JSON.
    pub(crate) async fn create(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, body).await
    }

    /// A call of the management plane; the answer's JSON.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let call = async {
            let body = body.to_string().into();
            let response = self.send(method, path, &body).await?;
            let status = response.status();
            let answer = response.into_body().collect().await?.to_bytes();
            ensure!(
                status.is_success(),
                "{path} answers {status}: {}",
                String::from_utf8_lossy(&answer)
            );
            Ok(serde_json::from_slice(&answer)?)
        };
        tokio::time::timeout(PATIENCE, call)
            .await
            .with_context(|| format!("no answer from {path}"))?
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: &Bytes,
    ) -> Result<Response<Incoming>> {
        let request = || -> Result<_> {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = path.parse()?;
            *request.headers_mut() = self.headers.clone();
            Ok(request)
        };
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
            // A server may close a connection that was kept just when it is used again: then it has not seen the request.
            && let Ok(response) = sender.send_request(request()?).await
        {
            self.sender = Some(sender);
            return Ok(response);
        }
        let stream = TcpStream::connect(self.target.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let response = sender.send_request(request()?).await?;
        self.sender = Some(sender);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::{Tail, chat};

    #[test]
    fn requests_are_as_long_as_asked() {
        assert_eq!(chat("mock-model", 1_000, false).len(), 1_000);
        assert_eq!(chat("mock-model", 100_000, true).len(), 100_000);
    }

    #[test]
    fn events_are_counted_however_they_are_cut() {
        let stream = b"data: {}\n\ndata: {\"a\":1}\n\ndata: [DONE]\n\n";
        for size in 1..=stream.len() {
            let mut tail = Tail::default();
            let mut events = 0;
            for piece in stream.chunks(size) {
                tail.take(piece);
                events += tail.events(piece);
            }
            assert_eq!(events, 3, "in pieces of {size}");
            assert!(tail.done());
        }
        let mut cut = Tail::default();
        cut.take(b"data: {}\n\ndata: [DONE]\n");
        assert!(!cut.done());
    }
}
