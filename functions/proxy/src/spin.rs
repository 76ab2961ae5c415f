//! The Spin component: its HTTP entry.

lockgate_host_spin::export!(crate::handle);
