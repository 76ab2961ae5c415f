//! The Spin engine: WASI p3, Spin key-value, SQLite and variables behind the host traits.
