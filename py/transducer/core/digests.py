"""SHA-256 digests of files, each file being read once as long as it does not change.

Example:
    digests = Digests()
    digests.of(path)  # reads the file
    digests.of(path)  # does not
"""

from dataclasses import dataclass, field
from pathlib import Path

from transducer.core.cli import sha256_of

# Absolute path, size in bytes, and time of the last change in nanoseconds.
Key = tuple[Path, int, int]


@dataclass(frozen=True)
class Digests:
    """SHA-256 of files by path, size and time of change, for as long as one worker runs."""

    known: dict[Key, str] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file of any size, in hexadecimal."""
        key = _key(path)
        if key not in self.known:
            self.known[key] = sha256_of(path)
        return self.known[key]

    def copied(self, source: Path, target: Path) -> None:
        """Record that `target` was just copied from `source`, so that it has the digest of it, if that is known.

        A fault while it was copied is found by whoever verifies the copy, as the digest is that of the source.
        """
        if (key := _key(source)) in self.known:
            self.known[_key(target)] = self.known[key]


def _key(path: Path) -> Key:
    status = path.stat()
    return path.absolute(), status.st_size, status.st_mtime_ns
