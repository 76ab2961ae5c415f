//! `ask` itself: what an acknowledgement waits for, and that the wait for a longer lease ends.

use std::rc::Rc;

use lockgate_workspace::lease::Lengths;
use lockgate_workspace::question::{Change, Question};
use lockgate_workspace::resource::Access;
use lockgate_workspace::{DEFAULT_WORKSPACE, ask};

use super::engine::{Fault, Network, Place, SimHost};
use super::schedule::template;
use super::sqlite::MemoryDatabase;
use super::states::MS;
use super::world::{Clock, TRUE_RATE, World};

/// A workspace's authority, and this isolate's way to it. Leases are 1 s long.
fn workspace(world: &World) -> (Rc<Place>, SimHost) {
    let clock = || Clock::new(TRUE_RATE, 0);
    let database = MemoryDatabase::over(template());
    let place = Place::new(world, database, clock(), Network::QUIET, Fault::None);
    let place = Rc::new(place);
    let host = SimHost::new("isolate".into(), &place, clock(), 1_000, false);
    (place, host)
}

/// Starts asking the default workspace, to be run with the world.
fn asks(world: &World, host: &SimHost, question: Question) {
    asks_of(world, host, DEFAULT_WORKSPACE, question);
}

/// Starts asking, to be run with the world.
fn asks_of(world: &World, host: &SimHost, object: &'static str, question: Question) {
    let (asker, host) = (world.clone(), host.clone());
    world.spawn(async move {
        let asked = ask(&host, host.settings(), object, question).await;
        asker.note(|| format!("{:?}", asked.map(|answered| answered.reply)));
    });
}

fn read() -> Question {
    Question::GetWorkspace(DEFAULT_WORKSPACE.into())
}

fn lengths(place: &Place) -> Lengths {
    let rows = place.database.sql("SELECT lengths FROM meta", &[]).unwrap();
    match &rows[0][0] {
        lockgate_host::Value::Text(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_is_acknowledged_a_lease_and_a_margin_after_its_commit() {
    let patch = |expect| Question::PatchWorkspace {
        reference: DEFAULT_WORKSPACE.into(),
        expect,
        name: None,
        access: Some(Access::Enforced),
        default_configuration: Change::Keep,
    };
    // What reads, and what was refused, waits for nothing.
    for (question, ms) in [(patch(None), 1_100), (patch(Some(9)), 0), (read(), 0)] {
        let world = World::new(0, true);
        let (_place, host) = workspace(&world);
        asks(&world, &host, question);
        world.run();
        assert_eq!(world.now(), ms * MS, "{:?}", world.verdict().1);
    }
}

#[test]
fn a_longer_lease_is_waited_out_once_and_then_no_more() {
    let world = World::new(0, false);
    let (place, host) = workspace(&world);
    host.configure(200);
    asks(&world, &host, read());
    asks(&world, &host, read());
    world.run();
    assert_eq!(world.now(), 1_100 * MS);
    let settled = lengths(&place);
    assert_eq!((settled.lease_ms, settled.wait_ms), (200, 200));
}

#[test]
fn each_workspace_has_its_longer_lease_retired() {
    let world = World::new(0, false);
    let workspaces = [workspace(&world), workspace(&world)];
    for ((_, host), object) in workspaces.iter().zip(["ws_one", "ws_other"]) {
        host.configure(200);
        asks_of(&world, host, object, read());
    }
    world.run();
    for (place, _) in &workspaces {
        assert_eq!(lengths(place).wait_ms, 200);
    }
}

#[test]
fn a_retirement_that_was_broken_off_is_tried_again() {
    let world = World::new(0, false);
    let (place, host) = workspace(&world);
    host.configure(200);
    place.ends_background.set(true);
    asks(&world, &host, read());
    world.run();
    assert_eq!(lengths(&place).wait_ms, 1_000);
    place.ends_background.set(false);
    // Long after it should have been done.
    let later = world.clone();
    world.spawn(async move { later.sleep(10_000 * MS).await });
    world.run();
    asks(&world, &host, read());
    world.run();
    assert_eq!(lengths(&place).wait_ms, 200);
}
