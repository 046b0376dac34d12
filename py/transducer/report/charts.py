"""Charts of the report, as SVG that takes the page's colours.

Example:
    svg = size_and_accuracy(accuracies(folder), files(folder), speeds(folder))
"""

import io
import re
from collections.abc import Sequence
from typing import Any

from transducer.report.speeds import Speed
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
        figure, axes = pyplot.subplots(figsize=(7.5, 3.6))
        for megabytes, name, lost, (low, high) in points:
            form = name.partition(".")[2] or "fp32"
            axes.errorbar(megabytes, lost, yerr=[[lost - low], [high - lost]], fmt="o", capsize=3)
            label = f"{form}, {times[form]:.0f} ms" if form in times else form
            axes.annotate(label, (megabytes, lost), xytext=(7, 5), textcoords="offset points")
        axes.axhline(0, color=INK, linewidth=0.5)
        axes.set_xlabel("size in MB")
        axes.set_ylabel("points lost, 95 % interval")
        axes.margins(x=0.2, y=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    svg = drawn.getvalue()
    # Within a page it needs no addresses of its own.
    bare = re.sub(r'<metadata>.*?</metadata>|\sxmlns(:xlink)?="[^"]*"', "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return bare.replace(INK, "currentColor")
