//! `GET /api/providers`: every provider there is a manifest for, and whether this workspace can use it.

use lockgate_host::Host;
use lockgate_providers::Manifest;
use lockgate_refusal::Refusal;
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Page, Question, Reply};
use lockgate_workspace::resource::{Health, ProviderKey};
use serde_json::{Value, json};

use crate::Call;
use crate::respond::{self, removed, value};

/// Keys of one workspace that are looked at.
const MAX_KEYS: u32 = 10_000;

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = Page {
        limit: MAX_KEYS,
        after: None,
    };
    let Reply::ProviderKeys(keys) = call.ask(Question::ListProviderKeys(page)).await? else {
        return Err(AskError::Mismatch.into());
    };
    let items: Vec<Value> = lockgate_providers::all()
        .iter()
        .map(|manifest| item(manifest, &keys))
        .collect();
    Ok(value(200, json!({"items": items, "next_cursor": null})))
}

/// Deletes a seeded entry for good.
pub(crate) async fn unseed<H: Host>(
    call: &Call<'_, H>,
    provider: &str,
) -> Result<respond::Reply, Refusal> {
    let question = Question::DeleteSeed {
        provider: provider.into(),
    };
    call.ask(question).await?;
    Ok(removed())
}

fn item(manifest: &Manifest, keys: &[ProviderKey]) -> Value {
    let own: Vec<&ProviderKey> = keys
        .iter()
        .filter(|k| k.provider == manifest.slug)
        .collect();
    let usable = own.iter().filter(|k| k.enabled);
    let invalid = |key: &ProviderKey| key.health == Health::Invalid;
    let first = usable.min_by_key(|k| (invalid(k), !k.default, &k.name));
    let (status, reason) = match (own.is_empty(), first) {
        (true, _) => (
            "not_configured",
            format!("This workspace has no {} key.", manifest.title),
        ),
        (false, None) => (
            "inactive",
            format!("Every {} key is disabled.", manifest.title),
        ),
        (false, Some(key)) if invalid(key) => (
            "ready",
            format!(
                "Key `{}` is used for want of another, although {} has rejected it.",
                key.name, manifest.title
            ),
        ),
        (false, Some(key)) => (
            "ready",
            format!("Key `{}` is used where nothing names another.", key.name),
        ),
    };
    let options: Vec<Value> = manifest
        .options
        .iter()
        .map(|option| {
            json!({
                "name": option.name,
                "required": option.required,
                "default": option.default,
                "hint": option.hint,
                "example": option.example,
            })
        })
        .collect();
    let models: Vec<&str> = manifest.models.iter().map(|m| m.id).collect();
    json!({
        "provider": manifest.slug,
        "title": manifest.title,
        "status": status,
        "reason": reason,
        "default_key": own.iter().find(|k| k.default).map(|k| &k.name),
        "key_count": own.len(),
        "health": first.map_or(Health::Unknown, |k| k.health),
        "models": models,
        "key_hint": manifest.key_hint,
        "env_vars": manifest.env_vars,
        "options": options,
        "seeded": false,
    })
}
