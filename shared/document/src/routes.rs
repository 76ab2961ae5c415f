//! `routes`: which requests go to which targets.

use std::cmp::Reverse;

use lockgate_workspace::plan::{Route, RouteTarget};

use crate::fallback;
use crate::fields::Spot;
use crate::options::{MAX_LIST, MAX_MODEL, MAX_NAME, Seen, name};
use crate::problem::{Problems, echo};
use crate::targets::{Targets, provider};

/// Targets of one route.
const MAX_TARGETS: usize = 20;
/// Priorities and weights.
const MAX_STEP: u32 = 1_000;

/// Reads `routes`.
pub(crate) fn read(spot: &Spot<'_>, targets: &Targets, problems: &mut Problems) -> Vec<Route> {
    let (mut names, mut tasks) = (Seen::default(), Seen::default());
    let mut routes = Vec::new();
    for item in spot.items(problems, MAX_LIST) {
        let errors = problems.errors();
        let [found, matched, allowed, list, fallback] = item.fields(
            problems,
            ["name", "match", "allow_providers", "targets", "fallback"],
        );
        let found = item.required(problems, found, "name");
        let named = found.and_then(|spot| {
            let text = name(&spot, problems, None)?;
            names.first(&spot, text, "route", problems);
            Some(text.to_owned())
        });
        let matched = item.required(problems, matched, "match");
        let (models, task) =
            matched.map_or_else(Default::default, |spot| wanted(&spot, problems, &mut tasks));
        let allow_providers = allowed.map(|spot| {
            let slugs = spot.some_items(problems, MAX_LIST);
            let slugs = slugs.iter().filter_map(|slug| provider(slug, problems));
            slugs.map(str::to_owned).collect::<Vec<_>>()
        });
        let list = item.required(problems, list, "targets");
        let chosen = list.map_or_else(Vec::new, |spot| {
            chosen(&spot, targets, allow_providers.as_deref(), problems)
        });
        let fallback = fallback.map_or_else(Default::default, |spot| {
            fallback::read(&spot, &chosen, problems, errors)
        });
        routes.push(Route {
            name: named.unwrap_or_default(),
            models,
            task,
            allow_providers,
            fallback,
            targets: chosen,
        });
    }
    routes
}

/// `match`: globs over models, a task, or both.
fn wanted(
    spot: &Spot<'_>,
    problems: &mut Problems,
    tasks: &mut Seen,
) -> (Vec<String>, Option<String>) {
    let [models, task] = spot.fields(problems, ["models", "task"]);
    if models.is_none() && task.is_none() {
        let message = "the route matches nothing; write `models`, a list of globs, or `task`";
        spot.error(problems, message);
    }
    let globs = models.map_or_else(Vec::new, |spot| {
        let globs = spot.some_items(problems, MAX_LIST);
        let globs = globs
            .iter()
            .filter_map(|glob| glob.text(problems, MAX_MODEL));
        globs.map(str::to_owned).collect()
    });
    let task = task.and_then(|spot| {
        let task = spot.text(problems, MAX_NAME)?;
        if let Some(line) = tasks.before(&spot, task) {
            let message = format!(
                "the task “{}” is that of the route in line {line}, which comes first: this one is found by its name \
                 and models only",
                echo(task)
            );
            problems.warning(spot.at(), spot.place.to_string(), message);
        }
        Some(task.to_owned())
    });
    (globs, task)
}

/// `targets`, in the order in which they are to be tried.
fn chosen(
    spot: &Spot<'_>,
    targets: &Targets,
    allowed: Option<&[String]>,
    problems: &mut Problems,
) -> Vec<RouteTarget> {
    let items = spot.some_items(problems, MAX_TARGETS);
    let mut weighted = None;
    let mut chosen = Vec::with_capacity(items.len());
    for item in &items {
        let [id, priority, weight] = item.fields(problems, ["target", "priority", "weight"]);
        let id = item.required(problems, id, "target");
        let target = id.and_then(|spot| target(&spot, targets, allowed, problems));
        weighted = weighted.or(weight.map(|spot| (spot.key_at(), spot.place.to_string())));
        let priority = priority.map_or(Some(0), |spot| spot.number(problems, 0..=MAX_STEP));
        let weight = weight.map_or(Some(1), |spot| spot.number(problems, 1..=MAX_STEP));
        if let (Some(target), Some(priority), Some(weight)) = (target, priority, weight) {
            chosen.push(RouteTarget {
                target,
                priority,
                weight,
            });
        }
    }
    // Stable: among equals the one written first.
    chosen.sort_by_key(|target| (target.priority, Reverse(target.weight)));
    let alone = chosen.is_sorted_by(|one, next| one.priority < next.priority);
    if let Some((at, path)) = weighted
        && alone
        && chosen.len() == items.len()
        && chosen.len() > 1
    {
        let message = "this route's weights do nothing: each of its targets has a priority of its own; \
                       requests are split among targets of one priority";
        problems.warning(at, path, message);
    }
    chosen
}

/// The place of a target that there is and that the route may use.
fn target(
    spot: &Spot<'_>,
    targets: &Targets,
    allowed: Option<&[String]>,
    problems: &mut Problems,
) -> Option<usize> {
    let id = spot.text(problems, MAX_NAME)?;
    let Some((place, target)) = targets.find(id) else {
        let meant = problems.meant(id, targets.ids());
        let message = format!(
            "there is no target “{}” under providers.targets{meant}",
            echo(id)
        );
        spot.error(problems, message);
        return None;
    };
    if let Some(allowed) = allowed
        && !target.provider.is_empty()
        && !allowed.contains(&target.provider)
    {
        let message = format!(
            "the target “{}” is at {}, which is not among this route's `allow_providers`",
            echo(id),
            target.provider
        );
        spot.error(problems, message);
    }
    Some(place)
}
