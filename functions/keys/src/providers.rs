//! `GET /api/providers`: every provider there is a manifest for, and whether this workspace can use it.

use lockgate_host::Host;
use lockgate_providers::Manifest;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Page, Question, Reply};
use lockgate_workspace::resource::{Health, ProviderKey};
use serde_json::{Value, json};

use crate::Call;
use crate::provider_keys::manifest;
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
    let seeded = seeded(call).await?;
    let items: Vec<Value> = lockgate_providers::all()
        .iter()
        .map(|manifest| {
            let own: Vec<&ProviderKey> = keys
                .iter()
                .filter(|k| k.provider == manifest.slug)
                .collect();
            let seeded = seeded.iter().any(|slug| slug == manifest.slug);
            item(manifest, &own, seeded)
        })
        .collect();
    Ok(value(200, json!({"items": items, "next_cursor": null})))
}

/// The providers with a seeded entry that stands.
async fn seeded<H: Host>(call: &Call<'_, H>) -> Result<Vec<String>, Refusal> {
    match call.ask(Question::ListSeeds).await? {
        Reply::Providers(slugs) => Ok(slugs),
        _ => Err(AskError::Mismatch.into()),
    }
}

/// Deletes a seeded entry for good; again is no error.
pub(crate) async fn unseed<H: Host>(
    call: &Call<'_, H>,
    provider: &str,
) -> Result<respond::Reply, Refusal> {
    let question = Question::DeleteSeed {
        provider: provider.into(),
    };
    let refusal = match call.ask(question).await {
        Ok(_) => return Ok(removed()),
        Err(refusal) if refusal.code == Code::NOT_FOUND => refusal,
        Err(refusal) => return Err(refusal),
    };
    if let Err(mut unknown) = manifest(provider) {
        unknown.code = Code::NOT_FOUND;
        return Err(unknown);
    }
    let standing = seeded(call).await?.join(", ");
    Err(refusal.provider(provider).remedy(if standing.is_empty() {
        "This workspace has no seeded entries left.".into()
    } else {
        format!("Seeded entries of this workspace: {standing}.")
    }))
}

/// Whether a workspace can use a provider (FEATURES B5), and in words why, with the way out.
fn status(
    manifest: &Manifest,
    keys: &[&ProviderKey],
    seeded: bool,
) -> (&'static str, String, Health) {
    let (slug, title) = (manifest.slug, manifest.title);
    // A key without the secret that its provider needs cannot be sent.
    let there = |key: &&&ProviderKey| !key.enabled || key.version > 0 || !manifest.needs_key();
    let invalid = |key: &ProviderKey| key.health == Health::Invalid;
    let used = keys
        .iter()
        .filter(there)
        .filter(|key| key.enabled)
        .min_by_key(|key| (invalid(key), !key.default, &key.name));
    let disabled = keys.iter().find(|key| !key.enabled);
    let (status, reason) = match (used, disabled) {
        (Some(key), _) if invalid(key) => (
            "ready",
            format!(
                "Key `{}` is used for want of another, although {title} has rejected it. Replace its secret with PUT \
                 /api/provider-keys/{}/secret.",
                key.name, key.id
            ),
        ),
        (Some(key), _) => (
            "ready",
            format!("Key `{}` is used where nothing names another.", key.name),
        ),
        (None, Some(key)) => (
            "inactive",
            format!(
                "Every {title} key is disabled. Enable one with PATCH /api/provider-keys/{} {{\"enabled\":true}}.",
                key.id
            ),
        ),
        (None, None) if seeded => (
            "seeded",
            format!(
                "The entry that this workspace began with waits for a key of {title}. Add one with POST \
                 /api/provider-keys, or remove the entry with DELETE /api/providers/{slug}/seed."
            ),
        ),
        (None, None) => (
            "not_configured",
            format!(
                "This workspace has no {title} key. Add one with POST /api/provider-keys {{\"provider\":\"{slug}\",…}}."
            ),
        ),
    };
    let health = used.map_or(Health::Unknown, |key| key.health);
    (status, reason, health)
}

fn item(manifest: &Manifest, own: &[&ProviderKey], seeded: bool) -> Value {
    let (status, reason, health) = status(manifest, own, seeded);
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
        "health": health,
        "models": models,
        "key_hint": manifest.key_hint,
        "env_vars": manifest.env_vars,
        "options": options,
        "seeded": seeded,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sample::provider_key as key;

    #[test]
    fn a_status_follows_from_keys_and_entry() {
        let openai = lockgate_providers::find("openai").unwrap();
        let ollama = lockgate_providers::find("ollama").unwrap();
        let on = key("on");
        let off = ProviderKey {
            enabled: false,
            ..key("off")
        };
        let bare = ProviderKey {
            version: 0,
            ..key("bare")
        };
        let rejected = ProviderKey {
            health: Health::Invalid,
            default: true,
            ..key("rejected")
        };
        let of = |manifest, keys: &[&ProviderKey], seeded| status(manifest, keys, seeded);
        for (keys, seeded, expected, says) in [
            (&[][..], false, "not_configured", "\"provider\":\"openai\""),
            (&[], true, "seeded", "/api/providers/openai/seed"),
            (&[&off], true, "inactive", "/api/provider-keys/pk_off"),
            (&[&bare], true, "seeded", "POST /api/provider-keys"),
            (&[&bare], false, "not_configured", "no OpenAI key"),
            (&[&bare, &off], false, "inactive", "pk_off"),
            (&[&off, &on], true, "ready", "`on`"),
            (&[&rejected, &on], false, "ready", "`on`"),
            (
                &[&rejected],
                false,
                "ready",
                "/api/provider-keys/pk_rejected/secret",
            ),
        ] {
            let (status, reason, _) = of(openai, keys, seeded);
            assert_eq!(status, expected, "{reason}");
            assert!(reason.contains(says), "{reason}");
        }
        assert_eq!(of(openai, &[&rejected, &off], false).2, Health::Invalid);
        assert_eq!(of(openai, &[], true).2, Health::Unknown);
        // What needs no secret has none.
        assert_eq!(of(ollama, &[&bare], false).0, "ready");
    }
}
