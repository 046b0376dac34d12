"""What steers the beam search: phrases against a count by hand, n-gram models against their definition, scripts."""

import math
import random
from pathlib import Path

import numpy as np
import pytest

from transducer.core.cli import InputError
from transducer.decoding.bias import Bias
from transducer.decoding.language_model import LanguageModel, read_arpa
from transducer.decoding.n_grams import BEGIN, END, arpa, estimate
from transducer.decoding.phrases import Phrases, read_phrases, unspellable
from transducer.decoding.scripts import ScriptLock, scripts_of

SPELT = [" ", "a", "b", "c", " a", " ab", "bc", " c", "ab", "a b", " b c"]
PHRASES = {"ab": 1.0, "ab c": 0.7, "b": 0.5, "c ab": 2.0, "abc": 0.3}


def added(bias: Bias, labels: list[int]) -> float:
    """Return what a bias adds to labels and the end."""
    state, total = 0, 0.0
    for label in labels:
        total += bias.gains(np.array([state]))[0][label]
        state = bias.follow(state, label)
    return total + bias.end(state)


def counted(text: str, phrases: dict[str, float]) -> float:
    """Return what docs/decoding.md says of a text: the best phrase at each word earns its letters."""
    words = f" {' '.join(text.split())} "
    total = 0.0
    for start in [place for place, letter in enumerate(words[:-1]) if letter == " "]:
        earned = [
            weight * len(phrase.replace(" ", ""))
            for phrase, weight in phrases.items()
            if words.startswith(f" {phrase} ", start)
        ]
        total += max(earned, default=0.0)
    return total


def test_phrases_earn_their_letters_however_they_are_spelt() -> None:
    bias = Phrases(PHRASES, SPELT)
    draw = random.Random(1)
    earning = 0
    for _ in range(3000):
        labels = [draw.randrange(len(SPELT)) for _ in range(draw.randrange(1, 9))]
        text = "".join(SPELT[label] for label in labels)
        if "  " in text:
            continue
        expected = counted(text, PHRASES)
        earning += expected > 0
        assert added(bias, labels) == pytest.approx(expected), text
    assert earning > 500


def test_all_tokenizations_of_a_phrase_earn_the_same_as_they_go() -> None:
    bias = Phrases({"ab": 1.0}, SPELT)
    for labels in ([5], [4, 2], [0, 1, 2], [0, 8]):
        assert added(bias, labels) == pytest.approx(2.0)
        # Each letter counts as soon as it is there, and the whole is lost with a letter that does not fit.
        assert added(bias, [*labels, 3]) == pytest.approx(0.0)
    # A phrase that is whole is not paid twice while its word ends.
    state, paid = 0, []
    for label in (0, 1, 2, 0, 3):
        paid.append(bias.gains(np.array([state]))[0][label])
        state = bias.follow(state, label)
    assert paid == pytest.approx([0.0, 1.0, 1.0, 0.0, 0.0])
    first = bias.gains(np.array([0]))[0]
    assert first[4] == first[1] == pytest.approx(1.0) and first[5] == pytest.approx(2.0) and first[2] == 0.0


def test_text_without_spaces_has_phrases_anywhere() -> None:
    bias = Phrases({"東京": 1.0}, ["東", "京", "都", "東京"])
    assert added(bias, [2, 0, 1, 2]) == added(bias, [3, 2]) == pytest.approx(2.0)
    assert added(bias, [0, 2]) == pytest.approx(0.0)


def test_phrases_are_read_with_their_weights(tmp_path: Path) -> None:
    path = tmp_path / "hotwords.txt"
    path.write_text("\ufeffab  c\n\n bc :1.5\na: b\n".replace("a: b", "a b"), encoding="utf-8")
    assert read_phrases(path, SPELT, 0.25) == {"ab c": 0.25, "bc": 1.5, "a b": 0.25}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "has no phrases"),
        ("\n \n", "has no phrases"),
        (" :1.5\n", "line 1: it has a weight but not a phrase"),
        ("ab\nabx\n", "line 2: the model has no token for 'x' in 'abx'"),
        ("AB\n", "line 1: the model has no token for 'A'"),
        ("ab :heavy\n", "line 1: the weight 'heavy' is not a number"),
        ("ab :nan\n", "line 1: the weight 'nan' is not a number"),
        ("ab :-1\n", "line 1: the weight '-1' is not a number"),
    ],
)
def test_bad_phrases_get_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "hotwords.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"hotwords\.txt") as found:
        read_phrases(path, SPELT)
    assert sentence in str(found.value)


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hotwords.txt"
    path.write_bytes("Zürich\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        read_phrases(path, SPELT)


def test_unspellable() -> None:
    assert unspellable("ab c", SPELT) == ""
    assert unspellable("abd", SPELT) == "d"
    assert unspellable("x", SPELT) == "x"


SENTENCES = [line.split() for line in ("a b c", "a b", "b a", "c", "a b c c", "b b a")]
LABELS = ["a", "b", "c", "d"]


def test_an_estimated_model_is_a_distribution_and_survives_its_file(tmp_path: Path) -> None:
    n_grams = estimate(SENTENCES, 3, LABELS)
    path = tmp_path / "lm.arpa"
    path.write_text(arpa(n_grams), encoding="utf-8")
    model = LanguageModel.read(path, LABELS, weight=1.0)
    contexts = [(), ("a",), ("a", "b"), (BEGIN,), (BEGIN, "a"), ("d",), ("d", "a"), ("c", "d")]
    for context in contexts:
        total = sum(math.exp(model.log_prob(context, word)) for word in (*LABELS, END, "<unk>"))
        assert total == pytest.approx(1.0, abs=1e-4), context
    assert model.log_prob((BEGIN,), "a") > model.log_prob((BEGIN,), "c") > model.log_prob((BEGIN,), "d")
    # Witten and Bell by hand: after "a b" come c twice and the end once, so T = 2 and c = 3.
    shorter = math.exp(model.log_prob(("b",), "c"))
    assert math.exp(model.log_prob(("a", "b"), "c")) == pytest.approx(2 / 5 + 2 / 5 * shorter, abs=1e-5)


def test_scores_are_those_of_the_labels_before(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(arpa(estimate(SENTENCES, 3, LABELS)), encoding="utf-8")
    model = LanguageModel.read(path, LABELS, weight=0.5)
    draw = random.Random(2)
    for _ in range(200):
        labels = [draw.randrange(len(LABELS)) for _ in range(draw.randrange(0, 7))]
        words = [BEGIN, *(LABELS[label] for label in labels), END]
        expected = sum(model.log_prob(tuple(words[max(n - 2, 0) : n]), words[n]) for n in range(1, len(words)))
        assert added(model, labels) == pytest.approx(0.5 * expected, abs=1e-9)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "has no n-grams"),
        ("\\data\\\n\\1-grams:\n-1 a\n-1 zebra\n\\end\\\n", "'zebra' is not a token of the model, and 1 of its 2"),
        ("\\data\\\n\\1-grams:\n-1 a\nzero b\n\\end\\\n", "line 4: it is not an n-gram of 1"),
        ("\\data\\\n\\2-grams:\n-1 a\n\\end\\\n", "line 3: it is not an n-gram of 2"),
        ("\\data\\\n\\1-grams:\n0.5 a\n\\end\\\n", "line 3: it is not an n-gram of 1"),
        ("\\data\\\n\\1-grams:\nnan a\n\\end\\\n", "line 3: it is not an n-gram of 1"),
    ],
)
def test_bad_models_get_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"lm\.arpa") as found:
        LanguageModel.read(path, LABELS, 1.0)
    assert sentence in str(found.value)


def test_a_file_of_another_tool_is_read(tmp_path: Path) -> None:
    """KenLM writes <unk> first, and a backoff weight of 0 or none."""
    path = tmp_path / "lm.arpa"
    path.write_text(
        "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-2.0\t<unk>\t0\n0\t<s>\t-0.3\n-0.5\ta\t-0.2\n-0.7\t</s>\t0\n\n"
        "\\2-grams:\n-0.1\t<s> a\n\n\\end\\\n",
        encoding="utf-8",
    )
    assert len(read_arpa(path)) == 5
    model = LanguageModel.read(path, LABELS, 1.0)
    ten = math.log(10)
    assert added(model, [0]) == pytest.approx((-0.1 - 0.2 - 0.7) * ten)
    assert added(model, [1]) == pytest.approx((-0.3 - 2.0 - 0.7) * ten)


def test_scripts() -> None:
    spelt = [" der", "Ж", " ж", "7", ".", "ß", "Я!", "東", " "]
    row = ScriptLock(["latin"], spelt).gains(np.array([0, 0]))[1]
    assert [label for label, gain in zip(spelt, row, strict=True) if gain == 0.0] == [" der", "7", ".", "ß", " "]
    assert all(gain in (0.0, -math.inf) for gain in row)
    assert scripts_of("Жd7") == {"CYRILLIC", "LATIN"}
    with pytest.raises(InputError, match="no token in the script 'Greek'; give some of Cjk, Cyrillic, Latin"):
        ScriptLock(["Greek"], spelt)


def test_what_only_ends_a_text_is_known_to_end_it(tmp_path: Path) -> None:
    """After "b" comes the end alone, and without a backoff weight."""
    path = tmp_path / "lm.arpa"
    path.write_text("\\1-grams:\n-99 <s>\n-1 </s>\n-0.7 b\n\\2-grams:\n-0.3 b </s>\n\\end\\\n", encoding="utf-8")
    assert added(LanguageModel.read(path, LABELS, 1.0), [1]) == pytest.approx((-0.7 - 0.3) * math.log(10))
