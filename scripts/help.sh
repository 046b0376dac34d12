#!/usr/bin/env bash
# List the targets documented as `target: ... ## text` in the given makefiles, under their `## heading`s.
set -eu
awk '
    /^## /                { heading = substr($0, 4) }
    /^[a-z0-9_. -]+:.*## / {
        split($0, parts, /:[^#]*## /)
        if (heading != "") { printf "\n%s:\n", heading; heading = "" }
        printf "  %-28s %s\n", parts[1], parts[2]
    }
' "$@"
