"""How often words were recognised: top-1, top-3 and top-5, for words that training knew and did not know.

Example:
    figures = accuracy(traces, [search.decode(...) for ...])
"""

from collections.abc import Sequence
from typing import Any

from transducer.swipe.traces import Trace

DEPTHS = (1, 3, 5)


def accuracy(traces: Sequence[Trace], found: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the share of traces, in per cent, whose word is among the first 1, 3 and 5 words found.

    `all` is every trace, `seen` those of words in the training data, `novel` those of words never in it.
    """
    rows = list(zip(traces, found, strict=True))
    groups = {
        "all": rows,
        "seen": [row for row in rows if not row[0].novel],
        "novel": [row for row in rows if row[0].novel],
    }
    return {name: _figures(members) for name, members in groups.items() if members}


def _figures(rows: Sequence[tuple[Trace, Sequence[str]]]) -> dict[str, float]:
    hits = {f"top{depth}": sum(trace.word in words[:depth] for trace, words in rows) for depth in DEPTHS}
    return {"traces": len(rows)} | {name: round(100 * count / len(rows), 2) for name, count in hits.items()}


def summary(figures: dict[str, Any]) -> str:
    """Return the figures as one line."""
    return "; ".join(
        f"{name} ({group['traces']:.0f}): " + " / ".join(f"{group[f'top{depth}']:.1f}" for depth in DEPTHS)
        for name, group in figures.items()
    )
