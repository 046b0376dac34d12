"""Write golden cases for decoders in other languages: 200 swipes with all that comes between points and words.

Example:
    .venv/bin/python py/swipe/write_golden.py --encoder out/demo-swipe/onnx/encoder.onnx \
        --step out/demo-swipe/onnx/rnnt_step.onnx --meta out/demo-swipe/meta/runtime_meta.json \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --bigrams out/demo-swipe/golden/bigrams.bin --output decoders/golden/cases.json.gz

decoders/golden/README.md describes the file.
"""

import argparse
import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import log, parser, run
from transducer.core.contracts import Floats
from transducer.core.progress import progress
from transducer.decoding.golden import packed, read_runtime_meta, write_golden, write_gzip
from transducer.swipe.beam_search import BeamSearch, Candidate
from transducer.swipe.bigrams import Bigrams
from transducer.swipe.facts import Facts
from transducer.swipe.features import swipe_features
from transducer.swipe.lexicon import NONE, ROOT, Lexicon, read_words
from transducer.swipe.recognition import encoder_frames, open_encoder, open_step
from transducer.swipe.steps import Integers, Step
from transducer.swipe.traces import Trace, read_traces

# Cases by the first kind that a word is of; "common" fills up to the number of cases.
QUOTAS = {"apostrophe": 20, "rare": 40, "long": 30, "short": 30, "common": 200}
RARE_RANK, LONG, SHORT = 15_000, 11, 2
# Words after which swipes are decoded once more, "" being the beginning of a sentence.
PREVIOUS = ("", "the", "of", "to", "and", "this", "you", "in", "or", "any", "such", "that", "by")
# Of each kind the fastest quarter is chosen from, but not fewer than these.
FEWEST = 25


def main() -> int:
    options = parse_args()
    meta = read_runtime_meta(options.meta, "swipe")
    labels = "".join(meta["tokens"][:-1])
    lexicon = Lexicon(read_words(options.lexicon), labels)
    layout = Facts(meta, str(options.meta)).layout
    search = BeamSearch(lexicon, meta["blank_id"], (meta["dims"]["L"], meta["dims"]["H"]), **meta["decoding"])
    bigrams = Bigrams.read(options.bigrams, lexicon.words)
    encode, step = open_encoder(options.encoder), open_step(options.step)
    picks = choose(read_traces(options.manifest, labels), lexicon)
    prefixes = spell_nodes(lexicon, labels)
    cases = []
    for kind, trace in progress(picks, desc="golden cases", unit="case", leave=False):
        features = swipe_features(trace.points, layout)
        frames = encoder_frames(encode, features)
        beams = Beams(prefixes)
        candidates = search.decode(frames, step, options.count, beams)
        cases.append(
            in_context(search, step, frames, candidates, bigrams, options.count)
            | {
                "word": trace.word,
                "kind": kind,
                "points": trace.points.tolist(),
                "features": packed(features),
                "encoder_frames": packed(frames),
                "beams": beams.seen,
                "n_best": listed(candidates),
            }
        )
    words = options.output.with_name("words.txt.gz")
    write_gzip(words, "".join(f"{word}\n" for word in lexicon.words))
    pairs = base64.b64encode(options.bigrams.read_bytes()).decode()
    write_golden(options.output, {"meta": meta, "words": words.name, "bigrams": pairs, "cases": cases})
    log.info("%d cases, %.1f MB", len(cases), options.output.stat().st_size / 1e6)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--encoder", type=Path, required=True, help="fp32 graph")
    args.add_argument("--step", type=Path, required=True, help="fp32 rnnt_step graph")
    args.add_argument("--meta", type=Path, required=True, help="runtime_meta.json")
    args.add_argument("--manifest", type=Path, required=True, help="traces to choose from, .jsonl or .jsonl.gz")
    args.add_argument("--lexicon", type=Path, required=True, help="words, the most frequent first")
    args.add_argument("--bigrams", type=Path, required=True, help="bigrams.bin of these words")
    args.add_argument("--count", type=int, default=10, help="words in an n-best list")
    args.add_argument("--output", type=Path, required=True, help="the .json.gz file; words.txt.gz comes beside it")
    return args.parse_args()


def listed(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    return [{"word": one.word, "log_prob": round(one.log_prob, 6), "score": round(one.score, 6)} for one in candidates]


def in_context(
    search: BeamSearch, step: Step, frames: Floats, candidates: Sequence[Candidate], bigrams: Bigrams, count: int
) -> dict[str, Any]:
    """Return what is found after the word that lifts the best or the second best most, if there is one."""
    indices = [search.lexicon.words.index(one.word) for one in candidates[:2]]
    lifted = [(bigrams.gains(previous).get(index, 0.0), previous) for previous in PREVIOUS for index in indices]
    gain, previous = max(lifted, default=(0.0, ""))
    if not gain:
        return {}
    n_best = listed(search.decode(frames, step, count, gains=bigrams.gains(previous)))
    return {"context": {"previous": previous, "n_best": n_best}}


def choose(traces: list[Trace], lexicon: Lexicon) -> list[tuple[str, Trace]]:
    """Return as many traces as there are to be cases, with their kinds, spread over the manifest."""
    ranks = {word: rank for rank, word in enumerate(lexicon.words)}
    pools: dict[str, list[int]] = {kind: [] for kind in QUOTAS}
    for number, trace in enumerate(traces):
        pools[kind_of(trace.word, ranks)].append(number)
    # Slow swipes would fill the file with frames.
    for pool in pools.values():
        fastest = sorted(pool, key=lambda number: traces[number].points[-1, 2])
        pool[:] = sorted(fastest[: max(FEWEST, len(pool) // 4)])
    picks: list[tuple[int, str]] = []
    total = QUOTAS["common"]
    for kind, pool in pools.items():
        count = min(QUOTAS[kind], total - len(picks), len(pool))
        picks += [(pool[(2 * place + 1) * len(pool) // (2 * count)], kind) for place in range(count)]
    return [(kind, traces[number]) for number, kind in sorted(picks)]


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


class Beams:
    """Keeps the prefixes that have left each frame, the best first, and their log probabilities."""

    def __init__(self, prefixes: list[str]) -> None:
        self._prefixes = prefixes
        self.seen: list[dict[str, Any]] = []

    def __call__(self, nodes: Integers, log_probs: NDArray[np.float64]) -> None:
        spelled = [self._prefixes[node] for node in nodes]
        self.seen.append({"prefixes": spelled, "log_probs": [round(value, 6) for value in log_probs.tolist()]})


if __name__ == "__main__":
    sys.exit(run(main))
