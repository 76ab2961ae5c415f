//! Envelope encryption of provider keys, and the vaults that hold the key-encryption keys (FEATURES G1 to G5).
//!
//! Each secret is sealed under a data key (DEK) of its own, and the data key is wrapped under a
//! key-encryption key (KEK): the local one, or one that never leaves a managed vault. Both are bound to workspace, provider,
//! key and version, so that a sealed blob copied to another place does not open there. The sealed secret is one KV entry
//! per version and never changes; the wrapped data key is kept in the database, so that a new KEK needs no change in KV.
//!
//! Nothing here reads a clock, a file or a random source of its own: all comes from the engine, so that the same code
//! runs natively, on WASI and in a Worker. [`Vaults`] is what others use.
#![forbid(unsafe_code)]

mod adapter;
mod aws_kms;
mod azure;
mod bearer;
mod binding;
mod breaker;
pub mod bridge;
mod config;
mod envelope;
mod error;
mod gcp_kms;
mod hashicorp;
mod kek;
mod kv;
mod line;
mod mask;
mod token_keys;
mod transit;
mod vaults;

pub use binding::Binding;
pub use config::Places;
pub use envelope::{MAX_SECRET_BYTES, OpenError, SealError, Sealed, open, seal};
pub use error::VaultError;
pub use kek::{Kek, KekError};
pub use mask::mask;
pub use token_keys::TokenKeys;
pub use vaults::{ADAPTERS, Held, LOCAL, Place, Stored, Vaults};

/// A source of random bytes: fills the whole slice, from the engine's cryptographic generator.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]);
