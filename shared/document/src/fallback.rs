//! `fallback` of a route: what happens when a target fails.

use std::time::Duration;

use lockgate_workspace::plan::{Cause, Fallback, KeysTried, RouteTarget};

use crate::fields::Spot;
use crate::options::{MAX_LIST, MAX_NAME};
use crate::problem::{Problems, echo};

/// Tries of one request.
const MAX_ATTEMPTS: u32 = 20;
/// How long the tries may take together.
const DEADLINES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(3_600);
/// After what another try is made.
const CAUSES: [(&str, Cause); 6] = [
    ("timeout", Cause::Timeout),
    ("rate_limit", Cause::RateLimit),
    ("server_error", Cause::ServerError),
    ("key_missing", Cause::KeyMissing),
    ("key_rejected", Cause::KeyRejected),
    ("quota_exhausted", Cause::QuotaExhausted),
];
/// Which of a provider's keys are tried.
const KEYS: [(&str, KeysTried); 2] = [("one", KeysTried::One), ("all", KeysTried::All)];

/// Reads the `fallback` of a route with these targets. What is not written is as without it. What does nothing is warned of,
/// unless the route has errors: there are more than so many `errors` then.
pub(crate) fn read(
    spot: &Spot<'_>,
    targets: &[RouteTarget],
    problems: &mut Problems,
    errors: usize,
) -> Fallback {
    let [on, keys, attempts, deadline] =
        spot.fields(problems, ["on", "keys", "attempts", "deadline"]);
    let mut fallback = Fallback::default();
    if let Some(on) = on {
        fallback.on = causes(&on, problems);
    }
    if let Some(keys) = keys.and_then(|spot| spot.word(problems, &KEYS)) {
        fallback.keys = keys;
    }
    fallback.attempts = attempts.and_then(|spot| spot.number(problems, 1..=MAX_ATTEMPTS));
    fallback.deadline_ms = deadline.and_then(|spot| milliseconds(&spot, problems));
    if problems.errors() > errors {
        return fallback;
    }
    let in_vain = match (on, keys) {
        (Some(on), _) if fallback.on.is_empty() => {
            never(&fallback, targets).map(|message| (on, message))
        }
        (_, Some(keys)) if fallback.keys == KeysTried::All && !tries_keys(&fallback.on) => {
            let message = "`keys: all` does nothing: other keys are tried after `rate_limit`, `key_rejected` and \
                           `quota_exhausted`, and none of them is in `on`";
            Some((keys, message))
        }
        _ if does_nothing(&fallback, targets) => {
            let message = "this does nothing: the route has one target and tries it once; give it a second target, or \
                           `attempts`";
            Some((*spot, message))
        }
        _ => None,
    };
    if let Some((at, message)) = in_vain {
        at.warning(problems, message);
    }
    fallback
}

/// `on`, each cause once; an empty list stands for never.
fn causes(spot: &Spot<'_>, problems: &mut Problems) -> Vec<Cause> {
    let mut causes = Vec::new();
    for item in spot.items(problems, MAX_LIST) {
        if let Some(cause) = item.word(problems, &CAUSES)
            && !causes.contains(&cause)
        {
            causes.push(cause);
        }
    }
    causes
}

fn milliseconds(spot: &Spot<'_>, problems: &mut Problems) -> Option<u64> {
    let text = spot.text(problems, MAX_NAME)?;
    let read = humantime::parse_duration(text).ok();
    let found = read.filter(|wait| DEADLINES.contains(wait));
    if found.is_none() {
        let message = format!(
            "“{}” is not a time from 1ms to 1h such as `60s` or `1m 30s`",
            echo(text)
        );
        spot.error(problems, message);
    }
    u64::try_from(found?.as_millis()).ok()
}

/// What is written in vain beside `on: []`.
fn never(fallback: &Fallback, targets: &[RouteTarget]) -> Option<&'static str> {
    let several = targets
        .first()
        .zip(targets.last())
        .is_some_and(|(first, last)| first.priority != last.priority);
    if several {
        Some(
            "no other target is ever tried, so no request reaches the targets of higher priorities",
        )
    } else if fallback.attempts.is_some_and(|most| most > 1) || fallback.keys == KeysTried::All {
        Some("nothing is ever tried a second time, so `attempts` and `keys` do nothing")
    } else {
        None
    }
}

fn tries_keys(on: &[Cause]) -> bool {
    on.iter().any(|cause| {
        matches!(
            cause,
            Cause::RateLimit | Cause::KeyRejected | Cause::QuotaExhausted
        )
    })
}

/// Whether a route behaves as it would without this.
fn does_nothing(fallback: &Fallback, targets: &[RouteTarget]) -> bool {
    targets.len() == 1
        && fallback.attempts.is_none_or(|most| most == 1)
        && fallback.keys == KeysTried::One
        && fallback.deadline_ms.is_none()
}
