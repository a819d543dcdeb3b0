#!/bin/sh
# Tests the NEON kernels under qemu-user; needs Debian's qemu-user and gcc-aarch64-linux-gnu, and
# `rustup target add aarch64-unknown-linux-gnu`. Skips, saying why, where one is missing.
set -eu
cd "$(dirname "$0")"
for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
    command -v "$tool" > /dev/null || { echo "skipped: no $tool"; exit 0; }
done
[ -d "$(rustc --print sysroot)/lib/rustlib/aarch64-unknown-linux-gnu" ] \
    || { echo "skipped: no Rust target aarch64-unknown-linux-gnu"; exit 0; }
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu"
exec cargo test --release --package puna-cpu --target aarch64-unknown-linux-gnu "$@"
