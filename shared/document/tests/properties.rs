//! What holds of any document: reading never panics and says no more than it may; a valid one gives the plan that it
//! describes, in YAML as in JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cmp::Reverse;

use lockgate_document::{MAX_PROBLEMS, Severity, diff, read};
use lockgate_workspace::plan::{
    Cause, CredentialKind, Fallback, KeysTried, Plan, PlanTarget, Route, RouteTarget,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("support/example.yaml");

/// What holds whatever the text.
fn holds(text: &str) -> Result<(), TestCaseError> {
    let read = read(text);
    let failed = read
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    prop_assert_eq!(read.plan.is_none(), failed);
    prop_assert!(read.problems.len() <= MAX_PROBLEMS);
    let places: Vec<_> = read.problems.iter().map(|p| (p.line, p.column)).collect();
    prop_assert!(places.is_sorted());
    let lines = text.split(['\n', '\r']).count();
    prop_assert!(
        places
            .iter()
            .all(|(line, column)| (1..=lines).contains(line) && *column >= 1)
    );
    Ok(())
}

/// Pieces that mean something to the parser.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "- ",
        ": ",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\n",
        "\n  ",
        "\n      ",
        "\t",
        "&a ",
        "*a",
        "!x ",
        "| \n",
        ">-\n",
        "'",
        "\"",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\\",
        "\r\n",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\0",
        "é",
        "null",
        "~",
        "true",
        "1e9",
        "0x1f",
        "<<: ",
        "name: ",
        "targets: ",
        "routes:\n",
        "provider: openai",
        "id: a",
        "statements: ",
        "match: ",
        "resources:\n",
    ];
    prop_oneof![select(pieces.to_vec()).prop_map(str::to_owned), ".{0,6}"]
}

#[derive(Debug, Clone)]
struct Target {
    provider: &'static str,
    model: Option<String>,
    credential: Option<(&'static str, CredentialKind)>,
    key: Option<String>,
}

fn target() -> impl Strategy<Value = Target> {
    let kinds = [
        ("byok", CredentialKind::Byok),
        ("managed", CredentialKind::Managed),
        ("any", CredentialKind::Any),
    ];
    let provider = select(&["openai", "anthropic", "azure-openai", "ollama"][..]);
    (
        provider,
        option::of(word()),
        option::of(select(kinds.to_vec())),
        option::of(word()),
    )
        .prop_map(|(provider, model, credential, key)| Target {
            provider,
            model,
            credential,
            key,
        })
}

/// A string that may look like something else: a number, a key, an indicator.
fn word() -> impl Strategy<Value = String> {
    let odd = [
        "1.5", "true", "null", "~", "- a", "a: b", "#x", "[a]", "é", "😀", "0x10", "'", "\"q\"",
        "a\\b", "%", "y",
    ];
    prop_oneof![
        select(odd.to_vec()).prop_map(str::to_owned),
        "[a-z][a-z0-9.-]{0,20}"
    ]
}

#[derive(Debug, Clone)]
struct Wanted {
    models: Option<Vec<String>>,
    task: Option<String>,
    targets: Vec<(Index, Option<u32>, Option<u32>)>,
    allow: bool,
    fallback: Option<(Value, Fallback)>,
}

/// A fallback as it is written, and what it says.
fn fallback() -> impl Strategy<Value = (Value, Fallback)> {
    let causes = [
        ("timeout", Cause::Timeout),
        ("rate_limit", Cause::RateLimit),
        ("server_error", Cause::ServerError),
        ("key_missing", Cause::KeyMissing),
        ("key_rejected", Cause::KeyRejected),
        ("quota_exhausted", Cause::QuotaExhausted),
    ];
    let keys = [("one", KeysTried::One), ("all", KeysTried::All)];
    (
        option::of(subsequence(causes.to_vec(), 0..=6)),
        option::of(select(keys.to_vec())),
        option::of(1..=20_u32),
        option::of(1..=3_600_000_u64),
    )
        .prop_map(|(on, keys, attempts, deadline_ms)| {
            let words = on
                .as_ref()
                .map(|on| on.iter().map(|(word, _)| *word).collect::<Vec<_>>());
            let written = object(json!({
                "on": words, "keys": keys.map(|(word, _)| word), "attempts": attempts,
                "deadline": deadline_ms.map(|ms| format!("{ms}ms")),
            }));
            let mut said = Fallback {
                attempts,
                deadline_ms,
                ..Fallback::default()
            };
            if let Some(on) = on {
                said.on = on.into_iter().map(|(_, cause)| cause).collect();
            }
            if let Some((_, keys)) = keys {
                said.keys = keys;
            }
            (written, said)
        })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let chosen = (
        any::<Index>(),
        option::of(0..=1000u32),
        option::of(1..=1000u32),
    );
    (
        option::of(vec(word(), 1..4)),
        option::of(word()),
        vec(chosen, 1..5),
        any::<bool>(),
        option::of(fallback()),
    )
        .prop_filter("a route matches something", |(models, task, ..)| {
            models.is_some() || task.is_some()
        })
        .prop_map(|(models, task, targets, allow, fallback)| Wanted {
            models,
            task,
            targets,
            allow,
            fallback,
        })
}

/// An object without the fields that are `null`.
fn object(mut value: Value) -> Value {
    value
        .as_object_mut()
        .unwrap()
        .retain(|_, field| !field.is_null());
    value
}

/// The document, and the plan it describes.
fn document(targets: &[Target], routes: &[Wanted], direct: Option<bool>) -> (Value, Plan) {
    let id = |at: usize| format!("target {at}");
    let plan_targets: Vec<_> = targets
        .iter()
        .enumerate()
        .map(|(at, target)| PlanTarget {
            id: id(at),
            provider: target.provider.into(),
            model: target.model.clone(),
            credential: target
                .credential
                .map_or(CredentialKind::Any, |(_, kind)| kind),
            provider_key: target.key.clone(),
        })
        .collect();
    let written_targets: Vec<_> = targets
        .iter()
        .enumerate()
        .map(|(at, target)| {
            object(json!({
                "id": id(at), "provider": target.provider, "model": target.model,
                "credential": target.credential.map(|(word, _)| word), "provider_key": target.key,
            }))
        })
        .collect();
    let mut written_routes = Vec::new();
    let mut plan_routes = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        let mut chosen: Vec<_> = route
            .targets
            .iter()
            .map(|(target, priority, weight)| RouteTarget {
                target: target.index(targets.len()),
                priority: priority.unwrap_or(0),
                weight: weight.unwrap_or(1),
            })
            .collect();
        let written: Vec<_> = route
            .targets
            .iter()
            .map(|(target, priority, weight)| {
                object(json!({"target": id(target.index(targets.len())), "priority": priority, "weight": weight}))
            })
            .collect();
        let allow: Option<Vec<_>> = route.allow.then(|| {
            let used = chosen
                .iter()
                .filter_map(|target| targets.get(target.target));
            used.map(|target| target.provider.to_owned()).collect()
        });
        chosen.sort_by_key(|target| (target.priority, Reverse(target.weight)));
        written_routes.push(object(json!({
            "name": format!("route {at}"), "match": object(json!({"models": route.models, "task": route.task})),
            "targets": written, "allow_providers": allow,
            "fallback": route.fallback.as_ref().map(|(written, _)| written),
        })));
        plan_routes.push(Route {
            fallback: route
                .fallback
                .clone()
                .map_or_else(Fallback::default, |(_, said)| said),
            name: format!("route {at}"),
            models: route.models.clone().unwrap_or_default(),
            task: route.task.clone(),
            allow_providers: allow,
            targets: chosen,
        });
    }
    let mut written = json!({"providers": {"targets": written_targets}, "routes": written_routes});
    if let Some(direct) = direct {
        let word = if direct { "allow" } else { "deny" };
        written["gateway"] = json!({"direct_models": word});
    }
    let plan = Plan {
        targets: plan_targets,
        routes: plan_routes,
        direct_models: direct.unwrap_or(false),
        unenforced: Vec::new(),
    };
    (written, plan)
}

/// Applies a unified diff.
fn patched(old: &str, diff: &str) -> String {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let (mut at, mut new, mut last) = (0, String::new(), "");
    for line in diff.split_inclusive('\n').skip(2) {
        if let Some(head) = line.strip_prefix("@@ -") {
            let range = head.split(' ').next().unwrap();
            let (start, count) = range.split_once(',').unwrap_or((range, "1"));
            let start: usize = start.parse().unwrap();
            let start = if count == "0" { start } else { start - 1 };
            new.extend(old[at..start].iter().copied());
            at = start;
        } else if line.starts_with("\\ ") {
            // The line before it has no end.
            if last != "-" {
                new.pop();
            }
        } else {
            let (sign, rest) = line.split_at(1);
            if sign != "-" {
                new.push_str(rest);
            }
            if sign != "+" {
                at += 1;
            }
            last = sign;
        }
    }
    new.extend(old[at..].iter().copied());
    new
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200)) {
        holds(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_pieces_are_survived(pieces in vec(piece(), 0..40)) {
        holds(&pieces.concat())?;
    }

    #[test]
    fn a_document_with_mistakes_is_survived(
        changes in vec((any::<Index>(), 0..12usize, piece()), 1..6),
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, gone, put) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + gone).min(text.len());
            text.splice(at..end, put.chars());
        }
        holds(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn a_diff_leads_from_one_text_to_the_other(
        old in vec(select(&["a", "b", "c\r"][..]), 0..30), new in vec(select(&["a", "b", "c\r"][..]), 0..30),
        ends in any::<(bool, bool)>(),
    ) {
        let text = |lines: Vec<&str>, end: bool| {
            let mut text = lines.join("\n");
            if end && !text.is_empty() { text.push('\n'); }
            text
        };
        let (old, new) = (text(old, ends.0), text(new, ends.1));
        let diff = diff(("live", &old), ("draft", &new));
        prop_assert_eq!(diff.is_empty(), old == new);
        prop_assert_eq!(patched(&old, &diff), new);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_document_gives_its_plan_in_yaml_and_json(
        targets in vec(target(), 1..6), routes in vec(wanted(), 1..6), direct in any::<Option<bool>>(),
    ) {
        let (written, wanted) = document(&targets, &routes, direct);
        for text in [
            written.to_string(),
            serde_json::to_string_pretty(&written).unwrap(),
            serde_norway::to_string(&written).unwrap(),
        ] {
            let read = read(&text);
            let Some(plan) = read.plan else {
                return Err(TestCaseError::fail(format!("{text}\n{:#?}", read.problems)));
            };
            prop_assert_eq!(&plan, &wanted, "{}", text);
        }
    }
}
