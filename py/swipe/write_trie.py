"""Write a lexicon as a compact trie over a model's labels, trie.bin, with the words that it indexes beside it.

Example:
    .venv/bin/python py/swipe/write_trie.py --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --checkpoint out/demo-swipe/checkpoint --output out/demo-swipe/lexicon/trie.bin
"""

import sys
from pathlib import Path

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.swipe.lexicon import Lexicon, read_lists
from transducer.swipe.trie import write_trie


def main() -> int:
    args = parser(__doc__)
    args.add_argument(
        "--lexicon", nargs="+", required=True, metavar="FILE[:WEIGHT]", help="a word a line, by frequency"
    )
    args.add_argument("--checkpoint", type=Path, required=True, help="unpacked; its labels spell the words")
    args.add_argument("--output", type=Path, required=True, help="trie.bin; words.txt goes beside it")
    options = args.parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    if any(len(label) != 1 for label in checkpoint.labels):
        raise InputError(
            f"{checkpoint.source}: its labels are pieces of words, which spell a word in many ways; a trie takes a "
            "model of characters, so leave LEXICON out."
        )
    lexicon = Lexicon.of_lists(read_lists(options.lexicon), checkpoint.labels)
    with replacing(options.output.with_name("words.txt")) as tmp:
        tmp.write_text("".join(f"{word}\n" for word in lexicon.words), encoding="utf-8")
    write_trie(lexicon, options.output)
    log.info("%s: %d words, %d nodes", options.output, len(lexicon.words), len(lexicon.word))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
