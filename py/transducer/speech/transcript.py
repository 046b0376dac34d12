"""Tokens with their times, and the text and words that they spell, without a tokenizer library.

Example:
    vocabulary = Vocabulary.read(Path("out/demo-tdt/meta/vocab.txt"), "bpe")
    transcript = vocabulary.transcript(tokens)
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transducer.core.cli import existing

# SentencePiece's mark of a space, and how it spells a piece that it does not know.
SPACE = "\u2581"
UNKNOWN = {"<unk>": " \u2047 "}
# Labels that say what ends, not what is said, of NeMo's EOU models.
EVENTS = {"<EOU>": "end of utterance", "<EOB>": "end of backchannel"}
# Labels whose punctuation NeMo does not look at: those that begin a word or go on with one, and in brackets.
NO_PUNCTUATION = re.compile(r"\[.*\]$|<.*>$|##|\u2581")


@dataclass(frozen=True)
class Token:
    """A token id, its times in seconds from the beginning of the audio, and its probability."""

    id: int
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Word:
    """A word, its times in seconds from the beginning of the audio, and its least certain token's probability."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording; of a beam search also other texts, each with its score, the best first.

    events: what ended, and when, of a model that hears it
    """

    text: str
    tokens: list[Token]
    words: list[Word]
    alternatives: tuple[tuple[str, float], ...] = ()
    events: tuple[tuple[str, float], ...] = ()


class Vocabulary:
    """The tokens of a model as they are spelt, a space before what begins a word.

    Args:
        labels: tokens in order of their ids.
        kind: tokenizer kind of model_meta.json: char, bpe, wpe or agg.

    Attributes:
        labels: as given.
        spelt: the text of each.
    """

    def __init__(self, labels: Sequence[str], kind: str) -> None:
        self.labels = labels
        if kind == "char":
            self.spelt = list(labels)
        elif kind == "wpe":
            self.spelt = [label[2:] if label.startswith("##") else f" {label}" for label in labels]
        else:
            special = UNKNOWN | dict.fromkeys(EVENTS, "")
            self.spelt = [special.get(label, label).replace(SPACE, " ") for label in labels]
        marks = {mark for label in labels if not NO_PUNCTUATION.match(label) for mark in label}
        self._punctuation = {mark for mark in marks if unicodedata.category(mark).startswith("P")}
        # (?!) matches nothing.
        self._space_before = re.compile(rf"\s({'|'.join(map(re.escape, sorted(self._punctuation))) or '(?!)'})")

    @classmethod
    def read(cls, path: Path, kind: str) -> "Vocabulary":
        """Read vocab.txt, one token a line; a token may be a space or another separator."""
        text = existing(path, "run `make meta` first").read_text(encoding="utf-8")
        return cls(text.split("\n")[:-1], kind)

    def __len__(self) -> int:
        return len(self.spelt)

    def begins_word(self, token: Token) -> bool:
        """Tell whether a token begins with a space, or is one."""
        return self.spelt[token.id].startswith(" ")

    def transcript(self, tokens: list[Token]) -> Transcript:
        """Spell tokens out, as text and as words. As in NeMo, a space before punctuation goes; of several, one."""
        words: list[list[Token]] = []
        spaces = 0
        for token in tokens:
            spelt = self.spelt[token.id]
            body = spelt.lstrip(" ")
            spaces += len(spelt) - len(body)
            if body:
                if not words or spaces > (body[0] in self._punctuation):
                    words.append([])
                words[-1].append(token)
                spaces = len(body) - len(body.rstrip(" "))
        events = tuple((EVENTS[label], token.start) for token in tokens if (label := self.labels[token.id]) in EVENTS)
        return Transcript(self._text(tokens), tokens, [self._word(parts) for parts in words], events=events)

    def _text(self, tokens: list[Token]) -> str:
        text = "".join(self.spelt[token.id] for token in tokens).strip()
        return self._space_before.sub(r"\1", text)

    def _word(self, tokens: list[Token]) -> Word:
        return Word(self._text(tokens), tokens[0].start, tokens[-1].end, min(token.confidence for token in tokens))
