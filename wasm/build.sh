#!/usr/bin/env bash
# build.sh OUT: build the wheel for Pyodide 314.0.x, tag pyemscripten_2026_0_wasm32, into OUT.
#
# The extension module is compiled twice, since an engine without relaxed SIMD refuses a whole module
# that has one such instruction; python/puna/_native.py picks one at import. Where emcc of Pyodide's
# version is in PATH it links; elsewhere link.py does, around a plain wasm linker.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
[ -n "${PUNA_IN_RUST_SH:-}" ] || PUNA_IN_RUST_SH=1 exec "$root/tools/rust.sh" "$0" "$@"

out=$(realpath -m "${1:?usage: build.sh OUT}")
maturin=${MATURIN:-maturin}
python=${PYTHON:-python3}
target=wasm32-unknown-emscripten
emscripten=5.0.3 # Pyodide 314.0's
cpython=3.14     # Pyodide 314.0's
flags=-Ctarget-feature=+simd128

if rustup which rustc >/dev/null 2>&1; then
    "$root/tools/targets.sh" $target
    wasm_ld="$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-lld -flavor wasm"
else
    "$root/tools/apt.sh" rust-web-src lld-22
    std=${XDG_CACHE_HOME:-$HOME/.cache}/puna/std-$(rustc --version | cut -d' ' -f2)
    "$here/sysroot.sh" "$std"
    # Debian's rustc lacks the folder of linkers that it would point emcc to.
    flags="$flags -Clink-self-contained=no --sysroot=$std"
    wasm_ld=wasm-ld-22
fi

if command -v emcc >/dev/null && [ "$(emcc -dumpversion)" = $emscripten ]; then
    linker=emcc
else
    linker=$here/link.py
    export WASM_LD=${WASM_LD:-$wasm_ld}
fi
echo "build.sh: $(rustc --version), linked by $linker"

unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS # they would replace the target's own
export CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_LINKER=$linker
export CARGO_TARGET_WASM32_UNKNOWN_EMSCRIPTEN_RUSTFLAGS=$flags
export MATURIN_PYEMSCRIPTEN_PLATFORM_VERSION=2026_0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
for simd in simd128 relaxed; do
    start=$(date +%s)
    features=
    [ $simd = simd128 ] || features=$simd
    "$maturin" build --quiet --profile "${PUNA_PROFILE:-dist}" --target $target --interpreter $cpython \
        --no-default-features --features "$features" --out "$work/$simd"
    echo "build.sh: $simd in $(($(date +%s) - start)) s"
done
mkdir -p "$out"
"$python" "$here/merge.py" "$work"/simd128/*.whl "$work"/relaxed/*.whl "$out"
