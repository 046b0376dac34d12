"""Write golden cases for decoders in other languages: 60 recordings with all that comes between samples and text.

Example:
    .venv/bin/python py/speech/write_golden.py --frontend out/demo-tdt/onnx/frontend.onnx \
        --encoder out/demo-tdt/onnx/encoder.onnx --step out/demo-tdt/onnx/rnnt_step.onnx \
        --meta out/demo-tdt/meta/model_meta.json --runtime-meta out/demo-tdt/meta/runtime_meta.json \
        --manifest models/validation/manifest.jsonl --output decoders/golden/demo-tdt.json.gz

decoders/golden/README.md describes the file.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cli import InputError, existing, log, parser, run
from transducer.core.contracts import Arrays, Floats
from transducer.core.progress import progress
from transducer.decoding.beam_search import Alternative, BeamSearch, Watcher
from transducer.decoding.golden import packed, read_runtime_meta, write_golden
from transducer.decoding.greedy import Hypothesis, StepDecoder
from transducer.decoding.phrases import Phrases
from transducer.decoding.prefixes import Beams, BeamState
from transducer.runtime.loader import open_graph
from transducer.runtime.sessions import Session
from transducer.speech.audio import read_audio
from transducer.speech.manifest import Utterance, read_manifest
from transducer.speech.steering import Steering
from transducer.speech.transcript import Token, Vocabulary

CASES = 60
# Features of all recordings would be most of the file, so every fifth has them.
WITH_FEATURES = 5
BEAM, TEXTS = 8, 8
# Hotwords are words that the greedy search misses; their weights take turns.
HOTWORDS, WEIGHTS = 20, (0.5, 1.0)


def main() -> int:
    options = parse_args()
    meta = read_runtime_meta(options.runtime_meta, "speech")
    facts = json.loads(existing(options.meta, "run `make meta` first").read_text("utf-8"))
    vocabulary = Vocabulary(meta["tokens"][: meta["blank_id"]], meta["tokenizer"])
    decoder = StepDecoder(facts, open_graph(options.step, 1))
    frontend, encoder = open_graph(options.frontend, 1), open_graph(options.encoder, 1)
    cases, misses = [], dict[str, int]()
    for utterance in progress(choose(options.manifest), desc="encoder", unit="case", leave=False):
        wave = read_audio(utterance["audio_filepath"], meta["sample_rate"])
        features, frames = encode(frontend, encoder, wave, Steering().conditions(facts))
        greedy, _ = decoder.decode(frames.T[None], np.array([len(frames)]))
        known = text_of(vocabulary, greedy[0]).split()
        for word in set(utterance["text"].split()) - set(known):
            misses[word] = misses.get(word, 0) + 1
        name = os.path.relpath(utterance["audio_filepath"], options.manifest.parent)
        cases.append({"audio": name, "text": utterance["text"], "encoder_frames": frames})
        if len(cases) % WITH_FEATURES == 1:
            cases[-1]["features"] = packed(features, "float16")
    words = sorted(misses, key=lambda word: (-misses[word], word))[:HOTWORDS]
    hotwords = {word: WEIGHTS[place % len(WEIGHTS)] for place, word in enumerate(words)}
    searches = {
        "greedy": BeamSearch(decoder, 1),
        "beam": BeamSearch(decoder, BEAM),
        "hotwords": BeamSearch(decoder, BEAM, Phrases(hotwords, vocabulary.spelt)),
    }
    for case in progress(cases, desc="golden cases", unit="case", leave=False):
        frames = case["encoder_frames"]
        case["searches"] = {name: searched(search, frames, vocabulary) for name, search in searches.items()}
        case["encoder_frames"] = packed(frames)
    settings = {
        name: {"beam": search.beam, "threshold": search.threshold, "hotwords": hotwords if name == "hotwords" else {}}
        for name, search in searches.items()
    }
    audio = {"manifest": str(options.manifest), "cases": cases}
    write_golden(options.output, {"meta": meta, "searches": settings, **audio})
    log.info("%d cases, %.1f MB", len(cases), options.output.stat().st_size / 1e6)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--frontend", type=Path, required=True, help="fp32 graph")
    args.add_argument("--encoder", type=Path, required=True, help="fp32 graph")
    args.add_argument("--step", type=Path, required=True, help="fp32 rnnt_step graph")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json")
    args.add_argument("--runtime-meta", type=Path, required=True, help="runtime_meta.json")
    args.add_argument("--manifest", type=Path, required=True, help="recordings to choose from, a NeMo manifest")
    args.add_argument("--output", type=Path, required=True, help="the .json.gz file")
    return args.parse_args()


def choose(manifest: Path) -> list[Utterance]:
    """Return as many recordings as there are to be cases, evenly from the shorter half, in the manifest's order."""
    utterances = read_manifest(manifest)
    if len(utterances) < 2 * CASES:
        raise InputError(f"{manifest} has {len(utterances)} recordings; give one of at least {2 * CASES}.")
    order = sorted(range(len(utterances)), key=lambda place: float(utterances[place].get("duration") or 0))
    shorter = sorted(order[: len(order) // 2])
    return [utterances[shorter[(2 * place + 1) * len(shorter) // (2 * CASES)]] for place in range(CASES)]


def encode(frontend: Session, encoder: Session, wave: Floats, conditions: Arrays) -> tuple[Floats, Floats]:
    """Return features, float32 [F, T], and encoder frames, float32 [T_enc, D], of samples [N]."""
    features, lengths = frontend.run(None, {"waveform": wave[None], "length": np.array([len(wave)])})
    first, second, *_ = (value.name for value in encoder.get_inputs())
    inputs = {first: features, second: lengths, **conditions}
    encoded, encoded_lengths = encoder.run(None, inputs)
    return features[0, :, : lengths[0]], np.ascontiguousarray(encoded[0, :, : encoded_lengths[0]].T)


def watching(steps: list[dict[str, Any]]) -> Watcher:
    """Return what notes the prefixes of a single stream that go on, before every step of its search."""

    def watch(rows: Beams, state: BeamState) -> None:
        prefixes = [state.history.hypothesis(alignment, 0).tokens for alignment in rows.alignment.tolist()]
        scores = [round(score, 6) for score in rows.score.tolist()]
        steps.append({"frame": int(rows.frame[0] + state.frames[0]), "prefixes": prefixes, "scores": scores})

    return watch


def listed(alternatives: Sequence[Alternative], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Return the best of a stream's alternatives."""
    return [
        {
            "labels": hypothesis.tokens,
            "frames": hypothesis.frames,
            "durations": hypothesis.durations,
            "confidences": [round(confidence, 6) for confidence in hypothesis.confidences],
            "text": text_of(vocabulary, hypothesis),
            "log_prob": round(log_prob, 6),
            "score": round(score, 6),
        }
        for hypothesis, log_prob, score in alternatives[:TEXTS]
    ]


def searched(search: BeamSearch, frames: Floats, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what a search keeps before each of its steps, and what it ends with, of encoder frames [T, D]."""
    steps: list[dict[str, Any]] = []
    state = search.decode(frames.T[None], np.array([len(frames)]), watch=watching(steps))
    return {"steps": steps, "n_best": listed(search.alternatives(state)[0], vocabulary)}


def text_of(vocabulary: Vocabulary, hypothesis: Hypothesis) -> str:
    return vocabulary.transcript([Token(label, 0.0, 0.0, 0.0) for label in hypothesis.tokens]).text


if __name__ == "__main__":
    sys.exit(run(main))
