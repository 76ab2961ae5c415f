//! `GET /v1/models`: what this gateway key can use now (FEATURES B8): each name that is served, and for whose target the
//! caller has a key, or the platform where its configuration says so. A name that another provider's manifest would win is
//! listed as `provider/model`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::iter;
use std::rc::Rc;

use lockgate_host::{Answer, AnswerBody, Headers, Host};
use lockgate_providers::Manifest;
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_routing::{Names, Pays, Target, Wanted, can_use, pays};
use lockgate_workspace::Settings;
use lockgate_workspace::plan::CredentialKind;
use lockgate_workspace::snapshot::Snapshot;
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
        None => {
            let platform = platform(host, settings, caller).await;
            list(&names(&caller.who, platform.as_deref()), anthropic)
        }
        Some(id) => {
            let id = id.replace("%2F", "/").replace("%2f", "/");
            let find = async |caller: &Caller| {
                let platform = platform(host, settings, caller).await;
                let (who, platform) = (&*caller.who, platform.as_deref());
                let known = candidates(who, platform, usize::MAX).any(|name| name == id);
                known.then(|| served(who, platform, &id)).flatten()
            };
            let found = match find(caller).await {
                None if !caller.fresh => {
                    find(&admission::caller(host, settings, key, Freshness::Asked).await?).await
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

/// What the platform has, where the configuration in play lets it pay for a provider without a key of the workspace's own.
/// Where the platform cannot be asked, what it serves is left out.
async fn platform<H: Host>(host: &H, settings: &Settings, caller: &Caller) -> Option<Rc<Snapshot>> {
    left_to_platform(&caller.who).next()?;
    let freshness = if caller.fresh {
        Freshness::Asked
    } else {
        Freshness::Leased
    };
    admission::platform(host, settings, freshness).await.ok()
}

/// The slugs of the providers whose targets the platform may pay for.
fn left_to_platform(who: &lockgate_routing::Caller) -> impl Iterator<Item = &str> {
    let targets = who.plan().into_iter().flat_map(|plan| &plan.targets);
    let left = targets.filter(|target| match target.credential {
        CredentialKind::Byok => false,
        CredentialKind::Managed => true,
        CredentialKind::Any => who.snapshot.usable(&target.provider).next().is_none(),
    });
    left.map(|target| target.provider.as_str())
}

/// Every name under which the caller is served, with the provider behind it: first those of its configuration, then the
/// known models of the providers with a key.
fn names<'a>(
    who: &'a lockgate_routing::Caller,
    platform: Option<&'a Snapshot>,
) -> Vec<(Cow<'a, str>, &'static Manifest)> {
    let mut seen = HashSet::new();
    candidates(who, platform, MAX_NAMES)
        .filter(|name| seen.insert(name.clone()))
        .filter_map(|name| Some((served(who, platform, &name)?, name)))
        .map(|(manifest, name)| (name, manifest))
        .collect()
}

/// The provider behind a name, where the caller is served.
fn served(
    who: &lockgate_routing::Caller,
    platform: Option<&Snapshot>,
    name: &str,
) -> Option<&'static Manifest> {
    let wanted = Wanted {
        model: Some(name),
        route: None,
        provider: None,
        names: Names::Always,
        surface: None,
    };
    let course = lockgate_routing::course(who, &wanted).ok()?;
    let managed = |target: &Target<'_>| {
        platform.is_some()
            && target.credential() != CredentialKind::Byok
            && matches!(pays(who, platform, target, |_| false), Pays::Ready(_))
    };
    let mut targets = course.choices().map(|choice| &choice.target);
    let usable = targets.find(|target| can_use(who, target) || managed(target));
    usable.map(|target| target.manifest)
}

/// The names that may be served. Those of a configuration are what its routes take, or its targets' own where it has no
/// routes, and no more than `most`; what the globs of routes take is known of the known models only.
fn candidates<'a>(
    who: &'a lockgate_routing::Caller,
    platform: Option<&'a Snapshot>,
    most: usize,
) -> impl Iterator<Item = Cow<'a, str>> {
    let plan = who.plan();
    let taken = plan.into_iter().flat_map(|plan| {
        let taken = plan.routes.iter().flat_map(|route| &route.models);
        taken.filter(|name| !name.contains('*'))
    });
    let without_routes = plan.filter(|plan| plan.routes.is_empty());
    let targets = without_routes.into_iter().flat_map(|plan| &plan.targets);
    let own = targets.filter_map(|target| target.model.as_ref());
    let names = taken.chain(own).take(most).map(Cow::from);
    names.chain(known(who, platform))
}

/// The known models of the providers with a key, the workspace's or one of the platform's that may take its place: all of
/// them, or those that some route takes where nothing is served beside the routes.
fn known<'a>(
    who: &'a lockgate_routing::Caller,
    platform: Option<&'a Snapshot>,
) -> impl Iterator<Item = Cow<'a, str>> {
    let confined = who.plan().filter(|plan| !plan.direct_models);
    let enabled = who.snapshot.providers();
    let mut slugs = enabled.clone();
    for slug in left_to_platform(who) {
        let has = platform.is_some_and(|platform| platform.usable(slug).next().is_some());
        if has && !slugs.contains(&slug) {
            slugs.push(slug);
        }
    }
    let manifests: Vec<_> = slugs
        .into_iter()
        .filter_map(lockgate_providers::find)
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
    #![allow(clippy::unwrap_used)]

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
                kek: "kek_1".into(),
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
        listed_with(caller, None)
    }

    fn listed_with(caller: &lockgate_routing::Caller, platform: Option<&Snapshot>) -> Vec<String> {
        let names = names(caller, platform).into_iter();
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
        let mut found = candidates(&caller, None, usize::MAX);
        assert!(
            all.last()
                .is_some_and(|last| found.any(|name| name == *last))
        );
    }

    /// The same caller, where this pays for the route's target, without its own key of OpenAI where `bare`.
    fn paid_by(
        routes: &[&[&str]],
        direct_models: bool,
        credential: CredentialKind,
        bare: bool,
    ) -> lockgate_routing::Caller {
        let caller = caller(routes, direct_models);
        let mut snapshot = (*caller.snapshot).clone();
        let live = std::sync::Arc::make_mut(&mut snapshot.configurations[0]);
        let plan = live.plan.as_mut().unwrap();
        plan.targets[0].credential = credential;
        if bare {
            snapshot.keys.retain(|key| key.provider != "openai");
        }
        lockgate_routing::Caller::new(caller.identity, Rc::new(snapshot))
    }

    #[test]
    fn what_only_the_platform_can_serve_is_listed_where_it_has_a_key() {
        let routes: &[&[&str]] = &[&["house"], &["gpt-4o*"]];
        let mut platform = (*caller(&[], true).snapshot).clone();
        let both = |credential, bare| paid_by(routes, false, credential, bare);
        let lists = |caller: &lockgate_routing::Caller, platform: Option<&Snapshot>| {
            let names = listed_with(caller, platform);
            let has = |wanted: &str| names.iter().any(|name| name == wanted);
            assert_eq!(has("house"), has("gpt-4o"), "{names:?}");
            has("house")
        };
        use CredentialKind::{Any, Byok, Managed};
        for (credential, bare, without, with) in [
            (Byok, true, false, false),
            (Byok, false, true, true),
            (Any, true, false, true),
            (Any, false, true, true),
            (Managed, true, false, true),
            (Managed, false, false, true),
        ] {
            let who = both(credential, bare);
            assert_eq!(lists(&who, None), without, "{credential:?} {bare}");
            assert_eq!(lists(&who, Some(&platform)), with, "{credential:?} {bare}");
            // The platform is asked only where it could make a difference.
            let asked = left_to_platform(&who).next().is_some();
            assert_eq!(asked, with && (credential == Managed || bare));
        }
        platform.keys.retain(|key| key.provider != "openai");
        assert!(!lists(&both(Managed, true), Some(&platform)));
        // What is served beside the routes is not managed.
        let beside = listed_with(
            &paid_by(&[&["house"]], true, Managed, true),
            Some(&caller(&[], true).snapshot),
        );
        assert!(beside.iter().any(|name| name == "house"));
        assert!(beside.iter().any(|name| name == "claude-sonnet-4-5"));
        assert!(
            !beside.iter().any(|name| name.contains("gpt-4o")),
            "{beside:?}"
        );
    }
}
