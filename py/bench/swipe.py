"""Time a word from its points to its n-best, with each of several encoders and steps, alternating word by word.

Example:
    .venv/bin/python py/bench/swipe.py \
        --pairs fp32=out/demo-swipe/onnx/encoder.onnx,out/demo-swipe/onnx/rnnt_step.onnx \
            int8=out/demo-swipe/onnx/encoder.int8.onnx,out/demo-swipe/onnx/rnnt_step.onnx \
        --meta out/demo-swipe/meta/model_meta.json --manifest models/swipe-test/manifest.jsonl.gz \
        --lexicon out/demo-swipe/lexicons/lexicon_full.txt --output out/demo-swipe/bench/words.json
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from transducer.bench.figures import as_words_table
from transducer.core.cli import InputError, existing, parser, replacing, run, write_json
from transducer.core.progress import progress
from transducer.swipe.accuracy import DEPTHS
from transducer.swipe.facts import Facts
from transducer.swipe.features import swipe_features
from transducer.swipe.recognition import encoder_frames, open_encoder, open_step, search_arguments, search_of
from transducer.swipe.traces import read_traces

PARTS = ("features", "encoder", "search")


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--pairs", nargs="+", type=pair, required=True, help="NAME=ENCODER,STEP; .onnx or .pte")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json; vocab.txt lies beside it")
    search_arguments(args)
    args.add_argument("--words", type=int, default=300, help="traces to time, evenly chosen")
    args.add_argument("--output", type=Path, required=True, help="the .json; .md goes beside it")
    options = args.parse_args()
    meta = json.loads(existing(options.meta, "run `make meta` first").read_text(encoding="utf-8"))
    if "swipe" not in meta:
        raise InputError(f"{options.meta} is of no swipe model; time speech with bench_encoders.py.")
    labels = options.meta.with_name("vocab.txt").read_text(encoding="utf-8").splitlines()
    layout = Facts(meta, str(options.meta)).layout
    search = search_of(options, labels, meta["dims"])
    traces = read_traces(options.manifest, "".join(labels))
    sample = np.linspace(0, len(traces) - 1, min(options.words, len(traces))).round().astype(int)
    models = {name: (open_encoder(encoder), open_step(step)) for name, (encoder, step) in options.pairs}
    times: dict[str, list[list[float]]] = {name: [] for name in models}
    for number, row in enumerate(progress([sample[0], *sample], desc="words", leave=False)):
        for name, (encode, step) in models.items():
            began = time.perf_counter()
            features = swipe_features(traces[row].points, layout)
            featured = time.perf_counter()
            frames = encoder_frames(encode, features)
            encoded = time.perf_counter()
            search.decode(frames, step, max(DEPTHS))
            finish = time.perf_counter()
            if number:  # the first warms up
                times[name].append([featured - began, encoded - featured, finish - encoded])
    report = {
        "words": len(sample),
        "beam": options.beam,
        "lexicon": {"file": " ".join(Path(text).name for text in options.lexicon), "words": len(search.lexicon.words)},
        "models": {
            name: {"encoder": encoder.name, "rnnt_step": step.name, **figures(np.array(times[name]) * 1000)}
            for name, (encoder, step) in options.pairs
        },
    }
    write_json(options.output, report)
    table = as_words_table(report)
    with replacing(options.output.with_suffix(".md")) as tmp:
        tmp.write_text(table, encoding="utf-8")
    print(table, end="")
    return 0


def pair(text: str) -> tuple[str, tuple[Path, Path]]:
    name, _, files = text.partition("=")
    encoder, _, step = files.partition(",")
    if not step:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=ENCODER,STEP")
    return name, (Path(encoder), Path(step))


def figures(times: np.ndarray) -> dict[str, Any]:
    """Return the percentiles of words and of their parts, from times in ms [words, parts]."""
    columns = {"word": times.sum(axis=1)} | dict(zip(PARTS, times.T, strict=True))
    return {
        name: {f"p{share}_ms": round(float(np.percentile(column, share)), 3) for share in (50, 95)}
        for name, column in columns.items()
    }


if __name__ == "__main__":
    sys.exit(run(main))
