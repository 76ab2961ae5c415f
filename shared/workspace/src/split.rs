//! Weighted splits (FEATURES C2): which target is next, so that counts are exact and not only on average.
//!
//! After every prefix of what is handed out, each target's count is less than one away from its exact share, whatever
//! the weights. This is the quota method of apportionment (Balinski and Young, 1975; with other words Tijdeman's chairman
//! assignment): of the targets that would not get ahead of their share by a whole request, the one whose next request
//! is due first. The usual smooth weighted round-robin, which takes the one that is furthest behind, does not promise
//! that: with many weights it comes to be more than one away (`tests/split.rs` shows both).
//!
//! Only differences matter: adding one whole cycle (each target its weight, divided by what the weights have in common)
//! to the counts changes no decision, so that counts are kept small by leaving whole cycles out.

use sha2::{Digest, Sha256};

/// The most targets that a split has.
pub const MAX_TARGETS: usize = 20;
/// The greatest weight.
pub const MAX_WEIGHT: u32 = 1_000;
/// The most requests that are handed out at once.
pub const MAX_BLOCK: u32 = 1_000;

/// A count is never taken for more, whatever was given back: all products stay far within 64 bits.
const MAX_COUNT: u64 = 1 << 40;

/// Says to which places the next `most` requests go, one after the other, when each has been `handed` so many, and
/// counts them. None where no weight is above 0.
pub fn hand(weights: &[u32], handed: &mut [u64], most: u32) -> Vec<u32> {
    let whole = sum(weights.iter().map(|weight| u64::from(*weight)));
    shrink(weights, handed);
    let mut total = sum(handed.iter().take(weights.len()).copied());
    let mut places = Vec::new();
    while places.len() < most as usize {
        let next = next(weights, handed, whole, total);
        let Some((place, count)) = next.and_then(|place| Some((place, handed.get_mut(place)?)))
        else {
            break;
        };
        *count += 1;
        total += 1;
        // A split has a handful of targets.
        places.push(u32::try_from(place).unwrap_or(u32::MAX));
    }
    shrink(weights, handed);
    places
}

/// The place whose next request is due first, of those that it would not take a whole request ahead of their share.
fn next(weights: &[u32], handed: &[u64], whole: u64, total: u64) -> Option<usize> {
    let mut first: Option<(usize, u64, u64)> = None;
    for (place, (weight, count)) in weights.iter().zip(handed).enumerate() {
        let weight = u64::from(*weight);
        if count.saturating_mul(whole) >= weight.saturating_mul(total + 1) {
            continue;
        }
        // It is due when its share reaches this count: at `due * whole / weight` requests.
        let due = count + 1;
        let sooner = |(_, first_due, first_weight): (usize, u64, u64)| {
            due.saturating_mul(first_weight) < first_due.saturating_mul(weight)
        };
        if first.is_none_or(sooner) {
            first = Some((place, due, weight));
        }
    }
    first.map(|(place, ..)| place)
}

/// Takes back what was handed out and did not take place. What that leaves uneven is made good by what is handed out next.
pub fn take_back(weights: &[u32], handed: &mut [u64], unused: &[u32]) {
    let cycle = cycle(weights);
    // Whole cycles were left out: as many come back as it takes for no count to fall below 0.
    let short = handed.iter().zip(unused).zip(&cycle);
    let cycles = short
        .filter(|(_, cycle)| **cycle > 0)
        .map(|((count, unused), cycle)| u64::from(*unused).saturating_sub(*count).div_ceil(*cycle))
        .max()
        .unwrap_or(0);
    for ((count, unused), cycle) in handed.iter_mut().zip(unused).zip(&cycle) {
        *count = count
            .saturating_add(cycles.saturating_mul(*cycle))
            .saturating_sub(u64::from(*unused));
    }
    shrink(weights, handed);
}

/// Leaves out whole cycles.
fn shrink(weights: &[u32], handed: &mut [u64]) {
    let cycle = cycle(weights);
    let counts = handed.iter().zip(&cycle);
    let cycles = counts
        .filter_map(|(count, cycle)| count.checked_div(*cycle))
        .min()
        .unwrap_or(0);
    for (count, cycle) in handed.iter_mut().zip(&cycle) {
        *count = count.saturating_sub(cycles * cycle).min(MAX_COUNT);
    }
}

/// How many requests each gets in the shortest stretch in which all get exactly their share.
fn cycle(weights: &[u32]) -> Vec<u64> {
    let common = weights
        .iter()
        .fold(0, |common, weight| gcd(common, *weight));
    let weights = weights.iter();
    weights
        .map(|weight| u64::from(weight.checked_div(common).unwrap_or(0)))
        .collect()
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// The place on which a session falls, always the same one for the same weights; of many sessions each gets its share.
#[must_use]
pub fn sticky(weights: &[u32], route: &str, priority: u32, session: &str) -> usize {
    let mut digest = Sha256::new();
    // With lengths, so that no route's name runs into the session.
    digest.update((route.len() as u64).to_le_bytes());
    digest.update(route);
    digest.update(priority.to_le_bytes());
    digest.update((session.len() as u64).to_le_bytes());
    digest.update(session);
    let digest = digest.finalize();
    let head = digest.first_chunk().copied().unwrap_or_default();
    let whole = sum(weights.iter().map(|weight| u64::from(*weight)));
    // The hash as a fraction of all there are, times the whole: below it, without a remainder's bias.
    let at = (u128::from(u64::from_le_bytes(head)) * u128::from(whole)) >> 64;
    let mut end = 0;
    let ends = weights.iter().map(|weight| {
        end += u128::from(*weight);
        end
    });
    ends.take_while(|end| *end <= at).count()
}
