//! Allowances, simulated and by properties (DESIGN.md, “Limits and budgets are exact under leases”): no unit is used
//! twice, and no window holds more than the limit, whatever is lost, repeated, restarted or never reported.
//!
//! What runs is `allowance` itself, its ledger stored in SQLite in the transaction that answers. Simulated are time,
//! clocks, the network and the isolates.
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use lockgate_host::{Clock as _, Database, StoreError, Tx, TxKind};
use lockgate_workspace::allowance::{Allowance, Draw, Drawn, Ledger, Window};
use proptest::prelude::*;
use rusqlite::Connection;

use super::engine::{Fault, Network, Place, SimHost};
use super::runs::{assert_caught, search, worlds};
use super::sqlite::{MemoryDatabase, now};
use super::world::{Clock, TRUE_RATE, World};

const MS: u64 = 1_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
/// Half a minute before a UTC day, which is the first of a month, ends: 2027-02-01.
const EPOCH_MS: u64 = 20_850 * DAY - MINUTE / 2;

/// What was used: when, by the authority's clock, and of which grant. The unit of the request that asks counts when it
/// was drawn.
#[derive(Default)]
struct Uses {
    used: RefCell<Vec<u64>>,
    /// By grant: units handed out, and units used.
    grants: RefCell<BTreeMap<String, (u64, u64)>>,
    drawn_at: RefCell<BTreeMap<String, u64>>,
    refused: Cell<u64>,
}

struct Sim {
    world: World,
    place: Rc<Place>,
    isolates: Vec<SimHost>,
    /// With the time at which each was asked for.
    holding: Vec<RefCell<Option<(u64, Allowance)>>>,
    uses: Rc<Uses>,
    window: Window,
    limit: u64,
    lease_ms: u64,
    drawn: Cell<u64>,
    fault: Fault,
}

/// Changes the stored ledger in one transaction.
fn with_ledger<T: Send + 'static>(
    database: &MemoryDatabase,
    change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
) -> Result<T, StoreError> {
    now(database.transact(TxKind::Write, move |tx: &mut dyn Tx| {
        let rows = tx.query("SELECT ledger FROM allowances", &[])?;
        let [lockgate_host::Value::Text(text)] = rows[0].as_slice() else {
            return Err(StoreError::Corrupt("no ledger".into()));
        };
        let mut ledger: Ledger = serde_json::from_str(text).unwrap();
        let done = change(&mut ledger);
        let text = serde_json::to_string(&ledger).unwrap();
        tx.query("UPDATE allowances SET ledger = ?1", &[text.into()])?;
        Ok(done)
    }))
}

/// When the stored ledger deducted a grant.
fn drawn_at(database: &MemoryDatabase, grant: &str) -> u64 {
    let sql = "SELECT ledger -> 'grants' -> ?1 ->> 'drawn_at' FROM allowances";
    match database.sql(sql, &[grant.into()]).unwrap()[0][0] {
        lockgate_host::Value::Integer(at) => at.try_into().unwrap(),
        ref other => panic!("{grant}: {other:?}"),
    }
}

/// Takes units out of what a ledger counts as spent: what giving back a second time would do.
fn credit(ledger: &mut Ledger, mut units: u64) {
    let mut json = serde_json::to_value(&*ledger).unwrap();
    for spent in json["spent"].as_object_mut().unwrap().values_mut() {
        let taken = units.min(spent.as_u64().unwrap());
        units -= taken;
        *spent = (spent.as_u64().unwrap() - taken).into();
    }
    *ledger = serde_json::from_value(json).unwrap();
}

impl Sim {
    fn note(&self, what: impl FnOnce() -> String) {
        self.world.note(what);
    }

    /// Counts a unit that was used at `at`, and looks whether there are too many.
    fn used(&self, grant: &str, at: u64) {
        let mut grants = self.uses.grants.borrow_mut();
        let (units, used) = grants.get_mut(grant).unwrap();
        *used += 1;
        if *used > *units {
            self.world
                .violated(|| format!("{used} units of {grant} were used, which had {units}"));
        }
        let mut all = self.uses.used.borrow_mut();
        all.push(at);
        let in_window = |from: u64, to: u64| {
            let count = all.iter().filter(|t| from <= **t && **t < to).count() as u64;
            if count > self.limit {
                self.world.violated(|| {
                    format!(
                        "{count} units were used from {from} to {to}, {} are allowed",
                        self.limit
                    )
                });
            }
        };
        match self.window {
            // Of all spans with this unit in them, those that begin with a unit hold the most.
            Window::Minute => {
                let begins = all.iter().filter(|t| **t + MINUTE > at && **t <= at);
                begins.for_each(|from| in_window(*from, from + MINUTE));
            }
            Window::Day => in_window(at / DAY * DAY, (at / DAY + 1) * DAY),
            // January 2027 ends with day 20,849.
            Window::Month if at < 20_850 * DAY => in_window(0, 20_850 * DAY),
            Window::Month => in_window(20_850 * DAY, u64::MAX),
        }
    }

    async fn request(self: Rc<Self>, isolate: usize) {
        let host = &self.isolates[isolate];
        if let Some((asked_at, held)) = &mut *self.holding[isolate].borrow_mut() {
            let by = match self.fault {
                // As if no time had passed since it was drawn.
                Fault::UseAfterLease => *asked_at,
                _ => host.monotonic_ms(),
            };
            if held.take(by, 1) {
                let at = self.place.now_ms();
                self.note(|| format!("isolate {isolate} uses one of {} at {at}", held.grant()));
                self.used(held.grant(), at);
                return;
            }
        }
        for _ in 0..4 {
            let grant = format!("{isolate}-{}", self.drawn.get());
            self.drawn.set(self.drawn.get() + 1);
            let asked_at = host.monotonic_ms();
            match self.draw(isolate, &grant).await {
                Some(Drawn::Granted { units, lease_ms }) => {
                    let at = self.uses.drawn_at.borrow()[&grant];
                    self.used(&grant, at);
                    let allowance = Allowance::new(grant, units, 1, asked_at, lease_ms);
                    let before = self.holding[isolate].replace(Some((asked_at, allowance)));
                    if let Some((_, before)) = before {
                        self.world.spawn(self.clone().give_back(isolate, before));
                    }
                    return;
                }
                Some(Drawn::Wait { retry_ms }) => {
                    self.note(|| format!("isolate {isolate} waits {retry_ms} ms"));
                    if retry_ms > 2 * self.lease_ms + 100 {
                        self.world
                            .violated(|| format!("a request is to wait {retry_ms} ms"));
                    }
                    self.world.sleep(retry_ms * MS).await;
                }
                Some(Drawn::Exhausted { .. }) => {
                    self.uses.refused.set(self.uses.refused.get() + 1);
                    return;
                }
                Some(other) => {
                    self.world.violated(|| format!("{grant}: {other:?}"));
                    return;
                }
                None => return,
            }
        }
    }

    /// Draws, and asks again where no answer comes.
    async fn draw(&self, isolate: usize, grant: &str) -> Option<Drawn> {
        let draw = Draw {
            grant: grant.to_owned(),
            least: 1,
            most: self.world.rng().between(1, 20),
            lease_ms: self.lease_ms,
        };
        for _ in 0..3 {
            let (place, uses, world) = (self.place.clone(), self.uses.clone(), self.world.clone());
            let draw = draw.clone();
            let name = format!("isolate {isolate} draws {grant}");
            let carried = self.place.carry(&name, move || {
                let (at, id) = (place.now_ms(), draw.grant.clone());
                let draw = draw.clone();
                let drawn = with_ledger(&place.database, move |ledger| {
                    let drawn = ledger.draw(at, &draw);
                    (drawn, ledger.outstanding(at))
                });
                world.note(|| format!("at {at} {id}: {drawn:?}"));
                let (drawn, outstanding) = drawn?;
                match drawn {
                    Drawn::Granted { units, .. } => {
                        uses.grants
                            .borrow_mut()
                            .entry(id.clone())
                            .or_insert((units, 0));
                        // Not always now: the answer to an earlier one may have been lost.
                        let first = drawn_at(&place.database, &id);
                        uses.drawn_at.borrow_mut().entry(id).or_insert(first);
                    }
                    Drawn::Exhausted { .. } if outstanding > 0 => {
                        world.violated(|| format!("refused while {outstanding} are outstanding"));
                    }
                    _ => {}
                }
                Ok::<_, StoreError>(drawn)
            });
            if let Ok(Ok(drawn)) = carried.await {
                return Some(drawn);
            }
        }
        None
    }

    /// Gives back what is unused, once, twice or never.
    async fn give_back(self: Rc<Self>, isolate: usize, allowance: Allowance) {
        let (grant, unused) = allowance.close();
        let returned = Rc::new(Cell::new(false));
        for _ in 0..self.world.rng().below(3) {
            let (place, world) = (self.place.clone(), self.world.clone());
            let (id, returned, fault) = (grant.clone(), returned.clone(), self.fault);
            let uses = self.uses.clone();
            let name = format!("isolate {isolate} gives back {unused} of {id}");
            let carried = self.place.carry(&name, move || {
                let (at, grant, again) = (place.now_ms(), id.clone(), returned.get());
                let back = with_ledger(&place.database, move |ledger| {
                    if again && fault == Fault::GiveBackTwice {
                        credit(ledger, unused);
                    }
                    ledger.give_back(at, &grant, unused)
                });
                world.note(|| format!("at {at} {id}: {back:?} of {unused} came back"));
                if let Ok(back) = back
                    && back > 0
                {
                    returned.set(true);
                    // What came back may not be used under this grant any more.
                    uses.grants.borrow_mut().get_mut(&id).unwrap().0 -= back;
                }
                back.map(|_| ())
            });
            let _ = carried.await;
        }
    }

    async fn traffic(self: Rc<Self>, isolate: usize, gap: u64) {
        let rng = self.world.rng();
        for _ in 0..rng.between(3, 9) {
            self.world.sleep(rng.below(gap)).await;
            for _ in 0..rng.between(1, 2) {
                self.world.spawn(self.clone().request(isolate));
            }
            if rng.percent(15) {
                let held = self.holding[isolate].take();
                if let Some((_, held)) = held {
                    self.world.spawn(self.clone().give_back(isolate, held));
                }
            }
        }
    }

    /// When everything has passed, the whole limit is there again.
    fn nothing_is_lost(&self) {
        let later = self.place.now_ms() + 40 * DAY;
        let look = move |ledger: &mut Ledger| (ledger.available(later), ledger.outstanding(later));
        let database = &self.place.database;
        // A restart may still be waiting for a transaction to break off.
        let left = with_ledger(database, look).or_else(|_| with_ledger(database, look));
        if left != Ok((self.limit, 0)) {
            self.world
                .violated(|| format!("of {} there are {left:?} left", self.limit));
        }
    }
}

fn schedule(world: &World, database: MemoryDatabase, fault: Fault) -> Rc<Place> {
    let rng = world.rng();
    let window = *rng.pick(&[Window::Minute, Window::Minute, Window::Day, Window::Month]);
    let (limit, lease_ms) = (
        rng.between(1, 20),
        *rng.pick(&[0, 50, 500, 1_000, 2_000, 10_000]),
    );
    let ledger = serde_json::to_string(&Ledger::new(window, limit)).unwrap();
    let set = "UPDATE allowances SET ledger = ?1";
    database.sql(set, &[ledger.as_str().into()]).unwrap();
    let network = Network {
        usual_us: 30 * MS,
        slow_us: (lease_ms + 500) * MS,
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
    let isolates: Vec<SimHost> = (0..rng.between(1, 3))
        .map(|n| {
            let clock = Clock::new(rate(isolates_drift), rng.below(1_000_000) * MS);
            SimHost::new(format!("isolate {n}"), &place, clock, 0, false)
        })
        .collect();
    world.note(|| format!("{limit} in a {window:?}, leases of {lease_ms} ms"));
    let sim = Rc::new(Sim {
        world: world.clone(),
        place: place.clone(),
        holding: isolates.iter().map(|_| RefCell::default()).collect(),
        isolates,
        uses: Rc::default(),
        window,
        limit,
        lease_ms,
        drawn: Cell::new(0),
        fault,
    });
    let gap = *rng.pick(&[500, 3_000, 15_000]) * MS;
    for isolate in 0..sim.isolates.len() {
        world.spawn(sim.clone().traffic(isolate, gap));
    }
    for _ in 0..rng.below(4) {
        let (sim, at) = (sim.clone(), rng.below(20 * gap));
        world.spawn(async move {
            sim.world.sleep(at).await;
            sim.place.restart();
            if sim.fault == Fault::RestartForgetsLedger {
                let (window, limit) = (sim.window, sim.limit);
                let _ = with_ledger(&sim.place.database, move |l| {
                    *l = Ledger::new(window, limit)
                });
            }
        });
    }
    world.spawn(async move {
        sim.world.sleep(600_000 * MS).await;
        sim.nothing_is_lost();
    });
    place
}

fn template() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    let make = "CREATE TABLE allowances (ledger TEXT NOT NULL); INSERT INTO allowances VALUES ('')";
    connection.execute_batch(make).unwrap();
    connection
}

#[test]
fn no_unit_is_used_twice_and_no_window_holds_more_than_the_limit() {
    let (found, ran) = search(Fault::None, worlds(20_000), template, schedule);
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
fn a_ledger_lost_in_a_restart_is_caught() {
    assert_caught(Fault::RestartForgetsLedger, template, schedule);
}

#[test]
fn an_allowance_used_after_its_lease_is_caught() {
    assert_caught(Fault::UseAfterLease, template, schedule);
}

fn draw(grant: &str, least: u64, most: u64, lease_ms: u64) -> Draw {
    Draw {
        grant: grant.into(),
        least,
        most,
        lease_ms,
    }
}

fn units(drawn: Drawn) -> u64 {
    match drawn {
        Drawn::Granted { units, .. } => units,
        _ => 0,
    }
}

#[test]
fn draws_shrink_near_the_limit_and_end_one_at_a_time() {
    let mut ledger = Ledger::new(Window::Minute, 100);
    let mut sizes = Vec::new();
    while let Drawn::Granted { units, .. } =
        ledger.draw(EPOCH_MS, &draw(&sizes.len().to_string(), 1, 50, 1_000))
    {
        sizes.push(units);
    }
    assert_eq!(sizes.iter().sum::<u64>(), 100);
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(sizes[0] == 12 && sizes.ends_with(&[1; 15]), "{sizes:?}");
}

#[test]
fn a_refusal_waits_for_what_is_outstanding_and_then_says_how_long() {
    let mut ledger = Ledger::new(Window::Minute, 2);
    assert_eq!(units(ledger.draw(1_000, &draw("a", 1, 1, 1_000))), 1);
    assert_eq!(units(ledger.draw(1_050, &draw("b", 1, 1, 1_000))), 1);
    let wait = Drawn::Wait { retry_ms: 900 };
    assert_eq!(ledger.refusal(1_200, 1), Some(wait));
    assert_eq!(ledger.draw(1_200, &draw("c", 1, 1, 1_000)), wait);
    assert_eq!(ledger.draw(1_200, &draw("c", 3, 3, 1_000)), Drawn::TooLarge);
    // What was not used comes back, once; what is never reported counts from the end of its lease.
    assert_eq!(ledger.give_back(1_300, "a", 1), 1);
    assert_eq!(ledger.give_back(1_300, "a", 1), 0);
    assert_eq!(ledger.give_back(1_300, "unknown", 1), 0);
    assert_eq!(ledger.draw(1_300, &draw("a", 1, 1, 1_000)), Drawn::Over);
    assert_eq!(units(ledger.draw(1_300, &draw("d", 1, 1, 0))), 1);
    assert_eq!(ledger.outstanding(1_300), 1);
    assert_eq!(ledger.outstanding(2_150), 0);
    assert_eq!(ledger.give_back(2_150, "b", 1), 0);
    let full = Drawn::Exhausted { retry_ms: 58_300 };
    assert_eq!(ledger.draw(3_000, &draw("e", 1, 1, 1_000)), full);
    assert_eq!(
        ledger.refusal(61_299, 1),
        Some(Drawn::Exhausted { retry_ms: 1 })
    );
    assert_eq!(ledger.refusal(61_300, 1), None);
    assert_eq!(ledger.available(62_199), 1);
    assert_eq!(ledger.available(62_200), 2);
}

#[test]
fn a_lease_ends_before_the_day_does() {
    let (mut ledger, midnight) = (Ledger::new(Window::Day, 100), 20_850 * DAY);
    let early = ledger.draw(midnight - 10_000, &draw("a", 1, 9, 1_000));
    assert_eq!(
        early,
        Drawn::Granted {
            units: 9,
            lease_ms: 1_000
        }
    );
    let late = ledger.draw(midnight - 600, &draw("b", 1, 9, 1_000));
    assert_eq!(
        late,
        Drawn::Granted {
            units: 9,
            lease_ms: 499
        }
    );
    let last = ledger.draw(midnight - 50, &draw("c", 1, 9, 1_000));
    assert_eq!(
        last,
        Drawn::Granted {
            units: 1,
            lease_ms: 0
        }
    );
    assert_eq!(ledger.available(midnight - 1), 81);
    assert_eq!(ledger.available(midnight), 100);
}

#[test]
fn a_clock_that_goes_back_frees_nothing_and_blocks_nothing_for_ever() {
    for window in [Window::Minute, Window::Day, Window::Month] {
        let mut ledger = Ledger::new(window, 2);
        let (day, year) = (20_850 * DAY, 365 * DAY);
        // The clock was a year ahead.
        assert_eq!(units(ledger.draw(day + year, &draw("a", 2, 2, 1_000))), 2);
        let before = day + year - 30_000;
        assert_eq!(units(ledger.draw(before, &draw("b", 1, 1, 1_000))), 0);
        assert_eq!(ledger.refusal(day, 1), None, "only a draw takes note of it");
        assert_eq!(units(ledger.draw(day, &draw("c", 1, 1, 1_000))), 0);
        assert_eq!(ledger.available(day + 31 * DAY), 2);
    }
}

#[test]
fn an_allowance_is_used_up_and_only_while_its_lease_holds() {
    let mut held = Allowance::new("g".into(), 5, 1, 1_000, 500);
    assert!(held.take(1_000, 1) && held.take(1_499, 2));
    assert!(!held.take(1_499, 2), "only one is left");
    assert!(!held.take(1_500, 1) && !held.take(999, 1));
    assert_eq!(held.close(), ("g".into(), 1));
}

/// A message to the ledger, some time after the last.
#[derive(Debug, Clone)]
enum Step {
    Draw(u8, u64, u64, u64),
    GiveBack(u8, u64),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let draw = (
        any::<u8>(),
        1..6u64,
        0..30u64,
        prop_oneof![Just(0), 0..3_000u64],
    )
        .prop_map(|(id, least, more, lease)| Step::Draw(id, least, least + more, lease));
    let back = (any::<u8>(), 0..40u64).prop_map(|(id, unused)| Step::GiveBack(id, unused));
    let gap = prop_oneof![4 => 0..500u64, 1 => 0..30_000u64];
    proptest::collection::vec((gap, prop_oneof![2 => draw, 1 => back]), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// At any moment, what is granted, not given back and still counted is within the limit; repeating a message changes
    /// nothing; and the state survives being stored.
    #[test]
    fn no_more_is_out_than_the_limit(
        limit in 1..60u64,
        window in prop_oneof![Just(Window::Minute), Just(Window::Day), Just(Window::Month)],
        steps in steps(),
    ) {
        let (mut ledger, mut time) = (Ledger::new(window, limit), EPOCH_MS);
        // By grant: units that may have been used, and the latest time they may have been.
        let mut out: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (gap, step) in steps {
            time += gap;
            match step {
                Step::Draw(id, least, most, lease) => {
                    let id = format!("{id}-{}", time / 120_000);
                    let drawn = ledger.draw(time, &draw(&id, least, most, lease));
                    let stored = ledger.clone();
                    prop_assert_eq!(ledger.draw(time, &draw(&id, least, most, lease)), drawn);
                    prop_assert_eq!(&stored, &ledger);
                    if let Drawn::Granted { units, lease_ms } = drawn {
                        let first = !out.contains_key(&id);
                        prop_assert!(!first || (least <= units && units <= most.max(least)));
                        out.entry(id).or_insert((units, time + lease_ms));
                    }
                    let outstanding = ledger.outstanding(time);
                    if let Drawn::Exhausted { .. } = drawn {
                        prop_assert!(ledger.available(time) + outstanding < least);
                    }
                }
                Step::GiveBack(id, unused) => {
                    let id = format!("{id}-{}", time / 120_000);
                    let back = ledger.give_back(time, &id, unused);
                    prop_assert_eq!(ledger.give_back(time, &id, unused), 0);
                    prop_assert!(back <= unused);
                    if back > 0 {
                        let (units, latest) = out.get_mut(&id).unwrap();
                        *units -= back;
                        *latest = time;
                    }
                }
            }
            let counted = |latest: u64| match window {
                Window::Minute => latest + MINUTE > time,
                _ => latest / DAY == time / DAY,
            };
            let used: u64 = out.values().filter(|(_, latest)| counted(*latest)).map(|(u, _)| u).sum();
            prop_assert!(used <= limit, "{} of {} are in use", used, limit);
            let text = serde_json::to_string(&ledger).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger.clone());
        }
    }
}
