"""Measure a swipe checkpoint in PyTorch on a manifest of traces: greedy WER, and top-1, 3 and 5 by beam search.

Example:
    .venv/bin/python py/swipe/evaluate_checkpoint.py --checkpoint out/demo-swipe/checkpoint \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --output out/demo-swipe/checks/checkpoint.check.json
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.checks import Check
from transducer.core.cli import log, parser, run
from transducer.core.shards import read_shards
from transducer.swipe.accuracy import accuracy, groups_of, summary
from transducer.swipe.nemo_decoding import checkpoint_arguments, checkpoint_inputs, decode_by_nemo
from transducer.swipe.recognition import search_facts
from transducer.swipe.traces import Trace


def main() -> int:
    options = parse_args()
    checkpoint, traces, layout, search = checkpoint_inputs(options)
    if options.heard:
        read = read_shards(options.heard, len(traces))
    else:
        read = decode_by_nemo(checkpoint, traces, layout, search, options.threads)
    words, greedy = [best for best, _ in read], [text for _, text in read]
    figures = measured(traces, words, greedy, groups_of(traces, set(search.lexicon.words)))
    check = Check(
        file=checkpoint.source,
        sha256=checkpoint.manifest["sha256"],
        sidecars={},
        against=options.manifest.name,
        figures={"top1": figures["all"]["top1"]},
        bounds={"top1": options.min_top1} if options.min_top1 else {},
        accuracy={"traces": len(traces), **figures},
        facts={
            "parameters": sum(tensor.numel() for tensor in checkpoint.weights.values()),
            **search_facts(options, search, traces),
            "errors": errors(traces, words, greedy),
        },
    )
    sentence = f"{checkpoint.source}: top-1 on {options.manifest} is {{figure}} %, below {{bound}} %; train longer."
    check.judged(checkpoint.source, sentences={"top1": sentence}).write(options.output)
    log.info("top-1 / 3 / 5 of %s; greedy WER %.1f %%", summary(figures), figures["all"]["greedy_wer"])
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    checkpoint_arguments(args)
    args.add_argument("--heard", type=Path, nargs="+", help="all parts of what decode_shard_by_nemo.py decoded")
    args.add_argument("--min-top1", type=float, default=0.0, help="fail below this, per cent of all traces")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    return args.parse_args()


def measured(
    traces: list[Trace], words: list[list[str]], greedy: list[str], groups: dict[str, list[int]]
) -> dict[str, Any]:
    """Return top-1, 3 and 5 and the WER of the greedy search, in per cent, of each group of traces."""
    figures = accuracy(traces, words, groups)
    for name, rows in groups.items():
        wrong = [greedy[row] != traces[row].word for row in rows]
        figures[name]["greedy_wer"] = round(100 * float(np.mean(wrong)), 2)
    return figures


def errors(traces: list[Trace], words: list[list[str]], greedy: list[str]) -> list[dict[str, Any]]:
    """Return the traces whose best word is wrong, each with its number, words and greedy text."""
    return [
        {"trace": number, "word": trace.word, "found": best, "greedy": text}
        for number, (trace, best, text) in enumerate(zip(traces, words, greedy, strict=True))
        if best[:1] != [trace.word]
    ]


if __name__ == "__main__":
    sys.exit(run(main))
