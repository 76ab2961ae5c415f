//! An engine in the simulated world: `lockgate_host::Host` with a wrong clock, a network that delays, loses and
//! repeats, and an authority that restarts. What answers is the crate's own `authority`.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use lockgate_host::{
    Authority, Background, Clock as HostClock, Database, Fetch, FetchError, Headers, Host, Inbound,
    KeyValue, Misconfigured, Outbound, Random, ReadError, StoreError, Tx, TxKind, Variables,
};
use lockgate_workspace::Settings;
use lockgate_workspace::authority;

use super::sqlite::{Crash, MemoryDatabase, now};
use super::world::{Clock, TRUE_RATE, World};

/// What is deliberately done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// A write is acknowledged as soon as it is committed.
    AcknowledgeAtOnce,
    /// A write waits one lease and no margin.
    NoMargin,
    /// A restarted authority knows only the lease length in force, not the longer one still running.
    RestartForgetsLeases,
    /// The longer lease is declared over without having been waited out.
    RetireAtOnce,
    /// The isolate counts a lease from when the answer came.
    CountFromAnswer,
    /// The isolate looks only at a lease's end, and does not care that its clock stepped back.
    NoStepCheck,
    /// The isolate compares with the time of asking, and does not remember what its clock has shown since.
    NoWatermark,
    /// The isolate serves from whatever snapshot came last, under any lease.
    OtherSnapshot,
    /// Isolates and writers whose clocks differ by more than the margin: the limit of what is promised.
    TooMuchDrift,
    /// What is unused of an allowance is given back twice.
    GiveBackTwice,
    /// The isolate gives back what its requests hold, too.
    GiveBackWhatIsHeld,
    /// The isolate never says what has become of its allowances.
    ForgetsReports,
    /// The authority keeps its ledger in memory, and a restart loses it.
    RestartForgetsLedger,
    /// The isolate goes on using an allowance after its lease.
    UseAfterLease,
}

/// How the network of a world behaves.
pub(crate) struct Network {
    /// Longest usual delay of one message, µs.
    pub(crate) usual_us: u64,
    /// Longest delay of a slow one, µs.
    pub(crate) slow_us: u64,
    /// Slow messages in a hundred.
    pub(crate) slow: u64,
    /// Lost messages in a hundred, each way.
    pub(crate) lost: u64,
    /// Repeated questions in a hundred.
    pub(crate) repeated: u64,
}

impl Network {
    /// Everything arrives, at once and once.
    pub(crate) const QUIET: Self = Self {
        usual_us: 0,
        slow_us: 0,
        slow: 0,
        lost: 0,
        repeated: 0,
    };

    /// How long the next message takes, µs.
    pub(crate) fn delay(&self, world: &World) -> u64 {
        let rng = world.rng();
        let most = if rng.percent(self.slow) {
            self.slow_us
        } else {
            self.usual_us
        };
        rng.below(most + 1)
    }
}

/// The authority: its store, its clock, and how often it has been restarted.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) database: MemoryDatabase,
    pub(crate) clock: Clock,
    pub(crate) network: Network,
    pub(crate) fault: Fault,
    /// Whether engines end background work as soon as it is begun.
    pub(crate) ends_background: Cell<bool>,
    restarts: Cell<u64>,
    kv: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Place {
    pub(crate) fn new(
        world: &World,
        database: MemoryDatabase,
        clock: Clock,
        network: Network,
        fault: Fault,
    ) -> Self {
        Self {
            world: world.clone(),
            database,
            clock,
            network,
            fault,
            ends_background: Cell::new(false),
            restarts: Cell::new(0),
            kv: RefCell::default(),
        }
    }

    /// The wall clock, which expiry goes by.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.ms(self.world.now())
    }

    /// Loses everything that is not in the store: the questions under way.
    pub(crate) fn restart(&self) {
        self.world.note(|| "authority restarts".into());
        self.restarts.set(self.restarts.get() + 1);
        let crash = match self.world.rng().below(3) {
            0 => Some(Crash::BeforeCommit),
            1 => Some(Crash::AfterCommit),
            _ => None,
        };
        if let Some(crash) = crash {
            self.database.crash_next(crash);
        }
        if self.fault == Fault::RestartForgetsLeases {
            let forget =
                "UPDATE meta SET lengths = json_set(lengths, '$.wait_ms', lengths ->> 'lease_ms')";
            self.database.sql(forget, &[]).unwrap();
        }
    }

    /// Carries `work` to the authority and its result back, or loses it on the way. `work` runs again for a repeated
    /// message, whose result nobody gets.
    pub(crate) async fn carry<T: 'static>(
        self: &Rc<Self>,
        name: &str,
        work: impl Fn() -> T + 'static,
    ) -> Result<T, StoreError> {
        let (world, rng) = (&self.world, self.world.rng());
        let lost = || StoreError::Unavailable("no answer".into());
        let restarts = self.restarts.get();
        world.sleep(self.network.delay(world)).await;
        if rng.percent(self.network.lost) || self.restarts.get() != restarts {
            world.note(|| format!("{name}: the question is lost"));
            world.sleep(self.network.slow_us).await;
            return Err(lost());
        }
        let done = work();
        if rng.percent(self.network.repeated) {
            let (place, name) = (self.clone(), name.to_owned());
            world.spawn(async move {
                place.world.sleep(place.network.delay(&place.world)).await;
                place
                    .world
                    .note(|| format!("{name}: the question comes again"));
                work();
            });
        }
        world.sleep(self.network.delay(world)).await;
        if rng.percent(self.network.lost) || self.restarts.get() != restarts {
            world.note(|| format!("{name}: the answer is lost"));
            world.sleep(self.network.slow_us).await;
            return Err(lost());
        }
        Ok(done)
    }
}

/// Where one isolate, or one writer, runs.
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) place: Rc<Place>,
    pub(crate) clock: Clock,
    lease_ms: Cell<u64>,
    database: Option<AtHand>,
}

/// The engine as one request sees it.
#[derive(Clone)]
pub(crate) struct SimHost(Rc<Seat>);

impl SimHost {
    /// `at_hand`: the store is reached from here, as on Spin; otherwise the authority is another place, as on
    /// Cloudflare.
    pub(crate) fn new(
        name: String,
        place: &Rc<Place>,
        clock: Clock,
        lease_ms: u64,
        at_hand: bool,
    ) -> Self {
        Self(Rc::new(Seat {
            name,
            place: place.clone(),
            clock,
            lease_ms: Cell::new(lease_ms),
            database: at_hand.then(|| AtHand(place.clone())),
        }))
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.0
    }

    /// Settings in force here.
    pub(crate) fn settings(&self) -> &'static Settings {
        settings(self.0.lease_ms.get())
    }

    /// A new lease length has reached this place.
    pub(crate) fn configure(&self, lease_ms: u64) {
        self.0.lease_ms.set(lease_ms);
    }
}

/// The store where the code runs beside it: transactions take time and may fail, but no message is repeated.
pub(crate) struct AtHand(Rc<Place>);

impl Database for AtHand {
    async fn transact<T, E>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (place, world) = (&self.0, &self.0.world);
        world.sleep(place.network.delay(world)).await;
        let done = place.database.transact(kind, body).await;
        world.sleep(place.network.delay(world)).await;
        if world.rng().percent(place.network.lost) {
            return Err(StoreError::Unavailable("the instance lost its store".into()).into());
        }
        done
    }
}

impl Authority for SimHost {
    type Database = AtHand;

    fn database(&self) -> Option<&AtHand> {
        self.0.database.as_ref()
    }

    async fn ask(&self, _object: &str, question: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let place = self.0.place.clone();
        self.0
            .place
            .carry(&self.0.name, move || {
                let (question, now_ms) = (question.clone(), place.now_ms());
                now(authority::serve(&place.database, now_ms, question))
            })
            .await
    }

    fn epoch(&self) -> Option<u64> {
        None
    }

    fn advance_epoch(&self) {}
}

impl HostClock for SimHost {
    fn now_ms(&self) -> u64 {
        self.0.place.now_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        let us = self.0.place.world.now();
        match self.0.place.fault {
            // As if less time had passed than has.
            Fault::UseAfterLease => self.0.clock.ms(us / 8),
            _ => self.0.clock.ms(us),
        }
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        let whole = u64::try_from(duration.as_micros()).unwrap();
        let us = match self.0.place.fault {
            Fault::AcknowledgeAtOnce => 0,
            // The inverse of `Lengths::settle_ms`.
            Fault::NoMargin => whole.saturating_sub(100_000).min(whole * 10 / 11),
            _ => whole,
        };
        self.0.place.world.sleep(self.0.clock.really(us))
    }
}

impl Background for SimHost {
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let world = &self.0.place.world;
        // An engine may end background work.
        let dies_at = if self.0.place.ends_background.get() {
            world.now()
        } else if self.0.place.network.lost > 0 && world.rng().percent(30) {
            world.now() + world.rng().below(2_000_000)
        } else {
            u64::MAX
        };
        world.spawn_until(dies_at, work);
    }
}

impl KeyValue for SimHost {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // It may be slow to show what is there.
        if self.0.place.world.rng().percent(10) {
            return Ok(None);
        }
        Ok(self.0.place.kv.borrow().get(key).cloned())
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut kv = self.0.place.kv.borrow_mut();
        kv.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn kv_delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.place.kv.borrow_mut().remove(key);
        Ok(())
    }
}

impl Variables for SimHost {
    async fn variable(&self, name: &'static str) -> Result<Option<String>, Misconfigured> {
        Ok(setting(name))
    }
}

/// The settings of every simulated engine.
fn setting(name: &str) -> Option<String> {
    match name {
        "LOCKGATE_ADMIN_TOKEN" => Some("a".repeat(32)),
        "LOCKGATE_KEK" => Some("ab".repeat(32)),
        _ => None,
    }
}

/// The lease lengths that are set in simulations, ms.
pub(crate) const LENGTHS: [u64; 7] = [0, 50, 200, 500, 1_000, 2_000, 10_000];

/// Settings with one of [`LENGTHS`], read once as an isolate reads them.
pub(crate) fn settings(lease_ms: u64) -> &'static Settings {
    thread_local! {
        static LOADED: &'static BTreeMap<u64, Settings> = Box::leak(Box::new(load_all()));
    }
    LOADED.with(|loaded| &loaded[&lease_ms])
}

fn load_all() -> BTreeMap<u64, Settings> {
    let world = World::new(0, false);
    let place = Place::new(
        &world,
        MemoryDatabase::new(),
        Clock::new(TRUE_RATE, 0),
        Network::QUIET,
        Fault::None,
    );
    let clock = Clock::new(TRUE_RATE, 0);
    let host = SimHost::new(String::new(), &Rc::new(place), clock, 0, false);
    let load = |lease_ms| {
        let mut settings = now(Settings::load(&host)).unwrap();
        settings.lease_ms = lease_ms;
        (lease_ms, settings)
    };
    LENGTHS.into_iter().map(load).collect()
}

impl Random for SimHost {
    fn random(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.place.world.rng().below(256) as u8;
        }
    }
}

/// No headers.
pub(crate) struct NoHeaders;

impl Headers for NoHeaders {
    fn get(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl Fetch for SimHost {
    type Headers = NoHeaders;
    type Body = ();
    type Payload = Vec<u8>;

    async fn read(&self, _body: (), _limit: usize) -> Result<Vec<u8>, ReadError> {
        Ok(Vec::new())
    }

    async fn fetch(&self, _outbound: Outbound<'_, Self>) -> Result<Inbound<Self>, FetchError> {
        Err(FetchError::Unreachable("there is no provider here".into()))
    }
}

impl Host for SimHost {
    const ENGINE: &'static str = "simulation";
}
