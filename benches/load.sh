#!/usr/bin/env bash
# Whole loads against the floor: what curl needs that puts files split at the
# very same borders, and throws the result sets away. benches/README.md says how
# it works.
#
#   benches/load.sh              upsert by a text key: unpaced, then paced
#   benches/load.sh insert       insert without any key column, unpaced
#   benches/load.sh small        100 rows: from the org being done to the end
#   benches/load.sh memory       peak memory, 1 million and 10 million rows
#   benches/load.sh size         peak memory, a source of 100 MB and one of 10 GB
#   benches/load.sh slow-link    with --compress-upload and without, on a slow line
#
# ROWS (1000000), RUNS (5), LANES (4), SPEED (100000, rows a second of the paced
# org), LINE (5000000, bytes a second of the slow line), TMPFS (/dev/shm) and WORK (target/bench-load) say otherwise. Wants
# `cargo build --release` before it, curl, and Linux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
source scripts/bench-org.sh

target="${CARGO_TARGET_DIR:-target}"
bulkhaul="${BULKHAUL:-$target/release/bulkhaul}"
rows="${ROWS:-1000000}"
repeats="${RUNS:-5}"
export lanes="${LANES:-4}"
speed="${SPEED:-100000}"
work="${WORK:-$target/bench-load}"
# Disks of shared machines stall; what is written is the same.
fast="${TMPFS:-/dev/shm}/bulkhaul-bench-load"

mkdir -p "$work" "$fast"
org_pid=
clean() {
    [[ -z "$org_pid" ]] || kill "$org_pid" 2>/dev/null || true
    rm -rf "$fast"
}
trap clean EXIT

# stop_org: ends the org; its CPU seconds and peak memory in MiB go to `org_took`.
stop_org() {
    local ticks peak
    ticks="$(awk '{print $14 + $15}' "/proc/$org_pid/stat")"
    peak="$(awk '/^VmHWM/ {print $2}' "/proc/$org_pid/status")"
    org_took="$(awk -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" -v kib="$peak" \
        'BEGIN {printf "%.2f %d", ticks / hz, kib / 1024}')"
    kill "$org_pid"
    wait "$org_pid" 2>/dev/null || true
    exec {org}<&-
    org_pid=
}

# timed COMMAND...: wall and CPU seconds, and the peak memory in MiB of its
# largest process, to `took`.
timed() {
    /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@" >"$work/out" 2>&1 ||
        { cat "$work/out" >&2; exit 1; }
    took="$(awk '{printf "%.2f %.2f %d", $1, $2 + $3, $4 / 1024}' "$work/time")"
}

# client FLAG...: one load of `source`.
client() {
    rm -rf "$fast/runs"
    timed "$bulkhaul" load "$source" --object Account --org env --parallel "$lanes" \
        --runs-dir "$fast/runs" --progress none --quiet --yes "$@"
}

# split_source: the chunks of the load that just ran, as files of their own.
split_source() {
    local header bytes at number=0
    rm -rf "$fast/parts"
    mkdir -p "$fast/parts"
    header="$(head -n 1 "$source")"
    at=$((${#header} + 1))
    for bytes in $(awk '/"jobs": \[/ {on = 1} /^  \]/ {on = 0} on && /"bytes"/ {print $2 + 0}' \
        "$fast"/runs/*/summary.json); do
        number=$((number + 1))
        {
            echo "$header"
            dd if="$source" bs=1M iflag=skip_bytes,count_bytes skip="$at" count="$bytes" status=none
        } >"$fast/parts/$(printf %04d "$number").csv"
        at=$((at + bytes))
    done
    ((at == $(stat -c %s "$source"))) || { echo "the chunks are not the file" >&2; exit 1; }
}

# one_job FILE: a job from its creation to its result sets.
one_job() {
    local job state set
    local json='Content-Type: application/json' jobs="$BULKHAUL_LOGIN_URL/services/data/v66.0/jobs/ingest"
    local call=(curl --silent --show-error --fail --header "Authorization: Bearer $TOKEN")
    job="$("${call[@]}" --header "$json" --data "$JOB" "$jobs" | sed -E 's/.*"id":"([^"]*)".*/\1/')"
    "${call[@]}" --header 'Content-Type: text/csv' --header 'Expect:' --upload-file "$1" "$jobs/$job/batches"
    "${call[@]}" --header "$json" --request PATCH --data '{"state":"UploadComplete"}' "$jobs/$job" >/dev/null
    while true; do
        state="$("${call[@]}" "$jobs/$job")"
        case "$state" in *'"state":"JobComplete"'*) break ;; *'"state":"Failed"'*) exit 1 ;; esac
        sleep 0.25
    done
    for set in successfulResults failedResults unprocessedrecords; do
        "${call[@]}" --output /dev/null "$jobs/$job/$set"
    done
}
export -f one_job

# log_in: a token for curl.
log_in() {
    TOKEN="$(curl --silent --fail "$BULKHAUL_LOGIN_URL/services/oauth2/token" \
        --data grant_type=client_credentials --data "client_id=$BULKHAUL_CLIENT_ID" \
        --data "client_secret=$BULKHAUL_CLIENT_SECRET" | sed -E 's/.*"access_token":"([^"]*)".*/\1/')"
    export TOKEN
}

# the_floor: all parts, so many lanes at a time.
the_floor() {
    log_in
    # shellcheck disable=SC2016 # for the shell that xargs starts
    timed bash -c 'printf "%s\n" "$0"/*.csv | xargs -P "$lanes" -I{} bash -c "set -euo pipefail; one_job {}"' \
        "$fast/parts"
}

# spread COLUMN: the smallest, the median and the largest number of a column.
spread() {
    cut -d' ' -f"$1" | sort -n | awk '{v[NR] = $1} END {
        m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
        printf "%.2f / %.2f / %.2f", v[1], m, v[NR]}'
}

# side_by_side NAME ORG_FLAGS JOB FLAG...: load and floor in turn, each into a
# fresh org in memory.
side_by_side() {
    local name="$1" org_flags="$2" results="$work/results" load floor org_of_load i
    export JOB="$3"
    shift 3
    # shellcheck disable=SC2086 # flags, parted by blanks
    run() { start_org $org_flags; "$@"; stop_org; }
    cat "$source" >/dev/null # into the cache
    run client "$@"          # a warm-up, which also tells the borders
    split_source
    : >"$results"
    echo "== $name: $(stat -c %s "$source") bytes, $(ls "$fast/parts" | wc -l) jobs, $lanes lanes"
    for ((i = 1; i <= repeats; i++)); do
        # Whoever is second may find a slower machine: take turns.
        if ((i % 2)); then
            run client "$@"; load="$took"; org_of_load="$org_took"
            run the_floor; floor="$took"
        else
            run the_floor; floor="$took"
            run client "$@"; load="$took"; org_of_load="$org_took"
        fi
        awk '{printf "%s %s %s %s %s %s %s %s %s %s %.3f %.3f\n", $1, $2, $3, $4, $5, $6, $7, $8, $9,
            $10, $1 / $6, $2 / $7}' <<<"$load $org_of_load $floor $org_took" | tee -a "$results" |
            awk '{printf "load %s s, CPU %s s, %s MiB (org: CPU %s s, %s MiB)   floor %s s, CPU %s s " \
                "(org: CPU %s s)   load/floor: wall %s, CPU %s\n",
                $1, $2, $3, $4, $5, $6, $7, $9, $11, $12}'
    done
    local names=(_ "load, wall s" "load, CPU s" "load, peak MiB" "org of the load, CPU s"
        "org of the load, peak MiB" "floor, wall s" "floor, CPU s" "floor, peak MiB of one curl"
        "org of the floor, CPU s" "org of the floor, peak MiB" "load / floor, wall" "load / floor, CPU")
    for i in 1 2 3 4 5 6 7 9 11 12; do
        printf '%-28s %s\n' "${names[i]}" "$(spread "$i" <"$results")"
    done
}

upsert_job='{"object":"Account","operation":"upsert","externalIdFieldName":"Legacy_Id__c"}'
insert_job='{"object":"Account","operation":"insert"}'
upsert=(--operation upsert --external-id Legacy_Id__c)

case "${1:-all}" in
all)
    source_of "$rows" "$work"
    side_by_side "upsert, unpaced" "" "$upsert_job" "${upsert[@]}"
    side_by_side "upsert, $speed rows/s" "--speed $speed" "$upsert_job" "${upsert[@]}"
    ;;
insert)
    source="$work/no-key-$rows.csv"
    [[ -f "$source" ]] || "$bulkhaul" generate --object Account --rows "$rows" --quiet --out "$source" \
        --columns Name,Industry,AnnualRevenue,NumberOfEmployees,Website,BillingStreet,Active__c,Last_Audit__c,Segments__c,Email__c,BillingCity,Score__c
    side_by_side "insert, no key column" "" "$insert_job" --operation insert
    ;;
small)
    source_of 100 "$work"
    for ((i = 1; i <= repeats; i++)); do
        start_org
        log_in
        # Looks for itself when the org is done, since a load can only ask.
        (
            until curl --silent --header "Authorization: Bearer $TOKEN" \
                "$BULKHAUL_LOGIN_URL/services/data/v66.0/jobs/ingest" | grep -q '"JobComplete"'; do :; done
            date +%s.%N >"$work/done"
        ) &
        watcher=$!
        client "${upsert[@]}"
        ended="$(date +%s.%N)"
        wait "$watcher"
        stop_org
        echo "100 rows: $(awk -v a="$(cat "$work/done")" -v b="$ended" 'BEGIN {printf "%.2f", b - a}') s from" \
            "the org being done to the end; in all $took (wall s, CPU s, peak MiB)"
    done
    ;;
memory)
    for count in 1000000 10000000; do
        source_of "$count" "$work"
        # Ten million records would take 9 GB of memory.
        rm -rf "$work/org"
        org_dir="$work/org"
        start_org
        client "${upsert[@]}"
        stop_org
        rm -rf "$work/org"
        echo "$count rows, $(stat -c %s "$source") bytes: $took (wall s, CPU s, peak MiB)"
    done
    ;;
size)
    mkdir -p "$work/on-disk"
    # Each row has 2,000 characters that aren't sent: of 10 GB everything is
    # read and stands in the result files, and the org's disk is spared.
    for count in 45000 4500000; do
        # Columns without line breaks, so that a line is a record.
        source="$work/wide-$count.csv"
        "$bulkhaul" generate --object Account --rows "$count" --quiet \
            --columns Legacy_Id__c,Name,Industry,AnnualRevenue,NumberOfEmployees,Website,Active__c,BillingCity,Score__c |
            awk 'BEGIN {for (i = 0; i < 200; i++) text = text "0123456789"}
                NR == 1 {print $0 ",Remark"; next} {print $0 "," text}' >"$source"
        org_dir="$work/org" fast="$work/on-disk"
        # Small files make small chunks; with the same chunks it is the same.
        for chunks in "" "--chunk-rows 10000"; do
            rm -rf "$org_dir"
            start_org
            # shellcheck disable=SC2086 # a flag and its value
            client "${upsert[@]}" --map 'Remark=' $chunks
            stop_org
            results="$(stat -c %s "$fast"/runs/*/success.csv)"
            echo "$count rows, $(stat -c %s "$source") bytes, $results in success.csv${chunks:+, $chunks}:" \
                "$took (wall s, CPU s, peak MiB)"
            rm -rf "$org_dir" "$fast/runs"
        done
        rm "$source"
    done
    ;;
slow-link)
    source_of "$rows" "$work"
    for ((i = 1; i <= repeats; i++)); do
        for how in "" --compress-upload; do
            start_org
            log_in
            exec {line}< <(exec python3 benches/slow-link.py "${BULKHAUL_LOGIN_URL##*:}" "${LINE:-5000000}")
            line_pid=$!
            read -r port <&"$line"
            BULKHAUL_INSTANCE_URL="http://127.0.0.1:$port" BULKHAUL_ACCESS_TOKEN="$TOKEN" \
                client "${upsert[@]}" $how
            kill "$line_pid"
            exec {line}<&-
            stop_org
            echo "${how:-plain}: $took (wall s, CPU s, peak MiB)," \
                "$(grep -o '"bytes_[a-z]*": [0-9]*' "$fast"/runs/*/summary.json | tr '\n' ' ')"
        done
    done
    ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'
    exit 2
    ;;
esac
