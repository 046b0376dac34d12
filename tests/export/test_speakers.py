"""Multi-talker models: the activity of speakers is an input, and one speaker alone is heard as NeMo hears one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEMO, ByKind, run_worker
from transducer.checkpoint.nemo_model import restore_model
from transducer.core.contracts import example
from transducer.runtime.sessions import open_session
from transducer.speech.audio import read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.nemo_hearing import hear_by_nemo
from transducer.speech.recognizer import Recognizer

KIND = "multi-talker-rnnt"
UTTERANCES = read_manifest(DEMO / "validation/manifest.jsonl")[:6]


@pytest.mark.parametrize("graph", ["encoder", "encoder_streaming"])
def test_graphs_equal_nemos_hooks(graph: str, streaming: ByKind, tmp_path: Path) -> None:
    out = streaming(KIND)
    arguments = ("--graph", graph, "--onnx", out / f"onnx/{graph}.onnx", "--checkpoint", out / "checkpoint")
    assert run_worker("export/check", *arguments, "--output", tmp_path / "check.json") == 0


def test_what_is_not_given_of_the_activity(streaming: ByKind) -> None:
    """Before its first frame the speaker who is to be heard speaks, and no other; its last frames are the encoder's."""
    encoder = open_session(streaming(KIND) / "onnx/encoder.onnx")
    inputs = example("encoder", {"B": 2, "F": 80, "T": 161, "S": 2})
    count = encoder.run(None, inputs)[0].shape[2]

    def heard(speaker: Any, others: Any) -> Any:
        given = {"spk_targets": speaker.astype(np.float32), "bg_spk_targets": others.astype(np.float32)}
        return encoder.run(None, inputs | given)[0]

    nothing, half = np.zeros((2, 0)), np.full((2, count // 2), 0.3)
    everything = heard(nothing, nothing)
    assert np.allclose(everything, heard(np.ones((2, count)), np.zeros((2, count))), atol=1e-6)
    padded = np.concatenate([np.ones((2, count - count // 2)), half], axis=1)
    assert np.allclose(heard(half, nothing), heard(padded, nothing), atol=1e-6)
    longer = np.concatenate([np.zeros((2, 5)), padded], axis=1)
    assert np.allclose(heard(half, nothing), heard(longer, nothing), atol=1e-6)
    for other in (heard(half, nothing), heard(nothing, np.ones((2, count)))):
        assert np.abs(other - everything).max() > 1e-2


def test_one_speaker_is_heard_as_nemo_hears_one(streaming: ByKind) -> None:
    out = streaming(KIND)
    waves = [read_audio(utterance["audio_filepath"], 16000) for utterance in UTTERANCES]
    found = [one.text for one in Recognizer(out).transcribe(waves)]
    expected = hear_by_nemo(restore_model(out / "checkpoint"), UTTERANCES, 3)
    # Features of NeMo's own differ in their last digits.
    assert sum(mine == theirs for mine, theirs in zip(found, expected, strict=True)) >= 5 and all(found)
    assert [one.text for one in LiveRecognizer(out).transcribe(waves)] == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spk_kernel_layers": [0, 7]}, "not all among encoder.n_layers"),
        ({"spk_kernel_type": "mha"}, "'mha' where ff belongs"),
        ({"spk_kernel_layers": "x"}, "'x'"),
    ],
)
def test_kernels_that_are_none(
    change: dict[str, object], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], nemo_file: ByKind
) -> None:
    out = tmp_path / "out"
    unpack = ("checkpoint/unpack", "--model", nemo_file(KIND), "--output", out / "checkpoint/manifest.json")
    assert run_worker(*unpack) == 0
    config = out / "checkpoint/model_config.yaml"
    from omegaconf import OmegaConf

    OmegaConf.save(OmegaConf.merge(OmegaConf.load(config), change), config)
    export = ("export/export_graph", "--graph", "encoder", "--checkpoint", out / "checkpoint")
    assert run_worker(*export, "--output", tmp_path / "encoder.onnx") == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
