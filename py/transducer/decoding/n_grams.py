"""N-gram models estimated from text, interpolated as Witten and Bell (1991) do, and written in ARPA format.

Example:
    n_grams = estimate([["▁where", "▁is"], ["▁where"]], order=3)
    path.write_text(arpa(n_grams), encoding="utf-8")
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

Context = tuple[str, ...]
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
# log10 of what has no probability, as <s> has none, in the files of all tools.
NEVER = -99.0


def estimate(
    sentences: Iterable[Sequence[str]], order: int, vocabulary: Iterable[str] = ()
) -> dict[Context, list[float]]:
    """Return probability and backoff weight of every n-gram of the sentences, up to `order` words.

    A word that follows a context in T ways among c occurrences leaves T / (c + T) to the shorter context. The
    shortest leaves its part to all words of the vocabulary and <unk> alike.
    """
    followers: defaultdict[Context, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        words = [BEGIN, *sentence, END]
        for place in range(1, len(words)):
            for start in range(max(place - order + 1, 0), place + 1):
                followers[tuple(words[start:place])][words[place]] += 1
    known = sorted({*vocabulary, *followers[()], END, UNKNOWN})
    n_grams: dict[Context, list[float]] = {(BEGIN,): [0.0, 1.0]}
    for context, counts in sorted(followers.items(), key=lambda item: len(item[0])):
        total, kinds = counts.total(), len(counts)
        left = kinds / (total + kinds)
        if not context:
            for word in known:
                n_grams[(word,)] = [counts[word] / (total + kinds) + left / len(known), 1.0]
            continue
        for word, count in counts.items():
            n_grams[(*context, word)] = [count / (total + kinds) + left * n_grams[(*context[1:], word)][0], 1.0]
        n_grams[context][1] = left
    return n_grams


def arpa(n_grams: dict[Context, list[float]]) -> str:
    """Return an ARPA file's text."""
    orders = Counter(map(len, n_grams))
    lines = ["\\data\\", *(f"ngram {order}={count}" for order, count in sorted(orders.items()))]
    for order in sorted(orders):
        lines += ["", f"\\{order}-grams:"]
        for words in sorted(words for words in n_grams if len(words) == order):
            probability, backoff = n_grams[words]
            log = math.log10(probability) if probability else NEVER
            end = "" if order == max(orders) else f"\t{math.log10(backoff):.6f}"
            lines.append(f"{log:.6f}\t{' '.join(words)}{end}")
    return "\n".join([*lines, "", "\\end\\", ""])
