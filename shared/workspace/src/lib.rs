//! Resources, the SQL authority, admission by lease and the request log.
#![forbid(unsafe_code)]

pub mod authority;
