"""Recognise swipes by an encoder, a step and a lexicon, whatever runs them, and measure how often that is right.

Example:
    search = search_of(options, labels, facts["dims"])
    words = decode_all(frames, step, search, len(traces))
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cli import InputError, existing, log
from transducer.core.contracts import Floats
from transducer.core.progress import progress
from transducer.runtime.loader import open_graph
from transducer.runtime.pte import SizeError, open_pte
from transducer.runtime.sessions import Runner, session_runner
from transducer.swipe.accuracy import DEPTHS
from transducer.swipe.beam_search import BeamSearch, parse_threshold
from transducer.swipe.facts import Facts
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import Layout, read_layout
from transducer.swipe.lexicon import Lexicon, read_lists
from transducer.swipe.steps import Step, graph_step
from transducer.swipe.traces import Trace, read_traces

# What steps get at once, by their files. One in int8 has a scale for all rows of a call, on phones those of a swipe.
ROWS = 512
STEP_ROWS = {"rnnt_step.onnx": ROWS, "rnnt_step.pte": 64}
# Traces are sorted by length among those of so many batches.
GROUP = 8


def search_arguments(args: argparse.ArgumentParser) -> None:
    """Add the options of a search and of what it is measured on."""
    args.add_argument("--manifest", type=Path, required=True, help="traces, .jsonl or .jsonl.gz")
    args.add_argument(
        "--lexicon", nargs="+", required=True, metavar="FILE[:WEIGHT]", help="words, the most frequent first"
    )
    args.add_argument("--layout", type=Path, help="the keyboard swiped on, JSON, where that is not the model's own")
    args.add_argument("--beam", type=int, default=16)
    args.add_argument("--beam-threshold", type=parse_threshold, default=10.0, help="nats below the best that are kept")
    args.add_argument("--prior-weight", type=float, default=0.5, help="of the words' log prior by rank")
    args.add_argument("--length-power", type=float, default=0.0, help="of the length that log probabilities are over")


def search_of(options: argparse.Namespace, labels: Sequence[str], dims: Mapping[str, int]) -> BeamSearch:
    """Return the beam search that the options ask for."""
    return BeamSearch(
        Lexicon.of_lists(read_lists(options.lexicon), labels),
        blank=len(labels),
        state_shape=(dims["L"], dims["H"]),
        beam=options.beam,
        threshold=options.beam_threshold,
        prior_weight=options.prior_weight,
        length_power=options.length_power,
    )


def layout_of_swipes(options: argparse.Namespace, own: Layout) -> Layout:
    """Return the keyboard that the options name, its keys in the order of the model's own; or that itself."""
    return read_layout(options.layout)[0].arranged(own.keys) if options.layout else own


def open_encoder(path: Path) -> Runner:
    """Return an encoder graph as a function of named arrays, on one thread."""
    return session_runner(_open(path))


def open_step(path: Path) -> Step:
    """Return the step of an rnnt_step graph, on one thread."""
    return graph_step(_open(path))


def _open(path: Path) -> Any:
    # A program's threads are the process's, so a decoder leaves them alone.
    return open_pte(path, threads=1) if path.suffix == ".pte" else open_graph(path, threads=1)


def encoder_frames(encode: Runner, features: Floats) -> Floats:
    """Return the encoder frames [T_enc, D] of one trace's features [T, F]."""
    outputs = encode({"audio_signal": features.T[None], "length": np.array([len(features)])})
    return np.ascontiguousarray(outputs["encoder_output"][0, :, : int(outputs["encoded_lengths"][0])].T)


def graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the graphs of a built swipe model."""
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--step", type=Path, required=True, help="an rnnt_step graph")
    parser.add_argument("--meta", type=Path, required=True, help="model_meta.json; vocab.txt lies beside it")


def inputs_of(options: argparse.Namespace) -> tuple[list[Trace], Layout, BeamSearch]:
    """Return what graph_arguments and search_arguments name: traces, their layout, and the search."""
    meta = json.loads(existing(options.meta, "run `make meta` first").read_text(encoding="utf-8"))
    if "swipe" not in meta:
        raise InputError(f"{options.meta} is not of a swipe model; evaluate speech with speech/evaluate.py.")
    labels = options.meta.with_name("vocab.txt").read_text(encoding="utf-8").splitlines()
    traces = read_traces(options.manifest, "".join(labels))
    layout = layout_of_swipes(options, Facts(meta, str(options.meta)).layout)
    return traces, layout, search_of(options, labels, meta["dims"])


def decode_traces(
    encoder: Path, step: Path, traces: Sequence[Trace], layout: Layout, search: BeamSearch
) -> list[list[str]]:
    """Return the best words of each trace by the graphs; none of a trace that a program is not made for."""
    encode, refused = open_encoder(encoder), list[SizeError]()

    def frames_of(trace: Trace) -> Floats:
        try:
            return encoder_frames(encode, swipe_features(trace.points, layout))
        except SizeError as error:
            refused.append(error)
            return np.zeros((0, 1), np.float32)

    rows = STEP_ROWS.get(step.name.removesuffix(".remote"), 0)
    candidates = decode_all(map(frames_of, traces), open_step(step), search, len(traces), rows)
    if refused:
        log.warning("%d of %d traces have no words: %s", len(refused), len(traces), refused[0])
    return candidates


def decode_all(
    frames: Iterable[Floats], step: Step, search: BeamSearch, count: int, rows: int = ROWS
) -> list[list[str]]:
    """Return the best words of each trace's encoder frames [T_enc, D], and log the CPU time of a trace.

    rows: that the step may get at once, so that several traces share its calls.
    """
    began = time.process_time()
    together = max(1, rows // search.beam)
    words = list[list[str]]()
    bar = iter(progress(frames, desc="beam search", total=count, unit="trace", leave=False))
    while group := list(islice(bar, GROUP * together)):
        order = sorted(range(len(group)), key=lambda place: len(group[place]))
        best: list[list[str]] = [[] for _ in group]
        for start in range(0, len(group), together):
            places = order[start : start + together]
            lists = search.decode_all([group[place] for place in places], step, max(DEPTHS))
            for place, candidates in zip(places, lists, strict=True):
                best[place] = [candidate.word for candidate in candidates]
        words += best
    log.info("%.2f ms of CPU time a trace", (time.process_time() - began) / count * 1000)
    return words


def search_facts(options: argparse.Namespace, search: BeamSearch, traces: Sequence[Trace]) -> dict[str, Any]:
    """Return what a report says of the search and of what it was measured on."""
    known = set(search.lexicon.words)
    return {
        "manifest": options.manifest.name,
        "layout": options.layout.name if options.layout else None,
        "traces": len(traces),
        "lexicon": {"file": " ".join(Path(text).name for text in options.lexicon), "words": len(search.lexicon.words)},
        "not_in_lexicon": sum(trace.word not in known for trace in traces),
        "beam": options.beam,
        "threshold": options.beam_threshold,
        "prior_weight": options.prior_weight,
        "length_power": options.length_power,
    }
