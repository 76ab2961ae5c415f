//! `spin:key-value@3.0.0` over one SQLite file with Spin's table. As in Spin's default store there is one connection,
//! no WAL and full synchronisation, so writes are serial and cost a disk flush each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension, params};
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use super::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use super::{MAX_HANDLES, Spin, SpinView};

/// The label of the only store there is.
const DEFAULT_STORE: &str = "default";

/// The store behind all components of the application.
pub struct KeyValue {
    connection: Mutex<Connection>,
    hide_new: Duration,
    /// When each key was last written by this process; empty unless new entries are hidden.
    written: Mutex<HashMap<String, Instant>>,
}

impl KeyValue {
    /// Opens or creates the store at `path`. For `hide_new` after a key was written, `get` and `exists` answer as if
    /// it were not there, as an eventually consistent store may; zero hides nothing.
    ///
    /// # Errors
    /// When SQLite cannot open the file.
    pub fn open(path: &Path, hide_new: Duration) -> anyhow::Result<Self> {
        let connection =
            Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        connection.busy_timeout(super::sqlite::BUSY_TIMEOUT)?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS spin_key_value \
             (store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))",
            [],
        )?;
        Ok(Self {
            connection: Mutex::new(connection),
            hide_new,
            written: Mutex::default(),
        })
    }

    fn written(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hidden(&self, key: &str) -> bool {
        !self.hide_new.is_zero()
            && self
                .written()
                .get(key)
                .is_some_and(|at| at.elapsed() < self.hide_new)
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        if self.hidden(key) {
            return Ok(None);
        }
        self.with(|connection| {
            connection
                .prepare_cached("SELECT value FROM spin_key_value WHERE store = ? AND key = ?")?
                .query_row(params![DEFAULT_STORE, key], |row| row.get(0))
                .optional()
        })
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        if !self.hide_new.is_zero() {
            self.written().insert(key.to_owned(), Instant::now());
        }
        self.with(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?) \
                     ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
                )?
                .execute(params![DEFAULT_STORE, key, value])
                .map(drop)
        })
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.with(|connection| {
            connection
                .prepare_cached("DELETE FROM spin_key_value WHERE store = ? AND key = ?")?
                .execute(params![DEFAULT_STORE, key])
                .map(drop)
        })
    }

    fn keys(&self) -> Result<Vec<String>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT key FROM spin_key_value WHERE store = ?")?
                .query_map([DEFAULT_STORE], |row| row.get(0))?
                .collect()
        })
    }

    /// Runs `work` off the async workers: SQLite waits for locks and disks in the calling thread.
    fn with<R>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<R>) -> Result<R, Error> {
        tokio::task::block_in_place(|| {
            let connection = self
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            work(&connection).map_err(|error| Error::Other(error.to_string()))
        })
    }
}

/// A `store` handle of a guest.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Store(Arc<KeyValue>);

impl Host for SpinView<'_> {}

impl HostStore for SpinView<'_> {
    fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.handles.stores = self.handles.stores.saturating_sub(1);
        self.table.delete(store)?;
        Ok(())
    }
}

impl SpinView<'_> {
    fn open_store(&mut self, label: &str) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        if !self
            .component
            .key_value_stores
            .iter()
            .any(|allowed| allowed == label)
        {
            return Ok(Err(Error::AccessDenied));
        }
        if label != DEFAULT_STORE {
            return Ok(Err(Error::NoSuchStore));
        }
        if self.handles.stores >= MAX_HANDLES {
            return Ok(Err(Error::StoreTableFull));
        }
        self.handles.stores += 1;
        Ok(Ok(self
            .table
            .push(Store(Arc::clone(&self.component.app.key_value)))?))
    }
}

fn store<T>(
    accessor: &Accessor<T, Spin>,
    handle: &Resource<Store>,
) -> wasmtime::Result<Arc<KeyValue>> {
    accessor.with(|mut access| Ok(Arc::clone(&access.get().table.get(handle)?.0)))
}

impl<T> HostStoreWithStore<T> for Spin {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        accessor.with(|mut access| access.get().open_store(&label))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(store(accessor, &handle)?.get(&key))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(store(accessor, &handle)?.set(&key, &value))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(store(accessor, &handle)?.delete(&key))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        Ok(store(accessor, &handle)?
            .get(&key)
            .map(|value| value.is_some()))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (keys, result) = match store(accessor, &handle)?.keys() {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access: Access<'_, T, Self>| {
            let keys = StreamReader::new(&mut access, keys)?;
            let result =
                FutureReader::new(&mut access, async move { wasmtime::error::Ok(result) })?;
            Ok((keys, result))
        })
    }
}
