//! The wallet that pays for managed traffic (FEATURES H5).

use lockgate_host::Tx;

use crate::question::{Denial, Reply, Reservation};

pub(super) fn get(_tx: &mut dyn Tx, _workspace: &str) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}

pub(super) fn ledger(
    _tx: &mut dyn Tx,
    _workspace: &str,
    _limit: u32,
    _before: Option<u64>,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}

pub(super) fn credit(
    _tx: &mut dyn Tx,
    _now_ms: u64,
    _workspace: &str,
    _id: &str,
    _amount: u64,
    _note: Option<&str>,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}

pub(super) fn reserve(
    _tx: &mut dyn Tx,
    _now_ms: u64,
    _workspace: &str,
    _reservation: &Reservation,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}

pub(super) fn settle(
    _tx: &mut dyn Tx,
    _now_ms: u64,
    _workspace: &str,
    _id: &str,
    _amount: u64,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}
