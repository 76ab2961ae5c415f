//! Provider keys and the versions of their secrets.

use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::question::{DataQuestion, Denial, Page, Question, Reply};
use lockgate_workspace::resource::{Health, ManagedBy, Timestamp};

use super::{
    STALE, START, Store, create_caller, create_key, delete_key, not_found, page, provider_key,
    rotate, sealed, taken,
};

const KIND: &str = "provider key";

fn patch(reference: &str) -> Question {
    changed(reference, None, None, None, None)
}

fn changed(
    reference: &str,
    expect: Option<u64>,
    name: Option<&str>,
    default: Option<bool>,
    enabled: Option<bool>,
) -> Question {
    Question::PatchProviderKey {
        reference: reference.into(),
        expect,
        name: name.map(Into::into),
        tags: None,
        default,
        enabled,
        managed_by: None,
    }
}

fn listed(store: &Store, page: Page) -> Vec<String> {
    match store.ask(Question::ListProviderKeys(page)) {
        Ok(Reply::ProviderKeys(keys)) => keys.into_iter().map(|key| key.id).collect(),
        other => panic!("{other:?}"),
    }
}

fn defaults(store: &Store) -> Vec<String> {
    let sql = "SELECT name FROM provider_keys WHERE is_default = 1 ORDER BY name";
    let rows = store.database.sql(sql, &[]).unwrap();
    rows.into_iter()
        .map(|row| format!("{:?}", row[0]))
        .collect()
}

#[test]
fn a_key_is_found_by_id_name_and_provider() {
    let store = Store::new();
    let mut made = provider_key("pk_1", "openai", "prod");
    made.tags.insert("environment".into(), "production".into());
    made.options.insert("region".into(), "eu".into());
    made.base_url = Some("https://example.com/v1".into());
    let question = Question::CreateProviderKey {
        key: Box::new(made.clone()),
        sealed: Some(sealed("pk_1", 1)),
    };
    // The first of a provider is its default.
    (made.default, made.revision) = (true, 1);
    assert_eq!(
        store.ask(question),
        Ok(Reply::ProviderKey(Box::new(made.clone())))
    );
    for reference in ["pk_1", "prod", "openai/prod"] {
        let key = store.key(reference);
        assert_eq!(key.versions.len(), 1);
        assert_eq!((&key.tags, &key.options), (&made.tags, &made.options));
    }
    store.ask(create_key("pk_2", "mistral", "prod")).unwrap();
    let Err(Denial::InUse(why)) = store.ask(Question::GetProviderKey("prod".into())) else {
        panic!("which of the two?");
    };
    assert!(why.contains("provider/name"), "{why}");
    assert_eq!(store.key("mistral/prod").id, "pk_2");
    let elsewhere = store.ask_in(
        "ws_otheraaaaaaaaaaa",
        Question::GetProviderKey("pk_1".into()),
    );
    assert_eq!(elsewhere, Err(not_found(KIND, "pk_1")));
}

#[test]
fn keys_are_listed_in_pages_in_the_order_they_were_made() {
    let store = Store::new();
    for (id, at) in [("pk_c", 0), ("pk_a", 5), ("pk_b", 5), ("pk_d", 9)] {
        let mut key = provider_key(id, "openai", id);
        key.created_at = Timestamp(START + at);
        let sealed = Some(sealed(id, 1));
        let key = Box::new(key);
        store
            .ask(Question::CreateProviderKey { key, sealed })
            .unwrap();
    }
    assert_eq!(listed(&store, page(10)), ["pk_c", "pk_a", "pk_b", "pk_d"]);
    let after = |at, id: &str| Page {
        limit: 2,
        after: Some((START + at, id.to_owned())),
    };
    assert_eq!(listed(&store, after(0, "pk_c")), ["pk_a", "pk_b"]);
    assert_eq!(listed(&store, after(5, "pk_a")), ["pk_b", "pk_d"]);
    assert!(listed(&store, after(9, "pk_d")).is_empty());
}

#[test]
fn a_provider_has_at_most_one_default() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "a")).unwrap();
    store.ask(create_key("pk_2", "openai", "b")).unwrap();
    store.ask(create_key("pk_3", "mistral", "c")).unwrap();
    assert_eq!(defaults(&store), [r#"Text("a")"#, r#"Text("c")"#]);
    assert!(store.key("a").default && !store.key("b").default);
    store
        .ask(changed("b", None, None, Some(true), None))
        .unwrap();
    assert_eq!(defaults(&store), [r#"Text("b")"#, r#"Text("c")"#]);
    // Its revision moves too: what it is has changed.
    assert_eq!(store.key("a").revision, 2);
    let mut key = provider_key("pk_4", "openai", "d");
    key.default = true;
    let (key, sealed) = (Box::new(key), Some(sealed("pk_4", 1)));
    store
        .ask(Question::CreateProviderKey { key, sealed })
        .unwrap();
    assert_eq!(defaults(&store), [r#"Text("c")"#, r#"Text("d")"#]);
    // Without one, the first by name is used; nothing becomes the default by itself.
    store
        .ask(changed("d", None, None, Some(false), None))
        .unwrap();
    store.ask(delete_key("c")).unwrap();
    assert!(defaults(&store).is_empty());
}

#[test]
fn a_key_is_renamed_tagged_and_disabled() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    let tags = std::collections::BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let question = Question::PatchProviderKey {
        reference: "prod".into(),
        expect: Some(1),
        name: Some("live".into()),
        tags: Some(tags.clone()),
        default: None,
        enabled: Some(false),
        managed_by: None,
    };
    store.ask(question).unwrap();
    let key = store.key("live");
    assert_eq!(
        (key.revision, key.tags, key.enabled, key.default),
        (2, tags, false, true)
    );
    store.ask(patch("live")).unwrap();
    assert_eq!(
        (store.key("live").revision, store.key("live").enabled),
        (3, false)
    );
}

#[test]
fn a_rotation_moves_one_version_on_and_keeps_the_history() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.time.set(START + 5_000);
    let Ok(Reply::ProviderKey(key)) = store.ask(rotate("pk_1", 2)) else {
        panic!("not rotated");
    };
    assert_eq!(
        (key.version, key.revision, key.health),
        (2, 2, Health::Unknown)
    );
    assert_eq!(key.masked, "sk-…0002");
    assert_eq!(key.rotated_at, Some(Timestamp(START + 5_000)));
    let versions = store.key("pk_1").versions;
    let versions: Vec<_> = versions
        .iter()
        .map(|v| (v.version, v.created_at.0))
        .collect();
    assert_eq!(versions, [(2, START + 5_000), (1, START)]);
    // Another writer stored version 2 meanwhile; nothing is overwritten.
    assert_eq!(store.ask(rotate("pk_1", 2)), Err(Denial::VersionMoved(2)));
    assert_eq!(store.ask(rotate("pk_1", 4)), Err(Denial::VersionMoved(2)));
    assert_eq!(store.ask(rotate("pk_9", 1)), Err(not_found(KIND, "pk_9")));
    let stale = Question::RotateProviderKey {
        id: "pk_1".into(),
        expect: Some(1),
        sealed: sealed("pk_1", 3),
    };
    let (expected, found) = (1, 2);
    assert_eq!(store.ask(stale), Err(Denial::Stale { expected, found }));
}

#[test]
fn only_the_newest_copy_is_answered_and_the_sweep_forgets_the_others() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    let copy = |version| DataQuestion::SealedCopy {
        provider_key: "pk_1".into(),
        version,
    };
    let text = |version| Ok(Reply::Ciphertext(format!("ciphertext pk_1 {version}")));
    assert_eq!(store.ask(copy(1)), text(1));
    store.ask(rotate("pk_1", 2)).unwrap();
    store.ask(rotate("pk_1", 3)).unwrap();
    assert_eq!(store.ask(copy(1)), Err(not_found(KIND, "pk_1")));
    assert_eq!(store.ask(copy(3)), text(3));
    let sweep = || match store.ask(Question::SweepProviderKey { id: "pk_1".into() }) {
        Ok(Reply::Entries(entries)) => entries,
        other => panic!("{other:?}"),
    };
    // Until then a KEK that they are under is not one that nothing is under.
    let counted = || -> u64 {
        match store.ask(Question::CountSealed) {
            Ok(Reply::SealedCounts(counts)) => counts.secrets.iter().map(|(_, n)| n).sum(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(counted(), 3);
    assert_eq!(sweep(), ["entry pk_1 1", "entry pk_1 2"]);
    assert_eq!(counted(), 1);
    assert!(sweep().is_empty(), "nothing points to them any more");
    assert_eq!(store.ask(copy(3)), text(3));
    let old = "SELECT version FROM provider_key_versions WHERE ciphertext IS NOT NULL";
    assert_eq!(store.database.sql(old, &[]).unwrap(), [[3u64.into()]]);
    assert_eq!(
        store.key("pk_1").versions.len(),
        3,
        "numbers and times stay"
    );
    assert_eq!(
        store.ask(delete_key("pk_1")),
        Ok(Reply::Entries(vec!["entry pk_1 3".into()]))
    );
    assert_eq!(store.ask(copy(3)), Err(not_found(KIND, "pk_1")));
    let sweep = store.ask(Question::SweepProviderKey { id: "pk_1".into() });
    assert_eq!(sweep, Err(not_found(KIND, "pk_1")));
}

#[test]
fn keys_are_refused_for_a_reason_and_then_nothing_is_stored() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.ask(create_key("pk_2", "openai", "dev")).unwrap();
    let name_taken = taken("openai key", "prod");
    assert_eq!(
        store.ask(create_key("pk_3", "openai", "prod")),
        Err(name_taken.clone())
    );
    let clash = changed("dev", None, Some("prod"), Some(true), None);
    assert_eq!(store.ask(clash), Err(name_taken));
    assert_eq!(
        defaults(&store),
        [r#"Text("prod")"#],
        "it is rolled back whole"
    );
    assert_eq!(
        store.ask(changed("dev", Some(9), None, None, None)),
        Err(STALE)
    );
    let delete = Question::DeleteProviderKey {
        reference: "dev".into(),
        expect: Some(9),
    };
    assert_eq!(store.ask(delete), Err(STALE));
    for question in [patch("none"), delete_key("none")] {
        assert_eq!(store.ask(question), Err(not_found(KIND, "none")));
    }
    let orphans = "SELECT version FROM provider_key_versions WHERE provider_key = 'pk_3'";
    assert!(store.database.sql(orphans, &[]).unwrap().is_empty());
}

#[test]
fn a_declarative_key_is_changed_by_its_document_only() {
    let store = Store::new();
    let mut key = provider_key("pk_1", "openai", "prod");
    key.managed_by = ManagedBy::Declarative;
    let (key, sealed) = (Box::new(key), Some(sealed("pk_1", 1)));
    store
        .ask(Question::CreateProviderKey { key, sealed })
        .unwrap();
    let declarative = Denial::Declarative {
        kind: KIND.into(),
        name: "prod".into(),
        configuration: None,
    };
    assert_eq!(store.ask(patch("prod")), Err(declarative.clone()));
    assert_eq!(store.ask(delete_key("prod")), Err(declarative));
    // Its secret is in no document.
    store.ask(rotate("pk_1", 2)).unwrap();
    let hand_back = |enabled| Question::PatchProviderKey {
        reference: "prod".into(),
        expect: None,
        name: None,
        tags: None,
        default: None,
        enabled,
        managed_by: Some(ManagedBy::Manual),
    };
    assert!(store.ask(hand_back(Some(false))).is_err());
    store.ask(hand_back(None)).unwrap();
    store.ask(delete_key("prod")).unwrap();
}

#[test]
fn a_key_without_a_secret_gets_one_later() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    let mut key = provider_key("pk_1", "ollama", "local");
    (key.version, key.masked) = (0, String::new());
    let (key, sealed) = (Box::new(key), None);
    store
        .ask(Question::CreateProviderKey { key, sealed })
        .unwrap();
    assert_eq!(store.snapshot().keys[0].sealed, None);
    store.ask(rotate("pk_1", 1)).unwrap();
    let pointer = store.snapshot().keys[0].sealed.clone().unwrap();
    assert_eq!(
        (pointer.version, pointer.entry.as_str()),
        (1, "entry pk_1 1")
    );
}

fn mark(id: &str, version: u64, health: Health) -> DataQuestion {
    DataQuestion::MarkHealth {
        id: id.into(),
        version,
        health,
        detail: format!("it is {health:?}"),
    }
}

#[test]
fn a_label_belongs_to_the_version_that_was_tried() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    assert_eq!(store.key("pk_1").checked_at, None);
    store.time.set(START + 5_000);
    let Ok(Reply::ProviderKey(marked)) = store.ask(mark("pk_1", 1, Health::Invalid)) else {
        panic!("not marked");
    };
    assert_eq!(
        (marked.health, marked.health_detail.as_deref()),
        (Health::Invalid, Some("it is Invalid"))
    );
    assert_eq!(marked.checked_at, Some(Timestamp(START + 5_000)));
    assert_eq!(marked.revision, 1, "nobody's edit is stale for a label");
    assert_eq!(store.snapshot().keys[0].health, Health::Invalid);

    // A rotation clears it, and what is said later of the old secret is dropped.
    store.ask(rotate("pk_1", 2)).unwrap();
    for _ in 0..2 {
        let key = store.key("pk_1");
        assert_eq!(
            (key.health, key.health_detail, key.checked_at),
            (Health::Unknown, None, None)
        );
        assert_eq!(store.snapshot().keys[0].health, Health::Unknown);
        let Ok(Reply::ProviderKey(found)) = store.ask(mark("pk_1", 1, Health::Invalid)) else {
            panic!("refused");
        };
        assert_eq!((found.version, found.health), (2, Health::Unknown));
    }
    store.ask(mark("pk_1", 2, Health::Ok)).unwrap();
    assert_eq!(store.key("pk_1").health, Health::Ok);
    assert_eq!(
        store.ask(mark("pk_9", 1, Health::Ok)),
        Err(not_found(KIND, "pk_9"))
    );
}

#[test]
fn another_label_makes_another_snapshot_and_the_same_one_does_not() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    let before = store.snapshot().version;
    store.ask(mark("pk_1", 1, Health::Unknown)).unwrap();
    assert_eq!(store.snapshot().version, before);
    for (n, health) in [
        Health::Ok,
        Health::Invalid,
        Health::RateLimited,
        Health::Unreachable,
    ]
    .into_iter()
    .enumerate()
    {
        for _ in 0..2 {
            let outcome = store.outcome(DEFAULT_WORKSPACE, mark("pk_1", 1, health));
            assert!(!outcome.changed, "a label waits for no lease");
        }
        assert_eq!(store.snapshot().version, before + 1 + n as u64);
        assert_eq!(store.key("pk_1").health, health);
    }
}

#[test]
fn a_long_detail_is_cut() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    let question = DataQuestion::MarkHealth {
        id: "pk_1".into(),
        version: 1,
        health: Health::Unknown,
        detail: "ü".repeat(10_000),
    };
    store.ask(question).unwrap();
    let detail = store.key("pk_1").health_detail.unwrap();
    assert_eq!(detail.chars().count(), 1_000);
}

#[test]
fn the_sealed_secret_in_force_is_pointed_to() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.ask(rotate("pk_1", 2)).unwrap();
    let point = |reference: &str| store.ask(Question::PointToProviderKey(reference.into()));
    for reference in ["pk_1", "prod", "openai/prod"] {
        let Ok(Reply::KeyPointer(key)) = point(reference) else {
            panic!("{reference}");
        };
        let pointer = key.sealed.unwrap();
        assert_eq!((key.id.as_str(), pointer.version), ("pk_1", 2));
        assert_eq!(pointer.entry, "entry pk_1 2");
        assert_eq!(pointer.wrapped, "wrapped pk_1 2");
    }
    assert_eq!(point("none"), Err(not_found(KIND, "none")));
    let elsewhere = Question::PointToProviderKey("pk_1".into());
    assert_eq!(
        store.ask_in("ws_otheraaaaaaaaaaa", elsewhere),
        Err(not_found(KIND, "pk_1"))
    );
}
