//! The native engine: hyper, tokio and SQLite behind the host traits.
