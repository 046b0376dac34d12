"""Recognizers that search with a beam: streams, phrases, n-gram models, and the commands that ask for them."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import transducer.speech.decoders as decoders_module
from conftest import DEMO, ByKind, run_worker
from transducer.core.cli import InputError
from transducer.core.error_rates import rate, word_errors
from transducer.runtime.loader import open_graph
from transducer.speech.audio import Wave, read_audio
from transducer.speech.corpus import spoken_sentence
from transducer.speech.grouping import groups, joined
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer
from transducer.speech.steering import Steering

VALIDATION = DEMO / "validation/manifest.jsonl"
RATE = 16000
BEAM = Steering(beam=8)
# Words that nobody says in the validation set, as a user's list has many.
UNSAID = [
    "orchestra",
    "trivia",
    "marble",
    "pelican",
    "harvest",
    "lantern",
    "cobalt",
    "ribbon",
    "walnut",
    "saffron",
    "quarry",
    "velvet",
    "thicket",
    "compass",
    "granite",
    "willow",
    "paprika",
    "glacier",
    "sonata",
    "bramble",
    "crimson",
    "falcon",
    "juniper",
    "mosaic",
    "nectar",
    "opal",
    "plateau",
    "quartz",
    "raven",
    "sapphire",
    "tundra",
    "umbrella",
    "violin",
    "whistle",
    "yonder",
    "zephyr",
    "anchor",
    "blossom",
    "canyon",
    "drizzle",
]


def clips(count: int) -> tuple[list[Wave], list[str]]:
    entries = read_manifest(VALIDATION)
    entries = entries[:: len(entries) // count][:count]
    return [read_audio(entry["audio_filepath"], RATE) for entry in entries], [entry["text"] for entry in entries]


def wer(recognizer: Recognizer, waves: list[Wave], texts: list[str]) -> float:
    return rate(word_errors(texts, [found.text for found in recognizer.transcribe(waves)]))


@pytest.fixture(scope="module")
def demo(built: ByKind) -> Path:
    return built(str(DEMO / "demo-tdt.nemo"))


@pytest.mark.parametrize("kind", ["cache-aware-rnnt", "cache-aware-tdt", str(DEMO / "demo-streaming.nemo")])
def test_streams_equal_offline_search(streaming: ByKind, kind: str) -> None:
    model = streaming(kind)
    waves, _ = clips(8)
    silence = np.zeros(2 * RATE, np.float32)
    waves.append(np.concatenate([waves[0], silence, waves[1]]))
    streamed = LiveRecognizer(model, steering=BEAM).transcribe(waves[:8])
    offline = Recognizer(model, steering=BEAM).transcribe(waves[:8])
    assert sum(len(found.tokens) for found in offline) > 20
    for found, expected in zip(streamed, offline, strict=True):
        assert [token.id for token in found.tokens] == [token.id for token in expected.tokens]
        assert [token.start for token in found.tokens] == pytest.approx([token.start for token in expected.tokens])
        assert [text for text, _ in found.alternatives] == [text for text, _ in expected.alternatives]
        scores = [score for _, score in expected.alternatives]
        assert [score for _, score in found.alternatives] == pytest.approx(scores, abs=1e-3)


def test_what_is_settled_in_a_stream_stays(streaming: ByKind) -> None:
    recognizer = LiveRecognizer(streaming(str(DEMO / "demo-streaming.nemo")), steering=BEAM)
    retracted = 0
    waves, _ = clips(24)
    for wave in waves:
        partials = list(recognizer.listen(np.array_split(wave, len(wave) // 1600)))
        settled = ""
        for before, partial in itertools.pairwise(partials):
            retracted += not partial.transcript.text.startswith(before.transcript.text)
        for partial in partials:
            assert partial.transcript.text.startswith(settled)
            settled = partial.transcript.text[: partial.settled]
        assert partials[-1].final and settled == partials[-1].transcript.text
        assert partials[-1].transcript.alternatives[0][0] == settled
    assert retracted, "a beam that never changes its mind shows nothing"


def test_a_beam_of_one_is_greedy_and_the_step_graph_searches_alike(demo: Path) -> None:
    waves, _ = clips(48)
    greedy = [found.text for found in Recognizer(demo).transcribe(waves)]
    assert [found.text for found in Recognizer(demo, steering=Steering(beam=1)).transcribe(waves)] == greedy
    beams = [found.alternatives for found in Recognizer(demo, steering=BEAM).transcribe(waves)]
    steps = Recognizer(demo, step=demo / "onnx/rnnt_step.onnx", steering=BEAM).transcribe(waves)
    assert [[text for text, _ in one.alternatives] for one in steps] == [[text for text, _ in one] for one in beams]
    assert sum(one[0][0] != text for one, text in zip(beams, greedy, strict=True)) >= 5


def test_engines_for_small_batches_get_small_batches(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT's engines are built for some rows at most, and each prefix of a beam is one."""
    rows: list[int] = []

    def open_limited(path: Path, threads: int = 0) -> Any:
        session = open_graph(path, threads)
        if path.stem not in ("predictor", "joint"):
            return session
        run_all = session.run

        def run(names: Any, feeds: Any) -> Any:
            rows.append(len(next(iter(feeds.values()))))
            return run_all(names, feeds)

        monkeypatch.setattr(session, "max_rows", 12, raising=False)
        monkeypatch.setattr(session, "run", run)
        return session

    waves, _ = clips(8)
    expected = [found.text for found in Recognizer(demo, steering=Steering(beam=5)).transcribe(waves)]
    monkeypatch.setattr(decoders_module, "open_graph", open_limited)
    assert [found.text for found in Recognizer(demo, steering=Steering(beam=5)).transcribe(waves)] == expected
    assert max(rows) <= 10
    with pytest.raises(InputError, match="takes 12 rows, fewer than the beam of 16"):
        Recognizer(demo, steering=Steering(beam=16))


@pytest.mark.parametrize("name", ["demo-tdt", "demo-streaming"])
def test_a_beam_has_fewer_errors(built: ByKind, name: str) -> None:
    model = built(str(DEMO / f"{name}.nemo"))
    waves, texts = clips(160)
    assert wer(Recognizer(model, steering=BEAM), waves, texts) <= wer(Recognizer(model), waves, texts) - 1.0


def test_long_recordings_have_alternatives_too(demo: Path) -> None:
    waves, _ = clips(3)
    pause = np.random.default_rng(0).normal(0, 1e-5, RATE).astype(np.float32)
    joined = np.concatenate([part for wave in waves for part in (wave, pause)])
    recognizer = Recognizer(demo, segment_seconds=(0.5, 8), steering=BEAM)
    [found] = recognizer.transcribe([joined])
    texts, scores = zip(*found.alternatives, strict=True)
    assert len(texts) == len(set(texts)) > 4 and texts[0] == found.text
    assert list(scores) == sorted(scores, reverse=True)
    assert len(found.words) >= 6


@pytest.mark.slow
def test_phrases_are_found_more_often_and_the_rest_is_heard_as_before(demo: Path, tmp_path: Path) -> None:
    """Ten words that the model misses half of the time, among forty that nobody says."""
    waves, texts = clips(480)
    plain = [found.text for found in Recognizer(demo, steering=BEAM).transcribe(waves)]
    counts = Counter(word for text in texts for word in set(text.split()) if len(word) > 2)
    often = [word for word, count in counts.items() if count >= 4]
    missed = sorted((found(word, texts, plain), word) for word in often)
    said = [word for share, word in missed if 0.2 <= share <= 0.7][:10]
    assert len(said) == 10
    path = tmp_path / "hotwords.txt"
    path.write_text("\n".join(random.Random(1).sample(said + UNSAID, 50)), encoding="utf-8")
    steered = [one.text for one in Recognizer(demo, steering=Steering(hotwords=path)).transcribe(waves)]
    before, after = (found(" ".join(said), texts, heard) for heard in (plain, steered))
    assert after >= before + 0.2
    assert sum(steered[row].count(word) for row in range(480) for word in UNSAID) <= 2

    def others(heard: list[str]) -> float:
        rest = [
            [" ".join(word for word in text.split() if word not in said) for text in side] for side in (texts, heard)
        ]
        return rate(word_errors(*rest))

    assert others(steered) <= others(plain) + 0.1
    noise = np.random.default_rng(3).standard_normal(300 * RATE).astype(np.float32)
    nothing = np.concatenate([noise * np.float32(0.01), noise * np.float32(1e-4)])
    [heard] = Recognizer(demo, steering=Steering(hotwords=path)).transcribe([nothing])
    assert not set(heard.text.split()) & {*said, *UNSAID}


def found(words: str, texts: list[str], heard: list[str]) -> float:
    """Return the share of some words in texts that was heard."""
    said = hit = 0
    for text, other in zip(texts, heard, strict=True):
        these, those = Counter(text.split()), Counter(other.split())
        for word in words.split():
            said, hit = said + these[word], hit + min(these[word], those[word])
    return hit / said


def test_an_n_gram_model_helps(demo: Path, tmp_path: Path) -> None:
    """Of sentences of the same kind, drawn again."""
    text, arpa = tmp_path / "text.txt", tmp_path / "lm.arpa"
    draw = random.Random(99)
    text.write_text("\n".join(spoken_sentence(draw).lower() for _ in range(5000)), encoding="utf-8")
    assert run_worker("decoding/token_lm", "--text", text, "--meta", demo / "meta", "--output", arpa) == 0
    waves, texts = clips(240)
    steered = Recognizer(demo, steering=Steering(token_lm=arpa))
    assert wer(steered, waves, texts) <= wer(Recognizer(demo, steering=BEAM), waves, texts) - 0.3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--beam", 0), "A beam of 0 keeps nothing"),
        (("--hotwords", "nowhere.txt"), "nowhere.txt does not exist"),
        (("--hotwords-weight", "0"), "--hotwords-weight is 0.0"),
        (("--token-lm", "nowhere.arpa"), "nowhere.arpa does not exist"),
        (("--token-lm-weight", "nan"), "--token-lm-weight is nan"),
        (("--scripts", "Klingon"), "no token in the script 'Klingon'; give some of Latin"),
    ],
)
def test_bad_options_get_one_sentence(
    demo: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], sentence: str
) -> None:
    audio = read_manifest(VALIDATION)[0]["audio_filepath"]
    assert run_worker("speech/transcribe", "--model", demo, *options, audio) == 2
    printed = capsys.readouterr().err
    assert printed.count("error:") == 1 and sentence in printed


@pytest.mark.parametrize(
    ("content", "order", "sentence"),
    [
        ("where is it", "0", "An order of 0 makes no model"),
        ("", "3", "has no sentences"),
        ("ŽŽŽ\n", "3", "not one of its 1 lines can be written"),
    ],
)
def test_bad_texts_get_one_sentence(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, order: str, sentence: str
) -> None:
    text, arpa = tmp_path / "text.txt", tmp_path / "lm.arpa"
    text.write_text(content, encoding="utf-8")
    options = ("--meta", demo / "meta", "--order", order, "--output", arpa)
    assert run_worker("decoding/token_lm", "--text", text, *options) == 2
    printed = capsys.readouterr().err
    assert printed.count("error:") == 1 and sentence in printed and not arpa.exists()


def test_json_has_alternatives(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = read_manifest(VALIDATION)[0]["audio_filepath"]
    assert run_worker("speech/transcribe", "--model", demo, "--json", "--beam", 4, audio) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["alternatives"][0]["text"] == content["text"]
    assert run_worker("speech/transcribe", "--model", demo, "--json", audio) == 0
    assert "alternatives" not in json.loads(capsys.readouterr().out)


def test_batches_are_searched_in_groups_within_their_bounds() -> None:
    lengths = dict(zip([(number, 0) for number in range(10)], [100.0, 90, 80, 70, 60, 10, 10, 10, 10, 10], strict=True))
    batches = [[place] for place in lengths]
    found = list(groups(batches, lengths.__getitem__, rows=6))
    assert [batch for group in found for batch in group] == batches
    assert [len(group) for group in found] == [6, 4]
    assert [len(group) for group in groups(batches, lambda place: 40 * lengths[place] / 10, rows=9)] == [2, 3, 5]
    assert [len(group) for group in groups(batches, lengths.__getitem__, rows=1)] == [1] * 10


def test_joined_batches_keep_their_frames() -> None:
    random = np.random.default_rng(1)
    encoded = [
        (random.normal(size=(rows, 4, frames)).astype(np.float32), np.full(rows, frames))
        for rows, frames in ((2, 9), (3, 5))
    ]
    frames, lengths = joined(encoded)
    assert frames.shape == (5, 4, 9) and lengths.tolist() == [9, 9, 5, 5, 5]
    assert np.array_equal(frames[:2], encoded[0][0]) and np.array_equal(frames[2:, :, :5], encoded[1][0])
    assert not frames[2:, :, 5:].any()
