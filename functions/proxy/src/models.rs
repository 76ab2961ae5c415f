//! `GET /v1/models`: what this gateway key can use now (FEATURES B8): the known models of each provider that has an
//! enabled key. A name that another provider's manifest would win is listed as `provider/model`.

use std::rc::Rc;

use lockgate_host::{Answer, AnswerBody, Headers, Host};
use lockgate_providers::Manifest;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::Settings;
use lockgate_workspace::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::admission::{self, Caller, Freshness};

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
        None => list(&names(&caller.snapshot), anthropic),
        Some(id) => {
            let id = id.replace("%2F", "/").replace("%2f", "/");
            let find =
                |snapshot: &Snapshot| names(snapshot).into_iter().find(|(name, _)| *name == id);
            let found = match find(&caller.snapshot) {
                None if !caller.fresh => {
                    let caller = admission::caller(host, settings, key, Freshness::Asked).await?;
                    find(&caller.snapshot)
                }
                found => found,
            };
            let (name, manifest) = found.ok_or_else(|| {
                Refusal::new(
                    Code::MODEL_NOT_FOUND,
                    format!(
                        "This gateway key can use no model `{}`.",
                        id.chars().take(100).collect::<String>()
                    ),
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

fn names(snapshot: &Snapshot) -> Vec<(String, &'static Manifest)> {
    let providers = snapshot.providers();
    let mut names = Vec::new();
    for slug in &providers {
        let Some(manifest) = lockgate_providers::find(slug) else {
            continue;
        };
        for model in manifest.models {
            let own = lockgate_routing::resolve(model.id, &providers).is_ok_and(|resolved| {
                resolved.manifest.slug == manifest.slug && !resolved.rewritten
            });
            let name = if own {
                model.id.to_owned()
            } else {
                format!("{slug}/{}", model.id)
            };
            names.push((name, manifest));
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
