"""Traces decoded by a swipe checkpoint in PyTorch: greedily by NeMo, and to words by the beam search.

Example:
    checkpoint, traces, layout, search = checkpoint_inputs(options)
    found = decode_by_nemo(checkpoint, traces, layout, search, threads=1)
"""

import argparse
from pathlib import Path
from typing import Any

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError
from transducer.core.contracts import Floats
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.facts import Facts
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import Layout
from transducer.swipe.recognition import decode_all, layout_of_swipes, search_arguments, search_of
from transducer.swipe.steps import module_step
from transducer.swipe.traces import Trace, read_traces

BATCH_SIZE = 64


def checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that decodes traces by the checkpoint."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="unpacked checkpoint")
    search_arguments(parser)
    parser.add_argument("--threads", type=int, default=1)


def checkpoint_inputs(options: argparse.Namespace) -> tuple[Checkpoint, list[Trace], Layout, BeamSearch]:
    """Return what checkpoint_arguments name: the checkpoint, the traces, their layout and the search."""
    checkpoint = Checkpoint(options.checkpoint)
    if "swipe" not in checkpoint.config:
        raise InputError(
            f"{checkpoint.source} is not a swipe model; give one trained by `make train CONFIG=demo-swipe`."
        )
    traces = read_traces(options.manifest, "".join(checkpoint.labels))
    prednet = checkpoint.config["decoder"]["prednet"]
    dims = {"L": int(prednet["pred_rnn_layers"]), "H": int(prednet["pred_hidden"])}
    layout = layout_of_swipes(options, Facts(checkpoint.config, checkpoint.source).layout)
    return checkpoint, traces, layout, search_of(options, checkpoint.labels, dims)


def decode_by_nemo(
    checkpoint: Checkpoint, traces: list[Trace], layout: Layout, search: BeamSearch, threads: int
) -> list[tuple[list[str], str]]:
    """Return the best words of each trace, and what NeMo's greedy search reads in it."""
    import torch

    torch.set_num_threads(threads)  # a step is too small to share
    frames, greedy = encode(checkpoint, traces, layout)
    step = module_step(checkpoint.build("decoder"), checkpoint.build("joint"))
    return list(zip(decode_all(frames, step, search, len(traces)), greedy, strict=True))


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
