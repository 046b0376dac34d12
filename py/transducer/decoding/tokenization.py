"""Text to tokens, by the tokenizer of a built model.

Example:
    encode, labels = tokenizer(Path("out/demo-tdt/meta"))
    tokens = encode("where is the parcel")
"""

import json
from collections.abc import Callable
from pathlib import Path

from transducer.core.cli import InputError, existing

Encode = Callable[[str], list[str]]


def tokenizer(meta: Path) -> tuple[Encode, list[str]]:
    """Return what turns text into tokens, and all tokens in order of their ids.

    Raises: InputError for a tokenizer that is not SentencePiece's or of characters.
    """
    facts = json.loads(existing(meta / "model_meta.json", "run `make meta` first").read_text("utf-8"))
    labels = existing(meta / "vocab.txt", "run `make meta` first").read_text(encoding="utf-8").split("\n")[:-1]
    if facts["tokenizer"] == "char":
        return list, labels
    model = meta / "tokenizer.model"
    if not model.exists():
        raise InputError(
            f"{meta} has a tokenizer of the kind {facts['tokenizer']!r}, not SentencePiece's or of characters; write "
            "the ARPA file of its tokens with another tool."
        )
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(model))
    return lambda text: [str(piece) for piece in processor.encode(text, out_type=str)], labels
