//! The request log, group-committed: records queue in the isolate as JSON and go to the authority some time after the
//! response, together with what the audit log is to know of them and with the renewal of leases. A crash loses the log
//! lines younger than a flush, and of what the audit log is to know the last minute's ([`crate::incidents`]), nothing else.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use lockgate_host::Host;
use lockgate_refusal::Refusal;
use lockgate_routing::{NotReady, PassedOver};
use lockgate_workspace::question::{DataQuestion, GrantReport, Records, SplitReturn};
use lockgate_workspace::resource::{Attempt, RequestRecord, Timestamp, Tokens};
use lockgate_workspace::snapshot::KeyPointer;
use lockgate_workspace::{AskError, Settings, ask};

use crate::admission::{self, Caller};
use crate::credential::Credential;
use crate::incidents::{Due, Event, Incidents, Of};
use crate::otel::{self, Spans, Trace};
use crate::target::Target;
use crate::{limits, split};

/// Longest time a record waits; half a lease, where that is shorter, so that leases in use are renewed before they end.
const FLUSH_MS: u64 = 500;
/// A flush that has not come back after this long is taken for lost with the request it hung on.
const LOST_MS: u64 = 15_000;
/// Bytes of records that one question carries.
const GROUP_BYTES: usize = 512 << 10;
/// Bytes of records that may wait for one workspace; what comes on top is dropped (and counted).
const QUEUE_BYTES: usize = 4 << 20;
/// Leases of one workspace that one flush renews.
const RENEWALS: usize = 16;

/// A record in the making. It is filled in as the request goes, and pushed once.
#[derive(Clone)]
pub(crate) struct Draft(Rc<Inner>);

struct Inner {
    request_id: Rc<str>,
    path: String,
    at: u64,
    started: u64,
    who: Rc<lockgate_routing::Caller>,
    stream: Cell<bool>,
    route: RefCell<Option<String>>,
    provider: Cell<Option<&'static str>>,
    model: RefCell<Option<String>>,
    attempts: RefCell<Vec<Try>>,
    status: Cell<u16>,
    code: Cell<Option<&'static str>>,
    tokens: Cell<Option<Tokens>>,
    cost: Cell<Option<u64>>,
    limits: RefCell<Vec<(&'static str, String)>>,
    outcome: Cell<Option<&'static str>>,
    event: RefCell<Option<Event>>,
    trace: Cell<Option<Trace>>,
}

/// One try at one target.
pub(crate) struct Try {
    pub(crate) provider: &'static str,
    model: String,
    key: Arc<KeyPointer>,
    managed: bool,
    began: u64,
    status: Option<u16>,
    pub(crate) code: Option<&'static str>,
    milliseconds: u64,
}

impl Try {
    /// The name of the key that it was made with.
    pub(crate) fn key(&self) -> &str {
        &self.key.name
    }
}

fn paid_by(managed: bool) -> &'static str {
    if managed { "managed" } else { "byok" }
}

impl Draft {
    pub(crate) fn new<H: Host>(
        host: &H,
        started: u64,
        request_id: Rc<str>,
        path: &str,
        caller: &Caller,
    ) -> Self {
        Self(Rc::new(Inner {
            request_id,
            path: path.to_owned(),
            at: host.now_ms(),
            started,
            who: caller.who.clone(),
            stream: Cell::new(false),
            route: RefCell::new(None),
            provider: Cell::new(None),
            model: RefCell::new(None),
            attempts: RefCell::new(Vec::new()),
            status: Cell::new(0),
            code: Cell::new(None),
            tokens: Cell::new(None),
            cost: Cell::new(None),
            limits: RefCell::new(Vec::new()),
            outcome: Cell::new(None),
            event: RefCell::new(None),
            trace: Cell::new(None),
        }))
    }

    pub(crate) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The trace it belongs to, where there is one.
    pub(crate) fn trace(&self, trace: Option<Trace>) {
        self.0.trace.set(trace);
    }

    /// The workspace's id.
    pub(crate) fn workspace(&self) -> &str {
        &self.0.who.snapshot.workspace
    }

    pub(crate) fn stream(&self, stream: bool) {
        self.0.stream.set(stream);
    }

    /// Nothing is decided yet, or again.
    pub(crate) fn undecided(&self) {
        self.0.provider.set(None);
        *self.0.route.borrow_mut() = None;
        *self.0.model.borrow_mut() = None;
        *self.0.event.borrow_mut() = None;
    }

    /// The route has decided.
    pub(crate) fn route(&self, name: &str) {
        *self.0.route.borrow_mut() = Some(name.to_owned());
    }

    /// The route that decided, if one did.
    pub(crate) fn routed(&self) -> Option<String> {
        self.0.route.borrow().clone()
    }

    /// No provider key pays.
    pub(crate) fn not_ready(&self, not_ready: &NotReady<'_>) {
        *self.0.event.borrow_mut() = Event::denied(not_ready);
    }

    /// Another provider key pays than the one that the agent is pinned to.
    pub(crate) fn passed_over(&self, passed_over: &PassedOver<'_>) {
        *self.0.event.borrow_mut() = Some(Event::passed_over(passed_over));
    }

    /// Where the request is to go.
    pub(crate) fn target(&self, target: &Target<'_>) {
        // What was the matter with the one before is not this one's.
        *self.0.event.borrow_mut() = None;
        self.0.provider.set(Some(target.manifest.slug));
        *self.0.route.borrow_mut() = target.route.map(str::to_owned);
        *self.0.model.borrow_mut() =
            Some(target.model.to_owned()).filter(|model| !model.is_empty());
    }

    /// An attempt begins.
    pub(crate) fn attempt<H: Host>(&self, host: &H, target: &Target<'_>, credential: &Credential) {
        self.0.attempts.borrow_mut().push(Try {
            provider: target.manifest.slug,
            model: target.model.to_owned(),
            key: credential.key.clone(),
            managed: credential.managed,
            began: host.monotonic_ms(),
            status: None,
            code: None,
            milliseconds: 0,
        });
    }

    /// The provider gave its head, or failed without.
    pub(crate) fn head<H: Host>(&self, host: &H, status: Option<u16>) {
        if let Some(attempt) = self.0.attempts.borrow_mut().last_mut() {
            attempt.status = status;
            attempt.milliseconds = host.monotonic_ms().saturating_sub(attempt.began);
        }
    }

    /// The attempt has failed, which may not be what the client is told.
    pub(crate) fn failed(&self, code: &'static str) {
        if let Some(attempt) = self.0.attempts.borrow_mut().last_mut() {
            attempt.code = Some(code);
        }
    }

    /// The model of the last attempt.
    pub(crate) fn model(&self) -> Option<String> {
        self.0.model.borrow().clone()
    }

    /// How often a provider was asked.
    pub(crate) fn attempts(&self) -> usize {
        self.0.attempts.borrow().len()
    }

    /// Looks at each attempt.
    pub(crate) fn each_attempt(&self, each: impl FnMut(&Try)) {
        self.0.attempts.borrow().iter().for_each(each);
    }

    /// Who pays for the last attempt, and with which key.
    pub(crate) fn payer(&self) -> Option<(&'static str, String)> {
        let attempts = self.0.attempts.borrow();
        let last = attempts.last()?;
        Some((paid_by(last.managed), last.key.name.clone()))
    }

    /// What was used, and what that costs.
    pub(crate) fn used(&self, tokens: Option<Tokens>, cost: Option<u64>) {
        self.0.tokens.set(tokens);
        self.0.cost.set(cost);
    }

    /// What is left of the gateway key's limits, as headers.
    pub(crate) fn limited(&self, headers: Vec<(&'static str, String)>) {
        *self.0.limits.borrow_mut() = headers;
    }

    /// The same.
    pub(crate) fn limits(&self) -> Vec<(&'static str, String)> {
        self.0.limits.borrow().clone()
    }

    /// What the client is given.
    pub(crate) fn answered(&self, status: u16) {
        self.0.status.set(status);
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.0.status.set(refusal.code.status);
        self.0.code.set(Some(refusal.code.text));
    }

    /// How a watched stream ended, and the code of the error event where there was one.
    pub(crate) fn ended(&self, outcome: &'static str, code: Option<&'static str>) {
        self.0.outcome.set(Some(outcome));
        if code.is_some() {
            self.0.code.set(code);
        }
    }

    /// What there is to say of it, for the log and the trace.
    fn record<T>(&self, milliseconds: u64, say: impl FnOnce(&RequestRecord<'_>, &[Try]) -> T) -> T {
        let inner = &*self.0;
        let identity = &inner.who.identity;
        let route = inner.route.borrow();
        let model = inner.model.borrow();
        let tries = inner.attempts.borrow();
        let model = model.as_deref().map(Cow::Borrowed);
        let provider = inner.provider.get().map(Cow::Borrowed);
        let code = inner.code.get().map(Cow::Borrowed);
        let last = tries.last();
        let attempts = tries.iter().map(|attempt| Attempt {
            provider: Cow::Borrowed(attempt.provider),
            model: Some(Cow::Borrowed(attempt.model.as_str())).filter(|model| !model.is_empty()),
            provider_key: Some(Cow::Borrowed(&attempt.key.name)),
            credential: Some(Cow::Borrowed(paid_by(attempt.managed))),
            status: attempt.status,
            code: attempt.code.map(Cow::Borrowed),
            milliseconds: attempt.milliseconds,
        });
        let record = RequestRecord {
            id: Cow::Borrowed(&inner.request_id),
            at: Timestamp(inner.at),
            milliseconds,
            gateway_key: Cow::Borrowed(&identity.gateway_key),
            agent: Cow::Borrowed(&identity.agent),
            gateway: identity.gateway.as_deref().map(Cow::Borrowed),
            team: identity.team.as_deref().map(Cow::Borrowed),
            path: Cow::Borrowed(&inner.path),
            route: route.as_deref().map(Cow::Borrowed),
            credential: last.map(|attempt| Cow::Borrowed(paid_by(attempt.managed))),
            provider,
            model,
            provider_key: last.map(|attempt| Cow::Borrowed(attempt.key.name.as_str())),
            status: inner.status.get(),
            code,
            stream: inner.stream.get(),
            outcome: inner.outcome.get().map(Cow::Borrowed),
            tokens: inner.tokens.get(),
            cost_microusd: inner.cost.get(),
            attempts: attempts.collect(),
        };
        say(&record, &tries)
    }

    /// Adds its spans.
    fn spans<H: Host>(&self, host: &H, now: u64, spans: &mut Spans) {
        let Some(trace) = self.0.trace.get() else {
            return;
        };
        let started = self.0.started;
        self.record(now.saturating_sub(started), |record, tries| {
            let began = tries
                .iter()
                .map(|tried| tried.began.saturating_sub(started));
            let began: Vec<u64> = began.collect();
            spans.add(host, trace, self.workspace(), record, &began);
        });
    }

    /// Counts what the audit log is to know.
    fn tell(&self, incidents: &mut Incidents) {
        let inner = &*self.0;
        let Some(event) = inner.event.take() else {
            return;
        };
        let kind = event.of(Of {
            gateway_key: &inner.who.identity.gateway_key,
            agent: &inner.who.identity.agent,
            provider: inner.provider.get().unwrap_or_default(),
            model: inner.model.borrow().as_deref(),
            route: inner.route.borrow().as_deref(),
        });
        incidents.count(kind, inner.at);
    }
}

/// Appends a line with the record.
fn write(record: &RequestRecord<'_>, out: &mut Vec<u8>) {
    let length = out.len();
    if serde_json::to_writer(&mut *out, record).is_err() {
        // A vector takes every byte, and the record has only strings and numbers.
        out.truncate(length);
        return;
    }
    out.push(b'\n');
}

/// What waits for one workspace.
#[derive(Default)]
struct Waiting {
    /// Records as JSON, a line each.
    records: Vec<u8>,
    incidents: Incidents,
    /// Whether there is something to report that waits elsewhere: allowances, blocks of splits.
    more: bool,
}

#[derive(Default)]
struct Queue {
    waiting: HashMap<String, Waiting>,
    /// Spans of all workspaces.
    spans: Spans,
    /// When the flush that is under way began.
    flushing: Option<u64>,
}

impl Queue {
    /// Whether a flush is to be begun, since none is under way.
    fn begins(&mut self, now: u64) -> bool {
        let lost = |began: u64| now < began || now - began > LOST_MS;
        let idle = self.flushing.is_none_or(lost);
        if idle {
            self.flushing = Some(now);
        }
        idle
    }

    /// Takes what is to go out now: workspaces with their records and incidents.
    fn take(&mut self, now: u64) -> Vec<(String, Vec<u8>, Due)> {
        let mut ready = Vec::new();
        self.waiting.retain(|workspace, waiting| {
            let records = std::mem::take(&mut waiting.records);
            let due = waiting.incidents.due(now);
            let more = std::mem::take(&mut waiting.more);
            if !records.is_empty() || !due.is_empty() || more {
                ready.push((workspace.clone(), records, due));
            }
            !waiting.incidents.is_empty()
        });
        ready
    }

    /// Puts back what could not be told, if another try may have better luck: what the authority has refused, it would
    /// refuse for ever.
    fn untold(&mut self, workspace: &str, error: &AskError, incidents: Due) {
        if matches!(error, AskError::Unreachable(_)) && !incidents.is_empty() {
            let waiting = self.waiting.entry(workspace.to_owned()).or_default();
            waiting.incidents.put_back(incidents);
        }
    }
}

thread_local! {
    static QUEUE: RefCell<Queue> = RefCell::default();
}

/// Queues a finished record and sees to it that it will be flushed.
pub(crate) fn push<H: Host>(host: &H, settings: &Rc<Settings>, draft: Draft) {
    let now = host.monotonic_ms();
    let flush = QUEUE.with_borrow_mut(|queue| {
        let workspace = draft.workspace();
        if !queue.waiting.contains_key(workspace) {
            queue
                .waiting
                .insert(workspace.to_owned(), Waiting::default());
        }
        if let Some(waiting) = queue.waiting.get_mut(workspace) {
            draft.tell(&mut waiting.incidents);
            if waiting.records.len() < QUEUE_BYTES {
                draft.record(now.saturating_sub(draft.0.started), |record, _| {
                    write(record, &mut waiting.records);
                });
            }
        }
        draft.spans(host, now, &mut queue.spans);
        queue.begins(now)
    });
    if flush {
        begin(host, settings);
    }
}

/// Sees to it that what waits elsewhere for a workspace is reported with the next flush.
pub(crate) fn more<H: Host>(host: &H, settings: &Rc<Settings>, workspace: &str) {
    let now = host.monotonic_ms();
    let flush = QUEUE.with_borrow_mut(|queue| {
        let waiting = queue.waiting.entry(workspace.to_owned()).or_default();
        waiting.more = true;
        queue.begins(now)
    });
    if flush {
        begin(host, settings);
    }
}

/// Begins a flush in the background.
fn begin<H: Host>(host: &H, settings: &Rc<Settings>) {
    let (background, settings) = (host.clone(), settings.clone());
    host.spawn(async move { flush_later(background, settings).await });
}

async fn flush_later<H: Host>(host: H, settings: Rc<Settings>) {
    let wait = match settings.lease_ms {
        0 => FLUSH_MS,
        lease => FLUSH_MS.min(lease / 2 + 1),
    };
    host.sleep(Duration::from_millis(wait)).await;
    let now = host.monotonic_ms();
    let (ready, spans) = QUEUE.with_borrow_mut(|queue| {
        queue.flushing = None;
        (queue.take(now), std::mem::take(&mut queue.spans))
    });
    for (workspace, records, incidents) in ready {
        let mut incidents = Some(incidents);
        for group in groups(&records) {
            match incidents.take() {
                Some(incidents) => {
                    let due = admission::due(&host, &workspace, RENEWALS);
                    let grants = limits::reports(&workspace);
                    let splits = split::unused(&workspace);
                    let told = Told {
                        incidents,
                        grants,
                        splits,
                    };
                    report(&host, &settings, &workspace, group, told, due).await;
                }
                None => {
                    let nothing = Told::default();
                    report(&host, &settings, &workspace, group, nothing, Vec::new()).await;
                }
            }
        }
    }
    otel::export(&host, &settings, spans).await;
}

/// What goes out once with a workspace's records.
#[derive(Default)]
struct Told {
    incidents: Due,
    grants: Vec<GrantReport>,
    splits: Vec<SplitReturn>,
}

/// Sends one group with incidents and the first renewal in the same hop, then the other renewals. A group that cannot be
/// delivered is given up: traffic goes before its log. Where the authority could not be reached, incidents wait for the
/// next flush; they may be counted twice where only the answer was lost.
async fn report<H: Host>(
    host: &H,
    settings: &Settings,
    workspace: &str,
    records: Records,
    told: Told,
    due: Vec<admission::Renewal>,
) {
    let Told {
        incidents,
        grants,
        splits,
    } = told;
    let mut due = due.into_iter();
    let first = due.next();
    let question = DataQuestion::Report {
        records,
        incidents: incidents.told(),
        grants: grants.clone(),
        splits: splits.clone(),
        admit: first.as_ref().map(admission::Renewal::admit),
    };
    match (ask(host, settings, workspace, question).await, first) {
        (Ok(answered), Some(renewal)) => {
            // A refusal has forgotten the grant; the next request finds out why.
            let _ = renewal.take(answered.reply);
        }
        (Ok(_), None) => {}
        (Err(error), _) => {
            limits::untold(workspace, grants);
            split::untold(workspace, splits);
            QUEUE.with_borrow_mut(|queue| queue.untold(workspace, &error, incidents));
        }
    }
    for renewal in due {
        let question = DataQuestion::Admit(renewal.admit());
        if let Ok(answered) = ask(host, settings, workspace, question).await {
            let _ = renewal.take(answered.reply);
        }
    }
}

/// Cuts queued records into JSON arrays of a bounded size; one without any where there are none.
fn groups(records: &[u8]) -> Vec<Records> {
    let mut groups = Vec::new();
    let mut group = String::from("[");
    // `serde_json` escapes every line break inside a string.
    for record in std::str::from_utf8(records).unwrap_or_default().lines() {
        if group.len() > 1 && group.len() + record.len() > GROUP_BYTES {
            group.push(']');
            groups.push(Records::new(std::mem::replace(&mut group, "[".into())));
        }
        if group.len() > 1 {
            group.push(',');
        }
        group.push_str(record);
    }
    if group.len() > 1 || groups.is_empty() {
        group.push(']');
        groups.push(Records::new(group));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_workspace::question::Denial;

    fn queue() -> Queue {
        let mut queue = Queue::default();
        let waiting = queue.waiting.entry("ws_1".into()).or_default();
        waiting.incidents = crate::incidents::tests::one();
        queue
    }

    /// How many incidents go out now, and how many bytes of records.
    fn out(queue: &mut Queue, now: u64) -> Vec<(usize, usize)> {
        let ready = queue.take(now).into_iter();
        ready
            .map(|(_, records, due)| (due.told().len(), records.len()))
            .collect()
    }

    #[test]
    fn only_what_did_not_reach_the_authority_is_told_again() {
        let unreachable = AskError::Unreachable("it is down".into());
        let denied = AskError::Denied(Denial::WrongKek);
        for (error, again) in [
            (unreachable, vec![(1, 0)]),
            (denied, vec![]),
            (AskError::Mismatch, vec![]),
        ] {
            let mut queue = queue();
            let ready = queue.take(0);
            for (workspace, _, incidents) in ready {
                queue.untold(&workspace, &error, incidents);
            }
            assert_eq!(out(&mut queue, 1), again, "{error}");
        }
    }

    #[test]
    fn what_is_only_remembered_sends_nothing_and_goes_in_time() {
        let mut queue = queue();
        assert_eq!(out(&mut queue, 0), [(1, 0)]);
        assert!(out(&mut queue, 1).is_empty());
        assert!(queue.waiting.contains_key("ws_1"));
        assert!(out(&mut queue, 3_600_000).is_empty());
        assert!(queue.waiting.is_empty());
    }
}
