#!/usr/bin/env bash
# Whole loads side by side, in turn: A B A B ... Each into a fresh local org in
# memory, in a process of its own. Prints every run, then medians and the ratio
# of each pair.
#
#   benches/side-by-side.sh durability           run folder on disk / on a tmpfs
#   benches/side-by-side.sh against BINARY       this release / another binary
#   benches/side-by-side.sh syncs                how often one load syncs (strace)
#
# ROWS (1000000), PAIRS (7), DISK (target/side-by-side) and TMPFS (/dev/shm)
# say otherwise. Wants `cargo build --release` before it, and Linux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
source scripts/bench-org.sh

target="${CARGO_TARGET_DIR:-target}"
bulkhaul="${BULKHAUL:-$target/release/bulkhaul}"
rows="${ROWS:-1000000}"
pairs="${PAIRS:-7}"
disk="${DISK:-$target/side-by-side}"
tmpfs="${TMPFS:-/dev/shm}/bulkhaul-side-by-side"

mkdir -p "$disk" "$tmpfs"
org_pid=
clean() {
    [[ -z "$org_pid" ]] || kill "$org_pid" 2>/dev/null || true
    rm -rf "$tmpfs" "$disk/runs"
}
trap clean EXIT

source_of "$rows" "$disk"
cat "$source" >/dev/null # into the cache

stop_org() {
    kill "$org_pid"
    wait "$org_pid" 2>/dev/null || true
    exec {org}<&-
    org_pid=
}

# load BINARY RUNS_DIR: one load; its wall, user and system seconds into `took`.
load() {
    start_org
    rm -rf "$2"
    local TIMEFORMAT='%R %U %S'
    took="$({ time "${prefix[@]}" "$1" load "$source" --object Account --operation upsert \
        --external-id Legacy_Id__c --org env --runs-dir "$2" --progress none --quiet --yes \
        >"$disk/out" 2>&1 || echo "exit $?" >&2; } 2>&1)"
    stop_org
    [[ "$took" != *exit* ]] || { cat "$disk/out" >&2; exit 1; }
}
prefix=()

# The smallest, the median and the largest of the numbers in a column.
spread() {
    cut -d' ' -f"$1" | sort -n | awk '{v[NR] = $1} END {
        m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
        printf "%.3f %.3f %.3f", v[1], m, v[NR]}'
}

# pair NAME_A BINARY_A RUNS_A NAME_B BINARY_B RUNS_B
pair() {
    local a b results
    results="$(mktemp -p "$disk")"
    echo "$rows rows, $pairs pairs; A: $1, B: $4"
    load "$2" "$3" # a warm-up
    for ((i = 1; i <= pairs; i++)); do
        # Whoever is second may find a slower machine: take turns.
        if ((i % 2)); then
            load "$2" "$3"; rm -rf "$3"; a="$took"
            load "$5" "$6"; rm -rf "$6"; b="$took"
        else
            load "$5" "$6"; rm -rf "$6"; b="$took"
            load "$2" "$3"; rm -rf "$3"; a="$took"
        fi
        awk '{printf "%s %.3f %s %.3f %.4f %.4f\n", $1, $2 + $3, $4, $5 + $6, $1 / $4,
            ($2 + $3) / ($5 + $6)}' <<<"$a $b" | tee -a "$results" |
            awk '{printf "A %6.3f s, CPU %6.3f s   B %6.3f s, CPU %6.3f s   A/B %.3f, CPU %.3f\n",
                $1, $2, $3, $4, $5, $6}'
    done
    echo "                least median most"
    local names=(_ "A wall s" "A CPU s" "B wall s" "B CPU s" "A/B wall" "A/B CPU")
    for column in 1 2 3 4 5 6; do
        printf '%-15s %s\n' "${names[column]}" "$(spread "$column" <"$results")"
    done
    rm -f "$results"
}

case "${1:-}" in
durability)
    pair "on disk" "$bulkhaul" "$disk/runs" "in memory" "$bulkhaul" "$tmpfs/runs"
    ;;
against)
    pair "$bulkhaul" "$bulkhaul" "$tmpfs/runs" "$2" "$2" "$tmpfs/runs"
    ;;
syncs)
    prefix=(strace --seccomp-bpf -f -qq -c -w -e "trace=fsync,fdatasync" -o "$disk/syncs")
    load "$bulkhaul" "$disk/runs"
    cat "$disk/syncs"
    ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'
    exit 2
    ;;
esac
