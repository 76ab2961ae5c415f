//! The traits an engine provides, and the body types that pass between engine and functions.
#![forbid(unsafe_code)]

mod secret;

pub use secret::Secret;
