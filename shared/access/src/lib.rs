//! Roles, statements and conditions (FEATURES B2, B3): who may use which provider key, and why.
//!
//! Pure: no I/O, no clock, no randomness. A deny wins over every allow; without a statement there is no access.
#![forbid(unsafe_code)]

mod because;
mod compile;
mod explain;
mod hold;
mod json;
mod judge;
mod policy;
mod read;
mod resource;
mod role;

pub use explain::{Explanation, Note, TagRow, explain};
pub use judge::{Circumstances, Judgement, KeyFacts, judge, judge_absent};
pub use policy::{Ask, Policy};
pub use read::read;
pub use role::{Bearer, Condition, Effect, Invalid, Role, Statement, Test};

use std::collections::BTreeMap;

/// The tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// The action of the data plane: a request is sent with a provider key.
pub const USE_PROVIDER_KEY: &str = "provider-key:use";
