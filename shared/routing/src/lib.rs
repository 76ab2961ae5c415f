//! Where a request goes, and whether its caller may go there: decisions only, over data that is handed in.
//!
//! The data plane and Simulate both ask [`course`] and then [`ready`] or [`managed`], so what the one says is what the other does
//! (FEATURES B4). [`refusal`] says in words why not.
#![forbid(unsafe_code)]

mod caller;
mod price;
mod ready;
mod resolve;
mod target;
mod tries;
mod words;

pub use caller::Caller;
pub use price::Rate;
pub use ready::{NotReady, PassedOver, Ready, Reason, can_use, managed, ready};
pub use resolve::{Resolved, Unresolved, resolve};
pub use target::{
    Choice, Course, Names, Step, Target, Wanted, allows, course, further_models, takes,
};
pub use tries::{Failed, Next, Tries};
pub use words::{readiness, refusal, warnings};
