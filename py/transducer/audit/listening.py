"""Every recording of an audit, heard by one recogniser, whole or in parts, and what of it changed.

Example:
    tests = hearings(clips, 16000, minutes=[1, 5])
    texts = listen(listener, tests)
    outcomes = {test: result.outcome for test, result in results(tests, texts)}
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from transducer.audit.cases import Case, Clip, audit_tests, companion
from transducer.audit.outcome import Outcome
from transducer.core.cli import InputError
from transducer.core.progress import progress
from transducer.core.shards import Shard
from transducer.speech.audio import Wave

# Seconds of the longest piece in which a stream's audio arrives where its phase is tested.
LONGEST_PIECE = 0.7
# The name of what all tests are compared with: the clips as they are.
PLAIN = ""
WHOLE = Shard(1, 1)


class Listener(Protocol):
    """A recogniser, or the checkpoint in PyTorch."""

    def hear(self, waves: Sequence[Wave]) -> list[str | None]:
        """Return the text of each recording, float32 [samples], in batches; None where it is too long to be heard."""

    def hear_alone(self, waves: Sequence[Wave]) -> list[str | None]:
        """Return the text of each recording, heard in a batch of its own."""

    def hear_pieces(self, wave: Wave, ends: Sequence[int]) -> str | None:
        """Return the text of a stream that arrives in pieces with these ends, in samples."""


class Hearing(NamedTuple):
    """The recordings of a test.

    alone: whether each is heard in a batch of its own
    beside: what each is heard in one batch with
    pieces: of each the ends of the pieces in which it arrives, in samples
    """

    test: str
    cases: Sequence[Case]
    alone: bool = False
    beside: Wave | None = None
    pieces: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True)
class Heard:
    """The cases of one test, what should have been heard in each, and what was."""

    cases: Sequence[Case]
    expected: Sequence[str]
    texts: Sequence[str | None]

    @property
    def outcome(self) -> Outcome:
        """Return the counts over what could be heard."""
        pairs = [(before, after) for before, after in zip(self.expected, self.texts, strict=True) if after is not None]
        return Outcome.of([before for before, _ in pairs], [after for _, after in pairs])


def hearings(clips: Sequence[Clip], sample_rate: int, minutes: Sequence[float], streams: bool = False) -> list[Hearing]:
    """Return all that an audit hears, the plain clips first; of streams also how they arrive."""
    plain = [Case("", partial(np.asarray, clip.wave), (number,)) for number, clip in enumerate(clips)]
    ends = list(pieces([clip.wave for clip in clips], sample_rate)) if streams else None
    return [
        Hearing(PLAIN, plain),
        Hearing("alone", plain, alone=True),
        Hearing("in_company", plain, beside=companion(clips)),
        *([Hearing("chunk_phase", plain, pieces=ends)] if ends else []),
        *(Hearing(name, cases) for name, cases in audit_tests(clips, sample_rate, minutes)),
    ]


def total_of(tests: Sequence[Hearing]) -> int:
    """Return how many recordings all tests have."""
    return sum(len(hearing.cases) for hearing in tests)


def listen(listener: Listener, tests: Sequence[Hearing], shard: Shard = WHOLE) -> list[str | None]:
    """Return the text of every recording of all tests in turn, or of those that are a shard's.

    Raises: InputError if there are fewer recordings than parts.
    """
    if shard.parts > (total := total_of(tests)):
        raise InputError(f"The audit has {total} recordings, too few for {shard.parts} shards; set SHARDS to less.")
    texts: list[str | None] = []
    before = 0
    for hearing in progress(tests, desc="audit", unit="test"):
        first = (shard.number - 1 - before) % shard.parts
        texts += _listen(listener, hearing, range(first, len(hearing.cases), shard.parts))
        before += len(hearing.cases)
    return texts


def _listen(listener: Listener, hearing: Hearing, numbers: Sequence[int]) -> list[str | None]:
    waves = [hearing.cases[number].make() for number in numbers]
    if hearing.pieces is not None:
        ends = [hearing.pieces[number] for number in numbers]
        return [listener.hear_pieces(wave, each) for wave, each in zip(waves, ends, strict=True)]
    if hearing.beside is not None:
        return listener.hear([one for wave in waves for one in (wave, hearing.beside)])[::2]
    return listener.hear_alone(waves) if hearing.alone else listener.hear(waves)


def results(tests: Sequence[Hearing], texts: Sequence[str | None]) -> Iterator[tuple[str, Heard]]:
    """Yield what was heard in each test, by the test's name, of the texts of all recordings in turn."""
    places = iter(texts)
    plain: list[str] = []
    for hearing in tests:
        here = [next(places) for _ in hearing.cases]
        if hearing.test == PLAIN:
            plain = [text or "" for text in here]
            continue
        expected = [" ".join(filter(None, (plain[clip] for clip in case.clips))) for case in hearing.cases]
        yield hearing.test, Heard(hearing.cases, expected, here)


def pieces(waves: Sequence[Wave], sample_rate: int) -> Iterator[list[int]]:
    """Yield, for each recording, the ends of pieces of random lengths."""
    rng = np.random.default_rng(2)
    for wave in waves:
        ends = np.cumsum(rng.integers(1, round(LONGEST_PIECE * sample_rate), 10_000))
        yield [*(int(end) for end in ends[ends < len(wave)]), len(wave)]
