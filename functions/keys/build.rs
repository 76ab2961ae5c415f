//! Turns `openapi.yaml` into the JSON that `/api/openapi.json` serves.
#![allow(clippy::expect_used)]

use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let source = Path::new(&root).join("../../openapi.yaml");
    println!("cargo::rerun-if-changed={}", source.display());
    let text = fs::read_to_string(&source).expect("openapi.yaml is readable");
    let value: serde_json::Value = serde_norway::from_str(&text).expect("openapi.yaml is YAML");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("openapi.json");
    fs::write(target, value.to_string()).expect("OUT_DIR is writable");
}
