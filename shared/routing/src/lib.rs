//! Where a request goes, and whether its caller may go there: decisions only, over data that is handed in.
//!
//! The data plane and Simulate both ask [`target`] and then [`ready`], so what the one says is what the other does
//! (FEATURES B4). [`refusal`] says in words why not.
#![forbid(unsafe_code)]

mod caller;
mod ready;
mod resolve;
mod target;
mod words;

pub use caller::Caller;
pub use ready::{NotReady, PassedOver, Ready, Reason, can_use, ready};
pub use resolve::{Resolved, Unresolved, resolve};
pub use target::{Names, Target, Wanted, further_models, takes, target};
pub use words::{readiness, refusal, warnings};
