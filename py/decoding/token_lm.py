"""Write an n-gram model of a model's tokens from text, for beam search: ARPA format.

Example:
    .venv/bin/python py/decoding/token_lm.py --text commands.txt --meta out/demo-tdt/meta --order 4 \
        --output out/demo-tdt/decoding/token_lm.arpa
"""

import sys
from pathlib import Path

from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.core.texts import lines_of
from transducer.decoding.n_grams import arpa, estimate
from transducer.decoding.tokenization import tokenizer

MOST_ORDER = 9


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--text", type=Path, required=True, help="sentences as the model writes them, one a line")
    args.add_argument("--meta", type=Path, required=True, help="meta/ of the built model")
    args.add_argument("--order", type=int, default=4, help="tokens of the longest n-grams")
    args.add_argument("--output", type=Path, required=True, help="the .arpa file")
    options = args.parse_args()
    if not 1 <= options.order <= MOST_ORDER:
        raise InputError(f"An order of {options.order} makes no model; give 1 to {MOST_ORDER}.")
    encode, labels = tokenizer(options.meta)
    sentences = [encode(line) for line in lines_of(options.text, "token-lm")]
    if not sentences:
        raise InputError(f"{options.text} has no sentences; write them into it, one a line.")
    known = set(labels)
    spelt = [tokens for tokens in sentences if known.issuperset(tokens)]
    if not spelt:
        raise InputError(
            f"{options.text}: not one of its {len(sentences)} lines can be written in the model's tokens; write them "
            "as the model's own transcripts are."
        )
    if len(spelt) < len(sentences):
        log.warning(
            "%d of %d lines hold what no token spells and are left out", len(sentences) - len(spelt), len(sentences)
        )
    n_grams = estimate(spelt, options.order, labels)
    with replacing(options.output) as tmp:
        tmp.write_text(arpa(n_grams), encoding="utf-8")
    log.info("%d lines, %d n-grams of up to %d tokens", len(spelt), len(n_grams), options.order)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
