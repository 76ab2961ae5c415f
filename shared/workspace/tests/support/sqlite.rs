//! The host's `Database` over one in-memory SQLite connection.
//!
//! Transactions are savepoints, so that a simulated world can itself be one transaction that is rolled back when the
//! world ends: twenty thousand worlds then pay for one set of tables.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lockgate_host::{Database, Row, StoreError, Tx, TxKind, Value};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, params_from_iter};

/// A database in memory.
pub(crate) struct MemoryDatabase {
    pub(crate) connection: RefCell<Connection>,
    crash: Cell<Option<Crash>>,
}

/// Where the authority dies in its next transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Before the commit: nothing is stored.
    BeforeCommit,
    /// After the commit: it is stored and nobody is told.
    AfterCommit,
}

impl MemoryDatabase {
    /// An empty store.
    pub(crate) fn new() -> Self {
        Self::over(Connection::open_in_memory().unwrap())
    }

    /// Over a connection that may have tables already.
    pub(crate) fn over(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(256);
        // Without this, joins are planned anew whenever a parameter is bound.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .unwrap();
        Self {
            connection: RefCell::new(connection),
            crash: Cell::new(None),
        }
    }

    /// Dies in the next transaction.
    pub(crate) fn crash_next(&self, crash: Crash) {
        self.crash.set(Some(crash));
    }

    /// One statement outside any question: to look at the store, or to damage it.
    pub(crate) fn sql(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        Open(&self.connection.borrow(), TxKind::Write).query(sql, params)
    }

    fn run<T, E: From<StoreError>>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.connection.borrow();
        let control = |sql: &str| {
            Open(&connection, TxKind::Write)
                .query(sql, &[])
                .map(|_| ())
                .map_err(E::from)
        };
        control("SAVEPOINT question")?;
        let done = body(&mut Open(&connection, kind));
        let crash = self.crash.take();
        if done.is_err() || crash == Some(Crash::BeforeCommit) {
            control("ROLLBACK TO question")?;
        }
        control("RELEASE question")?;
        match crash {
            Some(_) => Err(StoreError::Unavailable("the authority restarted".into()).into()),
            None => done,
        }
    }
}

impl Database for MemoryDatabase {
    async fn transact<T, E>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(kind, body)
    }
}

struct Open<'a>(&'a Connection, TxKind);

impl Tx for Open<'_> {
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let run = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.0.prepare_cached(sql)?;
            // The native engine's reading connection refuses it too.
            assert!(
                self.1 == TxKind::Write || statement.readonly(),
                "a question that only reads wants to write: {sql}"
            );
            let columns = statement.column_count();
            let mut rows = statement.query(params_from_iter(params.iter().map(bound)))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let cells = (0..columns).map(|column| row.get_ref(column).map(value));
                found.push(cells.collect::<rusqlite::Result<Row>>()?);
            }
            Ok(found)
        };
        run().map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => StoreError::Constraint(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        })
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

/// The result of a future that never has to wait, as every question over [`MemoryDatabase`] is.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits for something"),
    }
}
