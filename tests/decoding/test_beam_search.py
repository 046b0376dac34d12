"""Beam search against the greedy search, against the sum over the whole lattice, and against itself in chunks."""

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from transducer.decoding.beam_search import BeamSearch
from transducer.decoding.bias import Biases, Doubles, Integers
from transducer.decoding.greedy import Decoder, DecoderState, Hypothesis
from transducer.decoding.scripts import ScriptLock
from transducer.train.losses import RNNTLoss

H = 3
DURATIONS = {"rnnt": [], "tdt": [0, 1, 2], "tdt-without-0": [1, 2], "tdt-without-1": [0, 2, 5], "multi-blank": []}
BIG_BLANKS = {"multi-blank": [2, 4]}


class RandomModel(Decoder):
    """A small transducer whose logits depend on the frame and on all labels before, in float64.

    g is a hash of the labels so far, so that any two prefixes have scores of their own.
    """

    def __init__(self, kind: str, labels: int = 3, seed: int = 0, scale: float = 1.0) -> None:
        durations, big_blanks = DURATIONS[kind], BIG_BLANKS.get(kind, [])
        meta = {
            "dims": {"L": 1, "H": H, "V": labels},
            "blank_id": labels - 1,
            "durations": durations,
            "big_blank_durations": big_blanks,
            "max_symbols": 3,
            "predictor_state": {},
        }
        self._read_meta(meta)
        random = np.random.default_rng(seed)
        self._mix = random.normal(size=(labels, H, H))
        self._out = random.normal(size=(2 * H, labels + len(durations + big_blanks))) * scale

    def initial_state(self, batch: int) -> DecoderState:
        zeros = np.zeros(batch, np.int64)
        start = np.tile(np.linspace(-0.5, 0.5, H, dtype=np.float32), (batch, 1))
        return DecoderState(start, (start[None],), zeros, zeros)

    def score(self, frames: Any, g: Any, states: Any) -> Any:
        return np.concatenate([frames, g], axis=1) @ self._out, states

    def follow(self, labels: Integers, states: Any) -> Any:
        after = np.tanh(np.einsum("bh,bhk->bk", states[0][0], self._mix[labels]) + 0.1).astype(np.float32)
        return after, (after[None],)


def encoded(frames: int, seed: int, batch: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=(batch, H, frames)).astype(np.float32)


def lattice(model: RandomModel, frames: Any, labels: tuple[int, ...], bound: int) -> float:
    """Return ln p(labels) over all alignments of frames [T, D] by the recursion that docs/decoding.md states."""
    states = [model.initial_state(1)]
    for label in labels:
        g, after = model.follow(np.array([label]), states[-1].states)
        states.append(replace(states[0], g=g, states=after))
    spans = model.durations.tolist() or [0]

    def log_softmax(values: Any) -> Any:
        return values - np.logaddexp.reduce(values)

    @cache
    def arcs(frame: int, done: int) -> Any:
        state = states[done]
        logits = model.score(frames[frame : frame + 1], state.g, state.states)[0][0].astype(np.float64)
        width = model.blank + 1 if len(model.durations) else len(logits)
        return log_softmax(logits[:width]), log_softmax(logits[width:]) if len(model.durations) else np.zeros(1)

    @cache
    def rest(frame: int, done: int, here: int) -> float:
        if frame >= len(frames):
            return 0.0 if done == len(labels) else -np.inf
        tokens, durations = arcs(frame, done)
        found = [
            tokens[model.blank + big] + durations[k] + rest(frame + max(span, passed), done, 0)
            for k, span in enumerate(spans)
            for big, passed in enumerate(model.big_blanks.tolist())
        ]
        if done < len(labels):
            for k, span in enumerate(spans):
                forced = here == bound - 1
                after = rest(frame + max(span, forced), done + 1, 0 if span or forced else here + 1)
                found.append(tokens[labels[done]] + durations[k] + after)
        return float(np.logaddexp.reduce(found))

    return rest(0, 0, 0)


@pytest.mark.parametrize("kind", DURATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_all_prefixes_sums_over_the_whole_lattice(kind: str, seed: int) -> None:
    model, frames = RandomModel(kind, seed=seed), encoded(3, seed)
    search = BeamSearch(model, beam=10**6, threshold=np.inf)
    [found] = search.alternatives(search.decode(frames, np.array([3])))
    assert len(found) > 10
    for hypothesis, log_prob, score in found:
        expected = lattice(model, frames[0].T, tuple(hypothesis.tokens), model.max_symbols)
        assert log_prob == pytest.approx(expected, abs=1e-5)
        assert score == pytest.approx(log_prob)
    # Nothing is lost: all prefixes together are certain.
    assert np.logaddexp.reduce([log_prob for _, log_prob, _ in found]) == pytest.approx(0, abs=1e-5)


def test_it_agrees_with_the_loss_that_models_are_trained_with() -> None:
    """The loss has no limit of labels on one frame, so only of prefixes that do not reach ours."""
    model, frames = RandomModel("rnnt", seed=5), encoded(4, 5)
    search = BeamSearch(model, beam=10**6, threshold=np.inf)
    [found] = search.alternatives(search.decode(frames, np.array([4])))
    short = [one for one in found if 1 <= len(one.hypothesis.tokens) < model.max_symbols]
    assert len(short) == 6
    for hypothesis, log_prob, _ in short:
        states = [model.initial_state(1)]
        for label in hypothesis.tokens:
            g, after = model.follow(np.array([label]), states[-1].states)
            states.append(replace(states[0], g=g, states=after))
        logits = [[model.score(frames[:, :, t], s.g, s.states)[0][0] for s in states] for t in range(4)]
        loss = RNNTLoss(blank=model.blank)(
            torch.tensor(np.array([logits]), dtype=torch.float64),
            torch.tensor([hypothesis.tokens]),
            torch.tensor([4]),
            torch.tensor([len(hypothesis.tokens)]),
        )
        assert -float(loss) == pytest.approx(log_prob, abs=1e-5)


@pytest.mark.parametrize("kind", DURATIONS)
@pytest.mark.parametrize("scale", [0.5, 2.0, 8.0])
def test_a_beam_of_one_is_the_greedy_search(kind: str, scale: float) -> None:
    for seed in range(20):
        model = RandomModel(kind, labels=5, seed=seed, scale=scale)
        frames, lengths = encoded(20, seed, batch=4), np.array([20, 0, 7, 13])
        greedy, _ = model.decode(frames, lengths)
        search = BeamSearch(model, beam=1)
        found = search.alternatives(search.decode(frames, lengths))
        assert sum(len(hypothesis.tokens) for hypothesis in greedy) > 5
        for expected, [best] in zip(greedy, found, strict=True):
            assert plain(best.hypothesis) == plain(expected)
            assert best.hypothesis.confidences == pytest.approx(expected.confidences, abs=1e-5)


def plain(hypothesis: Hypothesis) -> Any:
    return hypothesis.tokens, hypothesis.frames, hypothesis.durations


@pytest.mark.parametrize("kind", DURATIONS)
@pytest.mark.parametrize("sizes", [(1,), (3, 1, 4), (7,)])
def test_chunks_give_what_the_whole_gives_and_settled_labels_stay(kind: str, sizes: tuple[int, ...]) -> None:
    model = RandomModel(kind, labels=6, seed=3, scale=3.0)
    frames, lengths = encoded(40, 1, batch=3), np.array([40, 23, 31])
    search = BeamSearch(model, beam=4)
    whole = search.alternatives(search.decode(frames, lengths))

    state, settled = search.initial_state(3), [Hypothesis([], [], [], []) for _ in range(3)]
    begin, turns = 0, itertools.cycle(sizes)
    while begin < 40:
        size = next(turns)
        left = np.clip(lengths - begin, 0, size)
        state = search.decode(frames[:, :, begin : begin + size], left, state)
        found, state = search.settle(state)
        for sofar, new in zip(settled, found, strict=True):
            for name, column in vars(sofar).items():
                column += getattr(new, name)
        begin += size
    ends = search.alternatives(state)
    assert max(len(sofar.tokens) for sofar in settled) > 2
    for sofar, chunked, expected in zip(settled, ends, whole, strict=True):
        assert len(chunked) == len(expected)
        for one, other in zip(chunked, expected, strict=True):
            assert sofar.tokens + one.hypothesis.tokens == other.hypothesis.tokens
            assert sofar.frames + one.hypothesis.frames == other.hypothesis.frames
            assert one.score == pytest.approx(other.score)


def test_a_wider_beam_finds_what_is_at_least_as_likely() -> None:
    scores = []
    for beam in (1, 2, 4, 16):
        search = BeamSearch(RandomModel("tdt", labels=6, seed=1, scale=2.0), beam, threshold=np.inf)
        found = search.alternatives(search.decode(encoded(30, 2, batch=8), np.full(8, 30)))
        scores.append(np.mean([alternatives[0].log_prob for alternatives in found]))
    assert scores == sorted(scores) and scores[-1] > scores[0] + 0.1


class Forbidden:
    """A bias against one label."""

    def __init__(self, label: int, labels: int) -> None:
        self._row = np.where(np.arange(labels - 1) == label, -np.inf, 0.0)

    def gains(self, states: Integers) -> Doubles:
        return np.tile(self._row, (len(states), 1))

    def follow(self, state: int, label: int) -> int:
        return state + 1

    def end(self, state: int) -> float:
        return float(state)


def test_biases_are_added_and_may_forbid() -> None:
    model, frames = RandomModel("rnnt", labels=4, seed=2, scale=2.0), encoded(12, 3)
    plainly = BeamSearch(model, 4).alternatives(BeamSearch(model, 4).decode(frames, np.array([12])))[0]
    assert {token for found in plainly for token in found.hypothesis.tokens} == {0, 1, 2}
    search = BeamSearch(model, 4, Biases([Forbidden(0, 4), Forbidden(2, 4)]))
    [found] = search.alternatives(search.decode(frames, np.array([12])))
    assert {token for one in found for token in one.hypothesis.tokens} == {1}
    for one in found:
        assert one.score == pytest.approx(one.log_prob + 2 * len(one.hypothesis.tokens))
    [still] = search.alternatives(search.decode(frames, np.array([12])), np.array([False]))
    assert all(one.score == pytest.approx(one.log_prob) for one in still)


def test_a_script_lock_keeps_a_model_of_two_scripts_to_one() -> None:
    spelt = [" a", "b", " ж", "я", "7"]
    model = RandomModel("tdt", labels=6, seed=4, scale=3.0)
    frames, lengths = encoded(60, 8, batch=4), np.full(4, 60)
    for script, allowed in (("Latin", {0, 1, 4}), ("Cyrillic", {2, 3, 4})):
        search = BeamSearch(model, 4, ScriptLock([script], spelt))
        alternatives = search.alternatives(search.decode(frames, lengths))
        tokens = {token for found in alternatives for one in found for token in one.hypothesis.tokens}
        assert tokens == allowed
    both = BeamSearch(model, 4, ScriptLock(["Latin", "Cyrillic"], spelt))
    free = BeamSearch(model, 4, threshold=both.threshold)
    pairs = zip(*(search.alternatives(search.decode(frames, lengths)) for search in (both, free)), strict=True)
    for locked, plain_found in pairs:
        assert [one.hypothesis.tokens for one in locked] == [one.hypothesis.tokens for one in plain_found]
        assert {2, 3} & {token for one in plain_found for token in one.hypothesis.tokens}
