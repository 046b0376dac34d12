"""What Python runs before a worker of Make's: ^C while libraries are imported ends it without a traceback.

Example:
    PYTHONPATH=scripts/python:py .venv/bin/python py/export/check.py --help
"""

import signal

# Where interrupts are ignored, as in a job in the background, they stay so. `run` takes them over for the worker.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
