//! Limits of gateway keys: a ledger for each, drawn from and reported to (DESIGN.md, “Limits and budgets are exact under leases”).

use lockgate_host::{StoreError, Tx};

use crate::lease::Lengths;
use crate::question::{Denial, Draws, GrantReport, Reply};

pub(super) fn draw(
    _tx: &mut dyn Tx,
    _now_ms: u64,
    _workspace: &str,
    _lengths: Lengths,
    _draws: &Draws,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}

pub(super) fn report(
    _tx: &mut dyn Tx,
    _now_ms: u64,
    _grants: &[GrantReport],
) -> Result<(), StoreError> {
    Ok(())
}
