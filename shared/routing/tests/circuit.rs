//! Circuit breaking by properties and by example: when a circuit opens, who probes, how long a key rests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lockgate_routing::Failed;
use lockgate_routing::circuit::{
    Circuits, EXHAUSTED_MS, Endpoint, FAILURES, MAX_ASKED_MS, MAX_OPEN_MS, MAX_REMEMBERED,
    MAX_REST_MS, OPEN_MS, PROBE_MS, REST_MS,
};
use lockgate_workspace::plan::Cause;
use lockgate_workspace::resource::Health;
use lockgate_workspace::snapshot::{KeyPointer, SealedPointer};
use proptest::collection::vec;
use proptest::prelude::*;

const HERE: Endpoint<'static> = Endpoint {
    provider: "openai",
    address: "https://api.openai.com/v1",
};
const THERE: Endpoint<'static> = Endpoint {
    provider: "openai",
    address: "https://proxy.example/v1",
};

fn key(id: &str, version: u64) -> KeyPointer {
    KeyPointer {
        id: id.into(),
        provider: HERE.provider.into(),
        name: id.into(),
        enabled: true,
        default: false,
        base_url: None,
        options: Default::default(),
        tags: Default::default(),
        health: Health::Ok,
        sealed: Some(SealedPointer {
            version,
            entry: String::new(),
            wrapped: String::new(),
            kek: "kek_1".into(),
        }),
    }
}

fn by(cause: Cause) -> Failed {
    Failed {
        cause: Some(cause),
        retry_after_ms: None,
    }
}

fn limited(retry_after_ms: Option<u64>) -> Failed {
    Failed {
        cause: Some(Cause::RateLimit),
        retry_after_ms,
    }
}

/// With the circuit of `HERE` just opened at `now`.
fn opened(now: u64) -> Circuits {
    let mut circuits = Circuits::default();
    for _ in 0..FAILURES {
        circuits.failed(HERE, &key("a", 1), &by(Cause::ServerError), now);
    }
    circuits
}

#[test]
fn failures_in_a_row_open_a_circuit() {
    let (mut circuits, key) = (Circuits::default(), key("a", 1));
    for round in 0..3 {
        for _ in 1..FAILURES {
            circuits.failed(HERE, &key, &by(Cause::Timeout), round);
            assert_eq!(circuits.open(HERE, round, false), None);
        }
        circuits.worked(HERE, &key);
        assert!(circuits.is_clear(HERE.provider));
    }
    for _ in 1..FAILURES {
        circuits.failed(HERE, &key, &by(Cause::Timeout), 9);
    }
    circuits.failed(HERE, &key, &by(Cause::ServerError), 9);
    assert_eq!(circuits.open(HERE, 9, true), Some(Cause::ServerError));
    // Another address of the provider is another endpoint, and it is not about the key.
    assert_eq!(circuits.open(THERE, 9, true), None);
    assert_eq!(circuits.rests(&key, 9), None);
}

#[test]
fn it_is_open_twice_as_long_each_time_and_one_request_probes() {
    let mut circuits = opened(0);
    let mut began = 0;
    for open_for in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000] {
        let ends = began + open_for;
        assert_eq!(
            circuits.open(HERE, ends - 1, true),
            Some(Cause::ServerError)
        );
        // Who would not ask it next does not probe.
        assert_eq!(circuits.open(HERE, ends, false), Some(Cause::ServerError));
        assert_eq!(circuits.open(HERE, ends, true), None);
        assert_eq!(circuits.open(HERE, ends, true), Some(Cause::ServerError));
        assert_eq!(
            circuits.open(HERE, ends + PROBE_MS - 1, true),
            Some(Cause::ServerError)
        );
        // Nothing was heard of it.
        assert_eq!(circuits.open(HERE, ends + PROBE_MS, true), None);
        began = ends + PROBE_MS + 3;
        circuits.failed(HERE, &key("a", 1), &by(Cause::ServerError), began);
        // What was under way as well changes nothing.
        circuits.failed(HERE, &key("a", 1), &by(Cause::ServerError), began);
    }
    circuits.worked(HERE, &key("a", 1));
    assert_eq!(circuits.open(HERE, began, false), None);
    assert!(circuits.is_clear(HERE.provider));
    // It begins anew with the shortest.
    let mut circuits = opened(began);
    assert_eq!(circuits.open(HERE, began + OPEN_MS, true), None);
}

#[test]
fn a_probe_that_is_answered_at_all_closes_the_circuit() {
    for cause in [Cause::RateLimit, Cause::KeyRejected] {
        let mut circuits = opened(0);
        circuits.failed(HERE, &key("a", 1), &by(cause), OPEN_MS - 1);
        assert!(
            circuits.open(HERE, OPEN_MS - 1, true).is_some(),
            "it was under way before"
        );
        assert_eq!(circuits.open(HERE, OPEN_MS, true), None);
        circuits.failed(HERE, &key("a", 1), &by(cause), OPEN_MS);
        assert_eq!(circuits.open(HERE, OPEN_MS, false), None, "{cause:?}");
    }
    // A client's mistake may not have got as far as the provider.
    let mut circuits = opened(0);
    for cause in [None, Some(Cause::KeyMissing), Some(Cause::QuotaExhausted)] {
        let failed = Failed {
            cause,
            retry_after_ms: None,
        };
        circuits.failed(HERE, &key("a", 1), &failed, OPEN_MS);
        assert!(circuits.open(HERE, OPEN_MS, false).is_some(), "{cause:?}");
    }
}

#[test]
fn a_key_rests_as_long_as_its_provider_asks() {
    let (mut circuits, one) = (Circuits::default(), key("a", 1));
    circuits.failed(HERE, &one, &limited(Some(30_000)), 100);
    assert_eq!(circuits.rests(&one, 30_099), Some(Cause::RateLimit));
    // Not the others of the same provider, nor the endpoint, nor what the key is rotated to.
    assert_eq!(circuits.rests(&key("b", 1), 30_099), None);
    assert_eq!(circuits.open(HERE, 30_099, false), None);
    assert_eq!(circuits.rests(&key("a", 2), 30_099), None);
    // What began before and works ends no rest, and a shorter one that is asked for later neither.
    circuits.worked(HERE, &one);
    circuits.failed(HERE, &one, &limited(Some(0)), 30_099);
    circuits.failed(HERE, &one, &limited(None), 30_099);
    assert!(circuits.rests(&one, 30_099).is_some());
    assert_eq!(circuits.rests(&one, 30_100), None);
    circuits.worked(HERE, &one);
    assert!(circuits.is_clear(HERE.provider));
    circuits.failed(HERE, &one, &limited(Some(u64::MAX)), 40_000);
    assert!(circuits.rests(&one, 40_000 + MAX_ASKED_MS - 1).is_some());
    assert_eq!(circuits.rests(&one, 40_000 + MAX_ASKED_MS), None);
}

#[test]
fn without_a_word_of_how_long_it_rests_twice_as_long_each_time() {
    let (mut circuits, one) = (Circuits::default(), key("a", 1));
    let mut now = 0;
    for rest in [1_000, 2_000, 4_000, 8_000, 16_000, MAX_REST_MS, MAX_REST_MS] {
        for _ in 0..3 {
            circuits.failed(HERE, &one, &limited(None), now);
        }
        assert_eq!(circuits.rests(&one, now + rest - 1), Some(Cause::RateLimit));
        assert_eq!(circuits.rests(&one, now + rest), None);
        now += rest;
    }
    circuits.worked(HERE, &one);
    circuits.failed(HERE, &one, &limited(None), now);
    assert_eq!(circuits.rests(&one, now + REST_MS), None);
    // A success that comes while it rests does not end that, and is not forgotten after it.
    now += REST_MS;
    circuits.failed(HERE, &one, &limited(None), now);
    circuits.worked(HERE, &one);
    assert!(circuits.rests(&one, now).is_some());
    now += 2 * REST_MS;
    assert_eq!(circuits.rests(&one, now), None);
    circuits.failed(HERE, &one, &limited(None), now);
    assert_eq!(circuits.rests(&one, now + REST_MS), None);
}

#[test]
fn an_exhausted_account_rests_until_somebody_may_have_topped_it_up() {
    let (mut circuits, one) = (Circuits::default(), key("a", 2));
    circuits.failed(HERE, &one, &by(Cause::QuotaExhausted), 7);
    assert_eq!(
        circuits.rests(&one, 6 + EXHAUSTED_MS),
        Some(Cause::QuotaExhausted)
    );
    // A request that began before it was rotated says nothing of what it is now.
    circuits.failed(
        HERE,
        &key("a", 1),
        &limited(Some(600_000)),
        6 + EXHAUSTED_MS,
    );
    assert_eq!(circuits.rests(&one, 7 + EXHAUSTED_MS), None);
}

#[test]
fn what_is_not_the_providers_doing_is_not_remembered() {
    let mut circuits = Circuits::default();
    for cause in [None, Some(Cause::KeyMissing), Some(Cause::KeyRejected)] {
        for _ in 0..2 * FAILURES {
            let failed = Failed {
                cause,
                retry_after_ms: Some(1_000),
            };
            circuits.failed(HERE, &key("a", 1), &failed, 0);
        }
        assert!(circuits.is_clear(HERE.provider), "{cause:?}");
    }
}

#[test]
fn what_is_remembered_is_bounded_and_what_is_over_goes_first() {
    let mut circuits = opened(0);
    circuits.failed(HERE, &key("a", 1), &limited(Some(600_000)), 0);
    for number in 0..2 * MAX_REMEMBERED {
        let address = format!("https://{number}.example/v1");
        let to = Endpoint {
            address: &address,
            ..HERE
        };
        circuits.failed(to, &key("a", 1), &by(Cause::Timeout), number as u64);
        circuits.failed(
            to,
            &key(&format!("pk_{number}"), 1),
            &limited(Some(1)),
            number as u64,
        );
    }
    // Both outlast what was over or had not opened.
    assert!(circuits.open(HERE, 2_000, false).is_some());
    assert!(circuits.rests(&key("a", 1), 2_000).is_some());
    // With nothing that is over, all of it goes.
    let mut circuits = Circuits::default();
    for number in 0..=MAX_REMEMBERED {
        circuits.failed(
            HERE,
            &key(&format!("pk_{number}"), 1),
            &limited(Some(600_000)),
            0,
        );
    }
    let resting = (0..=MAX_REMEMBERED).filter(|number| {
        circuits
            .rests(&key(&format!("pk_{number}"), 1), 1)
            .is_some()
    });
    assert_eq!(resting.count(), 1);
}

/// What happens to the endpoint.
#[derive(Debug, Clone, Copy)]
enum Step {
    Fails,
    Works,
    Asked { would_probe: bool },
    Passes(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Fails),
        1 => Just(Step::Works),
        6 => any::<bool>().prop_map(|would_probe| Step::Asked { would_probe }),
        2 => (0..300_u64).prop_map(Step::Passes),
        3 => (0..40_000_u64).prop_map(Step::Passes),
    ]
}

proptest! {
    /// Told apart from how it is done: the failures since the last success, when the circuit was last opened and for how
    /// long, and when somebody was last let through to probe.
    #[test]
    fn a_circuit_keeps_its_promises(steps in vec(step(), 1..200)) {
        let (mut circuits, key) = (Circuits::default(), key("a", 1));
        let (mut now, mut failures, mut length) = (1_000, 0_u32, 0_u64);
        let mut opened: Option<u64> = None;
        let mut probed: Option<u64> = None;
        for step in steps {
            match step {
                Step::Passes(ms) => now += ms,
                Step::Works => {
                    circuits.worked(HERE, &key);
                    (failures, length, opened, probed) = (0, 0, None, None);
                }
                Step::Fails => {
                    circuits.failed(HERE, &key, &by(Cause::ServerError), now);
                    failures += 1;
                    let is_over = opened.is_none_or(|at| at + length <= now);
                    if failures >= FAILURES && is_over {
                        length = if opened.is_none() { OPEN_MS } else { (2 * length).min(MAX_OPEN_MS) };
                        (opened, probed) = (Some(now), None);
                    }
                }
                Step::Asked { would_probe } => {
                    let out = circuits.open(HERE, now, would_probe).is_some();
                    match opened {
                        None => prop_assert!(!out, "open after {failures} failures"),
                        Some(at) if now < at + length => prop_assert!(out, "closed too early"),
                        Some(_) if !would_probe => prop_assert!(out, "open to those who do not probe"),
                        Some(_) => {
                            let is_probed = probed.is_some_and(|at| now < at + PROBE_MS);
                            prop_assert_eq!(out, is_probed, "one probe at a time");
                            if !out {
                                probed = Some(now);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_rest_is_longer_than_a_provider_may_ask_for(
        failures in vec((0..3_u8, any::<u64>(), 0..100_000_u64), 1..60),
    ) {
        let key = key("a", 1);
        for end in 1..=failures.len() {
            let (mut circuits, mut now) = (Circuits::default(), 0);
            for (what, asked, pass) in failures.iter().take(end) {
                now += pass;
                let failed = match what {
                    0 => limited(None),
                    1 => limited(Some(*asked)),
                    _ => by(Cause::QuotaExhausted),
                };
                circuits.failed(HERE, &key, &failed, now);
            }
            prop_assert!(circuits.rests(&key, now + MAX_ASKED_MS).is_none());
        }
    }

    #[test]
    fn a_clock_that_steps_back_ends_it(at in 1..u64::MAX / 2, back in 1..1_000_000_u64) {
        let mut circuits = opened(at);
        circuits.failed(HERE, &key("a", 1), &limited(Some(1_000)), at);
        let before = at.saturating_sub(back);
        prop_assert_eq!(circuits.open(HERE, before, false), None);
        prop_assert_eq!(circuits.rests(&key("a", 1), before), None);
        prop_assert!(circuits.is_clear(HERE.provider));
    }

    #[test]
    fn the_end_of_time_breaks_nothing(at in (u64::MAX - 10)..=u64::MAX) {
        let mut circuits = opened(at);
        circuits.failed(HERE, &key("a", 1), &limited(None), at);
        circuits.open(HERE, u64::MAX, true);
        circuits.failed(HERE, &key("a", 1), &by(Cause::Timeout), u64::MAX);
        circuits.rests(&key("a", 1), u64::MAX);
    }
}
