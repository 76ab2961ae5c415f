//! What a request sees of the engine, and what all threads share.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lockgate_host::{
    Authority, Background, Clock, Fetch, FetchError, Host, Inbound, KeyValue, Misconfigured,
    Outbound, Random, ReadError, StoreError, Variables,
};
use thiserror::Error;

use crate::background::Tasks;
use crate::client::{Client, Connector};
use crate::database::SqliteDatabase;
use crate::folder::{Folder, FolderError, create_private};
use crate::key_value::Entries;
use crate::{Body, NativeHeaders};

/// The settings of this process's environment, by name; what is no text is left out.
#[must_use]
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Why an engine cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file of SQLite.
    #[error("{}: {problem}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: StoreError,
    },
    /// TLS.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// What the threads of one process share: the stores, the settings and the epoch.
pub struct Shared {
    database: SqliteDatabase,
    entries: Entries,
    variables: HashMap<String, String>,
    epoch: AtomicU64,
    started: Instant,
    connector: Connector,
    folder: Folder,
}

/// The file of the authority's database, in the data folder.
pub const DATABASE_FILE: &str = "lockgate.sqlite";
/// The file of the key-value entries, in the data folder.
pub const ENTRIES_FILE: &str = "kv.sqlite";

impl Shared {
    /// Opens the stores in the data folder, with settings by name in capitals.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed in files that are no databases.
    pub fn open(
        folder: Folder,
        variables: HashMap<String, String>,
    ) -> Result<Arc<Self>, OpenError> {
        let store = |name: &str| {
            let path = folder.path().join(name);
            // SQLite gives its side files the mode of this one.
            create_private(&path).map(|_| path)
        };
        let (database, entries) = (store(DATABASE_FILE)?, store(ENTRIES_FILE)?);
        Ok(Arc::new(Self {
            database: SqliteDatabase::open(&database).map_err(|problem| OpenError::Store {
                path: database,
                problem,
            })?,
            entries: Entries::open(&entries).map_err(|problem| OpenError::Store {
                path: entries,
                problem,
            })?,
            variables,
            epoch: AtomicU64::new(0),
            started: Instant::now(),
            connector: Connector::new().map_err(|error| OpenError::Tls(error.to_string()))?,
            folder,
        }))
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

/// The engine as one request sees it. Cloning copies a pointer.
#[derive(Clone)]
pub struct NativeHost(Rc<Thread>);

/// What one thread has for itself.
struct Thread {
    shared: Arc<Shared>,
    client: Client,
    tasks: Tasks,
}

impl NativeHost {
    /// The engine for the current thread, which must be inside a tokio `LocalSet`: [`Background::spawn`] and the
    /// client's connections run on it.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self(Rc::new(Thread {
            client: Client::new(shared.connector.clone()),
            shared,
            tasks: Tasks::default(),
        }))
    }

    /// Waits until no background work of this thread is left, and takes no more; `false` where some still is after `limit`.
    pub async fn finish(&self, limit: Duration) -> bool {
        self.0.tasks.finish(limit).await
    }
}

impl Host for NativeHost {
    const ENGINE: &'static str = "native";
}

impl Fetch for NativeHost {
    type Headers = NativeHeaders;
    type Body = Body;
    type Payload = Bytes;

    async fn read(&self, body: Body, limit: usize) -> Result<Bytes, ReadError> {
        body.read(limit).await
    }

    async fn fetch(&self, outbound: Outbound<'_, Self>) -> Result<Inbound<Self>, FetchError> {
        self.0.client.fetch(outbound).await
    }
}

impl KeyValue for NativeHost {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.shared.entries.get(key).await
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.0.shared.entries.put(key, value).await
    }

    async fn kv_delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.shared.entries.delete(key).await
    }
}

impl Authority for NativeHost {
    type Database = SqliteDatabase;

    fn database(&self) -> Option<&SqliteDatabase> {
        Some(&self.0.shared.database)
    }

    async fn ask(&self, _object: &str, _question: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Unavailable(
            "this engine has its database at hand".to_owned(),
        ))
    }

    fn epoch(&self) -> Option<u64> {
        Some(self.0.shared.epoch.load(Ordering::Acquire))
    }

    fn advance_epoch(&self) {
        self.0.shared.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

impl Variables for NativeHost {
    async fn variable(&self, name: &'static str) -> Result<Option<String>, Misconfigured> {
        let value = self.0.shared.variables.get(name);
        Ok(value.filter(|value| !value.is_empty()).cloned())
    }
}

impl Clock for NativeHost {
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, milliseconds)
    }

    fn monotonic_ms(&self) -> u64 {
        milliseconds(self.0.shared.started.elapsed())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Random for NativeHost {
    fn random(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            // Keys made of anything else would be worse than no gateway.
            eprintln!("the system gives no random numbers: {error}");
            std::process::abort();
        }
    }
}

impl Background for NativeHost {
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.tasks.spawn(work);
    }
}
