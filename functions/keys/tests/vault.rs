//! The management plane over vaults that answer, fail and end in the middle: what was acknowledged always opens, what is resumed
//! ends, and nothing is left behind (FEATURES G1, G4).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "vault/away.rs"]
mod away;
#[path = "vault/killed.rs"]
mod killed;
#[path = "vault/kms.rs"]
mod kms;
#[path = "vault/process.rs"]
mod process;
#[path = "vault/site.rs"]
mod site;
#[allow(dead_code)]
#[path = "../../../shared/workspace/tests/support/sqlite.rs"]
mod sqlite;
#[path = "vault/stories.rs"]
mod stories;
#[path = "vault/tampering.rs"]
mod tampering;
#[path = "vault/world.rs"]
mod world;
