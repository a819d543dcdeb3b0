#!/bin/sh
# Tests the WASM kernels, plain and relaxed, in Node 24 or later (Node 20 computes relaxed products
# wrongly before it has warmed up). Takes Node's path from NODE; needs
# `rustup target add wasm32-wasip1`. Skips, saying why, where one is missing.
set -eu
cd "$(dirname "$0")"
node=${NODE:-node}
command -v "$node" > /dev/null || { echo "skipped: no $node"; exit 0; }
[ "$("$node" -p 'process.versions.node.split(".")[0]')" -ge 24 ] \
    || { echo "skipped: $node is older than 24"; exit 0; }
[ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1" ] \
    || { echo "skipped: no Rust target wasm32-wasip1"; exit 0; }
export RUSTFLAGS="-Ctarget-feature=+simd128"
export CARGO_TARGET_WASM32_WASIP1_RUNNER="$node --no-warnings $PWD/wasi.mjs"
exec cargo test --release --package puna-cpu --target wasm32-wasip1 --features relaxed "$@"
