//! What holds whatever happens.

use std::collections::BTreeMap;

use lockgate_routing::Failed;
use lockgate_workspace::plan::{Cause, Fallback, KeysTried};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::story::{CAUSES, Outcome, Place, failed, on, route, told};

fn fallbacks() -> impl Strategy<Value = Fallback> {
    (
        subsequence(CAUSES.to_vec(), 0..=6),
        any::<bool>(),
        option::of(1..=20_u32),
        option::of(1..=200_000_u64),
    )
        .prop_map(|(on, all, attempts, deadline_ms)| Fallback {
            on,
            keys: if all { KeysTried::All } else { KeysTried::One },
            attempts,
            deadline_ms,
        })
}

fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
    let cause = prop_oneof![9 => (0..6_usize).prop_map(|n| Some(CAUSES[n])), 1 => Just(None)];
    let asked = prop_oneof![3 => Just(None), 1 => Just(Some(u64::MAX)), 4 => (0..120_000_u64).prop_map(Some)];
    let took = prop_oneof![8 => 0..20_000_i64, 1 => -50_000..0_i64, 1 => Just(i64::MIN / 2)];
    let one =
        (cause, asked, took, any::<u64>()).prop_map(|(cause, retry_after_ms, took, chance)| {
            Outcome {
                failed: Failed {
                    cause,
                    retry_after_ms,
                },
                took,
                chance,
            }
        });
    vec(one, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_ends_and_keeps_to_the_rules(
        fallback in fallbacks(), sizes in vec(0..4_usize, 1..5), ill in vec(option::of(0..6_usize), 20),
        outcomes in outcomes(), steady in any::<bool>(),
    ) {
        let outcomes: Vec<Outcome> = outcomes
            .into_iter()
            .map(|outcome| Outcome { took: if steady { outcome.took.max(0) } else { outcome.took }, ..outcome })
            .collect();
        let rules = route(fallback.clone());
        let out = |(step, place): Place| ill[step * 4 + place].map(|n| CAUSES[n]);
        let story = told(Some(&rules), &sizes, out, |n, _| outcomes[n % outcomes.len()]);
        let outcome = |n: usize| outcomes[n % outcomes.len()];
        let leads = |n: usize| outcome(n).failed.cause.is_some_and(|cause| fallback.on.contains(&cause));
        let missing = |n: usize| outcome(n).failed.cause == Some(Cause::KeyMissing);
        let all: usize = sizes.iter().sum();

        // It ends after so many steps.
        let tries = story.tries.len();
        let made = (0..tries).filter(|n| !missing(*n)).count();
        let most = fallback.attempts.map_or(all, |most| most as usize);
        prop_assert!(made <= most && tries <= most + all, "{} tries", tries);
        prop_assert!(story.arranged <= sizes.len() && story.pauses.len() <= tries);
        prop_assert_eq!(story.asked, tries + story.pauses.len() + story.arranged + 1);
        prop_assert_eq!(tries == 0, all == 0);

        // What ends it, ends it.
        for n in 0..tries {
            prop_assert!(leads(n) || n + 1 == tries, "{:?}", story);
        }

        // First each target once: step by step, those that are out of order behind.
        let postponed = |place: &Place| out(*place).is_some_and(|cause| fallback.on.contains(&cause));
        let places = || sizes.iter().enumerate().flat_map(|(step, size)| (0..*size).map(move |place| (step, place)));
        let order: Vec<Place> = places().filter(|place| !postponed(place)).chain(places().filter(postponed)).collect();
        let first = tries.min(all);
        prop_assert_eq!(&story.places()[..first], &order[..first]);
        prop_assert!(story.pauses.iter().all(|(before, _)| *before >= all));

        let mut gone: BTreeMap<Place, Option<u64>> = BTreeMap::new();
        for (n, tried) in story.tries.iter().enumerate() {
            // Nobody is asked before its time, and nobody without a key twice.
            if let Some(not_before) = gone.get(&tried.place) {
                prop_assert!(not_before.is_some_and(|at| !steady || at <= tried.at), "{:?}", story);
            }
            let ended = tried.at.saturating_add_signed(outcome(n).took);
            let again = ended.saturating_add(outcome(n).failed.retry_after_ms.unwrap_or(0));
            gone.insert(tried.place, (!missing(n)).then_some(again));
            // Each has some of what is left.
            prop_assert_eq!(tried.within.is_some(), fallback.deadline_ms.is_some());
            if let (Some(within), Some(deadline), true) = (tried.within, fallback.deadline_ms, steady) {
                let left = (1_000_000 + deadline).saturating_sub(tried.at);
                prop_assert!(within >= 1 && within <= left.max(1));
                let sent_before = (0..n).any(|n| !missing(n));
                prop_assert!(left > 0 || !sent_before);
            }
        }
        for (round, (_, pause)) in story.pauses.iter().enumerate() {
            let longest = (250_u64 << round.min(16)).min(8_000);
            prop_assert!(*pause >= longest - longest / 2);
            prop_assert!(*pause <= fallback.deadline_ms.unwrap_or(60_000));
        }
        if let (Some(deadline), true) = (fallback.deadline_ms, steady) {
            let paused_at = story.pauses.iter().filter_map(|(before, pause)| Some((story.tries.get(*before)?.at, pause)));
            for (next_at, _) in paused_at {
                prop_assert!(next_at < 1_000_000 + deadline);
            }
        }
    }

    #[test]
    fn without_anything_in_the_way_all_attempts_are_made(
        attempts in option::of(1..=20_u32), sizes in vec(1..4_usize, 1..4), chance in any::<u64>(),
    ) {
        let rules = route(Fallback { attempts, ..on(&[Cause::ServerError]) });
        let all: usize = sizes.iter().sum();
        let story = told(Some(&rules), &sizes, |_| None, |_, _| Outcome {
            chance,
            ..Outcome::of(failed(Cause::ServerError))
        });
        prop_assert_eq!(story.tries.len(), attempts.map_or(all, |most| most as usize));
        for (n, tried) in story.tries.iter().enumerate() {
            prop_assert_eq!(tried.place, story.tries[n % all].place);
        }
    }
}
