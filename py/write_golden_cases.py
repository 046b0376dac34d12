"""Write golden cases for decoders in other languages: 200 swipes with all that comes between points and words.

Example:
    .venv/bin/python py/write_golden_cases.py --checkpoint out/demo-swipe/checkpoint \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --output decoders/golden/cases.json.gz

decoders/golden/README.md describes the file.
"""

import argparse
import base64
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from transducer.beam_search import BeamSearch, Integers, Step, module_step
from transducer.checkpoint import Checkpoint
from transducer.cli import InputError, log, parser, replacing, run
from transducer.graphs import Floats
from transducer.keyboard import Layout, layout_of
from transducer.lexicon import NONE, ROOT, Lexicon, read_words
from transducer.metadata import describe
from transducer.swipe_features import FRAME_SECONDS, KINEMATICS, PROXIMITY_WIDTH, swipe_features
from transducer.traces import Trace, read_traces

FORMAT = 1
# Cases by the first kind that a word is of; "common" fills up to the number of cases.
QUOTAS = {"apostrophe": 20, "rare": 40, "long": 30, "short": 30, "common": 200}
RARE_RANK, LONG, SHORT = 15_000, 11, 2


def main() -> int:
    args = parse_args()
    checkpoint = Checkpoint(args.checkpoint)
    if "swipe" not in checkpoint.config:
        raise InputError(f"{checkpoint.source} is no swipe model; give one trained by `make train CONFIG=demo-swipe`.")
    labels = "".join(checkpoint.labels)
    words = read_words(args.lexicon)
    lexicon = Lexicon(words, labels)
    layout = layout_of(checkpoint.config["swipe"]["layout"], checkpoint.source)
    decoding = {"beam": args.beam, "prior_weight": args.prior_weight, "length_power": 0.0, "max_symbols": 10}
    meta = describe_decoding(checkpoint, decoding)
    encode, step = by_modules(checkpoint)
    search = BeamSearch(lexicon, meta["blank_id"], (meta["dims"]["L"], meta["dims"]["H"]), **decoding)
    chosen = choose(read_traces(args.manifest, labels), lexicon)
    prefixes = spell_nodes(lexicon, labels)
    cases = [
        {"kind": kind, **golden_case(trace, layout, encode, search, step, prefixes, args.count)}
        for kind, trace in tqdm(chosen, desc="golden cases", delay=5, disable=None, unit="case", leave=False)
    ]
    content = {"format": FORMAT, "meta": meta, "words": "words.txt.gz", "cases": cases}
    write_gzip(args.output, json.dumps(content, sort_keys=True, separators=(",", ":")))
    write_gzip(args.output.with_name("words.txt.gz"), "".join(f"{word}\n" for word in words))
    log.info("%d cases, %.1f MB", len(cases), args.output.stat().st_size / 1e6)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--checkpoint", type=Path, required=True, help="unpacked checkpoint of a swipe model")
    args.add_argument("--manifest", type=Path, required=True, help="traces to choose from, .jsonl or .jsonl.gz")
    args.add_argument("--lexicon", type=Path, required=True, help="words, the most frequent first")
    args.add_argument("--beam", type=int, default=16)
    args.add_argument("--prior-weight", type=float, default=0.5, help="of the words' log prior by rank")
    args.add_argument("--count", type=int, default=10, help="words in an n-best list")
    args.add_argument("--output", type=Path, required=True, help="the .json.gz file; words.txt.gz comes beside it")
    return args.parse_args()


def describe_decoding(checkpoint: Checkpoint, decoding: dict[str, Any]) -> dict[str, Any]:
    """Return what runtime_meta.json would tell a decoder about a model without files."""
    facts = describe(checkpoint)
    tokens = [*checkpoint.labels, "<blk>"]
    return {
        "format": 1,
        "task": "swipe",
        "tokens": tokens,
        "characters": {token: number for number, token in enumerate(tokens[:-1])},
        "unknown_id": None,
        "featurizer": {
            "version": 1,
            "frame_seconds": FRAME_SECONDS,
            "kinematics": KINEMATICS,
            "proximity_width": PROXIMITY_WIDTH,
        },
        "layout": facts["swipe"]["layout"],
        "decoding": decoding,
        "lexicon": None,
        "graphs": {},
        **{key: facts[key] for key in ("model_type", "blank_id", "dims", "durations", "max_symbols", "source")},
        "subsampling_factor": facts["subsampling_factor"],
    }


def by_modules(checkpoint: Checkpoint) -> tuple[Callable[[Floats], Floats], Step]:
    """Return the encoder, from features [T, F] to encoder frames [T_enc, D], and the step."""
    import torch

    from transducer.modules import load_module

    torch.set_num_threads(1)
    encoder = load_module("encoder", checkpoint)

    @torch.inference_mode()
    def encode(features: Floats) -> Floats:
        encoded, lengths = encoder(torch.from_numpy(features.T[None]), torch.tensor([len(features)]))
        frames: Floats = encoded[0, :, : int(lengths[0])].T.contiguous().numpy()
        return frames

    return encode, module_step(checkpoint.build("decoder"), checkpoint.build("joint"))


def choose(traces: list[Trace], lexicon: Lexicon) -> list[tuple[str, Trace]]:
    """Return as many traces as there are to be cases, with their kinds, spread over the manifest."""
    ranks = {word: rank for rank, word in enumerate(lexicon.words)}
    pools: dict[str, list[int]] = {kind: [] for kind in QUOTAS}
    for number, trace in enumerate(traces):
        pools[kind_of(trace.word, ranks)].append(number)
    chosen: list[tuple[int, str]] = []
    total = QUOTAS["common"]
    for kind, pool in pools.items():
        count = min(QUOTAS[kind], total - len(chosen), len(pool))
        chosen += [(pool[place * len(pool) // count], kind) for place in range(count)]
    return [(kind, traces[number]) for number, kind in sorted(chosen)]


def kind_of(word: str, ranks: dict[str, int]) -> str:
    if "'" in word:
        return "apostrophe"
    if ranks.get(word, RARE_RANK) >= RARE_RANK:
        return "rare"
    if len(word) >= LONG:
        return "long"
    return "short" if len(word) <= SHORT else "common"


def spell_nodes(lexicon: Lexicon, labels: str) -> list[str]:
    """Return the prefix that every node of the trie stands for. A node has a lower number than those below it."""
    prefixes = [""] * len(lexicon.word)
    for parent, label in np.argwhere(lexicon.children != NONE):
        prefixes[lexicon.children[parent, label]] = prefixes[parent] + labels[label]
    assert prefixes[ROOT] == ""
    return prefixes


def golden_case(
    trace: Trace,
    layout: Layout,
    encode: Callable[[Floats], Floats],
    search: BeamSearch,
    step: Step,
    prefixes: list[str],
    count: int,
) -> dict[str, Any]:
    beams: list[dict[str, Any]] = []

    def watch(nodes: Integers, scores: Any) -> None:
        spelled = [prefixes[node] for node in nodes]
        beams.append({"prefixes": spelled, "log_probs": [round(float(score), 6) for score in scores]})

    features = swipe_features(trace.points, layout)
    frames = encode(features)
    found = search.decode(frames, step, count, watch)
    return {
        "word": trace.word,
        "points": trace.points.tolist(),
        "features": packed(features),
        "encoder_frames": packed(frames),
        "beams": beams,
        "n_best": [
            {"word": one.word, "log_prob": round(one.log_prob, 6), "score": round(one.score, 6)} for one in found
        ],
    }


def packed(array: Floats) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()
    return {"shape": list(array.shape), "float32": data}


def write_gzip(path: Path, text: str) -> None:
    """Write a gzipped file whose bytes depend on nothing but the text."""
    with replacing(path) as tmp:
        tmp.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    sys.exit(run(main))
