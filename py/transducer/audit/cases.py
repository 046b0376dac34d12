"""The recordings of an audit, each with what should be heard in it, the same for the checkpoint and for every variant.

Example:
    clips = sample(path, count=240, sample_rate=16000)
    for test, cases in audit_tests(clips, 16000, minutes=[1, 5]):
        texts = hear([case.make() for case in cases])
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from transducer.audit.transformations import TRANSFORMATIONS
from transducer.core.cli import InputError
from transducer.speech.audio import Wave, read_audio
from transducer.speech.augmentation import NoiseBank, melody
from transducer.speech.manifest import read_manifest, stretch

# Seconds between utterances of a joined recording, of the long pause, and of a recording without speech.
GAP, PAUSE, EMPTY = 0.5, 30.0, 10.0
EMPTY_CASES = 20
# Decibels of full scale of noise and music without speech.
LEVELS = (-60, -40, -25, -15)


@dataclass(frozen=True)
class Clip:
    """An utterance of the sample: the name of its file, and its samples, float32."""

    name: str
    wave: Wave


@dataclass(frozen=True)
class Case:
    """A recording, what was done to it, and the clips whose texts should be heard in it, by their numbers.

    The recording is made when it is heard: a part of an audit makes those of its own cases alone.
    """

    change: str
    make: Callable[[], Wave]
    clips: tuple[int, ...]


def sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which recordings an audit hears."""
    parser.add_argument("--manifest", type=Path, required=True, help="NeMo manifest with audio")
    parser.add_argument("--clips", type=int, default=240, help="utterances of the manifest to hear")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 30], help="of joined recordings")


def sample(manifest: Path, count: int, sample_rate: int) -> list[Clip]:
    """Return `count` utterances, evenly from the whole manifest, or all where it has fewer."""
    if count < 1:
        raise InputError(f"AUDIT_CLIPS is {count}; give 1 or more.")
    utterances = read_manifest(manifest)
    places = np.unique(np.linspace(0, len(utterances) - 1, min(count, len(utterances))).round().astype(int))
    return [
        Clip(path.name, read_audio(path, sample_rate, offset, duration))
        for path, offset, duration in (stretch(utterances[place]) for place in places)
    ]


def audit_tests(clips: Sequence[Clip], sample_rate: int, minutes: Sequence[float]) -> Iterator[tuple[str, list[Case]]]:
    """Yield the tests by name. In each of them a clip is heard once, the changes of the test in turn."""
    for name, changes in TRANSFORMATIONS.items():
        turns = [list(changes.items())[number % len(changes)] for number in range(len(clips))]
        yield (
            name,
            [
                Case(label, partial(change, clip.wave, sample_rate), (number,))
                for number, (clip, (label, change)) in enumerate(zip(clips, turns, strict=True))
            ],
        )
    for length in minutes:
        yield f"joined_{length:g}_minutes", joined(clips, sample_rate, length)
    yield "pause", paused(clips, sample_rate)
    yield "no_speech", without_speech(sample_rate)


def joined(clips: Sequence[Clip], sample_rate: int, minutes: float) -> list[Case]:
    """Return recordings of this length in which clips follow one another; all clips once, and more to fill the last."""
    gap = np.zeros(round(GAP * sample_rate), np.float32)
    cases: list[Case] = []
    number = 0
    while number < len(clips):
        members: list[int] = []
        length = 0
        while length < minutes * 60 * sample_rate:
            members.append(number % len(clips))
            length += len(clips[members[-1]].wave) + len(gap)
            number += 1
        parts = [part for member in members for part in (clips[member].wave, gap)]
        cases.append(Case(f"{len(members)} clips", partial(np.concatenate, parts), tuple(members)))
    return cases


def paused(clips: Sequence[Clip], sample_rate: int) -> list[Case]:
    """Return recordings of two clips with a long pause between them."""
    pause = np.zeros(round(PAUSE * sample_rate), np.float32)
    pairs = [(number, (number + 1) % len(clips)) for number in range(0, len(clips), 8)]
    return [
        Case(f"{PAUSE:g} s", partial(np.concatenate, [clips[first].wave, pause, clips[second].wave]), (first, second))
        for first, second in pairs
    ]


def without_speech(sample_rate: int) -> list[Case]:
    """Return recordings of silence, noise and music."""
    names = ["silence", *["noise", "music"] * EMPTY_CASES]
    return [Case(name, partial(_without_speech, sample_rate, number), ()) for number, name in enumerate(names)]


def _without_speech(sample_rate: int, number: int) -> Wave:
    return _all_without_speech(sample_rate)[number]


@cache
def _all_without_speech(sample_rate: int) -> list[Wave]:
    """Return all of them, as one random generator draws them in turn."""
    rng = np.random.default_rng(1)
    noises, samples = NoiseBank(rng), round(EMPTY * sample_rate)
    waves = [np.zeros(samples, np.float32)]
    for number in range(EMPTY_CASES):
        gain = np.float32(10 ** (LEVELS[number % len(LEVELS)] / 20))
        waves.append(noises.draw(samples, rng) * gain)
        waves.append(melody(samples, sample_rate, rng) * gain)
    return waves


def companion(clips: Sequence[Clip]) -> Wave:
    """Return a recording louder than all clips and longer, to be heard in one batch with each of them."""
    longest = max(clips, key=lambda clip: len(clip.wave)).wave
    loud = np.concatenate([longest, longest]) / max(float(np.abs(longest).max()), 1e-6)
    return loud.astype(np.float32)
