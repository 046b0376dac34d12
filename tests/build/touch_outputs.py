#!/usr/bin/env python3
"""A stand-in for the interpreter that writes a worker's outputs, empty: Make's decisions depend on nothing else.

Example:
    make PYTHON=tests/build/touch_outputs.py CONFIG=demo-tdt variants
"""

import itertools
import sys
from pathlib import Path

# Files that a worker writes beside its --output.
BESIDE = {
    "export/write_meta": ["vocab.txt", "tokens.txt"],
    "swipe/write_trie": ["words.txt"],
}
LEXICONS = ("lexicon_small.txt", "lexicon_full.txt", "lexicon_stats.json")


def main(script: str, *arguments: str) -> None:
    options = dict(itertools.pairwise(arguments))
    if "--output-dir" in options:
        outputs = [Path(options["--output-dir"]) / name for name in LEXICONS]
    else:
        output = Path(options["--output"])
        worker = script.removeprefix("py/").removesuffix(".py")
        outputs = [output, *(output.with_name(name) for name in BESIDE.get(worker, []))]
        if output.suffix == ".pte":
            outputs.append(output.with_suffix(".json"))
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


if __name__ == "__main__":
    main(*sys.argv[1:])
