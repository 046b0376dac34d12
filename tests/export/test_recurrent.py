"""LSTM encoders of streams, whose states go from window to window, against NeMo and against the whole recording."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEMO, ByKind, run_worker
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError
from transducer.export.streaming_plan import plan
from transducer.export.trace import export_graph
from transducer.runtime.sessions import open_session, session_runner
from transducer.speech.audio import read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

KIND = "one-way-lstm"


def test_a_stream_equals_the_whole(built: ByKind, tmp_path: Path) -> None:
    """Chunks of one frame and of seven, of recordings that end within a chunk, give NeMo's frames of the whole."""
    checkpoint = Checkpoint(built(KIND) / "checkpoint")
    encoder = checkpoint.build("encoder")
    for chunk in (1, 7):
        streaming = plan(checkpoint, chunk_size=chunk)
        graph = tmp_path / f"{chunk}.raw.onnx"
        offline = built(KIND) / "onnx/encoder.raw.onnx"
        export_graph("encoder_streaming", checkpoint, graph, opset=17, streaming=streaming, weights_of=offline)
        step = session_runner(open_session(graph))
        for frames in (4, 5, 6, 7, 27, 28, 29, 300):
            features = np.random.default_rng(frames).standard_normal((80, frames), dtype=np.float32)
            state, found = streaming.initial_state(1), []
            for window, length in streaming.windows(features):
                after = step({"audio_signal": window[None], "length": np.array([length]), **state})
                found.append(after["encoder_output"][0, :, : int(after["encoded_lengths"][0])])
                state = {name: after[f"{name}_out"] for name in state}
            assert np.abs(np.concatenate(found, axis=1) - of_nemo(encoder, features)).max() <= 1e-5


def of_nemo(encoder: Any, features: Any) -> Any:
    """Return NeMo's encoder frames [D,T_enc] of features [F,T], behind which a frontend has a frame of padding."""
    import torch

    with torch.inference_mode():
        signal = torch.from_numpy(np.pad(features, ((0, 0), (0, 1))))[None]
        encoded, lengths = encoder(audio_signal=signal, length=torch.tensor([features.shape[1]]))
    return encoded[0, :, : int(lengths[0])].numpy()


def test_streams_of_a_batch_are_checked(streaming: ByKind, tmp_path: Path) -> None:
    """The check has streams that begin late, end early and rest; it is what a build waits for."""
    model, check = streaming(KIND), tmp_path / "check.json"
    graph = ("--graph", "encoder_streaming", "--onnx", model / "onnx/encoder_streaming.onnx")
    assert run_worker("export/check", *graph, "--checkpoint", model / "checkpoint", "--output", check) == 0
    assert json.loads(check.read_text())["figures"]["max_abs"] <= 1e-5
    facts = json.loads((model / "meta/model_meta.json").read_text())["streaming"]
    assert (facts["shift_ms"], facts["initial_state"]["cache_h"]["shape"]) == (1000, [2, "B", 48])


def test_transcripts_of_streams_are_those_of_files(streaming: ByKind) -> None:
    model = streaming(KIND)
    entries = read_manifest(DEMO / "validation/manifest.jsonl")[:6]
    waves = [read_audio(entry["audio_filepath"], 16000) for entry in entries]
    streamed, offline = LiveRecognizer(model).transcribe(waves), Recognizer(model)
    # NeMo's stacking rounds a row's length up or down with the length of the batch.
    whole = [offline.transcribe([wave])[0] for wave in waves]
    assert len({token.id for transcript in whole for token in transcript.tokens}) > 4, "too little to show anything"
    assert [found.text for found in streamed] == [found.text for found in whole]


@pytest.mark.parametrize(
    ("encoder", "choice", "message"),
    [
        ({"bidirectional": True}, {}, "an LSTM in both directions; stream it by its offline encoder"),
        ({"subsampling": "striding"}, {}, "an LSTM whose subsampling is striding, only stacking or stacking_norm"),
        ({}, {"lookahead": 3}, "choose STREAMING_CHUNK and leave STREAMING_LOOKAHEAD"),
        ({}, {"cache_size": 9}, "is an LSTM, which carries nothing but its states"),
        ({}, {"chunk_size": 0}, "STREAMING_CHUNK=0 is shorter than the subsampling allows"),
    ],
)
def test_refuses(built: ByKind, encoder: dict[str, Any], choice: dict[str, int], message: str) -> None:
    checkpoint = Checkpoint(built(KIND) / "checkpoint")
    checkpoint.config["encoder"] |= encoder
    with pytest.raises(InputError, match=message):
        plan(checkpoint, **choice)


def test_sherpa_onnx_does_not_stream_it(streaming: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = streaming(KIND)
    graphs = [model / f"onnx/{name}.onnx" for name in ("encoder_streaming", "predictor", "joint")]
    meta = ("--meta", model / "meta/model_meta.json", "--tokens", model / "meta/tokens.txt")
    sums = tmp_path / "package/SHA256SUMS"
    assert run_worker("package/for_sherpa_onnx", "--online", "--graphs", *graphs, *meta, "--output", sums) == 2
    assert "carries an LSTM's states, and sherpa-onnx a Conformer's caches only" in capsys.readouterr().err
    assert not sums.parent.exists()
