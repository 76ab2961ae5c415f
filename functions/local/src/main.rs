//! The lockgate binary: the local gateway and its command line.
fn main() {}
