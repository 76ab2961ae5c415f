//! Virtual time: a seeded generator, clocks that are wrong, and an executor whose only event is a timer.
//!
//! Everything that happens follows from the seed, so a violation can be replayed with its trace.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable with any number, good enough to choose schedules.
pub(crate) struct Rng(Cell<u64>);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `n - 1`; 0 for 0.
    pub(crate) fn below(&self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }

    /// Both ends included.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True so many times in a hundred.
    pub(crate) fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// One part in a million is the unit of a clock's rate.
pub(crate) const TRUE_RATE: u64 = 1_000_000;

/// A clock that starts anywhere, runs fast or slow and may step. Timers run at its rate and do not step, as those of
/// the engines (`CLOCK_MONOTONIC`, an event loop's own time).
pub(crate) struct Clock {
    rate: u64,
    offset_us: Cell<u64>,
}

impl Clock {
    /// `rate` in parts per million of true time.
    pub(crate) fn new(rate: u64, offset_us: u64) -> Self {
        Self {
            rate,
            offset_us: Cell::new(offset_us),
        }
    }

    fn us(&self, true_us: u64) -> u64 {
        self.offset_us.get() + scaled(true_us, self.rate, TRUE_RATE)
    }

    /// What it shows.
    pub(crate) fn ms(&self, true_us: u64) -> u64 {
        self.us(true_us) / 1_000
    }

    /// Steps back. It has to have started late enough.
    pub(crate) fn back(&self, us: u64) {
        self.offset_us.set(self.offset_us.get() - us);
    }

    /// Steps forward.
    pub(crate) fn forward(&self, us: u64) {
        self.offset_us.set(self.offset_us.get() + us);
    }

    /// How long a sleep of `us` by this clock really takes.
    pub(crate) fn really(&self, us: u64) -> u64 {
        scaled(us, TRUE_RATE, self.rate)
    }
}

fn scaled(n: u64, by: u64, over: u64) -> u64 {
    // The largest world lasts minutes, so 64 bits hold the product.
    n * by / over
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Slot {
    task: Task,
    dies_at: u64,
}

struct Inner {
    rng: Rng,
    now: Cell<u64>,
    current: Cell<usize>,
    sequence: Cell<u64>,
    timers: RefCell<BinaryHeap<Reverse<(u64, u64, usize)>>>,
    slots: RefCell<Vec<Option<Slot>>>,
    trace: Option<RefCell<Vec<String>>>,
    violation: RefCell<Option<String>>,
}

/// A simulated world. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct World(Rc<Inner>);

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        Self(Rc::new(Inner {
            rng: Rng::new(seed),
            now: Cell::new(0),
            current: Cell::new(0),
            sequence: Cell::new(0),
            timers: RefCell::default(),
            slots: RefCell::default(),
            trace: traced.then(RefCell::default),
            violation: RefCell::default(),
        }))
    }

    pub(crate) fn rng(&self) -> &Rng {
        &self.0.rng
    }

    /// True time in microseconds; nobody in the world can see it.
    pub(crate) fn now(&self) -> u64 {
        self.0.now.get()
    }

    fn timer(&self, at: u64, task: usize) {
        let sequence = self.0.sequence.get();
        self.0.sequence.set(sequence + 1);
        self.0
            .timers
            .borrow_mut()
            .push(Reverse((at, sequence, task)));
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_until(u64::MAX, task);
    }

    /// Starts a task that is gone from `dies_at` on, wherever it is then.
    pub(crate) fn spawn_until(&self, dies_at: u64, task: impl Future<Output = ()> + 'static) {
        let mut slots = self.0.slots.borrow_mut();
        slots.push(Some(Slot {
            task: Box::pin(task),
            dies_at,
        }));
        self.timer(self.now(), slots.len() - 1);
    }

    /// Waits for so many microseconds of true time.
    pub(crate) fn sleep(&self, us: u64) -> Sleep {
        Sleep {
            world: self.clone(),
            until: self.now().saturating_add(us),
            set: false,
        }
    }

    /// Notes what happens, where the world is traced.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.0.trace {
            let now = self.now();
            trace.borrow_mut().push(format!(
                "{:>5}.{:03} ms  {}",
                now / 1_000,
                now % 1_000,
                what()
            ));
        }
    }

    /// Notes what must not happen; the first one counts.
    pub(crate) fn violated(&self, what: impl FnOnce() -> String) {
        let mut violation = self.0.violation.borrow_mut();
        if violation.is_none() {
            let what = what();
            self.note(|| format!("VIOLATION {what}"));
            *violation = Some(what);
        }
    }

    /// Runs until nothing is left to do, or something happened that must not.
    pub(crate) fn run(&self) {
        while self.0.violation.borrow().is_none() {
            let Some(Reverse((at, _, id))) = self.0.timers.borrow_mut().pop() else {
                break;
            };
            self.0.now.set(at.max(self.now()));
            self.0.current.set(id);
            let Some(mut slot) = self.0.slots.borrow_mut()[id].take() else {
                continue;
            };
            if slot.dies_at <= self.now() {
                self.note(|| "a background task is ended".into());
                continue;
            }
            let mut context = Context::from_waker(Waker::noop());
            if slot.task.as_mut().poll(&mut context).is_pending() {
                self.0.slots.borrow_mut()[id] = Some(slot);
            }
        }
        // Tasks hold the world; they must not outlive it.
        let left = std::mem::take(&mut *self.0.slots.borrow_mut());
        drop(left);
    }

    /// What went wrong, and the trace of a traced world.
    pub(crate) fn verdict(&self) -> (Option<String>, Vec<String>) {
        let trace = self.0.trace.as_ref().map(RefCell::take).unwrap_or_default();
        (self.0.violation.borrow_mut().take(), trace)
    }
}

/// Waits for true time.
pub(crate) struct Sleep {
    world: World,
    until: u64,
    set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.world.now() >= self.until {
            return Poll::Ready(());
        }
        if !self.set {
            self.set = true;
            self.world.timer(self.until, self.world.0.current.get());
        }
        Poll::Pending
    }
}
