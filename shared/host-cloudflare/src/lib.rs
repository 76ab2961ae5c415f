//! The Cloudflare engine: fetch, KV and Durable Objects behind the host traits.
//!
//! It is two halves: `glue.js`, which holds everything that is an object of the runtime's, and this crate. They cross as
//! rarely as possible, because a crossing that converts strings or calls into the runtime costs more than what
//! Rust does for a request. The `worker` crate is not used: its objects cross once a header and once a value, and it
//! brings a start-up and panic handling of its own, under which a panic ends every request of the isolate.
//!
//! The engine is empty on every target but `wasm32-unknown-unknown`; `plain` knows no JavaScript and is tested anywhere.
#![forbid(unsafe_code)]

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod engine;
#[cfg(any(test, all(target_arch = "wasm32", target_os = "unknown")))]
mod plain;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub use engine::*;
