//! What a route says of failures, and what it says in vain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/problems.rs"]
mod problems;

use lockgate_document::{Read, read};
use lockgate_workspace::plan::{Cause, Fallback, KeysTried};
use problems::problems;

/// A document with one route, whose targets and fallback these are.
fn routed(targets: &str, fallback: &str) -> String {
    format!(
        "\
providers:
  targets:
    - {{ id: a, provider: openai, model: m }}
    - {{ id: b, provider: anthropic, model: n, credential: managed }}
routes:
  - name: r
    match: {{ task: t }}
    targets: [{targets}]
    fallback: {fallback}
"
    )
}

const BOTH: &str = "{ target: a }, { target: b, priority: 1 }";

#[test]
fn fallback_is_compiled() {
    let fallback = |written: &str| {
        let Read { plan, problems, .. } = read(&routed(BOTH, written));
        let plan = plan.unwrap_or_else(|| panic!("{problems:#?}"));
        assert!(plan.unenforced.is_empty());
        plan.routes[0].fallback.clone()
    };
    let default = Fallback::default();
    assert_eq!(fallback("{}"), default);
    let everything = "{ on: [quota_exhausted, key_rejected, key_missing, server_error, rate_limit, timeout, timeout], \
                       keys: all, attempts: 20, deadline: 1m 30s }";
    assert_eq!(
        fallback(everything),
        Fallback {
            on: vec![
                Cause::QuotaExhausted,
                Cause::KeyRejected,
                Cause::KeyMissing,
                Cause::ServerError,
                Cause::RateLimit,
                Cause::Timeout
            ],
            keys: KeysTried::All,
            attempts: Some(20),
            deadline_ms: Some(90_000),
        }
    );
    assert_eq!(
        fallback("{ on: [] }"),
        Fallback {
            on: Vec::new(),
            ..default
        }
    );
    let deadline = |text: &str| fallback(&format!("{{ deadline: {text} }}")).deadline_ms;
    assert_eq!(deadline("1ms"), Some(1));
    assert_eq!(deadline("1500us"), Some(1));
    assert_eq!(deadline("1h"), Some(3_600_000));
    for text in ["0s", "999us", "1h 1ms", "-1s", "soon"] {
        let found = problems(&routed(BOTH, &format!("{{ deadline: {text} }}")));
        assert_eq!(
            found,
            [format!(
                "9:27 routes[0].fallback.deadline: “{text}” is not a time from 1ms to 1h such as `60s` or `1m 30s`"
            )]
        );
    }
}

#[test]
fn what_is_written_in_vain_is_warned_of() {
    let nothing = "? 9:5 routes[0].fallback: this does nothing: the route has one target and tries it once; give it a \
                   second target, or `attempts`";
    let unreached = "? 9:17 routes[0].fallback.on: no other target is ever tried, so no request reaches the targets of \
                     higher priorities";
    let second = "? 9:17 routes[0].fallback.on: nothing is ever tried a second time, so `attempts` and `keys` do nothing";
    let keys = |column: usize| {
        format!(
            "? 9:{column} routes[0].fallback.keys: `keys: all` does nothing: other keys are tried after `rate_limit`, \
             `key_rejected` and `quota_exhausted`, and none of them is in `on`"
        )
    };
    let weights = "? 8:41 routes[0].targets[0].weight: this route's weights do nothing: each of its targets has a \
                   priority of its own; requests are split among targets of one priority";
    let split = "{ target: a, weight: 3 }, { target: b }";
    for (targets, fallback, warned) in [
        ("{ target: a }", "{}", nothing),
        ("{ target: a }", "{ on: [timeout] }", nothing),
        ("{ target: a }", "{ attempts: 1, keys: one }", nothing),
        ("{ target: a }", "{ attempts: 2 }", ""),
        ("{ target: a }", "{ deadline: 5s }", ""),
        ("{ target: a }", "{ keys: all }", ""),
        ("{ target: a }", "{ on: [] }", ""),
        (BOTH, "{}", ""),
        (BOTH, "{ attempts: 1 }", ""),
        (BOTH, "{ on: [] }", unreached),
        (split, "{ on: [] }", ""),
        (split, "{ on: [], attempts: 3 }", second),
        (split, "{ on: [], keys: all }", second),
        (split, "{ on: [timeout], keys: all }", &keys(32)),
        (split, "{ on: [key_rejected], keys: all }", ""),
        (
            "{ target: a, priority: 1, weight: 3 }, { target: b }",
            "{}",
            weights,
        ),
        (
            "{ target: a, priority: 1, weight: 3 }, { target: b, weight: 2 }, { target: b, priority: 1 }",
            "{}",
            "",
        ),
        (
            "{ target: a, priority: 1, weight: 3 }",
            "{ attempts: 2 }",
            "",
        ),
    ] {
        let found = problems(&routed(targets, fallback));
        let found: Vec<_> = found
            .iter()
            .filter(|p| !p.contains("no request reaches the target “b”"))
            .collect();
        let wanted: Vec<&str> = Some(warned)
            .filter(|warned| !warned.is_empty())
            .into_iter()
            .collect();
        assert_eq!(found, wanted, "{targets} {fallback}");
    }
    // Beside an error they would only be in the way.
    let found = problems(&routed("{ target: c }", "{ on: [] , attempts: 3 }"));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn the_examples_of_the_manual_are_valid() {
    for manual in [
        include_str!("../../../docs/routing.md"),
        include_str!("../../../docs/configurations.md"),
    ] {
        let example = manual.split("```yaml\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        assert!(example.contains("fallback:"));
        assert_eq!(problems(example), [""; 0]);
    }
}
