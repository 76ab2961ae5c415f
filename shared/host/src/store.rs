//! Where state is kept: SQL for the authority, key-value entries for sealed secrets.

use std::future::Future;

use thiserror::Error;

/// One SQL value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// Saturates at `i64::MAX`, which no count or time in this project comes near.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Integer(i64::from(truth))
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::Null, Into::into)
    }
}

/// One row of a result, in the order of the selected columns.
pub type Row = Vec<Value>;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A UNIQUE, CHECK or foreign-key constraint refused the change.
    #[error("a constraint refused the change: {0}")]
    Constraint(String),
    /// The store is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The store could not be reached or was busy for too long.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// An open transaction. Statements use `?1`, `?2`, … for parameters.
///
/// There is no count of changed rows, since not every engine tells it: use `RETURNING`.
pub trait Tx {
    /// Runs one statement and returns its rows, none where it yields none.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction is then to be given up by returning the error.
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError>;
}

/// Whether a transaction may change anything; writers are taken one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxKind {
    /// Reads only; sees one state throughout.
    Read,
    /// Takes the write lock from the beginning.
    Write,
}

/// A SQLite database (the SQL stays within what PostgreSQL takes as well).
pub trait Database: 'static {
    /// Runs `body` in one transaction: commits when it returns `Ok`, rolls back when it returns `Err`.
    /// A committed change has reached the disk. The body is plain synchronous code, so the same decisions run on every engine.
    fn transact<T, E>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static;
}

/// The engine's key-value binding. It may be slow to show a new entry, and is never asked to change one.
pub trait KeyValue {
    /// The value under `key`, or `None`, which may also mean “not yet”.
    fn kv_get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>>;
    /// Stores a new entry.
    fn kv_put(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<(), StoreError>>;
    /// Removes an entry; no error where there is none.
    fn kv_delete(&self, key: &str) -> impl Future<Output = Result<(), StoreError>>;
}

/// The way to the authority, the one place whose word on a workspace counts.
pub trait Authority {
    /// The database, where this code may use one directly.
    type Database: Database;

    /// The authority's database where it is at hand (native, Spin, inside a Durable Object);
    /// `None` where the authority is another place, to be asked through [`Authority::ask`].
    fn database(&self) -> Option<&Self::Database>;

    /// Sends a question to the authority named `object` (a workspace id, or `registry`) and returns its answer.
    /// Only called where [`Authority::database`] is `None`.
    fn ask(
        &self,
        object: &str,
        question: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, StoreError>>;

    /// A count of committed changes that everyone serving from this database sees at once, because they share a
    /// process. `None` where that is not so; then a change is acknowledged only after every lease has run out.
    fn epoch(&self) -> Option<u64>;

    /// Raises the [`Authority::epoch`] after a commit; does nothing where there is none.
    fn advance_epoch(&self);
}
