//! The native engine: hyper, tokio and SQLite behind the host traits.
//!
//! One current-thread runtime per core, each with its own listening socket, its own pooled client and its own
//! [`NativeHost`]; what they share is in [`Shared`]. So futures need not be `Send`, and a request never changes threads.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use lockgate_host::AnswerBody;
//! use lockgate_host_native::{Answer, Folder, Listeners, Shared, environment, server};
//!
//! let shared = Shared::open(Folder::take("data".as_ref())?, environment())?;
//! let listeners = Listeners::bind("127.0.0.1:41002".parse()?, 2)?;
//! let running = server::start(listeners, shared, |_host, _request| async {
//!     Answer { status: 204, from: None, set: Vec::new(), body: AnswerBody::Bytes(Vec::new()) }
//! })?;
//! running.until_signal(|| ())?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answer;
mod background;
mod body;
mod client;
mod database;
mod ends;
mod folder;
mod followed;
mod headers;
mod host;
mod key_value;
pub mod server;
mod sqlite;
mod transformed;
mod upload;
mod upstream;
mod watched;

pub use body::Body;
pub use client::Caller;
pub use database::SqliteDatabase;
pub use folder::{Folder, FolderError, replace_file};
pub use headers::NativeHeaders;
pub use host::{DATABASE_FILE, ENTRIES_FILE, NativeHost, OpenError, Shared, environment};
pub use server::Listeners;

/// An answer of this engine.
pub type Answer = lockgate_host::Answer<NativeHost>;
/// A request of this engine.
pub type Incoming = lockgate_host::Incoming<NativeHost>;
