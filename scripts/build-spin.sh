#!/bin/sh
# Builds the Spin components into build/spin and prints their sizes. Called by scripts/build.
#
# The functions are libraries; only here are they linked as components, so that the workspace needs no cdylib elsewhere.
set -eu
cd "$(dirname "$0")/.."

target=wasm32-wasip2
rustup target list --installed | grep -qx "$target" || rustup target add "$target"

# Reading a 100 KB body takes a tenth less CPU with it, and every Spin has it. (Optimising for speed instead of size changed
# nothing that could be measured and made the components a fifth larger; "z" makes them larger too.)
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="${CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS:-} -C target-feature=+simd128"

built="${CARGO_TARGET_DIR:-target}/$target/wasm"
mkdir -p build/spin
for function in proxy keys billing; do
    cargo rustc --quiet --package "lockgate-$function" --lib --crate-type cdylib --target "$target" --profile wasm
    cp "$built/lockgate_$function.wasm" "build/spin/$function.wasm"
done

# Gzipped, a little above what they are, so that something large which slips in is noticed. A good part of the proxy are the
# dialects. Every request passes the proxy; the management plane also reads YAML and shows differences.
for function in proxy keys billing; do
    case $function in
        proxy) limit=860000 ;;
        keys) limit=1020000 ;;
        *) limit=160000 ;;
    esac
    raw=$(wc -c <"build/spin/$function.wasm")
    gzipped=$(gzip -9c "build/spin/$function.wasm" | wc -c)
    printf 'build/spin/%s.wasm: %d bytes, %d gzipped\n' "$function" "$raw" "$gzipped"
    if [ "$gzipped" -gt "$limit" ]; then
        echo "build/spin/$function.wasm is over $limit bytes gzipped" >&2
        exit 1
    fi
done
