//! Where a request goes, and whether its caller may go there: decisions only, over data that is handed in.
//!
//! The data plane and Simulate both ask [`course`], then [`Tries`] which target is next, and whose key pays ([`pays`], which is
//! [`ready`] and then [`managed`]), so what the one says is what the other does (FEATURES B4). [`refusal`] says in words
//! why not.
#![forbid(unsafe_code)]

mod caller;
pub mod circuit;
mod nowhere;
mod price;
mod ready;
mod resolve;
mod target;
mod tries;
mod words;

pub use caller::Caller;
pub use price::Rate;
pub use ready::{NotReady, PassedOver, Pays, Ready, Reason, can_use, managed, pays, ready};
pub use resolve::{Resolved, Unresolved, resolve};
pub use target::{
    Choice, Course, Names, Step, Target, Wanted, allows, course, further_models, takes,
};
pub use tries::{Failed, Next, Tries};
pub use words::{readiness, refusal, unpriced, warnings};
