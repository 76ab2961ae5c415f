//! One SQLite connection on a thread of its own, asked through a channel: statements block, and the runtime's threads
//! must not.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lockgate_host::StoreError;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

/// How long a statement waits for a lock. Only this process writes; a person with the `sqlite3` tool may hold one too.
const BUSY: Duration = Duration::from_secs(5);
/// Prepared statements kept for each connection.
const STATEMENTS: usize = 256;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A connection's thread. When every clone of this is gone, what was asked is finished and the file closed.
#[derive(Clone)]
pub(crate) struct Lane(Arc<Thread>);

struct Thread {
    jobs: Option<mpsc::Sender<Job>>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(handle) = self.handle.take() {
            // It ends by itself; a panic in it has been seen by whoever asked.
            let _ = handle.join();
        }
    }
}

impl Lane {
    /// Opens the file, which must exist, and starts the thread.
    pub(crate) fn open(path: &Path, name: &str, read_only: bool) -> Result<Self, StoreError> {
        let mut connection = connect(path, read_only).map_err(|error| store_error(&error))?;
        let (sender, jobs) = mpsc::channel::<Job>();
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Ok(job) = jobs.recv() {
                    job(&mut connection);
                }
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self(Arc::new(Thread {
            jobs: Some(sender),
            handle: Some(handle),
        })))
    }

    /// Runs `work` on the connection's thread. It runs even if the returned future is dropped.
    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody may be waiting any more.
            let _ = answer.send(work(connection));
        });
        let gone = || E::from(StoreError::Unavailable("its thread has ended".to_owned()));
        let jobs = self.0.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn connect(path: &Path, read_only: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A committed change has reached the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Names in double quotes are never taken for text.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    // A prepared statement is not planned anew for each value that is bound to it.
    connection.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
        true,
    )?;
    if read_only {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(connection)
}

/// What an error of SQLite means to the callers.
pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => StoreError::Constraint(text),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(text),
        _ => StoreError::Unavailable(text),
    }
}
