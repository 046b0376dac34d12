"""The recordings of an audit, each with what should be heard in it, the same for the checkpoint and for every variant.

Example:
    clips = sample(read_manifest(path), count=240, sample_rate=16000)
    for test, cases in audit_tests(clips, 16000, minutes=[1, 5]):
        texts = hear([case.wave for case in cases])
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transducer.audit.transformations import TRANSFORMATIONS
from transducer.core.cli import InputError
from transducer.speech.audio import Wave, read_audio
from transducer.speech.augmentation import NoiseBank, melody
from transducer.speech.manifest import Utterance, stretch

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
    """A recording, what was done to it, and the clips whose texts should be heard in it, by their numbers."""

    change: str
    wave: Wave
    clips: tuple[int, ...]


def sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which recordings an audit hears."""
    parser.add_argument("--manifest", type=Path, required=True, help="NeMo manifest with audio")
    parser.add_argument("--clips", type=int, default=240, help="utterances of the manifest to hear")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 30], help="of joined recordings")


def sample(utterances: Sequence[Utterance], count: int, sample_rate: int) -> list[Clip]:
    """Return `count` utterances, evenly from the whole manifest, or all where it has fewer."""
    if count < 1:
        raise InputError(f"AUDIT_CLIPS is {count}; give 1 or more.")
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
                Case(label, change(clip.wave, sample_rate), (number,))
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
        parts: list[Wave] = []
        length = 0
        while length < minutes * 60 * sample_rate:
            members.append(number % len(clips))
            parts += [clips[members[-1]].wave, gap]
            length += len(parts[-2]) + len(gap)
            number += 1
        cases.append(Case(f"{len(members)} clips", np.concatenate(parts), tuple(members)))
    return cases


def paused(clips: Sequence[Clip], sample_rate: int) -> list[Case]:
    """Return recordings of two clips with a long pause between them."""
    pause = np.zeros(round(PAUSE * sample_rate), np.float32)
    pairs = [(number, (number + 1) % len(clips)) for number in range(0, len(clips), 8)]
    return [
        Case(f"{PAUSE:g} s", np.concatenate([clips[first].wave, pause, clips[second].wave]), (first, second))
        for first, second in pairs
    ]


def without_speech(sample_rate: int) -> list[Case]:
    """Return recordings of silence, noise and music."""
    rng = np.random.default_rng(1)
    noises, samples = NoiseBank(rng), round(EMPTY * sample_rate)
    cases = [Case("silence", np.zeros(samples, np.float32), ())]
    for number in range(EMPTY_CASES):
        gain = np.float32(10 ** (LEVELS[number % len(LEVELS)] / 20))
        cases.append(Case("noise", noises.draw(samples, rng) * gain, ()))
        cases.append(Case("music", melody(samples, sample_rate, rng) * gain, ()))
    return cases


def in_company(clips: Sequence[Clip]) -> list[Wave]:
    """Return each clip followed by a louder and longer one, to be heard in the same batch."""
    longest = max(clips, key=lambda clip: len(clip.wave)).wave
    loud = np.concatenate([longest, longest]) / max(float(np.abs(longest).max()), 1e-6)
    return [wave for clip in clips for wave in (clip.wave, loud.astype(np.float32))]
