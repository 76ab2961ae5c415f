//! What is done on a schedule: reservations that nobody settles, secrets of old versions that a rotation did not come to
//! forget, and what is kept for a time only.

use lockgate_host::Tx;

use crate::question::{Denial, Housekeeping, Housekept, Reply};

use super::{bridges, provider_keys, requests, usage, wallet};

/// A rotation forgets the old secret itself; after so long it is taken to have been cut short.
const SWEEP_AFTER_MS: u64 = 10 * 60_000;

pub(super) fn housekeep(
    tx: &mut dyn Tx,
    now_ms: u64,
    workspace: &str,
    work: Housekeeping,
) -> Result<Reply, Denial> {
    // One at a time ends too; none at a time would not.
    let most = work.most.max(1);
    let reservations_expired = wallet::expire(tx, now_ms, workspace, most)?;
    let log_removed = requests::forget(tx, workspace, work.log_before, most)?;
    let mut more = reservations_expired.max(log_removed) >= u64::from(most);
    let rotated_before = now_ms.saturating_sub(SWEEP_AFTER_MS);
    let swept = provider_keys::sweep_old(tx, now_ms, workspace, rotated_before, most)?;
    more |= swept >= u64::from(most);
    bridges::drop_ended(tx, now_ms)?;
    more |= wallet::forget(tx, now_ms, workspace, most)?;
    more |= usage::forget(tx, workspace, work.usage_before, most)?;
    Ok(Reply::Housekept(Housekept {
        reservations_expired,
        log_removed,
        more,
    }))
}
