//! `GET /v1/models`: what this gateway key can use now (FEATURES B8): each name that is served, and for whose target the
//! caller has a key. A name that another provider's manifest would win is listed as `provider/model`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use lockgate_host::{Answer, AnswerBody, Headers, Host};
use lockgate_providers::Manifest;
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_routing::{Names, Wanted};
use lockgate_workspace::Settings;
use serde_json::{Value, json};

use crate::admission::{self, Caller, Freshness};
use crate::health;

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
        None => list(&names(host, &caller.who), anthropic),
        Some(id) => {
            let id = id.replace("%2F", "/").replace("%2f", "/");
            let find = |caller: &Caller| {
                let mut names = names(host, &caller.who).into_iter();
                names.find(|(name, _)| *name == id)
            };
            let found = match find(caller) {
                None if !caller.fresh => {
                    find(&admission::caller(host, settings, key, Freshness::Asked).await?)
                }
                found => found,
            };
            let (name, manifest) = found.ok_or_else(|| {
                Refusal::new(
                    Code::MODEL_NOT_FOUND,
                    format!("This gateway key can use no model `{}`.", shown(&id)),
                )
                .remedy("GET /v1/models lists those it can.")
            })?;
            entry(&name, manifest, anthropic)
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
fn names<H: Host>(host: &H, who: &lockgate_routing::Caller) -> Vec<(String, &'static Manifest)> {
    let served = |name: &str| {
        let wanted = Wanted {
            model: Some(name),
            route: None,
            provider: None,
            names: Names::Always,
            surface: None,
        };
        let target = lockgate_routing::target(who, &wanted).ok()?;
        let rejected = |key: &_| health::is_rejected(host, key);
        lockgate_routing::ready(who, &target, rejected).ok()?;
        Some(target.manifest)
    };
    let mut seen = HashSet::new();
    candidates(who)
        .into_iter()
        .filter(|name| seen.insert(name.clone()))
        .filter_map(|name| Some((served(&name)?, name)))
        .map(|(manifest, name)| (name.into_owned(), manifest))
        .collect()
}

/// The names that may be served. Those of a configuration are what its routes take, globs aside, or its targets' own
/// where it has no routes.
fn candidates(who: &lockgate_routing::Caller) -> Vec<Cow<'_, str>> {
    let mut names = Vec::new();
    let plan = who.plan();
    if let Some(plan) = plan {
        let taken = plan.routes.iter().flat_map(|route| &route.models);
        names.extend(taken.filter(|name| !name.contains('*')).map(Cow::from));
        if plan.routes.is_empty() {
            let own = plan
                .targets
                .iter()
                .filter_map(|target| target.model.as_ref());
            names.extend(own.map(Cow::from));
        }
    }
    if plan.is_some_and(|plan| !plan.direct_models) {
        return names;
    }
    let providers = who.snapshot.providers();
    for manifest in providers
        .iter()
        .filter_map(|slug| lockgate_providers::find(slug))
    {
        for model in manifest.models {
            let own = lockgate_routing::resolve(model.id, &providers).is_ok_and(|resolved| {
                resolved.manifest.slug == manifest.slug && !resolved.rewritten
            });
            names.push(if own {
                Cow::Borrowed(model.id)
            } else {
                Cow::Owned(format!("{}/{}", manifest.slug, model.id))
            });
        }
    }
    names
}

fn list(names: &[(String, &'static Manifest)], anthropic: bool) -> Value {
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
