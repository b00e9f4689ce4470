#!/usr/bin/env bash
# A mapping of 20 fields beside the same job in Polars: a CSV file to a CSV file,
# on one thread and on all. The two files must be the same, byte for byte.
#
#   benches/mapping.sh           with a keyed hash, for which Polars calls Python
#   benches/mapping.sh plain     without it: all in native code on both sides
#
# RUNS (5) and WORK (target/bench-mapping) say otherwise. Wants python3 with
# venv and GNU time, on Linux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

repeats="${RUNS:-5}"
work="${WORK:-${CARGO_TARGET_DIR:-target}/bench-mapping}"
readonly POLARS="polars==2.1.0"

bench="$(cargo bench --bench mapping --no-run --message-format=json 2>/dev/null |
    sed -nE 's/.*"name":"mapping".*"executable":"([^"]+)".*/\1/p' | tail -1)"
[[ -x "$bench" ]] || { echo "the bench can't be built" >&2; exit 1; }

mkdir -p "$work"
work="$(cd "$work" && pwd)"
if [[ ! -e "$work/python-${POLARS//[=]/-}.done" ]]; then
    rm -rf "$work/python"
    python3 -m venv "$work/python"
    "$work/python/bin/pip" install --quiet --disable-pip-version-check "$POLARS"
    touch "$work/python-${POLARS//[=]/-}.done"
fi
rm -f "$work"/*.csv "$work/mapping.toml"
export BULKHAUL_BESIDE="$work"
[[ "${1:-}" != plain ]] || export BULKHAUL_BESIDE_PLAIN=1
"$bench"
bytes="$(stat -c %s "$work/source.csv")"

# timed NAME THREADS COMMAND...: a line of wall and CPU seconds and peak MiB.
timed() {
    local name="$1" threads="$2"
    shift 2
    RAYON_NUM_THREADS="$threads" POLARS_MAX_THREADS="$threads" \
        /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@"
    awk -v name="$name" -v threads="$threads" \
        '{printf "%s %d %.2f %.2f %d\n", name, threads, $1, $2 + $3, $4 / 1024}' "$work/time" >>"$work/took"
}

: >"$work/took"
threads=(1 "$(nproc)")
for _ in $(seq "$repeats"); do
    for count in "${threads[@]}"; do
        timed bulkhaul "$count" "$bench"
        timed polars "$count" "$work/python/bin/python" benches/mapping-polars.py "$work" "${@:1:1}"
        cmp "$work/bulkhaul.csv" "$work/polars.csv"
    done
done

echo "tool threads: median wall s, median CPU s, most MiB, MB/s of source by wall"
sort "$work/took" | awk -v bytes="$bytes" '
    function median(values, count,    sorted, i, j, swap) {
        for (i = 1; i <= count; i++) sorted[i] = values[i]
        for (i = 1; i <= count; i++) for (j = i + 1; j <= count; j++)
            if (sorted[j] < sorted[i]) { swap = sorted[i]; sorted[i] = sorted[j]; sorted[j] = swap }
        return count % 2 ? sorted[(count + 1) / 2] : (sorted[count / 2] + sorted[count / 2 + 1]) / 2
    }
    function tell() {
        if (n) printf "%s: %.2f %.2f %d %.0f\n", key, median(wall, n), median(cpu, n), most, bytes / 1e6 / median(wall, n)
    }
    ($1 " " $2) != key { tell(); key = $1 " " $2; n = 0; most = 0 }
    { n++; wall[n] = $3; cpu[n] = $4; if ($5 > most) most = $5 }
    END { tell() }'
