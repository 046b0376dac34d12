"""The swipe featurizer: golden vectors, a second implementation, sampling rates, and odd traces."""

import json
import math
from typing import Any

import numpy as np
import pytest

from golden_features import GOLDEN, ODD, QWERTY
from transducer.core.cli import InputError
from transducer.swipe.features import feature_count, swipe_features
from transducer.swipe.keyboard import layout_of, read_layout

LAYOUT, CONTENT = read_layout(QWERTY)
ENTRIES = json.loads(GOLDEN.read_text(encoding="utf-8"))
SCREEN_RATES = (60, 90, 120)
# How far features of one swipe may lie apart that is sampled at these rates, as docs/swipe.md says: by columns.
RMS_BOUND = 0.05
BOUNDS = {(0, 2): 0.04, (2, 5): 0.15, (5, 7): 0.6, (7, 9): 0.15, (9, 10): 0.8, (10, 12): 1e-6, (12, 38): 0.06}


def plain_features(points: list[list[float]], content: dict[str, Any] = CONTENT) -> list[list[float]]:
    """Return features by the documented formulas, one number at a time, as a runtime without NumPy would.

    They are those of QWERTY's letters in QWERTY's order, on the layout that `content` describes.
    """
    wide = content["columns"]
    high = wide * content["aspect"]
    places = {
        letter: (row["offset"] + number + 0.5, (line + 0.5) * high / len(content["rows"]))
        for line, row in enumerate(content["rows"])
        for number, letter in enumerate(row["keys"])
    }
    known: list[list[float]] = []
    for point in points:
        if known and point[2] == known[-1][2]:
            known.pop()
        known.append(point)
    seconds = (known[-1][2] - points[0][2]) / 1000
    count = math.ceil(seconds / 0.025 - 1e-6) + 1
    path = []
    for frame in range(count):
        time = points[0][2] + min(frame * 25, seconds * 1000)
        after = next(i for i, point in enumerate(known) if point[2] >= time)
        b = known[after]
        a = known[max(after - 1, 0)]
        share = (time - a[2]) / (b[2] - a[2]) if b[2] > a[2] else 1.0
        path.append([(a[i] + (b[i] - a[i]) * share) * (wide, high)[i] for i in (0, 1)])
    rows = []
    for frame in range(count):
        p = [path[min(max(frame + shift, 0), count - 1)] for shift in (-2, -1, 0, 1, 2)]
        vx, vy = ((2 * (p[4][i] - p[0][i]) + p[3][i] - p[1][i]) / 0.25 for i in (0, 1))
        ax, ay = ((2 * (p[4][i] + p[0][i]) - p[3][i] - p[1][i] - 2 * p[2][i]) / (7 * 0.025**2) for i in (0, 1))
        x, y = path[frame]
        speed2 = vx * vx + vy * vy
        norm = math.sqrt(speed2 + 1)
        row = [2 * x / wide - 1, 2 * y / high - 1, vx / 10, vy / 10]
        row += [math.log(1 + math.sqrt(speed2)), ax / 100, ay / 100]
        row += [
            vx / norm,
            vy / norm,
            (vx * ay - vy * ax) / (speed2 + 25) / 10,
            frame * 0.025,
            (count - 1 - frame) * 0.025,
        ]
        for letter in "qwertyuiopasdfghjklzxcvbnm":
            kx, ky = places[letter]
            row.append(math.exp(-((x - kx) ** 2 + (y - ky) ** 2) / 1.28))
        rows.append(row)
    return rows


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['name']} on {entry['layout']}")
def test_features_are_the_golden_ones_and_those_of_the_plain_formulas(entry: dict[str, Any]) -> None:
    layout, content = read_layout(QWERTY.with_name(f"{entry['layout']}.json"))
    features = swipe_features(np.array(entry["points"], dtype=np.float64), layout.arranged(LAYOUT.keys))
    assert features.dtype == np.float32
    assert features.shape == (len(entry["features"]), feature_count(LAYOUT)) == (len(features), 38)
    np.testing.assert_allclose(features, entry["features"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(features, plain_features(entry["points"], content), rtol=0, atol=2e-6)


def test_every_odd_trace_has_finite_features() -> None:
    for name, points in ODD.items():
        features = swipe_features(np.array(points, dtype=np.float64), LAYOUT)
        assert np.isfinite(features).all(), name
    assert len(swipe_features(np.array(ODD["one point"], dtype=np.float64), LAYOUT)) == 1


def test_no_feature_is_padding() -> None:
    frames = np.concatenate([np.array(entry["features"]) for entry in ENTRIES])
    assert (frames.std(axis=0) > 1e-3).all()


def smooth_path(seed: int, rate: int) -> np.ndarray:
    """Return one and the same swipe of overlapping minimum-jerk strokes, as a screen of a given rate sees it."""
    rng = np.random.default_rng(seed)
    aims = LAYOUT.centres_of("keyboard") + rng.normal(0.0, 0.2, (8, 2))
    durations = 0.09 + 0.06 * np.log2(1 + np.linalg.norm(np.diff(aims, axis=0), axis=1))
    durations *= rng.lognormal(0.0, 0.3) * rng.lognormal(0.0, 0.15, 7)
    overlaps = rng.uniform(0.1, 0.45) * np.minimum(durations[:-1], durations[1:])
    begins = np.append(0.0, np.cumsum(durations[:-1] - overlaps))
    end = math.ceil((begins[-1] + durations[-1]) * 30) / 30
    times = np.arange(round(end * rate) + 1) / rate
    share = np.clip((times[:, None] - begins) / durations, 0.0, 1.0)
    path = aims[0] + (share**3 * (10 - 15 * share + 6 * share**2)) @ np.diff(aims, axis=0)
    return np.column_stack([np.clip(path / LAYOUT.size, 0, 1), times * 1000])


@pytest.mark.parametrize("seed", range(20))
def test_features_hardly_depend_on_the_sampling_rate(seed: int) -> None:
    """The other trace has 960 samples a second."""
    exact = swipe_features(smooth_path(seed, 960), LAYOUT)
    for rate in SCREEN_RATES:
        apart = np.abs(swipe_features(smooth_path(seed, rate), LAYOUT) - exact)
        assert np.sqrt((apart**2).mean()) < RMS_BOUND
        for columns, bound in BOUNDS.items():
            assert apart[:, slice(*columns)].max() < bound, (rate, columns)


def test_another_layout_moves_the_keys() -> None:
    azerty = {
        **CONTENT,
        "name": "azerty",
        "rows": [{"keys": "azertyuiop", "offset": 0}, {"keys": "qsdfghjklm", "offset": 0}],
    }
    layout = layout_of(azerty, "azerty.json")
    features = swipe_features(np.array([(0.05, 0.25, 0.0)]), layout)
    assert features.shape == (1, 32)
    assert features[0, 12] == 1.0


@pytest.mark.parametrize(
    "change",
    [{"rows": []}, {"rows": [{"keys": "aa", "offset": 0}]}, {"rows": [{"keys": "ab", "offset": 9}]}, {"columns": "x"}],
)
def test_a_wrong_layout_is_told_in_one_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^wrong.json: .*\.$"):
        layout_of({**CONTENT, **change}, "wrong.json")
