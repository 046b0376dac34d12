"""Charts of the report, as SVG that takes the page's colours.

Example:
    svg = size_and_accuracy(accuracies(folder), files(folder), speeds(folder))
"""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transducer.report.speeds import Speed, latency, timed
from transducer.report.tables import Accuracy, File

# A colour that nothing else has, in whose place the page's own comes.
INK = "#010203"


def size_and_accuracy(accuracies: Sequence[Accuracy], files: Sequence[File], speeds: Sequence[Speed]) -> str:
    """Return a chart of the encoder's forms, size in MB against points lost, with their time where it was measured.

    Empty where fewer than two forms were evaluated.
    """
    sizes = {file.name.rpartition(".")[0]: file.bytes / 1e6 for file in files if file.name.startswith("encoder")}
    points = [
        (sizes[name], row.name, row.lost, row.lost_interval)
        for row in accuracies
        if row.lost is not None
        and row.lost_interval
        and (name := "encoder" if row.name == "fp32" else row.name) in sizes
    ]
    if len(points) < 2:
        return ""
    times = {name: row[-1] for speed in speeds[:1] for name, row in speed.rows.items()}

    with drawing(7.5, 3.6) as (_, [axes], svg):
        for megabytes, name, lost, (low, high) in points:
            form = name.partition(".")[2] or "fp32"
            axes.errorbar(megabytes, lost, yerr=[[lost - low], [high - lost]], fmt="o", capsize=3)
            label = f"{form}, {times[form]:.0f} ms" if form in times else form
            axes.annotate(label, (megabytes, lost), xytext=(7, 5), textcoords="offset points")
        axes.axhline(0, color=INK, linewidth=0.5)
        axes.set_xlabel("size in MB")
        axes.set_ylabel("points lost, 95 % interval")
        axes.margins(x=0.2, y=0.2)
    return bare(svg.getvalue())


def by_length(report: Mapping[str, Any]) -> str:
    """Return a chart of a bench.json as an SVG file: each encoder's time and peak memory by seconds of audio.

    The times are those with the most threads. Empty for a bench that is missing, or older than these figures.
    """
    rows = report.get("encoders", {})
    if not any(key.startswith("peak_") and key != "peak_bytes" for row in rows.values() for key in row):
        return ""
    threads = max(count for _, count in timed(report))
    lengths = sorted({seconds for seconds, _ in timed(report)})
    with drawing(7.5, 3.6, panels=2) as (_, [times, peaks], svg):
        for name, row in rows.items():
            times.plot(lengths, [latency(row, seconds, threads) for seconds in lengths], "o-", label=name)
            peaks.plot(lengths, [row[f"peak_{seconds:g}s"] / 1e9 for seconds in lengths], "o-", label=name)
        times.set_yscale("log")
        times.set_ylabel(f"seconds, {threads} thread{'s' * (threads > 1)}")
        peaks.set_ylabel("peak memory in GB")
        peaks.set_ylim(bottom=0)
        for axes in (times, peaks):
            axes.set_xscale("log")
            axes.set_xticks(lengths, [f"{seconds:g}" for seconds in lengths], minor=False)
            axes.set_xticks([], minor=True)
            axes.set_xlabel("seconds of audio")
        times.legend(fontsize="small", frameon=False)
    return svg.getvalue()


@contextlib.contextmanager
def drawing(width: float, height: float, panels: int = 1) -> Iterator[tuple[Any, list[Any], io.StringIO]]:
    """Yield a figure of so many inches, its panels side by side, and what its SVG is written to at the end."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    styles: Any = {
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.edgecolor": INK,
    }
    # Text stays text; and the same chart is the same bytes.
    styles |= {"svg.fonttype": "none", "svg.hashsalt": "report", "font.family": "sans-serif"}
    with pyplot.rc_context(styles):
        figure, grid = pyplot.subplots(1, panels, figsize=(width, height), squeeze=False)
        svg = io.StringIO()
        yield figure, list(grid[0]), svg
        for axes in grid[0]:
            axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)


def bare(svg: str) -> str:
    """Return an SVG file as a part of a page, in the page's colour and without addresses; of no file nothing."""
    if not svg:
        return ""
    part = re.sub(r'<metadata>.*?</metadata>|\sxmlns(:xlink)?="[^"]*"', "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return part.replace(INK, "currentColor")
