//! Why a request goes nowhere, in words: no route, no model, or none that the configuration in play lets out.

use lockgate_providers::{Manifest, find};
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_workspace::plan::{Plan, Route};

use crate::Caller;

/// Routes that an error lists.
const LISTED: usize = 20;

/// The provider of this slug.
pub(crate) fn known(slug: &str) -> Result<&'static Manifest, Refusal> {
    find(slug).ok_or_else(|| {
        Refusal::new(
            Code::INVALID_REQUEST,
            format!("There is no provider `{}`.", shown(slug)),
        )
        .param("lockgate-provider")
        .remedy("GET /api/providers lists the providers there are.")
    })
}

/// No route has this name or task.
pub(crate) fn no_route(caller: &Caller, name: &str) -> Refusal {
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

/// None of the route's targets has a model, and neither has the request.
pub(crate) fn names_none(route: &Route) -> Refusal {
    let message = format!(
        "Route `{}` leaves the model to the request, which names none.",
        route.name
    );
    Refusal::new(Code::INVALID_REQUEST, message)
        .route(&route.name)
        .param("model")
        .remedy("Name one beside the route, or give each of the route's targets a model.")
}

/// The name of the configuration in play.
pub(crate) fn configuration(caller: &Caller) -> &str {
    caller.configuration().map_or("", |live| live.name.as_str())
}

/// A route was named with a model that it does not take, and the configuration serves nothing outside its routes.
pub(crate) fn not_taken(caller: &Caller, route: &Route, asked: &str) -> Refusal {
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

/// The route has no target that it may use.
pub(crate) fn no_target(route: &Route) -> Refusal {
    let message = format!("Route `{}` has no target that it may use.", route.name);
    Refusal::new(Code::ROUTE_NOT_FOUND, message)
        .route(&route.name)
        .remedy("Give it a target whose provider is among its `allow_providers`.")
}

/// The model would go beside the routes to a provider that the route that takes it under another name does not allow.
pub(crate) fn kept(caller: &Caller, route: &Route, manifest: &Manifest, asked: &str) -> Refusal {
    let allowed = route.allow_providers.as_deref().unwrap_or_default();
    let message = format!(
        "Configuration `{}` lets what the route {} takes go to {} only, and model `{}` would go to {} beside it.",
        configuration(caller),
        described(route),
        allowed.join(", "),
        shown(asked),
        manifest.title
    );
    Refusal::new(Code::MODEL_NOT_FOUND, message)
        .route(&route.name)
        .param("model")
        .remedy("Name the model as the route takes it, or name the route in the header `lockgate-route`.")
}

/// The configuration serves nothing outside its routes, and `what` is outside.
pub(crate) fn outside(caller: &Caller, plan: &Plan, what: &str) -> Refusal {
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
