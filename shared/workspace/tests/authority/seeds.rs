//! Seeded entries: a deleted one stays deleted, whatever is restarted, migrated or seeded again.

use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::question::{Question, Reply};
use lockgate_workspace::resource::{Access, Timestamp, Workspace};

use super::sqlite::MemoryDatabase;
use super::store::earlier;
use super::{START, Store, create_caller, create_key, delete_key, not_found};

fn standing(store: &Store) -> Vec<String> {
    match store.ask(Question::ListSeeds) {
        Ok(Reply::Providers(slugs)) => slugs,
        other => panic!("{other:?}"),
    }
}

fn unseed(provider: &str) -> Question {
    Question::DeleteSeed {
        provider: provider.into(),
    }
}

/// The same store after the process was started again.
fn restarted(store: Store) -> Store {
    let connection = store.database.connection.into_inner();
    Store {
        database: MemoryDatabase::over(connection),
        ..Store::new()
    }
}

/// As if a later version of Lockgate seeded again: every migration plants, and so does every sync of a workspace.
fn seeded_again(store: &Store) {
    let again = "UPDATE meta SET schema_version = schema_version - 1";
    for table in ["bridges", "leftovers", "token_keys"] {
        let undo = format!("DROP TABLE {table}");
        store.database.sql(&undo, &[]).unwrap();
    }
    store.database.sql(again, &[]).unwrap();
    let row = Workspace {
        id: DEFAULT_WORKSPACE.into(),
        name: "default".into(),
        plan: "free".into(),
        access: Access::Enforced,
        default_configuration: None,
        created_at: Timestamp(START),
        revision: 99,
    };
    store.ask(Question::SyncWorkspace(row)).unwrap();
}

#[test]
fn a_new_workspace_is_seeded_and_an_entry_is_deleted_once() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    let all = standing(&store);
    assert_eq!(all, ["anthropic", "google", "openai"]);
    assert_eq!(store.snapshot().seeded, all);
    let version = store.snapshot().version;
    assert_eq!(store.ask(unseed("openai")), Ok(Reply::Done));
    assert_eq!(standing(&store), ["anthropic", "google"]);
    let snapshot = store.snapshot();
    assert_eq!(snapshot.seeded, ["anthropic", "google"]);
    assert!(snapshot.version > version);
    // Again is no error, and keeps the first time.
    let deleted_at = || {
        let sql = "SELECT deleted_at FROM seeds WHERE provider = 'openai'";
        store.database.sql(sql, &[]).unwrap()
    };
    let first = deleted_at();
    store.time.set(START + 5);
    assert_eq!(store.ask(unseed("openai")), Ok(Reply::Done));
    assert_eq!(deleted_at(), first);
    let never = Err(not_found("seeded entry", "mistral"));
    assert_eq!(store.ask(unseed("mistral")), never);
}

#[test]
fn a_deleted_entry_stays_deleted_through_restart_migration_and_seeding() {
    let first = concat!(
        include_str!("../fixtures/schema_1.sql"),
        include_str!("../fixtures/rows_1.sql")
    );
    let second = include_str!("../fixtures/schema_2.sql");
    // A store from before there were seeds is seeded when it is migrated.
    let mut store = earlier(&format!("{first}{second}"));
    assert_eq!(standing(&store), ["anthropic", "google", "openai"]);
    store.ask(unseed("openai")).unwrap();
    store.ask(unseed("google")).unwrap();
    for round in 0..2 {
        assert_eq!(standing(&store), ["anthropic"], "{round}");
        store = restarted(store);
        assert_eq!(standing(&store), ["anthropic"], "{round}, restarted");
        seeded_again(&store);
    }
    assert_eq!(standing(&store), ["anthropic"]);
    assert_eq!(store.snapshot().seeded, ["anthropic"]);
    // What a later version seeds beside is new, and does not bring back what was deleted.
    let newer = "INSERT INTO seeds (workspace, provider, created_at) VALUES (?1, 'mistral', 7)";
    store
        .database
        .sql(newer, &[DEFAULT_WORKSPACE.into()])
        .unwrap();
    seeded_again(&store);
    assert_eq!(standing(&store), ["anthropic", "mistral"]);
}

#[test]
fn a_key_that_comes_and_goes_leaves_the_entry_as_it_was() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store.ask(unseed("openai")).unwrap();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.ask(create_key("pk_2", "anthropic", "prod")).unwrap();
    let snapshot = store.snapshot();
    assert_eq!(snapshot.providers(), ["anthropic", "openai"]);
    assert_eq!(snapshot.seeded, ["anthropic", "google"]);
    store.ask(delete_key("pk_1")).unwrap();
    store.ask(delete_key("pk_2")).unwrap();
    assert_eq!(standing(&store), ["anthropic", "google"]);
}

#[test]
fn each_workspace_has_its_own_entries() {
    let store = Store::new();
    let other = "ws_otheraaaaaaaaaaa";
    let row = Workspace {
        id: other.into(),
        name: "other".into(),
        plan: "free".into(),
        access: Access::Enforced,
        default_configuration: None,
        created_at: Timestamp(START),
        revision: 1,
    };
    store
        .ask_in(other, Question::SyncWorkspace(row.clone()))
        .unwrap();
    store.ask_in(other, unseed("openai")).unwrap();
    assert_eq!(standing(&store), ["anthropic", "google", "openai"]);
    store.ask_in(other, Question::SyncWorkspace(row)).unwrap();
    assert_eq!(
        store.ask_in(other, Question::ListSeeds),
        Ok(Reply::Providers(vec!["anthropic".into(), "google".into()]))
    );
}
