//! Leases, simulated (DESIGN.md, “Admission by lease”): over random schedules no request that starts after a write
//! was acknowledged is served from a state older than that write.
//!
//! What runs is what is served: `ask` with its waiting and retiring, `lease`, and `authority::serve` (or, with the
//! store at hand as on Spin, `authority::process`) over SQLite. Simulated are time, clocks, the network, the engine
//! and the isolate's memory ([`isolate`]).
//!
//! The simulator is the project's own and not a model checker: what is checked is the code that is served, with its
//! SQL, and neither a database nor a drifting clock has a state space that could be listed.
//!
//! What the clocks may do, and the protocol promises to bear:
//! - start anywhere; timers and clocks of one place run at one rate;
//! - between any two places differ in rate by less than the margin of 10 %: all within 4 % of true time, or one side
//!   (isolates, or writers) within 8 % and the other true. Both sides 8 % apart in opposite directions is more than
//!   the margin, and is found ([`Fault::TooMuchDrift`]);
//! - step forward by any length, and back by any length while the isolate is busy, that is, where it looks at its
//!   clock before and after within less time than the step. A step that no look can tell may be as long as what the
//!   margin leaves beside the drift, here 10 ms.
//!
//! `LOCKGATE_SIM_SCHEDULES` sets how many schedules are run (default 20,000), `LOCKGATE_SIM_SEED` runs one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "leases/access.rs"]
mod access;
#[path = "leases/allowances.rs"]
mod allowances;
#[path = "leases/asking.rs"]
mod asking;
#[path = "leases/crowds.rs"]
mod crowds;
#[path = "leases/engine.rs"]
mod engine;
#[path = "leases/isolate.rs"]
mod isolate;
#[path = "leases/ledger.rs"]
mod ledger;
#[path = "leases/purse.rs"]
mod purse;
#[path = "leases/runs.rs"]
mod runs;
#[path = "support/sample.rs"]
mod sample;
#[path = "leases/schedule.rs"]
mod schedule;
#[path = "support/sqlite.rs"]
mod sqlite;
#[path = "leases/states.rs"]
mod states;
#[path = "leases/watched.rs"]
mod watched;
#[path = "leases/world.rs"]
mod world;

use std::sync::atomic::Ordering;
use std::time::Instant;

use engine::Fault;
use runs::{assert_caught, search, worlds};
use schedule::{schedule, template};
use states::{ACKNOWLEDGED, RETIRED, SERVED_AFTER_ASKING, SERVED_UNDER_LEASE};

#[test]
fn no_request_is_served_from_a_state_older_than_an_acknowledged_write() {
    let began = Instant::now();
    let (found, ran) = search(Fault::None, worlds(20_000), template, schedule);
    if let Some(found) = found {
        panic!("{}", found.report());
    }
    let counters = [
        ("served under a lease", &SERVED_UNDER_LEASE),
        ("served after asking", &SERVED_AFTER_ASKING),
        ("writes acknowledged", &ACKNOWLEDGED),
        ("longer leases retired", &RETIRED),
    ];
    println!("{ran} schedules in {:?}", began.elapsed());
    for (what, counter) in counters {
        let n = counter.load(Ordering::Relaxed);
        println!("{n:>9} {what}");
        assert!(
            n > ran / 20,
            "{n} {what} in {ran} schedules: nothing is being tested"
        );
    }
}

#[test]
fn a_write_acknowledged_at_once_is_caught() {
    assert_caught(Fault::AcknowledgeAtOnce, template, schedule);
}

#[test]
fn a_wait_without_margin_is_caught() {
    assert_caught(Fault::NoMargin, template, schedule);
}

#[test]
fn a_restart_that_forgets_longer_leases_is_caught() {
    assert_caught(Fault::RestartForgetsLeases, template, schedule);
}

#[test]
fn a_longer_lease_retired_at_once_is_caught() {
    assert_caught(Fault::RetireAtOnce, template, schedule);
}

#[test]
fn a_lease_counted_from_the_answer_is_caught() {
    assert_caught(Fault::CountFromAnswer, template, schedule);
}

#[test]
fn an_isolate_blind_to_a_clock_stepping_back_is_caught() {
    assert_caught(Fault::NoStepCheck, template, schedule);
}

#[test]
fn comparing_only_with_the_time_of_asking_is_caught() {
    assert_caught(Fault::NoWatermark, template, schedule);
}

#[test]
fn a_snapshot_served_under_another_lease_is_caught() {
    assert_caught(Fault::OtherSnapshot, template, schedule);
}

/// Not a fault of the code: the limit of what the margin of 10 % can bear, so that nobody promises more.
#[test]
fn clocks_further_apart_than_the_margin_are_caught() {
    assert_caught(Fault::TooMuchDrift, template, schedule);
}
