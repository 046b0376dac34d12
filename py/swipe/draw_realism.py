"""Draw the distributions that swipe/compare measured, people's and synthetic ones side by side, as SVG.

Example:
    .venv/bin/python py/swipe/draw_realism.py --input out/swipe/realism.json --output out/swipe/realism.svg
"""

import json
import sys
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError, parser, replacing, run

COLUMNS, WIDTH, HEIGHT = 4, 260, 150
PLOT = (16, 40, 228, 84)  # left, top, width, height within a panel
COLOURS = {"people": "#2b6cb0", "synthetic": "#dd6b20"}


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--input", type=Path, required=True, help="the .json file of swipe/compare")
    args.add_argument("--output", type=Path, required=True, help="the .svg file")
    options = args.parse_args()
    try:
        content = json.loads(options.input.read_text(encoding="utf-8"))
        drawing = picture(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{options.input}: not a file of swipe/compare ({error!r}); make it again.") from None
    with replacing(options.output) as tmp:
        tmp.write_text(drawing, encoding="utf-8")
    return 0


def picture(content: dict[str, Any]) -> str:
    """Return the SVG of all statistics, the least alike first."""
    entries = sorted(content["statistics"].items(), key=lambda entry: -entry[1]["ks"])
    rows = -(-len(entries) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 40
    mean = content["mean"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="14">{content["swipes"]} swipes: '
        f'<tspan fill="{COLOURS["people"]}">people</tspan>, <tspan fill="{COLOURS["synthetic"]}">synthetic</tspan>; '
        f"mean KS {mean['ks']:.3f}, Wasserstein {mean['wasserstein']:.3f}</text>",
    ]
    for number, (name, entry) in enumerate(entries):
        place = f"{number % COLUMNS * WIDTH} {number // COLUMNS * HEIGHT + 40}"
        parts.append(f'<g transform="translate({place})">{panel(name, entry)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def panel(name: str, entry: dict[str, Any]) -> str:
    """Return the SVG of one statistic: two outlines over one axis."""
    left, top, width, height = PLOT
    edges, highest = entry["edges"], max(*entry["people"], *entry["synthetic"])
    step = width / (len(edges) - 1)
    outlines = "".join(
        f'<polygon points="{outline(entry[kind], step, highest)}" fill="{colour}" fill-opacity="0.2" '
        f'stroke="{colour}"/>'
        for kind, colour in COLOURS.items()
    )
    bottom = top + height
    return (
        f'<text x="{left}" y="16">{name}</text>'
        f'<text x="{left}" y="30" fill="#666">KS {entry["ks"]:.3f}, Wasserstein {entry["wasserstein"]:.3f}</text>'
        f'<g transform="translate({left} {top})">{outlines}</g>'
        f'<path d="M{left} {bottom}h{width}" stroke="#666"/>'
        f'<text x="{left}" y="{bottom + 13}" fill="#666">{edges[0]:.3g}</text>'
        f'<text x="{left + width}" y="{bottom + 13}" fill="#666" text-anchor="end">{edges[-1]:.3g}</text>'
    )


def outline(shares: list[float], step: float, highest: float) -> str:
    """Return the corners of a histogram's outline within the plot."""
    height = PLOT[3]
    tops = [height * (1 - share / highest) for share in shares]
    corners = [f"{(at + side) * step:.1f},{y:.1f}" for at, y in enumerate(tops) for side in (0, 1)]
    return " ".join([f"0,{height}", *corners, f"{len(shares) * step:.1f},{height}"])


if __name__ == "__main__":
    sys.exit(run(main))
