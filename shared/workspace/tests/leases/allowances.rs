//! Limits and budgets, simulated (DESIGN.md, “Limits and budgets are exact under leases”): no unit is used twice, no
//! window holds more than its limit, and what was not used comes back, whatever is lost, repeated, late, restarted or
//! never reported.
//!
//! What runs is what is served: `purse::acquire` in the isolates, `ask`, and `authority::serve` with its ledgers in SQLite.
//! Simulated are time, clocks, the network, and requests: how long they take, what they come to, and whether they are sent.
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use lockgate_host::{Clock as _, Value};
use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::allowance::Window;
use lockgate_workspace::ask;
use lockgate_workspace::lease::Lengths;
use lockgate_workspace::purse::{Each, Hold, Owner, Purse, Stopped, acquire, needs};
use lockgate_workspace::question::{DataQuestion, GrantReport, Records};
use lockgate_workspace::resource::{Budget, Limits};

use super::engine::{Fault, Network, Place, SimHost};
use super::runs::{assert_caught, search, worlds};
use super::schedule::template;
use super::sqlite::MemoryDatabase;
use super::states::{GATEWAY_KEYS, caller_id};
use super::watched::{
    BORDER, DAY, MINUTE, Use, Watched, credit, ledger, limit_of, limits, number, taken,
};
use super::world::{Clock, Rng, TRUE_RATE, World};

const MS: u64 = 1_000;
/// Half a minute before a day and a month end.
const EPOCH_MS: u64 = BORDER - MINUTE / 2;

/// The memory of an isolate. One that ends, ends with it.
struct Isolate {
    host: SimHost,
    purse: RefCell<Rc<RefCell<Purse>>>,
    flushing: Cell<bool>,
}

struct Sim {
    world: World,
    place: Rc<Place>,
    isolates: Vec<Isolate>,
    gateway_key: String,
    limits: Limits,
    budget: Option<Budget>,
    watched: Vec<Watched>,
    lease_ms: u64,
    /// When grants were drawn, by their ids' text as holds show it.
    drawn_at: RefCell<BTreeMap<String, u64>>,
    /// Whether an isolate has ended.
    ended: Cell<bool>,
    /// Whether isolates sleep through some of their flushes, as engines let them.
    sleepy: bool,
    fault: Fault,
}

impl Sim {
    /// A request has used units: those of requests when it was admitted, amounts when it ended.
    fn used(&self, hold: &Hold, (drawn_at, admitted_at): (u64, u64), spent: &Each<u64>) {
        let ended_at = self.place.now_ms();
        for watched in &self.watched {
            let (held, spent) = (
                taken(hold.taken(), watched.kind),
                taken(spent, watched.kind),
            );
            let (at, dated) = if watched.kind.starts_with("requests") {
                (admitted_at, admitted_at)
            } else {
                (ended_at, drawn_at)
            };
            if spent > held {
                let mut beyond = watched.beyond.borrow_mut();
                beyond.push((drawn_at, spent - held));
            }
            let units = spent.min(held);
            if units > 0 {
                watched.uses.borrow_mut().push(Use { at, dated, units });
                watched.check(&self.world, at, dated);
            }
        }
    }

    /// When the grant of a hold was deducted, and whether this is the request that has asked for it.
    fn drawn(&self, grant: &str) -> (u64, bool) {
        if let Some(at) = self.drawn_at.borrow().get(grant) {
            return (*at, false);
        }
        let sql = "SELECT ledger -> 'grants' -> ?1 ->> 'drawn_at' FROM ledgers
                   WHERE ledger -> 'grants' -> ?1 IS NOT NULL";
        let database = &self.place.database;
        let found = number(database, sql, &[grant.into()]);
        // Where an answer took longer than the ledger remembers, the request that asked counts when it came.
        let at = found.unwrap_or_else(|| self.place.now_ms());
        self.drawn_at.borrow_mut().insert(grant.to_owned(), at);
        (at, true)
    }

    async fn request(self: Rc<Self>, isolate: usize) {
        let me = &self.isolates[isolate];
        let (purse, host) = (me.purse.borrow().clone(), &me.host);
        let rng = self.world.rng();
        let estimate = rng.between(1, 12);
        let needs = needs(
            &self.limits,
            self.budget.as_ref(),
            estimate,
            rng.between(1, 12),
        )
        .unwrap();
        let owner = Owner {
            workspace: DEFAULT_WORKSPACE,
            gateway_key: &self.gateway_key,
        };
        let began = self.world.now();
        let more = || self.clone().flush_soon(isolate);
        let acquired = acquire(host, host.settings(), owner, &purse, &needs, more).await;
        let waited_ms = (self.world.now() - began) / MS;
        // Two leases with their margins and clocks that are slow, and what lost messages cost.
        let bound = 3 * self.lease_ms + 1_000 + 20 * self.place.network.slow_us / MS;
        if waited_ms > bound {
            self.world
                .violated(|| format!("a request was kept for {waited_ms} ms, {bound} is a lot"));
        }
        let hold = match acquired {
            Ok(hold) => hold,
            Err(Stopped::Limit(part)) => {
                self.world
                    .note(|| format!("isolate {isolate} is refused: {part:?}"));
                return;
            }
            Err(Stopped::Unanswered(error)) => {
                self.world.note(|| format!("isolate {isolate}: {error}"));
                return;
            }
        };
        let (drawn_at, own) = self.drawn(hold.grant());
        let admitted_at = if own { drawn_at } else { self.place.now_ms() };
        self.world
            .note(|| format!("isolate {isolate} takes {hold:?} at {admitted_at}"));
        let sent = rng.percent(85);
        // What is not sent is given back before it is taken for used.
        let lasts = match sent {
            true => *rng.pick(&[0, 100, 700, 3_000, 20_000, 90_000]),
            false => 3_000,
        };
        self.world.sleep(rng.below(lasts * MS + 1)).await;
        if !Rc::ptr_eq(&purse, &me.purse.borrow()) {
            // The isolate has ended in between; the provider has worked for it all the same.
            self.used(&hold, (drawn_at, admitted_at), hold.taken());
            return;
        }
        let part = |taken: u64, rng: &Rng| match rng.below(6) {
            0 => taken + rng.below(9),
            1 => taken,
            _ => rng.below(taken + 1),
        };
        let mut spent = Each::default();
        if sent {
            let taken = hold.taken();
            spent = Each {
                minute: taken.minute,
                day: taken.day,
                tokens: part(taken.tokens, rng),
                budget: part(taken.budget, rng),
            };
            self.used(&hold, (drawn_at, admitted_at), &spent);
        }
        self.world
            .note(|| format!("isolate {isolate} settles {} at {spent:?}", hold.grant()));
        purse
            .borrow_mut()
            .settle(host.monotonic_ms(), &hold, &spent);
        self.clone().flush_soon(isolate);
    }

    /// As the proxy's log does it.
    fn flush_soon(self: Rc<Self>, isolate: usize) {
        let me = &self.isolates[isolate];
        if me.flushing.replace(true) {
            return;
        }
        let wait = match self.lease_ms {
            0 => 500,
            lease => 500.min(lease / 2 + 1),
        };
        let sim = self.clone();
        self.world.spawn(async move {
            let me = &sim.isolates[isolate];
            sim.world
                .sleep(me.host.seat().clock.really(wait * MS))
                .await;
            if sim.sleepy && sim.world.rng().percent(30) {
                sim.world.sleep(sim.world.rng().below(15_000 * MS)).await;
            }
            me.flushing.set(false);
            let purse = me.purse.borrow().clone();
            purse.borrow_mut().flushed();
            let reports = purse.borrow_mut().reports(&sim.gateway_key);
            if !reports.is_empty() {
                sim.clone().report(isolate, &purse, reports).await;
            }
        });
    }

    async fn report(
        self: Rc<Self>,
        isolate: usize,
        purse: &RefCell<Purse>,
        reports: Vec<GrantReport>,
    ) {
        let me = &self.isolates[isolate];
        let mut sent = reports.clone();
        if self.fault == Fault::GiveBackWhatIsHeld {
            let parts = sent.iter_mut().flat_map(|report| &mut report.parts);
            // An authority takes no more than there are.
            parts.for_each(|part| part.returned = u64::MAX);
        }
        if self.fault == Fault::ForgetsReports {
            return;
        }
        self.world
            .note(|| format!("isolate {isolate} reports {sent:?}"));
        let question = DataQuestion::Report {
            records: Records::new("[]".into()),
            incidents: Vec::new(),
            grants: sent,
            splits: Vec::new(),
            admit: None,
        };
        let asked = ask(&me.host, me.host.settings(), DEFAULT_WORKSPACE, question).await;
        if self.fault == Fault::GiveBackTwice {
            for part in reports.iter().flat_map(|report| &report.parts) {
                let of_limit = |w: &&Watched| limit_of(w.kind) == part.limit;
                for watched in self.watched.iter().filter(of_limit) {
                    credit(&self.place.database, watched.kind, part.returned);
                }
            }
        }
        if asked.is_err() {
            let mut purse = purse.borrow_mut();
            reports.into_iter().for_each(|report| purse.untold(report));
            drop(purse);
            self.flush_soon(isolate);
        }
    }

    async fn traffic(self: Rc<Self>, isolate: usize, gap: u64) {
        let rng = self.world.rng();
        for _ in 0..rng.between(3, 9) {
            self.world.sleep(rng.below(gap)).await;
            for _ in 0..rng.between(1, 3) {
                self.world.spawn(self.clone().request(isolate));
            }
            if rng.percent(10) {
                self.end(isolate);
            }
        }
    }

    /// The isolate ends with everything that it has not said, or only its clock steps back.
    fn end(&self, isolate: usize) {
        let (me, rng) = (&self.isolates[isolate], self.world.rng());
        if rng.percent(50) {
            self.world
                .note(|| format!("isolate {isolate}: its clock steps back"));
            me.purse.borrow().borrow_mut().asks(me.host.monotonic_ms());
            me.host.seat().clock.back(rng.between(200, 5_000) * MS);
            me.purse.borrow().borrow_mut().asks(me.host.monotonic_ms());
        } else {
            self.world.note(|| format!("isolate {isolate} ends"));
            self.ended.set(true);
            me.purse
                .replace(Rc::new(RefCell::new(Purse::new(self.limits, self.budget))));
        }
    }

    /// When everything has passed, the whole limit is there again; and before, what was used is missing, and nothing else.
    fn nothing_is_lost(&self) {
        let now = self.place.now_ms();
        for watched in &self.watched {
            let Some(ledger) = ledger(&self.place.database, watched.kind) else {
                continue;
            };
            let later = now + 40 * DAY;
            let left = (ledger.available(later), ledger.outstanding(later));
            if left != (watched.whole, 0) {
                self.world.violated(|| {
                    format!(
                        "of {} {} there are {left:?} left",
                        watched.whole, watched.kind
                    )
                });
            }
            if watched.window == Window::Minute {
                continue;
            }
            let this = |dated: u64| dated >= BORDER;
            let uses = watched.uses.borrow();
            let uses = uses.iter().filter(|u| this(u.dated));
            let mut used: u64 = uses.map(|u| u.units).sum();
            if !self.ended.get() {
                let beyond = watched.beyond.borrow();
                let beyond = beyond.iter().filter(|(drawn_at, _)| this(*drawn_at));
                used += beyond.map(|b| b.1).sum::<u64>();
            }
            let expected = watched.whole.saturating_sub(used);
            let left = ledger.available(now);
            // Units are lost with an isolate that ends, where nothing is heard for so long that they are taken for used,
            // and where a draw that was refused comes again later.
            let loses = self.ended.get() || self.sleepy || self.place.network.repeated > 0;
            if left > expected || left < expected && !loses {
                self.world.violated(|| {
                    format!(
                        "{used} of {} {} were used, {left} are left",
                        watched.whole, watched.kind
                    )
                });
            }
        }
    }
}

/// Gives a gateway key these limits, and the store this length of leases. Returns the key's id.
pub(crate) fn limit(
    database: &MemoryDatabase,
    lease_ms: u64,
    limits: &Limits,
    budget: Option<&Budget>,
) -> String {
    let json = |text: serde_json::Result<String>| Value::from(text.unwrap().as_str());
    let gateway_key = caller_id(GATEWAY_KEYS[0]);
    let lengths = json(serde_json::to_string(&Lengths::new(lease_ms)));
    let limits = json(serde_json::to_string(limits));
    let budget = budget.map_or(Value::Null, |budget| json(serde_json::to_string(budget)));
    let id = gateway_key.as_str().into();
    database
        .sql("UPDATE meta SET lengths = ?1", &[lengths])
        .unwrap();
    let set = "UPDATE gateway_keys SET limits = ?1, budget = ?2 WHERE id = ?3";
    database.sql(set, &[limits, budget, id]).unwrap();
    gateway_key
}

fn schedule(world: &World, database: MemoryDatabase, fault: Fault) -> Rc<Place> {
    let rng = world.rng();
    let (limits, budget, watched) = limits(rng);
    let lease_ms = *rng.pick(&[0, 50, 500, 1_000, 2_000, 10_000]);
    let gateway_key = limit(&database, lease_ms, &limits, budget.as_ref());
    let network = Network {
        usual_us: 30 * MS,
        // An answer comes before the ledger has forgotten the question.
        slow_us: (lease_ms + 500).min(4_000) * MS,
        slow: *rng.pick(&[0, 5, 20]),
        lost: *rng.pick(&[0, 0, 10]),
        repeated: *rng.pick(&[0, 20]),
    };
    let isolates_drift = rng.percent(50);
    let rate = |drifts: bool| {
        if drifts {
            TRUE_RATE - 80_000 + rng.below(160_001)
        } else {
            TRUE_RATE
        }
    };
    let clock = Clock::new(rate(!isolates_drift), EPOCH_MS * MS);
    let place = Rc::new(Place::new(world, database, clock, network, fault));
    let isolates: Vec<Isolate> = (0..rng.between(1, 3))
        .map(|n| {
            let clock = Clock::new(rate(isolates_drift), rng.between(100_000, 1_000_000) * MS);
            Isolate {
                host: SimHost::new(format!("isolate {n}"), &place, clock, lease_ms, false),
                purse: RefCell::new(Rc::new(RefCell::new(Purse::new(limits, budget)))),
                flushing: Cell::new(false),
            }
        })
        .collect();
    world.note(|| format!("{limits:?} {budget:?}, leases of {lease_ms} ms"));
    let sim = Rc::new(Sim {
        world: world.clone(),
        place: place.clone(),
        isolates,
        gateway_key,
        limits,
        budget,
        watched,
        lease_ms,
        drawn_at: RefCell::default(),
        ended: Cell::new(false),
        sleepy: rng.percent(30),
        fault,
    });
    let gap = *rng.pick(&[500, 3_000, 15_000]) * MS;
    for isolate in 0..sim.isolates.len() {
        world.spawn(sim.clone().traffic(isolate, gap));
    }
    for _ in 0..rng.below(3) {
        let (sim, at) = (sim.clone(), rng.below(12 * gap));
        world.spawn(async move {
            sim.world.sleep(at).await;
            sim.place.restart();
            if sim.fault == Fault::RestartForgetsLedger {
                sim.place.database.sql("DELETE FROM ledgers", &[]).unwrap();
            }
        });
    }
    world.spawn(async move {
        sim.world.sleep(900_000 * MS).await;
        sim.nothing_is_lost();
    });
    place
}

#[test]
fn no_unit_is_used_twice_and_no_window_holds_more_than_its_limit() {
    let (found, ran) = search(Fault::None, worlds(3_000), template, schedule);
    if let Some(found) = found {
        panic!("{}", found.report());
    }
    println!("{ran} schedules");
}

#[test]
fn an_allowance_given_back_twice_is_caught() {
    assert_caught(Fault::GiveBackTwice, template, schedule);
}

#[test]
fn an_allowance_given_back_while_requests_hold_it_is_caught() {
    assert_caught(Fault::GiveBackWhatIsHeld, template, schedule);
}

#[test]
fn an_isolate_that_never_reports_is_caught() {
    assert_caught(Fault::ForgetsReports, template, schedule);
}

#[test]
fn a_ledger_lost_in_a_restart_is_caught() {
    assert_caught(Fault::RestartForgetsLedger, template, schedule);
}

#[test]
fn an_allowance_used_after_its_lease_is_caught() {
    assert_caught(Fault::UseAfterLease, template, schedule);
}
