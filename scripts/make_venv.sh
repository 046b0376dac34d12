#!/usr/bin/env bash
# Make a virtual environment, or say what is missing: make_venv.sh PYTHON FOLDER.
set -eu
python=$1 folder=$2
if ! command -v "$python" >/dev/null; then
    echo "error: $python is not installed; install Python 3.11, or set BASE_PYTHON or PYTHON to one." >&2
    exit 2
fi
# A half-made environment of a killed run is made anew; a whole one is kept, so that pip has little to do.
[ -x "$folder/bin/pip" ] || "$python" -m venv --clear "$folder"
