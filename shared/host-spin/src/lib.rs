//! The Spin engine: WASI p3, Spin key-value, SQLite and variables behind the host traits (DESIGN.md, “Engines”).
//!
//! A component calls [`export`] with its handler. Requests, answers, headers and streams stay the raw resources of
//! `wasi:http`, since the SDK's own types copy every body through the guest: an [`AnswerBody::Through`] hands the
//! provider's stream back as it is and the host splices it.
//!
//! Two properties of this engine bind everything that runs on it:
//! - up to 16 requests share an instance and its statics, but a task can be woken by the host only. **Awaiting
//!   something another request completes** (a oneshot, an async mutex) **is a panic, and a panic ends all 16**;
//! - SQLite calls are synchronous and hold the whole instance while they run.
//!
//! The crate is empty on any other target.
//!
//! [`AnswerBody::Through`]: lockgate_host::AnswerBody::Through
#![forbid(unsafe_code)]

#[cfg(any(test, all(target_arch = "wasm32", target_os = "wasi")))]
mod plain;

#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod engine;

#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
pub use engine::*;
