//! Envelope encryption of provider keys, and where the key-encryption key comes from (FEATURES G1 to G3, local).
//!
//! Each secret is sealed under a data key (DEK) of its own, and the data key is wrapped under the
//! key-encryption key (KEK). Both are bound to workspace, provider, key and version, so that a sealed
//! blob copied to another place does not open there. The sealed secret is one KV entry per version and never
//! changes; the wrapped data key is kept in the database, so that a new KEK needs no change in KV.
//!
//! Nothing here reads a clock, the environment, a file or a random source: randomness is handed in by the
//! engine, so that the same code runs natively, on WASI and in a Worker.
#![forbid(unsafe_code)]

mod binding;
mod envelope;
mod kek;
mod mask;

pub use binding::{Binding, entry_name};
pub use envelope::{MAX_SECRET_BYTES, OpenError, SealError, Sealed, open, seal};
pub use kek::{Kek, KekError};
pub use mask::mask;

/// A source of random bytes: fills the whole slice, from the engine's cryptographic generator.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]);
