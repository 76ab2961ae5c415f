//! Runs the project's built Spin components (WASI p3) as Spin 4.1 would, for tests and benchmarks. **A test tool**: it
//! knows what the project's `spin.toml` uses and no more, and is not a way to serve Lockgate.
//!
//! It follows Spin in routing, variables, allowed outbound hosts, the reuse of instances, an empty 500 for a failed
//! handler, and the costs of key-value and SQLite. It differs in these points, on purpose or for want of a need:
//! - `TCP_NODELAY` is set on both sides. Spin sets it on neither, so that sequential requests on a kept-alive
//!   connection see up to 44 ms there which do not show here.
//! - There is no request timeout, static file, other trigger, service chaining, CIDR range or named path wildcard.
//! - Key-value may hide what was written lately ([`KeyValue::open`](spin::KeyValue::open)), as Cloudflare's may.
#![forbid(unsafe_code)]

pub mod app;
pub mod manifest;
pub mod outbound;
pub mod server;
pub mod spin;
mod stdio;
