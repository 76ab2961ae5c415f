//! What the simulations are made of: a world in virtual time, an engine in it, and the isolate's side of the lease.
//!
//! The simulator is the project's own and not a model checker: what is checked is the code that is served, with its
//! SQL, and neither a database nor a clock's drift has a state space that could be listed.

pub(crate) mod engine;
pub(crate) mod isolate;
pub(crate) mod runs;
pub(crate) mod sqlite;
pub(crate) mod world;
