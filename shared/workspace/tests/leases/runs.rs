//! Running many worlds: over all processors, each world on a thread of its own (the crate keeps some state in
//! thread-locals, as an isolate would), and what to say when one went wrong.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;

use super::engine::{Fault, Place};
use super::sqlite::MemoryDatabase;
use super::world::World;

/// Sets a world up: starts its tasks and returns its authority.
pub(crate) type Schedule = fn(&World, MemoryDatabase, Fault) -> Rc<Place>;

/// A world in which something happened that must not.
pub(crate) struct Found {
    pub(crate) seed: u64,
    pub(crate) what: String,
    pub(crate) trace: Vec<String>,
}

impl Found {
    /// For a person: what happened, and how to see it again.
    pub(crate) fn report(&self) -> String {
        let from = self.trace.len().saturating_sub(200);
        format!(
            "seed {}: {}\n(LOCKGATE_SIM_SEED={} runs this one alone; the last {} of {} notes:)\n{}",
            self.seed,
            self.what,
            self.seed,
            self.trace.len() - from,
            self.trace.len(),
            self.trace[from..].join("\n")
        )
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// How many worlds to try.
pub(crate) fn worlds(default: u64) -> u64 {
    setting("LOCKGATE_SIM_SCHEDULES").unwrap_or(default)
}

/// Tries up to `worlds` seeds and returns the first that fails, if one does; how many were run besides.
pub(crate) fn search(
    fault: Fault,
    worlds: u64,
    template: fn() -> Connection,
    schedule: Schedule,
) -> (Option<Found>, u64) {
    let seeds = match setting("LOCKGATE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..worlds,
    };
    let (next, ran) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let failed: Mutex<Option<u64>> = Mutex::new(None);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut connection = template();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || lock(&failed).is_some() {
                        break;
                    }
                    let (back, verdict) = alone(connection, seed, fault, false, schedule);
                    connection = back;
                    ran.fetch_add(1, Ordering::Relaxed);
                    if verdict.0.is_some() {
                        *lock(&failed) = Some(seed);
                    }
                }
            });
        }
    });
    let found = lock(&failed).take().map(|seed| {
        let (_, (what, trace)) = alone(template(), seed, fault, true, schedule);
        let what =
            what.unwrap_or_else(|| "it did not happen again: a world is not deterministic".into());
        Found { seed, what, trace }
    });
    (found, ran.into_inner())
}

/// The simulator must find what is wrong with `fault`.
pub(crate) fn assert_caught(fault: Fault, template: fn() -> Connection, schedule: Schedule) {
    let (found, ran) = search(fault, 20_000, template, schedule);
    match found {
        Some(Found { seed, what, .. }) => {
            println!("{fault:?}: found after {ran} schedules, seed {seed}: {what}");
        }
        None => panic!("{fault:?}: not found in {ran} schedules"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Verdict = (Option<String>, Vec<String>);

fn alone(
    connection: Connection,
    seed: u64,
    fault: Fault,
    traced: bool,
    schedule: Schedule,
) -> (Connection, Verdict) {
    let world = thread::Builder::new()
        .spawn(move || run(connection, seed, fault, traced, schedule))
        .unwrap();
    world
        .join()
        .unwrap_or_else(|_| panic!("seed {seed} panicked"))
}

fn run(
    connection: Connection,
    seed: u64,
    fault: Fault,
    traced: bool,
    schedule: Schedule,
) -> (Connection, Verdict) {
    connection.execute_batch("BEGIN").unwrap();
    let world = World::new(seed, traced);
    let place = schedule(&world, MemoryDatabase::over(connection), fault);
    world.run();
    let verdict = world.verdict();
    let Ok(place) = Rc::try_unwrap(place) else {
        panic!("a task outlived its world");
    };
    let connection = place.database.connection.into_inner();
    connection.execute_batch("ROLLBACK").unwrap();
    (connection, verdict)
}
