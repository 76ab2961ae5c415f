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
//! - A request that one of its route's targets could not take, since neither has a model or it may not pass on the
//!   request's, is refused, whichever target it would be tried at first.
//! - Where models outside the routes are served, one that a route with `allow_providers` takes under another name
//!   (`openai/gpt-4o` for `gpt-4o`) goes beside it to no provider that the route does not allow.

use std::cmp::Reverse;
use std::iter::successors;

use lockgate_glob::glob;
use lockgate_providers::{Manifest, Surface, find};
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_workspace::plan::{CredentialKind, Plan, PlanTarget, Route, RouteTarget};

use crate::nowhere::{
    configuration, kept, known, names_none, no_route, no_target, not_taken, outside,
};
use crate::{Caller, resolve};

/// A model of this form names a route.
const ROUTE: &str = "route:";
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

    /// Its name in the configuration that decided on it.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.planned.map(|planned| planned.id.as_str())
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
        return by_route(caller, plan, route, &wanted);
    }
    let Some(model) = wanted.model else {
        return without_model(caller, &wanted);
    };
    if let Some(plan) = plan {
        if let Some(route) = plan.routes.iter().find(|route| fits(route, model)) {
            return by_route(caller, plan, route, &wanted);
        }
        if let Some(target) = by_own_model(plan, model) {
            return Ok(Course::to(target));
        }
        if !plan.direct_models {
            return Err(outside(caller, plan, &format!("model `{}`", shown(model))).param("model"));
        }
    }
    let (manifest, own) = match wanted.provider {
        Some(slug) => {
            let manifest = known(slug)?;
            (manifest, at(manifest, model))
        }
        None => {
            let resolved = resolve(model, &caller.providers).map_err(|error| {
                Refusal::new(Code::MODEL_NOT_FOUND, error.to_string()).param("model")
            })?;
            (resolved.manifest, resolved.model)
        }
    };
    match plan.and_then(|plan| keeps(plan, manifest, model)) {
        Some(route) => Err(kept(caller, route, manifest, model)),
        None => Ok(Course::to(direct(manifest, own))),
    }
}

/// The route that would have taken the model under a shorter or a longer name, and does not let it go to this provider.
/// Such as `openai/gpt-4o` where a route takes `gpt-4o`: else a prefix would be a way past an allow-list.
fn keeps<'a>(plan: &'a Plan, manifest: &Manifest, asked: &str) -> Option<&'a Route> {
    let takes = |route: &Route| {
        let mut names = successors(Some(asked), |name| Some(name.split_once('/')?.1));
        names.any(|name| fits(route, name)) || fits(route, &format!("{}/{asked}", manifest.slug))
    };
    held(plan, manifest).find(|route| takes(route))
}

/// The routes that do not let their models go to this provider.
fn held<'a>(plan: &'a Plan, manifest: &Manifest) -> impl Iterator<Item = &'a Route> {
    plan.routes.iter().filter(|route| !allows(route, manifest))
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
fn leaves_its_models(route: &Route, planned: &PlanTarget, model: &str, asked: &str) -> bool {
    let fixed = own_model(planned);
    fixed.is_none() && !model.is_empty() && !route.models.is_empty() && !fits(route, asked)
}

/// Whether a request that goes to `target` as it is may list further models, any of which the provider may take: not
/// where the configuration in play has decided on the target, where it serves nothing beside its routes, nor where a route
/// keeps its models from the provider.
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
    } else if let Some(route) = held(plan, target.manifest).next() {
        let message = format!(
            "Configuration `{}` keeps the models of the route `{}` from {}, and one of them could be among {what}.",
            configuration(caller),
            route.name,
            target.manifest.title
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
    caller: &Caller,
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
        if let Some(asked) = wanted.model
            && !plan.direct_models
            && leaves_its_models(route, planned, model, asked)
        {
            return Err(not_taken(caller, route, asked));
        }
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
        return Err(no_target(route));
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
