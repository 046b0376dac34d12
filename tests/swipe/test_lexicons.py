"""Lexicons as written: their words, order, sizes, and the statistics beside them."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import run_worker
from transducer.core.cli import InputError
from transducer.swipe.lexicon import Lexicon, log_prior, read_lists, read_words
from transducer.swipe.trie import TrieLexicon, write_trie
from transducer.swipe.words import CONTRACTIONS, ranked_words

SIZES = {"lexicon_small.txt": 12_000, "lexicon_full.txt": 70_000}
LABELS = "abcdefghijklmnopqrstuvwxyz'"
FREQUENCIES = dict(ranked_words())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lexicons")
    sizes = ("--small-size", 12_000, "--full-size", 70_000)
    assert run_worker("swipe/prepare_lexicons", *sizes, "--output-dir", folder) == 0
    return folder


@pytest.mark.parametrize("name", SIZES)
def test_words_pass_the_filters_and_come_by_rank(name: str, folder: Path) -> None:
    words = (folder / name).read_text(encoding="utf-8").splitlines()
    assert len(words) == len(set(words)) == SIZES[name]
    for word in words:
        assert re.fullmatch(r"[a-z']{1,24}", word)
        assert re.search("[aeiouy]", word)
        assert not re.search(r"(.)\1\1\1", word)
        assert FREQUENCIES[word] >= 1e-8
    # Ranked words first, then the contractions that are too rare to be among them.
    ranked = list(FREQUENCIES)
    shared = next((i for i, (a, b) in enumerate(zip(words, ranked, strict=False)) if a != b), len(words))
    assert set(words[shared:]) <= set(CONTRACTIONS)
    assert set(CONTRACTIONS) <= set(words)
    assert [-FREQUENCIES[word] for word in words[:shared]] == sorted(-FREQUENCIES[word] for word in words[:shared])


def test_small_is_a_prefix_of_full_but_for_the_contractions_that_small_lacks(folder: Path) -> None:
    small, full = (read_words(folder / name) for name in SIZES)
    ranked = [word for word in small if word not in CONTRACTIONS]
    assert [word for word in full if word not in CONTRACTIONS][: len(ranked)] == ranked


def test_statistics_are_those_of_the_lists(folder: Path) -> None:
    stats: dict[str, Any] = json.loads((folder / "lexicon_stats.json").read_text(encoding="utf-8"))
    assert stats["source"] == {"package": "wordfreq", "version": "3.1.1", "language": "en", "wordlist": "best"}
    for name, size in SIZES.items():
        figures = stats["lists"][name]
        shares = [FREQUENCIES[word] for word in read_words(folder / name)]
        assert figures["count"] == size
        assert figures["frequency_mass"] == pytest.approx(sum(shares))
        assert figures["max_frequency"] == max(shares)
        assert figures["min_frequency"] == min(shares) >= stats["thresholds"]["min_frequency"]
    small, full = (stats["lists"][name]["frequency_mass"] for name in SIZES)
    assert 0.85 < small < full < 1.0


def test_sizes_that_cannot_be_had_are_told_in_one_sentence(tmp_path: Path, capsys: Any) -> None:
    assert run_worker("swipe/prepare_lexicons", "--small-size", 1, "--output-dir", tmp_path) == 2
    assert re.fullmatch(r"error: lexicon_small.txt: 1 words cannot be had; .*\.\n", capsys.readouterr().err)


def test_the_prior_of_a_rank_follows_the_frequencies() -> None:
    import numpy as np

    logs = np.log(list(FREQUENCIES.values())[:70_000])
    apart = logs - log_prior(np.arange(70_000))
    apart -= np.median(apart)
    assert np.abs(apart[100:]).max() < 0.5


def test_several_lists_are_one_lexicon_with_each_word_once(tmp_path: Path) -> None:
    """A word has the best of its rank's priors in the lists, each with the logarithm of its list's weight."""
    (tmp_path / "a.txt").write_text("the\nthen\na\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("zork\na\nthe\n", encoding="utf-8")
    lists = read_lists([str(tmp_path / "a.txt"), f"{tmp_path}/b.txt:0.5"])
    union = Lexicon.of_lists(lists, LABELS)
    prior = log_prior(np.arange(3))
    expected = {"the": prior[0], "then": prior[1], "a": prior[2], "zork": prior[0] + math.log(0.5)}
    assert dict(zip(union.words, union.prior.tolist(), strict=True)) == pytest.approx(expected)
    assert union.ahead[0] == prior[0] == union.prior.max()
    for word, index in zip(union.words, range(4), strict=True):
        node = 0
        for letter in word:
            node = union.children[node, LABELS.index(letter)]
            assert union.ahead[node] >= union.prior[index]
        assert union.word[node] == index
    # One list without a weight is what it was, and trie.bin keeps the priors of several.
    alone = Lexicon.of_lists(read_lists([str(tmp_path / "a.txt")]), LABELS)
    assert np.array_equal(alone.prior, prior)
    write_trie(union, tmp_path / "trie.bin")
    packed = TrieLexicon(tmp_path / "trie.bin", union.words)
    np.testing.assert_allclose(packed.prior, union.prior, rtol=1e-6)
    assert packed.ahead[0] == pytest.approx(union.ahead[0])


@pytest.mark.parametrize("weight", ["many", "0", "-1", "nan"])
def test_a_list_whose_weight_is_not_above_zero_is_refused(weight: str) -> None:
    with pytest.raises(InputError, match="not FILE:WEIGHT or FILE:WEIGHT:LAYOUT with a weight above 0"):
        read_lists([f"a.txt:{weight}"])
