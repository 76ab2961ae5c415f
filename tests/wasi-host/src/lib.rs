//! Runs built Spin components for tests: wasmtime with wasi-http p3 and Spin's interfaces over SQLite. A test tool.
