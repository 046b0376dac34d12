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

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.checks import Check
from transducer.core.cli import InputError, log, parser, run
from transducer.core.contracts import Floats
from transducer.swipe.accuracy import accuracy, groups_of, summary
from transducer.swipe.beam_search import module_step
from transducer.swipe.facts import Facts
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import Layout
from transducer.swipe.recognition import decode_all, layout_of_swipes, search_arguments, search_facts, search_of
from transducer.swipe.traces import Trace, read_traces

BATCH_SIZE = 64


def main() -> int:
    options = parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    if "swipe" not in checkpoint.config:
        raise InputError(
            f"{checkpoint.source} is not a swipe model; give one trained by `make train CONFIG=demo-swipe`."
        )
    traces = read_traces(options.manifest, "".join(checkpoint.labels))
    prednet = checkpoint.config["decoder"]["prednet"]
    dims = {"L": int(prednet["pred_rnn_layers"]), "H": int(prednet["pred_hidden"])}
    search = search_of(options, checkpoint.labels, dims)

    import torch

    torch.set_num_threads(options.threads)  # a step is too small to share
    layout = layout_of_swipes(options, Facts(checkpoint.config, checkpoint.source).layout)
    frames, greedy = encode(checkpoint, traces, layout)
    step = module_step(checkpoint.build("decoder"), checkpoint.build("joint"))
    words, milliseconds = decode_all(frames, step, search, len(traces))
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
            "search_cpu_milliseconds": milliseconds,
            "errors": errors(traces, words, greedy),
        },
    )
    sentence = f"{checkpoint.source}: top-1 on {options.manifest} is {{figure}} %, below {{bound}} %; train longer."
    check.judged(checkpoint.source, sentences={"top1": sentence}).write(options.output)
    log.info("top-1 / 3 / 5 of %s; greedy WER %.1f %%", summary(figures), figures["all"]["greedy_wer"])
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--checkpoint", type=Path, required=True, help="unpacked checkpoint")
    search_arguments(args)
    args.add_argument("--min-top1", type=float, default=0.0, help="fail below this, per cent of all traces")
    args.add_argument("--threads", type=int, default=1)
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


def encode(checkpoint: Checkpoint, traces: list[Trace], layout: Layout) -> tuple[list[Floats], list[str]]:
    """Return the encoder frames [T_enc, D] of every trace, and what NeMo's greedy search reads in them."""
    import torch
    from nemo.collections.asr.parts.submodules.rnnt_greedy_decoding import GreedyBatchedRNNTInfer

    from transducer.export.modules import load_module

    features = [torch.from_numpy(swipe_features(trace.points, layout)) for trace in traces]
    encoder, labels = load_module("encoder", checkpoint), checkpoint.labels
    decoder, joint = checkpoint.build("decoder"), checkpoint.build("joint")
    greedy = GreedyBatchedRNNTInfer(decoder, joint, blank_index=len(labels), max_symbols_per_step=10)
    frames: list[Any] = [None] * len(traces)
    texts = [""] * len(traces)
    order = sorted(range(len(traces)), key=lambda index: len(features[index]))
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        padded = torch.nn.utils.rnn.pad_sequence([features[row] for row in rows], batch_first=True)
        with torch.inference_mode():
            encoded, lengths = encoder(
                padded.transpose(1, 2).contiguous(), torch.tensor([len(features[row]) for row in rows])
            )
            (hypotheses,) = greedy(encoder_output=encoded, encoded_lengths=lengths)
        for row, one, length, hypothesis in zip(rows, encoded, lengths, hypotheses, strict=True):
            frames[row] = one[:, :length].T.contiguous().numpy()
            texts[row] = "".join(labels[int(label)] for label in hypothesis.y_sequence)
    return frames, texts


if __name__ == "__main__":
    sys.exit(run(main))
