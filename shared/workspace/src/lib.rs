//! Resources, the SQL authority, admission by lease and the request log.
//!
//! A function asks with [`ask`]; natively and on Spin the authority is code in the same process over SQLite, on
//! Cloudflare it is the workspace's Durable Object, which serves [`authority::serve`]. Either way the same
//! [`authority::answer`] decides, in one transaction.
#![forbid(unsafe_code)]

pub mod admin_token;
pub mod allowance;
mod ask;
mod asking;
pub mod authority;
mod bridged;
pub mod gateway_key;
pub mod health;
mod id;
pub mod kept;
pub mod lease;
pub mod minted;
pub mod name;
mod otlp;
pub mod plan;
pub mod purse;
pub mod question;
pub mod resource;
mod seal;
mod settings;
pub mod snapshot;
pub mod split;
pub mod tags;
pub mod token_keys;
mod unseal;

pub use ask::{Answered, AskError, ask, ask_as};
pub use id::{DEFAULT_WORKSPACE, PLATFORM_WORKSPACE, is_id, new_id};
pub use lockgate_host::Misconfigured;
pub use lockgate_vault::VaultError;
pub use otlp::Otlp;
pub use seal::{Batch, SealFailure, forget, rewrap, seal};
pub use settings::{MIN_ADMIN_TOKEN, Settings};
pub use unseal::{UnsealError, unseal};

/// Who acts where the root admin token of the settings does.
pub const ROOT: &str = "root";

/// The name under which the registry is asked: workspaces' names, and later what else no single workspace knows.
pub const REGISTRY: &str = "registry";
