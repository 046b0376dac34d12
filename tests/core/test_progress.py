"""Progress bars on a terminal and in a log.

Example:
    .venv/bin/python -m pytest tests/core/test_progress.py
"""

import contextlib
import os
import pty
import subprocess
import sys
import termios

from conftest import ROOT

LOOP = "from transducer.core.progress import progress; [None for _ in progress(range(3), delay=0, desc='calibrate')]"


def test_a_log_holds_no_bar_and_a_terminal_does() -> None:
    command = [sys.executable, "-c", LOOP]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "py")}
    logged = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert logged.stderr == ""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    subprocess.run(command, env=environment, stderr=theirs, check=True)
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # Linux's end of file
        while block := os.read(ours, 1000):
            drawn += block
    assert "calibrate" in drawn.decode()
    os.close(ours)


def test_workers_draw_no_other_bar() -> None:
    files = [path for path in (ROOT / "py").rglob("*.py") if "tqdm(" in path.read_text(encoding="utf-8")]
    assert files == []
