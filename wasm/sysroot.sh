#!/usr/bin/env bash
# sysroot.sh FOLDER: Rust's std for wasm32-unknown-emscripten, for a compiler that comes without it
# (Debian's rustc-web). It is compiled once, from the source package rust-web-src, into FOLDER, which
# rustc then takes as --sysroot; nothing under /usr is written. About half a minute, 80 MB.
set -euo pipefail
dest=$(realpath -m "$1")
target=wasm32-unknown-emscripten
host=$(rustc -vV | sed -n 's/^host: //p')
[ ! -d "$dest" ] || exit 0

mkdir -p "$(dirname "$dest")"
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/empty/src"
cat > "$work/empty/Cargo.toml" <<'TOML'
[package]
name = "empty"
version = "0.0.0"
edition = "2024"
[workspace]
TOML
echo '#![no_std]' > "$work/empty/src/lib.rs"

# -Zbuild-std is cargo's own way to compile std and needs the bootstrap switch on a stable compiler.
# Bitcode is embedded because the wheel is linked with fat LTO, std included.
RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind \
    CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_RUSTFLAGS=-Cembed-bitcode=yes \
    cargo build --quiet --release --target $target \
    --manifest-path "$work/empty/Cargo.toml" --target-dir "$work/target"

rlibs=$work/sysroot/lib/rustlib/$target/lib
mkdir -p "$rlibs"
cp "$work/target/$target/release/deps/"lib*.rlib "$rlibs/"
rm -f "$rlibs"/libempty-*.rlib
ln -s "$(rustc --print sysroot)/lib/rustlib/$host" "$work/sysroot/lib/rustlib/$host"
mv "$work/sysroot" "$dest"
