"""English words by frequency, as the lexicons and the synthetic traces take them.

Example:
    for word, frequency in ranked_words()[:10]:
        ...
"""

import re
import zlib

MAX_LETTERS = 24
MIN_FREQUENCY = 1e-8

# Contractions that belong in a lexicon of any size, whatever their frequency.
CONTRACTIONS = (
    "i'm", "i've", "i'll", "i'd", "you're", "you've", "you'll", "you'd", "he's", "he'll", "he'd", "she's", "she'll",
    "she'd", "it's", "it'll", "it'd", "we're", "we've", "we'll", "we'd", "they're", "they've", "they'll", "they'd",
    "that's", "that'll", "there's", "here's", "what's", "who's", "where's", "how's", "when's", "why's", "let's",
    "isn't", "aren't", "wasn't", "weren't", "don't", "doesn't", "didn't", "haven't", "hasn't", "hadn't", "won't",
    "wouldn't", "can't", "couldn't", "shouldn't", "mustn't", "needn't", "mightn't", "ain't", "could've", "should've",
    "would've", "might've", "must've", "o'clock",
)  # fmt: skip

_WORD = re.compile(r"(?=.*[aeiouy])[a-z']*[a-z][a-z']*")
_FOUR_ALIKE = re.compile(r"(.)\1{3}")


def is_word(word: str) -> bool:
    """Tell whether a string is of a-z and apostrophe, has a vowel (or y), at most 24 letters, and no letter 4 times."""
    return len(word) <= MAX_LETTERS and bool(_WORD.fullmatch(word)) and not _FOUR_ALIKE.search(word)


def ranked_words() -> list[tuple[str, float]]:
    """Return all words of wordfreq's English list that pass the filters, the most frequent first, ties by alphabet.

    Frequencies are shares of all tokens of running text.
    """
    from wordfreq import get_frequency_dict

    words = get_frequency_dict("en", "best").items()
    ranking = [(word, share) for word, share in words if share >= MIN_FREQUENCY and is_word(word)]
    return sorted(ranking, key=lambda entry: (-entry[1], entry[0]))


def is_held_out(word: str, rank: int) -> bool:
    """Tell whether no synthetic training trace spells this word: one in ten beyond the 500 most frequent."""
    return rank >= 500 and zlib.crc32(word.encode()) % 10 == 0
