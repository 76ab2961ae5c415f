//! What is left over in stores, and secrets that are moved under another KEK.

use lockgate_workspace::question::{Denial, Question, Reply, Rewrapped, SealedAt};
use lockgate_workspace::resource::Timestamp;

use super::{START, Store, create_key, delete_key, provider_key, sealed};

/// What is written into a vault's own store while the scheduled work removes what is left over there.
#[test]
fn what_is_claimed_to_be_removed_never_comes_into_force() {
    const MINUTE: u64 = 60_000;
    let store = Store::new();
    let entry = |n: u64| format!("vault-kv:secret@2/lockgate#secret/pk_1/{n}");
    let intend = |n| {
        store
            .ask(Question::RememberEntries(vec![entry(n)]))
            .unwrap()
    };
    let claim = |limit| {
        let before = Timestamp(store.time.get() - 10 * MINUTE);
        match store.ask(Question::ClaimLeftovers { before, limit }) {
            Ok(Reply::Entries(entries)) => entries,
            other => panic!("{other:?}"),
        }
    };
    let create = |n| {
        let mut sealed = sealed("pk_1", 1);
        sealed.entry = entry(n);
        store.ask(Question::CreateProviderKey {
            key: Box::new(provider_key("pk_1", "openai", "prod")),
            sealed: Some(sealed),
        })
    };
    intend(1);
    store.time.set(START + MINUTE);
    intend(2);
    assert!(claim(9).is_empty(), "somebody may be writing them");
    store.time.set(START + 12 * MINUTE);
    assert_eq!(claim(1), [entry(1)]);
    let late = create(1).unwrap_err();
    assert!(matches!(late, Denial::InUse(_)), "{late:?}");
    // Whoever claimed it has ended, or could not remove it: the other one comes first.
    store.time.set(START + 23 * MINUTE);
    assert_eq!(claim(1), [entry(2)]);
    store.time.set(START + 34 * MINUTE);
    assert_eq!(claim(9), [entry(1), entry(2)]);
    store.ask(Question::Forgotten(vec![entry(1)])).unwrap();
    store.time.set(START + 45 * MINUTE);
    assert_eq!(claim(9), [entry(2)]);

    intend(3);
    create(3).unwrap();
    // Told a second time, late.
    intend(3);
    store.time.set(START + 60 * MINUTE);
    assert_eq!(claim(9), [entry(2)]);
    assert_eq!(
        store.ask(delete_key("pk_1")),
        Ok(Reply::Entries(vec![entry(3)]))
    );
}

#[test]
fn a_secret_that_is_moved_twice_stays_where_it_is() {
    let store = Store::new();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    let from = sealed("pk_1", 1);
    let to = SealedAt {
        kek: "vault-kv:secret@2/lockgate".into(),
        entry: "vault-kv:secret@2/lockgate#secret/pk_1/1".into(),
        wrapped: String::new(),
    };
    let remember = |entry: &String| Question::RememberEntries(vec![entry.clone()]);
    let rewrap = |to: &SealedAt| {
        store.ask(Question::Rewrap(vec![Rewrapped {
            provider_key: "pk_1".into(),
            version: 1,
            from: SealedAt {
                kek: from.kek.clone(),
                entry: from.entry.clone(),
                wrapped: from.wrapped.clone(),
            },
            to: to.clone(),
            ciphertext: None,
        }]))
    };
    store.ask(remember(&to.entry)).unwrap();
    let left = vec![from.entry.clone()];
    assert_eq!(rewrap(&to), Ok(Reply::Rewrapped(1, left)));
    // The question comes a second time: nothing is to be removed.
    assert_eq!(rewrap(&to), Ok(Reply::Rewrapped(0, Vec::new())));
    // Somebody else's work, on what is no longer there, is.
    let late = SealedAt {
        entry: format!("{}-late", to.entry),
        ..to.clone()
    };
    store.ask(remember(&late.entry)).unwrap();
    assert_eq!(
        rewrap(&late),
        Ok(Reply::Rewrapped(0, vec![late.entry.clone()]))
    );
}
