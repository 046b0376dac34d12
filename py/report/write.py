"""Write one page that shows what was built of a model: accuracy, files, speed, packages and engines.

Example:
    .venv/bin/python py/report/write.py --model out/demo-tdt --output out/demo-tdt/report.html

It reads the checks, benches and manifests that lie in the model's folder, and measures nothing itself. The page is one
file that needs nothing else, in light and dark.
"""

import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from transducer.core.cli import existing, parser, replacing, run
from transducer.report.audits import audits
from transducer.report.charts import bare, by_length, size_and_accuracy
from transducer.report.costs import costs
from transducer.report.harms import harms
from transducer.report.processors import processors
from transducer.report.speeds import engines, speeds
from transducer.report.tables import accuracies, facts_of, files, packages, read_json

TEMPLATES = Path(__file__).parents[1] / "transducer/report/templates"


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--model", type=Path, required=True, help="folder of what was built, such as out/demo-tdt")
    args.add_argument("--packages", type=Path, help="folder of its packages, where it is not the model's own")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    folder: Path = options.model
    existing(folder / "meta/model_meta.json", "run `make all` first")
    pages = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    measured, built, timed = accuracies(folder), files(folder), speeds(folder)
    page = pages.get_template("report.html").render(
        facts=facts_of(folder),
        accuracies=measured,
        chart=size_and_accuracy(measured, built, timed),
        files=built,
        harms=harms(folder),
        audits=audits(folder),
        processors=processors(folder),
        speeds=timed,
        lengths=bare(by_length(read_json(folder / "bench/bench.json"))),
        costs=costs(folder),
        packages=packages(options.packages or folder / "package"),
        engines=engines(folder),
    )
    with replacing(options.output) as tmp:
        tmp.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
