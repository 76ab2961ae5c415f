//! Whose turn it is to ask a vault: one asker's at a time, seldom, and soon somebody's whatever became of the last one and
//! whatever the clocks do.

use lockgate_workspace::question::{Asking, Bridge, DataQuestion, Turn};
use proptest::prelude::*;

use super::*;

const AWS: Vault = Managed("aws-kms");
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// How long what a vault gave is used without asking again.
const FRESH: u64 = 10 * MINUTE;
const TURN: u64 = 15 * SECOND;
/// How much of a turn an asker leaves unused, since it may have waited for the store after it had read its clock.
const MARGIN: u64 = SECOND;
/// How far a clock may lie behind and still count.
const BEHIND: u64 = 15 * SECOND;
/// The longest pause and a whole turn, each as a clock sees them that lies behind.
const LONGEST: u64 = MINUTE + BEHIND + TURN + BEHIND;
/// Asking after 0, 5, 15, 35 and 75 seconds, then once a minute.
const MOST_AN_HOUR: u64 = 63;

fn keys() -> Arc<Keyring> {
    keyring(&[Local(1), AWS], &[])
}

fn store() -> Store {
    let store = Store::new();
    store.ask(&keys(), create("pk_1", AWS)).unwrap();
    store
}

fn of(version: u64, kek: &str) -> impl Fn(&Store, u64) -> Result<Turn, Denial> {
    move |store, known| {
        let question = DataQuestion::TakeTurn {
            provider_key: "pk_1".into(),
            version,
            kek: kek.to_owned(),
            known,
            turn_ms: TURN,
        };
        match store.ask(&keys(), question)? {
            Reply::Turn(turn) => Ok(turn),
            other => panic!("{other:?}"),
        }
    }
}

fn turn(store: &Store, known: u64) -> Turn {
    of(1, &AWS.kek())(store, known).unwrap()
}

fn bridge(proven_at: u64) -> Bridge {
    Bridge {
        kek: Local(1).kek(),
        sealed: "c2VhbGVk".into(),
        proven_at,
        expires_at: proven_at + HOUR,
    }
}

fn end(store: &Store, asking: Asking) {
    let question = DataQuestion::EndTurn {
        provider_key: "pk_1".into(),
        version: 1,
        kek: AWS.kek(),
        asking,
    };
    assert_eq!(store.ask(&keys(), question), Ok(Reply::Done));
}

#[test]
fn who_is_never_heard_of_again_has_lost_the_turn() {
    let store = store();
    assert_eq!(turn(&store, 0), Turn::Ask);
    store.time.set(START + TURN - 1);
    assert_eq!(turn(&store, 0), Turn::Wait);
    store.time.set(START + TURN);
    assert_eq!(turn(&store, 0), Turn::Ask);
    end(&store, Asking::Gave(bridge(START + TURN)));
    assert_eq!(turn(&store, 0), Turn::Built(bridge(START + TURN)));
}

#[test]
fn each_failure_doubles_the_pause_up_to_a_minute() {
    let store = store();
    for pause in [5, 10, 20, 40, 60, 60, 60] {
        assert_eq!(turn(&store, 0), Turn::Ask);
        end(&store, Asking::Failed);
        assert_eq!(turn(&store, 0), Turn::Hold(pause * SECOND));
        store.time.set(store.time.get() + pause * SECOND);
    }
    assert_eq!(turn(&store, 0), Turn::Ask);
    end(&store, Asking::Gave(bridge(store.time.get())));
    // What was before is forgotten.
    store.time.set(store.time.get() + FRESH);
    assert_eq!(turn(&store, store.time.get() - FRESH), Turn::Ask);
    end(&store, Asking::Failed);
    assert_eq!(turn(&store, store.time.get()), Turn::Hold(5 * SECOND));
}

/// Askers without a pause: so often is a vault asked that fails, and one that does not.
#[test]
fn so_many_calls_are_made_in_an_hour() {
    for (works, calls) in [(true, 6), (false, MOST_AN_HOUR)] {
        let store = store();
        let mut given = 0;
        for at in (START..START + HOUR).step_by(500) {
            store.time.set(at);
            for known in [0, at - FRESH] {
                if turn(&store, known) == Turn::Ask {
                    given += 1;
                    end(
                        &store,
                        match works {
                            true => Asking::Gave(bridge(at)),
                            false => Asking::Failed,
                        },
                    );
                }
            }
        }
        assert_eq!(given, calls);
    }
}

/// What is not in force, or under another KEK, is nobody's to ask for.
#[test]
fn there_are_turns_for_what_is_in_force_only() {
    let store = store();
    let gone = |found: Result<Turn, Denial>| matches!(found, Err(Denial::NotFound { .. }));
    assert!(gone(of(2, &AWS.kek())(&store, 0)));
    assert!(gone(of(1, "aws-kms:another")(&store, 0)));
    assert_eq!(turn(&store, 0), Turn::Ask);
    end(&store, Asking::Gave(bridge(START)));
    store.ask(&keys(), rotate("pk_1", 2, AWS)).unwrap();
    assert!(gone(of(1, &AWS.kek())(&store, 0)));
    assert_eq!(of(2, &AWS.kek())(&store, 0), Ok(Turn::Ask));
    store.ask(&keys(), delete("pk_1")).unwrap();
    assert!(store.texts("SELECT provider_key FROM bridges").is_empty());
}

#[derive(Debug, Clone, Copy)]
enum Does {
    /// Asks for a turn, knowing nothing.
    Cold,
    /// Asks for a turn beside the traffic, for something newer than is fresh.
    Refresh,
    /// Whoever has the turn ends it.
    Gives,
    Fails,
    IsRefused,
    /// Whoever has the turn is killed.
    Dies,
}

/// What is done, how long after the last, and how long its asker has waited for the store.
fn acts() -> impl Strategy<Value = Vec<(Does, u64, u64)>> {
    let does = prop_oneof![
        3 => Just(Does::Cold),
        3 => Just(Does::Refresh),
        2 => Just(Does::Gives),
        3 => Just(Does::Fails),
        1 => Just(Does::IsRefused),
        1 => Just(Does::Dies),
    ];
    let after = prop_oneof![
        5 => 0..2 * SECOND,
        3 => 0..20 * SECOND,
        1 => 0..12 * MINUTE,
    ];
    proptest::collection::vec((does, after, 0..MARGIN), 1..100)
}

/// A turn that was given: when, by the clock that the store was shown, and when in truth.
#[derive(Debug, Clone, Copy)]
struct Given {
    shown: u64,
    at: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn one_asks_at_a_time_and_not_often(acts in acts()) {
        let store = store();
        let mut at = START;
        let mut holder: Option<Given> = None;
        let mut given = Vec::new();
        let mut deaths = Vec::new();
        for (does, after, behind) in acts {
            at += after;
            // Nobody uses the whole of a turn: what takes longer has been given up.
            if holder.is_some_and(|holder| at >= holder.at + TURN - MARGIN) {
                deaths.push(at);
                holder = None;
            }
            let now = at - behind;
            store.time.set(now);
            match (does, holder.take()) {
                (Does::Cold | Does::Refresh, held) => {
                    let known = match does {
                        Does::Cold => 0,
                        _ => now - FRESH,
                    };
                    holder = held;
                    match turn(&store, known) {
                        Turn::Ask => {
                            prop_assert!(held.is_none(), "two at once: {held:?} and one at {at}");
                            holder = Some(Given { shown: now, at });
                            given.push(at);
                        }
                        Turn::Built(bridge) => prop_assert!(bridge.proven_at > known),
                        Turn::Wait | Turn::Hold(_) => {}
                    }
                }
                (_, None) => {}
                (Does::Gives, Some(held)) => end(&store, Asking::Gave(bridge(held.shown))),
                (Does::Fails, Some(_)) => end(&store, Asking::Failed),
                (Does::IsRefused, Some(_)) => end(&store, Asking::Refused),
                (Does::Dies, Some(_)) => deaths.push(at),
            }
        }
        for from in &given {
            let within = |all: &[u64]| all.iter().filter(|at| (*from..from + HOUR).contains(at)).count() as u64;
            let (asked, died) = (within(&given), within(&deaths));
            prop_assert!(asked <= MOST_AN_HOUR + died, "{asked} in an hour, {died} deaths");
        }
    }

    /// Clocks step, askers die, the vault fails: a little later somebody may ask, or need not.
    #[test]
    fn nobody_is_kept_waiting(acts in acts(), steps in proptest::collection::vec(0..2 * HOUR, 100)) {
        let store = store();
        let mut at = START;
        for ((does, after, behind), step) in acts.into_iter().zip(steps) {
            at += after;
            // Most of them back by nothing, some by up to an hour, or forth.
            at = match step / MINUTE {
                0..30 => at - (step % (5 * MINUTE)),
                30..35 => at - step,
                35..40 => at + step,
                _ => at,
            };
            store.time.set(at - behind);
            match does {
                Does::Cold => drop(turn(&store, 0)),
                Does::Refresh => drop(turn(&store, store.time.get() - FRESH)),
                Does::Gives => end(&store, Asking::Gave(bridge(store.time.get()))),
                Does::Fails => end(&store, Asking::Failed),
                Does::IsRefused => end(&store, Asking::Refused),
                Does::Dies => {}
            }
            store.database.sql("SAVEPOINT later", &[]).unwrap();
            let mut waited = 0;
            loop {
                store.time.set(at + waited);
                match turn(&store, 0) {
                    Turn::Ask => break,
                    Turn::Built(bridge) => {
                        prop_assert!(bridge.proven_at <= at + waited + MINUTE);
                        prop_assert!(bridge.expires_at > at + waited);
                        break;
                    }
                    Turn::Hold(ms) => waited += ms,
                    Turn::Wait => waited += SECOND,
                }
                prop_assert!(waited <= LONGEST, "{waited} ms after {does:?}");
            }
            store.database.sql("ROLLBACK TO later", &[]).unwrap();
            store.database.sql("RELEASE later", &[]).unwrap();
        }
    }
}
