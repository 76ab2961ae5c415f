//! What a vault gives for a secret: asked directly, or, where instances are many or short-lived, asked by one of them for
//! all, who leaves it in the database for a while ([`lockgate_vault::bridge`]).
//!
//! So the calls to a managed vault are bounded however many instances there are: for each version in use one every
//! [`FRESH_MS`], and while the vault fails one every few seconds at first, then one a minute.

use std::time::Duration;

use data_encoding::BASE64;
use lockgate_host::{Host, Secret};
use lockgate_vault::bridge::{self, Span};
use lockgate_vault::{ADAPTERS, VaultError, Vaults};

use crate::kept::FRESH_MS;
use crate::question::{Asking, Bridge, DataQuestion, Reply, Turn};
use crate::unseal::Sealed;
use crate::{AskError, Settings, ask};

/// How often whoever waits for another's turn to end looks.
const LOOK_MS: u64 = 100;

/// What a vault gave.
pub(crate) struct Given {
    pub(crate) secret: Secret,
    /// When a managed vault gave it, ms since the Unix epoch.
    pub(crate) proven_at: Option<u64>,
}

pub(crate) enum Error {
    Ask(AskError),
    Vault(VaultError),
}

impl From<AskError> for Error {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

/// What opens a secret; whether it is so old that the vault should be asked again beside the traffic.
pub(crate) async fn given<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
) -> Result<(Given, bool), Error> {
    let vaults = &settings.vaults;
    if Vaults::is_local(&sealed.pointer.kek) || !vaults.bridged() {
        return Ok((direct(host, settings, sealed).await?, false));
    }
    let question = DataQuestion::Bridge {
        provider_key: sealed.key.id.clone(),
        version: sealed.pointer.version,
        kek: sealed.pointer.kek.clone(),
    };
    let Reply::Bridge(bridge) = asked(host, settings, sealed, question).await? else {
        return Err(AskError::Mismatch.into());
    };
    if let Some(given) = bridge.and_then(|bridge| crossed(host, settings, sealed, &bridge)) {
        let age = host.now_ms().saturating_sub(given.proven_at.unwrap_or(0));
        return Ok((given, age >= FRESH_MS));
    }
    // One that is older is of no use to this instance, and nobody would ever ask for a newer one.
    let of_use = host.now_ms().saturating_sub(vaults.outage_ms());
    Ok((in_turn(host, settings, sealed, of_use).await?, false))
}

/// The same asked anew of a managed vault, or of whoever has asked it meanwhile. `None` where it is somebody else's turn, or
/// nobody's.
pub(crate) async fn renewed<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
) -> Result<Option<Given>, Error> {
    if Vaults::is_local(&sealed.pointer.kek) || !settings.vaults.bridged() {
        return Ok(Some(direct(host, settings, sealed).await?));
    }
    let mut known = host.now_ms().saturating_sub(FRESH_MS);
    loop {
        match turn(host, settings, sealed, known).await? {
            Turn::Ask => return Ok(Some(in_own_turn(host, settings, sealed).await?)),
            Turn::Built(bridge) => match crossed(host, settings, sealed, &bridge) {
                None if bridge.proven_at > known => known = bridge.proven_at,
                crossed => return Ok(crossed),
            },
            Turn::Wait | Turn::Hold(_) => return Ok(None),
        }
    }
}

/// Waits for a turn, and asks.
async fn in_turn<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
    mut known: u64,
) -> Result<Given, Error> {
    // No longer than it takes until the turn of somebody who is not heard of again is over.
    let patience = settings.vaults.turn_ms().saturating_add(LOOK_MS);
    let until = host.monotonic_ms().saturating_add(patience);
    let adapter = sealed.pointer.kek.split(':').next().unwrap_or_default();
    let unavailable = |detail: String| {
        let mut names = ADAPTERS.into_iter();
        VaultError::Unavailable {
            adapter: names.find(|name| *name == adapter).unwrap_or("the vault"),
            detail,
        }
    };
    loop {
        match turn(host, settings, sealed, known).await? {
            Turn::Ask => return in_own_turn(host, settings, sealed).await,
            Turn::Built(bridge) => match crossed(host, settings, sealed, &bridge) {
                Some(given) => return Ok(given),
                // Sealed under a local KEK that this instance has not, or altered: it is to be replaced.
                None if bridge.proven_at > known => known = bridge.proven_at,
                None => return Err(AskError::Mismatch.into()),
            },
            Turn::Hold(ms) => {
                let seconds = ms.div_ceil(1_000);
                let said = format!("it has just failed; it is asked again in {seconds} s");
                return Err(unavailable(said).into());
            }
            Turn::Wait if host.monotonic_ms() >= until => {
                return Err(unavailable("another instance is still asking it".into()).into());
            }
            Turn::Wait => host.sleep(Duration::from_millis(LOOK_MS)).await,
        }
    }
}

/// Asks the vault and tells the others how it ended.
async fn in_own_turn<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
) -> Result<Given, Error> {
    let outcome = direct(host, settings, sealed).await;
    let asking = match &outcome {
        Ok(given) => Asking::Gave(built(host, settings, sealed, given)),
        Err(VaultError::Unavailable { .. }) => Asking::Failed,
        Err(_) => Asking::Refused,
    };
    let question = DataQuestion::EndTurn {
        provider_key: sealed.key.id.clone(),
        version: sealed.pointer.version,
        kek: sealed.pointer.kek.clone(),
        asking,
    };
    // What cannot be told costs the others a call of their own.
    let _ = asked(host, settings, sealed, question).await;
    Ok(outcome?)
}

async fn direct<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
) -> Result<Given, VaultError> {
    let wrapped = sealed.wrapped();
    let place = sealed.place(&wrapped);
    let vaults = &settings.vaults;
    let asked_at = host.now_ms();
    let secret = vaults.give(host, &sealed.binding(), place).await?;
    Ok(Given {
        secret,
        proven_at: (!Vaults::is_local(place.kek)).then_some(asked_at),
    })
}

fn built<H: Host>(host: &H, settings: &Settings, sealed: Sealed<'_>, given: &Given) -> Bridge {
    let proven_at = given.proven_at.unwrap_or(0);
    let vaults = &settings.vaults;
    let span = Span {
        proven_at,
        expires_at: proven_at.saturating_add(vaults.outage_ms()),
    };
    let (binding, by) = (sealed.binding(), &sealed.pointer.kek);
    let random = &mut |buffer: &mut [u8]| host.random(buffer);
    let blob = bridge::build(vaults.kek(), &binding, by, span, &given.secret, random);
    Bridge {
        kek: vaults.kek().id(),
        sealed: BASE64.encode(&blob),
        proven_at: span.proven_at,
        expires_at: span.expires_at,
    }
}

/// What is in a bridge, if it stands, this instance can open it, and it lasts no longer than this instance's setting allows.
fn crossed<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
    bridge: &Bridge,
) -> Option<Given> {
    let span = Span {
        proven_at: bridge.proven_at,
        expires_at: bridge.expires_at,
    };
    let now = host.now_ms();
    let age = now.saturating_sub(span.proven_at);
    if !span.stands(now) || age >= settings.vaults.outage_ms() {
        return None;
    }
    let mut keks = settings.vaults.keks().iter();
    let kek = keks.find(|kek| kek.id() == bridge.kek)?;
    let blob = BASE64.decode(bridge.sealed.as_bytes()).ok()?;
    let by = &sealed.pointer.kek;
    let secret = bridge::cross(kek, &sealed.binding(), by, span, &blob).ok()?;
    Some(Given {
        secret,
        proven_at: Some(span.proven_at),
    })
}

async fn turn<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
    known: u64,
) -> Result<Turn, AskError> {
    let question = DataQuestion::TakeTurn {
        provider_key: sealed.key.id.clone(),
        version: sealed.pointer.version,
        kek: sealed.pointer.kek.clone(),
        known,
        turn_ms: settings.vaults.turn_ms(),
    };
    match asked(host, settings, sealed, question).await? {
        Reply::Turn(turn) => Ok(turn),
        _ => Err(AskError::Mismatch),
    }
}

async fn asked<H: Host>(
    host: &H,
    settings: &Settings,
    sealed: Sealed<'_>,
    question: DataQuestion,
) -> Result<Reply, AskError> {
    let answered = ask(host, settings, sealed.workspace, question).await?;
    Ok(answered.reply)
}
