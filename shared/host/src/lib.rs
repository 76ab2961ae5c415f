//! The traits an engine provides, and the body types that pass between engine and functions.
//!
//! Everything that decides anything is written against [`Host`]; `lockgate-host-native`, `lockgate-host-spin` and
//! `lockgate-host-cloudflare` implement it. Futures need not be `Send`: an engine runs a request on one thread.
#![forbid(unsafe_code)]
#![allow(async_fn_in_trait)]

mod http;
mod secret;
mod store;
mod whole;

use std::future::Future;
use std::time::Duration;

pub use crate::http::{
    Answer, AnswerBody, Credential, End, Fetch, FetchError, Flow, HEAD_BYTES, Headers, Inbound,
    Incoming, Outbound, OutboundBody, READ_HEADERS, ReadError, Seen, TAIL_BYTES, Transform,
    WITHHELD_HEADERS, Watch,
};
pub use ::http::Method;
pub use secret::Secret;
pub use store::{Authority, Database, KeyValue, Row, StoreError, Tx, TxKind, Value};
use thiserror::Error;
pub use whole::WholeEvents;

/// A setting that is missing or makes no sense. The text names it and what was found, never a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{setting}: {problem}")]
pub struct Misconfigured {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong, and what is wanted.
    pub problem: String,
}

/// Settings by name.
pub trait Variables {
    /// The setting `name`, in capitals (`LOCKGATE_KEK`); `None` where it is absent or empty.
    ///
    /// # Errors
    /// [`Misconfigured`] where something else keeps it and does not give it now. That is not the same as unset: a setting that
    /// is taken for unset may mean less than was asked for.
    fn variable(
        &self,
        name: &'static str,
    ) -> impl Future<Output = Result<Option<String>, Misconfigured>>;
}

/// Time.
pub trait Clock {
    /// Milliseconds since the Unix epoch, by the engine's wall clock.
    fn now_ms(&self) -> u64;
    /// Milliseconds by a clock that is meant not to step; leases are measured by it. It may start anywhere.
    fn monotonic_ms(&self) -> u64;
    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static;
}

/// Randomness fit for keys.
pub trait Random {
    /// Fills `buffer`.
    fn random(&self, buffer: &mut [u8]);
}

/// Work that outlives the response.
pub trait Background {
    /// Runs `work` after, or beside, the response; the engine may end it some time (about 30 s) after the response has ended.
    fn spawn(&self, work: impl Future<Output = ()> + 'static);
}

/// An engine, as one request sees it. Cloning is cheap.
pub trait Host:
    Fetch + KeyValue + Authority + Variables + Clock + Random + Background + Clone
{
    /// `native`, `spin` or `cloudflare`.
    const ENGINE: &'static str;
}
