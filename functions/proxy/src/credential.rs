//! Which provider key pays, and its secret out of the vault: unsealed once per version and isolate, kept in memory that
//! is wiped, for a bounded time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use data_encoding::BASE64;
use lockgate_host::{Host, Secret};
use lockgate_refusal::{Code, Refusal};
use lockgate_vault::Binding;
use lockgate_workspace::question::{Denial, Question, Reply};
use lockgate_workspace::snapshot::{KeyPointer, SealedPointer};
use lockgate_workspace::{AskError, Settings, ask};

use crate::admission::Caller;
use crate::surface::Target;

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

/// Chooses the key for a target: the provider's default, else the first by name.
pub(crate) async fn choose<H: Host>(
    host: &H,
    settings: &Settings,
    caller: &Caller,
    target: &Target<'_>,
) -> Result<Credential, Unusable> {
    let slug = target.manifest.slug;
    let Some(key) = caller.snapshot.usable(slug).next() else {
        return Err(not_ready(caller, target).into());
    };
    let secret = match &key.sealed {
        None if target.manifest.needs_key() => return Err(not_ready(caller, target).into()),
        None => None,
        Some(pointer) => Some(unseal(host, settings, caller, key, pointer).await?),
    };
    Ok(Credential {
        key: key.clone(),
        secret,
    })
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
    let binding = Binding {
        workspace: &caller.snapshot.workspace,
        provider: &key.provider,
        key_id: &key.id,
        version: pointer.version,
    };
    let wrapped = BASE64
        .decode(pointer.wrapped.as_bytes())
        .unwrap_or_default();
    let open =
        |ciphertext: &[u8]| lockgate_vault::open(&settings.kek, &binding, &wrapped, ciphertext);
    // A KV that is slow to show the entry, has lost it or holds something else is no reason to fail: the authority has a copy.
    let from_kv = match host.kv_get(&pointer.entry).await {
        Ok(Some(ciphertext)) => open(&ciphertext).ok(),
        Ok(None) | Err(_) => None,
    };
    let secret = match from_kv {
        Some(secret) => secret,
        None => {
            let question = Question::SealedCopy {
                provider_key: key.id.clone(),
                version: pointer.version,
            };
            let copy = match ask(host, settings, &caller.snapshot.workspace, question).await {
                Ok(answered) => answered.reply,
                Err(AskError::Denied(Denial::NotFound { .. })) => return Err(Unusable::Moved),
                Err(error) => return Err(Refusal::from(error).into()),
            };
            let Reply::Ciphertext(copy) = copy else {
                return Err(Refusal::from(AskError::Mismatch).into());
            };
            let copy = BASE64.decode(copy.as_bytes()).unwrap_or_default();
            open(&copy).map_err(|error| {
                Refusal::new(
                    Code::VAULT_UNAVAILABLE,
                    format!(
                        "The sealed secret of {} key `{}` does not open: {error}.",
                        key.provider, key.name
                    ),
                )
                .provider(&key.provider)
                .remedy("Save the key again (rotate it).")
            })?
        }
    };
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
