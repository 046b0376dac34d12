"""Unpack a .nemo archive that may be anything.

Example:
    unpack_nemo(Path("models/demo-tdt.nemo"), Path("out/demo-tdt/checkpoint"))
"""

import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from transducer.checkpoint.checkpoint import CONFIG, WEIGHTS
from transducer.core.cli import InputError
from transducer.core.progress import progress

if TYPE_CHECKING:
    from tqdm import tqdm

# A .nemo has some ten members, and weights hardly shrink when they are packed.
MAX_MEMBERS, MAX_GROWTH = 10_000, 20


def unpack_nemo(archive: Path, folder: Path) -> None:
    """Write the archive's plain files into `folder`, flat or nested as they are packed.

    Raises: InputError for a file that is not an archive, is truncated, or has members that could escape the folder.
    """
    try:
        with tarfile.open(archive, "r:*") as tar:
            members, total = [], 0
            for member in tar:
                members.append((safe_path(member, archive), member))
                total += member.size
                # Before the next header, to reach which this member would be decompressed.
                if len(members) > MAX_MEMBERS or total > MAX_GROWTH * archive.stat().st_size:
                    raise InputError(
                        f"{archive}: unpacks to {len(members):,} files of {total:,} bytes and more, as no model does; "
                        "do not trust this file."
                    )
            members = [(path, member) for path, member in members if not member.isdir()]
            with progress(total=total, unit="B", unit_scale=True, desc=archive.name, leave=False) as bar:
                for path, member in members:
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    content = tar.extractfile(member)
                    assert content is not None  # safe_path allows only regular files
                    with (folder / path).open("wb") as target:
                        copy(content, target, bar)
    except (tarfile.ReadError, EOFError, zlib.error):
        with archive.open("rb") as stream:
            head = stream.read(512)
        # The tar or gzip header, even if the rest is damaged.
        if b"ustar" in head or head.startswith(b"\x1f\x8b"):
            problem = "is truncated or damaged; copy or download it again"
        else:
            problem = "is not a .nemo archive (a tar file); give MODEL a checkpoint saved with NeMo's save_to"
        raise InputError(f"{archive} {problem}.") from None
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{archive} has no {name}; give MODEL a checkpoint saved with NeMo's save_to.")


def safe_path(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    """Return the path of a member, after refusing anything but a plain file inside the folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{archive}: its member {member.name} points outside the archive; do not trust this file.")
    if not (member.isreg() or member.isdir()):
        raise InputError(f"{archive}: its member {member.name} is a link or device; do not trust this file.")
    return path


def copy(source: IO[bytes], target: IO[bytes], bar: "tqdm[Any]") -> None:
    while block := source.read(1 << 22):
        target.write(block)
        bar.update(len(block))
