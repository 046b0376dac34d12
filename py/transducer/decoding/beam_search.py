"""Beam search of RNN-T and TDT models, for many streams at once and chunk by chunk; docs/decoding.md specifies it.

Example:
    search = BeamSearch(Decoder(meta, predictor, joint), beam=8, bias=Phrases({"parakeet": 0.5}, vocabulary))
    state = search.decode(encoder_output, encoded_lengths)
    state = search.decode(next_encoder_output, next_lengths, state)  # the same streams go on
    [best, *others] = search.alternatives(state)[0]

The search goes frame by frame. A prefix is a sequence of labels; alignments of the same prefix that are at the same
frame are merged by adding their probabilities. A duration takes a prefix straight to the frame that it ends in.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transducer.core.contracts import Floats
from transducer.decoding.bias import Bias, Doubles, Integers
from transducer.decoding.greedy import Decoder, Hypothesis
from transducer.decoding.prefixes import Beams, BeamState, History, Link, best_of, leading, merged

# A prefix that is so many nats behind the best of its stream, though not ahead in time, is dropped.
THRESHOLD = 10.0


class Alternative(NamedTuple):
    """A hypothesis, the log probability of its labels over all alignments found, and the score it is ranked by."""

    hypothesis: Hypothesis
    log_prob: float
    score: float


class BeamSearch:
    """A search with one model; its decoder's graphs run on all prefixes of all streams at once.

    Args:
        beam: prefixes kept of a stream at each frame; with 1 and no bias the search is the greedy one.
        bias: steers it; None leaves the model's own scores.
        threshold: nats behind the best of its stream at which a prefix is dropped.
    """

    def __init__(self, decoder: Decoder, beam: int = 8, bias: Bias | None = None, threshold: float = THRESHOLD) -> None:
        self._decoder, self._beam, self._bias, self._threshold = decoder, beam, bias, threshold

    def initial_state(self, batch: int) -> BeamState:
        """Return the state of `batch` new streams."""
        start, zeros = self._decoder.initial_state(batch), np.zeros(batch, np.int64)
        scores, streams = np.zeros(batch), np.arange(batch)
        beams = Beams(streams, streams, streams, zeros, zeros, scores, scores, start.g, start.h, start.c)
        return BeamState(beams, zeros, streams, History(batch))

    def decode(self, encoder_output: Floats, encoded_lengths: Integers, state: BeamState | None = None) -> BeamState:
        """Return the state after the next encoder frames of every stream.

        Args: those of Decoder.decode. What was decoded so far is what `alternatives` says of the state.
        """
        state = state or self.initial_state(len(encoded_lengths))
        frames, beams = np.ascontiguousarray(encoder_output.transpose(0, 2, 1)), state.beams
        for frame in range(int(encoded_lengths.max(initial=0))):
            due = (beams.frame == frame) & (frame < encoded_lengths[beams.stream])
            if due.any():
                beams = self._through_frame(frames[:, frame], beams[due], beams[~due], state)
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
        found = [_hypothesis(state.history.links(link, last)) for link, last in pairs]
        return found, replace(state, settled=settled)

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
        found: list[list[Alternative]] = [[] for _ in state.frames]
        for row in np.argsort(-scores, kind="stable").tolist():
            stream = int(beams.stream[row])
            links = state.history.links(int(beams.alignment[row]), int(state.settled[stream]))
            alternative = Alternative(_hypothesis(links), float(beams.log_prob[row]), float(scores[row]))
            found[stream].append(alternative)
        return found

    def _through_frame(self, frames: Floats, due: Beams, waiting: Beams, state: BeamState) -> Beams:
        """Return all prefixes after one frame, float32 [B, D], of each stream: those that had it next have left it."""
        best = np.full(len(state.frames), -np.inf)
        np.maximum.at(best, waiting.stream, waiting.score)
        left, staying = waiting[:0], merged(due)
        most = self._decoder.max_symbols
        for symbols in range(most):
            np.maximum.at(best, staying.stream, staying.score)
            staying = staying[leading(staying, self._beam, best - self._threshold)]
            if not len(staying):
                break
            grown = self._grown(frames, staying, state, last=symbols == most - 1)
            pool = left + grown
            np.maximum.at(best, pool.stream, pool.score)
            pool = pool[leading(pool, self._beam, best - self._threshold)]
            at = due.frame[0]
            left, staying = merged(pool[pool.frame > at]), pool[pool.frame == at]
        return waiting + left

    def _grown(self, frames: Floats, beams: Beams, state: BeamState, last: bool) -> Beams:
        """Return the likeliest successors of prefixes at a frame: after the blank, or one label longer."""
        blank, durations = self._decoder.blank, self._decoder.durations
        logits, (h, c) = self._decoder.score(frames[beams.stream], beams.g, beams.h, beams.c)
        labels = _log_softmax(logits[:, : blank + 1])
        spans = _log_softmax(logits[:, blank + 1 :]) if len(durations) else np.zeros((len(beams), 1))
        scores = beams.score[:, None] + labels
        if self._bias:
            scores[:, :blank] += self._bias.gains(beams.bias)
        row, label, span = self._candidates(beams.stream, scores, spans)
        log_prob = beams.log_prob[row] + labels[row, label] + spans[row, span]
        score = scores[row, label] + spans[row, span]
        duration = durations[span] if len(durations) else np.zeros_like(span)
        advance = np.maximum(duration, (label == blank) | last)
        after = beams[row]
        grown = replace(after, frame=after.frame + advance, log_prob=log_prob, score=score)
        labeled = (label != blank).nonzero()[0]
        if not len(labeled):
            return grown
        confidence = np.exp(labels[row[labeled], label[labeled]])
        place = labeled, row[labeled], label[labeled]
        g, h, c = self._decoder.follow(place[2], h[:, place[1]], c[:, place[1]])
        at = after.frame[labeled] + state.frames[after.stream[labeled]]
        columns = (column.tolist() for column in (*place, at, duration[labeled], confidence))
        for number, parent, token, frame, length, probability in zip(*columns, strict=True):
            link = Link(int(beams.alignment[parent]), token, frame, length, probability)
            grown.alignment[number] = state.history.alignment(link)
            grown.prefix[number] = state.history.prefix(int(beams.prefix[parent]), token)
            if self._bias:
                grown.bias[number] = self._bias.follow(int(beams.bias[parent]), token)
        grown.g[labeled], grown.h[:, labeled], grown.c[:, labeled] = g, h, c
        return grown

    def _candidates(self, stream: Integers, scores: Doubles, spans: Doubles) -> tuple[Integers, Integers, Integers]:
        """Return rows, labels and places of durations of the best successors of each stream, at most `beam` of each.

        stream: int64 [A], scores: of labels [A, V], spans: of durations [A, K].
        """
        longest = spans.max(axis=1)
        top = np.full(stream.max() + 1, -np.inf)
        np.maximum.at(top, stream, scores.max(axis=1) + longest)
        least = top[stream] - self._threshold
        row, label = ((scores >= (least - longest)[:, None]) & np.isfinite(scores)).nonzero()
        totals = scores[row, label][:, None] + spans[row]
        pair, span = (totals >= least[row][:, None]).nonzero()
        row, label, total = row[pair], label[pair], totals[pair, span]
        chosen = best_of(stream[row], total, self._beam)
        return row[chosen], label[chosen], span[chosen]


def _hypothesis(links: list[Link]) -> Hypothesis:
    return Hypothesis(
        [link.frame for link in links],
        [link.label for link in links],
        [link.duration for link in links],
        [link.confidence for link in links],
    )


def _log_softmax(logits: Floats) -> Doubles:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
