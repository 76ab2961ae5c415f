//! What was received, and how each request ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::http::request::Parts;

/// The headers that providers take a key from, besides `authorization: Bearer`.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// Orders the requests of all mock providers of the process.
static SEQUENCE: AtomicU64 = AtomicU64::new(1);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer was handed to the connection.
    Completed,
    /// The client closed the connection before the end of the answer, or of its own request.
    ClientLeft,
    /// The mock dropped the connection, as it was asked to.
    Broken,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Counts the requests of this provider from 1; answers carry it as `x-request-id: mock-<id>`.
    pub id: u64,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without the `?`; empty if there is none.
    pub query: String,
    /// The headers in the order of arrival, names in lower case; those of one name stand together.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it arrived.
    pub body: Vec<u8>,
    /// When the request's head arrived.
    pub started_at: Instant,
    /// Orders requests by arrival, also over several mock providers in one process.
    pub started_seq: u64,
    /// When the answer's head was handed to the connection.
    pub head_at: Option<Instant>,
    /// When it ended, if it has.
    pub ended_at: Option<Instant>,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
    /// The key it came with: the bearer token, or the content of `x-api-key` and its like.
    pub secret: Option<String>,
}

impl Recorded {
    /// The first header of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }
}

/// The key in a request's headers.
pub(crate) fn secret_of(parts: &Parts) -> Option<String> {
    let header = |name: &str| parts.headers.get(name)?.to_str().ok();
    let bearer = header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    bearer
        .or_else(|| KEY_HEADERS.iter().find_map(|name| header(name)))
        .map(str::to_owned)
}

struct Entry {
    recorded: Recorded,
    /// The body is complete, or will never be.
    received: bool,
}

#[derive(Default)]
struct State {
    last_id: u64,
    entries: Vec<Entry>,
}

/// Keeps the records of one provider.
pub(crate) struct Recorder {
    enabled: bool,
    pub(crate) origin: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

impl Recorder {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            origin: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the record of a request whose head has just arrived.
    pub(crate) fn begin(self: &Arc<Self>, parts: &Parts, secret: Option<&str>) -> Track {
        let started_at = Instant::now();
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        if self.enabled {
            let headers = parts.headers.iter().map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            });
            let recorded = Recorded {
                id,
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                headers: headers.collect(),
                body: Vec::new(),
                started_at,
                started_seq: SEQUENCE.fetch_add(1, Ordering::Relaxed),
                head_at: None,
                ended_at: None,
                outcome: None,
                secret: secret.map(str::to_owned),
            };
            state.entries.push(Entry {
                recorded,
                received: false,
            });
        }
        Track {
            recorder: Some(Arc::clone(self)),
            id,
            body: Vec::new(),
            ended: false,
        }
    }

    /// Changes a record, unless it was taken or cleared in the meantime.
    fn update(&self, id: u64, change: impl FnOnce(&mut Entry)) {
        if !self.enabled {
            return;
        }
        let mut state = self.state();
        let found = state
            .entries
            .binary_search_by_key(&id, |entry| entry.recorded.id);
        if let Some(entry) = found.ok().and_then(|at| state.entries.get_mut(at)) {
            change(entry);
            self.changed.notify_all();
        }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        copies(&self.state())
    }

    pub(crate) fn take(&self) -> Vec<Recorded> {
        let entries = std::mem::take(&mut self.state().entries);
        entries.into_iter().map(|entry| entry.recorded).collect()
    }

    /// Waits until `count` requests have arrived whole.
    pub(crate) fn wait_received(&self, count: usize, timeout: Duration) -> Option<Vec<Recorded>> {
        self.wait(count, timeout, |entry| entry.received)
    }

    /// Waits until `count` requests have ended.
    pub(crate) fn wait_ended(&self, count: usize, timeout: Duration) -> Option<Vec<Recorded>> {
        self.wait(count, timeout, |entry| entry.recorded.outcome.is_some())
    }

    fn wait(
        &self,
        count: usize,
        timeout: Duration,
        ready: impl Fn(&Entry) -> bool,
    ) -> Option<Vec<Recorded>> {
        let lacking =
            |state: &mut State| state.entries.iter().filter(|entry| ready(entry)).count() < count;
        let (state, waited) = self
            .changed
            .wait_timeout_while(self.state(), timeout, lacking)
            .unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then(|| copies(&state))
    }
}

fn copies(state: &State) -> Vec<Recorded> {
    let entries = state.entries.iter();
    entries.map(|entry| entry.recorded.clone()).collect()
}

/// Follows one request. Dropped before its end, it says that the client left: the connection drops what it was working on
/// as soon as it sees that.
pub(crate) struct Track {
    /// `None` follows nothing.
    recorder: Option<Arc<Recorder>>,
    pub(crate) id: u64,
    /// The body so far.
    pub(crate) body: Vec<u8>,
    ended: bool,
}

impl Track {
    /// For answers that are not recorded.
    pub(crate) fn none() -> Self {
        Self {
            recorder: None,
            id: 0,
            body: Vec::new(),
            ended: true,
        }
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(recorder) = &self.recorder {
            recorder.update(self.id, change);
        }
    }

    /// The body is complete.
    pub(crate) fn received(&self) {
        self.update(|entry| {
            entry.recorded.body.clone_from(&self.body);
            entry.received = true;
        });
    }

    /// The answer's head goes out.
    pub(crate) fn head(&self) {
        let now = Instant::now();
        self.update(|entry| entry.recorded.head_at = Some(now));
    }

    /// The request ended; only the first end counts.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = Instant::now();
        self.update(|entry| {
            if !entry.received {
                entry.recorded.body.clone_from(&self.body);
                entry.received = true;
            }
            entry.recorded.ended_at = Some(now);
            entry.recorded.outcome = Some(outcome);
        });
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        self.end(Outcome::ClientLeft);
    }
}
