"""Beam search of RNN-T and TDT models, for many streams at once and chunk by chunk; docs/decoding.md specifies it.

Example:
    search = BeamSearch(Decoder(meta, predictor, joint), beam=8, bias=Phrases({"parakeet": 0.5}, vocabulary))
    state = search.decode(encoder_output, encoded_lengths)
    state = search.decode(next_encoder_output, next_lengths, state)  # the same streams go on
    [best, *others] = search.alternatives(state)[0]

The search goes frame by frame. A prefix is a sequence of labels; alignments of the same prefix that are at the same
frame are merged by adding their probabilities. A duration takes a prefix straight to the frame that it ends in.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transducer.core.contracts import Floats
from transducer.decoding.bias import Bias, Integers
from transducer.decoding.greedy import Decoder, Hypothesis
from transducer.decoding.prefixes import Beams, BeamState, History, Memory, merged
from transducer.decoding.successors import Labels, best_of, log_softmax, successors

# A prefix that is so many nats behind the best of its stream, though not ahead in time, is dropped. What steers a
# search may bring back one that is further behind.
THRESHOLD, STEERED_THRESHOLD = 2.5, 5.0


class Alternative(NamedTuple):
    """A hypothesis, the log probability of its labels over all alignments found, and the score it is ranked by."""

    hypothesis: Hypothesis
    log_prob: float
    score: float


# Gets the rows that go on at a frame, by stream and score, and the state whose history has their labels.
Watcher = Callable[[Beams, BeamState], None]


class BeamSearch:
    """A search with one model; its decoder's graphs run on all prefixes of all streams at once.

    Args:
        beam: prefixes kept of a stream at each frame; with 1 and no bias the search is the greedy one.
        bias: steers it; None leaves the model's own scores.
        threshold: nats behind the best of its stream at which a prefix is dropped; None is THRESHOLD, or
            STEERED_THRESHOLD with a bias.

    Attributes:
        beam, threshold: as given.
    """

    def __init__(
        self, decoder: Decoder, beam: int = 8, bias: Bias | None = None, threshold: float | None = None
    ) -> None:
        self._decoder, self._bias, self.beam = decoder, bias, beam
        self.threshold = (STEERED_THRESHOLD if bias else THRESHOLD) if threshold is None else threshold

    def initial_state(self, batch: int) -> BeamState:
        """Return the state of `batch` new streams."""
        start, zeros = self._decoder.initial_state(batch), np.zeros(batch, np.int64)
        scores, streams = np.zeros(batch), np.arange(batch)
        beams = Beams(streams, streams, streams, zeros, zeros, streams, scores, scores)
        return BeamState(beams, Memory(streams, start.g, start.states), zeros, streams, History(batch))

    def decode(
        self,
        encoder_output: Floats,
        encoded_lengths: Integers,
        state: BeamState | None = None,
        watch: Watcher | None = None,
    ) -> BeamState:
        """Return the state after the next encoder frames of every stream.

        Args: those of Decoder.decode. What was decoded so far is what `alternatives` says of the state.
            watch: called before every step.
        """
        state = state or self.initial_state(len(encoded_lengths))
        rows = replace(state.beams, state=np.arange(len(state.beams)))
        memory = Memory(rows.prefix, *state.memory[state.beams.state])
        state = replace(state, memory=memory, beams=rows)
        frames, beams = np.ascontiguousarray(encoder_output.transpose(0, 2, 1)), state.beams
        # Each stream is at a frame of its own, and all prefixes that have that frame next go on together.
        before, symbols = np.full(len(encoded_lengths), -1), np.zeros(len(encoded_lengths), np.int64)
        while True:
            now = np.full(len(encoded_lengths), encoded_lengths.max(initial=0))
            np.minimum.at(now, beams.stream, beams.frame)
            due = (beams.frame == now[beams.stream]) & (now < encoded_lengths)[beams.stream]
            if not due.any():
                break
            symbols, before = np.where(now == before, symbols + 1, 0), now
            waiting = beams[~due]
            going = self._kept(merged(beams[due]), waiting)
            if watch and len(going):
                watch(going, state)
            beams = waiting + self._grown(frames, going, state, symbols == self._decoder.max_symbols - 1)
        beams = replace(beams, frame=beams.frame - encoded_lengths[beams.stream])
        return replace(state, beams=beams, frames=state.frames + encoded_lengths)

    def pass_over(self, state: BeamState, frames: Integers) -> BeamState:
        """Return the state after frames, int64 [B], that are not decoded; what a duration jumped into them ends."""
        passed = frames[state.beams.stream] > 0
        beams = replace(state.beams, frame=np.where(passed, 0, state.beams.frame))
        return replace(state, beams=beams, frames=state.frames + frames)

    def settle(self, state: BeamState) -> tuple[list[Hypothesis], BeamState]:
        """Return the labels of each stream that no further audio can change, and the state that goes on after them."""
        settled = np.array(
            [
                state.history.meeting(state.beams.alignment[state.beams.stream == stream].tolist(), int(last))
                for stream, last in enumerate(state.settled)
            ],
            np.int64,
        )
        pairs = zip(settled.tolist(), state.settled.tolist(), strict=True)
        hypotheses = [state.history.hypothesis(link, last) for link, last in pairs]
        return hypotheses, replace(state, settled=settled)

    def alternatives(self, state: BeamState, ended: NDArray[np.bool_] | None = None) -> list[list[Alternative]]:
        """Return what each stream may have said since its settled labels, the best first.

        ended: bool [B], streams of which no more audio comes, so that what the bias says of the end counts; None: all.
        """
        ended = np.ones(len(state.frames), np.bool_) if ended is None else ended
        beams = merged(replace(state.beams, frame=np.zeros(len(state.beams), np.int64)))
        scores = beams.score.copy()
        if self._bias:
            for row in ended[beams.stream].nonzero()[0].tolist():
                scores[row] += self._bias.end(int(beams.bias[row]))
        by_stream: list[list[Alternative]] = [[] for _ in state.frames]
        for row in np.argsort(-scores, kind="stable").tolist():
            stream = int(beams.stream[row])
            hypothesis = state.history.hypothesis(int(beams.alignment[row]), int(state.settled[stream]))
            by_stream[stream].append(Alternative(hypothesis, float(beams.log_prob[row]), float(scores[row])))
        return by_stream

    def _kept(self, due: Beams, waiting: Beams) -> Beams:
        """Return those of the due prefixes that are among the best of their stream, none of which is behind in time."""
        stream, score = np.append(due.stream, waiting.stream), np.append(due.score, waiting.score)
        best = np.full(stream.max() + 1, -np.inf)
        np.maximum.at(best, stream, score)
        ranking = best_of(stream, score, self.beam)
        ranking = ranking[(ranking < len(due)) & (score >= best[stream] - self.threshold)[ranking]]
        return due[ranking]

    def _grown(self, frames: Floats, beams: Beams, state: BeamState, last: NDArray[np.bool_]) -> Beams:
        """Return the likeliest successors of prefixes: after the blank, or one label longer.

        frames: float32 [B, T, D]. last: bool [B], whether no more labels may come on the streams' frames.
        """
        if not len(beams):
            return beams
        memory, blank, durations = state.memory, self._decoder.blank, self._decoder.durations
        before = memory.states_of(beams.state) if self._decoder.scores_by_states else ()
        logits, after = self._decoder.score(frames[beams.stream, beams.frame], memory.g[beams.state], before)
        # Beyond the blank are durations, or other blanks, which compete with the labels.
        labels = Labels(
            logits[:, : blank + 1] if len(durations) else logits,
            self._bias.gains(beams.bias) if self._bias else None,
        )
        spans = log_softmax(logits[:, blank + 1 :]) if len(durations) else np.zeros((len(beams), 1))
        best = successors(beams.stream, beams.score, labels, spans, self.beam, self.threshold)
        row, label = best.row, best.label
        duration = durations[best.span] if len(durations) else np.zeros_like(best.span)
        grown = replace(beams[row], log_prob=beams.log_prob[row] + best.log_prob, score=best.score)
        passed = self._decoder.big_blanks[np.maximum(label - blank, 0)]
        advance = np.maximum(duration, np.where(label >= blank, passed, last[grown.stream]))
        labeled = (label < blank).nonzero()[0]
        if len(labeled):
            row, label = row[labeled], label[labeled]
            prefixes = state.history.prefixes(beams.prefix[row], label)
            # A prefix that another duration or frame led to before is known.
            rows, new = memory.rows(prefixes)
            if len(new):
                parent = row[new]
                states = tuple(array[:, parent] for array in after) or memory.states_of(beams.state[parent])
                memory.add(*self._decoder.follow(label[new], states))
            grown.state[labeled], grown.prefix[labeled] = rows, prefixes
            at = grown.frame[labeled] + state.frames[grown.stream[labeled]]
            grown.alignment[labeled] = state.history.alignments(
                grown.alignment[labeled], label, at, duration[labeled], np.exp(best.label_log_prob[labeled])
            )
            if self._bias:
                pairs = zip(beams.bias[row].tolist(), label.tolist(), strict=True)
                grown.bias[labeled] = [self._bias.follow(before, follower) for before, follower in pairs]
        return replace(grown, frame=grown.frame + advance)
