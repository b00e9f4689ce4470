# What scripts that time whole loads share; sourced, not run. Wants `bulkhaul`,
# the binary, to be set.

# source_of ROWS FOLDER: a file of so many accounts, made once; in `source`.
source_of() {
    source="$2/accounts-$1.csv"
    if [[ ! -f "$source" ]]; then
        "$bulkhaul" generate --object Account --rows "$1" --out "$source.part" --quiet
        mv "$source.part" "$source"
    fi
}

field() { sed -E "s/.*\"$2\":\"?([^\",}]*).*/\1/" <<<"$1"; }

# start_org ARGUMENT...: a local org in a process of its own, in memory or in the
# folder `org_dir` names: `org_pid`, its output on the descriptor `org`, its login
# in the environment.
start_org() {
    local line store=(--memory)
    [[ -z "${org_dir:-}" ]] || store=(--dir "$org_dir")
    exec {org}< <(exec "$bulkhaul" local-org serve "${store[@]}" --port 0 --json "$@")
    org_pid=$!
    read -r line <&"$org"
    export BULKHAUL_LOGIN_URL BULKHAUL_CLIENT_ID BULKHAUL_CLIENT_SECRET
    BULKHAUL_LOGIN_URL="$(field "$line" url)"
    BULKHAUL_CLIENT_ID="$(field "$line" client_id)"
    [[ -z "${org_dir:-}" ]] || line="$(tr -d '\n ' <"$org_dir/credentials.json")"
    BULKHAUL_CLIENT_SECRET="$(field "$line" client_secret)"
}
