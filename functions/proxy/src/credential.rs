//! Which provider key pays, and its secret out of the vault: unsealed once per version and isolate, kept in memory that
//! is wiped, for a bounded time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use lockgate_host::{Host, Secret};
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::{Pays, Ready};
use lockgate_workspace::snapshot::{KeyPointer, SealedPointer};
use lockgate_workspace::{AskError, PLATFORM_WORKSPACE, Settings, UnsealError};

use crate::admission::{self, Caller, Freshness};
use crate::log::Draft;
use crate::target::Target;

/// How long an unsealed secret is kept.
const KEPT_MS: u64 = 10 * 60_000;
/// How many unsealed secrets are kept at once.
const MAX_KEPT: usize = 1_000;

/// A provider key that may be used, with its secret where it has one.
pub(crate) struct Credential {
    pub(crate) key: Arc<KeyPointer>,
    pub(crate) secret: Option<Rc<Secret>>,
    /// Whether it is the platform's.
    pub(crate) managed: bool,
    /// What was decided otherwise than somebody asked.
    pub(crate) warnings: Vec<String>,
}

/// Why there is none.
pub(crate) enum Unusable {
    /// The snapshot points to a version that is no longer in force: ask the authority and choose again.
    Moved,
    /// No key may be used, which another target may not need.
    NotReady(Refusal),
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

impl Credential {
    /// The workspace whose key it is.
    pub(crate) fn workspace<'a>(&self, draft: &'a Draft) -> &'a str {
        if self.managed {
            PLATFORM_WORKSPACE
        } else {
            draft.workspace()
        }
    }
}

/// Chooses the key for a target ([`lockgate_routing::pays`]) and unseals its secret. Keys that are `passed` are taken only
/// where there is no other.
pub(crate) async fn choose<H: Host>(
    host: &H,
    settings: &Settings,
    caller: &Caller,
    target: &Target<'_>,
    passed: &dyn Fn(&KeyPointer) -> bool,
    draft: &Draft,
) -> Result<Credential, Unusable> {
    let who = &*caller.who;
    let mut pays = lockgate_routing::pays(who, None, target, passed);
    let platform;
    if matches!(pays, Pays::AskPlatform) {
        let freshness = if caller.fresh {
            Freshness::Asked
        } else {
            Freshness::Leased
        };
        platform = admission::platform(host, settings, freshness).await?;
        pays = lockgate_routing::pays(who, Some(&platform), target, passed);
    }
    match pays {
        Pays::Ready(ready) => take(host, settings, who, ready, draft).await,
        Pays::NotReady(not_ready) => {
            draft.not_ready(&not_ready);
            let refusal = lockgate_routing::refusal(who, target, &not_ready);
            Err(Unusable::NotReady(refusal))
        }
        // It has answered.
        Pays::AskPlatform => Err(Unusable::Refused(AskError::Mismatch.into())),
    }
}

/// The key with its secret.
async fn take<H: Host>(
    host: &H,
    settings: &Settings,
    who: &lockgate_routing::Caller,
    ready: Ready<'_>,
    draft: &Draft,
) -> Result<Credential, Unusable> {
    let key = ready.key;
    let workspace = if ready.managed {
        PLATFORM_WORKSPACE
    } else {
        &who.snapshot.workspace
    };
    let secret = match &key.sealed {
        None => None,
        Some(pointer) => Some(unseal(host, settings, workspace, key, pointer).await?),
    };
    if let Some(passed_over) = &ready.passed_over {
        draft.passed_over(passed_over);
    }
    Ok(Credential {
        key: key.clone(),
        secret,
        managed: ready.managed,
        warnings: lockgate_routing::warnings(who, &ready),
    })
}

async fn unseal<H: Host>(
    host: &H,
    settings: &Settings,
    workspace: &str,
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
