//! A provider key's secret out of the vault (FEATURES G1, G2, G5): from the isolate's memory; else the sealed entry from KV,
//! or the authority's copy of it, opened with what the vault gives, or gave not long ago.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use data_encoding::BASE64;
use lockgate_host::{Host, Secret};
use lockgate_vault::{Binding, OpenError, Place, VaultError, Vaults};
use thiserror::Error;

use crate::asking::{Desk, Part};
use crate::bridged::{self, Given};
use crate::kept::{FRESH_MS, Found, Kept};
use crate::question::{DataQuestion, Denial, Reply};
use crate::snapshot::{KeyPointer, SealedPointer};
use crate::{AskError, Settings, ask};

/// Why a secret does not come out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnsealError {
    /// Another version is in force, or the key is gone: the pointer is to be asked for again.
    #[error("the key was rotated or removed meanwhile")]
    Moved,
    /// The authority could not be asked for its copy.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The vault does not give what opens it.
    #[error("The secret of {provider} key `{name}` cannot be unsealed: {error}.")]
    Vault {
        /// The provider's slug.
        provider: String,
        /// The key's name.
        name: String,
        /// Why.
        error: VaultError,
    },
    /// Neither KV's entry nor the authority's copy opens.
    #[error("The sealed secret of {provider} key `{name}` does not open: {error}.")]
    Closed {
        /// The provider's slug.
        provider: String,
        /// The key's name.
        name: String,
        /// Why.
        error: OpenError,
    },
}

impl UnsealError {
    /// Whether it would be the same the next time, as long as the secret is where it is.
    fn is_definite(&self) -> bool {
        match self {
            Self::Vault { error, .. } => !matches!(error, VaultError::Unavailable { .. }),
            Self::Closed { .. } => true,
            Self::Moved | Self::Ask(_) => false,
        }
    }

    /// Whether whoever wants the same secret now would hear the same.
    fn is_the_secrets(&self) -> bool {
        matches!(self, Self::Vault { .. } | Self::Closed { .. })
    }
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
    static DESK: RefCell<Desk> = RefCell::default();
}

/// How often whoever waits for another request of this isolate looks whether it has come to its end.
const LOOK: Duration = Duration::from_millis(20);

/// That a request is asking for a secret; until it is dropped.
struct Asking<'a, H: Host> {
    host: &'a H,
    key: &'a str,
    number: u64,
    failure: Option<UnsealError>,
}

impl<H: Host> Drop for Asking<'_, H> {
    fn drop(&mut self) {
        let (now, failure) = (self.host.monotonic_ms(), self.failure.take());
        DESK.with_borrow_mut(|desk| desk.ended(self.key, self.number, failure, now));
    }
}

/// A sealed secret, and whose it is.
#[derive(Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) workspace: &'a str,
    pub(crate) key: &'a KeyPointer,
    pub(crate) pointer: &'a SealedPointer,
}

impl Sealed<'_> {
    pub(crate) fn binding(&self) -> Binding<'_> {
        Binding {
            workspace: self.workspace,
            provider: &self.key.provider,
            key_id: &self.key.id,
            version: self.pointer.version,
        }
    }

    /// The wrapped data key. One that is not base64 does not open.
    pub(crate) fn wrapped(&self) -> Vec<u8> {
        let text = self.pointer.wrapped.as_bytes();
        BASE64.decode(text).unwrap_or_default()
    }

    pub(crate) fn place<'a>(&'a self, wrapped: &'a [u8]) -> Place<'a> {
        Place {
            kek: &self.pointer.kek,
            entry: &self.pointer.entry,
            wrapped,
        }
    }

    fn failed(&self, error: VaultError) -> UnsealError {
        let (provider, name) = (self.key.provider.clone(), self.key.name.clone());
        match error {
            VaultError::Open(error) => UnsealError::Closed {
                provider,
                name,
                error,
            },
            error => UnsealError::Vault {
                provider,
                name,
                error,
            },
        }
    }
}

/// The secret of `key`, a key of `workspace` (its id); `pointer` is what [`KeyPointer::sealed`] holds. Unsealed once for each
/// version and isolate, and kept for a bounded time; a managed vault is asked again beside the traffic. However many requests
/// want a secret that is not there, one of them asks.
///
/// # Errors
/// [`UnsealError`].
pub async fn unseal<H: Host>(
    host: &H,
    settings: &Settings,
    workspace: &str,
    key: &KeyPointer,
    pointer: &SealedPointer,
) -> Result<Rc<Secret>, UnsealError> {
    // Who asks may have to wait for another instance's turn first.
    let patience = settings.vaults.turn_ms().saturating_mul(2);
    let mut asking = loop {
        let now = host.monotonic_ms();
        let found = KEPT.with_borrow_mut(|kept| kept.find(&key.id, pointer.version, now));
        match found {
            Found::Fresh(secret) => return Ok(secret),
            Found::Aging(secret) => {
                refresh_later(host, workspace, key, pointer);
                return Ok(secret);
            }
            Found::Missing if Vaults::is_local(&pointer.kek) => break None,
            Found::Missing => {}
        }
        match DESK.with_borrow_mut(|desk| desk.part(&key.id, pointer, now, patience)) {
            Part::Ask(number) => {
                break Some(Asking {
                    host,
                    key: &key.id,
                    number,
                    failure: None,
                });
            }
            Part::Look => host.sleep(LOOK).await,
            Part::Told(error) => return Err(error),
        }
    };
    let sealed = Sealed {
        workspace,
        key,
        pointer,
    };
    let (secret, ages) = match fetch(host, settings, sealed).await {
        Err(error) if error.is_definite() && moved(host, settings, sealed).await => {
            return Err(UnsealError::Moved);
        }
        Err(error) => {
            if let Some(asking) = &mut asking {
                asking.failure = Some(error.clone()).filter(UnsealError::is_the_secrets);
            }
            return Err(error);
        }
        Ok(fetched) => fetched,
    };
    if ages {
        refresh_later(host, workspace, key, pointer);
    }
    Ok(secret)
}

/// Whether a secret is not where its pointer says any more. A rewrap moves it within its version, and what it was moved from
/// does not open for long.
async fn moved<H: Host>(host: &H, settings: &Settings, sealed: Sealed<'_>) -> bool {
    let question = DataQuestion::Bridge {
        provider_key: sealed.key.id.clone(),
        version: sealed.pointer.version,
        kek: sealed.pointer.kek.clone(),
    };
    let answered = ask(host, settings, sealed.workspace, question).await;
    matches!(answered, Err(AskError::Denied(Denial::NotFound { .. })))
}

/// Unseals and keeps; whether the vault should be asked again although it need not be now.
async fn fetch<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
) -> Result<(Rc<Secret>, bool), UnsealError> {
    let (given, ages) =
        bridged::given(host, settings, sealed)
            .await
            .map_err(|error| match error {
                bridged::Error::Ask(AskError::Denied(Denial::NotFound { .. })) => {
                    UnsealError::Moved
                }
                bridged::Error::Ask(error) => error.into(),
                bridged::Error::Vault(error) => sealed.failed(error),
            })?;
    let secret = open(host, settings, sealed, &given).await?;
    Ok((keep(host, settings, sealed, &given, secret), ages))
}

fn keep<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
    given: &Given,
    secret: Secret,
) -> Rc<Secret> {
    let times = match given.proven_at {
        // Nobody has to be asked for it again.
        None => (0, FRESH_MS),
        Some(at) => (
            host.now_ms().saturating_sub(at),
            settings.vaults.outage_ms(),
        ),
    };
    let secret = Rc::new(secret);
    let now = host.monotonic_ms();
    KEPT.with_borrow_mut(|kept| {
        kept.keep(
            &sealed.key.id,
            sealed.pointer.version,
            secret.clone(),
            now,
            times,
        );
    });
    secret
}

async fn open<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
    given: &Given,
) -> Result<Secret, UnsealError> {
    let pointer = sealed.pointer;
    let (binding, wrapped) = (sealed.binding(), sealed.wrapped());
    let place = sealed.place(&wrapped);
    let open = |ciphertext: &[u8]| Vaults::open(&binding, place, &given.secret, ciphertext);
    if Vaults::holds_secrets(&pointer.kek) {
        return open(&[]).map_err(|error| sealed.failed(error.into()));
    }
    // A KV that is slow to show the entry, has lost it or holds something else is no reason to fail: the authority has a copy.
    if let Ok(Some(ciphertext)) = host.kv_get(&pointer.entry).await
        && let Ok(secret) = open(&ciphertext)
    {
        return Ok(secret);
    }
    let question = DataQuestion::SealedCopy {
        provider_key: sealed.key.id.clone(),
        version: pointer.version,
    };
    let copy = match ask(host, settings, sealed.workspace, question).await {
        Ok(answered) => answered.reply,
        Err(AskError::Denied(Denial::NotFound { .. })) => return Err(UnsealError::Moved),
        Err(error) => return Err(error.into()),
    };
    let Reply::Ciphertext(copy) = copy else {
        return Err(AskError::Mismatch.into());
    };
    let copy = BASE64.decode(copy.as_bytes()).unwrap_or_default();
    open(&copy).map_err(|error| sealed.failed(error.into()))
}

/// Asks the vault again, beside the traffic. What it does not answer changes nothing; a no ends the secret here.
fn refresh_later<H: Host>(host: &H, workspace: &str, key: &KeyPointer, pointer: &SealedPointer) {
    let (engine, workspace) = (host.clone(), workspace.to_owned());
    let (key, pointer) = (key.clone(), pointer.clone());
    host.spawn(async move {
        let host = &engine;
        let Ok(settings) = Settings::get(host).await else {
            return;
        };
        let sealed = Sealed {
            workspace: &workspace,
            key: &key,
            pointer: &pointer,
        };
        match bridged::renewed(host, &settings, sealed).await {
            Ok(Some(given)) => {
                if let Ok(secret) = open(host, &settings, sealed, &given).await {
                    keep(host, &settings, sealed, &given, secret);
                }
            }
            Err(bridged::Error::Vault(error))
                if !matches!(error, VaultError::Unavailable { .. }) =>
            {
                KEPT.with_borrow_mut(|kept| kept.forget(&key.id, pointer.version));
            }
            Ok(None) | Err(_) => {}
        }
    });
}
