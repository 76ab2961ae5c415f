//! Which target is tried next: each cause against each setting, and what holds whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use lockgate_routing::{Failed, Next, Tries};
use lockgate_workspace::plan::{Cause, Fallback, KeysTried, Plan, Route};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;

const CAUSES: [Cause; 6] = [
    Cause::Timeout,
    Cause::RateLimit,
    Cause::ServerError,
    Cause::KeyMissing,
    Cause::KeyRejected,
    Cause::QuotaExhausted,
];

type Place = (usize, usize);

fn route(fallback: Fallback) -> Route {
    Route {
        name: "chat".into(),
        models: Vec::new(),
        task: None,
        allow_providers: None,
        fallback,
        targets: Vec::new(),
    }
}

fn on(causes: &[Cause]) -> Fallback {
    Fallback {
        on: causes.to_vec(),
        ..Fallback::default()
    }
}

fn failed(cause: Cause) -> Failed {
    Failed {
        cause: Some(cause),
        retry_after_ms: None,
    }
}

/// What a try came to.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    failed: Failed,
    /// What shows on the clock while it lasts.
    took: i64,
    chance: u64,
}

impl Outcome {
    fn of(failed: Failed) -> Self {
        Self {
            failed,
            took: 0,
            chance: 0,
        }
    }
}

/// A try as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tried {
    place: Place,
    at: u64,
    within: Option<u64>,
}

/// All that happened.
#[derive(Debug, Default)]
struct Story {
    tries: Vec<Tried>,
    /// With how many tries had been made before each.
    pauses: Vec<(usize, u64)>,
    /// How many steps of the course were arranged.
    arranged: usize,
    /// How often it was asked what is next.
    asked: usize,
}

impl Story {
    fn places(&self) -> Vec<Place> {
        self.tries.iter().map(|tried| tried.place).collect()
    }
}

/// As the data plane goes about it, where no try works. What has no key is not sent.
fn told(
    route: Option<&Route>,
    sizes: &[usize],
    out: impl Fn(Place) -> Option<Cause>,
    mut outcome: impl FnMut(usize, Place) -> Outcome,
) -> Story {
    let mut now = 1_000_000_u64;
    let mut story = Story::default();
    let mut tries = Tries::new(route, sizes.to_vec(), now);
    loop {
        story.asked += 1;
        assert!(story.asked < 10_000, "it does not end: {story:?}");
        match tries.next(now) {
            Next::Arrange(step) => {
                story.arranged += 1;
                tries.arranged(0..sizes[step], |place| out((step, place)));
            }
            Next::Try {
                step,
                place,
                within_ms,
            } => {
                let place = (step, place);
                let Outcome {
                    failed,
                    took,
                    chance,
                } = outcome(story.tries.len(), place);
                story.tries.push(Tried {
                    place,
                    at: now,
                    within: within_ms,
                });
                if failed.cause != Some(Cause::KeyMissing) {
                    tries.sent();
                }
                now = now.saturating_add_signed(took);
                tries.failed(failed, now, chance);
            }
            Next::Pause(ms) => {
                assert!(ms > 0);
                story.pauses.push((story.tries.len(), ms));
                now += ms;
            }
            Next::Stop => return story,
        }
    }
}

fn always(route: &Route, sizes: &[usize], cause: Cause) -> Story {
    told(
        Some(route),
        sizes,
        |_| None,
        |_, _| Outcome::of(failed(cause)),
    )
}

#[test]
fn each_cause_leads_on_where_the_route_names_it_and_nowhere_else() {
    for named in CAUSES {
        let route = route(on(&[named]));
        for cause in CAUSES {
            let tried = always(&route, &[1, 2], cause).places();
            let all: &[Place] = &[(0, 0), (1, 0), (1, 1)];
            let wanted = if cause == named { all } else { &all[..1] };
            assert_eq!(tried, wanted, "on {named:?}, after {cause:?}");
        }
        let causeless = Failed {
            cause: None,
            retry_after_ms: None,
        };
        let story = told(
            Some(&route),
            &[1, 2],
            |_| None,
            |_, _| Outcome::of(causeless),
        );
        assert_eq!(story.places(), [(0, 0)]);
    }
}

#[test]
fn what_is_not_written_is_a_pass_over_the_targets_after_what_is_not_the_keys() {
    for cause in CAUSES {
        let leads = matches!(
            cause,
            Cause::Timeout | Cause::RateLimit | Cause::ServerError
        );
        let story = always(&route(Fallback::default()), &[2, 1], cause);
        assert_eq!(story.tries.len(), if leads { 3 } else { 1 }, "{cause:?}");
        assert!(story.pauses.is_empty());
        assert!(story.tries.iter().all(|tried| tried.within.is_none()));
        // Without a route there is one try, and never is never.
        let alone = told(None, &[1], |_| None, |_, _| Outcome::of(failed(cause)));
        assert_eq!(alone.places(), [(0, 0)]);
        let never = Fallback {
            attempts: Some(9),
            ..on(&[])
        };
        assert_eq!(
            always(&route(never), &[2, 1], cause).places(),
            [(0, 0)],
            "{cause:?}"
        );
    }
}

#[test]
fn more_attempts_than_targets_go_round_after_pauses_that_double() {
    let fallback = |attempts| {
        route(Fallback {
            attempts: Some(attempts),
            ..Fallback::default()
        })
    };
    let story = always(&fallback(5), &[1, 1], Cause::ServerError);
    assert_eq!(story.places(), [(0, 0), (1, 0), (0, 0), (1, 0), (0, 0)]);
    assert_eq!(story.pauses, [(2, 250), (4, 500)]);
    let story = always(&fallback(9), &[1], Cause::Timeout);
    let pauses: Vec<u64> = story.pauses.iter().map(|(_, ms)| *ms).collect();
    assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    assert_eq!(
        always(&fallback(1), &[1, 1], Cause::Timeout).places(),
        [(0, 0)]
    );
    assert_eq!(
        always(&fallback(0), &[1, 1], Cause::Timeout).places(),
        [(0, 0)]
    );
}

#[test]
fn a_target_without_a_key_uses_up_no_attempt_and_is_not_asked_again() {
    let route = route(Fallback {
        attempts: Some(3),
        ..on(&[Cause::KeyMissing, Cause::ServerError])
    });
    let story = told(
        Some(&route),
        &[1, 1, 1],
        |_| None,
        |_, place| {
            Outcome::of(match place {
                (0 | 1, _) => Failed::UNREADY,
                _ => failed(Cause::ServerError),
            })
        },
    );
    assert_eq!(story.places(), [(0, 0), (1, 0), (2, 0), (2, 0), (2, 0)]);
    // Where no target has one, there is nothing to come back to.
    let story = always(&route, &[1, 2], Cause::KeyMissing);
    assert_eq!(story.places(), [(0, 0), (1, 0), (1, 1)]);
    assert!(story.pauses.is_empty());
}

#[test]
fn what_is_known_to_be_out_of_order_comes_last_but_comes() {
    let ill = |place: Place| matches!(place, (0, 0) | (1, 1)).then_some(Cause::ServerError);
    let tries = |fallback: Fallback| {
        told(Some(&route(fallback)), &[2, 2], ill, |_, _| {
            Outcome::of(failed(Cause::Timeout))
        })
        .places()
    };
    assert_eq!(tries(Fallback::default()), [(0, 1), (1, 0), (0, 0), (1, 1)]);
    // Where the route would not leave it for that, it has its turn.
    assert_eq!(
        tries(on(&[Cause::Timeout])),
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    );
    let story = told(
        Some(&route(Fallback::default())),
        &[1],
        |_| Some(Cause::RateLimit),
        |_, _| Outcome::of(failed(Cause::RateLimit)),
    );
    assert_eq!(story.places(), [(0, 0)]);
}

/// What a provider asks for is waited for, others go before it.
#[test]
fn nobody_is_asked_before_its_time() {
    let after = |ms| Failed {
        cause: Some(Cause::RateLimit),
        retry_after_ms: Some(ms),
    };
    let fallback = Fallback {
        attempts: Some(6),
        deadline_ms: Some(100_000),
        ..Fallback::default()
    };
    let story = |fallback: &Fallback, asked: [u64; 2]| {
        told(
            Some(&route(fallback.clone())),
            &[2],
            |_| None,
            |_, (_, place)| Outcome::of(after(asked[place])),
        )
    };
    let told = story(&fallback, [30_000, 1_000]);
    assert_eq!(
        told.places(),
        [(0, 0), (0, 1), (0, 1), (0, 1), (0, 1), (0, 1)]
    );
    let pauses: Vec<u64> = told.pauses.iter().map(|(_, ms)| *ms).collect();
    assert_eq!(pauses, [1_000, 1_000, 1_000, 2_000]);
    // It is not kept waiting for what comes after the deadline, nor without one for longer than a minute.
    let late = Fallback {
        deadline_ms: Some(20_000),
        ..fallback.clone()
    };
    assert_eq!(story(&late, [20_000, 20_000]).places(), [(0, 0), (0, 1)]);
    assert_eq!(story(&late, [20_000, 19_000]).tries.len(), 3);
    let free = Fallback {
        deadline_ms: None,
        ..fallback
    };
    assert_eq!(story(&free, [60_001, 3_600_000]).tries.len(), 2);
    assert_eq!(story(&free, [60_000, 3_600_000]).tries.len(), 6);
}

#[test]
fn the_deadline_is_shared_among_the_tries_that_may_follow() {
    let within = |fallback: Fallback, sizes: &[usize], took: i64| -> Vec<u64> {
        let story = told(
            Some(&route(fallback)),
            sizes,
            |_| None,
            |_, _| Outcome {
                took,
                ..Outcome::of(failed(Cause::Timeout))
            },
        );
        let tries = story.tries.iter();
        tries.map(|tried| tried.within.unwrap()).collect()
    };
    let minute = |attempts| Fallback {
        attempts,
        deadline_ms: Some(60_000),
        ..Fallback::default()
    };
    assert_eq!(
        within(minute(None), &[1, 2], 20_000),
        [20_000, 20_000, 20_000]
    );
    // What fails at once leaves more for those that follow.
    assert_eq!(within(minute(None), &[1, 2], 0), [20_000, 30_000, 60_000]);
    assert_eq!(
        within(minute(None), &[1, 2], 6_000),
        [20_000, 27_000, 48_000]
    );
    assert_eq!(within(minute(Some(2)), &[1, 2], 30_000), [30_000, 30_000]);
    assert_eq!(within(minute(Some(1)), &[1, 2], 0), [60_000]);
    assert_eq!(within(minute(Some(3)), &[1], 0)[0], 20_000);
    assert_eq!(within(minute(None), &[1, 2], 60_000), [20_000]);
    // Where a timeout ends it, nothing is kept for later.
    let all = Fallback {
        on: vec![Cause::RateLimit],
        ..minute(Some(3))
    };
    assert_eq!(within(all, &[1, 2], 0), [60_000]);
}

#[test]
fn one_try_is_made_however_late_it_is() {
    let route = route(Fallback {
        deadline_ms: Some(1),
        ..Fallback::default()
    });
    let mut tries = Tries::new(Some(&route), vec![1], 0);
    assert_eq!(tries.next(500), Next::Arrange(0));
    tries.arranged([0], |_| None);
    let first = Next::Try {
        step: 0,
        place: 0,
        within_ms: Some(1),
    };
    assert_eq!(tries.next(900), first);
    tries.sent();
    assert_eq!(tries.next(901), Next::Stop);
}

#[test]
fn other_keys_are_tried_after_what_is_the_keys_own_where_the_route_says_so() {
    for cause in CAUSES {
        for named in CAUSES {
            for keys in [KeysTried::One, KeysTried::All] {
                let route = route(Fallback {
                    keys,
                    ..on(&[named])
                });
                let own = matches!(
                    cause,
                    Cause::RateLimit | Cause::KeyRejected | Cause::QuotaExhausted
                );
                let tries = Tries::new(Some(&route), vec![1], 0);
                assert_eq!(
                    tries.takes_other_keys(cause),
                    own && cause == named && keys == KeysTried::All,
                    "{cause:?} {named:?} {keys:?}"
                );
            }
        }
    }
}

#[test]
fn a_plan_from_before_there_was_fallback_has_the_default() {
    let stored = r#"{"targets": [{"id": "a", "provider": "openai", "model": null, "credential": "any", "provider_key": null}],
        "routes": [{"name": "chat", "models": ["*"], "task": null, "allow_providers": null,
                    "targets": [{"target": 0, "priority": 0, "weight": 1}]}],
        "direct_models": false, "unenforced": []}"#;
    let plan: Plan = serde_json::from_str(stored).unwrap();
    assert_eq!(plan.routes[0].fallback, Fallback::default());
    let written = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&written).unwrap(), plan);
}

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
