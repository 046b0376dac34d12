#!/usr/bin/env python3
"""A stand-in for the interpreter that notes each worker's arguments in $ARGUMENTS and writes its outputs, empty.

Example:
    ARGUMENTS=/tmp/arguments make PYTHON=tests/build/recording_python.py CONFIG=demo-tdt checkpoint
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import touch_outputs  # noqa: E402  Make's Python has a safe path.

if __name__ == "__main__":
    with Path(os.environ["ARGUMENTS"]).open("ab") as stream:
        stream.write(b"\0".join([*map(os.fsencode, sys.argv[1:]), b"\n"]) + b"\0")
    if sys.argv[1] != "py/speech/transcribe.py":
        touch_outputs.main(*sys.argv[1:])
