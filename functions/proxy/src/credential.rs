//! Which provider key pays, and its secret out of the vault: unsealed once per version and isolate, kept in memory that
//! is wiped, for a bounded time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use lockgate_host::{Host, Secret};
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::snapshot::{KeyPointer, SealedPointer};
use lockgate_workspace::{Settings, UnsealError};

use crate::admission::Caller;
use crate::health;
use crate::target::Target;

/// How long an unsealed secret is kept.
const KEPT_MS: u64 = 10 * 60_000;
/// How many unsealed secrets are kept at once.
const MAX_KEPT: usize = 1_000;

/// A provider key that may be used, with its secret where it has one.
pub(crate) struct Credential {
    pub(crate) key: Arc<KeyPointer>,
    pub(crate) secret: Option<Rc<Secret>>,
}

/// Why there is none.
pub(crate) enum Unusable {
    /// The snapshot points to a version that is no longer in force: ask the authority and choose again.
    Moved,
    /// Nothing that another look at the same state would change.
    Refused(Refusal),
}

impl From<Refusal> for Unusable {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

struct Kept {
    version: u64,
    secret: Rc<Secret>,
    until: u64,
}

thread_local! {
    static KEPT: RefCell<HashMap<String, Kept>> = RefCell::default();
}

/// Chooses the key for a target: the provider's default, else the first by name; one that the provider has rejected only
/// where there is no other.
pub(crate) async fn choose<H: Host>(
    host: &H,
    settings: &Settings,
    caller: &Caller,
    target: &Target<'_>,
) -> Result<Credential, Unusable> {
    let slug = target.manifest.slug;
    let usable = caller
        .snapshot
        .usable(slug)
        .filter(|key| key.sealed.is_some() || !target.manifest.needs_key());
    let Some(key) = best(usable, |key| health::is_rejected(host, key)) else {
        return Err(not_ready(caller, target).into());
    };
    let secret = match &key.sealed {
        None => None,
        Some(pointer) => Some(unseal(host, settings, caller, key, pointer).await?),
    };
    Ok(Credential {
        key: key.clone(),
        secret,
    })
}

/// The first key that is not rejected, else the first.
fn best<'a>(
    keys: impl Iterator<Item = &'a Arc<KeyPointer>>,
    rejected: impl Fn(&KeyPointer) -> bool,
) -> Option<&'a Arc<KeyPointer>> {
    let mut first = None;
    for key in keys {
        if !rejected(key) {
            return Some(key);
        }
        first.get_or_insert(key);
    }
    first
}

fn not_ready(caller: &Caller, target: &Target<'_>) -> Refusal {
    let title = target.manifest.title;
    let slug = target.manifest.slug;
    let disabled = caller.snapshot.keys.iter().find(|key| key.provider == slug);
    let refusal = match disabled {
        Some(key) => Refusal::new(
            Code::PROVIDER_NOT_READY,
            format!(
                "Model `{}` uses {title}, and every {title} key of workspace `{}` is disabled, `{}` among them.",
                target.model, caller.snapshot.name, key.name
            ),
        )
        .reason("inactive")
        .remedy("Enable one under Provider keys, or name a model of another provider."),
        None => Refusal::new(
            Code::PROVIDER_NOT_READY,
            format!(
                "Model `{}` uses {title}, but workspace `{}` has no {title} key that agent `{}` may use.",
                target.model, caller.snapshot.name, caller.identity.agent
            ),
        )
        .reason("missing_provider_key")
        .remedy("Add one under Provider keys, or name a model of another provider."),
    };
    refusal.provider(slug)
}

async fn unseal<H: Host>(
    host: &H,
    settings: &Settings,
    caller: &Caller,
    key: &KeyPointer,
    pointer: &SealedPointer,
) -> Result<Rc<Secret>, Unusable> {
    let now = host.monotonic_ms();
    let kept = KEPT.with_borrow(|kept| {
        kept.get(&key.id)
            .filter(|kept| kept.version == pointer.version && now < kept.until)
            .map(|kept| kept.secret.clone())
    });
    if let Some(secret) = kept {
        return Ok(secret);
    }
    let workspace = &caller.snapshot.workspace;
    let unsealed = lockgate_workspace::unseal(host, settings, workspace, key, pointer).await;
    let secret = unsealed.map_err(|error| match error {
        UnsealError::Moved => Unusable::Moved,
        UnsealError::Ask(error) => Refusal::from(error).into(),
        UnsealError::Closed { .. } => Refusal::new(Code::VAULT_UNAVAILABLE, error.to_string())
            .provider(&key.provider)
            .remedy("Save the key again (rotate it).")
            .into(),
    })?;
    let secret = Rc::new(secret);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(
            key.id.clone(),
            Kept {
                version: pointer.version,
                secret: secret.clone(),
                until: now.saturating_add(KEPT_MS),
            },
        );
    });
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_workspace::resource::Health;

    fn chosen(keys: &[(&str, Health)]) -> Option<String> {
        let keys: Vec<Arc<KeyPointer>> = keys
            .iter()
            .map(|(name, health)| {
                Arc::new(KeyPointer {
                    id: format!("pk_{name}"),
                    provider: "openai".into(),
                    name: (*name).into(),
                    enabled: true,
                    default: false,
                    base_url: None,
                    options: Default::default(),
                    health: *health,
                    sealed: None,
                })
            })
            .collect();
        best(keys.iter(), |key| key.health == Health::Invalid).map(|key| key.name.clone())
    }

    #[test]
    fn a_rejected_key_is_passed_over_only_for_another() {
        use Health::{Invalid, Ok, RateLimited, Unknown, Unreachable};
        let chosen = |keys: &[(&str, Health)]| chosen(keys).unwrap_or_default();
        assert_eq!(chosen(&[]), "");
        assert_eq!(chosen(&[("a", Ok), ("b", Ok)]), "a");
        assert_eq!(chosen(&[("a", Invalid), ("b", Unknown), ("c", Ok)]), "b");
        assert_eq!(chosen(&[("a", Invalid)]), "a");
        assert_eq!(chosen(&[("a", Invalid), ("b", Invalid)]), "a");
        for passing in [RateLimited, Unreachable, Unknown] {
            assert_eq!(chosen(&[("a", passing), ("b", Ok)]), "a");
        }
    }
}
