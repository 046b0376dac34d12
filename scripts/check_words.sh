#!/usr/bin/env bash
# Fail where tracked text has a turn of phrase that the project's plain English does without.
set -eu
cd "$(dirname "$0")/.."
words='is no|are no|told|anew|as they come'
# Word lists and lock files are data, and this file names the words.
if git grep --line-number --word-regexp --ignore-case --extended-regexp -I "$words" -- . \
    ':!scripts/check_words.sh' ':!configs/vocabularies' ':!*package-lock.json' ':!constraints.txt' ':!LICENSE'; then
    echo "error: say it plainly: is not a, has no, logged, again, dynamic." >&2
    exit 1
fi
