//! Which provider and model a request goes to: decisions only, over data that is handed in.
//! API.md, "Which target a request gets".
#![forbid(unsafe_code)]

mod resolve;

pub use resolve::{Resolved, Unresolved, resolve};
