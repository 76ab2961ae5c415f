//! Who asks, and under which lease and snapshot.
//!
//! Within a lease an isolate serves from what it knows, with no hop. What is kept here is plain data: nothing of one
//! request is awaited by another.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::gateway_key::{self, KeyError, KeyHash};
use lockgate_workspace::lease::Lease;
use lockgate_workspace::question::{Admission, Admit, DataQuestion, Reply};
use lockgate_workspace::snapshot::{Identity, Snapshot};
use lockgate_workspace::{PLATFORM_WORKSPACE, Settings, ask, token_keys};

/// Gateway keys whose grants an isolate keeps at once.
const MAX_GRANTS: usize = 10_000;
/// How many of them are kept before those that have ended are dropped.
const SWEEP: usize = 500;

/// Whether a lease is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// A lease that holds is.
    Leased,
    /// The authority has to be asked now.
    Asked,
}

/// The platform's keys and prices, for managed traffic: under a lease of their own.
pub(crate) async fn platform<H: Host>(
    host: &H,
    settings: &Settings,
    freshness: Freshness,
) -> Result<Rc<Snapshot>, Refusal> {
    let (asked_at, era) = look(host);
    let epoch = host.epoch();
    let known = KNOWN.with_borrow(|known| known.platform.clone());
    if let Some(platform) = &known
        && freshness == Freshness::Leased
        && platform.lease.holds(asked_at)
        && platform.era == era
        && platform.epoch == epoch
    {
        return Ok(platform.snapshot.clone());
    }
    let known = known.map(|platform| platform.snapshot);
    let question = DataQuestion::Platform {
        known: known.as_ref().map(|snapshot| snapshot.version),
    };
    let reply = ask(host, settings, PLATFORM_WORKSPACE, question)
        .await?
        .reply;
    let Reply::Platform {
        lease_ms,
        version,
        snapshot,
    } = reply
    else {
        return Err(lockgate_workspace::AskError::Mismatch.into());
    };
    let snapshot = match (snapshot, known) {
        (Some(snapshot), _) => Rc::new(*snapshot),
        (None, Some(known)) if known.version == version => known,
        _ => return Err(lockgate_workspace::AskError::Mismatch.into()),
    };
    let platform = Platform {
        snapshot: snapshot.clone(),
        lease: Lease::new(asked_at, lease_ms),
        epoch,
        era,
    };
    KNOWN.with_borrow_mut(|known| known.platform = Some(platform));
    Ok(snapshot)
}

/// What is known of the platform's workspace.
#[derive(Clone)]
struct Platform {
    snapshot: Rc<Snapshot>,
    lease: Lease,
    epoch: Option<u64>,
    era: u64,
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Who it is, what is known of its workspace, and what its roles say.
    pub(crate) who: Rc<lockgate_routing::Caller>,
    lease: Lease,
    epoch: Option<u64>,
    /// Which of the isolate's eras the lease belongs to.
    era: u64,
    /// Whether the authority was asked for this very request, so that a refusal may be built on it.
    pub(crate) fresh: bool,
}

impl Caller {
    /// Whether its lease still holds, and no change was committed in this process since it was granted.
    pub(crate) fn holds<H: Host>(&self, host: &H) -> bool {
        let (now, era) = look(host);
        self.lease.holds(now) && self.era == era && self.epoch == host.epoch()
    }
}

struct Grant {
    caller: Caller,
    /// Whether it was used since it was granted; what is not used is not renewed.
    used: bool,
}

#[derive(Default)]
struct Known {
    grants: HashMap<KeyHash, Grant>,
    snapshots: HashMap<String, Rc<Snapshot>>,
    platform: Option<Platform>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
    /// The latest time that the clock has shown, and how often it has stepped back.
    static CLOCK: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// The time and the era. A clock that shows less than it has shown before has stepped back: nobody knows by how much
/// the leases that were measured with it are too long, so a new era begins, and every older lease has ended.
fn look<H: Host>(host: &H) -> (u64, u64) {
    let now = host.monotonic_ms();
    let (latest, era) = CLOCK.get();
    let era = if now < latest { era + 1 } else { era };
    CLOCK.set((now, era));
    (now, era)
}

/// Finds out who asks.
pub(crate) async fn caller<H: Host>(
    host: &H,
    settings: &Settings,
    key: &str,
    freshness: Freshness,
) -> Result<Caller, Refusal> {
    let hash = gateway_key::hash(key);
    if freshness == Freshness::Leased
        && let Some(caller) = leased(host, &hash)
    {
        return Ok(caller);
    }
    let workspace = match token_keys::verify_gateway_key(host, settings, key).await? {
        Ok(workspace) => workspace,
        Err(error @ KeyError::Malformed) => {
            return Err(Refusal::new(
                Code::GATEWAY_KEY_MALFORMED,
                format!("The gateway key cannot be right: {error}."),
            )
            .remedy("Copy it again, whole; it begins with lgk_ and has 72 characters."));
        }
        Err(KeyError::Forged) => return Err(unknown()),
    };
    let question = Renewal::new(host, &workspace, hash);
    let reply = ask(
        host,
        settings,
        &workspace,
        DataQuestion::Admit(question.admit()),
    )
    .await?
    .reply;
    question.take(reply)
}

fn leased<H: Host>(host: &H, hash: &KeyHash) -> Option<Caller> {
    KNOWN.with_borrow_mut(|known| {
        let grant = known.grants.get_mut(hash)?;
        if !grant.caller.holds(host) {
            return None;
        }
        grant.used = true;
        Some(grant.caller.clone())
    })
}

/// A question for a lease under way: what was known, and when it was asked.
pub(crate) struct Renewal {
    hash: KeyHash,
    known: Option<Rc<Snapshot>>,
    asked_at: u64,
    era: u64,
    epoch: Option<u64>,
}

impl Renewal {
    fn new<H: Host>(host: &H, workspace: &str, hash: KeyHash) -> Self {
        let (asked_at, era) = look(host);
        Self {
            hash,
            asked_at,
            era,
            known: KNOWN.with_borrow(|known| known.snapshots.get(workspace).cloned()),
            epoch: host.epoch(),
        }
    }

    /// The question as it is sent.
    pub(crate) fn admit(&self) -> Admit {
        Admit {
            hash: gateway_key::hash_text(&self.hash),
            known: self.known.as_ref().map(|snapshot| snapshot.version),
        }
    }

    /// Keeps what was granted, or forgets the key and says why.
    pub(crate) fn take(self, reply: Reply) -> Result<Caller, Refusal> {
        let Reply::Admission(admission) = reply else {
            return Err(lockgate_workspace::AskError::Mismatch.into());
        };
        let refusal = match *admission {
            Admission::Granted {
                identity,
                lease_ms,
                version,
                snapshot,
            } => {
                let snapshot = match (snapshot, self.known) {
                    (Some(snapshot), _) => Rc::new(*snapshot),
                    (None, Some(known)) if known.version == version => known,
                    _ => return Err(lockgate_workspace::AskError::Mismatch.into()),
                };
                let caller = Caller {
                    who: known_as(&self.hash, identity, snapshot),
                    lease: Lease::new(self.asked_at, lease_ms),
                    epoch: self.epoch,
                    era: self.era,
                    fresh: false,
                };
                keep(self.hash, caller.clone(), self.asked_at);
                return Ok(Caller {
                    fresh: true,
                    ..caller
                });
            }
            Admission::Unknown => unknown(),
            Admission::Revoked(at) => Refusal::new(
                Code::GATEWAY_KEY_REVOKED,
                format!("This gateway key was revoked at {at}."),
            )
            .remedy("Use another one, or make one under Gateway keys."),
            Admission::Expired(at) => Refusal::new(
                Code::GATEWAY_KEY_EXPIRED,
                format!("This gateway key expired at {at}."),
            )
            .remedy("Make a new one under Gateway keys, or give this one a later end."),
        };
        KNOWN.with_borrow_mut(|known| known.grants.remove(&self.hash));
        Err(refusal)
    }
}

/// The caller with what follows from its roles: what was worked out for the last grant, where nothing has changed since.
fn known_as(
    hash: &KeyHash,
    identity: Identity,
    snapshot: Rc<Snapshot>,
) -> Rc<lockgate_routing::Caller> {
    let last = KNOWN.with_borrow(|known| Some(known.grants.get(hash)?.caller.who.clone()));
    match last {
        Some(last) if last.is_for(&identity, &snapshot) => last,
        _ => Rc::new(lockgate_routing::Caller::new(identity, snapshot)),
    }
}

fn keep(hash: KeyHash, caller: Caller, now: u64) {
    KNOWN.with_borrow_mut(|known| {
        // With each grant goes what its roles were compiled to: what has ended is kept only while there is little.
        if known.grants.len() % SWEEP == SWEEP - 1 {
            known
                .grants
                .retain(|_, grant| grant.caller.lease.holds(now));
        }
        if known.grants.len() >= MAX_GRANTS && !known.grants.contains_key(&hash) {
            known.grants.clear();
            known.snapshots.clear();
        }
        let (snapshots, snapshot) = (&mut known.snapshots, &caller.who.snapshot);
        match snapshots.get_mut(&snapshot.workspace) {
            Some(newest) if newest.version >= snapshot.version => {}
            Some(newest) => *newest = snapshot.clone(),
            None => {
                snapshots.insert(snapshot.workspace.clone(), snapshot.clone());
            }
        }
        known.grants.insert(
            hash,
            Grant {
                caller,
                used: false,
            },
        );
    });
}

/// The grants of a workspace that were used and are past half of their lease, to be renewed beside the traffic.
pub(crate) fn due<H: Host>(host: &H, workspace: &str, most: usize) -> Vec<Renewal> {
    let (now, _) = look(host);
    let hashes: Vec<KeyHash> = KNOWN.with_borrow(|known| {
        let due = known.grants.iter().filter(|(_, grant)| {
            grant.used
                && grant.caller.lease.ages(now)
                && grant.caller.who.snapshot.workspace == workspace
        });
        due.map(|(hash, _)| *hash).take(most).collect()
    });
    hashes
        .into_iter()
        .map(|hash| Renewal::new(host, workspace, hash))
        .collect()
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::GATEWAY_KEY_UNKNOWN,
        "This gateway does not know the gateway key.",
    )
    .remedy("Was it made by another installation, or in a workspace that is gone? Make one under Gateway keys.")
}
