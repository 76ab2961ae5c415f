//! What needs no host call, and is therefore tested on any target.

pub(crate) mod ends;
pub(crate) mod names;
pub(crate) mod sql;
pub(crate) mod target;
