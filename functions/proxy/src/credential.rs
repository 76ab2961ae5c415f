//! Which provider key pays, and its secret out of the vault.

use std::rc::Rc;
use std::sync::Arc;

use lockgate_host::{Host, Secret};
use lockgate_refusal::Refusal;
use lockgate_routing::{Pays, Ready};
use lockgate_workspace::snapshot::{KeyPointer, SealedPointer};
use lockgate_workspace::{AskError, PLATFORM_WORKSPACE, Settings, UnsealError};

use crate::admission::{self, Caller, Freshness};
use crate::log::Draft;
use crate::target::Target;

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
    /// Its secret cannot be had: the vault fails, or what is stored does not open. Another target may have another key.
    Sealed(Refusal),
    /// Nothing that another look at the same state would change.
    Refused(Refusal),
}

impl From<Refusal> for Unusable {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
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
    let unsealed = lockgate_workspace::unseal(host, settings, workspace, key, pointer).await;
    unsealed.map_err(|error| match error {
        UnsealError::Moved => Unusable::Moved,
        UnsealError::Ask(error) => Refusal::from(error).into(),
        error => Unusable::Sealed(error.into()),
    })
}
