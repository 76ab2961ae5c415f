//! From what a caller asks for to the provider key that pays, or to the words that say why none does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allowed;
mod managed;
mod random;
mod ready;
mod target;
mod words;
mod world;
