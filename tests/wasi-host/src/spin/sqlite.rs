//! `spin:sqlite@3.1.0` over one file. Every `open` makes a connection of its own, as in Spin, so a transaction may
//! span calls and writers contend; a blocked one waits up to [`BUSY_TIMEOUT`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use super::bindings::spin::sqlite::sqlite::{
    Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
};
use super::{MAX_HANDLES, Spin, SpinView};

/// How long a statement waits for another connection's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The name of the only database there is.
const DEFAULT_DATABASE: &str = "default";

/// Where the application's database lies.
pub struct SqliteDatabase {
    path: PathBuf,
}

impl SqliteDatabase {
    /// The database at `path`, made on the first open.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    fn open(&self) -> Result<Connection, Error> {
        tokio::task::block_in_place(|| {
            let connection = rusqlite::Connection::open(&self.path).map_err(io)?;
            connection.busy_timeout(BUSY_TIMEOUT).map_err(io)?;
            Ok(Connection(Arc::new(Mutex::new(connection))))
        })
    }
}

/// A `connection` handle of a guest.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection(Arc<Mutex<rusqlite::Connection>>);

impl Connection {
    /// Runs `work` off the async workers: SQLite waits for locks and disks in the calling thread.
    fn with<R>(&self, work: impl FnOnce(&rusqlite::Connection) -> R) -> R {
        tokio::task::block_in_place(|| work(&self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn execute(&self, statement: &str, parameters: &[Value]) -> Result<QueryResult, Error> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(statement).map_err(io)?;
            let columns: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
            let width = columns.len();
            let mut rows = statement
                .query(rusqlite::params_from_iter(parameters))
                .map_err(io)?;
            let mut result = QueryResult {
                columns,
                rows: Vec::new(),
            };
            while let Some(row) = rows.next().map_err(io)? {
                let values = (0..width)
                    .map(|column| value(row.get_ref(column).map_err(io)?))
                    .collect::<Result<_, _>>()?;
                result.rows.push(RowResult { values });
            }
            Ok(result)
        })
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Blob(value) => ValueRef::Blob(value),
            Value::Null => ValueRef::Null,
        }))
    }
}

fn value(column: ValueRef<'_>) -> Result<Value, Error> {
    Ok(match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(value) => Value::Text(value.to_owned()),
            Err(error) => return Err(Error::Io(error.to_string())),
        },
        ValueRef::Blob(value) => Value::Blob(value.to_vec()),
    })
}

fn io(error: rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}

impl Host for SpinView<'_> {}

impl SpinView<'_> {
    fn connection(&self, handle: &Resource<Connection>) -> wasmtime::Result<&Connection> {
        Ok(self.table.get(handle)?)
    }
}

impl HostConnection for SpinView<'_> {
    fn open(&mut self, database: String) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        if !self.component.sqlite_databases.contains(&database) {
            return Ok(Err(Error::AccessDenied));
        }
        if database != DEFAULT_DATABASE {
            return Ok(Err(Error::NoSuchDatabase));
        }
        if self.handles.connections >= MAX_HANDLES {
            return Ok(Err(Error::Io("too many connections opened".to_owned())));
        }
        Ok(match self.component.app.sqlite.open() {
            Ok(connection) => {
                self.handles.connections += 1;
                Ok(self.table.push(connection)?)
            }
            Err(error) => Err(error),
        })
    }

    fn execute(
        &mut self,
        handle: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        Ok(self.connection(&handle)?.execute(&statement, &parameters))
    }

    fn last_insert_rowid(&mut self, handle: Resource<Connection>) -> wasmtime::Result<i64> {
        Ok(self
            .connection(&handle)?
            .with(rusqlite::Connection::last_insert_rowid))
    }

    fn changes(&mut self, handle: Resource<Connection>) -> wasmtime::Result<u64> {
        Ok(self
            .connection(&handle)?
            .with(rusqlite::Connection::changes))
    }

    fn drop(&mut self, handle: Resource<Connection>) -> wasmtime::Result<()> {
        self.handles.connections = self.handles.connections.saturating_sub(1);
        let connection = self.table.delete(handle)?;
        tokio::task::block_in_place(|| drop(connection));
        Ok(())
    }
}

type Rows = (
    Vec<String>,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

impl<T> HostConnectionWithStore<T> for Spin {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        database: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        accessor.with(|mut access| access.get().open(database))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let connection = accessor.with(|mut access| access.get().connection(&handle).cloned())?;
        let QueryResult { columns, rows } = match connection.execute(&statement, &parameters) {
            Ok(result) => result,
            Err(error) => return Ok(Err(error)),
        };
        accessor.with(|mut access: Access<'_, T, Self>| {
            let rows = StreamReader::new(&mut access, rows)?;
            let result = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
            Ok(Ok((columns, rows, result)))
        })
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        accessor.with(|mut access| access.get().last_insert_rowid(handle))
    }

    async fn changes_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
    ) -> wasmtime::Result<u64> {
        accessor.with(|mut access| access.get().changes(handle))
    }
}
