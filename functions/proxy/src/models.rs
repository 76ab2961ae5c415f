//! `GET /v1/models`: what this gateway key can use now (FEATURES B8): each name that is served, and for whose target the
//! caller has a key. A name that another provider's manifest would win is listed as `provider/model`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::iter;
use std::rc::Rc;

use lockgate_host::{Answer, AnswerBody, Headers, Host};
use lockgate_providers::Manifest;
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_routing::{Names, Wanted};
use lockgate_workspace::Settings;
use serde_json::{Value, json};

use crate::admission::{self, Caller, Freshness};

/// Names of a configuration that a list looks at: each is held against the routes.
const MAX_NAMES: usize = 500;

pub(crate) async fn answer<H: Host>(
    host: &H,
    settings: &Settings,
    key: &str,
    caller: &Caller,
    wanted: Option<&str>,
    request_id: &Rc<str>,
    headers: &H::Headers,
) -> Result<Answer<H>, Refusal> {
    let anthropic = headers.get("anthropic-version").is_some();
    let body = match wanted {
        None => list(&names(&caller.who), anthropic),
        Some(id) => {
            let id = id.replace("%2F", "/").replace("%2f", "/");
            let find = |caller: &Caller| {
                let known = candidates(&caller.who, usize::MAX).any(|name| name == id);
                known.then(|| served(&caller.who, &id)).flatten()
            };
            let found = match find(caller) {
                None if !caller.fresh => {
                    find(&admission::caller(host, settings, key, Freshness::Asked).await?)
                }
                found => found,
            };
            let manifest = found.ok_or_else(|| {
                Refusal::new(
                    Code::MODEL_NOT_FOUND,
                    format!("This gateway key can use no model `{}`.", shown(&id)),
                )
                .remedy("GET /v1/models lists those it can.")
            })?;
            entry(&id, manifest, anthropic)
        }
    };
    Ok(Answer {
        status: 200,
        from: None,
        set: vec![
            ("content-type", "application/json".into()),
            ("lockgate-request-id", request_id.to_string().into()),
        ],
        body: AnswerBody::Bytes(body.to_string().into_bytes()),
    })
}

/// Every name under which the caller is served, with the provider behind it: first those of its configuration, then the
/// known models of the providers with a key.
fn names(who: &lockgate_routing::Caller) -> Vec<(Cow<'_, str>, &'static Manifest)> {
    let mut seen = HashSet::new();
    candidates(who, MAX_NAMES)
        .filter(|name| seen.insert(name.clone()))
        .filter_map(|name| Some((served(who, &name)?, name)))
        .map(|(manifest, name)| (name, manifest))
        .collect()
}

/// The provider behind a name, where the caller is served.
fn served(who: &lockgate_routing::Caller, name: &str) -> Option<&'static Manifest> {
    let wanted = Wanted {
        model: Some(name),
        route: None,
        provider: None,
        names: Names::Always,
        surface: None,
    };
    let course = lockgate_routing::course(who, &wanted).ok()?;
    let mut targets = course.choices().map(|choice| &choice.target);
    let usable = targets.find(|target| lockgate_routing::can_use(who, target));
    usable.map(|target| target.manifest)
}

/// The names that may be served. Those of a configuration are what its routes take, or its targets' own where it has no
/// routes, and no more than `most`; what the globs of routes take is known of the known models only.
fn candidates(who: &lockgate_routing::Caller, most: usize) -> impl Iterator<Item = Cow<'_, str>> {
    let plan = who.plan();
    let taken = plan.into_iter().flat_map(|plan| {
        let taken = plan.routes.iter().flat_map(|route| &route.models);
        taken.filter(|name| !name.contains('*'))
    });
    let without_routes = plan.filter(|plan| plan.routes.is_empty());
    let targets = without_routes.into_iter().flat_map(|plan| &plan.targets);
    let own = targets.filter_map(|target| target.model.as_ref());
    let names = taken.chain(own).take(most).map(Cow::from);
    names.chain(known(who))
}

/// The known models of the providers with a key: all of them, or those that some route takes where nothing is served
/// beside the routes.
fn known(who: &lockgate_routing::Caller) -> impl Iterator<Item = Cow<'_, str>> {
    let confined = who.plan().filter(|plan| !plan.direct_models);
    let enabled = who.snapshot.providers();
    let manifests: Vec<_> = enabled
        .iter()
        .filter_map(|slug| lockgate_providers::find(slug))
        .collect();
    let models = manifests
        .into_iter()
        .flat_map(|manifest| iter::repeat(manifest).zip(manifest.models));
    models.filter_map(move |(manifest, model)| {
        let long = || Cow::Owned(format!("{}/{}", manifest.slug, model.id));
        match confined {
            Some(plan) => [Cow::Borrowed(model.id), long()]
                .into_iter()
                .find(|name| lockgate_routing::takes(plan, name)),
            None => {
                let own = lockgate_routing::resolve(model.id, &enabled).is_ok_and(|resolved| {
                    resolved.manifest.slug == manifest.slug && !resolved.rewritten
                });
                Some(if own { Cow::Borrowed(model.id) } else { long() })
            }
        }
    })
}

fn list(names: &[(Cow<'_, str>, &'static Manifest)], anthropic: bool) -> Value {
    let data: Vec<Value> = names
        .iter()
        .map(|(name, manifest)| entry(name, manifest, anthropic))
        .collect();
    if anthropic {
        let id = |entry: Option<&Value>| entry.map_or(Value::Null, |e| e["id"].clone());
        json!({"first_id": id(data.first()), "last_id": id(data.last()), "has_more": false, "data": data})
    } else {
        json!({"object": "list", "data": data})
    }
}

/// One model, in OpenAI's shape or Anthropic's. Neither the date a model was made nor its display name is known here.
fn entry(name: &str, manifest: &Manifest, anthropic: bool) -> Value {
    if anthropic {
        json!({"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"})
    } else {
        json!({"id": name, "object": "model", "created": 0, "owned_by": manifest.slug})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_workspace::plan::{CredentialKind, Plan, PlanTarget, Route, RouteTarget};
    use lockgate_workspace::resource::{Access, Health};
    use lockgate_workspace::snapshot::{Identity, KeyPointer, Live, SealedPointer, Snapshot};

    fn key(provider: &str) -> KeyPointer {
        KeyPointer {
            id: format!("pk_{provider}"),
            provider: provider.into(),
            name: "main".into(),
            enabled: true,
            default: true,
            base_url: None,
            options: Default::default(),
            tags: Default::default(),
            health: Health::Ok,
            sealed: Some(SealedPointer {
                version: 1,
                entry: String::new(),
                wrapped: String::new(),
            }),
        }
    }

    /// A caller in an open workspace with keys of OpenAI and Anthropic, under routes to OpenAI that take these models.
    fn caller(routes: &[&[&str]], direct_models: bool) -> lockgate_routing::Caller {
        let route = |(place, models): (usize, &&[&str])| Route {
            fallback: Default::default(),
            name: format!("route-{place}"),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            task: None,
            allow_providers: None,
            targets: vec![RouteTarget {
                target: 0,
                priority: 0,
                weight: 1,
            }],
        };
        let plan = Plan {
            targets: vec![PlanTarget {
                id: "any".into(),
                provider: "openai".into(),
                model: None,
                credential: CredentialKind::Any,
                provider_key: None,
            }],
            routes: routes.iter().enumerate().map(route).collect(),
            direct_models,
            unenforced: Vec::new(),
        };
        let identity = Identity {
            budget: Default::default(),
            limits: Default::default(),
            gateway_key: "gk_1".into(),
            name: "app".into(),
            agent: "app".into(),
            agent_id: "agent_1".into(),
            agent_tags: Default::default(),
            roles: Vec::new(),
            pins: Vec::new(),
            gateway: None,
            gateway_tags: None,
            configuration: Some("cfg_1".into()),
            team: None,
        };
        let snapshot = Snapshot {
            prices: Default::default(),
            version: 1,
            workspace: "ws_1".into(),
            name: "acme".into(),
            access: Access::Open,
            keys: vec![key("anthropic").into(), key("openai").into()],
            roles: Vec::new(),
            seeded: Vec::new(),
            configurations: vec![
                Live {
                    id: "cfg_1".into(),
                    name: "c".into(),
                    tags: Default::default(),
                    plan: Some(plan),
                }
                .into(),
            ],
            default_configuration: None,
        };
        lockgate_routing::Caller::new(identity, Rc::new(snapshot))
    }

    fn listed(caller: &lockgate_routing::Caller) -> Vec<String> {
        let names = names(caller).into_iter();
        names.map(|(name, _)| name.into_owned()).collect()
    }

    #[test]
    fn what_globs_take_is_listed_where_nothing_is_served_beside_them() {
        let confined = listed(&caller(&[&["house"], &["gpt-4o*", "anthropic/*"]], false));
        assert_eq!(confined.first().map(String::as_str), Some("house"));
        for name in ["gpt-4o", "gpt-4o-mini", "anthropic/claude-sonnet-4-5"] {
            assert!(confined.iter().any(|one| one == name), "{confined:?}");
        }
        let fits = |name: &String| {
            name == "house" || name.starts_with("gpt-4o") || name.starts_with("anthropic/")
        };
        assert!(confined.iter().all(fits), "{confined:?}");
        assert_eq!(listed(&caller(&[&["house"]], false)), ["house"]);
        // Beside the routes, all known models are served under their own names.
        let open = listed(&caller(&[&["house"], &["gpt-4o*"]], true));
        assert!(open.iter().any(|name| name == "claude-sonnet-4-5"));
    }

    #[test]
    fn a_list_looks_at_so_many_names_and_each_is_found_by_itself() {
        let all: Vec<String> = (0..2 * MAX_NAMES).map(|n| format!("house-{n}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let caller = caller(&[&all], false);
        assert_eq!(listed(&caller).len(), MAX_NAMES);
        let mut found = candidates(&caller, usize::MAX);
        assert!(
            all.last()
                .is_some_and(|last| found.any(|name| name == *last))
        );
    }
}
