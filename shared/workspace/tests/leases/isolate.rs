//! The isolate's side of a lease: what may be served without asking, and what an answer is good for.
//!
//! These are the rules that whoever keeps leases has to follow; each that can
//! be broken alone has a [`Fault`](super::engine::Fault) of its own.
//!
//! 1. A lease counts from before the question was sent.
//! 2. The clock is compared with the latest it has shown here. If it went back, every lease ends, and so do those
//!    that are being asked for.
//! 3. A lease is served from the snapshot that it was granted on, not from what another answer has brought since;
//!    answers overtake each other.
//! 4. A request that has asked may be served from the answer, however late it came; others only while the lease holds.
//! 5. Nothing is refused from a snapshot.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use lockgate_workspace::lease::Lease;
use lockgate_workspace::question::{Admission, Admit, DataQuestion, Records, Reply};
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
struct Grant {
    view: View,
    lease: Lease,
    ends_at: u64,
}

/// What came of asking for admission.
pub(crate) enum Asked {
    Granted(View),
    Refused(Box<Admission>),
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
    grants: RefCell<BTreeMap<String, Grant>>,
    /// The newest snapshot, which need not be sent again.
    newest: RefCell<Option<Rc<Snapshot>>>,
    latest: Cell<u64>,
    era: Cell<u64>,
}

impl Isolate {
    pub(crate) fn new(host: SimHost) -> Self {
        Self(Rc::new(Memory {
            fault: host.seat().place.fault,
            host,
            grants: RefCell::default(),
            newest: RefCell::default(),
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
            self.0.grants.borrow_mut().clear();
            self.0.era.set(self.0.era.get() + 1);
        }
        self.0.latest.set(now);
        now
    }

    /// What `hash` may be served from without asking, and whether the lease should be renewed.
    pub(crate) fn held(&self, hash: &str) -> Option<(View, bool)> {
        let now = self.look();
        let grants = self.0.grants.borrow();
        let grant = grants.get(hash)?;
        let holds = match self.0.fault {
            Fault::NoStepCheck => now < grant.ends_at,
            _ => grant.lease.holds(now),
        };
        let mut view = grant.view.clone();
        if self.0.fault == Fault::OtherSnapshot {
            view.snapshot = self.0.newest.borrow().clone()?;
        }
        holds.then_some((view, grant.lease.ages(now)))
    }

    /// Asks for admission; `report`: with what the log has queued, as a renewal beside the traffic does.
    pub(crate) async fn ask(&self, hash: &str, report: bool) -> Asked {
        let (asked_at, era) = (self.look(), self.0.era.get());
        let known = self.0.newest.borrow().clone();
        let admit = Admit {
            hash: hash.to_owned(),
            known: known.as_ref().map(|snapshot| snapshot.version),
        };
        let question = if report {
            DataQuestion::Report {
                grants: Default::default(),
                splits: Default::default(),
                records: Records::new("[]".into()),
                incidents: Vec::new(),
                admit: Some(admit),
            }
        } else {
            DataQuestion::Admit(admit)
        };
        let settings = self.0.host.settings();
        let answered = ask(&self.0.host, settings, DEFAULT_WORKSPACE, question).await;
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
            return Asked::Refused(admission);
        };
        let arrived_at = self.look();
        let snapshot = match (snapshot, known) {
            (Some(snapshot), _) => Rc::from(snapshot),
            (None, Some(known)) if known.version == version => known,
            _ => return Asked::Failed,
        };
        self.remember(&snapshot);
        let identity = Rc::new(identity);
        let view = View { identity, snapshot };
        let from = match self.0.fault {
            Fault::CountFromAnswer => arrived_at,
            _ => asked_at,
        };
        if self.0.era.get() == era {
            let grant = Grant {
                view: view.clone(),
                lease: Lease::new(from, lease_ms),
                ends_at: from + lease_ms,
            };
            self.0.grants.borrow_mut().insert(hash.to_owned(), grant);
        }
        Asked::Granted(view)
    }

    fn remember(&self, snapshot: &Rc<Snapshot>) {
        let mut newest = self.0.newest.borrow_mut();
        let newer = |known: &Rc<Snapshot>| known.version < snapshot.version;
        if newest.as_ref().is_none_or(newer) || self.0.fault == Fault::OtherSnapshot {
            *newest = Some(snapshot.clone());
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
        let question = DataQuestion::SealedCopy {
            provider_key: pointer.id.clone(),
            version: sealed.version,
        };
        let settings = self.0.host.settings();
        match ask(&self.0.host, settings, DEFAULT_WORKSPACE, question).await {
            Ok(answered) => match answered.reply {
                Reply::Ciphertext(text) => Opened::Secret(text),
                _ => Opened::Failed,
            },
            Err(AskError::Denied(_)) => Opened::Gone,
            Err(_) => Opened::Failed,
        }
    }
}
