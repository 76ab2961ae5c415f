//! Entries in Spin's default key-value store.

use std::cell::RefCell;
use std::rc::Rc;

use lockgate_host::{KeyValue, StoreError};
use spin_sdk::key_value::{Error, Store};

use super::SpinHost;

thread_local! {
    /// The open store; opening is a host call of its own.
    static STORE: RefCell<Option<Rc<Store>>> = const { RefCell::new(None) };
}

impl KeyValue for SpinHost {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        store().await?.get(key).await.map_err(failed)
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        store().await?.set(key, value).await.map_err(failed)
    }

    async fn kv_delete(&self, key: &str) -> Result<(), StoreError> {
        store().await?.delete(key).await.map_err(failed)
    }
}

async fn store() -> Result<Rc<Store>, StoreError> {
    if let Some(store) = STORE.with_borrow(Clone::clone) {
        return Ok(store);
    }
    let store = Rc::new(Store::open_default().await.map_err(failed)?);
    STORE.set(Some(Rc::clone(&store)));
    Ok(store)
}

fn failed(error: Error) -> StoreError {
    STORE.set(None);
    StoreError::Unavailable(error.to_string())
}
