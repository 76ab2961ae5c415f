//! Random worlds: how their clocks run and step, who does what when, and the store they begin with.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::authority;
use lockgate_workspace::lease::Lengths;
use lockgate_workspace::question::{Change, Envelope, Question};
use lockgate_workspace::resource::{GatewayKey, Timestamp};
use rusqlite::Connection;

use super::access::{self, AccessFacts};
use super::engine::{Fault, LENGTHS, Network, Place, SimHost, settings};
use super::isolate::Isolate;
use super::sqlite::{MemoryDatabase, now};
use super::states::{CallerFacts, Facts, GATEWAY_KEYS, KeyFacts, MS, Sim, caller_id, provider_key};
use super::world::{Clock, Rng, TRUE_RATE, World};

const EPOCH_US: u64 = 1_800_000_000_000_000;

/// How fast clocks run in one world: of isolates, and of all others. Parts per million.
fn rates(rng: &Rng, fault: Fault) -> (Vec<u64>, Vec<u64>) {
    let within = |percent: u64| -> Vec<u64> {
        let ppm = percent * 10_000;
        let rate = || match rng.below(3) {
            0 => TRUE_RATE - ppm,
            1 => TRUE_RATE + ppm,
            _ => TRUE_RATE - ppm + rng.below(2 * ppm + 1),
        };
        (0..4).map(|_| rate()).collect()
    };
    match (fault, rng.below(4)) {
        (Fault::TooMuchDrift, _) => (within(8), within(8)),
        (_, 0) => (vec![TRUE_RATE; 4], vec![TRUE_RATE; 4]),
        (_, 1) => (within(4), within(4)),
        (_, 2) => (within(8), vec![TRUE_RATE; 4]),
        _ => (vec![TRUE_RATE; 4], within(8)),
    }
}

/// One random world.
pub(crate) fn schedule(world: &World, database: MemoryDatabase, fault: Fault) -> Rc<Place> {
    let rng = world.rng();
    let (isolate_rates, other_rates) = rates(rng, fault);
    let length = *rng.pick(&LENGTHS);
    let span = length.max(200) * MS;
    let network = Network {
        usual_us: *rng.pick(&[1, 5, 30]) * MS,
        slow_us: span + span / 2,
        slow: *rng.pick(&[0, 5, 20]),
        lost: *rng.pick(&[0, 0, 5, 15]),
        repeated: *rng.pick(&[0, 5]),
    };
    // Expiry goes by the authority's clock, which is a wall clock and does not start anywhere.
    let clock = Clock::new(other_rates[0], EPOCH_US);
    let place = Rc::new(Place::new(world, database, clock, network, fault));
    let at_hand = rng.percent(25);
    let host = |name: String, rate: u64| {
        let clock = Clock::new(rate, rng.between(100_000, 1_000_000) * MS);
        SimHost::new(name, &place, clock, length, at_hand)
    };
    let isolates = (0..*rng.pick(&[2, 2, 3]))
        .map(|n: usize| Isolate::new(host(format!("isolate {n}"), isolate_rates[n])))
        .collect();
    let writers = (0..2)
        .map(|n| host(format!("writer {n}"), other_rates[n + 1]))
        .collect();
    let facts = Facts {
        workspace: 2,
        access: AccessFacts::begin(),
        keys: (0..3)
            .map(|n| {
                let facts = KeyFacts {
                    version: 1,
                    revision: 1,
                    ..KeyFacts::default()
                };
                (format!("pk_{n}"), facts)
            })
            .collect(),
        callers: GATEWAY_KEYS
            .map(|hash| {
                let facts = CallerFacts {
                    revision: 1,
                    ..CallerFacts::default()
                };
                (hash.to_owned(), facts)
            })
            .into(),
    };
    let sim = Rc::new(Sim {
        world: world.clone(),
        place: place.clone(),
        isolates,
        writers,
        facts: RefCell::new(Rc::new(facts)),
        made: Cell::new(0),
        fault,
    });
    world.note(|| {
        format!("lease {length} ms, isolates' rates {isolate_rates:?}, others' {other_rates:?}, at hand: {at_hand}")
    });
    sim.settle_into(length);
    for writer in 0..sim.writers.len() {
        world.spawn(sim.clone().writer(writer, span));
    }
    for isolate in 0..sim.isolates.len() {
        world.spawn(sim.clone().traffic(isolate, span));
        world.spawn(sim.clone().steps(isolate, span));
    }
    for _ in 0..rng.below(4) {
        let (sim, at) = (sim.clone(), rng.below(6 * span));
        world.spawn(async move {
            sim.world.sleep(at).await;
            sim.place.restart();
        });
    }
    place
}

impl Sim {
    /// The store has had this length for ever.
    fn settle_into(&self, length: u64) {
        let lengths = serde_json::to_string(&Lengths::new(length));
        let lengths = lengths.unwrap().as_str().into();
        let store = &self.place.database;
        store
            .sql("UPDATE meta SET lengths = ?1", &[lengths])
            .unwrap();
    }

    async fn writer(self: Rc<Self>, writer: usize, span: u64) {
        let rng = self.world.rng();
        for _ in 0..rng.between(2, 4) {
            self.world.sleep(rng.below(span)).await;
            if rng.percent(30) {
                let world = &self.world;
                let dies_at = world.now() + rng.below(6 * span);
                world.spawn_until(dies_at, self.clone().retire(writer));
            }
            self.write(writer).await;
        }
    }

    async fn traffic(self: Rc<Self>, isolate: usize, span: u64) {
        let rng = self.world.rng();
        for _ in 0..rng.between(1, 4) {
            self.world.sleep(rng.below(span)).await;
            self.world.spawn(self.clone().request(isolate));
        }
    }

    /// The isolate's clock steps.
    async fn steps(self: Rc<Self>, isolate: usize, span: u64) {
        let (rng, me) = (self.world.rng(), &self.isolates[isolate]);
        let clock = &me.host().seat().clock;
        for _ in 0..rng.below(4) {
            self.world.sleep(rng.below(3 * span)).await;
            match rng.below(3) {
                0 => {
                    let by = rng.below(2 * span);
                    self.world
                        .note(|| format!("isolate {isolate}: clock steps forward by {by} us"));
                    clock.forward(by);
                }
                _ => {
                    let by = rng.between(20 * MS, 2 * span);
                    self.world
                        .note(|| format!("isolate {isolate}: clock steps back by {by} us"));
                    me.look();
                    clock.back(by);
                    self.world.sleep(rng.below(by / 2)).await;
                    me.look();
                }
            }
        }
        // One that nobody can tell.
        self.world.sleep(rng.below(span)).await;
        self.world
            .note(|| format!("isolate {isolate}: clock steps back a little"));
        clock.back(rng.below(10 * MS));
    }
}

/// A store with a workspace in it, made by the questions that make one.
pub(crate) fn template() -> Connection {
    let database = MemoryDatabase::new();
    let settings = settings(1_000);
    let put = |question| {
        let envelope = Envelope {
            object: DEFAULT_WORKSPACE.into(),
            actor: "system".into(),
            keys: settings.keys.clone(),
            lease_ms: settings.lease_ms,
            question,
        };
        now(authority::process(&database, 0, envelope))
            .reply
            .unwrap()
    };
    for question in access::template() {
        put(question);
    }
    put(Question::PatchWorkspace {
        reference: "default".into(),
        expect: None,
        name: Some("workspace.2".into()),
        access: None,
        default_configuration: Change::Set(access::default_configuration()),
    });
    for n in 0..3 {
        let (key, sealed) = provider_key(n, 0);
        put(Question::CreateProviderKey {
            key: Box::new(key),
            sealed: Some(sealed),
        });
    }
    for hash in GATEWAY_KEYS {
        let key = GatewayKey {
            budget: Default::default(),
            limits: Default::default(),
            id: caller_id(hash),
            name: hash.into(),
            masked: "lgk_…wxyz".into(),
            agent: "agent_0".into(),
            gateway: None,
            configuration: None,
            team: Some("team.1".into()),
            created_by: "root".into(),
            expires_at: None,
            revoked_at: None,
            created_at: Timestamp(0),
            last_used_at: None,
            revision: 0,
        };
        put(Question::CreateGatewayKey {
            key: Box::new(key),
            hash: hash.into(),
        });
    }
    database.connection.into_inner()
}
