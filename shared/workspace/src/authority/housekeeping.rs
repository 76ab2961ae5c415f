//! What is done on a schedule: reservations that nobody settles, and what is kept for a time only.

use lockgate_host::Tx;

use crate::question::{Denial, Housekeeping, Housekept, Reply};

use super::{requests, usage, wallet};

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
    more |= wallet::forget(tx, now_ms, workspace, most)?;
    more |= usage::forget(tx, workspace, work.usage_before, most)?;
    Ok(Reply::Housekept(Housekept {
        reservations_expired,
        log_removed,
        more,
    }))
}
