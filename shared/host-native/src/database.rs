//! The authority's database: one file, one connection that writes and one that reads.

use std::path::Path;

use lockgate_host::{Database, Row, StoreError, Tx, TxKind, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use crate::sqlite::{Lane, store_error};

/// A SQLite file. In WAL mode readers do not wait for the writer.
#[derive(Clone)]
pub struct SqliteDatabase {
    writer: Lane,
    reader: Lane,
}

impl SqliteDatabase {
    /// Opens the file at `path`, which may be empty.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is no database, [`StoreError::Unavailable`] where it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            writer: Lane::open(path, "sqlite-write", false)?,
            reader: Lane::open(path, "sqlite-read", true)?,
        })
    }
}

impl Database for SqliteDatabase {
    async fn transact<T, E>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (lane, behaviour) = match kind {
            TxKind::Read => (&self.reader, TransactionBehavior::Deferred),
            TxKind::Write => (&self.writer, TransactionBehavior::Immediate),
        };
        lane.run(move |connection| transact(connection, behaviour, body))
            .await
    }
}

fn transact<T, E: From<StoreError>>(
    connection: &mut Connection,
    behaviour: TransactionBehavior,
    body: impl FnOnce(&mut dyn Tx) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |error: rusqlite::Error| E::from(store_error(&error));
    // Dropping the transaction rolls it back.
    let transaction = connection
        .transaction_with_behavior(behaviour)
        .map_err(failed)?;
    let mut open = Open(&transaction);
    let done = body(&mut open)?;
    transaction.commit().map_err(failed)?;
    Ok(done)
}

/// An open transaction.
struct Open<'a>(&'a Transaction<'a>);

impl Tx for Open<'_> {
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.rows(sql, params).map_err(|error| store_error(&error))
    }
}

impl Open<'_> {
    fn rows(&self, sql: &str, params: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params.iter().map(bound)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(
                (0..columns)
                    .map(|column| row.get_ref(column).map(value))
                    .collect::<rusqlite::Result<Row>>()?,
            );
        }
        Ok(found)
    }
}

fn bound(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Real(number) => ValueRef::Real(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
