#!/usr/bin/env bash
# A long load in small: ten million rows into a local org that fails as networks
# and orgs do, killed twice on the way and taken up again. At the end every row
# has to be in the org. Tells what it took: time, memory of each process, what
# the ledger and the outcome files weigh.
#
#   scripts/ten-million.sh
#
# ROWS, KILLS (2), FAULTS, WORK (target/ten-million, some 800 bytes a row) say
# otherwise; what follows goes to `load`. Wants `cargo build --release` before
# it, and Linux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
source scripts/bench-org.sh

target="${CARGO_TARGET_DIR:-target}"
bulkhaul="${BULKHAUL:-$target/release/bulkhaul}"
rows="${ROWS:-10000000}"
kills="${KILLS:-2}"
work="${WORK:-$target/ten-million}"
faults="${FAULTS-seed=1,row-error=4%,row-lock=1%,job-fails=2%,job-locks=1%,\
*:503=1%,*:reset=1%,writes:done-reset=1%,results:cut=2%,results:cut-wire=1%,session-calls=300}"

mkdir -p "$work"
org_pid=
clean() { [[ -z "$org_pid" ]] || kill "$org_pid" 2>/dev/null || true; }
trap clean EXIT
rm -rf "$work/runs"

source_of "$rows" "$work"
start_org ${faults:+--faults "$faults"}

# Kilobytes, of a living process.
peak() { awk '/^VmHWM/ {print $2}' "/proc/$1/status" 2>/dev/null || true; }
outcome_files() { find "$work/runs" -name '*.outcomes' 2>/dev/null | wc -l; }
report() { echo "process $process: $1, peak memory $((most / 1024)) MiB, $(outcome_files) outcome files, $SECONDS s"; }

# run_process KILL_AT COMMAND...: runs it, kills it once there are so many
# outcome files (0: never); its exit code in `code`, 137 when killed.
run_process() {
    local kill_at=$1 now
    shift
    process=$((process + 1)) most=0 code=0
    "$bulkhaul" "$@" --org env --runs-dir "$work/runs" --progress none --yes --json \
        >"$work/process-$process.json" 2>"$work/process-$process.txt" &
    local pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        now="$(peak "$pid")"
        [[ -z "$now" ]] || most="$now"
        if ((kill_at > 0 && $(outcome_files) >= kill_at)); then
            kill -9 "$pid" 2>/dev/null || true
        fi
        sleep 0.2
    done
    wait "$pid" 2>/dev/null || code=$?
    if ((code == 137)); then report "killed"; else report "exit code $code"; fi
}
process=0
SECONDS=0

# Chunks have 250,000 rows at most: kills fall about evenly over the first pass.
chunks=$((rows / 250000 + 1))
step=$((chunks / (kills + 1)))
(( step > 0 )) || step=1
first=0
(( kills == 0 )) || first=$step
run_process "$first" load "$source" --object Account --operation upsert \
    --external-id Legacy_Id__c --row-attempts 12 "$@"
while ((code == 137 || code == 4)); do
    next=0
    ((process >= kills)) || next=$(($(outcome_files) + step))
    run_process "$next" resume
done

run="$(find "$work/runs" -mindepth 1 -maxdepth 1 -type d)"
echo "wall time        $SECONDS s"
echo "source           $(stat -c %s "$source") bytes, $rows rows"
echo "ledger           $(stat -c %s "$run/ledger.sqlite") bytes"
bytes="$(find "$run/outcomes" -type f -printf '%s\n' | awk '{n += $1} END {print n}')"
echo "outcome files    $bytes bytes, $(awk "BEGIN {printf \"%.2f\", $bytes / $rows}") a row"
echo "summary          $(stat -c %s "$run/summary.json") bytes, $(grep -c '"attempt"' "$run/summary.json" || true) jobs"
echo "rows             $(sed -n '/"rows": {/,/}/p' "$run/summary.json" | tr -d ' \n')"
in_org="$("$bulkhaul" query --format csv 'SELECT COUNT() FROM Account' --org env | tail -n 1)"
echo "in the org       $in_org"
echo "org's memory     $(($(peak "$org_pid") / 1024)) MiB"
kill "$org_pid"
echo "faults           $(tail -n 1 <&"$org")"
org_pid=
echo "exit code        $code"
exit "$code"
