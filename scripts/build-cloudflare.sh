#!/usr/bin/env bash
# Builds the Worker into build/cloudflare: index.js and index_bg.wasm, where wrangler.toml expects them.
# Needs Rust only. wasm-opt is left out: it makes the module 8 % smaller, but larger once compressed, and not faster.
# LOCKGATE_BUILD_OUT is another folder to build into; with LOCKGATE_BUILD_NAMES the functions keep their names, for a profiler.
set -euo pipefail
cd "$(dirname "$0")/.."

target_dir=${CARGO_TARGET_DIR:-target}
out=${LOCKGATE_BUILD_OUT:-build/cloudflare}
target=wasm32-unknown-unknown

rustup target list --installed 2>/dev/null | grep -qx "$target" || rustup target add "$target"

# wasm-bindgen reads sections that stripping would remove, and removes them itself. Paths of this machine stay out.
CARGO_PROFILE_WASM_STRIP=none \
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"$'\x1f'"--remap-path-prefix=$PWD=." \
  cargo build --locked --profile wasm --target "$target" -p lockgate-edge
cargo build --locked --release -p bundle-worker

mkdir -p "$out"
"$target_dir/release/bundle-worker" "$target_dir/$target/wasm/lockgate_edge.wasm" "$out" \
  shared/host-cloudflare/src/{glue,body,sql}.js functions/edge/src/entry.js

printf 'index_bg.wasm: %s bytes, %s gzipped\n' "$(wc -c <"$out/index_bg.wasm")" "$(gzip -9c "$out/index_bg.wasm" | wc -c)"
