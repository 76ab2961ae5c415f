//! Builds the Worker bundle: wasm-bindgen and the entry shim.
