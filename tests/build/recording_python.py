#!/usr/bin/env python3
"""A stand-in for the interpreter that writes a worker's outputs, empty, notes its arguments, and may fail.

Example:
    ARGUMENTS=/tmp/arguments FAIL=encoder.onnx.check.json make PYTHON=tests/build/recording_python.py checkpoint

Each worker's arguments go to $ARGUMENTS, and the one whose output is called $FAIL ends with exit code 1.
Each takes $SECONDS_EACH.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import touch_outputs

if __name__ == "__main__":
    if "ARGUMENTS" in os.environ:
        with Path(os.environ["ARGUMENTS"]).open("ab") as stream:
            stream.write(b"\0".join([*map(os.fsencode, sys.argv[1:]), b"\n"]) + b"\0")
    time.sleep(float(os.environ.get("SECONDS_EACH", 0)))
    if os.environ.get("FAIL", "none") in [Path(argument).name for argument in sys.argv]:
        sys.exit(f"check failed: {os.environ['FAIL']} differs")
    # What TensorRT finds is compared at every run, and written only if it differs: make starts again then.
    found = sys.argv[1] == "py/trt/find.py" and Path(sys.argv[-1]).exists()
    if sys.argv[1] != "py/speech/transcribe.py" and not found:
        touch_outputs.main(*sys.argv[1:])
