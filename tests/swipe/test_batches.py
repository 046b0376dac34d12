"""What training sees of swipes: features by tensor operations, augmentation, sources, layouts and batches."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from conftest import ROOT
from transducer.core.cli import InputError
from transducer.core.sources import Source
from transducer.swipe.augmentation import augment
from transducer.swipe.batched_features import batched_features
from transducer.swipe.corpus import MixedBatches, TraceCorpus
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import read_layout
from transducer.swipe.traces import Trace, read_traces

LABELS = "abcdefghijklmnopqrstuvwxyz'"
LAYOUTS = ROOT / "configs/layouts"
QWERTY, _ = read_layout(LAYOUTS / "qwerty.json")
STILL = dict.fromkeys(("shift", "size", "slant", "rotation", "drift", "noise", "warp", "lost"), 0.0)


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    """Return swipes of the validation set, and odd ones: of one point, of one time, with a pause, of 20 s."""
    odd = [
        [(0.5, 0.5, 3.0)],
        [(0.1, 0.5, 7.0), (0.9, 0.5, 7.0)],
        [(0.2, 0.2, 0.0), (0.4, 0.6, 25.0)],
        [(0.2, 0.2, 0.0), (0.3, 0.2, 40.0), (0.5, 0.9, 40.0), (0.6, 0.9, 1040.0)],
        [(0.0, 0.0, 0.0), (1.0, 1.0, 20000.0)],
    ]
    swipes = read_traces(ROOT / "models/swipe-validation/manifest.jsonl.gz", LABELS)[:300]
    # Two fingers that a screen reports in turn, at the same times.
    twice = swipes[0].points.repeat(2, axis=0)
    twice[1::2, 0] = 1 - twice[1::2, 0]
    return swipes + [Trace("at", np.array(points)) for points in [*odd, twice]]


def corpus_of(traces: list[Trace], layout: Any = QWERTY) -> TraceCorpus:
    return TraceCorpus([(traces, layout)], LABELS, "cpu", QWERTY.keys)


def test_features_of_a_batch_are_those_of_each_trace(traces: list[Trace]) -> None:
    corpus = corpus_of(traces)
    for start in range(0, len(traces), 50):
        rows = np.arange(start, min(start + 50, len(traces)))
        batch = corpus.batch(rows)
        features, frames = batched_features(batch)
        for row, index in enumerate(rows):
            expected = swipe_features(traces[index].points, QWERTY)
            assert int(frames[row]) == len(expected)
            np.testing.assert_allclose(features[row, :, : len(expected)].T, expected, atol=1e-4)
            assert not features[row, :, len(expected) :].any()
            word = "".join(LABELS[label] for label in batch.labels[row, : batch.label_lengths[row]])
            assert word == traces[index].word


def test_slots_are_letters_so_that_another_layout_fills_them_with_its_own_keys(traces: list[Trace]) -> None:
    """A finger on each letter of Dvorak lights up the same slots as one on these letters of QWERTY."""
    dvorak, _ = read_layout(LAYOUTS / "dvorak.json")
    nearest = []
    for layout in (QWERTY, dvorak):
        places = layout.centres_of("swipe") / layout.size
        points = np.column_stack([places, 1000.0 * np.arange(len(places))])
        corpus = corpus_of([Trace("swipe", points)], layout)
        batch = corpus.batch(np.array([0]))
        features, _ = batched_features(batch)
        slots = features[0, 12:, ::40].argmax(0)
        nearest.append("".join(QWERTY.keys[slot] for slot in slots))
    assert nearest == ["swipe", "swipe"]


@pytest.mark.parametrize("name", ["qwertz", "azerty", "dvorak", "colemak"])
def test_layouts_have_all_letters(name: str, traces: list[Trace]) -> None:
    layout, _ = read_layout(LAYOUTS / f"{name}.json")
    assert sorted(layout.keys) == sorted(QWERTY.keys)
    assert corpus_of(traces[:2], layout).batch(np.arange(2)).centres.shape == (2, 26, 2)


def test_a_layout_without_a_letter_is_refused(traces: list[Trace]) -> None:
    few = type(QWERTY)("few", "asdf", QWERTY.centres[:4], QWERTY.size)
    with pytest.raises(InputError, match="The layout few has no key 'b'"):
        corpus_of(traces[:2], few)


def augmented(traces: list[Trace], **changes: Any) -> tuple[Any, Any]:
    corpus = corpus_of(traces)
    batch = corpus.batch(np.arange(len(traces)))
    config = OmegaConf.create({**STILL, "interval": [0.008, 0.008], **changes})
    return batch, augment(batch, config, torch.Generator().manual_seed(1))


def test_augmentation_of_no_strength_leaves_the_path(traces: list[Trace]) -> None:
    before, after = augmented(traces[:100])
    expected, frames = batched_features(before)
    found, others = batched_features(after)
    assert torch.equal(frames, others)
    # Sampling at 8 ms cuts the corners of a path sampled at 8 to 17 ms.
    assert float((expected - found)[:, :2].abs().max()) < 0.06
    assert float((expected - found)[:, :2].abs().mean()) < 1e-3


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"shift": 0.02}, (0.01, 0.04)),
        ({"size": 0.05}, (0.003, 0.04)),
        ({"slant": 0.05}, (0.003, 0.04)),
        ({"rotation": 0.05}, (0.003, 0.04)),
        ({"drift": 0.01}, (0.01, 0.04)),
        ({"noise": 0.002}, (0.001, 0.004)),
        ({"warp": 0.1}, (0.01, 0.06)),
    ],
)
def test_each_kind_of_augmentation_moves_the_path(
    traces: list[Trace], change: dict[str, float], moved: tuple[float, float]
) -> None:
    _, still = augmented(traces[:200])
    before, after = augmented(traces[:200], **change)
    assert still.places.shape == after.places.shape
    difference = (after.places - still.places).norm(dim=-1)
    within = torch.arange(after.places.shape[1]) * 0.008 < before.seconds[:, -1:]
    assert moved[0] < float(difference[within].mean()) < moved[1]
    assert torch.equal(after.labels, before.labels)


def test_times_never_run_backwards_and_end_with_the_finger(traces: list[Trace]) -> None:
    strong = {"warp": 0.3, "lost": 0.2, "interval": [0.008, 0.035]}
    before, after = augmented(traces, **strong)
    steps = after.seconds.diff(dim=1)
    assert float(steps.min()) >= 0
    torch.testing.assert_close(after.seconds[:, -1], before.seconds[:, -1])
    # A report that is lost leaves a gap of two intervals or more.
    longest, typical = steps.max(dim=1).values, torch.tensor([float(row[row > 0].median()) for row in steps[:200]])
    assert float(typical.min()) > 0.007
    assert float(typical.max()) < 0.036
    assert float((longest[:200] > 1.9 * typical).float().mean()) > 0.9


def test_a_source_has_a_weight_and_a_layout() -> None:
    assert Source.parse("a.jsonl.gz") == Source(Path("a.jsonl.gz"), 1.0, None)
    assert Source.parse("a.jsonl:2.5") == Source(Path("a.jsonl"), 2.5, None)
    assert Source.parse("a.jsonl:2:configs/layouts/x.json").layout == Path("configs/layouts/x.json")


@pytest.mark.parametrize(
    "text", ["a.jsonl:many", "a.jsonl:0", "a.jsonl:-1", "a.jsonl:nan", ":1", "a:1:b:c", "a.jsonl:"]
)
def test_a_source_whose_weight_is_not_a_number_above_zero_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        Source.parse(text)
    assert str(refusal.value).startswith(f"{text}: not FILE:WEIGHT")


def test_batches_hold_sources_by_weight_and_words_by_inverse_frequency() -> None:
    def swipes(word: str, count: int, seconds: float) -> list[Trace]:
        return [Trace(word, np.array([[0.5, 0.5, 0.0], [0.6, 0.6, 1000 * seconds]]))] * count

    # Longer than 8 s is left out.
    first = swipes("ab", 30, 1.0) + swipes("cd", 10, 2.0) + swipes("ef", 9, 9.0)
    corpus = TraceCorpus([(first, QWERTY), (swipes("gh", 5, 1.0), QWERTY)], LABELS, "cpu")
    batches = MixedBatches(corpus, [3.0, 1.0], 16, seed=1, power=1.0)
    sources: Counter[int] = Counter()
    words: Counter[str] = Counter()
    for step in range(640):
        rows, _ = batches.at(step)
        assert len(rows) == 16
        sources.update(corpus.sources[rows].tolist())
        words.update(corpus.words[row] for row in rows)
    assert sources[0] / sources.total() == pytest.approx(0.75, abs=0.02)
    assert words["ab"] / words["cd"] == pytest.approx(1.0, abs=0.15)
    assert words["ef"] == 0
    again = MixedBatches(corpus, [3.0, 1.0], 16, seed=1, power=1.0)
    for step in (639, 3, 70):
        assert np.array_equal(again.at(step)[0], batches.at(step)[0])


def test_a_batch_has_the_keys_of_each_trace(traces: list[Trace]) -> None:
    """Sources on other layouts share a batch, so that even a small source adds no padding."""
    dvorak, _ = read_layout(LAYOUTS / "dvorak.json")
    corpus = TraceCorpus([(traces[:20], QWERTY), (traces[:20], dvorak)], LABELS, "cpu", QWERTY.keys)
    features, _ = batched_features(corpus.batch(np.arange(40)))
    for half, layout in ((features[:20], QWERTY), (features[20:], dvorak)):
        alone, _ = batched_features(corpus_of(traces[:20], layout).batch(np.arange(20)))
        assert torch.equal(half, alone)


def test_traces_of_a_batch_last_alike_whatever_their_tempo(traces: list[Trace]) -> None:
    corpus = corpus_of(traces)
    batches = MixedBatches(corpus, [1.0], 16, seed=1, tempo=0.35)
    longest: list[float] = []
    mean: list[float] = []
    tempos: list[float] = []
    for step in range(64):
        rows, drawn = batches.at(step)
        seconds = corpus.batch(rows, drawn).seconds[:, -1].numpy()
        np.testing.assert_allclose(seconds, corpus.durations[rows] * drawn)
        longest.append(seconds.max())
        mean.append(seconds.mean())
        tempos.extend(np.log(drawn))
    assert sum(longest) < 1.25 * sum(mean)
    assert -0.35 <= min(tempos) < -0.33
    assert 0.33 < max(tempos) <= 0.35
    assert abs(np.mean(tempos)) < 0.03
