#!/usr/bin/env bash
# One model of a fleet, and the table of all: fleet.sh build FOLDER COMMAND..., fleet.sh table FOLDER...
# A build that fails is recorded, not reported: the table does that, once all are done.
set -eu

build() {
    local folder=$1 began=$SECONDS result=built
    shift
    mkdir -p "$folder"
    printf '  %-9s %s\n' FLEET "$folder"
    "$@" >"$folder/fleet.log" 2>&1 </dev/null || result=failed
    printf '%s %d\n' "$result" $((SECONDS - began)) >"$folder/fleet.result.tmp"
    mv "$folder/fleet.result.tmp" "$folder/fleet.result"
}

table() {
    local folder result seconds failed=0
    printf '\n%-40s %-7s %8s\n' model result seconds
    for folder in "$@"; do
        read -r result seconds <"$folder/fleet.result"
        printf '%-40s %-7s %8d' "${folder##*/}" "$result" "$seconds"
        if [ "$result" = failed ]; then
            failed=$((failed + 1))
            printf '  %s' "$(reason "$folder/fleet.log")"
        fi
        printf '\n'
    done
    printf '\n%d built, %d failed\n' $(($# - failed)) "$failed"
    [ "$failed" = 0 ]
}

# The first message of a worker, or else what make says last.
reason() {
    grep -m1 '^error: ' "$1" || tail -n1 "$1"
}

"$@"
