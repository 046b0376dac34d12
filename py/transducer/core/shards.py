"""One part of a long evaluation, so that many can run side by side, and what all parts found, in the whole's order.

Example:
    shard = Shard.parse("3/16")
    shard.write(path, [read(item) for item in shard.take(items)], len(items))
    found = read_shards(paths, len(items))
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from transducer.core.cli import InputError, existing, write_json

T = TypeVar("T")


class Shard(NamedTuple):
    """Part `number` of `parts`, from 1: every parts-th item, so that parts take about equally long."""

    number: int
    parts: int

    @staticmethod
    def parse(text: str) -> "Shard":
        """Read NUMBER/COUNT. Raises: InputError."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise InputError(f"--shard {text}: give NUMBER/COUNT, as 3/16, with a number from 1 to the count.")
        return Shard(int(number), int(count))

    def take(self, items: Sequence[T], source: Path) -> list[T]:
        """Return this part of the items. Raises: InputError if there are fewer items in `source` than parts."""
        if self.parts > len(items):
            raise InputError(f"{source} has {len(items)} items, too few for {self.parts} shards; set SHARDS to less.")
        return list(items[self.number - 1 :: self.parts])

    def write(self, path: Path, items: Sequence[Any], total: int) -> None:
        """Write what was found in this part of `total` items, one JSON value each."""
        write_json(path, {"shard": list(self), "total": total, "items": list(items)})


def read_shards(paths: Sequence[Path], total: int) -> list[Any]:
    """Return what the parts found, in the items' order.

    Raises: InputError if the files are not all the parts of one whole of `total` items.
    """
    items: list[Any] = [None] * total
    for number, path in enumerate(paths, 1):
        try:
            content = json.loads(existing(path, "run it again").read_text(encoding="utf-8"))
            fits = (content["shard"], content["total"]) == ([number, len(paths)], total)
            part = content["items"]
        except (ValueError, KeyError, TypeError):
            fits, part = False, []
        if not fits or len(part) != len(items[number - 1 :: len(paths)]):
            raise InputError(f"{path} is not part {number} of {len(paths)} of these {total} items; remove it.")
        items[number - 1 :: len(paths)] = part
    return items
