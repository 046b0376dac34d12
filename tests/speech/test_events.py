"""A model that hears the end of an utterance says so as an event, where NeMo hears it, and not as text."""

import json

import pytest
import torch

from conftest import DEMO, ByKind, run_worker
from transducer.checkpoint.nemo_model import restore_model
from transducer.speech.audio import read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer
from transducer.speech.transcript import Token, Vocabulary

KIND = "end-of-utterance-rnnt"
CLIPS = [entry["audio_filepath"] for entry in read_manifest(DEMO / "validation/manifest.jsonl")[:6]]


def test_events_are_where_nemo_hears_them(streaming: ByKind, capsys: pytest.CaptureFixture[str]) -> None:
    out = streaming(KIND)
    recognizer, model = Recognizer(out), restore_model(out / "checkpoint")
    ends = {
        model.tokenizer.token_to_id(label): name for label, name in (("<EOU>", "utterance"), ("<EOB>", "backchannel"))
    }
    waves = [read_audio(path, 16000) for path in CLIPS]
    features, lengths = recognizer.features(waves)
    with torch.inference_mode():
        encoded = model.encoder(audio_signal=torch.from_numpy(features), length=torch.from_numpy(lengths))
        expected = model.decoding.rnnt_decoder_predictions_tensor(*encoded, return_hypotheses=True)
    heard = [
        [
            (f"end of {ends[token]}", round(int(frame) * 0.08, 2))
            for token, frame in zip(one.y_sequence.tolist(), one.timestamp["timestep"], strict=True)
            if token in ends
        ]
        for one in expected
    ]
    found = recognizer.transcribe(waves)
    assert sum(map(len, heard)) > 3, "too few to show anything"
    assert [[(name, round(time, 2)) for name, time in one.events] for one in found] == heard
    assert not any("<EO" in one.text or "<EO" in word.text for one in found for word in one.words)
    assert [one.events for one in LiveRecognizer(out).transcribe(waves)] == [one.events for one in found]
    capsys.readouterr()
    assert run_worker("speech/transcribe", "--model", out, "--stream", "--json", CLIPS[0], CLIPS[1]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    final = [line for line in lines if line["final"]]
    assert [len(line.get("events", [])) for line in final] == [len(one) for one in heard[:2]]


def test_events_are_no_words() -> None:
    vocabulary = Vocabulary(["▁yes", "<EOU>", "▁no"], "bpe")
    found = vocabulary.transcript([Token(0, 0.0, 0.1, 1.0), Token(1, 0.1, 0.2, 1.0), Token(2, 0.3, 0.4, 1.0)])
    assert found.text == "yes no" and [word.text for word in found.words] == ["yes", "no"]
    assert found.events == (("end of utterance", 0.1),)


@pytest.mark.parametrize(
    ("labels", "tokens", "text"),
    [
        (["▁a", "▁."], [0, 1], "a ."),  # a mark that has always a space
        (["▁a", "▁.", "."], [0, 1], "a."),
        (["▁a", "▁", "."], [0, 1, 2], "a."),
        (["▁a", "▁", "."], [0, 1, 1, 2], "a ."),
        (["<unk>", "▁a", "?"], [1, 0, 2, 1], "a ⁇? a"),
    ],
)
def test_a_space_before_punctuation_goes_as_in_nemo(labels: list[str], tokens: list[int], text: str) -> None:
    found = Vocabulary(labels, "bpe").transcript([Token(token, 0.0, 0.1, 1.0) for token in tokens])
    assert found.text == text
    assert " ".join(word.text for word in found.words).split() == text.split()
