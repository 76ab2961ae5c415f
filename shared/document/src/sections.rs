//! The document as a whole, and its small sections: `pack`, `policies`, `policy` and `gateway`.

use std::collections::HashSet;

use lockgate_workspace::plan::{Fallback, Plan, Route, RouteTarget};
use lockgate_workspace::question::Declared;

use crate::fields::Spot;
use crate::options::{MAX_LIST, MAX_NAME, Unenforced, name};
use crate::problem::{Problems, echo};
use crate::resources;
use crate::routes;
use crate::targets::{self, Targets};

/// Characters of a pack's version.
const MAX_VERSION: usize = 64;
/// Bytes of a WebSocket message.
const MAX_MESSAGE: u32 = 1 << 30;
/// Seconds that a WebSocket may be idle.
const MAX_IDLE: u32 = 86_400;

/// Reads a document.
pub(crate) fn document(root: &Spot<'_>, problems: &mut Problems) -> (Plan, Declared) {
    let [pack, providers, list, policies, policy, gateway, resources] = root.fields(
        problems,
        [
            "pack",
            "providers",
            "routes",
            "policies",
            "policy",
            "gateway",
            "resources",
        ],
    );
    let mut later = Unenforced::default();
    let enabled = pack.is_none_or(|spot| pack_enabled(&spot, problems));
    let targets = providers.map_or_else(Targets::default, |spot| targets::read(&spot, problems));
    let mut routes = list.map_or_else(Vec::new, |spot| routes::read(&spot, &targets, problems));
    if let Some(spot) = policies {
        chain(&spot, problems, &mut later);
    }
    if let Some(spot) = policy {
        for section in spot.entries(problems) {
            section.entries(problems);
            let message = "policies on content are not in this version";
            later.warn(&section, problems, "policy", message);
        }
    }
    let direct = gateway.and_then(|spot| gateway_section(&spot, problems, &mut later));
    let declared =
        resources.map_or_else(Declared::default, |spot| resources::read(&spot, problems));
    if !enabled {
        let plan = Plan {
            direct_models: true,
            ..Plan::default()
        };
        return (plan, declared);
    }
    let direct_models = direct.unwrap_or(routes.is_empty());
    if !problems.failed() {
        unreached(&targets, &routes, problems);
    }
    if routes.is_empty() {
        routes = own_models(&targets);
    }
    let plan = Plan {
        targets: targets.all,
        routes,
        direct_models,
        unenforced: later.0,
    };
    (plan, declared)
}

fn pack_enabled(spot: &Spot<'_>, problems: &mut Problems) -> bool {
    let [named, version, enabled] = spot.fields(problems, ["name", "version", "enabled"]);
    if let Some(spot) = named {
        name(&spot, problems, None);
    }
    if let Some(spot) = version {
        spot.label(problems, MAX_VERSION);
    }
    enabled.and_then(|spot| spot.flag(problems)) != Some(false)
}

fn chain(spot: &Spot<'_>, problems: &mut Problems, later: &mut Unenforced) {
    let [chain] = spot.fields(problems, ["chain"]);
    let Some(chain) = chain else {
        return;
    };
    let items = chain.items(problems, MAX_LIST);
    for item in &items {
        item.text(problems, MAX_NAME);
    }
    if !items.is_empty() {
        let message = "policies on content are not in this version";
        later.warn(&chain, problems, "policies.chain", message);
    }
}

/// `gateway`; answers whether models outside the routes are served, where it says so.
fn gateway_section(
    spot: &Spot<'_>,
    problems: &mut Problems,
    later: &mut Unenforced,
) -> Option<bool> {
    let [websocket, direct] = spot.fields(problems, ["websocket", "direct_models"]);
    if let Some(spot) = websocket {
        let [enabled, size, idle] = spot.fields(
            problems,
            ["enabled", "max_message_size_bytes", "idle_timeout_seconds"],
        );
        if let Some(size) = size {
            size.number(problems, 1..=MAX_MESSAGE);
        }
        if let Some(idle) = idle {
            idle.number(problems, 1..=MAX_IDLE);
        }
        if enabled.and_then(|spot| spot.flag(problems)) != Some(false) {
            let message = "WebSockets are not in this version";
            later.warn(&spot, problems, "gateway.websocket", message);
        }
    }
    direct.and_then(|spot| spot.word(problems, &[("allow", true), ("deny", false)]))
}

/// Warns of targets that no request can reach.
fn unreached(targets: &Targets, routes: &[Route], problems: &mut Problems) {
    let used: HashSet<usize> = routes
        .iter()
        .flat_map(|route| &route.targets)
        .map(|target| target.target)
        .collect();
    let mut models = HashSet::new();
    for (place, (target, (at, path))) in targets.all.iter().zip(&targets.written).enumerate() {
        let why = match &target.model {
            _ if used.contains(&place) => continue,
            _ if !routes.is_empty() => "no route names it".to_owned(),
            None => "it has no model, and there are no routes".to_owned(),
            Some(model) if models.insert(model) => continue,
            Some(model) => format!(
                "a target before it has the model {} too, and there are no routes",
                echo(model)
            ),
        };
        let message = format!(
            "no request reaches the target “{}”: {why}",
            echo(&target.id)
        );
        problems.warning(*at, path.clone(), message);
    }
}

/// Without routes each target serves its own model; among several of one model the first.
fn own_models(targets: &Targets) -> Vec<Route> {
    let mut models = HashSet::new();
    let mut routes = Vec::new();
    for (place, target) in targets.all.iter().enumerate() {
        let Some(model) = target.model.as_ref().filter(|model| models.insert(*model)) else {
            continue;
        };
        routes.push(Route {
            name: target.id.clone(),
            models: vec![model.clone()],
            task: None,
            allow_providers: None,
            fallback: Fallback::default(),
            targets: vec![RouteTarget {
                target: place,
                priority: 0,
                weight: 1,
            }],
        });
    }
    routes
}
