#!/usr/bin/env bash
# Make a virtual environment whose Python finds this project's modules, or say what is missing:
# make_venv.sh PYTHON FOLDER MODULES.
set -eu
python=$1 folder=$2 modules=$3
if ! command -v "$python" >/dev/null; then
    echo "error: $python is not installed; install Python 3.11 to 3.13, or set BASE_PYTHON or PYTHON to one." >&2
    exit 2
fi
# NeMo 3.0.0 needs nv_one_logger_pytorch_lightning_integration, which has no release for 3.14.
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    echo "error: $python is $("$python" --version); install Python 3.11 to 3.13, or set BASE_PYTHON to one." >&2
    exit 2
fi
# A killed run leaves half an environment, which is made again; a whole one stays, so that pip has little to do.
[ -x "$folder/bin/pip" ] || "$python" -m venv --clear "$folder"
# Make sets PYTHONPATH itself; this is for workers that are run by hand.
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
realpath "$modules" >"$site/transducer.pth"
