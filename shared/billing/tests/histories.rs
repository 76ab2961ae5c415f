//! Ten thousand lives of customers, each told in many ways.
//!
//! What is proved of every history that `world.rs` can play:
//!
//! 1. **Order, repetition and gaps do not matter.** Any permutation with duplicates, and any delivery with drops whose
//!    gaps are closed later, ends in the very account that the order of sending ends in; and that account is what really
//!    was: state, seats, dates and access of the played Stripe.
//! 2. **In order and without delay, access is exact**: at every moment it is what Stripe would bill for.
//! 3. **Whatever has arrived, in whatever order**, a subscription gives access at least as long as the last of its events
//!    among them promised, and not beyond a date of cancellation or end that this event told. (No receiver can do better:
//!    what has not arrived is not known. So for a part of the events, access may differ from what really was by the
//!    news that is missing, but never by the order of what has come.)
//! 4. **A cancelled subscription never comes back and never bills again by us**: once its end has been told, or the date
//!    of its cancellation has passed, it gives no access and no allowed action names it; one that is to be cancelled is
//!    never changed.
//! 5. **Effects are due once**: a trial that closed and a credit that was paid have one key each.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "histories/claims.rs"]
mod claims;
#[path = "histories/world.rs"]
mod world;

use std::collections::BTreeSet;

use lockgate_subscription::{Account, Event};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use claims::{after_in_order, after_part, is_what_was};
use world::{DAY, HOUR, Sent, World, steps};

fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Account {
    let mut account = Account::default();
    for event in events {
        account.apply(event);
    }
    account
}

/// How a history is told: for each event a place in the line, whether it is dropped at first, and a place for a
/// duplicate.
fn telling() -> impl Strategy<Value = Vec<(u32, bool, Option<u32>)>> {
    let one = (
        any::<u32>(),
        prop::bool::weighted(0.25),
        prop::option::weighted(0.3, any::<u32>()),
    );
    proptest::collection::vec(one, 150)
}

/// The events in the order of a telling. Those that are dropped at first come at the end.
fn told<'a>(sent: &'a [Sent], telling: &[(u32, bool, Option<u32>)]) -> Vec<&'a Sent> {
    let mut line = Vec::new();
    for (one, (place, dropped, duplicate)) in sent.iter().zip(telling.iter().cycle()) {
        line.push((*dropped, *place, one));
        if let Some(place) = duplicate {
            line.push((true, *place, one));
        }
    }
    line.sort_by_key(|(dropped, place, _)| (*dropped, *place));
    line.into_iter().map(|(_, _, one)| one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_telling_of_a_history_ends_the_same_and_never_takes_access_early(
        steps in steps(),
        new_api in any::<bool>(),
        tellings in [telling(), telling()],
        cuts in [0.0..1.0f64, 0.0..1.0, 0.0..1.0],
        later in prop_oneof![Just(0), Just(HOUR), 0..40 * DAY],
    ) {
        let mut world = World::new(new_api);
        let mut in_order = Account::default();
        let mut heard = 0;
        for (step, pick, gap) in steps {
            world.step(step, pick);
            world.wait(gap);
            for one in &world.sent[heard..] {
                in_order.apply(&one.event);
            }
            heard = world.sent.len();
            after_in_order(&in_order, &world)?;
        }
        is_what_was(&in_order, &world)?;

        for telling in &tellings {
            let line = told(&world.sent, telling);
            let whole = fold(line.iter().map(|one| &one.event));
            prop_assert_eq!(&whole, &in_order);
            prop_assert_eq!(whole.dues(world.now), in_order.dues(world.now));
            for cut in cuts {
                let part = &line[..(cut * line.len() as f64) as usize];
                let account = fold(part.iter().map(|one| &one.event));
                // What has come could not come before it happened.
                let last = part.iter().map(|one| one.event.created).max().unwrap_or(0);
                after_part(&account, &world, part, last + later)?;
            }
        }

        let stored = serde_json::to_string(&in_order).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Account>(&stored).unwrap(), &in_order);
        let unchanged = world.sent.iter().all(|one| !in_order.apply(&one.event));
        prop_assert!(unchanged, "events that were told before change nothing");
    }
}

#[test]
fn the_lives_that_are_played_have_everything_in_them() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut states) = (BTreeSet::new(), BTreeSet::new());
    let mut together = 0;
    for _ in 0..500 {
        let tree = steps().new_tree(&mut runner).unwrap();
        let mut world = World::new(true);
        for (step, pick, gap) in tree.current() {
            world.step(step, pick);
            world.wait(gap);
        }
        kinds.extend(
            world
                .sent
                .iter()
                .map(|one| one.event.kind.as_str().to_owned()),
        );
        states.extend(world.subs.iter().map(|sub| sub.status));
        let gives = world.subs.iter().filter(|sub| sub.gives_access());
        together += usize::from(gives.count() > 1);
    }
    assert_eq!(kinds.len(), 16, "{kinds:?}");
    assert_eq!(states.len(), 8, "{states:?}");
    assert!(together > 20, "{together}");
}
