"""A benchmark's figures as a table in Markdown and as bars in SVG.

Example:
    Path("bench.svg").write_text(as_svg(json.loads(Path("bench.json").read_text())))
"""

from collections.abc import Mapping
from html import escape
from typing import Any

BAR, GAP, LEFT, WIDTH = 16, 22, 90, 420


def latencies(report: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Return (seconds of audio, threads) of everything that was timed, in order."""
    keys = [key for key in next(iter(report["encoders"].values())) if key.startswith("latency_")]
    parts = [key.removeprefix("latency_").removesuffix("t").split("s_") for key in keys]
    return sorted((float(seconds), int(threads)) for seconds, threads in parts)


def as_table(report: Mapping[str, Any]) -> str:
    """Return latency in milliseconds (and times real time), load time, memory, size and the largest error."""
    timed = latencies(report)
    heads = [f"{seconds:g} s, {threads} thr." for seconds, threads in timed]
    lines = ["| encoder | " + " | ".join([*heads, "load s", "peak GB", "MB", "error"]) + " |"]
    lines.append("|---" * (len(heads) + 5) + "|")
    for name, row in report["encoders"].items():
        cells = []
        for seconds, threads in timed:
            latency = row[f"latency_{seconds:g}s_{threads}t"]
            cells.append(f"{1000 * latency:.0f} ({seconds / latency:.0f}x)")
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


def as_svg(report: Mapping[str, Any]) -> str:
    """Return one group of bars for each length and number of threads: speed in multiples of real time."""
    parts, y = [], 10
    for seconds, threads in latencies(report):
        speeds = {name: seconds / row[f"latency_{seconds:g}s_{threads}t"] for name, row in report["encoders"].items()}
        y += GAP
        parts.append(f'<text x="0" y="{y - 6}" font-weight="bold">{seconds:g} s of audio, {threads} threads</text>')
        for name, speed in speeds.items():
            width = WIDTH * speed / max(speeds.values())
            parts.append(f'<text x="0" y="{y + BAR - 4}">{escape(name)}</text>')
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="#4477aa"/>')
            parts.append(f'<text x="{LEFT + width + 4:.1f}" y="{y + BAR - 4}">{speed:.1f}x</text>')
            y += BAR
    body = "".join(parts)
    size = f'width="{LEFT + WIDTH + 60}" height="{y + 10}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">{body}</svg>\n'
