//! What knows no JavaScript.

pub(crate) mod unfinished;
