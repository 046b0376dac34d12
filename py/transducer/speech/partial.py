"""Where one stream of audio stands, and what is said of it while it goes on.

Example:
    stream = Stream()
    stream.samples = np.concatenate([stream.samples, piece])
"""

from dataclasses import dataclass, field

import numpy as np

from transducer.speech.alternatives import Heard
from transducer.speech.audio import Wave
from transducer.speech.transcript import Token, Transcript

NOTHING: list[Heard] = [([], 0.0)]


@dataclass(frozen=True)
class Partial:
    """What one stream has said so far. Times are seconds of the stream, as if it were spoken while we listen.

    begin: of the speech that this step added
    end: of the audio that the step needed; the transcript covers it
    compute: how long frontend, encoder and decoder took, measured
    ready: when the transcript was there: `compute` after `end`, or after the step before was done
    settled: characters of the text that will not change
    final: nothing more will come
    """

    row: int
    transcript: Transcript
    begin: float
    end: float
    compute: float
    ready: float
    settled: int = 0
    final: bool = False

    @property
    def lookahead(self) -> float:
        """How long the first speech that was added had to wait for the speech after it."""
        return self.end - self.begin

    @property
    def latency(self) -> float:
        """How long after it was spoken the first speech that was added came out; all else came sooner."""
        return self.ready - self.begin


@dataclass
class Stream:
    """Where one stream stands: samples that are still needed (the first is number `begin`), windows done, labels.

    tokens: those that will not change; pending: what may follow them, the best first.
    """

    samples: Wave = field(default_factory=lambda: np.zeros(0, np.float32))
    begin: int = 0
    ended: bool = False
    window: int = 0
    tokens: list[Token] = field(default_factory=list)
    pending: list[Heard] = field(default_factory=list)
    last: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def heard(self) -> int:
        """Samples so far."""
        return self.begin + len(self.samples)

    @property
    def said(self) -> tuple[int, list[int]]:
        """How many labels will not change, and the best that may follow them."""
        [(best, _), *_] = self.pending or NOTHING
        return len(self.tokens), [token.id for token in best]
