"""Package folders: replaced as a whole, with checksums that stand for them, and verified wherever they are.

Example:
    with new_package(Path("out/demo-tdt/package/dynamic/web/SHA256SUMS")) as folder:
        copy(Path("out/demo-tdt/onnx/joint.onnx"), folder / "graphs/joint.onnx")
    problems = verify(Path("out/demo-tdt/package/dynamic/web"))
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from transducer.core.cli import InputError, existing, replacing, sha256_of
from transducer.core.digests import Digests
from transducer.core.progress import progress

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"


@contextlib.contextmanager
def new_package(sums: Path, digests: Digests | None = None) -> Iterator[Path]:
    """Yield an empty folder that takes the place of the one of `sums`, once complete and with its checksums.

    `digests` are those that the block knows of its files already.
    Raises: InputError rather than replace a folder that is not a package.
    """
    digests = digests or Digests()
    place = sums.parent
    if place.is_dir() and any(place.iterdir()) and not sums.is_file():
        raise InputError(f"{place} holds files but no {SUMS}, so it is not a package; move it or set PACKAGE_DIR.")
    with replacing(place) as folder:
        folder.mkdir()
        yield folder
        lines = [f"{digests.of(folder / path)}  {path}\n" for path in files_in(folder)]
        (folder / sums.name).write_text("".join(lines), encoding="utf-8")


def files_in(folder: Path) -> list[str]:
    """Return the paths of all that is in a folder but folders, in order, with slashes."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def copy(source: Path, target: Path, digests: Digests | None = None) -> None:
    """Copy a file of any size to a place where there is none.

    Not linked: onnx.checker refuses a sidecar with a second hard link, in both places.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    size = existing(source, "build it first").stat().st_size
    with (
        source.open("rb") as raw,
        target.open("xb") as stream,
        progress(desc=source.name, total=size, unit="B", unit_scale=True, leave=False) as bar,
    ):
        while block := raw.read(1 << 22):
            bar.update(stream.write(block))
    if digests:
        digests.record_copy(source, target)


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a package, a phrase for each file, named first; nothing if all is as it was packaged.

    SHA256SUMS says which files there are, and a manifest, where the package has one, says so too.
    Raises: InputError if the folder is not a package.
    """
    if not (folder / SUMS).is_file():
        if (folder / MANIFEST).is_file():
            return [f"{SUMS} is missing"]
        raise InputError(f"{folder} has no {SUMS}, so it is not a package; set DIR to a package's folder.")
    try:
        sums = _read_sums(folder / SUMS)
    except ValueError:
        return [f"{SUMS} was changed, as it is not a list of checksums"]
    actual = {path: _sum_of(folder / path) for path in files_in(folder) if path != SUMS}
    if MANIFEST in actual and MANIFEST not in sums:
        return [f"{SUMS} was changed, as it does not list {MANIFEST}"]
    if MANIFEST in actual and actual[MANIFEST] == sums[MANIFEST]:
        entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        if {entry["path"]: entry["sha256"] for entry in entries} != {k: v for k, v in sums.items() if k != MANIFEST}:
            return [f"{SUMS} was changed, as it does not list what {MANIFEST} does"]
    wrong = [f"{path} is missing" for path in sorted(sums.keys() - actual.keys())]
    wrong += [f"{path} does not belong to the package" for path in sorted(actual.keys() - sums.keys())]
    both = sorted(sums.keys() & actual.keys())
    return wrong + [f"{path} is not what {SUMS} says" for path in both if sums[path] != actual[path]]


def _read_sums(path: Path) -> dict[str, str]:
    """Return SHA-256 by path. Raises: ValueError for any other list than new_package writes."""
    text = path.read_bytes().decode("utf-8")
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in text.split("\n")[:-1])}
    if "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)) != text:
        raise ValueError("not in order")
    return sums


def _sum_of(path: Path) -> str:
    return "a link" if path.is_symlink() else sha256_of(path)
