"""Every recording of an audit, heard by one recogniser, and what of it changed.

Example:
    heard = listen(clips, 16000, minutes=[1, 5], listener=recognizer)
    outcomes = {test: found.outcome for test, found in heard.items()}
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from transducer.audit.cases import Case, Clip, audit_tests, in_company
from transducer.audit.outcome import Outcome
from transducer.core.progress import progress
from transducer.speech.audio import Wave

# Seconds of the longest piece in which a stream's audio arrives where its phase is tested.
LONGEST_PIECE = 0.7


class Listener(Protocol):
    """A recogniser, or the checkpoint in PyTorch."""

    def hear(self, waves: Sequence[Wave]) -> list[str | None]:
        """Return the text of each recording, float32 [samples], in batches; None where it is too long to be heard."""

    def hear_alone(self, waves: Sequence[Wave]) -> list[str | None]:
        """Return the text of each recording, heard in a batch of its own."""

    def hear_pieces(self, wave: Wave, ends: Sequence[int]) -> str | None:
        """Return the text of a stream that arrives in pieces with these ends, in samples; None without streams."""


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


def listen(
    clips: Sequence[Clip], sample_rate: int, minutes: Sequence[float], listener: Listener
) -> Iterator[tuple[str, Heard]]:
    """Yield what a recogniser hears in each test, by the test's name."""
    waves = [clip.wave for clip in clips]
    texts = [text or "" for text in listener.hear(waves)]
    plain = [Case("", clip.wave, (number,)) for number, clip in enumerate(clips)]
    yield "alone", Heard(plain, texts, listener.hear_alone(waves))
    yield "in_company", Heard(plain, texts, listener.hear(in_company(clips))[::2])
    if listener.hear_pieces(waves[0], [len(waves[0])]) is not None:
        phases = [
            listener.hear_pieces(wave, ends) for wave, ends in zip(waves, pieces(waves, sample_rate), strict=True)
        ]
        yield "chunk_phase", Heard(plain, texts, phases)
    for name, cases in progress(audit_tests(clips, sample_rate, minutes), desc="audit", unit="test"):
        expected = [" ".join(filter(None, (texts[clip] for clip in case.clips))) for case in cases]
        yield name, Heard(cases, expected, listener.hear([case.wave for case in cases]))


def pieces(waves: Sequence[Wave], sample_rate: int) -> Iterator[list[int]]:
    """Yield, for each recording, the ends of pieces of random lengths."""
    rng = np.random.default_rng(2)
    for wave in waves:
        ends = np.cumsum(rng.integers(1, round(LONGEST_PIECE * sample_rate), 10_000))
        yield [*(int(end) for end in ends[ends < len(wave)]), len(wave)]
