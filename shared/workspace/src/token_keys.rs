//! What gateway keys and admin tokens are tagged with: derived from the local KEK while that is the store's first one, and
//! read from the registry once it was rotated ([`lockgate_vault::TokenKeys`]).
//!
//! Most isolates never ask: a tag that fits what their own KEK gives needs no other. The first one that does not fit, and
//! whatever makes a new text, asks once; that is also how an isolate with a wrong KEK finds out that it has one.

use std::cell::OnceCell;
use std::rc::Rc;

use lockgate_host::Host;
use lockgate_vault::{Kek, TokenKeys};

use crate::gateway_key::{self, KeyError, TagKey};
use crate::question::{DataQuestion, Question, Reply, StoredTokenKeys};
use crate::{AskError, REGISTRY, Settings, admin_token, ask};

/// The tag keys of this installation.
pub struct TagKeys {
    /// For gateway keys.
    pub gateway: TagKey,
    /// For admin tokens.
    pub admin: TagKey,
    plain: TokenKeys,
}

impl TagKeys {
    pub(crate) fn new(plain: TokenKeys) -> Self {
        Self {
            gateway: TagKey::new(plain.gateway.clone()),
            admin: TagKey::new(plain.admin.clone()),
            plain,
        }
    }
}

thread_local! {
    static KNOWN: OnceCell<Rc<TagKeys>> = const { OnceCell::new() };
}

/// The tag keys; the registry is asked once in an isolate.
///
/// # Errors
/// [`AskError`].
pub async fn tag_keys<H: Host>(host: &H, settings: &Settings) -> Result<Rc<TagKeys>, AskError> {
    if let Some(known) = KNOWN.with(|known| known.get().cloned()) {
        return Ok(known);
    }
    let stored = stored(host, settings, REGISTRY).await?;
    let plain = opened(settings, &stored).ok_or_else(|| {
        AskError::Unreachable("what gateway keys are tagged with does not open".into())
    })?;
    let keys = Rc::new(TagKeys::new(plain));
    Ok(KNOWN.with(|known| known.get_or_init(|| keys).clone()))
}

/// Checks a gateway key and says which workspace it belongs to.
///
/// # Errors
/// [`AskError`] where it could not be found out; inside, what is wrong with the key.
pub async fn verify_gateway_key<H: Host>(
    host: &H,
    settings: &Settings,
    text: &str,
) -> Result<Result<String, KeyError>, AskError> {
    let check = |keys: &TagKeys| gateway_key::verify(text, &keys.gateway);
    verified(host, settings, check).await
}

/// Checks an admin token and says which workspace it is kept with.
///
/// # Errors
/// As [`verify_gateway_key`].
pub async fn verify_admin_token<H: Host>(
    host: &H,
    settings: &Settings,
    text: &str,
) -> Result<Result<String, KeyError>, AskError> {
    let check = |keys: &TagKeys| admin_token::verify(text, &keys.admin);
    verified(host, settings, check).await
}

async fn verified<H: Host>(
    host: &H,
    settings: &Settings,
    check: impl Fn(&TagKeys) -> Result<String, KeyError>,
) -> Result<Result<String, KeyError>, AskError> {
    if let Some(known) = KNOWN.with(|known| known.get().cloned()) {
        return Ok(check(&known));
    }
    let first = check(&settings.own_tags);
    if first != Err(KeyError::Forged) {
        return Ok(first);
    }
    Ok(check(&*tag_keys(host, settings).await?))
}

/// Has a store keep the token keys under the local KEK in force. Whether that changed anything.
///
/// # Errors
/// [`AskError`].
pub async fn carry<H: Host>(host: &H, settings: &Settings, object: &str) -> Result<bool, AskError> {
    let stored = stored(host, settings, object).await?;
    let kek = settings.vaults.kek();
    let from = stored.sealed.as_ref().map(|(kek, _)| kek.clone());
    let carried = match &from {
        Some(from) => *from == kek.id(),
        None => kek.is_the_one_checked_by(&stored.origin),
    };
    if carried {
        return Ok(false);
    }
    let keys = tag_keys(host, settings).await?;
    let sealed = keys.plain.seal(kek, &mut |buffer| host.random(buffer));
    let question = Question::PutTokenKeys {
        from,
        sealed: (kek.id(), sealed),
    };
    ask(host, settings, object, question).await?;
    Ok(true)
}

async fn stored<H: Host>(
    host: &H,
    settings: &Settings,
    object: &str,
) -> Result<StoredTokenKeys, AskError> {
    match ask(host, settings, object, DataQuestion::TokenKeys)
        .await?
        .reply
    {
        Reply::TokenKeys(stored) => Ok(stored),
        _ => Err(AskError::Mismatch),
    }
}

fn opened(settings: &Settings, stored: &StoredTokenKeys) -> Option<TokenKeys> {
    let keks = settings.vaults.keks();
    let find = |is: &dyn Fn(&Kek) -> bool| keks.iter().find(|kek| is(kek));
    match &stored.sealed {
        Some((id, sealed)) => TokenKeys::open(find(&|kek| kek.id() == *id)?, sealed).ok(),
        None => {
            let origin = find(&|kek| kek.is_the_one_checked_by(&stored.origin))?;
            Some(TokenKeys::derive(origin))
        }
    }
}
