//! What managed vaults gave not long ago, and whose turn it is to ask them again.

use lockgate_host::{StoreError, Tx};

use crate::question::{Asking, Bridge, Denial, Reply, Turn};

use super::cells::{Cells, not_found};

/// The longest turn that anybody gets.
const LONGEST_TURN_MS: u64 = 300_000;
/// How far clocks may differ.
const SKEW_MS: u64 = 60_000;
/// How long an asker may have waited for the store since it read its clock.
const BEHIND_MS: u64 = 15_000;
/// The pause after the first failure of a vault; each further one doubles it.
const HOLD_MS: u64 = 5_000;
/// The longest pause.
const LONGEST_HOLD_MS: u64 = 60_000;

/// Forgets what vaults gave for a key.
pub(super) fn drop_all(tx: &mut dyn Tx, provider_key: &str) -> Result<(), StoreError> {
    tx.query(
        "DELETE FROM bridges WHERE provider_key = ?1",
        &[provider_key.into()],
    )
    .map(|_| ())
}

/// Forgets what vaults gave so long ago that it is not used any more.
pub(super) fn drop_ended(tx: &mut dyn Tx, now_ms: u64) -> Result<(), StoreError> {
    tx.query(
        "DELETE FROM bridges WHERE COALESCE(expires_at, 0) < ?1 AND asked_at < ?2 AND failed_at < ?2",
        &[now_ms.into(), now_ms.saturating_sub(LONGEST_HOLD_MS * 10).into()],
    )
    .map(|_| ())
}

/// A version of a key, if it is the one in force and is sealed under this KEK.
#[derive(Clone, Copy)]
pub(super) struct Version<'a> {
    pub(super) workspace: &'a str,
    pub(super) provider_key: &'a str,
    pub(super) version: u64,
    /// The KEK that it is sealed under; what another one's vault gave opens nothing.
    pub(super) kek: &'a str,
}

impl Version<'_> {
    fn check(self, tx: &mut dyn Tx) -> Result<(), Denial> {
        let rows = tx.query(
            "SELECT 1 FROM provider_keys k
             JOIN provider_key_versions v ON v.provider_key = k.id AND v.version = k.version
             WHERE k.workspace = ?1 AND k.id = ?2 AND k.version = ?3 AND v.kek = ?4",
            &[
                self.workspace.into(),
                self.provider_key.into(),
                self.version.into(),
                self.kek.into(),
            ],
        )?;
        if rows.is_empty() {
            return Err(not_found("provider key", self.provider_key));
        }
        Ok(())
    }
}

/// What is known of asking a vault for a version.
#[derive(Default)]
struct Known {
    bridge: Option<Bridge>,
    asked_at: Option<u64>,
    failures: u64,
    failed_at: u64,
}

fn known(tx: &mut dyn Tx, of: Version<'_>) -> Result<Known, StoreError> {
    let rows = tx.query(
        "SELECT kek, sealed, proven_at, expires_at, asked_at, failures, failed_at FROM bridges
         WHERE provider_key = ?1 AND version = ?2",
        &[of.provider_key.into(), of.version.into()],
    )?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(Known::default());
    };
    let mut cells = Cells::new(row);
    let (kek, sealed) = (cells.optional_text()?, cells.optional_text()?);
    let (proven_at, expires_at) = (cells.optional_number()?, cells.optional_number()?);
    let bridge = match (kek, sealed, proven_at, expires_at) {
        (Some(kek), Some(sealed), Some(proven_at), Some(expires_at)) => Some(Bridge {
            kek,
            sealed,
            proven_at,
            expires_at,
        }),
        _ => None,
    };
    Ok(Known {
        bridge,
        asked_at: Some(cells.number()?),
        failures: cells.number()?,
        failed_at: cells.number()?,
    })
}

pub(super) fn bridge(tx: &mut dyn Tx, of: Version<'_>) -> Result<Reply, Denial> {
    of.check(tx)?;
    Ok(Reply::Bridge(known(tx, of)?.bridge))
}

pub(super) fn take_turn(
    tx: &mut dyn Tx,
    now_ms: u64,
    of: Version<'_>,
    newer_than: u64,
    turn_ms: u64,
) -> Result<Reply, Denial> {
    of.check(tx)?;
    let known = known(tx, of)?;
    // One from the future is nobody's word: it would keep everybody from asking until its time has come.
    let latest = now_ms.saturating_add(SKEW_MS);
    let stands = |bridge: &Bridge| {
        bridge.proven_at > newer_than && bridge.proven_at <= latest && now_ms < bridge.expires_at
    };
    if let Some(bridge) = known.bridge.filter(stands) {
        return Ok(Reply::Turn(Turn::Built(bridge)));
    }
    if known.failures > 0 {
        let pause = HOLD_MS.saturating_mul(1 << (known.failures - 1).min(10));
        let until = known.failed_at.saturating_add(pause.min(LONGEST_HOLD_MS));
        if is_within(now_ms, known.failed_at, until) {
            return Ok(Reply::Turn(Turn::Hold(until.saturating_sub(now_ms))));
        }
    }
    let turn_ms = turn_ms.min(LONGEST_TURN_MS);
    let taken = |at: u64| is_within(now_ms, at, at.saturating_add(turn_ms));
    if known.asked_at.is_some_and(|at| at > 0 && taken(at)) {
        return Ok(Reply::Turn(Turn::Wait));
    }
    tx.query(
        "INSERT INTO bridges (provider_key, version, asked_at, failures, failed_at) VALUES (?1, ?2, ?3, 0, 0)
         ON CONFLICT (provider_key, version) DO UPDATE SET asked_at = excluded.asked_at",
        &[of.provider_key.into(), of.version.into(), now_ms.into()],
    )?;
    Ok(Reply::Turn(Turn::Ask))
}

/// Whether `now_ms`, which was read before its asker waited for the store, is between two times. A clock that has stepped back
/// by more than such a wait makes nobody wait at all.
fn is_within(now_ms: u64, from: u64, until: u64) -> bool {
    (from.saturating_sub(BEHIND_MS)..until).contains(&now_ms)
}

pub(super) fn end_turn(
    tx: &mut dyn Tx,
    now_ms: u64,
    of: Version<'_>,
    asking: Asking,
) -> Result<Reply, Denial> {
    of.check(tx)?;
    let key = [of.provider_key.into(), of.version.into()];
    match asking {
        Asking::Gave(bridge) => {
            let [provider_key, version] = key;
            tx.query(
                "UPDATE bridges SET kek = ?3, sealed = ?4, proven_at = ?5, expires_at = ?6, asked_at = 0,
                 failures = 0, failed_at = 0 WHERE provider_key = ?1 AND version = ?2",
                &[
                    provider_key,
                    version,
                    bridge.kek.into(),
                    bridge.sealed.into(),
                    bridge.proven_at.into(),
                    bridge.expires_at.into(),
                ],
            )?;
        }
        Asking::Failed => {
            let [provider_key, version] = key;
            tx.query(
                "UPDATE bridges SET asked_at = 0, failures = failures + 1, failed_at = ?3
                 WHERE provider_key = ?1 AND version = ?2",
                &[provider_key, version, now_ms.into()],
            )?;
        }
        // What it gave before is not used any more, and it is not asked for the same at every request.
        Asking::Refused => {
            let [provider_key, version] = key;
            tx.query(
                "UPDATE bridges SET kek = NULL, sealed = NULL, proven_at = NULL, expires_at = NULL, asked_at = 0,
                 failures = failures + 1, failed_at = ?3 WHERE provider_key = ?1 AND version = ?2",
                &[provider_key, version, now_ms.into()],
            )?;
        }
    }
    Ok(Reply::Done)
}
