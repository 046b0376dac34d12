"""Keyboard layouts as data: which letter key lies where.

Example:
    layout, _ = read_layout(Path("configs/layouts/qwerty.json"))
    path = layout.centres_of("hello")
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """The letter keys of a keyboard, in rows from the top; all lengths are in key widths.

    keys: the letters, row by row.
    centres: float64 [K, 2], x to the right and y down from the top left corner of the letter area.
    size: float64 [2], width and height of the letter area. A point of a trace, whose x and y lie in [0, 1], times
        this is its place in key widths.
    """

    name: str
    keys: str
    centres: Doubles
    size: Doubles

    def centres_of(self, word: str) -> Doubles:
        """Return the key centres of a word's letters, float64 [letters, 2]; what has no key is passed over."""
        return self.centres[[self.keys.index(letter) for letter in word if letter in self.keys]]

    def arranged(self, slots: str) -> "Layout":
        """Return the layout with its keys in the order of a model's letters, as its features have them.

        So a model reads swipes on any layout: features measure the distance to where a letter lies. Keys that the model
        does not know are left out. Raises: InputError if a letter of `slots` has no key.
        """
        if missing := sorted(set(slots) - set(self.keys)):
            raise InputError(f"The layout {self.name} has no key {missing[0]!r}, which the model needs; add the key.")
        return Layout(self.name, slots, self.centres_of(slots), self.size)


def read_layout(path: Path) -> tuple[Layout, dict[str, Any]]:
    """Return the layout in a JSON file, and the content of that file. Raises: InputError if it is not a layout."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a readable keyboard layout ({error}); see configs/layouts/qwerty.json."
        ) from None
    return layout_of(content, str(path)), content


def layout_of(content: Any, source: str) -> Layout:
    """Return a layout from its JSON: rows of keys one key width apart, each row shifted by its offset in key widths.

    `aspect` is the height of the letter area over its width, `columns` its width in keys.
    Raises: InputError naming `source` if the content is not a layout.
    """
    try:
        columns, rows = float(content["columns"]), list(content["rows"])
        size = np.array([columns, columns * float(content["aspect"])])
        keys = "".join(str(row["keys"]) for row in rows)
        centres = [
            (float(row["offset"]) + number + 0.5, (index + 0.5) * size[1] / len(rows))
            for index, row in enumerate(rows)
            for number in range(len(row["keys"]))
        ]
        layout = Layout(str(content["name"]), keys, np.array(centres).reshape(-1, 2), size)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{source}: not a keyboard layout ({error!r}); see configs/layouts/qwerty.json.") from None
    inside = (layout.centres > 0).all() and (layout.centres < size).all()
    if not keys or len(set(keys)) != len(keys) or not inside:
        raise InputError(f"{source}: has no keys, a key twice, or keys outside its letter area; correct the layout.")
    return layout
