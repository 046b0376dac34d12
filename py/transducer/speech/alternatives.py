"""What may have been said in a recording that was heard in pieces: the likeliest combinations of their hypotheses.

Example:
    [(best, score), *others] = likeliest([heard_in_first_piece, heard_in_second_piece], count=8)
"""

from collections.abc import Sequence

from transducer.speech.transcript import Token

# The tokens of a hypothesis and its score in nats.
Heard = tuple[list[Token], float]


def likeliest(pieces: Sequence[Sequence[Heard]], count: int) -> list[tuple[list[list[Token]], float]]:
    """Return the `count` combinations with the highest sums of scores, the best first: the tokens of each piece.

    pieces: hypotheses of each piece, the best first.
    """
    combinations: list[tuple[list[list[Token]], float]] = [([], 0.0)]
    for hypotheses in pieces:
        longer = [([*parts, tokens], score + more) for parts, score in combinations for tokens, more in hypotheses]
        combinations = sorted(longer, key=lambda pair: -pair[1])[:count]
    return combinations
