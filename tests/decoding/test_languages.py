"""Languages by their words: scripts, sentences, and a recogniser held to one of them.

Example:
    .venv/bin/python -m pytest tests/decoding/test_languages.py
"""

import math
from pathlib import Path

import pytest

from conftest import DEMO, ByKind, make, run_worker
from transducer.core.cli import InputError
from transducer.decoding.language_model import LanguageModel
from transducer.decoding.languages import scripts_of_language, sentences
from transducer.decoding.scripts import scripts_of
from transducer.decoding.tokenization import tokenizer
from transducer.speech.audio import read_audio
from transducer.speech.recognizer import Recognizer
from transducer.speech.steering import Steering


@pytest.mark.parametrize(
    ("language", "scripts"),
    [
        ("de", ["LATIN"]),
        ("uk", ["CYRILLIC"]),
        ("el", ["GREEK"]),
        ("ja", ["CJK", "HIRAGANA", "KATAKANA"]),
        ("ko", ["HANGUL"]),
        ("ar", ["ARABIC"]),
    ],
)
def test_scripts_of_a_language(language: str, scripts: list[str]) -> None:
    assert scripts_of_language(language) == scripts


def test_sentences_use_words_as_people_do() -> None:
    found = list(sentences("de", 2000))
    words = " ".join(found).lower().replace(".", "").split()
    assert words.count("der") > words.count("haus") > 0
    assert found == list(sentences("de", 2000)) and found[0][0].isupper() and found[0].endswith(".")
    assert scripts_of(" ".join(sentences("en", 2000))) == {"LATIN"}


def test_an_unknown_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="LANGUAGE is 'xx', whose words are not known; set it to one of ar, bg"):
        scripts_of_language("xx")
    assert run_worker("decoding/language_text", "--language", "deutsch", "--output", tmp_path / "text.txt") == 2
    assert "LANGUAGE is 'deutsch'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    done = make("-n", "transcribe", "WAV=a.wav", "LANGUAGE=de")
    assert "--language 'de'" in done.stdout and "language_text.py --language de" in done.stdout


def test_a_recogniser_held_to_its_language_and_to_another(built: ByKind, tmp_path: Path) -> None:
    model = built(str(DEMO / "demo-tdt.nemo"))
    text, arpa = tmp_path / "en.txt", tmp_path / "en.arpa"
    assert run_worker("decoding/language_text", "--language", "en", "--sentences", 4000, "--output", text) == 0
    assert run_worker("decoding/token_lm", "--text", text, "--meta", model / "meta", "--output", arpa) == 0
    waves = [read_audio(path, 16_000) for path in sorted((DEMO / "validation/audio").iterdir())[:16]]
    plain = [found.text for found in Recognizer(model).transcribe(waves)]
    held = [
        found.text for found in Recognizer(model, steering=Steering(8, token_lm=arpa, language="en")).transcribe(waves)
    ]
    same = sum(before == after for before, after in zip(plain, held, strict=True))
    assert same >= 10, list(zip(plain, held, strict=True))
    # The model writes Latin only.
    with pytest.raises(InputError, match="no token in the script 'Cyrillic'"):
        Recognizer(model, steering=Steering(language="ru"))


def test_words_of_a_language_are_likelier_than_those_of_another(built: ByKind, tmp_path: Path) -> None:
    meta = built(str(DEMO / "demo-tdt.nemo")) / "meta"
    labels = (meta / "vocab.txt").read_text(encoding="utf-8").splitlines()
    models = {}
    for language in ("en", "nl"):
        text, arpa = tmp_path / f"{language}.txt", tmp_path / f"{language}.arpa"
        assert run_worker("decoding/language_text", "--language", language, "--sentences", 4000, "--output", text) == 0
        assert run_worker("decoding/token_lm", "--text", text, "--meta", meta, "--output", arpa) == 0
        models[language] = LanguageModel.read(arpa, labels, 1.0)
    encode, _ = tokenizer(meta)
    for words, language in (("the weather and the water", "en"), ("het weer en het water", "nl")):
        scores = {}
        for name, model in models.items():
            context: tuple[str, ...] = ("<s>",)
            scores[name] = 0.0
            for token in encode(words):
                scores[name] += model.log_prob(context[-3:], token)
                context += (token,)
        assert scores[language] == max(scores.values()) and math.isfinite(scores[language]), (words, scores)
