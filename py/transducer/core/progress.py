"""Progress bars, for what takes longer than 5 s, on a terminal only: a log holds no half-drawn lines.

Example:
    for trace in progress(traces, desc="beam search", unit="trace"):
        ...
"""

from functools import partial

from tqdm import tqdm

progress = partial(tqdm, delay=5, disable=None)
