#!/bin/sh
# rust.sh COMMAND [ARGUMENT...]: run COMMAND with a Rust of at least 1.93 in PATH (the first whose
# wasm32-unknown-emscripten unwinds as Pyodide does). rustup's where there is one, else Debian's
# rustc-web and cargo-web, which are installed when missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
need=93

new_enough() { # new_enough RUSTC
    minor=$("$1" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$need" ]
}

if ! new_enough rustc; then
    if new_enough "$HOME/.cargo/bin/rustc"; then
        PATH="$HOME/.cargo/bin:$PATH" # rustup is installed, the shell just was not told
    elif command -v rustup >/dev/null || [ -x "$HOME/.cargo/bin/rustup" ]; then
        echo "rust.sh: Rust 1.$need or newer is needed: run 'rustup update stable'" >&2
        exit 1
    else
        "$here/apt.sh" -u rustc-web cargo-web
        PATH="/usr/bin:$PATH"
        new_enough rustc || { echo "rust.sh: Debian has no Rust 1.$need here; install rustup" >&2; exit 1; }
    fi
    export PATH
fi
command -v cc >/dev/null || "$here/apt.sh" gcc libc6-dev # rustc links with cc
exec "$@"
