"""How often words were recognized: top-1, top-3 and top-5 of all traces, and of groups that may be served worse.

Example:
    groups = groups_of(traces, set(search.lexicon.words))
    figures = accuracy(traces, [search.decode(...) for ...], groups)
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from transducer.swipe.traces import Trace

DEPTHS = (1, 3, 5)
# Seconds a letter below which a swipe counts as fast.
FAST = 0.1
# Groups that are reported wherever they have members; the others are for a closer look.
MAIN = ("all", "in_lexicon", "seen", "novel")


def groups_of(traces: Sequence[Trace], lexicon: Collection[str]) -> dict[str, list[int]]:
    """Return the numbers of the traces of each group, without those that are empty.

    `in_lexicon` are traces of words that the lexicon has, as no others can be found; `seen` those of words in the
    training data, `novel` those of words never in it; then groups by the word's letters, and those swiped fast.
    """
    tests = {
        "all": lambda trace: True,
        "in_lexicon": lambda trace: trace.word in lexicon,
        "seen": lambda trace: not trace.novel,
        "novel": lambda trace: trace.novel,
        "letters_to_3": lambda trace: len(trace.word) <= 3,
        "letters_4_to_6": lambda trace: 4 <= len(trace.word) <= 6,
        "letters_7_to_9": lambda trace: 7 <= len(trace.word) <= 9,
        "letters_from_10": lambda trace: len(trace.word) >= 10,
        "fast": lambda trace: trace.points[-1, 2] - trace.points[0, 2] < 1000 * FAST * len(trace.word),
    }
    groups = {name: [row for row, trace in enumerate(traces) if test(trace)] for name, test in tests.items()}
    return {name: rows for name, rows in groups.items() if rows}


def accuracy(
    traces: Sequence[Trace], candidates: Sequence[Sequence[str]], groups: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """Return the share of each group's traces, in per cent, whose word is among the first 1, 3 and 5 words found.

    `interval` is that of top-1, 95 %.
    """
    return {name: _figures([(traces[row], candidates[row]) for row in rows]) for name, rows in groups.items()}


def _figures(rows: Sequence[tuple[Trace, Sequence[str]]]) -> dict[str, Any]:
    hits = {f"top{depth}": sum(trace.word in words[:depth] for trace, words in rows) for depth in DEPTHS}
    shares = {name: round(100 * count / len(rows), 2) for name, count in hits.items()}
    return {"traces": len(rows), **shares, "interval": wilson_interval(hits["top1"], len(rows))}


def wilson_interval(hits: int, count: int) -> list[float]:
    """Return the 95 % interval of a share, in per cent (Wilson 1927)."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return [round(100 * (middle - half), 2), round(100 * (middle + half), 2)]


def summary(figures: Mapping[str, Any]) -> str:
    """Return the main groups' figures as one line."""
    return "; ".join(
        f"{name} ({figures[name]['traces']:.0f}): "
        + " / ".join(f"{figures[name][f'top{depth}']:.1f}" for depth in DEPTHS)
        for name in MAIN
        if name in figures
    )
