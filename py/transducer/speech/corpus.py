"""The demo models' little language and its voices: what is said, who says it, and over which noise.

Example:
    sentence = spoken_sentence(random.Random(7))   # "set a timer for twenty five minutes"
"""

import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

GRAMMAR = Path(__file__).parents[3] / "configs/demo-grammar.yaml"

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_IRREGULAR_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def number_words(value: int) -> str:
    """Return `value` (0 to 999,999) as it is spoken, for example "three hundred and five"."""
    if value < 20:
        return _ONES[value]
    if value < 100:
        return " ".join([_TENS[value // 10], *([_ONES[value % 10]] if value % 10 else [])])
    size, name = (100, "hundred") if value < 1000 else (1000, "thousand")
    head, rest = f"{number_words(value // size)} {name}", value % size
    if rest == 0:
        return head
    return f"{head} {'and ' if rest < 100 else ''}{number_words(rest)}"


def ordinal_words(value: int) -> str:
    """Return the ordinal of `value` (1 to 99), for example "twenty first"."""
    *head, last = number_words(value).split()
    if last in _IRREGULAR_ORDINALS:
        last = _IRREGULAR_ORDINALS[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return " ".join([*head, last])


def _year(rng: random.Random) -> str:
    year = rng.randint(1901, 2039)
    if 2000 <= year < 2010:
        return number_words(year)
    tail = number_words(year % 100) if year % 100 >= 10 else f"oh {number_words(year % 100)}"
    return f"{number_words(year // 100)} {tail}"


def _digits(rng: random.Random) -> str:
    return " ".join(rng.choice(_ONES[:10]) for _ in range(rng.randint(3, 7)))


# Slots that are computed; every other slot is a list of alternatives in _RULES.
_COMPUTED: dict[str, Callable[[random.Random], str]] = {
    "small": lambda rng: number_words(rng.randint(2, 20)),
    "number": lambda rng: number_words(rng.randint(2, 99)),
    "percentage": lambda rng: number_words(rng.randint(0, 100)),
    "large": lambda rng: number_words(rng.choice([rng.randint(100, 999), rng.randint(1000, 99999)])),
    "degrees": lambda rng: number_words(rng.randint(5, 35)),
    "hour": lambda rng: number_words(rng.randint(1, 12)),
    "minute": lambda rng: number_words(rng.randint(10, 59)),
    "day": lambda rng: ordinal_words(rng.randint(1, 31)),
    "year": _year,
    "digits": _digits,
}

_RULES: dict[str, list[str]] = yaml.safe_load(GRAMMAR.read_text(encoding="utf-8"))


def spoken_sentence(rng: random.Random, held_out: bool = False) -> str:
    """Return one sentence of the grammar: lower case words separated by single spaces.

    One sentence in eight, chosen by its checksum, is held out: the two kinds have no sentence in common.
    """
    while True:
        sentence = _expand(rng, "sentence")
        if (zlib.crc32(sentence.encode()) % 8 == 0) == held_out:
            return sentence


def _expand(rng: random.Random, symbol: str) -> str:
    if symbol in _COMPUTED:
        return _COMPUTED[symbol](rng)
    return re.sub(r"\{(\w+)\}", lambda slot: _expand(rng, slot[1]), rng.choice(_RULES[symbol]))


@dataclass(frozen=True)
class Speakers:
    """espeak-ng settings that a split draws from: accent+variant is a voice, speed is words a minute."""

    accents: tuple[str, ...]
    variants: tuple[str, ...]
    speeds: tuple[int, ...]
    pitches: tuple[int, ...]
    noisy_share: float  # of the utterances that are stored with noise
    held_out: bool  # whether the sentences are the held-out ones


# The two splits share no variant (hence no voice), no speed and no sentence. Training stores clean audio, since the
# trainer mixes fresh noise into every epoch.
_ACCENTS = ("en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd", "en-gb-x-gbclan", "en-029")
SPEAKERS = {
    "train": Speakers(
        accents=_ACCENTS,
        variants=(
            "m1", "m2", "m3", "m4", "m6", "m8", "f1", "f2", "f3", "f5", "klatt", "klatt2", "klatt4", "Alex", "Andy",
            "Annie", "Alicia", "Andrea", "belinda", "benjamin", "boris", "caleb", "ed", "edward", "Gene", "john", "Lee",
            "linda", "max", "paul", "rob", "steph", "steph2", "travis", "victor", "shelby", "quincy", "zac",
        ),
        speeds=(125, 140, 155, 170, 185, 200, 215),
        pitches=tuple(range(20, 85, 5)),
        noisy_share=0.0,
        held_out=False,
    ),
    "validation": Speakers(
        accents=_ACCENTS,
        variants=("m5", "m7", "f4", "klatt3", "adam", "anika", "david", "Hugo", "Michael", "robert"),
        speeds=(132, 148, 163, 178, 193, 208),
        pitches=tuple(range(25, 80, 5)),
        noisy_share=0.5,
        held_out=True,
    ),
}  # fmt: skip


class NoiseBank:
    """Looped white, pink and brown noise, all of unit power, cut at random places.

    Generating coloured noise once and cutting it is some fifty times cheaper than shaping it per utterance.
    """

    def __init__(self, rng: np.random.Generator, samples: int = 480_000):
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        # The floor keeps brown noise from being nothing but a drift that no microphone would pass.
        frequency = np.maximum(np.arange(len(spectrum)), 60 * samples / 16_000)
        shaped = (np.fft.irfft(spectrum / frequency**slope, samples) for slope in (0.0, 0.5, 1.0))
        self._noises = [(noise / noise.std()).astype(np.float32) for noise in shaped]

    def mix(self, wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
        """Return `wave` (float32 [samples]) with noise of a random colour at `snr_db` below its power."""
        noise = self._noises[rng.integers(len(self._noises))]
        cut = np.take(noise, np.arange(len(wave)) + rng.integers(len(noise)), mode="wrap")
        return wave + cut * np.float32(np.sqrt(np.mean(wave**2)) * 10 ** (-snr_db / 20))
