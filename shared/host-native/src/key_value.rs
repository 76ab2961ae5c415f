//! Key-value entries in a SQLite file of their own, so that sealed secrets lie apart from the database.

use std::path::Path;

use lockgate_host::StoreError;
use rusqlite::OptionalExtension;

use crate::sqlite::{Lane, store_error};

/// The entries.
#[derive(Clone)]
pub(crate) struct Entries(Lane);

impl Entries {
    /// Opens the file at `path`, which may be empty.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        {
            let connection = rusqlite::Connection::open(path).map_err(|e| store_error(&e))?;
            connection
                .execute_batch(
                    "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
                )
                .map_err(|e| store_error(&e))?;
        }
        Ok(Self(Lane::open(path, "sqlite-kv", false)?))
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.0
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT value FROM entries WHERE key = ?1")
                    .and_then(|mut found| found.query_row([&key], |row| row.get(0)).optional())
                    .map_err(|error| store_error(&error))
            })
            .await
    }

    pub(crate) async fn put(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_vec());
        self.0
            .run(move |connection| {
                connection
                    .prepare_cached("INSERT OR REPLACE INTO entries (key, value) VALUES (?1, ?2)")
                    .and_then(|mut put| put.execute((&key, &value)))
                    .map(drop)
                    .map_err(|error| store_error(&error))
            })
            .await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.0
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM entries WHERE key = ?1")
                    .and_then(|mut gone| gone.execute([&key]))
                    .map(drop)
                    .map_err(|error| store_error(&error))
            })
            .await
    }
}
