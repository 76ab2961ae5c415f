//! Entries that nothing points to: remembered before they are written and until they are removed.

use lockgate_workspace::PLATFORM_WORKSPACE;
use lockgate_workspace::question::Housekeeping;
use lockgate_workspace::resource::{Access, Timestamp, Workspace};

use super::*;

const KV: Vault = Managed("vault-kv");
const MINUTE: u64 = 60_000;
const NONE: [&str; 0] = [];

fn keys() -> Arc<Keyring> {
    keyring(&[Local(1), KV], &[])
}

fn entry(id: &str, version: u64) -> String {
    at(id, version, KV).entry
}

/// Claims what is left over.
fn leftovers(store: &Store, object: &str, before: u64, limit: u32) -> Vec<String> {
    let question = Question::ClaimLeftovers {
        before: Timestamp(before),
        limit,
    };
    match store.outcome(&keys(), object, question).reply {
        Ok(Reply::Entries(entries)) => entries,
        other => panic!("{other:?}"),
    }
}

fn housekeep(store: &Store) {
    let work = Housekeeping {
        log_before: Timestamp(0),
        usage_before: Timestamp(0),
        most: 10,
    };
    store.ask(&keys(), Question::Housekeep(work)).unwrap();
}

fn saved(id: &str) -> Store {
    let store = Store::new();
    store.ask(&keys(), intend(id, 1, KV)).unwrap();
    store.ask(&keys(), create(id, KV)).unwrap();
    store
}

#[test]
fn an_intent_is_a_leftover_until_something_points_to_it() {
    let store = Store::new();
    let keys = keys();
    store.ask(&keys, intend("pk_1", 1, KV)).unwrap();
    // Said again, it is the same.
    store.time.set(START + MINUTE);
    store.ask(&keys, intend("pk_1", 1, KV)).unwrap();
    assert_eq!(leftovers(&store, DEFAULT_WORKSPACE, START, 9), NONE);
    let since = format!("SELECT entry FROM leftovers WHERE since = {START}");
    assert_eq!(store.texts(&since), [entry("pk_1", 1)]);
    store.ask(&keys, create("pk_1", KV)).unwrap();
    assert!(store.left().is_empty());
    // Said once more, late: the entry is in use.
    store.ask(&keys, intend("pk_1", 1, KV)).unwrap();
    assert_eq!(
        leftovers(&store, DEFAULT_WORKSPACE, START + 2 * MINUTE, 9),
        NONE
    );
    assert!(store.left().is_empty());
}

/// Somebody writes into a vault's own store so slowly that the scheduled work removes it beside him.
#[test]
fn what_is_claimed_never_comes_into_force() {
    let store = Store::new();
    let keys = keys();
    store.ask(&keys, intend("pk_1", 1, KV)).unwrap();
    store.time.set(START + MINUTE);
    store.ask(&keys, intend("pk_2", 1, KV)).unwrap();
    let claimed = |minute: u64, limit| {
        store.time.set(START + minute * MINUTE);
        let before = START + (minute - 10) * MINUTE;
        leftovers(&store, DEFAULT_WORKSPACE, before, limit)
    };
    let [first, second] = ["pk_1", "pk_2"].map(|id| entry(id, 1));
    assert_eq!(claimed(12, 1), std::slice::from_ref(&first));
    let late = store.ask(&keys, create("pk_1", KV));
    assert!(matches!(late, Err(Denial::InUse(_))), "{late:?}");
    // Whoever claimed it has ended, or could not remove it. The other one comes first, and then both again.
    assert_eq!(claimed(23, 1), std::slice::from_ref(&second));
    assert_eq!(claimed(24, 9), std::slice::from_ref(&first));
    assert_eq!(claimed(32, 9), NONE, "somebody may be at it");
    assert_eq!(claimed(35, 9), [second, first]);
}

#[test]
fn the_oldest_come_first_and_not_too_many() {
    let store = Store::new();
    let keys = keys();
    for (at, id) in [(3, "pk_1"), (1, "pk_2"), (2, "pk_3"), (2, "pk_0")] {
        store.time.set(START + at);
        store.ask(&keys, intend(id, 1, KV)).unwrap();
    }
    let of = |limit| leftovers(&store, DEFAULT_WORKSPACE, START + MINUTE, limit);
    let order = ["pk_2", "pk_0", "pk_3", "pk_1"].map(|id| entry(id, 1));
    assert_eq!(of(2), order[..2]);
    store
        .ask(&keys, Question::Forgotten(order[..2].to_vec()))
        .unwrap();
    assert_eq!(of(9), order[2..]);
    let other = "ws_otheraaaaaaaaaaa";
    let elsewhere = Question::Forgotten(order.to_vec());
    store.outcome(&keys, other, elsewhere).reply.unwrap();
    assert_eq!(store.left().len(), 2, "they are not that workspace's");
}

#[test]
fn a_deleted_keys_entries_are_left_over() {
    let store = saved("pk_1");
    let keys = keys();
    store.ask(&keys, intend("pk_1", 2, KV)).unwrap();
    store.ask(&keys, rotate("pk_1", 2, KV)).unwrap();
    let Ok(Reply::Entries(mut entries)) = store.ask(&keys, delete("pk_1")) else {
        panic!("refused");
    };
    entries.sort();
    assert_eq!(entries, [entry("pk_1", 1), entry("pk_1", 2)]);
    assert_eq!(store.left(), entries);
}

/// A rotation forgets the old secret itself; where it did not come to that, the scheduled work does, later.
#[test]
fn a_replaced_version_is_swept_by_whoever_comes_to_it() {
    let store = saved("pk_1");
    let keys = keys();
    store.ask(&keys, intend("pk_1", 2, KV)).unwrap();
    store.ask(&keys, rotate("pk_1", 2, KV)).unwrap();
    housekeep(&store);
    assert!(store.left().is_empty(), "whoever rotated it is still there");
    store.time.set(START + 10 * MINUTE + 1);
    housekeep(&store);
    assert_eq!(store.left(), [entry("pk_1", 1)]);
    let versions = "SELECT entry FROM provider_key_versions WHERE entry IS NOT NULL";
    assert_eq!(store.texts(versions), [entry("pk_1", 2)]);
    // It is swept once.
    let sweep = Question::SweepProviderKey { id: "pk_1".into() };
    assert_eq!(store.ask(&keys, sweep), Ok(Reply::Entries(Vec::new())));
}

/// A removed workspace's are the default one's to remove where they share a store.
#[test]
fn a_removed_workspaces_entries_are_left_to_the_default_one() {
    let store = saved("pk_1");
    let keys = keys();
    let team = Workspace {
        id: "ws_otheraaaaaaaaaaa".into(),
        name: "team".into(),
        plan: "free".into(),
        access: Access::Enforced,
        default_configuration: None,
        created_at: Timestamp(START),
        revision: 1,
    };
    let ask = |question| store.outcome(&keys, &team.id, question).reply;
    store
        .ask(&keys, Question::CreateWorkspace(team.clone()))
        .unwrap();
    ask(intend("pk_2", 1, KV)).unwrap();
    ask(create("pk_2", KV)).unwrap();
    ask(intend("pk_2", 2, KV)).unwrap();
    let all = [entry("pk_2", 1), entry("pk_2", 2)];
    let of = |object: &str| leftovers(&store, object, START + 1, 9);
    assert_eq!(of(&team.id), all[1..]);
    assert_eq!(of(DEFAULT_WORKSPACE), NONE);
    assert_eq!(
        ask(Question::DropWorkspace),
        Ok(Reply::Entries(all.to_vec()))
    );
    assert_eq!(of(DEFAULT_WORKSPACE), all);
    assert_eq!(of(PLATFORM_WORKSPACE), NONE);
    // Whoever removed it may still be there to say so himself.
    ask(Question::Forgotten(all[..1].to_vec())).unwrap();
    assert_eq!(of(DEFAULT_WORKSPACE), all[1..]);
    store
        .ask(&keys, Question::Forgotten(all[1..].to_vec()))
        .unwrap();
    assert!(store.left().is_empty());
}
