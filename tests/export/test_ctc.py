"""The CTC head of hybrid models: its graph, greedy decoding as NeMo's, offline and streamed, and who has none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import checkpoints
from conftest import DEMO, ByKind, run_worker
from transducer.checkpoint.nemo_model import restore_model
from transducer.core.cli import InputError
from transducer.decoding.ctc import CtcDecoder
from transducer.runtime.sessions import open_session
from transducer.speech.audio import read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer
from transducer.speech.steering import Steering

KINDS = ("hybrid-tdt", "cache-aware-hybrid")


@pytest.fixture(scope="module")
def hybrid(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> ByKind:
    """Return a function from a kind, made lively, to its model folder with ctc.onnx."""
    folder = tmp_path_factory.mktemp("hybrid")

    def of_kind(kind: str) -> Path:
        path = folder / f"lively-{kind}.nemo"
        out = built(str(path if path.exists() else checkpoints.save(kind, path, lively=True)))
        if not (out / "onnx/ctc.onnx").exists():
            raw = out / "onnx/ctc.raw.onnx"
            export = ("export/export_graph", "--graph", "ctc", "--checkpoint", out / "checkpoint", "--output", raw)
            assert run_worker(*export) == 0
            simplify = ("export/simplify", "--graph", "ctc", "--input", raw, "--output", out / "onnx/ctc.onnx")
            assert run_worker(*simplify) == 0
        return out

    return of_kind


def waves(count: int) -> list[Any]:
    utterances = read_manifest(DEMO / "validation/manifest.jsonl")[:count]
    return [read_audio(utterance["audio_filepath"], 16000) for utterance in utterances]


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_equals_pytorch(kind: str, hybrid: ByKind, tmp_path: Path) -> None:
    out = hybrid(kind)
    arguments = ("--graph", "ctc", "--onnx", out / "onnx/ctc.onnx", "--checkpoint", out / "checkpoint")
    assert run_worker("export/check", *arguments, "--output", tmp_path / "check.json") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_nemo(kind: str, hybrid: ByKind) -> None:
    out = hybrid(kind)
    recognizer, model = Recognizer(out, ctc=out / "onnx/ctc.onnx"), restore_model(out / "checkpoint", ctc=True)
    features, lengths = recognizer.features(waves(8))
    with torch.inference_mode():
        encoded, counts = model.encoder(audio_signal=torch.from_numpy(features), length=torch.from_numpy(lengths))
        logprobs = model.ctc_decoder(encoder_output=encoded)
        expected = model.ctc_decoding.ctc_decoder_predictions_tensor(logprobs, counts, return_hypotheses=True)
    found = recognizer.recognize(features, lengths)
    spelled = [recognizer._vocabulary.transcript(recognizer.tokens(one)).text for one in found]
    # A last token without letters is a space of NeMo's.
    assert spelled == [one.text.strip() for one in expected]
    assert sum(len(one.tokens) for one in found) > 2 * len(found)
    best = logprobs.argmax(-1).tolist()
    for row, hypothesis in enumerate(found):
        assert [best[row][frame] for frame in hypothesis.frames] == hypothesis.tokens
        assert all(0 < confidence <= 1 for confidence in hypothesis.confidences)


def test_chunks_of_any_size_are_decoded_as_the_whole(hybrid: ByKind) -> None:
    """A label that goes on over the edge of two chunks is said once."""
    out = hybrid("hybrid-tdt")
    recognizer, head = Recognizer(out), open_session(out / "onnx/ctc.onnx")
    decoder = CtcDecoder(recognizer.meta, head)
    encoded = np.repeat(np.random.default_rng(0).standard_normal((2, 32, 12), dtype=np.float32), 3, axis=2)
    lengths = np.array([36, 22])
    whole, _ = decoder.decode(encoded, lengths)
    assert all(len(one.tokens) > 5 for one in whole)
    for size in (1, 2, 5, 36):
        state = None
        tokens: list[list[int]] = [[], []]
        frames: list[list[int]] = [[], []]
        for start in range(0, 36, size):
            left = np.clip(lengths - start, 0, min(size, 36 - start))
            found, state = decoder.decode(encoded[:, :, start : start + size], left, state)
            for row, one in enumerate(found):
                tokens[row] += one.tokens
                frames[row] += one.frames
        assert tokens == [one.tokens for one in whole] and frames == [one.frames for one in whole]


def test_streams_are_heard_as_files(streaming: ByKind, hybrid: ByKind) -> None:
    out, head = streaming("cache-aware-hybrid"), hybrid("cache-aware-hybrid") / "onnx/ctc.onnx"
    heard = [one.text for one in LiveRecognizer(out, ctc=head).transcribe(waves(4))]
    assert heard == [one.text for one in Recognizer(out, ctc=head).transcribe(waves(4))] and all(heard)


def test_who_has_none(built: ByKind, hybrid: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = built("bpe-tdt")
    export = ("export/export_graph", "--graph", "ctc", "--checkpoint", out / "checkpoint")
    assert run_worker(*export, "--output", tmp_path / "ctc.onnx") == 2
    assert "has no CTC head, as hybrid models do; leave CTC out" in capsys.readouterr().err
    assert not (tmp_path / "ctc.onnx").exists()
    with pytest.raises(InputError, match="leave CTC out"):
        restore_model(out / "checkpoint", ctc=True)
    with pytest.raises(InputError, match="decoded greedily"):
        Recognizer(hybrid("hybrid-tdt"), ctc=hybrid("hybrid-tdt") / "onnx/ctc.onnx", steering=Steering(beam=4))
