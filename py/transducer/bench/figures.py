"""A benchmark's figures as a table in Markdown.

Example:
    Path("bench.md").write_text(as_table(json.loads(Path("bench.json").read_text())))
"""

from collections.abc import Mapping
from typing import Any

from transducer.report.speeds import latency, timed


def as_table(report: Mapping[str, Any]) -> str:
    """Return latency in milliseconds (and times real time), load time, memory, size and the largest error."""
    keys = timed(report)
    heads = [f"{seconds:g} s, {threads} thr." for seconds, threads in keys]
    lines = ["| encoder | " + " | ".join([*heads, "load s", "peak GB", "MB", "error"]) + " |"]
    lines.append("|---" * (len(heads) + 5) + "|")
    for name, row in report["encoders"].items():
        cells = []
        for seconds, threads in keys:
            delay = latency(row, seconds, threads)
            cells.append(f"{1000 * delay:.0f} ({seconds / delay:.0f}x)")
        cells += [f"{row['load_seconds']:.2f}", f"{row['peak_bytes'] / 1e9:.2f}", f"{row['bytes'] / 1e6:.1f}"]
        cells.append(f"{max(row['relative_rms'].values()):.2%}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_words_table(report: Mapping[str, Any]) -> str:
    """Return the milliseconds that a swiped word takes, median and 95th percentile, and the medians of its parts."""
    lines = ["| graphs | word p50 | word p95 | features | encoder | search |", "|---" * 6 + "|"]
    for name, row in report["models"].items():
        cells = [row["word"]["p50_ms"], row["word"]["p95_ms"]]
        cells += [row[part]["p50_ms"] for part in ("features", "encoder", "search")]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"
