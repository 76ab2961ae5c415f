//! The store itself: its first question, the KEK it belongs to, its schema and the lease lengths.

use lockgate_host::Value;
use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::authority;
use lockgate_workspace::lease::Lengths;
use lockgate_workspace::question::{
    Admission, DataQuestion, Denial, Envelope, Kind, Outcome, Question, Reply,
};
use lockgate_workspace::resource::Access;

use super::sqlite::{Crash, MemoryDatabase, now};
use super::{START, Store, create_key, page};

/// The columns of every table.
fn schema(database: &MemoryDatabase) -> Vec<Vec<Value>> {
    let sql = "SELECT t.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk
               FROM sqlite_master t JOIN pragma_table_info(t.name) c
               WHERE t.type = 'table' ORDER BY t.name, c.name";
    database.sql(sql, &[]).unwrap()
}

fn schema_version(database: &MemoryDatabase) -> Vec<Vec<Value>> {
    let sql = "SELECT schema_version FROM meta";
    database.sql(sql, &[]).unwrap()
}

/// A store as an earlier version of Lockgate made and filled it.
pub(crate) fn earlier(fixture: &str) -> Store {
    let store = Store::new();
    let connection = store.database.connection.borrow();
    connection.execute_batch(fixture).unwrap();
    drop(connection);
    store
}

fn get_default() -> Question {
    Question::GetWorkspace("default".into())
}

#[test]
fn the_first_question_makes_the_store_with_its_default_workspace() {
    let store = Store::new();
    assert!(schema(&store.database).is_empty());
    let outcome = store.outcome(DEFAULT_WORKSPACE, get_default());
    let Ok(Reply::Workspace(workspace)) = outcome.reply else {
        panic!("{outcome:?}");
    };
    assert_eq!(workspace.id, DEFAULT_WORKSPACE);
    assert_eq!((workspace.revision, workspace.created_at.0), (1, START));
    assert_eq!(outcome.lengths, Lengths::new(1_000));
    assert!(!outcome.changed && !schema(&store.database).is_empty());
}

#[test]
fn a_migration_that_is_broken_off_leaves_nothing() {
    let store = Store::new();
    // The question finds no tables; the second transaction would make them.
    store.database.crash_next(Crash::BeforeCommit);
    assert!(matches!(store.ask(get_default()), Err(Denial::Store(_))));
    assert!(schema(&store.database).is_empty());
    store.ask(get_default()).unwrap();
    let whole = Store::new();
    whole.ask(get_default()).unwrap();
    assert_eq!(schema(&store.database), schema(&whole.database));
}

#[test]
fn a_write_whose_answer_is_lost_is_stored_and_not_repeated() {
    use super::rotate;
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.database.crash_next(Crash::AfterCommit);
    let outcome = store.outcome(DEFAULT_WORKSPACE, rotate("pk_1", 2));
    assert!(matches!(outcome.reply, Err(Denial::Store(_))));
    assert!(!outcome.changed);
    assert_eq!(store.ask(rotate("pk_1", 2)), Err(Denial::VersionMoved(2)));
    assert_eq!(store.key("prod").revision, 2);
}

#[test]
fn another_kek_reads_and_writes_nothing() {
    let store = Store::new();
    let ask = |question| {
        let envelope = Envelope {
            object: DEFAULT_WORKSPACE.into(),
            actor: "root".into(),
            keys: crate::keyring::keyring("another"),
            lease_ms: 5_000,
            question,
        };
        now(authority::process(&store.database, START, envelope))
    };
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    let before = store.database.sql("SELECT * FROM meta", &[]).unwrap();
    for question in [
        get_default(),
        Question::ListProviderKeys(page(10)),
        create_key("pk_2", "openai", "dev"),
        Question::DropWorkspace,
        DataQuestion::RetireLease { generation: 0 }.into(),
    ] {
        let outcome = ask(question);
        assert_eq!(outcome.reply, Err(Denial::WrongKek));
        assert!(!outcome.changed);
    }
    let after = store.database.sql("SELECT * FROM meta", &[]).unwrap();
    assert_eq!(before, after, "not even the lease length");
    assert_eq!(store.key("prod").revision, 1);
    assert!(store.ask(Question::GetProviderKey("dev".into())).is_err());
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let store = Store::new();
    store.ask(get_default()).unwrap();
    let newer = "UPDATE meta SET schema_version = 99";
    store.database.sql(newer, &[]).unwrap();
    for question in [get_default(), create_key("pk_1", "openai", "prod")] {
        let Err(Denial::Store(why)) = store.ask(question) else {
            panic!("it was answered");
        };
        assert!(why.contains("newer version"), "{why}");
    }
    let version = store.database.sql("SELECT schema_version FROM meta", &[]);
    assert_eq!(version.unwrap(), [[Value::Integer(99)]]);
}

#[test]
fn a_damaged_store_is_told_as_such() {
    let store = Store::new();
    store.ask(get_default()).unwrap();
    let damage = "UPDATE workspaces SET access = 'perhaps'";
    store.database.sql(damage, &[]).unwrap();
    let Err(Denial::Store(why)) = store.ask(get_default()) else {
        panic!("it was answered");
    };
    assert!(why.contains("damaged"), "{why}");
}

#[test]
fn questions_travel_as_json() {
    let store = Store::new();
    let envelope = Envelope {
        object: DEFAULT_WORKSPACE.into(),
        actor: "root".into(),
        keys: crate::keyring::keyring("kek"),
        lease_ms: 1_000,
        question: create_key("pk_1", "openai", "prod"),
    };
    let ask = |bytes| {
        let bytes = now(authority::serve(&store.database, START, bytes));
        serde_json::from_slice::<Outcome>(&bytes).unwrap()
    };
    let outcome = ask(serde_json::to_vec(&envelope).unwrap());
    assert!(outcome.changed);
    assert!(matches!(outcome.reply, Ok(Reply::ProviderKey(key)) if key.name == "prod"));
    let denied = ask(serde_json::to_vec(&envelope).unwrap());
    assert!(matches!(denied.reply, Err(Denial::AlreadyExists { .. })));
    assert!(!denied.changed && denied.lengths == Lengths::new(1_000));
    assert!(matches!(ask(b"{}".to_vec()).reply, Err(Denial::Store(_))));
}

#[test]
fn another_lease_length_is_adopted_and_the_longer_one_waited_out() {
    let store = Store::new();
    let lengths = || store.outcome(DEFAULT_WORKSPACE, get_default()).lengths;
    assert_eq!(lengths().settle_ms(), 1_100);
    store.lease_ms.set(100);
    let changed = lengths();
    assert_eq!((changed.lease_ms, changed.wait_ms), (100, 1_000));
    assert!(changed.settling() && changed.generation == 1);
    // Somebody who slept for another generation ends nothing.
    store
        .ask(DataQuestion::RetireLease { generation: 0 })
        .unwrap();
    assert_eq!(lengths(), changed);
    store
        .ask(DataQuestion::RetireLease { generation: 1 })
        .unwrap();
    assert_eq!((lengths().wait_ms, lengths().generation), (100, 1));
    store.lease_ms.set(3_000);
    assert_eq!((lengths().lease_ms, lengths().wait_ms), (3_000, 3_000));
}

/// Whoever slept began before the length that is in force now; its own setting is of no interest.
#[test]
fn the_end_of_a_longer_lease_brings_no_length_with_it() {
    let store = Store::new();
    store.ask(get_default()).unwrap();
    store.lease_ms.set(100);
    store.ask(get_default()).unwrap();
    store.lease_ms.set(200);
    let in_force = store.outcome(DEFAULT_WORKSPACE, get_default()).lengths;
    store.lease_ms.set(100);
    let late = store.outcome(
        DEFAULT_WORKSPACE,
        DataQuestion::RetireLease { generation: 1 },
    );
    assert_eq!((late.reply, late.lengths), (Ok(Reply::Done), in_force));
    store.lease_ms.set(200);
    let now = store.outcome(DEFAULT_WORKSPACE, get_default()).lengths;
    assert_eq!(now, in_force);
}

/// What adds something that no lease can know of is acknowledged at once; everything else waits.
#[test]
fn only_changes_that_a_request_can_notice_wait() {
    use super::{
        PatchAgent, agent, create_caller, delete, delete_key, patch_caller, patch_workspace,
        revoke, rotate,
    };
    let store = Store::new();
    let changed = |question: Question| {
        let outcome = store.outcome(DEFAULT_WORKSPACE, question);
        outcome.reply.unwrap();
        outcome.changed
    };
    assert!(!changed(Question::CreateAgent(agent("agent_1", "bot"))));
    assert!(!changed(create_caller("gk_1", "app")));
    assert!(changed(create_key("pk_1", "openai", "prod")));
    assert!(changed(rotate("pk_1", 2)));
    assert!(!changed(Question::SweepProviderKey { id: "pk_1".into() }));
    assert!(changed(patch_caller("app", None, None)));
    assert!(changed(PatchAgent::default().of("bot")));
    assert!(changed(Question::PatchProviderKey {
        reference: "prod".into(),
        expect: None,
        name: None,
        tags: None,
        default: None,
        enabled: None,
        managed_by: None,
    }));
    assert!(changed(patch_workspace("default", None, None)));
    assert!(changed(revoke("app")));
    assert!(changed(delete_key("prod")));
    assert!(changed(delete(Kind::Agent, "bot", None)));
    let outcome = store.outcome(DEFAULT_WORKSPACE, delete_key("prod"));
    assert!(outcome.reply.is_err() && !outcome.changed);
}

#[test]
fn stores_of_earlier_versions_are_migrated() {
    let new = Store::new();
    new.ask(get_default()).unwrap();
    let first = concat!(
        include_str!("../fixtures/schema_1.sql"),
        include_str!("../fixtures/rows_1.sql")
    );
    let second = include_str!("../fixtures/schema_2.sql");
    for fixture in [first, &format!("{first}{second}")] {
        let store = earlier(fixture);
        let key = store.key("pk_1");
        assert_eq!((key.health_detail, key.checked_at), (None, None));
        assert_eq!(key.name, "prod");
        assert_eq!(schema(&store.database), schema(&new.database));
        assert_eq!(
            schema_version(&store.database),
            schema_version(&new.database)
        );
        // What it had stays open until somebody closes it.
        let Admission::Granted { identity, .. } = store.admit("hash of app", None) else {
            panic!("refused");
        };
        assert_eq!((identity.agent.as_str(), identity.roles.len()), ("bot", 0));
        assert_eq!(store.snapshot().access, Access::Open);
        let Ok(Reply::GatewayKey(key)) = store.ask(Question::GetGatewayKey("gk_1".into())) else {
            panic!("no gateway key");
        };
        assert_eq!(key.created_by, "root");
    }
}
