//! The isolate's side of a lease: what may be served without asking, and what an answer is good for.
//!
//! These are the rules that whoever keeps leases has to follow; each that can be broken alone has a
//! [`Fault`](super::engine::Fault) of its own.
//!
//! 1. A lease counts from before the question was sent.
//! 2. The clock is compared with the latest it has shown here. If it went back, every lease ends, and so do those
//!    that are being asked for.
//! 3. A snapshot is never replaced by an older one, and a lease is served only from a snapshot at least as new as the
//!    one it was granted on.
//! 4. A request that has asked may be served from the answer, however late it came; others only while the lease holds.
//! 5. Nothing is refused from a snapshot.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use lockgate_workspace::lease::Lease;
use lockgate_workspace::question::{Admission, Admit, Question, Records, Reply};
use lockgate_workspace::snapshot::{Identity, KeyPointer, Snapshot};
use lockgate_workspace::{AskError, DEFAULT_WORKSPACE, ask};

use super::engine::{Fault, SimHost};

/// What a request is answered from.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) identity: Rc<Identity>,
    pub(crate) snapshot: Rc<Snapshot>,
}

/// A lease on one gateway key.
struct Held {
    lease: Lease,
    asked_at: u64,
    ends_at: u64,
    version: u64,
    identity: Rc<Identity>,
}

/// What came of asking for admission.
pub(crate) enum Asked {
    Granted(View),
    Refused(Admission),
    Failed,
}

/// What came of opening a secret.
pub(crate) enum Opened {
    Secret(String),
    /// The version is no longer in force.
    Gone,
    Failed,
}

/// One isolate. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Isolate(Rc<Memory>);

struct Memory {
    host: SimHost,
    fault: Fault,
    snapshot: RefCell<Option<Rc<Snapshot>>>,
    held: RefCell<BTreeMap<String, Held>>,
    latest: Cell<u64>,
    era: Cell<u64>,
}

impl Isolate {
    pub(crate) fn new(host: SimHost) -> Self {
        Self(Rc::new(Memory {
            fault: host.seat().place.fault,
            host,
            snapshot: RefCell::default(),
            held: RefCell::default(),
            latest: Cell::new(0),
            era: Cell::new(0),
        }))
    }

    pub(crate) fn host(&self) -> &SimHost {
        &self.0.host
    }

    /// The clock; everything is forgotten where it has stepped back (rule 2).
    pub(crate) fn look(&self) -> u64 {
        use lockgate_host::Clock;
        let now = self.0.host.monotonic_ms();
        let watched = !matches!(self.0.fault, Fault::NoStepCheck | Fault::NoWatermark);
        if now < self.0.latest.get() && watched {
            self.0.held.borrow_mut().clear();
            self.0.era.set(self.0.era.get() + 1);
        }
        self.0.latest.set(now);
        now
    }

    /// What `hash` may be served from without asking, and whether the lease should be renewed.
    pub(crate) fn held(&self, hash: &str) -> Option<(View, bool)> {
        let now = self.look();
        let held = self.0.held.borrow();
        let held = held.get(hash)?;
        let snapshot = self.0.snapshot.borrow().clone()?;
        let holds = match self.0.fault {
            Fault::NoStepCheck => now < held.ends_at,
            _ => held.lease.holds(now),
        };
        let fits = snapshot.version >= held.version || self.0.fault == Fault::OlderSnapshotWins;
        (holds && fits).then(|| {
            let identity = held.identity.clone();
            (View { identity, snapshot }, held.lease.ages(now))
        })
    }

    /// Asks for admission; `report`: with what the log has queued, as a renewal beside the traffic does.
    pub(crate) async fn ask(&self, hash: &str, report: bool) -> Asked {
        let (asked_at, era) = (self.look(), self.0.era.get());
        let admit = Admit {
            hash: hash.to_owned(),
            known: self.0.snapshot.borrow().as_ref().map(|s| s.version),
        };
        let question = match Records::new("[]".into()) {
            Some(records) if report => Question::Report {
                records,
                admit: Some(admit),
            },
            _ => Question::Admit(admit),
        };
        let settings = self.0.host.settings();
        let answered = ask(&self.0.host, &settings, DEFAULT_WORKSPACE, question).await;
        let Ok(Reply::Admission(admission)) = answered.map(|answered| answered.reply) else {
            return Asked::Failed;
        };
        let Admission::Granted {
            identity,
            lease_ms,
            version,
            snapshot,
        } = *admission
        else {
            return Asked::Refused(*admission);
        };
        let arrived_at = self.look();
        self.keep(snapshot);
        let snapshot = self.0.snapshot.borrow().clone();
        let Some(snapshot) = snapshot.filter(|s| s.version >= version) else {
            // Only where an older one has been taken over.
            return Asked::Failed;
        };
        let identity = Rc::new(identity);
        let from = match self.0.fault {
            Fault::CountFromAnswer => arrived_at,
            _ => asked_at,
        };
        if self.0.era.get() == era {
            let mut held = self.0.held.borrow_mut();
            if held.get(hash).is_none_or(|held| held.asked_at <= from) {
                let held_now = Held {
                    lease: Lease::new(from, lease_ms),
                    asked_at: from,
                    ends_at: from + lease_ms,
                    version,
                    identity: identity.clone(),
                };
                held.insert(hash.to_owned(), held_now);
            }
        }
        Asked::Granted(View { identity, snapshot })
    }

    /// Rule 3.
    fn keep(&self, snapshot: Option<Box<Snapshot>>) {
        let Some(new) = snapshot else { return };
        let mut mine = self.0.snapshot.borrow_mut();
        let newer = mine.as_ref().is_none_or(|s| s.version < new.version);
        if newer || self.0.fault == Fault::OlderSnapshotWins {
            *mine = Some(Rc::from(new));
        }
    }

    /// The sealed secret of a pointer, from KV or, where that does not show it yet, from the authority's copy.
    pub(crate) async fn open(&self, pointer: &KeyPointer) -> Opened {
        use lockgate_host::KeyValue;
        let Some(sealed) = &pointer.sealed else {
            return Opened::Gone;
        };
        if let Ok(Some(bytes)) = self.0.host.kv_get(&sealed.entry).await {
            return Opened::Secret(String::from_utf8(bytes).unwrap());
        }
        let question = Question::SealedCopy {
            provider_key: pointer.id.clone(),
            version: sealed.version,
        };
        let settings = self.0.host.settings();
        match ask(&self.0.host, &settings, DEFAULT_WORKSPACE, question).await {
            Ok(answered) => match answered.reply {
                Reply::Ciphertext(text) => Opened::Secret(text),
                _ => Opened::Failed,
            },
            Err(AskError::Denied(_)) => Opened::Gone,
            Err(_) => Opened::Failed,
        }
    }
}
