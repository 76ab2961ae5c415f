//! KV for sealed secrets, and the authority: asked through its Durable Object, or served out of that object's SQLite.

use std::convert::Infallible;

use lockgate_host::{Authority, Database, KeyValue, Row, StoreError, Tx, TxKind, Value};
use wasm_bindgen::JsValue;

use super::task::Promised;
use super::{Cloudflare, glue};

impl KeyValue for Cloudflare {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let promised = Promised::new();
        glue::kv_get(promised.slot(), &self.context.env, key);
        let value = promised.await.map_err(|error| unavailable(&error))?;
        Ok((!value.is_null()).then(|| glue::bytes(&value)))
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let promised = Promised::new();
        glue::kv_put(promised.slot(), &self.context.env, key, value.to_vec());
        promised.await.map_err(|error| unavailable(&error))?;
        Ok(())
    }

    async fn kv_delete(&self, key: &str) -> Result<(), StoreError> {
        let promised = Promised::new();
        glue::kv_delete(promised.slot(), &self.context.env, key);
        promised.await.map_err(|error| unavailable(&error))?;
        Ok(())
    }
}

/// A Worker has no database of its own: the authority is a Durable Object, elsewhere.
impl Authority for Cloudflare {
    type Database = Unreached;

    fn database(&self) -> Option<&Unreached> {
        None
    }

    async fn ask(&self, object: &str, question: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let promised = Promised::new();
        glue::ask(promised.slot(), &self.context.env, object, question);
        let answer = promised.await.map_err(|error| unavailable(&error))?;
        Ok(glue::bytes(&answer))
    }

    fn epoch(&self) -> Option<u64> {
        None
    }

    fn advance_epoch(&self) {}
}

/// The database that a Worker does not have; no value of it exists.
pub struct Unreached(Infallible);

impl Database for Unreached {
    async fn transact<T, E>(
        &self,
        _kind: TxKind,
        _body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match self.0 {}
    }
}

/// A Durable Object's SQLite database.
///
/// The object runs one piece of code at a time and the body of a transaction does not await, so nothing comes between.
/// Nobody learns of a change before it has reached the disk, since the runtime holds the object's answers back until then.
///
/// A REAL without a fraction comes back as an integer, as JavaScript has one kind of number.
pub struct SqlDatabase {
    /// `ctx.storage`.
    storage: JsValue,
}

impl SqlDatabase {
    pub(crate) fn new(storage: JsValue) -> Self {
        Self { storage }
    }
}

impl Database for SqlDatabase {
    async fn transact<T, E>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let mut tx = SqlTx {
            storage: &self.storage,
        };
        if kind == TxKind::Read {
            return body(&mut tx);
        }
        let mut body = Some(body);
        let mut outcome = None;
        let committed = glue::transact(&self.storage, &mut || {
            outcome = body.take().map(|body| body(&mut tx));
            matches!(outcome, Some(Ok(_)))
        });
        match (outcome, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(sql_error(&error).into()),
            (None, Ok(())) => {
                Err(StoreError::Unavailable("no transaction was run".to_owned()).into())
            }
        }
    }
}

struct SqlTx<'a> {
    storage: &'a JsValue,
}

impl Tx for SqlTx<'_> {
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let packed = pack(params)?;
        let rows = glue::query(self.storage, sql, &packed).map_err(|error| sql_error(&error))?;
        unpack(&rows).ok_or_else(|| StoreError::Corrupt("a row made no sense".to_owned()))
    }
}

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// The largest integer that a JavaScript number holds exactly.
const SAFE: i64 = (1 << 53) - 1;

/// Parameters for `glue.js`: a byte for the kind, then a little-endian double, or a length and content.
fn pack(values: &[Value]) -> Result<Vec<u8>, StoreError> {
    let mut packed = Vec::with_capacity(values.len() * 24);
    for value in values {
        match value {
            Value::Null => packed.push(NULL),
            Value::Integer(integer) => {
                if integer.unsigned_abs() > SAFE.unsigned_abs() {
                    return Err(StoreError::Constraint("an integer beyond 2^53".to_owned()));
                }
                packed.push(INTEGER);
                packed.extend_from_slice(&(*integer as f64).to_le_bytes());
            }
            Value::Real(real) => {
                packed.push(REAL);
                packed.extend_from_slice(&real.to_le_bytes());
            }
            Value::Text(text) => push(&mut packed, TEXT, text.as_bytes())?,
            Value::Blob(bytes) => push(&mut packed, BLOB, bytes)?,
        }
    }
    Ok(packed)
}

fn push(packed: &mut Vec<u8>, kind: u8, bytes: &[u8]) -> Result<(), StoreError> {
    let length = u32::try_from(bytes.len())
        .map_err(|_| StoreError::Constraint("a value beyond 4 GiB".to_owned()))?;
    packed.push(kind);
    packed.extend_from_slice(&length.to_le_bytes());
    packed.extend_from_slice(bytes);
    Ok(())
}

/// Rows as `glue.js` packs them: a count of values a row, then each value in the form of [`pack`].
fn unpack(mut packed: &[u8]) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    while !packed.is_empty() {
        let columns = u32::from_le_bytes(take(&mut packed)?);
        let mut row = Vec::with_capacity(columns.min(100) as usize);
        for _ in 0..columns {
            let [kind] = take(&mut packed)?;
            row.push(match kind {
                NULL => Value::Null,
                INTEGER => {
                    let number = f64::from_le_bytes(take(&mut packed)?);
                    // Beyond this JavaScript has lost digits.
                    (number.abs() <= SAFE as f64).then_some(Value::Integer(number as i64))?
                }
                REAL => Value::Real(f64::from_le_bytes(take(&mut packed)?)),
                TEXT => Value::Text(String::from_utf8(content(&mut packed)?).ok()?),
                BLOB => Value::Blob(content(&mut packed)?),
                _ => return None,
            });
        }
        rows.push(row);
    }
    Some(rows)
}

fn take<const N: usize>(packed: &mut &[u8]) -> Option<[u8; N]> {
    let (value, rest) = packed.split_first_chunk::<N>()?;
    *packed = rest;
    Some(*value)
}

fn content(packed: &mut &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(take(packed)?) as usize;
    let (value, rest) = packed.split_at_checked(length)?;
    *packed = rest;
    Some(value.to_vec())
}

fn unavailable(error: &JsValue) -> StoreError {
    StoreError::Unavailable(glue::text(error))
}

/// What SQLite said; workerd puts the name of the result code into the message.
fn sql_error(error: &JsValue) -> StoreError {
    let text = glue::text(error);
    if text.contains("SQLITE_CONSTRAINT") {
        StoreError::Constraint(text)
    } else if text.contains("SQLITE_CORRUPT") || text.contains("SQLITE_NOTADB") {
        StoreError::Corrupt(text)
    } else {
        StoreError::Unavailable(text)
    }
}
