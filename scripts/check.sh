#!/usr/bin/env bash
# The checks that every change passes. CI and the recipes of the justfile both
# run this; each step can be run by itself:
#
#   scripts/check.sh [format|lint|docs|test|conformance|all]...
#
# Without an argument: all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The binary that `cargo test` leaves behind.
binary() {
    echo "${CARGO_TARGET_DIR:-target}/debug/bulkhaul"
}

step_format() {
    cargo fmt --check
}

# The second run is the library without the local org. Both share the checked
# dependencies of the dev profile.
step_lint() {
    cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --no-default-features -- -D warnings
}

step_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
}

# The very command of the README.
step_test() {
    cargo test
}

# Clients that nobody here wrote, against the local org of the dev binary.
step_conformance() {
    if [[ ! -x "$(binary)" ]]; then
        cargo build --locked
    fi
    conformance/run.sh "$(binary)"
}

run() {
    local started=$SECONDS
    echo "==> $1"
    "step_$1"
    echo "==> $1: $((SECONDS - started)) s"
}

steps=("$@")
if [[ ${#steps[@]} -eq 0 || "${steps[*]}" == all ]]; then
    steps=(format lint docs test conformance)
fi
for step in "${steps[@]}"; do
    if ! declare -F "step_$step" >/dev/null; then
        echo "no such check: $step (format, lint, docs, test, conformance, all)" >&2
        exit 2
    fi
done
for step in "${steps[@]}"; do
    run "$step"
done
