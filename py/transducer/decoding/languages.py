"""Languages by their words: what they are written in, and sentences that have their words as often as people use them.

Example:
    print(scripts_of_language("uk"))
    for sentence in sentences("uk", count=20_000):
        print(sentence)
"""

import random
from collections.abc import Iterator

from transducer.core.cli import InputError
from transducer.decoding.scripts import scripts_of

# A script with a smaller share of a language's words is that of foreign names.
LEAST_SHARE = 0.04
WORDS_OF_A_SENTENCE = 8


def frequencies(language: str) -> dict[str, float]:
    """Return wordfreq's words of a language with how often each is used. Raises: InputError for an unknown one."""
    from wordfreq import available_languages, get_frequency_dict

    known = sorted(available_languages("small"))
    if language not in known:
        raise InputError(f"LANGUAGE is {language!r}, whose words are not known; set it to one of {', '.join(known)}.")
    return {word: share for word, share in get_frequency_dict(language, "small").items() if any(map(str.isalpha, word))}


def scripts_of_language(language: str) -> list[str]:
    """Return the scripts that a language is written in, as ScriptLock names them."""
    shares: dict[str, float] = {}
    for word, share in frequencies(language).items():
        for script in scripts_of(word):
            shares[script] = shares.get(script, 0.0) + share
    most = sum(shares.values())
    return sorted(script for script, share in shares.items() if share >= LEAST_SHARE * most)


def sentences(language: str, count: int) -> Iterator[str]:
    """Yield sentences of words drawn by their frequency, every other one capitalised and with a full stop.

    Neighbours mean nothing, so n-grams of such sentences say how a language spells words and how often it uses them.
    """
    allowed = set(scripts_of_language(language))
    words = {word: share for word, share in frequencies(language).items() if scripts_of(word) <= allowed}
    draws = random.Random(language).choices(list(words), list(words.values()), k=WORDS_OF_A_SENTENCE * count)
    for number in range(count):
        text = " ".join(draws[number * WORDS_OF_A_SENTENCE : (number + 1) * WORDS_OF_A_SENTENCE])
        yield text if number % 2 else f"{text[0].upper()}{text[1:]}."
