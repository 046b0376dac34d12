"""Golden vectors of the swipe featurizer, for it and for every other implementation of it.

Example:
    .venv/bin/python tests/golden_features.py --output tests/golden_features.json
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_suffix(".json")
QWERTY = Path(__file__).parents[1] / "configs/layouts/qwerty.json"

# Odd traces that an implementation may stumble over: t in ms, x and y from 0 to 1.
ODD = {
    "one point": [(0.25, 0.5, 1000)],
    "one place, one time": [(0.25, 0.5, 7), (0.25, 0.5, 7)],
    "at rest": [(0.25, 0.5, 0), (0.25, 0.5, 100)],
    "zero time steps": [(0.1, 0.2, 0), (0.2, 0.2, 0), (0.3, 0.4, 40), (0.35, 0.4, 40), (0.5, 0.9, 90)],
    "duplicate points": [(0.1, 0.2, 0), (0.1, 0.2, 20), (0.4, 0.3, 60), (0.4, 0.3, 61), (0.9, 0.8, 130)],
    "corners": [(0.0, 0.0, 0), (1.0, 0.0, 100), (1.0, 1.0, 200), (0.0, 1.0, 300), (0.0, 0.0, 400)],
    "exactly on a frame": [(0.3, 0.3, 5), (0.6, 0.5, 55)],
    "one millisecond beyond": [(0.3, 0.3, 5), (0.6, 0.5, 56)],
}


# The model's own keyboard, then others that it is swiped on, and the traces whose features are wanted on all.
KEYBOARDS = ("qwerty", "azerty", "dvorak", "qwertz", "colemak")
ON_ALL = ("hello", "corners")


def traces() -> dict[str, list[tuple[float, float, int]]]:
    """Return named traces as lists of x, y and t."""
    from transducer.swipe.keyboard import read_layout
    from transducer.swipe.synthesis import User

    layout, _ = read_layout(QWERTY)
    found = {}
    for number, word in enumerate(("hello", "don't", "aa", "transducer")):
        user = User.draw(np.random.default_rng([number, 0]))
        points = user.swipe(word, layout, np.random.default_rng([number, 1]))
        found[word] = [(round(x, 4), round(y, 4), int(t)) for x, y, t in points.tolist()]
    return ODD | found


def main() -> int:
    from transducer.swipe.features import swipe_features
    from transducer.swipe.keyboard import read_layout

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    slots = read_layout(QWERTY)[0].keys
    entries = []
    for name, points in traces().items():
        for keyboard in KEYBOARDS if name in ON_ALL else KEYBOARDS[:1]:
            layout = read_layout(QWERTY.with_name(f"{keyboard}.json"))[0].arranged(slots)
            features = swipe_features(np.array(points, dtype=np.float64), layout)
            listed = [[round(float(value), 7) for value in frame] for frame in features]
            entries.append({"name": name, "layout": keyboard, "points": points, "features": listed})
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    args.output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "py"))
    sys.exit(main())
