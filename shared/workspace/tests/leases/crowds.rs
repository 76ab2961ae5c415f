//! Requests that come at once, or one after the other, against a limit that has not room for all: exactly as many pass as
//! there is room for, and none is refused for what another one will not use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lockgate_host::Clock as _;
use lockgate_workspace::allowance::Drawn;
use lockgate_workspace::purse::{Each, Owner, Purse, Stopped, acquire, needs};
use lockgate_workspace::question::{DataQuestion, Records};
use lockgate_workspace::resource::{Budget, Limits, Period};
use lockgate_workspace::{DEFAULT_WORKSPACE, ask};

use super::allowances::limit;
use super::engine::{Fault, Network, Place, SimHost};
use super::runs::search;
use super::schedule::template;
use super::sqlite::MemoryDatabase;
use super::world::{Clock, TRUE_RATE, World};

const MS: u64 = 1_000;
const NONE: Limits = Limits {
    requests_per_minute: None,
    tokens_per_minute: None,
    requests_per_day: None,
};
/// Noon.
const EPOCH_MS: u64 = 20_850 * 86_400_000 + 43_200_000;

/// Isolates with a purse each.
struct Crowd {
    world: World,
    isolates: Vec<(SimHost, RefCell<Purse>)>,
    gateway_key: String,
    limits: Limits,
    budget: Option<Budget>,
    admitted: Cell<u64>,
}

impl Crowd {
    fn new(
        world: &World,
        database: MemoryDatabase,
        isolates: u64,
        lease_ms: u64,
        (limits, budget): (Limits, Option<Budget>),
    ) -> (Rc<Self>, Rc<Place>) {
        let gateway_key = limit(&database, lease_ms, &limits, budget.as_ref());
        let network = Network {
            usual_us: 5 * MS,
            ..Network::QUIET
        };
        let clock = Clock::new(TRUE_RATE, EPOCH_MS * MS);
        let place = Rc::new(Place::new(world, database, clock, network, Fault::None));
        let isolate = |n| {
            let clock = Clock::new(TRUE_RATE, world.rng().below(1_000_000) * MS);
            let host = SimHost::new(format!("isolate {n}"), &place, clock, lease_ms, false);
            (host, RefCell::new(Purse::new(limits, budget)))
        };
        let crowd = Self {
            world: world.clone(),
            isolates: (0..isolates).map(isolate).collect(),
            gateway_key,
            limits,
            budget,
            admitted: Cell::new(0),
        };
        (Rc::new(crowd), place)
    }

    /// One that may take so much, and comes to `spent`, or is never done.
    async fn request(&self, isolate: usize, amount: u64, spent: Option<u64>) -> Option<Drawn> {
        let (host, purse) = &self.isolates[isolate];
        let needs = needs(&self.limits, self.budget.as_ref(), amount, amount).unwrap();
        let owner = Owner {
            workspace: DEFAULT_WORKSPACE,
            gateway_key: &self.gateway_key,
        };
        match acquire(host, host.settings(), owner, purse, &needs, || ()).await {
            Ok(hold) => {
                self.admitted.set(self.admitted.get() + 1);
                if let Some(amount) = spent {
                    self.world.sleep(300 * MS).await;
                    let spent = Each {
                        minute: 1,
                        day: 1,
                        tokens: amount,
                        budget: amount,
                    };
                    let now = host.monotonic_ms();
                    purse.borrow_mut().settle(now, &hold, &spent);
                }
                None
            }
            Err(Stopped::Limit(part)) => Some(part.drawn),
            Err(Stopped::Unanswered(error)) => panic!("{error}"),
        }
    }

    async fn flush(&self, isolate: usize) {
        let (host, purse) = &self.isolates[isolate];
        purse.borrow_mut().flushed();
        let grants = purse.borrow_mut().reports(&self.gateway_key);
        let question = DataQuestion::Report {
            records: Records::new("[]".into()),
            incidents: Vec::new(),
            grants,
            splits: Vec::new(),
            admit: None,
        };
        let told = ask(host, host.settings(), DEFAULT_WORKSPACE, question);
        told.await.unwrap();
    }

    fn expect(&self, admitted: u64) {
        let found = self.admitted.get();
        if found != admitted {
            self.world
                .violated(|| format!("{found} were admitted, not {admitted}"));
        }
    }
}

/// A limit with room for ten that need five of it each.
fn room_for_ten(world: &World) -> (Limits, Option<Budget>) {
    let (requests, tokens) = (Some(10), Some(54));
    let budget = |period| Budget {
        amount_microusd: 54,
        period,
    };
    match world.rng().below(5) {
        0 => (
            Limits {
                requests_per_minute: requests,
                ..NONE
            },
            None,
        ),
        1 => (
            Limits {
                requests_per_day: requests,
                ..NONE
            },
            None,
        ),
        2 => (
            Limits {
                tokens_per_minute: tokens,
                ..NONE
            },
            None,
        ),
        3 => (NONE, Some(budget(Period::Day))),
        _ => (
            Limits {
                requests_per_minute: Some(1_000),
                tokens_per_minute: tokens,
                ..NONE
            },
            Some(budget(Period::Month)),
        ),
    }
}

fn run(schedule: super::runs::Schedule) {
    let (found, _) = search(Fault::None, 200, template, schedule);
    if let Some(found) = found {
        panic!("{}", found.report());
    }
}

#[test]
fn sixty_four_at_once_against_ten_are_ten() {
    run(|world, database, _| {
        let (isolates, lease_ms) = (
            world.rng().between(1, 4),
            *world.rng().pick(&[0, 200, 1_000]),
        );
        let limits = room_for_ten(world);
        let (crowd, place) = Crowd::new(world, database, isolates, lease_ms, limits);
        for n in 0..64 {
            let crowd = crowd.clone();
            let spread = *world.rng().pick(&[1, 200]);
            world.spawn(async move {
                let world = &crowd.world;
                world.sleep(world.rng().below(spread * MS)).await;
                crowd.request(n % isolates as usize, 5, None).await;
            });
        }
        let world = world.clone();
        world.clone().spawn(async move {
            world.sleep(20_000 * MS).await;
            crowd.expect(10);
        });
        place
    });
}

#[test]
fn one_after_the_other_pass_though_each_is_estimated_at_the_whole_limit() {
    run(|world, database, _| {
        let lease_ms = *world.rng().pick(&[0, 200, 1_000]);
        let (_, budget) = room_for_ten(world);
        let limits = Limits {
            tokens_per_minute: Some(54),
            ..NONE
        };
        let (crowd, place) = Crowd::new(world, database, 1, lease_ms, (limits, budget));
        world.spawn(async move {
            for n in 0..20 {
                // What the last one did not need was not reported, or not yet.
                let refused = crowd.request(0, 54 - n, Some(1)).await;
                if let Some(refused) = refused {
                    crowd.world.violated(|| format!("{n}: {refused:?}"));
                }
                if crowd.world.rng().percent(50) {
                    crowd.flush(0).await;
                }
            }
            crowd.expect(20);
        });
        place
    });
}

#[test]
fn a_request_waits_for_what_another_isolate_may_give_back() {
    run(|world, database, _| {
        let limits = Limits {
            requests_per_minute: Some(64),
            ..NONE
        };
        let (crowd, place) = Crowd::new(world, database, 2, 1_000, (limits, None));
        world.spawn(async move {
            let world = &crowd.world;
            for _ in 0..8 {
                crowd.request(0, 0, Some(0)).await;
            }
            // The next draw takes more than it needs.
            crowd.flush(0).await;
            crowd.request(0, 0, Some(0)).await;
            for n in 0..56 {
                let other = crowd.clone();
                world.spawn(async move {
                    let refused = other.request(1, 0, None).await;
                    let told = matches!(refused, None | Some(Drawn::Exhausted { .. }));
                    if !told {
                        other.world.violated(|| format!("{n}: {refused:?}"));
                    }
                });
            }
            world.sleep(400 * MS).await;
            // An eighth of what was left was drawn, and one of it used: six are waited for.
            crowd.expect(58);
            crowd.flush(0).await;
            world.sleep(5_000 * MS).await;
            crowd.expect(64);
        });
        place
    });
}
