"""Turn a tokenizer.json back into the SentencePiece model that it was made from.

Example:
    content = json.loads(Path("tokenizer.json").read_text())
    Path("tokenizer.model").write_bytes(sentencepiece_model(content, Path("tokenizer.json"), 8192))
"""

import base64
import re
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError

# SentencePiece's numbers of its algorithms.
UNIGRAM, BPE = 1, 2


def sentencepiece_model(content: dict[str, Any], path: Path, labels: int) -> bytes:
    """Return the serialised SentencePiece model of the first `labels` tokens of a tokenizer.json, read from `path`.

    Raises: InputError if a token is missing, or if it spells spaces otherwise than SentencePiece.
    """
    from sentencepiece import SentencePieceProcessor

    try:
        model = _sentencepiece_model(content, labels)
        SentencePieceProcessor(model_proto=model)
        return model
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(
            f"{path} is not a SentencePiece tokenizer of {labels} tokens ({error}); bring its own."
        ) from None


def _sentencepiece_model(content: dict[str, Any], labels: int) -> bytes:
    from sentencepiece import sentencepiece_model_pb2

    model_proto = sentencepiece_model_pb2.ModelProto  # type: ignore[attr-defined]  # made at run time

    model, added = content["model"], {int(token["id"]): token for token in content.get("added_tokens", [])}
    pieces = {number: (str(token["content"]), 0.0) for number, token in added.items()} | scored(model)
    missing = next((number for number in range(labels) if number not in pieces), None)
    if missing is not None:
        raise ValueError(f"token {missing} is missing")
    if not any("▁" in piece for piece, _ in pieces.values()):
        raise ValueError("no token has ▁ for a space")
    proto = model_proto()
    proto.trainer_spec.model_type = UNIGRAM if isinstance(model["vocab"], list) else BPE
    proto.trainer_spec.vocab_size = labels
    # Its converter sets byte_fallback even without byte pieces, which SentencePiece refuses.
    byte_pieces = {number for number, (piece, _) in pieces.items() if re.fullmatch("<0x[0-9A-F]{2}>", piece)}
    proto.trainer_spec.byte_fallback = bool(model.get("byte_fallback")) and len(byte_pieces) == 256
    unknown = model.get("unk_token") or (pieces[int(model["unk_id"])][0] if "unk_id" in model else "<unk>")
    proto.trainer_spec.unk_piece = unknown
    proto.trainer_spec.bos_id = proto.trainer_spec.eos_id = proto.trainer_spec.pad_id = -1
    proto.normalizer_spec.name = "identity"
    for part in _parts(content.get("normalizer")):
        if part.get("type") == "Precompiled":
            proto.normalizer_spec.name = "precompiled"
            proto.normalizer_spec.precompiled_charsmap = base64.b64decode(part["precompiled_charsmap"])
    kinds = model_proto.SentencePiece
    for number in range(labels):
        text, score = pieces[number]
        kind = kinds.NORMAL
        if text == unknown:
            kind, proto.trainer_spec.unk_id = kinds.UNKNOWN, number
        elif number in added:
            kind = kinds.CONTROL if added[number].get("special") else kinds.USER_DEFINED
        elif proto.trainer_spec.byte_fallback and number in byte_pieces:
            kind = kinds.BYTE
        proto.pieces.add(piece=text, score=score, type=kind)
    return bytes(proto.SerializeToString(deterministic=True))


def scored(model: dict[str, Any]) -> dict[int, tuple[str, float]]:
    """Return pieces and scores by id. SentencePiece merges by score of the result where tokenizers go by rank."""
    if isinstance(model["vocab"], list):
        return {number: (str(piece), float(score)) for number, (piece, score) in enumerate(model["vocab"])}
    merges = [pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"]]
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        ranks.setdefault("".join(pair), rank)
    return {int(number): (piece, -float(ranks.get(piece, len(merges)))) for piece, number in model["vocab"].items()}


def _parts(node: Any) -> list[dict[str, Any]]:
    """Return the steps of a normalizer, alone or in sequence."""
    if not isinstance(node, dict):
        return []
    return node["normalizers"] if node.get("type") == "Sequence" else [node]
