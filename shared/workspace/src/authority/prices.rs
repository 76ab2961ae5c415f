//! A workspace's own prices.

use lockgate_host::{StoreError, Tx};

use crate::question::{Denial, Reply};
use crate::resource::Price;

pub(super) fn all(_tx: &mut dyn Tx, _workspace: &str) -> Result<Vec<Price>, StoreError> {
    Ok(Vec::new())
}

pub(super) fn list(tx: &mut dyn Tx, workspace: &str) -> Result<Reply, Denial> {
    Ok(Reply::Prices(all(tx, workspace)?))
}

pub(super) fn put(_tx: &mut dyn Tx, _workspace: &str, _price: &Price) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}

pub(super) fn delete(
    _tx: &mut dyn Tx,
    _workspace: &str,
    _provider: &str,
    _model: &str,
) -> Result<Reply, Denial> {
    Err(Denial::Store("not yet".into()))
}
