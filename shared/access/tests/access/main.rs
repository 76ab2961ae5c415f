//! Who may use which provider key: ours against Cedar and against brute force, in random worlds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod absent;
mod cedar;
mod explain;
mod policy;
mod read;
mod resource;
mod world;
