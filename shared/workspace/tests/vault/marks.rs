//! Who may use a store: whoever can open all that is in it, and nobody else.

use lockgate_workspace::REGISTRY;
use lockgate_workspace::question::{DataQuestion, Page, Rewrapped};
use proptest::prelude::*;

use super::*;

const KV: Vault = Managed("vault-kv");
const AWS: Vault = Managed("aws-kms");

fn look() -> Question {
    Question::ListProviderKeys(Page {
        limit: 10,
        after: None,
    })
}

/// Moves everything under a vault.
fn move_all(store: &Store, keys: &Arc<Keyring>, to: Vault) -> Result<Reply, Denial> {
    let mut moved = Vec::new();
    for row in store.sealed(keys, &to.kek()) {
        let target = at(&row.provider_key, row.version, to);
        if to == KV {
            let intended = intend(&row.provider_key, row.version, to);
            store.ask(keys, intended)?;
        }
        moved.push(Rewrapped {
            provider_key: row.provider_key,
            version: row.version,
            from: row.at,
            to: target,
            ciphertext: (to != KV).then(|| "ciphertext".to_owned()),
        });
    }
    store.ask(keys, Question::Rewrap(moved))
}

/// Puts the token keys under a local KEK.
fn carry(store: &Store, keys: &Arc<Keyring>, to: u8) -> Result<Reply, Denial> {
    let from = match store.ask(keys, DataQuestion::TokenKeys)? {
        Reply::TokenKeys(stored) => stored.sealed.map(|(kek, _)| kek),
        other => panic!("{other:?}"),
    };
    let sealed = (Local(to).kek(), format!("the token keys under {to}"));
    store.ask(keys, Question::PutTokenKeys { from, sealed })
}

/// Who is refused has read nothing and changed nothing.
fn refused(store: &Store, keys: &Arc<Keyring>) -> Denial {
    let before = store.dump();
    let mut denials = Vec::new();
    for question in [
        look(),
        create("pk_refused", Local(9)),
        Question::DropWorkspace,
        Question::CountSealed,
        intend("pk_refused", 1, KV),
        DataQuestion::TokenKeys.into(),
    ] {
        let outcome = store.outcome(keys, DEFAULT_WORKSPACE, question);
        assert!(!outcome.changed);
        denials.push(outcome.reply.unwrap_err());
    }
    assert_eq!(store.dump(), before);
    assert!(
        denials.iter().all(|denial| *denial == denials[0]),
        "{denials:?}"
    );
    denials.remove(0)
}

#[test]
fn the_kek_of_before_is_needed_while_something_is_under_it() {
    let store = Store::new();
    let old = keyring(&[Local(1)], &[]);
    let both = keyring(&[Local(2)], &[Local(1)]);
    let new = keyring(&[Local(2)], &[]);
    store.ask(&old, create("pk_1", Local(1))).unwrap();
    store.ask(&old, create("pk_2", Local(1))).unwrap();
    // Nothing of it fits.
    assert_eq!(refused(&store, &new), Denial::WrongKek);
    store.ask(&both, look()).unwrap();
    // The new one has left its mark, and whoever has it not would not be able to follow.
    store.ask(&both, create("pk_3", Local(2))).unwrap();
    let needed = |kek: Vault, secrets| Denial::KekNeeded {
        kek: kek.kek(),
        secrets,
    };
    assert_eq!(refused(&store, &old), needed(Local(2), 1));
    // The token keys are the first KEK's still: it goes on being needed, which is said first.
    assert_eq!(refused(&store, &new), Denial::WrongKek);
    carry(&store, &both, 2).unwrap();
    assert_eq!(refused(&store, &new), needed(Local(1), 2));
    move_all(&store, &both, Local(2)).unwrap();
    store.ask(&new, look()).unwrap();
    store.ask(&new, create("pk_4", Local(2))).unwrap();
    assert_eq!(refused(&store, &old), Denial::WrongKek);
    // Those who have both are still let in.
    store.ask(&both, look()).unwrap();
    let third = keyring(&[Local(3)], &[]);
    assert_eq!(refused(&store, &third), Denial::WrongKek);
}

#[test]
fn token_keys_that_were_carried_need_the_kek_that_they_are_under() {
    let store = Store::new();
    let both = keyring(&[Local(2)], &[Local(1)]);
    store.ask(&keyring(&[Local(1)], &[]), look()).unwrap();
    store.ask(&both, look()).unwrap();
    // Nothing is sealed, so only the token keys count.
    store.ask(&keyring(&[Local(1)], &[]), look()).unwrap();
    store.ask(&both, look()).unwrap();
    carry(&store, &both, 2).unwrap();
    let denial = refused(&store, &keyring(&[Local(1)], &[]));
    let needed = Denial::KekNeeded {
        kek: Local(2).kek(),
        secrets: 0,
    };
    assert_eq!(denial, needed);
    assert!(
        denial.to_string().contains("LOCKGATE_KEK_PREVIOUS"),
        "{denial}"
    );
    store.ask(&keyring(&[Local(2)], &[]), look()).unwrap();
}

/// Carrying twice, or after somebody else, changes nothing.
#[test]
fn token_keys_are_carried_from_where_they_are() {
    let store = Store::new();
    let both = keyring(&[Local(2)], &[Local(1)]);
    store.ask(&keyring(&[Local(1)], &[]), look()).unwrap();
    carry(&store, &both, 2).unwrap();
    let late = Question::PutTokenKeys {
        from: None,
        sealed: (Local(1).kek(), "late".to_owned()),
    };
    assert_eq!(store.ask(&both, late), Ok(Reply::Done));
    let of = store.texts("SELECT sealed FROM token_keys");
    assert_eq!(of, ["the token keys under 2"]);
    carry(&store, &both, 1).unwrap();
    let of = store.texts("SELECT sealed FROM token_keys");
    assert_eq!(of, ["the token keys under 1"]);
}

#[test]
fn an_adapter_is_needed_while_something_is_under_it() {
    let store = Store::new();
    let local = keyring(&[Local(1)], &[]);
    let aws = keyring(&[Local(1), AWS], &[]);
    let back = keyring(&[Local(1)], &[AWS]);
    store.ask(&local, look()).unwrap();
    store.ask(&aws, create("pk_1", AWS)).unwrap();
    let denial = refused(&store, &local);
    let needed = Denial::KekNeeded {
        kek: AWS.kek(),
        secrets: 1,
    };
    assert_eq!(denial, needed);
    for word in ["`aws-kms`", "LOCKGATE_VAULT_PREVIOUS", "one secret"] {
        assert!(denial.to_string().contains(word), "{denial}");
    }
    // With another local KEK the store is another one's.
    assert_eq!(
        refused(&store, &keyring(&[Local(2), AWS], &[])),
        Denial::WrongKek
    );
    move_all(&store, &back, Local(1)).unwrap();
    store.ask(&local, look()).unwrap();
}

/// A version that was replaced and not yet forgotten still needs its KEK: its entry is to be removed by somebody who can.
#[test]
fn a_replaced_version_counts_until_it_is_forgotten() {
    let store = Store::new();
    let kv = keyring(&[Local(1), KV], &[]);
    let local = keyring(&[Local(1)], &[]);
    let both = keyring(&[Local(1)], &[KV]);
    store.ask(&kv, intend("pk_1", 1, KV)).unwrap();
    store.ask(&kv, create("pk_1", KV)).unwrap();
    store.ask(&both, rotate("pk_1", 2, Local(1))).unwrap();
    let needed = Denial::KekNeeded {
        kek: KV.kek(),
        secrets: 1,
    };
    assert_eq!(refused(&store, &local), needed);
    let sweep = Question::SweepProviderKey { id: "pk_1".into() };
    store.ask(&both, sweep).unwrap();
    // Nobody else could remove it from there.
    let entry = at("pk_1", 1, KV).entry;
    let left = Denial::StoreNeeded {
        entry: entry.clone(),
        entries: 1,
    };
    assert_eq!(refused(&store, &local), left);
    store.ask(&both, Question::Forgotten(vec![entry])).unwrap();
    store.ask(&local, look()).unwrap();
}

#[test]
fn the_registry_is_held_to_the_same() {
    let store = Store::new();
    let page = || {
        Question::ListWorkspaces(Page {
            limit: 10,
            after: None,
        })
    };
    store.ask(&keyring(&[Local(1)], &[]), look()).unwrap();
    let other = store.outcome(&keyring(&[Local(2)], &[]), REGISTRY, page());
    assert_eq!(other.reply, Err(Denial::WrongKek));
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Create,
    Rotate(usize),
    Delete(usize),
    MoveAll,
    Carry,
    Sweep(usize),
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Create),
        2 => (0..4_usize).prop_map(Act::Rotate),
        1 => (0..4_usize).prop_map(Act::Delete),
        2 => Just(Act::MoveAll),
        2 => Just(Act::Carry),
        1 => (0..4_usize).prop_map(Act::Sweep),
        2 => Just(Act::Look),
    ]
}

/// The vault that an asker seals in, and what it can open.
type Asker = (Vec<Vault>, Vec<Vault>);

fn asker() -> impl Strategy<Value = Asker> {
    let vaults = [Local(1), Local(2), KV, AWS];
    let local = prop_oneof![Just(Local(1)), Just(Local(2))];
    let managed = proptest::option::weighted(0.5, prop_oneof![Just(KV), Just(AWS)]);
    let readable = proptest::sample::subsequence(vaults.to_vec(), 0..=4);
    (local, managed, readable).prop_map(|(local, managed, readable)| {
        let in_force: Vec<Vault> = [local].into_iter().chain(managed).collect();
        let readable = readable.into_iter().filter(|v| !in_force.contains(v));
        let readable = readable.collect();
        (in_force, readable)
    })
}

fn does(store: &Store, (in_force, readable): &Asker, act: Act, at: usize) -> Result<Reply, Denial> {
    let keys = keyring(in_force, readable);
    let target = *in_force.last().unwrap();
    let Local(local) = in_force[0] else {
        panic!("the first is local");
    };
    let of = |nth: usize| {
        store
            .texts("SELECT id FROM provider_keys ORDER BY id")
            .into_iter()
            .nth(nth)
    };
    match act {
        Act::Create => {
            let id = format!("pk_{at}");
            store.ask(&keys, intend(&id, 1, target))?;
            store.ask(&keys, create(&id, target))
        }
        Act::Rotate(nth) => {
            let Some(id) = of(nth) else {
                return store.ask(&keys, look());
            };
            let Reply::ProviderKey(key) = store.ask(&keys, Question::GetProviderKey(id.clone()))?
            else {
                panic!("no key");
            };
            store.ask(&keys, intend(&id, key.version + 1, target))?;
            store.ask(&keys, rotate(&id, key.version + 1, target))
        }
        Act::Delete(nth) => match of(nth) {
            Some(id) => store.ask(&keys, delete(&id)),
            None => store.ask(&keys, look()),
        },
        Act::MoveAll => {
            // It is refused before it has listed anything.
            store.ask(&keys, look())?;
            move_all(store, &keys, target)
        }
        Act::Carry => carry(store, &keys, local),
        Act::Sweep(nth) => match of(nth) {
            Some(id) => store.ask(&keys, Question::SweepProviderKey { id }),
            None => store.ask(&keys, look()),
        },
        Act::Look => store.ask(&keys, look()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Askers with all sorts of settings, in any order: who is answered can open everything that is there, whoever sealed it; who
    /// is refused lacks something, and has changed nothing.
    #[test]
    fn whoever_is_let_in_can_open_everything(
        askers in proptest::collection::vec(asker(), 1..5),
        acts in proptest::collection::vec((0..5_usize, act()), 1..40),
    ) {
        let store = Store::new();
        // The first to come makes the store his.
        store.ask(&keyring(&[Local(1)], &[]), look()).unwrap();
        for (at, (who, act)) in acts.into_iter().enumerate() {
            let asker = &askers[who % askers.len()];
            let opens = |kek: &str| {
                let all = asker.0.iter().chain(&asker.1);
                all.clone().any(|vault| vault.kek() == kek)
            };
            let before = store.dump();
            let lacks = {
                let sealed = store.texts("SELECT DISTINCT kek FROM provider_key_versions WHERE entry IS NOT NULL");
                let carried = store.texts("SELECT kek FROM token_keys");
                let origin = carried.is_empty().then(|| Local(1).kek());
                let left = store.left().into_iter().filter_map(|entry| {
                    entry.split_once('#').map(|(kek, _)| kek.to_owned())
                });
                let needed: Vec<String> = sealed.into_iter().chain(carried).chain(origin).chain(left).collect();
                needed.iter().any(|kek| !opens(kek))
            };
            match does(&store, asker, act, at) {
                Ok(_) => {
                    prop_assert!(!lacks, "{asker:?} was let in");
                    for kek in store.texts("SELECT kek FROM provider_key_versions WHERE entry IS NOT NULL") {
                        prop_assert!(opens(&kek), "{asker:?} cannot open {kek}");
                    }
                }
                Err(denial @ (Denial::WrongKek | Denial::KekNeeded { .. } | Denial::StoreNeeded { .. })) => {
                    prop_assert!(lacks, "{asker:?} was kept out: {denial}");
                    prop_assert_eq!(store.dump(), before);
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
