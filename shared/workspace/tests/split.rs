//! Weighted splits: the quota method by properties, and blocks of it drawn from the authority by several isolates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "split/drawn.rs"]
mod drawn;
#[path = "support/keyring.rs"]
mod keyring;
#[path = "support/sqlite.rs"]
#[allow(dead_code)] // It is shared with tests that need more of it.
mod sqlite;

use lockgate_workspace::split::{MAX_TARGETS, MAX_WEIGHT, hand, sticky, take_back};
use proptest::collection::vec;
use proptest::prelude::*;

/// Weights, small and large mixed.
fn weights() -> impl Strategy<Value = Vec<u32>> {
    let weight = prop_oneof![1..=MAX_WEIGHT, 1..=10_u32, Just(1), Just(MAX_WEIGHT)];
    vec(weight, 1..=MAX_TARGETS)
}

/// How many requests each target got, beside its exact share of them all: the farthest away, in requests times the
/// sum of the weights.
fn farthest(weights: &[u32], counts: &[u64]) -> u64 {
    let whole: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let total: u64 = counts.iter().sum();
    let each = weights.iter().zip(counts);
    each.map(|(weight, count)| (count * whole).abs_diff(u64::from(*weight) * total))
        .max()
        .unwrap()
}

fn whole(weights: &[u32]) -> u64 {
    weights.iter().map(|weight| u64::from(*weight)).sum()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_every_prefix_each_count_is_less_than_one_away(
        weights in weights(),
        blocks in vec(1..300_u32, 1..12),
    ) {
        let mut handed = vec![0; weights.len()];
        let mut counts = vec![0; weights.len()];
        for most in blocks {
            let places = hand(&weights, &mut handed, most);
            prop_assert_eq!(places.len(), most as usize);
            for place in places {
                counts[place as usize] += 1;
                prop_assert!(farthest(&weights, &counts) < whole(&weights), "{:?}", counts);
            }
        }
    }

    #[test]
    fn after_each_cycle_counts_are_exact_and_nothing_is_left_to_remember(weights in weights(), cut in 0..100_u32) {
        let common = weights.iter().copied().fold(0, gcd);
        let cycle = u32::try_from(whole(&weights)).unwrap() / common;
        let mut handed = vec![0; weights.len()];
        let first = cycle * cut / 100;
        let mut places = hand(&weights, &mut handed, first);
        places.extend(hand(&weights, &mut handed, cycle - first));
        for (place, weight) in weights.iter().enumerate() {
            let count = places.iter().filter(|to| **to as usize == place).count();
            prop_assert_eq!(count, (weight / common) as usize);
        }
        prop_assert!(handed.iter().all(|count| *count == 0), "{:?}", handed);
        prop_assert_eq!(hand(&weights, &mut handed, cycle), hand(&weights, &mut vec![0; weights.len()], cycle));
    }

    /// Whatever came back: as soon as the share of the one that is farthest ahead has caught up with its count, each is
    /// again less than one away.
    #[test]
    fn what_returns_leave_uneven_is_made_good(
        weights in vec(1..=60_u32, 2..=8),
        rounds in vec((1..200_u32, any::<u64>()), 1..6),
    ) {
        let mut handed = vec![0; weights.len()];
        let mut counts = vec![0_u64; weights.len()];
        for (most, seed) in rounds {
            let mut unused = vec![0_u32; weights.len()];
            for (at, place) in hand(&weights, &mut handed, most).into_iter().enumerate() {
                // Any of them, not only the last.
                match seed.rotate_left(u32::try_from(at % 64).unwrap()) % 3 {
                    0 => unused[place as usize] += 1,
                    _ => counts[place as usize] += 1,
                }
            }
            take_back(&weights, &mut handed, &unused);
        }
        let whole = whole(&weights);
        let even_at = weights.iter().zip(&counts).map(|(weight, count)| (count * whole).div_ceil(u64::from(*weight)));
        let even_at = even_at.max().unwrap();
        let missing = even_at - counts.iter().sum::<u64>();
        let places = hand(&weights, &mut handed, u32::try_from(missing).unwrap() + 200);
        for (at, place) in places.into_iter().enumerate() {
            counts[place as usize] += 1;
            if at as u64 + 1 >= missing {
                prop_assert!(farthest(&weights, &counts) < whole, "{:?} at {}", counts, at);
            }
        }
    }

    #[test]
    fn returning_everything_is_as_if_it_had_not_been_handed_out(weights in weights(), before in 0..500_u32, most in 0..500_u32) {
        let mut handed = vec![0; weights.len()];
        hand(&weights, &mut handed, before);
        let left = handed.clone();
        let mut unused = vec![0; weights.len()];
        for place in hand(&weights, &mut handed, most) {
            unused[place as usize] += 1;
        }
        take_back(&weights, &mut handed, &unused);
        prop_assert_eq!(handed, left);
    }

    #[test]
    fn nothing_panics_whatever_is_stored_or_sent(
        weights in vec(prop_oneof![Just(0), Just(u32::MAX), any::<u32>(), 0..9_u32], 0..25),
        handed in vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..9_u64], 0..25),
        unused in vec(prop_oneof![Just(0), Just(u32::MAX), any::<u32>()], 0..25),
    ) {
        let mut handed = handed;
        take_back(&weights, &mut handed, &unused);
        let places = hand(&weights, &mut handed, 20);
        prop_assert!(places.iter().all(|place| weights[*place as usize] > 0));
        let place = sticky(&weights, "route", 0, "session");
        prop_assert!(place < weights.len() && weights[place] > 0 || weights.iter().all(|weight| *weight == 0));
    }
}

/// What smooth weighted round-robin makes of the same weights: it takes the one that is furthest behind.
#[test]
fn round_robin_would_be_more_than_one_away_with_many_weights() {
    let mut weights = vec![7; 20];
    weights[0] = 1_000;
    weights[1] = 1_000;
    let whole = whole(&weights);
    let mut counts = vec![0_u64; weights.len()];
    let mut worst = 0;
    for total in 1..=whole {
        let behind = |place: &usize| {
            i128::from(u64::from(weights[*place]) * total) - i128::from(counts[*place] * whole)
        };
        let furthest = (0..weights.len()).max_by_key(behind).unwrap();
        counts[furthest] += 1;
        worst = worst.max(farthest(&weights, &counts));
    }
    assert!(worst > whole, "{worst} of {whole}");
    // The quota method is not.
    let mut counts = vec![0_u64; weights.len()];
    for place in hand(
        &weights,
        &mut vec![0; weights.len()],
        u32::try_from(whole).unwrap(),
    ) {
        counts[place as usize] += 1;
        assert!(farthest(&weights, &counts) < whole);
    }
}

#[test]
fn sessions_fall_on_each_by_its_weight_and_stay() {
    let weights = [70, 20, 10];
    let mut counts = [0_u32; 3];
    for session in 0..10_000 {
        let session = format!("session-{session}");
        let place = sticky(&weights, "chat", 0, &session);
        assert_eq!(place, sticky(&weights, "chat", 0, &session));
        counts[place] += 1;
    }
    // The standard deviation is at most 46.
    for (count, exact) in counts.into_iter().zip([7_000, 2_000, 1_000]) {
        assert!(count.abs_diff(exact) < 250, "{counts:?}");
    }
}

#[test]
fn sessions_fall_anew_for_another_route_and_priority() {
    let weights = [1; 20];
    let places = |route: &str, priority| -> Vec<usize> {
        (0..100)
            .map(|session| sticky(&weights, route, priority, &format!("{session}")))
            .collect()
    };
    assert_ne!(places("a", 0), places("b", 0));
    assert_ne!(places("a", 0), places("a", 1));
    // A route's name does not run into the session.
    let together = |route: &str, session: &str| -> Vec<usize> {
        (0..20)
            .map(|weight| sticky(&[weight + 1; 20], route, 0, session))
            .collect()
    };
    assert_ne!(together("ab", "c"), together("a", "bc"));
}
