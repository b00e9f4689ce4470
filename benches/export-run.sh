#!/usr/bin/env bash
# Whole exports against the floor, which is curl downloading the same pages, and
# against DuckDB and Polars making Parquet of them. benches/README.md says how.
#
#   benches/export.sh            unpaced, then from an org paced to PACE bytes/s
#   benches/export.sh memory     peak memory, 1 million and 10 million records
#
# ROWS (1000000), RUNS (5), LANES (4), PACE (25000000), TMPFS (/dev/shm) and
# WORK (target/bench-export) say otherwise; BULKHAUL names another binary. Wants
# `cargo build --release` before it, curl, python3 with venv, and Linux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
source scripts/bench-org.sh

target="${CARGO_TARGET_DIR:-target}"
bulkhaul="${BULKHAUL:-$target/release/bulkhaul}"
rows="${ROWS:-1000000}"
repeats="${RUNS:-5}"
export lanes="${LANES:-4}"
pace="${PACE:-25000000}"
work="${WORK:-$target/bench-export}"
fast="${TMPFS:-/dev/shm}/bulkhaul-bench-export"
readonly READERS="duckdb==2.0.1 polars==2.1.0"
export THREADS=2
fields=Name,Legacy_Id__c,Industry,AnnualRevenue,NumberOfEmployees,Website,BillingStreet,Active__c,Last_Audit__c,Segments__c,BillingCity,Score__c

mkdir -p "$work" "$fast"
org_pid=
clean() {
    [[ -z "$org_pid" ]] || kill "$org_pid" 2>/dev/null || true
    rm -rf "$fast"
}
trap clean EXIT

readers() {
    local stamp="$work/readers-${READERS//[ =]/-}.done"
    [[ -e "$stamp" ]] && return
    rm -rf "$work/readers"
    python3 -m venv "$work/readers"
    # shellcheck disable=SC2086 # several packages
    "$work/readers/bin/pip" install --quiet --disable-pip-version-check $READERS
    touch "$stamp"
}

# timed COMMAND...: wall and CPU seconds, peak MiB of its largest process, and
# the org's CPU seconds meanwhile, to `took`.
timed() {
    local before after hz
    hz="$(getconf CLK_TCK)"
    before="$(awk '{print $14 + $15}' "/proc/$org_pid/stat")"
    /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@" >"$work/out" 2>&1 ||
        { cat "$work/out" >&2; exit 1; }
    after="$(awk '{print $14 + $15}' "/proc/$org_pid/stat")"
    took="$(awk -v org="$((after - before))" -v hz="$hz" \
        '{printf "%.2f %.2f %d %.2f", $1, $2 + $3, $4 / 1024, org / hz}' "$work/time")"
}

log_in() {
    TOKEN="$(curl --silent --fail "$BULKHAUL_LOGIN_URL/services/oauth2/token" \
        --data grant_type=client_credentials --data "client_id=$BULKHAUL_CLIENT_ID" \
        --data "client_secret=$BULKHAUL_CLIENT_SECRET" | sed -E 's/.*"access_token":"([^"]*)".*/\1/')"
    export TOKEN
}

# the_floor PREFIX: a query job, asked every 250 ms until it is done, and all its
# pages in lanes; to /dev/null, or to PREFIX0001.csv and so on.
the_floor() {
    set -euo pipefail
    local base="$BULKHAUL_LOGIN_URL" jobs job state answer path links=() number=0
    local call=(curl --silent --show-error --fail --header "Authorization: Bearer $TOKEN")
    jobs="$base/services/data/v66.0/jobs/query"
    job="$("${call[@]}" --header 'Content-Type: application/json' \
        --data "{\"operation\":\"query\",\"query\":\"SELECT $FIELDS FROM Account\"}" "$jobs" |
        sed -E 's/.*"id":"([^"]*)".*/\1/')"
    while true; do
        state="$("${call[@]}" "$jobs/$job")"
        case "$state" in *'"state":"JobComplete"'*) break ;; *'"state":"Failed"'*) exit 1 ;; esac
        sleep 0.25
    done
    path="/services/data/v66.0/jobs/query/$job/resultPages"
    while [[ -n "$path" ]]; do
        answer="$("${call[@]}" "$base$path")"
        mapfile -t -O "${#links[@]}" links < <(grep -oE '"result(Url|Link)" *: *"[^"]*"' <<<"$answer" |
            sed -E 's/.*: *"([^"]*)"/\1/')
        path="$(sed -nE 's/.*"nextRecordsUrl" *: *"([^"]*)".*/\1/p' <<<"$answer")"
        # A path without the leading API base is completed.
        [[ -z "$path" || "$path" == /* ]] || path="/services/data/v66.0/$path"
    done
    ((${#links[@]})) || { echo "no pages" >&2; exit 1; }
    # One process for all pages, so that what starting processes costs is not
    # counted as transfer.
    for path in "${links[@]}"; do
        number=$((number + 1))
        [[ "$path" == /* ]] || path="/services/data/v66.0/$path"
        printf 'url = "%s%s"\noutput = "%s"\n' "$base" "$path" \
            "$([[ -n "${1:-}" ]] && printf '%s%04d.csv' "$1" $number || echo /dev/null)"
    done | "${call[@]}" --no-progress-meter --parallel --parallel-immediate \
        --parallel-max "$lanes" --config -
}
export -f the_floor
export FIELDS="$fields"

client() {
    rm -rf "$fast/archive" "$fast/runs"
    timed "$bulkhaul" export --object Account --fields "$fields" --out "$fast/archive" --org env \
        --parallel "$lanes" --runs-dir "$fast/runs" --progress none --quiet --yes
}

# load_org ROWS: so many accounts into the org that runs.
load_org() {
    source_of "$1" "$work"
    "$bulkhaul" load "$source" --object Account --org env --operation upsert --external-id Legacy_Id__c \
        --runs-dir "$fast/runs" --progress none --quiet --yes >/dev/null
    rm -rf "$fast/runs"
}

spread() {
    cut -d' ' -f"$1" | sort -n | awk '{v[NR] = $1} END {
        m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
        printf "%.2f / %.2f / %.2f", v[1], m, v[NR]}'
}

# restart_org FLAG...: the same org again, in its folder.
restart_org() {
    if [[ -n "$org_pid" ]]; then
        kill "$org_pid"; wait "$org_pid" 2>/dev/null || true
        exec {org}<&-
        org_pid=
    fi
    start_org "$@"
    log_in
}

case "${1:-all}" in
all)
    readers
    python="$work/readers/bin/python"
    org_dir="$fast/org"
    rm -rf "$org_dir"
    restart_org
    load_org "$rows"
    # The pages for those who only convert.
    rm -rf "$fast/pages"; mkdir -p "$fast/pages"
    the_floor "$fast/pages/"
    echo "== $rows records, $(cat "$fast"/pages/*.csv | wc -c) bytes in $(ls "$fast/pages" | wc -l) pages, $lanes lanes"
    client # a warm-up
    : >"$work/results"
    for ((i = 1; i <= repeats; i++)); do
        # Whoever is second may find a slower machine: take turns.
        if ((i % 2)); then
            client; export_took="$took"; timed bash -c the_floor; floor="$took"
        else
            timed bash -c the_floor; floor="$took"; client; export_took="$took"
        fi
        timed "$python" benches/convert.py duckdb "$fast/pages" "$fast/duckdb.parquet"; duck="$took"
        timed "$python" benches/convert.py polars "$fast/pages" "$fast/polars.parquet"; pola="$took"
        awk '{better = $10 < $14 ? $10 : $14; wall = $9 < $13 ? $9 : $13
            printf "%s %.3f %.3f\n", $0, ($2 - $6) / better, $1 / ($5 + wall)}' \
            <<<"$export_took $floor $duck $pola" | tee -a "$work/results" |
            awk '{printf "export %s s, CPU %s s, %s MiB (org CPU %s s)   floor %s s, CPU %s s (org CPU %s s)   " \
                "DuckDB %s s, CPU %s s, %s MiB   Polars %s s, CPU %s s, %s MiB   CPU without transfer / better: %s   " \
                "wall / (floor + conversion): %s\n", $1, $2, $3, $4, $5, $6, $8, $9, $10, $11, $13, $14, $15, $17, $18}'
    done
    names=(_ "export, wall s" "export, CPU s" "export, peak MiB" "org of the export, CPU s"
        "floor, wall s" "floor, CPU s" "floor, peak MiB of one curl" "org of the floor, CPU s"
        "DuckDB, wall s" "DuckDB, CPU s" "DuckDB, peak MiB" _ "Polars, wall s" "Polars, CPU s"
        "Polars, peak MiB" _ "(export - floor) / better, CPU" "export / (floor + conversion), wall")
    for i in 1 2 3 4 5 6 7 8 9 10 11 13 14 15 17 18; do
        printf '%-36s %s\n' "${names[i]}" "$(spread "$i" <"$work/results")"
    done
    "$python" benches/convert.py same "$fast"/archive/Account/*.parquet "$fast/duckdb.parquet" "$fast/polars.parquet"
    ls -l "$fast"/*.parquet | awk '{print $NF, $5, "bytes"}'
    find "$fast/archive" -name '*.parquet' -printf '%p %s bytes\n'

    restart_org --faults "download-bytes-per-second=$pace"
    : >"$work/results"
    echo "== the org paced to $pace bytes/s"
    for ((i = 1; i <= repeats; i++)); do
        if ((i % 2)); then
            client; export_took="$took"; timed bash -c the_floor; floor="$took"
        else
            timed bash -c the_floor; floor="$took"; client; export_took="$took"
        fi
        awk '{printf "%s %.3f\n", $0, $1 / $5}' <<<"$export_took $floor" | tee -a "$work/results" |
            awk '{printf "export %s s, CPU %s s, %s MiB   floor %s s, CPU %s s   export/floor: wall %s\n",
                $1, $2, $3, $5, $6, $9}'
    done
    printf '%-36s %s\n' "export / floor, wall" "$(spread 9 <"$work/results")"
    ;;
memory)
    for count in 1000000 10000000; do
        # Ten million records would take 9 GB of memory.
        org_dir="$work/org"
        rm -rf "$org_dir"
        restart_org
        load_org "$count"
        client
        rm -rf "$fast/archive"
        kill "$org_pid"; wait "$org_pid" 2>/dev/null || true
        exec {org}<&-
        org_pid=
        rm -rf "$org_dir"
        echo "$count records: $took (wall s, CPU s, peak MiB, CPU s of the org)"
    done
    ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'
    exit 2
    ;;
esac
