//! Weighted splits: which targets the next requests go to, so that counts are exact across isolates.

use lockgate_host::{StoreError, Tx};

use crate::lease::Lengths;
use crate::question::{Denial, Reply, SplitDraw, SplitReturn};

pub(super) fn draw(
    _tx: &mut dyn Tx,
    _workspace: &str,
    _lengths: Lengths,
    _draw: &SplitDraw,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}

pub(super) fn take_back(
    _tx: &mut dyn Tx,
    _workspace: &str,
    _returns: &[SplitReturn],
) -> Result<(), StoreError> {
    Ok(())
}
