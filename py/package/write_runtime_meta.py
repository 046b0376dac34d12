"""Write runtime_meta.json, what a decoder needs of a model: tokens, blank, dims, how features are made.

Example:
    .venv/bin/python py/package/write_runtime_meta.py --meta out/demo-swipe/meta/model_meta.json \
        --tokens out/demo-swipe/meta/tokens.txt --output out/demo-swipe/meta/runtime_meta.json

A package adds what goes with its folder: which graphs it holds, with their hashes, and its lexicon.
"""

import math
import sys
from pathlib import Path

from transducer.core.cli import InputError, parser, run, write_json
from transducer.package.facts import read_facts, read_tokens
from transducer.package.foreign import require_plain
from transducer.package.runtime_meta import describe
from transducer.swipe.beam_search import parse_threshold
from transducer.swipe.vocabulary import read_vocabulary


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json")
    args.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    args.add_argument("--vocabulary", type=Path, help="the labels as training had them, one a line, to be compared")
    args.add_argument("--beam", type=int, default=16)
    args.add_argument("--beam-threshold", type=parse_threshold, default=10.0)
    args.add_argument("--prior-weight", type=float, default=0.5)
    args.add_argument("--length-power", type=float, default=0.0)
    args.add_argument("--output", type=Path, required=True, help="meta/runtime_meta.json in the model's folder")
    options = args.parse_args()
    facts, tokens = read_facts(options.meta), read_tokens(options.tokens)
    if options.vocabulary and read_vocabulary(options.vocabulary) != "".join(tokens[:-1]):
        raise InputError(
            f"{options.vocabulary}: its labels are not those of {facts['source']['file']}; give the vocabulary that it "
            "was trained with."
        )
    require_plain(facts, facts["source"]["file"], "the decoders of packages")
    decoding = {"beam": options.beam, "prior_weight": options.prior_weight, "length_power": options.length_power}
    # Of a search without a threshold nothing is said, as JSON has no infinity.
    if math.isfinite(options.beam_threshold):
        decoding["threshold"] = options.beam_threshold
    write_json(options.output, describe(facts, tokens, decoding))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
