"""Which words follow which: counted, written, read, and what they do to a search."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import DEMO, ROOT, ByKind, run_worker
from transducer.core.cli import InputError
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.bigrams import HEADER, Bigrams
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import read_layout
from transducer.swipe.lexicon import Lexicon, log_prior
from transducer.swipe.recognition import encoder_frames, open_encoder, open_step
from transducer.swipe.traces import read_traces
from transducer.swipe.trie import TrieLexicon, write_trie

LABELS = "abcdefghijklmnopqrstuvwxyz'"
WORDS = ["the", "of", "end", "sea", "see", "set", "we", "i"]
PRIOR = log_prior(np.arange(len(WORDS)))
TEXT = [["we", "see", "the", "sea"], ["i", "see", "the", "end", "of", "the", "sea"], ["the", "xylophone", "sea"]]


@pytest.fixture
def bigrams() -> Bigrams:
    return Bigrams.of_text(TEXT, WORDS, PRIOR, pairs=100)


def test_gains_are_those_of_discounted_counts(bigrams: Bigrams) -> None:
    """After "the" came two words of the lexicon: "sea" twice, and "end"; a word without a pair has no gain."""
    share = np.exp(PRIOR) / np.exp(PRIOR).sum()
    gains = bigrams.gains("the")
    for word, count in (("sea", 2), ("end", 1)):
        expected = math.log(1 + (count - 0.75) / (0.75 * 2 * share[WORDS.index(word)]))
        assert gains[WORDS.index(word)] == pytest.approx(expected, abs=1 / 32)
    assert set(gains) == {WORDS.index("sea"), WORDS.index("end")}
    assert set(bigrams.gains("")) == {WORDS.index(word) for word in ("we", "i", "the")}
    # What follows a word that the lexicon lacks does not count for the word before that.
    assert bigrams.gains("xylophone") == {}
    assert bigrams.gains("sea") == {}


def test_the_pairs_that_tell_most_are_kept(bigrams: Bigrams) -> None:
    few = Bigrams.of_text(TEXT, WORDS, PRIOR, pairs=2)
    assert (len(few), len(bigrams)) == (2, 10)
    assert few.gains("the").keys() == {WORDS.index("sea")}


def test_a_file_says_the_same(bigrams: Bigrams, tmp_path: Path) -> None:
    bigrams.write(tmp_path / "bigrams.bin")
    found = Bigrams.read(tmp_path / "bigrams.bin", WORDS)
    for word in ["", *WORDS, "nobody"]:
        assert found.gains(word) == bigrams.gains(word)
    found.write(tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "bigrams.bin").read_bytes()


def pairs_of_nobody(content: bytes) -> bytes:
    at = HEADER.itemsize + 4 * (len(WORDS) + 2)
    return content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :]


@pytest.mark.parametrize(
    ("damage", "words", "sentence"),
    [
        (lambda content: content[:-1], WORDS, "which is not what its header says"),
        (lambda content: b"TRIE" + content[4:], WORDS, "not bigrams of version 1"),
        (lambda content: content[:4] + b"\x02" + content[5:], WORDS, "not bigrams of version 1"),
        (lambda content: b"", WORDS, "not bigrams of version 1"),
        (pairs_of_nobody, WORDS, "its pairs are not those of its words"),
        (lambda content: content, WORDS[:-1], "is of another word list"),
        (lambda content: content, [*WORDS[:-1], "j"], "is of another word list"),
    ],
)
def test_bad_files(
    bigrams: Bigrams, tmp_path: Path, damage: Callable[[bytes], bytes], words: list[str], sentence: str
) -> None:
    path = tmp_path / "bigrams.bin"
    bigrams.write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=sentence):
        Bigrams.read(path, words)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a readable file of bigrams; run `make bigrams` first"):
        Bigrams.read(tmp_path / "bigrams.bin", WORDS)


def test_a_gain_is_a_better_prior(built: ByKind, tmp_path: Path) -> None:
    """A search with gains is that over a lexicon with those priors, beams and all; and leaves its own as it was."""
    out = built(str(DEMO / "demo-swipe.nemo"))
    words = sorted({trace.word for trace in read_traces(DEMO / "swipe-test/manifest.jsonl.gz", LABELS)})
    lexicon = Lexicon(words, LABELS)
    write_trie(lexicon, tmp_path / "trie.bin")
    trie = TrieLexicon(tmp_path / "trie.bin", words)
    gains = {index: 6.0 - index % 5 for index in range(0, len(words), 7)}
    raised = [prior + gains.get(index, 0.0) for index, prior in enumerate(lexicon.prior.tolist())]
    # A lexicon with priors of its own has the likeliest words first.
    order = sorted(range(len(words)), key=lambda index: -raised[index])
    other = Lexicon([words[index] for index in order], LABELS, [raised[index] for index in order])
    encode, step = open_encoder(out / "onnx/encoder.onnx"), open_step(out / "onnx/rnnt_step.onnx")
    layout, _ = read_layout(ROOT / "configs/layouts/qwerty.json")
    search, in_trie, expected = (
        BeamSearch(found, len(LABELS), (1, 128), beam=8, prior_weight=0.5) for found in (lexicon, trie, other)
    )
    changed = 0
    for trace in read_traces(DEMO / "swipe-test/manifest.jsonl.gz", LABELS)[:12]:
        frames = encoder_frames(encode, swipe_features(trace.points, layout))
        before = search.decode(frames, step, 8)
        found = search.decode(frames, step, 8, gains=gains)
        wanted = expected.decode(frames, step, 8)
        assert [one.word for one in found] == [one.word for one in wanted]
        assert [one.score for one in found] == pytest.approx([one.score for one in wanted], abs=1e-6)
        assert [one.word for one in in_trie.decode(frames, step, 8, gains=gains)] == [one.word for one in wanted]
        assert search.decode(frames, step, 8) == before == search.decode(frames, step, 8, gains={})
        changed += [one.word for one in found] != [one.word for one in before]
    assert changed > 4


def test_a_text_becomes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, text, output = tmp_path / "words.txt", tmp_path / "text.txt", tmp_path / "bigrams.bin"
    words.write_text("".join(f"{word}\n" for word in [*WORDS, "i'm"]))
    text.write_text("We SEE the sea. I\u2019m \u201cthe end\u201d, of the sea!\nset -- see\n")
    inputs = ("--words", words, "--text", text, "--output", output)
    assert run_worker("swipe/write_bigrams", *inputs) == 0
    found = Bigrams.read(output, [*WORDS, "i'm"])

    def after(word: str) -> set[str]:
        return {[*WORDS, "i'm"][index] for index in found.gains(word)}

    assert after("") == {"we", "i'm", "set"}
    assert (after("the"), after("i'm"), after("set"), after("sea")) == ({"sea", "end"}, {"the"}, {"see"}, set())
    text.write_text("Xylophones quickly jazz.\n")
    output.unlink()
    assert run_worker("swipe/write_bigrams", *inputs) == 2
    assert "no words of the lexicon follow each other" in capsys.readouterr().err
    assert run_worker("swipe/write_bigrams", *inputs, "--pairs", 0) == 2
    assert "--pairs is 0; give 1 or more." in capsys.readouterr().err
    assert run_worker("swipe/write_bigrams", "--words", words, "--text", tmp_path / "no.txt", "--output", output) == 2
    assert "write sentences into it, one a line" in capsys.readouterr().err
    assert not output.exists()
