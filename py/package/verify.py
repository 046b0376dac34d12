"""Verify that a package is as it was made: every file there, unchanged, and none besides.

Example:
    .venv/bin/python py/package/verify.py out/demo-swipe/package/bundled/web
"""

import sys
from pathlib import Path

from transducer.core.cli import CheckError, InputError, parser, run
from transducer.package.folder import files_in, verify


def main() -> int:
    args = parser(__doc__)
    args.add_argument("folder", type=Path, help="a package of any kind")
    folder: Path = args.parse_args().folder
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; set DIR to the folder of a package, unpacked.")
    if wrong := verify(folder):
        raise CheckError(f"{folder}: {'; '.join(wrong)}.")
    print(f"{folder}: {len(files_in(folder))} files, all as they were packaged")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
