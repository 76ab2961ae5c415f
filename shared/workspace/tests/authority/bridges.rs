//! What a managed vault gave and is kept for others: while it stands nobody asks, and once its time is over somebody does.

use lockgate_workspace::question::{Asking, Bridge, DataQuestion, Reply, Turn};

use super::{START, Store, create_key};

const MINUTE: u64 = 60_000;
const STANDS_FOR: u64 = 60 * MINUTE;

fn turn(store: &Store, known: u64) -> Turn {
    let question = DataQuestion::TakeTurn {
        provider_key: "pk_1".into(),
        version: 1,
        kek: "kek 1".into(),
        known,
        turn_ms: 15_000,
    };
    match store.ask(question) {
        Ok(Reply::Turn(turn)) => turn,
        other => panic!("{other:?}"),
    }
}

fn gave(store: &Store, proven_at: u64) -> Bridge {
    let bridge = Bridge {
        kek: "kek_1".into(),
        sealed: format!("given at {proven_at}"),
        proven_at,
        expires_at: proven_at + STANDS_FOR,
    };
    let question = DataQuestion::EndTurn {
        provider_key: "pk_1".into(),
        version: 1,
        kek: "kek 1".into(),
        asking: Asking::Gave(bridge.clone()),
    };
    assert_eq!(store.ask(question), Ok(Reply::Done));
    bridge
}

#[test]
fn a_bridge_that_has_ended_stands_in_for_nobody() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    assert_eq!(turn(&store, 0), Turn::Ask);
    let first = gave(&store, START);
    // Nothing has removed it yet when somebody comes again.
    store.time.set(first.expires_at - 1);
    assert_eq!(turn(&store, 0), Turn::Built(first.clone()));
    store.time.set(first.expires_at);
    assert_eq!(turn(&store, 0), Turn::Ask);
    assert_eq!(turn(&store, 0), Turn::Wait);
    let second = gave(&store, first.expires_at);
    assert_eq!(turn(&store, 0), Turn::Built(second));
}

#[test]
fn whoever_has_waited_for_the_store_sees_what_happened_meanwhile() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    assert_eq!(turn(&store, 0), Turn::Ask);
    // This one read its clock before the first did, and came to the store after it.
    store.time.set(START - 200);
    assert_eq!(turn(&store, 0), Turn::Wait);
    store.time.set(START);
    let question = DataQuestion::EndTurn {
        provider_key: "pk_1".into(),
        version: 1,
        kek: "kek 1".into(),
        asking: Asking::Failed,
    };
    assert_eq!(store.ask(question), Ok(Reply::Done));
    store.time.set(START - 200);
    assert_eq!(turn(&store, 0), Turn::Hold(5_200));
    // A clock that has stepped back for good holds nobody up.
    store.time.set(START - MINUTE);
    assert_eq!(turn(&store, 0), Turn::Ask);
}
