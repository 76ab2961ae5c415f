//! Resources, the SQL authority, admission by lease and the request log.
