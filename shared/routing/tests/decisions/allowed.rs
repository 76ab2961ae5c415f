//! A route that allows certain providers cannot be left, whatever the configuration, the model and the headers.

use lockgate_glob::glob;
use lockgate_refusal::Refusal;
use lockgate_routing::{Caller, Names, Wanted, course};
use lockgate_workspace::plan::{Plan, Route, RouteTarget};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::world::{World, asks, key, planned, route};

const PROVIDERS: [&str; 5] = ["openai", "anthropic", "openrouter", "groq", "unheard-of"];
const MODELS: [&str; 14] = [
    "gpt-4o",
    "openai/gpt-4o",
    "openrouter/openai/gpt-4o",
    "groq/gpt-4o",
    "anthropic/gpt-4o",
    "gpt-4o-mini",
    "claude-sonnet-4-5",
    "anthropic/claude-sonnet-4-5",
    "route:review",
    "route:r0",
    "route:",
    "/gpt-4o",
    "x",
    "",
];
const GLOBS: [&str; 8] = [
    "*", "gpt-*", "gpt-4o", "openai/*", "*/gpt-4o", "claude-*", "x", "route:*",
];

/// A configuration of one route to Anthropic for these models, with others served beside it.
fn open(models: &[&str]) -> Caller {
    let mut only = route("review", models, &[(0, 0, 1), (1, 1, 1)]);
    only.allow_providers = Some(vec!["anthropic".into()]);
    let mut world = World::empty();
    for slug in ["anthropic", "openai", "groq"] {
        world = world.key(key(slug, slug));
    }
    world
        .plan(Plan {
            targets: vec![
                planned("anthropic", Some("claude-sonnet-4-5")),
                planned("openai", Some("gpt-4o")),
            ],
            routes: vec![only],
            direct_models: true,
            unenforced: Vec::new(),
        })
        .caller()
}

fn providers(caller: &Caller, wanted: &Wanted<'_>) -> Result<Vec<&'static str>, Refusal> {
    let course = course(caller, wanted)?;
    let slugs = course.choices().map(|choice| choice.target.manifest.slug);
    Ok(slugs.collect())
}

#[test]
fn another_name_of_a_model_is_no_way_past_an_allow_list() {
    let caller = open(&["gpt-4o"]);
    let only = |wanted: &Wanted<'_>| providers(&caller, wanted).unwrap();
    assert_eq!(only(&asks("gpt-4o")), ["anthropic"]);
    let header = Wanted {
        provider: Some("openai"),
        ..asks("gpt-4o")
    };
    assert_eq!(only(&header), ["anthropic"]);
    for name in ["openai/gpt-4o", "groq/gpt-4o", "groq/openai/gpt-4o"] {
        let refusal = providers(&caller, &asks(name)).unwrap_err();
        assert_eq!(refusal.code.text, "model_not_found");
        assert_eq!(refusal.route.as_deref(), Some("review"));
        for said in ["`support`", "`review` (gpt-4o)", "anthropic only", name] {
            assert!(refusal.message.contains(said), "{}", refusal.message);
        }
    }
    // What it allows, and what it does not take, go their way.
    assert_eq!(only(&asks("anthropic/gpt-4o")), ["anthropic"]);
    assert_eq!(only(&asks("gpt-4o-mini")), ["openai"]);
    // A route may spell the provider out.
    let spelt = open(&["openai/gpt-4o"]);
    assert_eq!(
        providers(&spelt, &asks("openai/gpt-4o")).unwrap(),
        ["anthropic"]
    );
    assert!(providers(&spelt, &asks("gpt-4o")).is_err());
    assert_eq!(providers(&spelt, &asks("o3")).unwrap(), ["openai"]);
}

/// Routes as no document would be let through with: targets that are not there or not allowed.
fn routes() -> impl Strategy<Value = Vec<Route>> {
    let place =
        (0..7_usize, 0..3_u32, 1..4_u32).prop_map(|(target, priority, weight)| RouteTarget {
            target,
            priority,
            weight,
        });
    let one = (
        subsequence(GLOBS.to_vec(), 0..4),
        option::of(select(vec!["review", "r1"])),
        option::weighted(0.7, subsequence(PROVIDERS.to_vec(), 0..4)),
        vec(place, 0..5),
    );
    let own = |slugs: Vec<&str>| slugs.into_iter().map(str::to_owned).collect();
    vec(one, 0..4).prop_map(move |routes| {
        let named = |(n, (models, task, allowed, targets)): (usize, _)| Route {
            name: format!("r{n}"),
            models: own(models),
            task: Option::<&str>::map(task, str::to_owned),
            allow_providers: Option::map(allowed, own),
            fallback: Default::default(),
            targets,
        };
        routes.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_leaves_what_its_route_allows(
        routes in routes(), direct_models in any::<bool>(),
        targets in vec((select(PROVIDERS.to_vec()), option::of(select(vec!["gpt-4o", "m", ""]))), 0..6),
        keys in subsequence(PROVIDERS[..4].to_vec(), 0..=4),
        model in option::of(select(MODELS.to_vec())), named in option::of(select(vec!["review", "r0", "r1", "r2", ""])),
        provider in option::of(select(PROVIDERS.to_vec())), names in select(vec![Names::Always, Names::Maybe, Names::Never]),
    ) {
        let mut world = World::empty();
        for slug in keys {
            world = world.key(key(slug, slug));
        }
        let plan = Plan {
            targets: targets.into_iter().map(|(slug, model)| planned(slug, model)).collect(),
            routes,
            direct_models,
            unenforced: Vec::new(),
        };
        let caller = world.plan(plan).caller();
        let plan = caller.plan().unwrap();
        let wanted = Wanted { model, route: named, provider, names, surface: None };
        let Ok(course) = course(&caller, &wanted) else {
            return Ok(());
        };
        prop_assert!(course.choices().next().is_some());
        prop_assert!(course.steps.is_sorted_by(|one, next| one.priority < next.priority));
        prop_assert!(course.steps.iter().all(|step| !step.choices.is_empty()));

        // The route that the request is for, by the words of the contract.
        let asked = model.filter(|model| !model.is_empty());
        let by_model = asked.and_then(|model| model.strip_prefix("route:"));
        let name = named.filter(|name| !name.is_empty()).or(by_model);
        let asked = asked.filter(|model| !model.starts_with("route:"));
        let mut all = plan.routes.iter();
        let decides = match (name, asked) {
            (Some(name), _) => plan.routes.iter().find(|route| route.name == name)
                .or_else(|| all.find(|route| route.task.as_deref() == Some(name))),
            (None, Some(model)) => all.find(|route| route.models.iter().any(|pattern| glob(pattern, model))),
            (None, None) => None,
        };
        prop_assert_eq!(course.route.map(|route| &route.name), decides.map(|route| &route.name));
        for choice in course.choices() {
            let slug = choice.target.manifest.slug;
            prop_assert_eq!(choice.target.route, decides.map(|route| route.name.as_str()));
            if let Some(route) = decides {
                let allowed = route.allow_providers.as_ref();
                prop_assert!(allowed.is_none_or(|slugs| slugs.iter().any(|own| own == slug)));
            } else if let Some(asked) = asked && !plan.routes.is_empty() {
                // Beside the routes nothing goes that a route keeps to others.
                prop_assert!(direct_models);
                let ends: Vec<&str> = asked.match_indices('/').map(|(at, _)| &asked[at + 1..]).collect();
                for route in plan.routes.iter().filter(|route| route.allow_providers.is_some()) {
                    let takes = ends.iter().any(|end| route.models.iter().any(|pattern| glob(pattern, end)));
                    prop_assert!(!takes || lockgate_routing::allows(route, choice.target.manifest));
                }
            }
        }
    }
}
