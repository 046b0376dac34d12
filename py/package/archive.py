"""Pack a package into one file, .zip or .tar.zst by its name: the same bytes for the same package, on any day.

Example:
    .venv/bin/python py/package/archive.py --package out/demo-swipe/package/bundled/web/SHA256SUMS \
        --output out/demo-swipe/package/demo-swipe-bundled-web.zip
"""

import sys
import tarfile
import zipfile
from pathlib import Path

import zstandard

from transducer.core.cli import CheckError, InputError, existing, log, parser, replacing, run
from transducer.core.progress import progress
from transducer.package.folder import files_in, verify

# zip's first day; tar's is 1970, which some tools take for a missing date.
DATE = (1980, 1, 1, 0, 0, 0)
SECONDS = 315532800
MODE = 0o644
UNIX = 3
ZIP_LEVEL = 9
ZSTD_LEVEL = 12


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--package", type=Path, required=True, help="SHA256SUMS of the folder to pack")
    args.add_argument("--max-bytes", type=int, help="fail above this size")
    args.add_argument("--output", type=Path, required=True, help="NAME.zip or NAME.tar.zst, which unpacks to NAME/")
    options = args.parse_args()
    folder: Path = existing(options.package, "run `make package-dynamic` or `make package-bundled` first").parent
    if wrong := verify(folder):
        raise CheckError(f"{folder}: {'; '.join(wrong)}.")
    name = options.output.name
    with replacing(options.output) as tmp:
        if name.endswith(".zip"):
            write_zip(folder, name.removesuffix(".zip"), tmp)
        elif name.endswith(".tar.zst"):
            write_tar(folder, name.removesuffix(".tar.zst"), tmp)
        else:
            raise InputError(f"{options.output}: give a name that ends in .zip or .tar.zst.")
        size = tmp.stat().st_size
        if options.max_bytes and size > options.max_bytes:
            raise CheckError(f"{options.output} has {size} bytes; the bound is {options.max_bytes}.")
    log.info("%s: %.2f MB", options.output, size / 1e6)
    return 0


def write_zip(folder: Path, root: str, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in progress(files_in(folder), desc=root, unit="file", leave=False):
            entry = zipfile.ZipInfo(f"{root}/{file}", DATE)
            entry.create_system, entry.external_attr = UNIX, MODE << 16
            archive.writestr(entry, (folder / file).read_bytes(), zipfile.ZIP_DEFLATED, ZIP_LEVEL)


def write_tar(folder: Path, root: str, path: Path) -> None:
    with (
        path.open("wb") as raw,
        zstandard.ZstdCompressor(level=ZSTD_LEVEL).stream_writer(raw) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in progress(files_in(folder), desc=root, unit="file", leave=False):
            entry = tarfile.TarInfo(f"{root}/{file}")
            entry.size, entry.mtime, entry.mode = (folder / file).stat().st_size, SECONDS, MODE
            with (folder / file).open("rb") as source:
                archive.addfile(entry, source)


if __name__ == "__main__":
    sys.exit(run(main))
