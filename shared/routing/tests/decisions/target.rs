//! Which target a request gets, where a configuration is in play (`tests/resolve.rs` has the rest).

use lockgate_providers::Surface;
use lockgate_routing::{Caller, Names, Wanted};
use lockgate_workspace::plan::Plan;

use crate::world::{World, asks, key, planned, route};

fn plan() -> Plan {
    let mut review = route("policy-review", &[], &[(2, 0, 1)]);
    review.task = Some("review".into());
    Plan {
        targets: vec![
            planned("openai", Some("gpt-4o")),
            planned("anthropic", Some("claude-sonnet-4-5")),
            planned("anthropic", None),
        ],
        routes: vec![
            route("chat", &["gpt-4o", "chat-*"], &[(1, 1, 9), (0, 0, 1)]),
            route("rest", &["chat-late", "claude-*"], &[(2, 0, 1)]),
            review,
        ],
        direct_models: false,
        unenforced: Vec::new(),
    }
}

fn caller(plan: Plan) -> Caller {
    World::empty()
        .key(key("anthropic", "a"))
        .key(key("openai", "o"))
        .plan(plan)
        .caller()
}

/// `route: provider model`, or the error's code.
fn goes(caller: &Caller, wanted: &Wanted<'_>) -> String {
    match crate::world::target(caller, wanted) {
        Ok(to) => {
            let route = to.route.map_or(String::new(), |route| format!("{route}: "));
            format!("{route}{} {}", to.manifest.slug, to.model)
        }
        Err(refusal) => refusal.code.text.to_owned(),
    }
}

#[test]
fn a_route_takes_the_models_that_fit_the_first_one_first() {
    let caller = caller(plan());
    let goes = |model: &str| goes(&caller, &asks(model));
    assert_eq!(goes("gpt-4o"), "chat: openai gpt-4o");
    assert_eq!(goes("chat-late"), "chat: openai gpt-4o");
    assert_eq!(goes("claude-9"), "rest: anthropic claude-9");
    assert_eq!(goes("gpt-4o-mini"), "model_not_found");
    assert_eq!(goes("anthropic/claude-9"), "model_not_found");
    assert_eq!(goes(""), "invalid_request");
}

#[test]
fn a_route_is_named_by_name_or_task_in_a_header_or_as_the_model() {
    let caller = caller(plan());
    assert_eq!(goes(&caller, &asks("route:chat")), "chat: openai gpt-4o");
    assert_eq!(goes(&caller, &asks("route:nowhere")), "route_not_found");
    assert_eq!(goes(&caller, &asks("route:")), "route_not_found");
    // Its target leaves the model to the request, which then has to name one.
    assert_eq!(goes(&caller, &asks("route:review")), "invalid_request");
    let by = |route, model| {
        let wanted = Wanted {
            route: Some(route),
            ..asks(model)
        };
        goes(&caller, &wanted)
    };
    assert_eq!(
        by("review", "claude-9"),
        "policy-review: anthropic claude-9"
    );
    assert_eq!(
        by("policy-review", "anthropic/claude-9"),
        "policy-review: anthropic claude-9"
    );
    assert_eq!(by("chat", "claude-9"), "chat: openai gpt-4o");
    assert_eq!(by("chat", ""), "chat: openai gpt-4o");
    assert_eq!(by("chat", "route:review"), "chat: openai gpt-4o");
    assert_eq!(by("", "gpt-4o"), "chat: openai gpt-4o");
    assert_eq!(by("nowhere", "gpt-4o"), "route_not_found");
}

#[test]
fn a_name_comes_before_a_task_of_the_same_name() {
    let mut plan = plan();
    plan.routes[0].task = Some("rest".into());
    let caller = caller(plan);
    let wanted = Wanted {
        route: Some("rest"),
        ..asks("claude-9")
    };
    assert_eq!(goes(&caller, &wanted), "rest: anthropic claude-9");
}

#[test]
fn of_a_routes_targets_the_lowest_priority_counts_then_the_weight_then_the_order() {
    let to = |targets: &[(usize, u32, u32)]| {
        let mut plan = plan();
        plan.routes = vec![route("only", &["*"], targets)];
        goes(&caller(plan), &asks("x"))
    };
    assert_eq!(to(&[(1, 1, 9), (0, 0, 1)]), "only: openai gpt-4o");
    assert_eq!(
        to(&[(0, 0, 1), (1, 0, 2)]),
        "only: anthropic claude-sonnet-4-5"
    );
    assert_eq!(to(&[(0, 0, 1), (2, 0, 1)]), "only: openai gpt-4o");
    assert_eq!(to(&[(2, 0, 1), (0, 0, 1)]), "only: anthropic x");
    assert_eq!(to(&[]), "route_not_found");
    assert_eq!(to(&[(7, 0, 1)]), "route_not_found");
}

#[test]
fn a_route_cannot_leave_the_providers_that_it_allows() {
    let mut plan = plan();
    let routes = &mut plan.routes;
    routes[0].allow_providers = Some(vec!["anthropic".into()]);
    routes[1].allow_providers = Some(vec!["openai".into()]);
    let caller = caller(plan);
    assert_eq!(
        goes(&caller, &asks("gpt-4o")),
        "chat: anthropic claude-sonnet-4-5"
    );
    assert_eq!(goes(&caller, &asks("claude-9")), "route_not_found");
}

#[test]
fn outside_the_routes_models_are_served_only_where_the_configuration_says_so() {
    let mut plan = plan();
    plan.direct_models = true;
    let open = caller(plan);
    assert_eq!(goes(&open, &asks("gpt-4o")), "chat: openai gpt-4o");
    assert_eq!(goes(&open, &asks("gpt-4o-mini")), "openai gpt-4o-mini");
    assert_eq!(
        goes(&open, &asks("anthropic/claude-9")),
        "anthropic claude-9"
    );
    let closed = caller(self::plan());
    let error = crate::world::target(&closed, &asks("gpt-4o-mini")).unwrap_err();
    for said in [
        "`support`",
        "`gpt-4o-mini`",
        "`chat` (gpt-4o, chat-*)",
        "`policy-review` (task review)",
    ] {
        assert!(error.message.contains(said), "{}", error.message);
    }
    // Nor does a header lead out of them.
    let wanted = Wanted {
        provider: Some("openai"),
        ..asks("gpt-4o-mini")
    };
    assert_eq!(goes(&closed, &wanted), "model_not_found");
    assert_eq!(goes(&open, &wanted), "openai gpt-4o-mini");
}

#[test]
fn without_routes_each_target_is_served_under_its_own_model() {
    let mut plan = plan();
    plan.routes.clear();
    plan.targets[1].model = Some("gpt-4o-mini".into());
    plan.direct_models = true;
    let open = caller(plan.clone());
    assert_eq!(goes(&open, &asks("gpt-4o-mini")), "anthropic gpt-4o-mini");
    assert_eq!(goes(&open, &asks("o3")), "openai o3");
    plan.direct_models = false;
    let closed = caller(plan);
    assert_eq!(goes(&closed, &asks("gpt-4o-mini")), "anthropic gpt-4o-mini");
    assert_eq!(goes(&closed, &asks("o3")), "model_not_found");
}

#[test]
fn the_gateway_keys_own_configuration_counts_else_the_default_and_only_once_it_is_live() {
    let mut world = World::empty().key(key("openai", "o")).plan(plan());
    world.identity.configuration = None;
    let gone = world.clone().caller();
    assert_eq!(goes(&gone, &asks("chat-x")), "openai chat-x");
    assert_eq!(goes(&gone, &asks("route:chat")), "route_not_found");
    world.snapshot.default_configuration = Some("cfg_1".into());
    assert_eq!(
        goes(&world.clone().caller(), &asks("chat-x")),
        "chat: openai gpt-4o"
    );
    let live = std::sync::Arc::make_mut(&mut world.snapshot.configurations[0]);
    live.plan = None;
    let caller = world.caller();
    assert_eq!(caller.configuration().unwrap().name, "support");
    assert_eq!(goes(&caller, &asks("chat-x")), "openai chat-x");
    assert_eq!(goes(&caller, &asks("route:chat")), "route_not_found");
}

#[test]
fn a_header_names_the_provider_of_a_model() {
    let caller = World::empty()
        .key(key("openai", "o"))
        .key(key("openrouter", "r"))
        .caller();
    let at = |provider, model| {
        let wanted = Wanted {
            provider: Some(provider),
            ..asks(model)
        };
        goes(&caller, &wanted)
    };
    assert_eq!(
        goes(&caller, &asks("openai/gpt-4o")),
        "openrouter openai/gpt-4o"
    );
    assert_eq!(at("openai", "openai/gpt-4o"), "openai gpt-4o");
    assert_eq!(
        at("openrouter", "openai/gpt-4o"),
        "openrouter openai/gpt-4o"
    );
    assert_eq!(at("groq", "groq/compound"), "groq groq/compound");
    assert_eq!(at("mistral", "gpt-4o"), "mistral gpt-4o");
    assert_eq!(at("unheard-of", "gpt-4o"), "invalid_request");
}

#[test]
fn a_call_without_a_model_goes_where_it_can() {
    let unnamed = |surface| Wanted {
        model: None,
        route: None,
        provider: None,
        names: Names::Never,
        surface: Some(surface),
    };
    let both = World::empty()
        .key(key("anthropic", "a"))
        .key(key("openai", "o"));
    let free = both.clone().caller();
    assert_eq!(goes(&free, &unnamed(Surface::Files)), "openai ");
    assert_eq!(
        goes(&World::empty().caller(), &unnamed(Surface::Files)),
        "provider_not_ready"
    );
    let named = |slug| Wanted {
        provider: Some(slug),
        ..unnamed(Surface::Files)
    };
    assert_eq!(goes(&free, &named("mistral")), "mistral ");

    // A configuration that serves nothing beside its routes keeps it to its own providers.
    let mut plan = plan();
    let closed = both.clone().plan(plan.clone()).caller();
    assert_eq!(goes(&closed, &named("mistral")), "model_not_found");
    assert_eq!(goes(&closed, &named("openai")), "openai ");
    assert_eq!(goes(&closed, &unnamed(Surface::Files)), "openai ");
    plan.targets[0].provider = "anthropic".into();
    let closed = both.clone().plan(plan.clone()).caller();
    assert_eq!(
        goes(&closed, &unnamed(Surface::Files)),
        "provider_not_ready"
    );
    plan.direct_models = true;
    let open = both.plan(plan).caller();
    assert_eq!(goes(&open, &named("mistral")), "mistral ");

    // A route says where to, and its model is of no matter.
    let routed = Wanted {
        route: Some("chat"),
        ..unnamed(Surface::Files)
    };
    assert_eq!(goes(&closed, &routed), "chat: anthropic ");
}

#[test]
fn a_named_route_passes_on_no_model_that_it_does_not_take() {
    let mut plan = plan();
    plan.targets[0].model = Some(String::new());
    plan.routes[0].task = Some("talk".into());
    let by = |plan: &Plan, route, model| {
        let wanted = Wanted {
            route: Some(route),
            ..asks(model)
        };
        goes(&caller(plan.clone()), &wanted)
    };
    for name in ["chat", "talk"] {
        assert_eq!(by(&plan, name, "gpt-4o"), "chat: openai gpt-4o");
        assert_eq!(by(&plan, name, "chat-x"), "chat: openai chat-x");
        // What another route takes, this one does not.
        for model in ["o1-pro", "openai/gpt-4o", "claude-9"] {
            assert_eq!(by(&plan, name, model), "model_not_found", "{model}");
        }
        assert_eq!(by(&plan, name, ""), "invalid_request");
    }
    let closed = caller(plan.clone());
    let wanted = Wanted {
        route: Some("chat"),
        ..asks("o1-pro")
    };
    let error = crate::world::target(&closed, &wanted).unwrap_err();
    assert_eq!(error.route.as_deref(), Some("chat"));
    for said in [
        "`support`",
        "`o1-pro`",
        "`chat` (gpt-4o, chat-*, task talk)",
    ] {
        assert!(error.message.contains(said), "{}", error.message);
    }
    // A call without a place for a model goes on.
    let files = Wanted {
        names: Names::Never,
        model: None,
        ..wanted
    };
    assert_eq!(goes(&closed, &files), "chat: openai ");
    // A route that takes no models is there to be named, and a target's own model is no matter of the request's.
    assert_eq!(
        by(&plan, "review", "o1-pro"),
        "policy-review: anthropic o1-pro"
    );
    plan.targets[0].model = Some("gpt-4o".into());
    assert_eq!(by(&plan, "chat", "o1-pro"), "chat: openai gpt-4o");
    plan.targets[0].model = None;
    assert_eq!(by(&plan, "chat", "o1-pro"), "model_not_found");
    plan.direct_models = true;
    assert_eq!(by(&plan, "chat", "o1-pro"), "chat: openai o1-pro");
}

#[test]
fn a_course_has_all_targets_by_priority_and_weight() {
    let mut plan = plan();
    let places = [(0, 2, 1), (1, 0, 1), (2, 0, 9), (0, 0, 1), (9, 1, 1)];
    plan.routes[0] = route("chat", &["chat-*"], &places);
    let steps = |caller: &Caller, model: &str| -> Result<Vec<String>, &'static str> {
        let wanted = Wanted {
            route: Some("chat"),
            ..asks(model)
        };
        let course =
            lockgate_routing::course(caller, &wanted).map_err(|refusal| refusal.code.text)?;
        assert_eq!(course.route.unwrap().name, "chat");
        let step = |step: &lockgate_routing::Step<'_>| {
            let choices = step.choices.iter().map(|choice| {
                let to = choice.target;
                format!(", {} {} {}", to.id().unwrap(), to.model, choice.weight)
            });
            format!("{}{}", step.priority, choices.collect::<String>())
        };
        Ok(course.steps.iter().map(step).collect())
    };
    let closed = caller(plan.clone());
    let with = |model: &str| {
        let first = format!(
            "0, anthropic-target {model} 9, anthropic-target claude-sonnet-4-5 1, openai-target gpt-4o 1"
        );
        Ok(vec![first, "2, openai-target gpt-4o 1".to_owned()])
    };
    assert_eq!(steps(&closed, "chat-x"), with("chat-x"));
    // What one of them could not take is refused, whichever would be first.
    assert_eq!(steps(&closed, "o1-pro"), Err("model_not_found"));
    assert_eq!(steps(&closed, ""), Err("invalid_request"));
    plan.direct_models = true;
    let open = caller(plan.clone());
    assert_eq!(steps(&open, "o1-pro"), with("o1-pro"));
    assert_eq!(steps(&open, ""), Err("invalid_request"));
    // Those that are not allowed have no say.
    plan.routes[0].allow_providers = Some(vec!["openai".into()]);
    plan.direct_models = false;
    let one = |priority: u32| format!("{priority}, openai-target gpt-4o 1");
    assert_eq!(steps(&caller(plan), "o1-pro"), Ok(vec![one(0), one(2)]));
}

#[test]
fn further_models_are_no_way_past_a_configuration() {
    let further = |caller: &Caller, model: &str, listed: bool| {
        let mut to = crate::world::target(caller, &asks(model)).unwrap();
        to.further_models = listed;
        lockgate_routing::further_models(caller, &to).map_err(|refusal| {
            assert_eq!(refusal.code.text, "model_not_found");
            assert_eq!(refusal.param.as_deref(), Some("models"));
            assert!(refusal.message.contains("`support`"), "{}", refusal.message);
            refusal.route.clone()
        })
    };
    let chat = Err(Some("chat".to_owned()));
    let mut plan = plan();
    let closed = caller(plan.clone());
    assert_eq!(further(&closed, "gpt-4o", true), chat);
    assert_eq!(further(&closed, "gpt-4o", false), Ok(()));
    plan.direct_models = true;
    let open = caller(plan.clone());
    assert_eq!(further(&open, "gpt-4o", true), chat);
    assert_eq!(further(&open, "o1-pro", true), Ok(()));
    // Nor past a route that keeps its models from the provider.
    plan.routes[1].allow_providers = Some(vec!["openai".into()]);
    assert_eq!(further(&caller(plan.clone()), "o1-pro", true), Ok(()));
    plan.routes[1].allow_providers = Some(vec!["anthropic".into()]);
    assert_eq!(further(&caller(plan.clone()), "o1-pro", true), Err(None));
    plan.routes.clear();
    assert_eq!(further(&caller(plan), "gpt-4o", true), Err(None));
    let free = World::empty().key(key("openai", "o")).caller();
    assert_eq!(further(&free, "gpt-4o", true), Ok(()));
}

#[test]
fn what_some_route_takes_is_told() {
    let plan = plan();
    for model in ["gpt-4o", "chat-x", "claude-9"] {
        assert!(lockgate_routing::takes(&plan, model), "{model}");
    }
    for model in ["gpt-4o-mini", "review", ""] {
        assert!(!lockgate_routing::takes(&plan, model), "{model}");
    }
}
