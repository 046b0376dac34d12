"""The lexicon as trie.bin: its bytes as the format says, and what is read back beside what was written."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transducer.core.cli import InputError
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.lexicon import NONE, ROOT, Lexicon
from transducer.swipe.trie import TrieLexicon, write_trie
from transducer.swipe.words import ranked_words

LABELS = "'abcdefghijklmnopqrstuvwxyz"


def written(words: list[str], folder: Path, labels: str = LABELS) -> tuple[Lexicon, Path]:
    lexicon, path = Lexicon(words, labels), folder / "trie.bin"
    write_trie(lexicon, path)
    return lexicon, path


def spelt(lexicon: Lexicon) -> dict[str, tuple[int, float]]:
    """Spell a trie's words, each with its index and the best prior at its node."""
    parents, labels = np.nonzero(lexicon.children != NONE)
    children = lexicon.children[parents, labels]
    prefix = {ROOT: ""}
    for child, parent, label in sorted(zip(children.tolist(), parents.tolist(), labels.tolist(), strict=True)):
        prefix[child] = prefix[parent] + LABELS[label]
    ends = np.flatnonzero(lexicon.word != NONE)
    return {prefix[node]: (int(lexicon.word[node]), float(lexicon.ahead[node])) for node in ends.tolist()}


def test_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    """A small trie, decoded by hand."""
    _, path = written(["ba", "a", "bc"], tmp_path, "abc")
    content = path.read_bytes()
    assert content[:4] == b"TRIE"
    assert struct.unpack_from("<4I", content, 4) == (1, 5, 3, 3)
    # Breadth first: root; a, b; ba, bc.
    assert struct.unpack_from("<6I", content, 20) == (1, 3, 3, 5, 5, 5)
    assert content[44:52] == bytes([0, 0, 1, 0, 2, 0, 0, 0])
    assert struct.unpack_from("<5i", content, 52) == (-1, 1, -1, 0, 2)
    assert struct.unpack_from("<3f", content, 72) == pytest.approx([-np.log(10 + n) - n / 30_000 for n in range(3)])
    assert len(content) == 84


def test_the_full_lexicon_comes_back(tmp_path: Path) -> None:
    """Every word of 70,000 is spelt in the trie, with its index, and best priors are those of the lexicon."""
    lexicon, path = written([word for word, _ in ranked_words()[:70_000]], tmp_path)
    found = TrieLexicon(path, lexicon.words)
    ends, expected = spelt(found), spelt(lexicon)
    assert {word: index for word, (index, _) in ends.items()} == {word: n for n, word in enumerate(lexicon.words)}
    assert max(abs(ends[word][1] - expected[word][1]) for word in expected) < 1e-5
    assert path.stat().st_size < 2 << 20


def test_beam_search_finds_the_same_in_both(tmp_path: Path) -> None:
    lexicon, path = written(["he", "hello", "help", "held", "shell", "a"], tmp_path)
    rng = np.random.default_rng(3)
    frames, table = rng.normal(size=(12, 8)).astype(np.float32), rng.normal(size=(28, 28, 8)).astype(np.float32)

    def step(frame: Any, label: Any, h: Any, c: Any) -> Any:
        return np.einsum("bd,bvd->bv", frame, table[label]), h, c

    def search(words: Lexicon) -> Any:
        found = BeamSearch(words, 27, (1, 4), prior_weight=0.5).decode(frames, step, 6)
        return [candidate.word for candidate in found], [candidate.score for candidate in found]

    words, scores = search(lexicon)
    assert len(words) >= 3
    again, close = search(TrieLexicon(path, lexicon.words))
    assert again == words and close == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: b"", "not a trie of version 1"),
        (lambda content: b"TRIE\x02" + content[5:], "not a trie of version 1"),
        (lambda content: content[:-1], "which is not what its header says"),
        (lambda content: content[:24] + b"\0\0\0\0" + content[28:], "do not make a trie"),
        (lambda content: content[:20] + struct.pack("<2I", 1, 1) + content[28:], "do not make a trie"),
        (lambda content: content[:45] + b"\x1b" + content[46:], "do not make a trie"),
    ],
)
def test_a_damaged_trie_is_refused(damage: Any, reason: str, tmp_path: Path) -> None:
    _, path = written(["ba", "a", "bc"], tmp_path, "abc")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=reason):
        TrieLexicon(path, ["ba", "a", "bc"])


def test_words_of_another_list_and_too_many_labels_are_refused(tmp_path: Path) -> None:
    _, path = written(["ba", "a"], tmp_path)
    with pytest.raises(InputError, match="has 2 words and the list beside it 1"):
        TrieLexicon(path, ["ba"])
    with pytest.raises(InputError, match="at most 256 labels"):
        written(["a"], tmp_path, "a" + "".join(chr(0x4E00 + n) for n in range(256)))
