//! Reading rows, and the checks that every write shares.

use lockgate_host::{Row, StoreError, Tx, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::question::{Denial, Page};
use crate::resource::Timestamp;

/// The largest number that a Durable Object's database takes; nothing here counts so far.
pub(super) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A row read from left to right.
pub(super) struct Cells(std::vec::IntoIter<Value>);

impl Cells {
    pub(super) fn new(row: Row) -> Self {
        Self(row.into_iter())
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        self.optional_text()?
            .ok_or_else(|| StoreError::Corrupt("a text column is empty".into()))
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Corrupt("a column is not text".into())),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, StoreError> {
        self.optional_number()?
            .ok_or_else(|| StoreError::Corrupt("a number column is empty".into()))
    }

    pub(super) fn optional_number(&mut self) -> Result<Option<u64>, StoreError> {
        match self.0.next() {
            Some(Value::Integer(number)) => u64::try_from(number)
                .map(Some)
                .map_err(|_| StoreError::Corrupt("a number is negative".into())),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Corrupt("a column is not a number".into())),
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.number()? != 0)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp(self.number()?))
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_number()?.map(Timestamp))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        read(&self.text()?)
    }

    pub(super) fn optional_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        self.optional_text()?.map(|text| read(&text)).transpose()
    }

    /// A word of a closed set, stored as its JSON string without the quotes.
    pub(super) fn word<T: DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        serde_json::from_value(serde_json::Value::String(self.text()?))
            .map_err(|e| StoreError::Corrupt(e.to_string()))
    }
}

/// JSON as it is stored. Questions are read from bytes too, so that each type is read by one piece of code in wasm.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_slice(text.as_bytes()).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// A value as JSON text.
pub(super) fn json<T: Serialize>(value: &T) -> Value {
    Value::Text(serde_json::to_string(value).unwrap_or_default())
}

/// A word of a closed set as text.
pub(super) fn word<T: Serialize>(value: &T) -> Value {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Value::Text(word),
        _ => Value::Null,
    }
}

/// Refuses a write that was made for another revision.
pub(super) fn expect_revision(expected: Option<u64>, found: u64) -> Result<(), Denial> {
    match expected {
        Some(expected) if expected != found => Err(Denial::Stale { expected, found }),
        _ => Ok(()),
    }
}

/// Tells a name that is taken from other failures of a write.
pub(super) fn taken(error: StoreError, kind: &str, name: &str) -> Denial {
    match error {
        StoreError::Constraint(_) => Denial::AlreadyExists {
            kind: kind.into(),
            name: name.into(),
        },
        other => other.into(),
    }
}

pub(super) fn not_found(kind: &str, reference: &str) -> Denial {
    Denial::NotFound {
        kind: kind.into(),
        reference: reference.chars().take(200).collect(),
    }
}

/// A page of a table that belongs to a workspace, in the order the rows were made.
pub(super) fn page<T>(
    tx: &mut dyn Tx,
    (table, columns): (&str, &str),
    workspace: &str,
    page: &Page,
    read: impl Fn(Cells) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let (at, id) = page.after.clone().unwrap_or_default();
    let rows = tx.query(
        &format!(
            "SELECT {columns} FROM {table}
             WHERE workspace = ?1 AND (created_at > ?2 OR (created_at = ?2 AND id > ?3))
             ORDER BY created_at, id LIMIT ?4"
        ),
        &[
            workspace.into(),
            at.into(),
            id.into(),
            u64::from(page.limit).into(),
        ],
    )?;
    rows.into_iter().map(|row| read(Cells::new(row))).collect()
}
