//! What is done on a schedule: reservations that nobody settles, and what is kept for a time only.

use lockgate_host::Tx;

use crate::question::{Denial, Housekeeping, Reply};

pub(super) fn housekeep(
    _tx: &mut dyn Tx,
    _now_ms: u64,
    _workspace: &str,
    _work: Housekeeping,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}
