"""A lexicon as one compact file, trie.bin, that any runtime maps and searches as it is.

Example:
    write_trie(Lexicon(words, labels), Path("out/demo-swipe/lexicon/trie.bin"))
    lexicon = TrieLexicon(Path("out/demo-swipe/lexicon/trie.bin"), words)

All numbers are little endian. Nodes come in breadth-first order, children by label, so that the children of node n are
first_child[n] to first_child[n + 1] - 1; the root is node 0.

| field | type | |
|---|---|---|
| magic | 4 bytes | TRIE |
| version, N, W, V | u32 each | 1; nodes, words, labels without blank |
| first_child | u32 [N + 1] | |
| label | u8 [N], padded with zeros to a multiple of 4 bytes | of the arc into a node; 0 for the root |
| word | i32 [N] | index of the word that ends at a node, or -1 |
| prior | f32 [W] | log prior of a word |
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError, replacing
from transducer.swipe.lexicon import NONE, ROOT, Lexicon

MAGIC = b"TRIE"
VERSION = 1
MAX_LABELS = 256
HEADER = np.dtype([("magic", "S4"), ("version", "<u4"), ("nodes", "<u4"), ("words", "<u4"), ("labels", "<u4")])


def write_trie(lexicon: Lexicon, path: Path) -> None:
    """Write a lexicon, whose words go to a file of their own. Raises: InputError for more labels than a byte holds."""
    labels = lexicon.children.shape[1]
    if labels > MAX_LABELS:
        raise InputError(f"{path}: a trie holds at most {MAX_LABELS} labels and the vocabulary has {labels}.")
    levels, arcs = [np.array([ROOT])], [np.zeros(1, np.int64)]
    while levels[-1].size:
        children = lexicon.children[levels[-1]]
        levels.append(children[children != NONE])
        arcs.append(np.nonzero(children != NONE)[1])
    order, label = np.concatenate(levels), np.concatenate(arcs)
    counts = (lexicon.children[order] != NONE).sum(axis=1)
    header = np.array((MAGIC, VERSION, len(order), len(lexicon.words), labels), HEADER)
    with replacing(path) as tmp:
        tmp.write_bytes(
            header.tobytes()
            + (1 + np.cumsum([0, *counts])).astype("<u4").tobytes()
            + label.astype(np.uint8).tobytes()
            + bytes(-len(label) % 4)
            + lexicon.word[order].astype("<i4").tobytes()
            + lexicon.prior.astype("<f4").tobytes()
        )


class TrieLexicon(Lexicon):
    """A lexicon read from trie.bin, with `words` in the order of their indices.

    It finds what the lexicon did that it was written from; priors are rounded to float32.
    Raises: InputError if the file is not a trie, is damaged, or is not of these words.
    """

    def __init__(self, path: Path, words: Sequence[str]) -> None:
        first, label, word, prior, labels = _read(path)
        nodes = len(label)
        if len(prior) != len(words):
            raise InputError(f"{path}: has {len(prior)} words and the list beside it {len(words)}; give its own list.")
        parent = np.repeat(np.arange(nodes), np.diff(first))
        self.words, self.word, self.prior = list(words), word, prior
        self.children = np.full((nodes, labels), NONE, np.int32)
        self.children[parent, label[1:]] = np.arange(1, nodes)
        self.ahead = np.where(word == NONE, -np.inf, prior[word])
        for node in range(nodes - 1, ROOT, -1):
            above = parent[node - 1]
            self.ahead[above] = max(self.ahead[above], self.ahead[node])


def _read(path: Path) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int32], NDArray[np.float64], int]:
    """Return first_child, label, word, prior and the number of labels of a sound trie."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: not a readable trie; run `make trie` first.") from None
    header = np.frombuffer(content[: HEADER.itemsize].ljust(HEADER.itemsize, b"\0"), HEADER)[0]
    if header["magic"] != MAGIC or header["version"] != VERSION:
        raise InputError(f"{path}: not a trie of version {VERSION}; run `make trie` again.")
    nodes, words, labels = (int(header[name]) for name in ("nodes", "words", "labels"))
    if len(content) != HEADER.itemsize + 4 * (nodes + 1) + nodes + -nodes % 4 + 4 * nodes + 4 * words:
        raise InputError(f"{path}: has {len(content)} bytes, which is not what its header says; copy it again.")
    fields = np.dtype(
        [
            ("first", "<u4", nodes + 1),
            ("label", "u1", nodes),
            ("padding", "u1", -nodes % 4),
            ("word", "<i4", nodes),
            ("prior", "<f4", words),
        ]
    )
    arrays = np.frombuffer(content, fields, offset=HEADER.itemsize)[0]
    first, label, word = arrays["first"].astype(np.int64), arrays["label"], arrays["word"].astype(np.int32)
    # Children lie behind their parent and behind those of the nodes before it, so that every walk ends.
    counts, number = np.diff(first), np.arange(nodes)
    ordered = first[0] == 1 and first[-1] == nodes and (counts >= 0).all() and (first[:-1] > number).all()
    if not (ordered and (label < labels).all() and (word >= NONE).all() and (word < words).all()):
        raise InputError(f"{path}: its nodes do not make a trie; copy it again.")
    return first, label, word, arrays["prior"].astype(np.float64), labels
