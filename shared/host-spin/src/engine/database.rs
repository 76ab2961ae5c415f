//! Spin's default SQLite database, by the interface's synchronous functions.
//!
//! A transaction therefore runs without giving way to another request of its instance, which makes the instance's
//! writers one at a time; against other instances SQLite's own lock and the host's busy wait (5 s) stand.

use std::cell::RefCell;

use lockgate_host::{Database, Row, StoreError, Tx, TxKind, Value};
use spin_sdk::sqlite::wit::sqlite::{Connection, Error, Value as SpinValue};

use crate::plain::sql::classify;

/// Set once per connection. WAL lasts in the file; the others belong to the connection.
const SETTINGS: &[&str] = &[
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
];

thread_local! {
    /// The connection while nobody uses it. One is enough, since transactions do not overlap, and instances are so
    /// short-lived that opening another (with its own reading of the schema) would be felt.
    static IDLE: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// The default database of the application.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpinDatabase;

impl Database for SpinDatabase {
    async fn transact<T, E>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let connection = connection()?;
        let begin = match kind {
            TxKind::Write => "BEGIN IMMEDIATE",
            TxKind::Read => "BEGIN",
        };
        run(&connection, begin, &[])?;
        let outcome = body(&mut Transaction(&connection)).and_then(|value| {
            run(&connection, "COMMIT", &[])
                .map(|_| value)
                .map_err(E::from)
        });
        // A connection whose state is in doubt is closed, which rolls back.
        if outcome.is_ok() || run(&connection, "ROLLBACK", &[]).is_ok() {
            IDLE.set(Some(connection));
        }
        outcome
    }
}

fn connection() -> Result<Connection, StoreError> {
    if let Some(connection) = IDLE.take() {
        return Ok(connection);
    }
    let connection = Connection::open("default").map_err(failed)?;
    for setting in SETTINGS {
        run(&connection, setting, &[])?;
    }
    Ok(connection)
}

struct Transaction<'a>(&'a Connection);

impl Tx for Transaction<'_> {
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let params: Vec<SpinValue> = params.iter().map(to_spin).collect();
        run(self.0, sql, &params)
    }
}

fn run(connection: &Connection, sql: &str, params: &[SpinValue]) -> Result<Vec<Row>, StoreError> {
    let result = connection.execute(sql, params).map_err(failed)?;
    Ok(result
        .rows
        .into_iter()
        .map(|row| row.values.into_iter().map(from_spin).collect())
        .collect())
}

fn to_spin(value: &Value) -> SpinValue {
    match value {
        Value::Null => SpinValue::Null,
        Value::Integer(integer) => SpinValue::Integer(*integer),
        Value::Real(real) => SpinValue::Real(*real),
        Value::Text(text) => SpinValue::Text(text.clone()),
        Value::Blob(blob) => SpinValue::Blob(blob.clone()),
    }
}

fn from_spin(value: SpinValue) -> Value {
    match value {
        SpinValue::Null => Value::Null,
        SpinValue::Integer(integer) => Value::Integer(integer),
        SpinValue::Real(real) => Value::Real(real),
        SpinValue::Text(text) => Value::Text(text),
        SpinValue::Blob(blob) => Value::Blob(blob),
    }
}

fn failed(error: Error) -> StoreError {
    match error {
        Error::Io(message) => classify(message),
        Error::NoSuchDatabase => StoreError::Unavailable("no such database".to_owned()),
        Error::AccessDenied => StoreError::Unavailable("access to the database denied".to_owned()),
        Error::InvalidConnection => StoreError::Unavailable("the connection was lost".to_owned()),
        Error::DatabaseFull => StoreError::Unavailable("the database is full".to_owned()),
    }
}
