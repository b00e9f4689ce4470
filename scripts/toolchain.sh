#!/usr/bin/env bash
# Sees to what the checks need: a Rust toolchain with rustfmt and clippy, and a
# C compiler (SQLite is compiled from source). Installs the components where
# rustup is there; says what is missing otherwise.
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install a Rust toolchain from https://rustup.rs" >&2
    exit 1
fi
if ! command -v cc >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
    echo "a C compiler is missing: install gcc or clang" >&2
    exit 1
fi
for component in rustfmt clippy; do
    command="cargo-${component/rustfmt/fmt}"
    if ! "$command" --version >/dev/null 2>&1; then
        if ! command -v rustup >/dev/null; then
            echo "$component is missing, and so is rustup to install it" >&2
            exit 1
        fi
        rustup component add "$component"
    fi
done
cargo --version
