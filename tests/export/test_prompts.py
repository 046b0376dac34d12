"""A model that takes a prompt hears as NeMo does with the same prompt, in files and in streams."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import checkpoints
from conftest import DEMO, ByKind, run_worker
from transducer.checkpoint.nemo_model import restore_model
from transducer.core.cli import InputError
from transducer.core.contracts import example
from transducer.runtime.sessions import open_session, session_runner
from transducer.speech.audio import read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.nemo_hearing import hear_by_nemo
from transducer.speech.recognizer import Recognizer
from transducer.speech.steering import Steering

KIND = "prompt-rnnt"
VALIDATION = DEMO / "validation/manifest.jsonl"


def test_frames_are_those_of_nemo_under_each_prompt(streaming: ByKind) -> None:
    out = streaming(KIND)
    model = restore_model(out / "checkpoint")
    dims = json.loads((out / "meta/model_meta.json").read_text())["dims"]
    inputs = example("encoder", dims | {"B": 3, "T": 301}) | {"prompt": np.array([0, 1, 5])}
    found = session_runner(open_session(out / "onnx/encoder.onnx"))(inputs)["encoder_output"]
    signal, length, prompts = (torch.from_numpy(array) for array in inputs.values())
    with torch.inference_mode():
        expected, lengths = model.forward(
            processed_signal=signal, processed_signal_length=length, prompt_indices=prompts
        )
    for row, count in enumerate(lengths):
        assert np.abs(found[row, :, :count] - expected[row, :, :count].numpy()).max() <= 1e-4
    others = session_runner(open_session(out / "onnx/encoder.onnx"))(inputs | {"prompt": np.array([1, 0, 0])})
    assert np.abs(found - others["encoder_output"]).max(axis=(1, 2)).min() > 1e-2


@pytest.mark.parametrize("prompt", [None, *checkpoints.PROMPTS])
def test_tokens_are_those_of_nemo(prompt: str | None, streaming: ByKind) -> None:
    out = streaming(KIND)
    recognizer, model = Recognizer(out, steering=Steering(prompt=prompt)), restore_model(out / "checkpoint")
    waves = [read_audio(entry["audio_filepath"], 16000) for entry in read_manifest(VALIDATION)[:6]]
    features, lengths = recognizer.features(waves)
    prompts = torch.full((len(waves),), checkpoints.PROMPTS[prompt or "auto"])
    with torch.inference_mode():
        encoded = model.forward(
            processed_signal=torch.from_numpy(features),
            processed_signal_length=torch.from_numpy(lengths),
            prompt_indices=prompts,
        )
        expected = model.decoding.rnnt_decoder_predictions_tensor(*encoded, return_hypotheses=True)
    found = [hypothesis.tokens for hypothesis in recognizer.recognize(features, lengths)]
    assert found == [one.y_sequence.tolist() for one in expected]
    assert all(found)


def test_nemo_is_asked_for_the_same_prompt(streaming: ByKind) -> None:
    """What `make evaluate` compares with; features of NeMo's own differ in their last digits."""
    out, utterances = streaming(KIND), read_manifest(VALIDATION)[:3]
    model = restore_model(out / "checkpoint")
    heard = {prompt: hear_by_nemo(model, utterances, 3, prompt) for prompt in ("en-US", "de-DE")}
    for prompt, texts in heard.items():
        waves = [read_audio(entry["audio_filepath"], 16000) for entry in utterances]
        found = [one.text for one in Recognizer(out, steering=Steering(prompt=prompt)).transcribe(waves)]
        assert sum(mine == theirs for mine, theirs in zip(found, texts, strict=True)) >= 2
    assert heard["en-US"] != heard["de-DE"]


def test_prompts_change_what_is_heard_and_streams_hear_the_same(streaming: ByKind) -> None:
    out = streaming(KIND)
    waves = [read_audio(entry["audio_filepath"], 16000) for entry in read_manifest(VALIDATION)[:4]]
    heard: dict[str, list[Any]] = {}
    for prompt in checkpoints.PROMPTS:
        steering = Steering(prompt=prompt)
        heard[prompt] = [one.text for one in Recognizer(out, steering=steering).transcribe(waves)]
        assert [one.text for one in LiveRecognizer(out, steering=steering).transcribe(waves)] == heard[prompt]
    assert heard["en-US"] != heard["de-DE"] != heard["auto"]


def test_the_streaming_encoder_equals_nemos_step(streaming: ByKind, tmp_path: Path) -> None:
    out, report = streaming(KIND), tmp_path / "check.json"
    graph = ["--graph", "encoder_streaming", "--onnx", out / "onnx/encoder_streaming.onnx"]
    assert run_worker("export/check", *graph, "--checkpoint", out / "checkpoint", "--output", report) == 0


def test_an_unknown_prompt(streaming: ByKind, built: ByKind) -> None:
    with pytest.raises(InputError, match="set it to one of the model's own, auto, de-DE, en-US"):
        Recognizer(streaming(KIND), steering=Steering(prompt="xx-XX"))
    with pytest.raises(InputError, match="takes none; leave it out"):
        Recognizer(built("bpe-tdt"), steering=Steering(prompt="de-DE"))
