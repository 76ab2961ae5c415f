//! Which target a request gets: the order of API.md, from the routes of the configuration in play on.
//!
//! What API.md leaves open is decided so:
//! - A route is named by its `name`, else by its `task`.
//! - A header that names the provider (`lockgate-provider`) counts where no route takes the request: then the model is
//!   that provider's.
//! - A call that names no model (files, batches) goes to the provider of the route that it names, else to the one that
//!   the header names, else to the only one that can take it. A configuration that serves no models outside its routes
//!   lets such a call go to the providers of its targets only.
//! - A configuration that serves no models outside its routes holds a route that is named to the models that it takes,
//!   where its target leaves the model to the request and it takes models at all (one with a `task` alone does not).

use std::cmp::Reverse;

use lockgate_glob::glob;
use lockgate_providers::{Manifest, Surface, find};
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_workspace::plan::{CredentialKind, Plan, PlanTarget, Route, RouteTarget};

use crate::{Caller, resolve};

/// A model of this form names a route.
const ROUTE: &str = "route:";
/// Routes that an error lists.
const LISTED: usize = 20;

/// What a request asks for, as it says so.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The model.
    pub model: Option<&'a str>,
    /// The route (`lockgate-route`).
    pub route: Option<&'a str>,
    /// The provider (`lockgate-provider`).
    pub provider: Option<&'a str>,
    /// Whether it is a call that names a model.
    pub names: Names,
    /// What the provider must have where no model says which one is meant.
    pub surface: Option<Surface>,
}

/// Whether a call names a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// It has to, unless a route does.
    Always,
    /// It may.
    Maybe,
    /// It has no place for one.
    Never,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The provider.
    pub manifest: &'static Manifest,
    /// The model as the provider is to see it; empty where the call has none.
    pub model: &'a str,
    /// The route that decided.
    pub route: Option<&'a str>,
    /// Whether the request lists further models that the provider may take instead (`models`, as OpenRouter has it), so
    /// that nobody here knows which one it will be.
    pub further_models: bool,
    /// The target of the configuration that this is.
    pub(crate) planned: Option<&'a PlanTarget>,
}

/// Where a request may go, in the order of what its route says.
#[derive(Debug, Clone)]
pub struct Course<'a> {
    /// The route that decided, if one did. Without one there is a single choice and a single try.
    pub route: Option<&'a Route>,
    /// The choices of each priority, the lowest first; none is empty, and there is at least one.
    pub steps: Vec<Step<'a>>,
}

/// The choices of one priority.
#[derive(Debug, Clone)]
pub struct Step<'a> {
    /// The priority.
    pub priority: u32,
    /// In the order in which the configuration has them, the heaviest first.
    pub choices: Vec<Choice<'a>>,
}

/// One of several targets among which requests are split.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// Where it leads.
    pub target: Target<'a>,
    /// Its share.
    pub weight: u32,
}

impl<'a> Course<'a> {
    /// A course that leads to one target.
    fn to(target: Target<'a>) -> Self {
        Self {
            route: None,
            steps: vec![Step {
                priority: 0,
                choices: vec![Choice { target, weight: 1 }],
            }],
        }
    }

    /// Every choice, those of the lowest priority first.
    pub fn choices(&self) -> impl Iterator<Item = &Choice<'a>> {
        self.steps.iter().flat_map(|step| &step.choices)
    }
}

impl<'a> Target<'a> {
    /// The model as policy is asked for it: the one that the provider is to see, where there is just one.
    #[must_use]
    pub fn judged(&self) -> Option<&'a str> {
        Some(self.model).filter(|model| !model.is_empty() && !self.further_models)
    }

    /// Whose key pays. Where no configuration has decided on the target, the workspace's own only.
    #[must_use]
    pub fn credential(&self) -> CredentialKind {
        self.planned
            .map_or(CredentialKind::Byok, |planned| planned.credential)
    }
}

/// Finds where a request may go. Access is not judged here.
///
/// # Errors
/// 404 where nothing serves what is asked for, 400 where the request does not say what it needs to.
pub fn course<'a>(caller: &'a Caller, wanted: &Wanted<'a>) -> Result<Course<'a>, Refusal> {
    let model = wanted.model.filter(|model| !model.is_empty());
    let (model, route) = match model.and_then(|model| model.strip_prefix(ROUTE)) {
        Some(name) => (None, Some(name)),
        None => (model, None),
    };
    let wanted = Wanted {
        model,
        route: wanted.route.filter(|name| !name.is_empty()).or(route),
        ..*wanted
    };
    let plan = caller.plan();
    if let Some(name) = wanted.route {
        let route = plan.and_then(|plan| Some((plan, find_route(plan, name)?)));
        let (plan, route) = route.ok_or_else(|| no_route(caller, name))?;
        let course = by_route(plan, route, &wanted)?;
        let leaves = |asked| {
            let mut choices = course.choices();
            choices.any(|choice| leaves_its_models(route, &choice.target, asked))
        };
        return match wanted.model {
            Some(asked) if !plan.direct_models && leaves(asked) => {
                Err(not_taken(caller, route, asked))
            }
            _ => Ok(course),
        };
    }
    let Some(model) = wanted.model else {
        return without_model(caller, &wanted);
    };
    if let Some(plan) = plan {
        if let Some(route) = plan.routes.iter().find(|route| fits(route, model)) {
            return by_route(plan, route, &wanted);
        }
        if let Some(target) = by_own_model(plan, model) {
            return Ok(Course::to(target));
        }
        if !plan.direct_models {
            return Err(outside(caller, plan, &format!("model `{}`", shown(model))).param("model"));
        }
    }
    if let Some(slug) = wanted.provider {
        let manifest = known(slug)?;
        return Ok(Course::to(direct(manifest, at(manifest, model))));
    }
    let resolved = resolve(model, &caller.providers)
        .map_err(|error| Refusal::new(Code::MODEL_NOT_FOUND, error.to_string()).param("model"))?;
    Ok(Course::to(direct(resolved.manifest, resolved.model)))
}

/// Whether some route of a configuration takes `model`.
#[must_use]
pub fn takes(plan: &Plan, model: &str) -> bool {
    plan.routes.iter().any(|route| fits(route, model))
}

fn fits(route: &Route, model: &str) -> bool {
    route.models.iter().any(|pattern| glob(pattern, model))
}

/// Whether a route that was named would pass on a model that none of its globs takes.
fn leaves_its_models(route: &Route, target: &Target<'_>, asked: &str) -> bool {
    let fixed = target.planned.and_then(|planned| own_model(planned));
    fixed.is_none() && !target.model.is_empty() && !route.models.is_empty() && !fits(route, asked)
}

/// Whether a request that goes to `target` as it is may list further models, any of which the provider may take: not
/// where the configuration in play has decided on the target, nor where it serves nothing beside its routes.
///
/// # Errors
/// 404, as for a model outside the routes.
pub fn further_models(caller: &Caller, target: &Target<'_>) -> Result<(), Refusal> {
    let Some(plan) = caller.plan().filter(|_| target.further_models) else {
        return Ok(());
    };
    let what = "what a request lists in `models`";
    let mut refusal = if !plan.direct_models {
        outside(caller, plan, what)
    } else if target.planned.is_some() {
        let name = configuration(caller);
        let message = format!(
            "Configuration `{name}` decides itself where `{}` goes, and not to {what}.",
            target.route.unwrap_or(target.model)
        );
        Refusal::new(Code::MODEL_NOT_FOUND, message)
    } else {
        return Ok(());
    };
    refusal.route = target.route.map(str::to_owned);
    Err(refusal
        .param("models")
        .provider(target.manifest.slug)
        .remedy("Leave `models` out and name one model."))
}

fn direct<'a>(manifest: &'static Manifest, model: &'a str) -> Target<'a> {
    Target {
        manifest,
        model,
        route: None,
        further_models: false,
        planned: None,
    }
}

/// The model without the slug of the provider that it goes to, unless that provider lists it so.
fn at<'a>(manifest: &Manifest, model: &'a str) -> &'a str {
    match model.split_once('/') {
        Some((slug, rest))
            if slug == manifest.slug && !rest.is_empty() && manifest.model(model).is_none() =>
        {
            rest
        }
        _ => model,
    }
}

fn find_route<'a>(plan: &'a Plan, name: &str) -> Option<&'a Route> {
    let mut routes = plan.routes.iter();
    let by_name = routes.find(|route| route.name == name);
    by_name.or_else(|| {
        let mut routes = plan.routes.iter();
        routes.find(|route| route.task.as_deref() == Some(name))
    })
}

/// The route's targets whose provider it allows, by priority.
fn by_route<'a>(
    plan: &'a Plan,
    route: &'a Route,
    wanted: &Wanted<'a>,
) -> Result<Course<'a>, Refusal> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    let mut places: Vec<&RouteTarget> = route.targets.iter().collect();
    places.sort_by_key(|place| (place.priority, Reverse(place.weight)));
    for place in places {
        let Some(planned) = plan.targets.get(place.target) else {
            continue;
        };
        let Some(manifest) = find(&planned.provider).filter(|manifest| allows(route, manifest))
        else {
            continue;
        };
        let model = match (wanted.names, own_model(planned), wanted.model) {
            (Names::Never, ..) => "",
            (_, Some(model), _) => model,
            (_, None, Some(asked)) => at(manifest, asked),
            (Names::Maybe, None, None) => "",
            (Names::Always, None, None) => return Err(names_none(route)),
        };
        let choice = Choice {
            target: Target {
                manifest,
                model,
                route: Some(&route.name),
                further_models: false,
                planned: Some(planned),
            },
            weight: place.weight,
        };
        match steps.last_mut() {
            Some(step) if step.priority == place.priority => step.choices.push(choice),
            _ => steps.push(Step {
                priority: place.priority,
                choices: vec![choice],
            }),
        }
    }
    if steps.is_empty() {
        let message = format!("Route `{}` has no target that it may use.", route.name);
        return Err(Refusal::new(Code::ROUTE_NOT_FOUND, message)
            .route(&route.name)
            .remedy("Give it a target whose provider is among its `allow_providers`."));
    }
    Ok(Course {
        route: Some(route),
        steps,
    })
}

/// Whether a route may use a provider.
#[must_use]
pub fn allows(route: &Route, manifest: &Manifest) -> bool {
    let allowed = route.allow_providers.as_ref();
    allowed.is_none_or(|slugs| slugs.iter().any(|slug| slug == manifest.slug))
}

fn names_none(route: &Route) -> Refusal {
    let message = format!(
        "Route `{}` leaves the model to the request, which names none.",
        route.name
    );
    Refusal::new(Code::INVALID_REQUEST, message)
        .route(&route.name)
        .param("model")
        .remedy("Name one beside the route, or give each of the route's targets a model.")
}

/// The model that a target decides on.
fn own_model(planned: &PlanTarget) -> Option<&str> {
    planned.model.as_deref().filter(|model| !model.is_empty())
}

/// A configuration with targets and no routes serves each target under its own model.
fn by_own_model<'a>(plan: &'a Plan, model: &str) -> Option<Target<'a>> {
    if !plan.routes.is_empty() {
        return None;
    }
    plan.targets.iter().find_map(|planned| {
        let own = planned.model.as_deref().filter(|own| *own == model)?;
        let mut target = direct(find(&planned.provider)?, own);
        target.planned = Some(planned);
        Some(target)
    })
}

fn without_model<'a>(caller: &Caller, wanted: &Wanted<'a>) -> Result<Course<'a>, Refusal> {
    if wanted.names == Names::Always {
        return Err(
            Refusal::new(Code::INVALID_REQUEST, "The request names no model.")
                .param("model")
                .remedy("Set `model`, for example to `openai/gpt-4o`."),
        );
    }
    let confined = caller.plan().filter(|plan| !plan.direct_models);
    let within = |slug: &str| {
        confined.is_none_or(|plan| plan.targets.iter().any(|target| target.provider == slug))
    };
    if let Some(slug) = wanted.provider {
        let manifest = known(slug)?;
        return match confined.filter(|_| !within(slug)) {
            Some(plan) => Err(outside(caller, plan, manifest.title).param("lockgate-provider")),
            None => Ok(Course::to(direct(manifest, ""))),
        };
    }
    let serves = |manifest: &Manifest| wanted.surface.is_none_or(|s| manifest.serves(s));
    let slugs = caller.providers.iter().filter(|slug| within(slug));
    let mut able = slugs.filter_map(|slug| find(slug)).filter(|m| serves(m));
    let what = wanted.surface.map_or("calls of this kind", Surface::title);
    match (able.next(), able.next()) {
        (Some(only), None) => Ok(Course::to(direct(only, ""))),
        (None, _) => Err(Refusal::new(
            Code::PROVIDER_NOT_READY,
            format!("No provider with a key in this workspace has {what}."),
        )
        .reason("missing_provider_key")
        .remedy("Add a key of a provider that has, such as OpenAI.")),
        (Some(first), Some(second)) => {
            let slugs: Vec<&str> = [first, second]
                .into_iter()
                .chain(able)
                .map(|m| m.slug)
                .collect();
            Err(Refusal::new(
                Code::INVALID_REQUEST,
                format!(
                    "The call names no model, and several providers have {what}: {}.",
                    slugs.join(", ")
                ),
            )
            .param("lockgate-provider")
            .remedy("Name one in the header `lockgate-provider`."))
        }
    }
}

fn known(slug: &str) -> Result<&'static Manifest, Refusal> {
    find(slug).ok_or_else(|| {
        Refusal::new(
            Code::INVALID_REQUEST,
            format!("There is no provider `{}`.", shown(slug)),
        )
        .param("lockgate-provider")
        .remedy("GET /api/providers lists the providers there are.")
    })
}

fn no_route(caller: &Caller, name: &str) -> Refusal {
    let name = shown(name);
    let (message, remedy) = match (caller.configuration(), caller.plan()) {
        (Some(live), Some(plan)) if !plan.routes.is_empty() => (
            format!(
                "Configuration `{}` has no route `{name}`. It has {}.",
                live.name,
                routes(plan)
            ),
            "Name one of them, or add the route to the configuration.",
        ),
        (Some(live), Some(_)) => (
            format!(
                "Configuration `{}` has no routes, so no `{name}`.",
                live.name
            ),
            "Add the route to the configuration, or name a model.",
        ),
        (Some(live), None) => (
            format!(
                "There is no route `{name}`: no version of configuration `{}` has been applied yet.",
                live.name
            ),
            "Apply its draft, or name a model.",
        ),
        (None, _) => (
            format!(
                "There is no route `{name}`: this gateway key is bound to no configuration, and its workspace has no default one."
            ),
            "Bind the gateway key to a configuration that has the route, or name a model.",
        ),
    };
    Refusal::new(Code::ROUTE_NOT_FOUND, message).remedy(remedy)
}

/// The name of the configuration in play.
fn configuration(caller: &Caller) -> &str {
    caller.configuration().map_or("", |live| live.name.as_str())
}

/// A route was named with a model that it does not take, and the configuration serves nothing outside its routes.
fn not_taken(caller: &Caller, route: &Route, asked: &str) -> Refusal {
    let message = format!(
        "Configuration `{}` serves model `{}` not by the route {}, and nothing beside its routes.",
        configuration(caller),
        shown(asked),
        described(route)
    );
    Refusal::new(Code::MODEL_NOT_FOUND, message)
        .route(&route.name)
        .param("model")
        .remedy("Name a model that the route takes, or no route.")
}

/// The configuration serves nothing outside its routes, and `what` is outside.
fn outside(caller: &Caller, plan: &Plan, what: &str) -> Refusal {
    let name = configuration(caller);
    let has = if plan.routes.is_empty() {
        "no routes".to_owned()
    } else {
        routes(plan)
    };
    let message = format!(
        "Configuration `{name}` serves {what} by none of its routes and nothing beside them. It has {has}."
    );
    Refusal::new(Code::MODEL_NOT_FOUND, message).remedy(
        "Name a model of one of them, or set `gateway.direct_models: allow` in the configuration.",
    )
}

/// The routes with what they take, for a message.
fn routes(plan: &Plan) -> String {
    let mut listed: Vec<String> = plan.routes.iter().take(LISTED).map(described).collect();
    if plan.routes.len() > LISTED {
        listed.push(format!("{} more", plan.routes.len() - LISTED));
    }
    format!("the routes {}", listed.join(", "))
}

/// A route with what it takes, for a message.
fn described(route: &Route) -> String {
    let task = route.task.iter().map(|task| format!("task {task}"));
    let takes: Vec<String> = route.models.iter().cloned().chain(task).collect();
    if takes.is_empty() {
        format!("`{}`", route.name)
    } else {
        format!("`{}` ({})", route.name, takes.join(", "))
    }
}
