#!/bin/sh
# targets.sh TARGET...: add Rust's std for the targets, where rustup can; elsewhere say that it is not
# there, and the tests that need it skip. Run it by rust.sh.
set -eu
for target in "$@"; do
    if rustup which rustc >/dev/null 2>&1; then
        rustup target list --installed | grep -qx "$target" || rustup target add "$target"
    else
        echo "targets.sh: no std for $target without rustup"
    fi
done
