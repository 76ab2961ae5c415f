//! Each cause against each setting.

use lockgate_routing::{Failed, Next, Tries};
use lockgate_workspace::plan::{Cause, Fallback, KeysTried, Plan};

use crate::story::{CAUSES, Outcome, Place, always, failed, on, route, told};

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
