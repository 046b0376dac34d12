"""Greedy TDT and RNN-T decoding on the predictor and joint graphs alone, for many streams at once.

Example:
    decoder = Decoder(meta, open_graph(Path("predictor.onnx"), 1), open_graph(Path("joint.onnx"), 1))
    hypotheses, state = decoder.decode(encoder_output, encoded_lengths, state)  # None for the first chunk

The search is NeMo's greedy_batch (arXiv 2406.06220 with the loops merged): every stream is at a frame of its own, and
one joint call serves all streams that have not ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.contracts import Floats, graph_of, initial_arrays
from transducer.runtime.sessions import Session

Integers = NDArray[np.int64]
# Of an LSTM its two states, float32 [L, B, H]; of a predictor without recurrence the tokens before, int64 [history, B].
States = tuple[NDArray[Any], ...]
# What a decoder reads of model_meta.json.
DECODING_FACTS = ("dims", "durations", "big_blank_durations", "blank_id", "max_symbols", "predictor_state")

EVERY = slice(None)


@dataclass
class DecoderState:
    """The state of B streams between two chunks of encoder frames.

    g: the predictor's output after each stream's last label, float32 [B, H]
    states: what it carries on from that label; the batch is the second axis of each array
    skip: frames of the next chunk that the last TDT duration jumps over, int64 [B]
    frames: frames of all chunks so far, int64 [B]
    """

    g: Floats
    states: States
    skip: Integers
    frames: Integers


@dataclass(frozen=True)
class Hypothesis:
    """The labels of one stream, each with its encoder frame, duration in frames, and probability among the labels.

    Frames count from the stream's beginning. Without a duration head, durations are 0.
    """

    frames: list[int]
    tokens: list[int]
    durations: list[int]
    confidences: list[float]


class Decoder:
    """The predictor and joint of one model.

    Args:
        meta: the content of model_meta.json.
        predictor, joint: sessions of any variant with float32 inputs and outputs, best opened with one thread.

    Attributes:
        blank: the blank's id, the last of the labels.
        durations: of TDT, in encoder frames, int64 [K]; none for others.
        big_blanks: frames that each blank passes over, int64; 1 first, then those of a multi-blank model.
        max_symbols: labels at most on one frame.
        scores_by_states: whether `score` computes with the states and returns those after; else `follow` alone does.
    """

    scores_by_states = False

    def __init__(self, meta: Mapping[str, Any], predictor: Session, joint: Session) -> None:
        self._read_meta(meta)
        self._predictor, self._joint = predictor, joint

    def _read_meta(self, meta: Mapping[str, Any]) -> None:
        dims = meta["dims"]
        # In the order of the graphs' inputs, which JSON does not keep.
        states = meta["predictor_state"]
        self._initial = {name: states[name] for name in graph_of("predictor", dims).inputs if name in states}
        self._state_outputs = [f"{name}_out" for name in self._initial]
        # Blanks of a multi-blank model compete with the labels.
        self.big_blanks = np.array([1, *meta.get("big_blank_durations", [])], np.int64)
        self._labels = dims["V"] + len(self.big_blanks) - 1
        self.blank = int(meta["blank_id"])
        self.durations = np.array(meta["durations"], dtype=np.int64)
        self._tdt = len(self.durations) > 0
        self.max_symbols = int(meta["max_symbols"])

    def initial_state(self, batch: int) -> DecoderState:
        """Return the state of `batch` new streams."""
        first = tuple(initial_arrays(self._initial, batch).values())
        g, states = self.follow(np.full(batch, self.blank, np.int64), first)
        return DecoderState(g, states, np.zeros(batch, np.int64), np.zeros(batch, np.int64))

    def decode(
        self, encoder_output: Floats, encoded_lengths: Integers, state: DecoderState | None = None
    ) -> tuple[list[Hypothesis], DecoderState]:
        """Decode the next encoder frames of every stream.

        Args:
            encoder_output: float32 [B, D, T], as the encoder graph returns it.
            encoded_lengths: int64 [B], valid frames of each stream; 0 leaves a stream as it is.
            state: returned by the previous call for the same streams; None starts new streams. It is not changed.

        Returns: a hypothesis with the new labels of each stream, and the state after them.
        """
        batch = len(encoded_lengths)
        state = state or self.initial_state(batch)
        g, states = state.g.copy(), tuple(array.copy() for array in state.states)
        time = state.skip.copy()
        streams, repeats = np.arange(batch), np.zeros(batch, np.int64)
        frames = np.ascontiguousarray(encoder_output.transpose(0, 2, 1))
        steps: list[tuple[NDArray[Any], ...]] = []
        while (active := time < encoded_lengths).any():
            rows = _index(active)
            now = streams[rows], time[rows]
            logits, after = self.score(frames[now], g[rows], tuple(array[:, rows] for array in states))
            labels = logits[:, : self._labels].argmax(1)
            durations = self.durations[logits[:, self._labels :].argmax(1)] if self._tdt else np.zeros_like(labels)
            blank = labels >= self.blank
            advance = np.maximum(durations, np.where(blank, self.big_blanks[np.maximum(labels - self.blank, 0)], 0))
            if not blank.all():
                labeled = _index(~blank)
                stream, frame, label = now[0][labeled], now[1][labeled], labels[labeled]
                confidence = _probability(logits[labeled, : self._labels], label)
                steps.append((stream, frame + state.frames[stream], label, durations[labeled], confidence))
                place = labeled if rows is EVERY else stream
                g[place], followed = self.follow(label, tuple(array[:, labeled] for array in after))
                for array, next_array in zip(states, followed, strict=True):
                    array[:, place] = next_array
            # Several labels may fall on one frame, but at most max_symbols.
            repeats[rows] = np.where(advance == 0, repeats[rows] % self.max_symbols + 1, 0)
            advance += repeats[rows] == self.max_symbols
            time[rows] += advance
        return hypotheses(steps, batch), DecoderState(g, states, time - encoded_lengths, state.frames + encoded_lengths)

    def score(self, frames: Floats, g: Any, states: States) -> tuple[Floats, States]:
        """Return the logits [B, V+K] of frames [B, D] after g, and the states that the next label starts from."""
        return self._join(frames, g), states

    def follow(self, labels: Integers, states: States) -> tuple[Any, States]:
        """Return g and the states of streams after their next labels [B]."""
        g, *states_after = self._predictor.run(
            ["g", *self._state_outputs], {"y": labels[:, None], **self._named(states)}
        )
        return g[:, :, 0], tuple(states_after)

    def _named(self, states: States) -> dict[str, NDArray[Any]]:
        return dict(zip(self._initial, states, strict=True))

    def _join(self, frames: Floats, g: Floats) -> Floats:
        """Return the logits [B, V+K] of encoder frames [B, D] and predictor outputs [B, H]."""
        inputs = {"encoder_output": frames[:, :, None], "predictor_output": g[:, :, None]}
        (logits,) = self._joint.run(None, inputs)
        return logits[:, 0, 0]


class StepDecoder(Decoder):
    """The same search with the fused graph rnnt_step; a state's `g` is the last label [B, 1], to be read next."""

    scores_by_states = True

    def __init__(self, meta: Mapping[str, Any], step: Session) -> None:
        self._read_meta(meta)
        self._step = step

    def score(self, frames: Floats, g: Any, states: States) -> tuple[Floats, States]:
        inputs = {"encoder_frame": np.ascontiguousarray(frames), "y": g[:, 0], **self._named(states)}
        logits, *states_after = self._step.run(["logits", *self._state_outputs], inputs)
        return logits, tuple(states_after)

    def follow(self, labels: Integers, states: States) -> tuple[Any, States]:
        return labels[:, None], states


def hypotheses(steps: list[tuple[NDArray[Any], ...]], batch: int) -> list[Hypothesis]:
    """Sort labels into one hypothesis for each stream: of each step streams, frames, labels, durations, confidences."""
    if not steps:
        return [Hypothesis([], [], [], []) for _ in range(batch)]
    streams, *columns = (np.concatenate(column) for column in zip(*steps, strict=True))
    order = np.argsort(streams, kind="stable")
    bounds = np.searchsorted(streams[order], np.arange(1, batch))
    split = [np.split(column[order], bounds) for column in columns]
    return [Hypothesis(*(part.tolist() for part in parts)) for parts in zip(*split, strict=True)]


def _index(mask: NDArray[np.bool_]) -> slice | Integers:
    """Return an index of the rows where `mask` holds; if all do, EVERY, which copies nothing."""
    return EVERY if mask.all() else mask.nonzero()[0]


def _probability(logits: Floats, labels: Integers) -> Floats:
    """Return the softmax of each row [B, V] at its label [B], which is the row's maximum."""
    best = logits[np.arange(len(labels)), labels]
    return 1 / np.exp(logits - best[:, None]).sum(axis=1)
