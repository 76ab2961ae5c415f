//! What a rewrap changes: what is still what it was, and nothing else.

use lockgate_workspace::question::{Page, Rewrapped, SealedCounts};
use lockgate_workspace::resource::Workspace;

use super::*;

const KV: Vault = Managed("vault-kv");

fn keys() -> Arc<Keyring> {
    keyring(&[Local(2)], &[Local(1), KV])
}

fn store() -> Store {
    let store = Store::new();
    let old = keyring(&[Local(1)], &[]);
    for id in ["pk_1", "pk_2", "pk_3"] {
        store.ask(&old, create(id, Local(1))).unwrap();
    }
    store
}

fn moved(row: &SealedRow, to: Vault) -> Rewrapped {
    let target = at(&row.provider_key, row.version, to);
    Rewrapped {
        provider_key: row.provider_key.clone(),
        version: row.version,
        from: row.at.clone(),
        ciphertext: (target.entry != row.at.entry && to != KV).then(|| "another".to_owned()),
        to: target,
    }
}

fn rewrapped(store: &Store, moved: Vec<Rewrapped>) -> (u64, Vec<String>) {
    match store.ask(&keys(), Question::Rewrap(moved)) {
        Ok(Reply::Rewrapped(count, mut left)) => {
            left.sort();
            (count, left)
        }
        other => panic!("{other:?}"),
    }
}

fn keks(store: &Store) -> Vec<String> {
    store.texts("SELECT kek FROM provider_key_versions WHERE entry IS NOT NULL ORDER BY provider_key, version")
}

#[test]
fn what_is_still_what_it_was_is_moved() {
    let store = store();
    let rows = store.sealed(&keys(), &Local(2).kek());
    assert_eq!(rows.len(), 3);
    let ciphertexts = "SELECT ciphertext FROM provider_key_versions ORDER BY provider_key";
    let before = store.texts(ciphertexts);
    let all = rows.iter().map(|row| moved(row, Local(2))).collect();
    assert_eq!(rewrapped(&store, all), (3, Vec::new()));
    assert_eq!(keks(&store), vec![Local(2).kek(); 3]);
    // The entry is where it was, and so is its copy.
    assert_eq!(store.texts(ciphertexts), before);
    assert!(store.left().is_empty());
    assert!(store.sealed(&keys(), &Local(2).kek()).is_empty());
}

#[test]
fn what_has_changed_meanwhile_is_left_alone() {
    let store = store();
    let keys = keys();
    let rows = store.sealed(&keys, &Local(2).kek());
    store.ask(&keys, rotate("pk_1", 2, Local(1))).unwrap();
    store.ask(&keys, delete("pk_2")).unwrap();
    // Somebody else was faster with the third.
    let mut other = moved(&rows[2], Local(2));
    other.to.wrapped = "by somebody else".to_owned();
    assert_eq!(rewrapped(&store, vec![other]).0, 1);
    let before = store.dump();
    let all: Vec<Rewrapped> = rows.iter().map(|row| moved(row, Local(2))).collect();
    assert_eq!(rewrapped(&store, all.clone()), (0, Vec::new()));
    assert_eq!(store.dump(), before);
    // Nor has the second of two equal ones anything to do.
    let row = store.sealed(&keys, &Local(2).kek()).remove(0);
    let twice = vec![moved(&row, Local(2)), moved(&row, Local(2))];
    assert_eq!(rewrapped(&store, twice).0, 1);
}

/// Each part of where a secret was is compared.
#[test]
fn another_place_is_another_secret() {
    let store = store();
    let row = store.sealed(&keys(), &Local(2).kek()).remove(0);
    let right = moved(&row, Local(2));
    let wrongs: [fn(&mut Rewrapped); 5] = [
        |row| row.from.kek = Local(3).kek(),
        |row| row.from.wrapped.push('x'),
        |row| {
            row.from.entry.push('x');
            row.to.entry.push('x');
        },
        |row| row.version = 2,
        |row| row.provider_key = "pk_4".to_owned(),
    ];
    let before = store.dump();
    for wrong in wrongs {
        let mut row = right.clone();
        wrong(&mut row);
        assert_eq!(rewrapped(&store, vec![row]).0, 0);
        assert_eq!(store.dump(), before);
    }
    let elsewhere = store.outcome(
        &keys(),
        "ws_otheraaaaaaaaaaa",
        Question::Rewrap(vec![right.clone()]),
    );
    assert_eq!(elsewhere.reply, Ok(Reply::Rewrapped(0, Vec::new())));
    assert_eq!(rewrapped(&store, vec![right]).0, 1);
}

#[test]
fn an_entry_that_is_replaced_is_left_over() {
    let store = store();
    let keys = keyring(&[Local(1), KV], &[Local(2)]);
    let rows = store.sealed(&keys, &KV.kek());
    for row in &rows {
        let intended = intend(&row.provider_key, 1, KV);
        store.ask(&keys, intended).unwrap();
    }
    store.ask(&keys, rotate("pk_3", 2, Local(1))).unwrap();
    let all = rows.iter().map(|row| moved(row, KV)).collect();
    let Ok(Reply::Rewrapped(count, mut left)) = store.ask(&keys, Question::Rewrap(all)) else {
        panic!("refused");
    };
    left.sort();
    let entry = |id: &str, vault: Vault| at(id, 1, vault).entry;
    // Of the third the new entry is left over, since the key has another secret now.
    let expected = [
        entry("pk_1", Local(1)),
        entry("pk_2", Local(1)),
        entry("pk_3", KV),
    ];
    assert_eq!((count, left.as_slice()), (2, expected.as_slice()));
    assert_eq!(store.left(), expected);
    // Where the vault holds the secret itself there is no copy of anything.
    let copies =
        "SELECT provider_key FROM provider_key_versions WHERE ciphertext IS NULL ORDER BY 1";
    assert_eq!(store.texts(copies), ["pk_1", "pk_2"]);
    store.ask(&keys, Question::Forgotten(left)).unwrap();
    assert!(store.left().is_empty());
}

/// The second time it finds the secret where it has just put it.
#[test]
fn a_rewrap_that_is_told_twice_removes_nothing() {
    let store = store();
    let keys = keyring(&[Local(1), KV], &[]);
    let row = store.sealed(&keys, &KV.kek()).remove(0);
    let to = moved(&row, KV);
    let told = |to: &Rewrapped| store.ask(&keys, Question::Rewrap(vec![to.clone()]));
    store.ask(&keys, intend("pk_1", 1, KV)).unwrap();
    let left = vec![row.at.entry.clone()];
    assert_eq!(told(&to), Ok(Reply::Rewrapped(1, left.clone())));
    assert_eq!(told(&to), Ok(Reply::Rewrapped(0, Vec::new())));
    assert_eq!(store.left(), left);
    // What somebody else has written meanwhile is left over.
    let mut late = to;
    late.to.entry.push_str("-late");
    let left = vec![late.to.entry.clone()];
    assert_eq!(told(&late), Ok(Reply::Rewrapped(0, left)));
}

/// What was written in a vault's own store and has been taken for a leftover is gone; the row stays where it is.
#[test]
fn an_entry_that_is_not_remembered_is_not_pointed_to() {
    let store = store();
    let keys = keyring(&[Local(1), KV], &[]);
    let row = store.sealed(&keys, &KV.kek()).remove(0);
    let before = store.dump();
    for question in [
        Question::Rewrap(vec![moved(&row, KV)]),
        rotate("pk_1", 2, KV),
        create("pk_9", KV),
    ] {
        let denied = store.ask(&keys, question);
        assert!(matches!(denied, Err(Denial::InUse(_))), "{denied:?}");
    }
    // The asker's mark is all that has come.
    let rest = |dump: Vec<(String, Vec<Row>)>| {
        let rest = dump.into_iter().filter(|(table, _)| table != "meta");
        rest.collect::<Vec<_>>()
    };
    assert_eq!(rest(store.dump()), rest(before));
}

#[test]
fn it_is_listed_in_pages_and_counted() {
    let store = store();
    let keys = keys();
    let list = |after: Option<&str>, limit| -> Vec<String> {
        let question = Question::ListSealed {
            not_under: Local(2).kek(),
            after: after.map(str::to_owned),
            limit,
        };
        match store.ask(&keys, question) {
            Ok(Reply::Sealed(rows)) => rows.into_iter().map(|row| row.provider_key).collect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(None, 2), ["pk_1", "pk_2"]);
    assert_eq!(list(Some("pk_2"), 2), ["pk_3"]);
    assert!(list(Some("pk_3"), 2).is_empty());
    store.ask(&keys, create("pk_4", Local(2))).unwrap();
    let no_secret = Question::CreateProviderKey {
        key: Box::new(sample::provider_key("pk_5", "ollama", "pk_5", START)),
        sealed: None,
    };
    store.ask(&keys, no_secret).unwrap();
    // Another workspace's are its own.
    let team = Workspace {
        id: "ws_otheraaaaaaaaaaa".into(),
        name: "team".into(),
        plan: "free".into(),
        access: lockgate_workspace::resource::Access::Enforced,
        default_configuration: None,
        created_at: lockgate_workspace::resource::Timestamp(START),
        revision: 1,
    };
    store
        .ask(&keys, Question::CreateWorkspace(team.clone()))
        .unwrap();
    let made = store.outcome(&keys, &team.id, create("pk_6", Local(1)));
    assert!(made.reply.is_ok());
    let counted = |object: &str| match store.outcome(&keys, object, Question::CountSealed).reply {
        Ok(Reply::SealedCounts(SealedCounts {
            mut secrets,
            leftovers,
            ..
        })) => {
            secrets.sort();
            (secrets, leftovers)
        }
        other => panic!("{other:?}"),
    };
    let mut expected = vec![(Local(1).kek(), 3), (Local(2).kek(), 1)];
    expected.sort();
    assert_eq!(counted(DEFAULT_WORKSPACE), (expected, 0));
    assert_eq!(counted(&team.id), (vec![(Local(1).kek(), 1)], 0));
    assert_eq!(list(None, 10), ["pk_1", "pk_2", "pk_3"]);
    let listed = store.ask(
        &keys,
        Question::ListProviderKeys(Page {
            limit: 10,
            after: None,
        }),
    );
    assert!(matches!(listed, Ok(Reply::ProviderKeys(all)) if all.len() == 5));
}

/// One row for each pair of KEKs, with how many, and nothing of what is sealed.
#[test]
fn the_audit_log_tells_of_it() {
    let store = store();
    let rows = store.sealed(&keys(), &Local(2).kek());
    let all = rows.iter().map(|row| moved(row, Local(2))).collect();
    rewrapped(&store, all);
    rewrapped(&store, Vec::new());
    let told = store.texts("SELECT after FROM audit WHERE action = 'vault.rewrap'");
    assert_eq!(told.len(), 1, "{told:?}");
    for word in [Local(1).kek(), Local(2).kek(), "\"secrets\":3".to_owned()] {
        assert!(told[0].contains(&word), "{told:?}");
    }
    assert!(!told[0].contains("under"), "{told:?}");
}
