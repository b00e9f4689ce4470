# What CI runs, a recipe a step: .ci/run calls the same scripts.

# Lists the recipes
default:
    @just --list

# All that CI does
ci:
    .ci/run

# Every check, one after the other
check: fmt
    scripts/check.sh all

# Formats the sources
fmt:
    cargo fmt

# Format, without changing anything
format:
    scripts/check.sh format

# Clippy, warnings as errors, with the local org and without
lint:
    scripts/check.sh lint

# The API documentation, warnings as errors
docs:
    scripts/check.sh docs

# The tests, or those whose names contain the arguments
test *names:
    {{ if names == "" { "scripts/check.sh test" } else { "cargo test " + names } }}

# Seeded runs, killed again and again on an org that fails on purpose
torture seeds="300":
    BULKHAUL_TORTURE_SEEDS={{ seeds }} cargo test --test it -- --nocapture torture

# Any bytes through a target of tests/fuzz, for so many seconds
fuzz target seconds="600":
    cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none {{ target }} -- -max_total_time={{ seconds }} -max_len=65536

# Clients that nobody here wrote, against the local org
conformance:
    scripts/check.sh conformance

# The stage benches
bench *names:
    cargo bench {{ names }}

# Whole loads side by side: durability, or against another binary
bench-loads *what="durability":
    cargo build --release
    benches/side-by-side.sh {{ what }}

# A million rows against the floor, unpaced and paced; or insert, small, memory
bench-load *what:
    cargo build --release
    benches/load.sh {{ what }}

# A million records to Parquet against the floor, DuckDB and Polars; or memory
bench-export *what:
    cargo build --release
    benches/export.sh {{ what }}

# Ten million rows with faults and kills, into the local org
ten-million:
    cargo build --release
    scripts/ten-million.sh

# Goes through what snapshot tests found new (needs cargo-insta)
snapshots:
    cargo insta test --review

# Loads the sample file into the local org, as the README does
example:
    cargo run --release -- load fixtures/accounts.csv --object Account --operation upsert --external-id Legacy_Id__c --org local
