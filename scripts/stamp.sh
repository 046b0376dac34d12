#!/usr/bin/env bash
# Write a flag stamp and say what changed: stamp.sh FILE 'FLAGS'.
set -eu
file=$1 flags=$2
mkdir -p "$(dirname "$file")" || {
    echo "error: $(dirname "$file") cannot be made; point OUT at a folder that you may write to." >&2
    exit 2
}
if [ -f "$file" ]; then
    printf '  %-9s %s: %s, was %s\n' FLAGS "$(basename "$file")" "$flags" "$(cat "$file")"
fi
rm -f "$file".[0-9]*.tmp
if ! { printf '%s' "$flags" >"$file.$$.tmp" && mv "$file.$$.tmp" "$file"; } 2>/dev/null; then
    rm -f "$file.$$.tmp"
    echo "error: $file cannot be written; free some space or point OUT at a folder that you may write to." >&2
    exit 2
fi
