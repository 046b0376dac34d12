"""Write sentences that have a language's words as often as people use them, for token_lm.py to learn from.

Example:
    .venv/bin/python py/decoding/language_text.py --language de --output out/demo-tdt/decoding/language.de.txt
"""

import sys
from pathlib import Path

from transducer.core.cli import parser, replacing, run
from transducer.decoding.languages import sentences


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--language", required=True, help="its code in ISO 639-1, as de")
    args.add_argument("--sentences", type=int, default=20_000)
    args.add_argument("--output", type=Path, required=True, help="the text, a sentence a line")
    options = args.parse_args()
    with replacing(options.output) as tmp:
        tmp.write_text("".join(f"{text}\n" for text in sentences(options.language, options.sentences)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
