"""The demo models' little language and its voices: what is said, and who says it.

Example:
    sentence = spoken_sentence(random.Random(7))   # "set a timer for twenty five minutes"
"""

import random
import re
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    zero = rng.choice(("zero", "oh"))
    digits = (rng.randint(0, 9) for _ in range(rng.randint(3, 7)))
    return " ".join(_ONES[digit] if digit else zero for digit in digits)


def _letters(rng: random.Random) -> str:
    return " ".join(rng.choices(string.ascii_uppercase, k=rng.randint(2, 7)))


def _spelled(rng: random.Random) -> str:
    """A name letter by letter; the rest of the grammar says which."""
    name = rng.choice(_RULES[rng.choice(("name", "city", "weekday", "month", "food"))])
    return " ".join("apostrophe" if letter == "'" else letter.upper() for letter in name if letter != " ")


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
    "letters": _letters,
    "spelled": _spelled,
}

_RULES: dict[str, list[str]] = yaml.safe_load(GRAMMAR.read_text(encoding="utf-8"))


def spoken_sentence(rng: random.Random, held_out: bool = False) -> str:
    """Return one sentence of the grammar: lower case words separated by single spaces, spelled letters as capitals.

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
    """What a split draws from an engine: speeds are relative to the engine's usual one."""

    voices: tuple[str, ...]
    speeds: tuple[float, ...]
    pitches: tuple[int, ...] = (50,)
    mixed_share: float = 0.0  # of the utterances that are spoken by a mixture of two voices

    def voice(self, rng: random.Random) -> str:
        """Return a voice, or two of one accent as NAME+NAME."""
        voice = rng.choice(self.voices)
        if rng.random() < self.mixed_share:
            others = [name for name in self.voices if name[0] == voice[0] and name != voice]
            voice = "+".join(sorted((voice, rng.choice(others))))
        return voice


_ESPEAK_ACCENTS = (
    "en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd", "en-gb-x-gbclan", "en-029",
)  # fmt: skip


def _espeak_voices(variants: str) -> tuple[str, ...]:
    return tuple(f"{accent}+{variant}" for accent in _ESPEAK_ACCENTS for variant in variants.split())


# Who speaks, by split and engine. The two splits share no voice, no speed, and no sentence.
SPEAKERS = {
    "train": {
        "espeak-ng": Speakers(
            voices=_espeak_voices(
                "m1 m2 m3 m4 m6 m8 f1 f2 f3 f5 klatt klatt2 klatt4 Alex Andy Annie Alicia Andrea belinda benjamin "
                "boris caleb ed edward Gene john Lee linda max paul rob steph steph2 travis victor shelby quincy zac"
            ),
            speeds=(0.71, 0.80, 0.89, 0.97, 1.06, 1.14, 1.23),
            pitches=tuple(range(20, 85, 5)),
        ),
        "flite": Speakers(voices=("kal16", "awb"), speeds=(0.8, 0.95, 1.1, 1.25)),
        "kokoro": Speakers(
            voices=(
                "af_alloy", "af_aoede", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river",
                "af_sarah", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_onyx", "am_santa",
                "bf_alice", "bf_isabella", "bm_daniel", "bm_fable",
            ),
            speeds=(0.8, 0.9, 1.0, 1.1, 1.25),
            mixed_share=0.4,
        ),
    },
    "validation": {
        "espeak-ng": Speakers(
            voices=_espeak_voices("m5 m7 f4 klatt3 adam anika david Hugo Michael robert"),
            speeds=(0.75, 0.85, 0.93, 1.02, 1.10, 1.19),
            pitches=tuple(range(25, 80, 5)),
        ),
        "flite": Speakers(voices=("rms", "slt"), speeds=(0.87, 1.02, 1.17)),
        "kokoro": Speakers(
            voices=("af_bella", "af_sky", "am_michael", "am_puck", "bf_emma", "bf_lily", "bm_george", "bm_lewis"),
            speeds=(0.85, 0.95, 1.05, 1.15),
        ),
    },
}  # fmt: skip
