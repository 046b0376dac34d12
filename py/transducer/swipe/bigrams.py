"""What the word before tells of a word: pairs that are likelier together than apart, in one compact file, bigrams.bin.

Example:
    bigrams = Bigrams.of_text(sentences, lexicon.words, lexicon.prior, pairs=100_000)
    candidates = search.decode(frames, step, gains=bigrams.gains("of"))

A pair's gain is ln p(word | previous) - ln p(word) but for what all words after `previous` have in common, so a word
without a pair has none. With absolute discounting (Ney et al. 1994) of counts c and a rest that follows the lexicon's
prior, it is ln(1 + (c - d) / (d n p)), n being how many words were seen after `previous`, and p the word's prior.

All numbers of the file are little endian.

| field | type | |
|---|---|---|
| magic | 4 bytes | BIGR |
| version, W, P | u32 each | 1; words, pairs |
| digest | u32 | FNV-1a of the words' UTF-8, each with a line feed after it |
| first | u32 [W + 2] | pairs of word w are first[w] to first[w + 1] - 1; w = W is the beginning of a sentence |
| next | u32 [P] | the word after it |
| gain | u8 [P] | in sixteenths of a nat |
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError, replacing

MAGIC = b"BIGR"
VERSION = 1
HEADER = np.dtype([("magic", "S4"), ("version", "<u4"), ("words", "<u4"), ("pairs", "<u4"), ("digest", "<u4")])
# Gains are stored in steps of a nat's sixteenth, up to 255 of them.
STEPS = 16
DISCOUNT = 0.75
# Before the first word of a sentence.
BEGIN = ""


class Bigrams:
    """The gains of word pairs over a lexicon's words.

    first: int64 [W + 2]; next: int64 [P]; gain: float64 [P], in nats.
    """

    def __init__(
        self, words: Sequence[str], first: NDArray[np.int64], following: NDArray[np.int64], gain: NDArray[np.float64]
    ) -> None:
        self._words = words
        self._ids = {word: index for index, word in enumerate(words)} | {BEGIN: len(words)}
        self._first, self._next, self._gain = first, following, gain

    def __len__(self) -> int:
        return len(self._next)

    def gains(self, previous: str) -> dict[int, float]:
        """Return the gains of words by their index after another one; "" is the beginning of a sentence.

        None after a word that the lexicon lacks.
        """
        if (index := self._ids.get(previous)) is None:
            return {}
        pairs = slice(*self._first[index : index + 2])
        return dict(zip(self._next[pairs].tolist(), self._gain[pairs].tolist(), strict=True))

    @classmethod
    def of_text(
        cls, sentences: Iterable[Sequence[str]], words: Sequence[str], prior: NDArray[np.float64], pairs: int
    ) -> Self:
        """Count the pairs of sentences, lists of words, and keep those that tell most: by count times gain.

        Args:
            prior: the log prior of each word, but for a constant.
        """
        ids = {word: index for index, word in enumerate(words)}
        counts: Counter[tuple[int, int]] = Counter()
        for sentence in sentences:
            before: int | None = len(words)
            for word in sentence:
                now = ids.get(word)
                if before is not None and now is not None:
                    counts[before, now] += 1
                before = now
        kinds = Counter(before for before, _ in counts)
        share = np.exp(prior - np.logaddexp.reduce(prior))
        entries = []
        for (before, now), count in counts.items():
            gain = math.log1p((count - DISCOUNT) / (DISCOUNT * kinds[before] * share[now]))
            if steps := min(round(STEPS * gain), 255):
                entries.append((-count * gain, before, now, steps))
        rows = np.array(sorted((before, now, steps) for _, before, now, steps in sorted(entries)[:pairs]), np.int64)
        rows = rows.reshape(-1, 3)
        first = np.searchsorted(rows[:, 0], np.arange(len(words) + 2))
        return cls(words, first, rows[:, 1], rows[:, 2] / STEPS)

    def write(self, path: Path) -> None:
        header = np.array((MAGIC, VERSION, len(self._words), len(self._next), digest_of(self._words)), HEADER)
        parts = (self._first.astype("<u4"), self._next.astype("<u4"), np.round(self._gain * STEPS).astype(np.uint8))
        with replacing(path) as tmp:
            tmp.write_bytes(header.tobytes() + b"".join(part.tobytes() for part in parts))

    @classmethod
    def read(cls, path: Path, words: Sequence[str]) -> Self:
        """Read bigrams.bin. Raises: InputError if it is not one, is damaged, or of other words."""
        try:
            content = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise InputError(f"{path}: not a readable file of bigrams; run `make bigrams` first.") from None
        header = np.frombuffer(content[: HEADER.itemsize].ljust(HEADER.itemsize, b"\0"), HEADER)[0]
        if header["magic"] != MAGIC or header["version"] != VERSION:
            raise InputError(f"{path}: not bigrams of version {VERSION}; run `make bigrams` again.")
        count, pairs = int(header["words"]), int(header["pairs"])
        if len(content) != HEADER.itemsize + 4 * (count + 2) + 5 * pairs:
            raise InputError(f"{path}: has {len(content)} bytes, which is not what its header says; copy it again.")
        if (count, int(header["digest"])) != (len(words), digest_of(words)):
            raise InputError(f"{path}: is of another word list; run `make bigrams` with this one.")
        first = np.frombuffer(content, "<u4", count + 2, HEADER.itemsize).astype(np.int64)
        following = np.frombuffer(content, "<u4", pairs, HEADER.itemsize + 4 * (count + 2)).astype(np.int64)
        gain = np.frombuffer(content, np.uint8, pairs, len(content) - pairs) / STEPS
        if first[0] or first[-1] != pairs or (np.diff(first) < 0).any() or (following >= count).any():
            raise InputError(f"{path}: its pairs are not those of its words; copy it again.")
        return cls(words, first, following, gain)


def digest_of(words: Iterable[str]) -> int:
    """Return FNV-1a, 32 bits, of the words' UTF-8, each with a line feed after it."""
    digest = 0x811C9DC5
    for byte in "".join(f"{word}\n" for word in words).encode():
        digest = (digest ^ byte) * 0x01000193 & 0xFFFFFFFF
    return digest
