"""The streaming encoder against NeMo's own streaming, and against the offline encoder.

Example:
    .venv/bin/python -m pytest tests/test_streaming.py
"""

import functools
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession

from conftest import DEMO, ByKind, make, run_worker
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core import onnx_weights
from transducer.core.cli import InputError
from transducer.core.contracts import GRAPHS, Arrays, Floats
from transducer.core.onnx_files import external_files, load_graph, metadata
from transducer.export.streaming import CacheAwareStreaming
from transducer.export.streaming_plan import plan
from transducer.export.trace import export_graph
from transducer.runtime.sessions import open_session, session_runner

STEPS = 60
# When each stream of a batch begins, and after how many windows it ends.
STREAMS = ((0, STEPS), (5, 40), (20, 30))
CHOICES: dict[str, tuple[str, dict[str, int]]] = {
    "cache-aware": ("cache-aware-rnnt", {}),
    "no look-ahead": ("cache-aware-rnnt", {"lookahead": 0}),
    "short cache": ("cache-aware-rnnt", {"lookahead": 3, "cache_size": 12}),
    "full context": ("bpe-tdt", {"chunk_size": 12, "cache_size": 64}),
    "overlapping chunks": ("bpe-tdt", {"chunk_size": 6, "cache_drop_size": 2, "cache_size": 40}),
    "demo": (str(DEMO / "demo-streaming.nemo"), {}),
}


@dataclass(frozen=True)
class Streamer:
    """One way of streaming a checkpoint: its .nemo file, its offline encoder, and its streaming encoder."""

    nemo: Path
    offline: Path
    online: Path
    streaming: CacheAwareStreaming

    @property
    def facts(self) -> Any:
        """What the graph says of itself."""
        return json.loads(metadata(load_graph(self.online))["streaming"])


Choose = Callable[[str], Streamer]


@pytest.fixture(scope="session")
def streamer(nemo_file: ByKind, built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Choose:
    """Return a function from a name in CHOICES to that way of streaming, exported once."""

    @functools.cache
    def of_choice(name: str) -> Streamer:
        kind, choice = CHOICES[name]
        checkpoint, offline = Checkpoint(built(kind) / "checkpoint"), built(kind) / "onnx/encoder.raw.onnx"
        online, streaming = tmp_path_factory.mktemp("onnx") / "encoder_streaming.raw.onnx", plan(checkpoint, **choice)
        assert isinstance(streaming, CacheAwareStreaming)
        export_graph("encoder_streaming", checkpoint, online, opset=17, streaming=streaming, weights_of=offline)
        return Streamer(Path(kind) if kind.endswith(".nemo") else nemo_file(kind), offline, online, streaming)

    return of_choice


def features_of(streaming: CacheAwareStreaming, windows: int, seed: int, cut: int = 0) -> Floats:
    """Return random features [F,frames] that fill so many windows, but for `cut` encoder frames at the end."""
    frames = (windows - 1) * streaming.shift_frames + streaming.window_frames - streaming.padding_frames
    shape = (80, frames - cut * streaming.subsampling_factor)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def nemo_steps(encoder_of: Any, streaming: CacheAwareStreaming, features: Floats) -> Iterator[Arrays]:
    """Stream features through a NeMo model as NeMo's own streaming script does."""
    from nemo.collections.asr.parts.utils.streaming_utils import CacheAwareStreamingAudioBuffer

    encoder = encoder_of.encoder
    encoder.set_default_att_context_size(streaming.att_context_size)
    if encoder.att_context_style == "regular":
        encoder.setup_streaming_params(streaming.chunk_size, streaming.shift_size, left_chunks=1)
    encoder.streaming_cfg.last_channel_cache_size = streaming.cache_size
    buffer = CacheAwareStreamingAudioBuffer(encoder_of)
    # As in a batch with a longer stream: the last chunks are padded, and sentence their length.
    padded = np.pad(features, ((0, 0), (0, streaming.window_frames)))
    buffer.append_processed_signal(torch.from_numpy(padded)[None])
    buffer.streams_length = torch.tensor([features.shape[1]])
    caches = encoder.get_initial_cache_state(1)
    for step, (chunk, length) in enumerate(buffer):
        if step and length <= encoder.streaming_cfg.pre_encode_cache_size[1]:
            return
        with torch.inference_mode():
            encoded, lengths, *caches = encoder.cache_aware_stream_step(
                chunk,
                length,
                *caches,
                keep_all_outputs=buffer.is_buffer_empty(),
                drop_extra_pre_encoded=0 if step == 0 else encoder.streaming_cfg.drop_extra_pre_encoded,
            )
        tensors = zip(GRAPHS["encoder_streaming"].outputs, (encoded, lengths, *caches), strict=True)
        yield {name: tensor.numpy() for name, tensor in tensors}


def row_of(arrays: Arrays, row: int) -> Arrays:
    """Return one row of a batch; caches are layer-first."""
    return {
        name: array[:, row : row + 1] if array.ndim == 4 else array[row : row + 1] for name, array in arrays.items()
    }


def largest_error(expected: Arrays, found: Arrays) -> float:
    assert expected.keys() <= found.keys()
    return max(float(np.abs(array - found[name]).max(initial=0)) for name, array in expected.items())


@functools.cache
def restored(nemo: Path) -> Any:
    from nemo.collections.asr.models import EncDecRNNTBPEModel

    return EncDecRNNTBPEModel.restore_from(str(nemo), map_location="cpu").eval()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("choice", CHOICES)
def test_equals_nemos_streaming(streamer: Choose, choice: str, batch: int) -> None:
    built, schedule = streamer(choice), STREAMS[:batch]
    model, streaming, step = restored(built.nemo), built.streaming, session_runner(open_session(built.online))
    streams = []
    for row, (_, count) in enumerate(schedule):
        features = features_of(streaming, count, seed=row, cut=min(row, streaming.chunk_size - 1))
        streams.append((list(streaming.windows(features)), list(nemo_steps(model, streaming, features))))
    assert [len(windows) for windows, _ in streams] == [len(expected) for _, expected in streams]
    last = max(begin + len(windows) for (begin, _), (windows, _) in zip(schedule, streams, strict=True))
    caches, worst, compared = streaming.initial_state(batch), 0.0, 0
    for now in range(last):
        signal = np.full((batch, 80, streaming.window_frames), 1e3, np.float32)
        length = np.zeros(batch, np.int64)
        for row, ((begin, _), (windows, _)) in enumerate(zip(schedule, streams, strict=True)):
            if begin <= now < begin + len(windows):
                signal[row], length[row] = windows[now - begin]
        found = step({"audio_signal": signal, "length": length, **caches})
        before, caches = caches, {name: found[f"{name}_out"] for name in caches}
        assert all(np.isfinite(array).all() for array in found.values())
        for row, ((begin, _), (_, expected)) in enumerate(zip(schedule, streams, strict=True)):
            mine = row_of(found, row)
            if not length[row]:
                assert found["encoded_lengths"][row] == 0
                assert largest_error(row_of(before, row), row_of(caches, row)) == 0
                continue
            theirs = dict(expected[now - begin])
            valid = int(theirs.pop("encoded_lengths")[0])
            assert found["encoded_lengths"][row] == valid
            for arrays in (mine, theirs):
                arrays["encoder_output"] = arrays["encoder_output"][:, :, :valid]
            worst, compared = max(worst, largest_error(theirs, mine)), compared + 1
    assert compared >= sum(count for _, count in schedule)
    assert worst <= 1e-4


def stream(facts: dict[str, Any], session: InferenceSession, features: Floats) -> Floats:
    """Stream features [F,frames] by what model_meta.json says alone; return all encoder frames [D,T_enc]."""
    size, before = facts["window_frames"], facts["initial_padding_frames"]
    padded = np.pad(features, ((0, 0), (before, size)))
    types = {"float": np.float32, "int64": np.int64}
    state = {
        name: np.full([1 if axis == "B" else axis for axis in cache["shape"]], cache["value"], types[cache["dtype"]])
        for name, cache in facts["initial_state"].items()
    }
    encoded = []
    start, left = 0, features.shape[1] + before
    while left > facts["pre_encode_cache_frames"]:
        window = padded[None, :, start : start + size]
        inputs = {"audio_signal": window, "length": np.array([min(left, size)])} | state
        outputs = dict(zip([value.name for value in session.get_outputs()], session.run(None, inputs), strict=True))
        encoded.append(outputs["encoder_output"][0, :, : outputs["encoded_lengths"][0]])
        state = {name: outputs[f"{name}_out"] for name in state}
        start, left = start + facts["shift_frames"], left - facts["shift_frames"]
    return np.concatenate(encoded, axis=1)


@pytest.mark.parametrize(
    ("choice", "frames"), [*(("cache-aware", frames) for frames in (1, 25, 26, 100, 777)), ("demo", 777)]
)
def test_cache_aware_equals_offline(streamer: Choose, choice: str, frames: int) -> None:
    model = streamer(choice)
    found, expected = streamed_and_offline(model, frames)
    assert not model.facts["approximate"]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4


def test_full_context_within_one_chunk_equals_offline(streamer: Choose) -> None:
    model = streamer("full context")
    found, expected = streamed_and_offline(model, model.streaming.window_frames - model.streaming.padding_frames)
    assert model.facts["approximate"]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4


def streamed_and_offline(model: Streamer, frames: int) -> tuple[Floats, Floats]:
    """Return the encoder frames [D,T_enc] of random features by both encoders."""
    features = np.random.default_rng(frames).standard_normal((80, frames), dtype=np.float32)
    offline = session_runner(open_session(model.offline))
    expected = offline({"audio_signal": features[None], "length": np.array([frames])})
    encoded = expected["encoder_output"][0, :, : expected["encoded_lengths"][0]]
    return stream(model.facts, open_session(model.online), features), encoded


def test_one_weight_file(streamer: Choose, built: ByKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, streaming = Checkpoint(built("cache-aware-rnnt") / "checkpoint"), streamer("cache-aware").streaming
    monkeypatch.setattr(onnx_weights, "SIDECAR_ABOVE", 1 << 16)
    offline, online = tmp_path / "encoder.raw.onnx", tmp_path / "encoder_streaming.raw.onnx"
    export_graph("encoder", checkpoint, offline, opset=17)
    export_graph("encoder_streaming", checkpoint, online, opset=17, streaming=streaming, weights_of=offline)
    final, sidecar = tmp_path / "encoder_streaming.onnx", tmp_path / "encoder.onnx.data"
    assert run_worker("export/simplify", "--graph", "encoder_streaming", "--input", online, "--output", final) == 0
    assert list(tmp_path.glob("*.data")) == [sidecar]
    for graph in (offline, online, final):
        assert external_files(load_graph(graph)) == {sidecar.name}
    [(window, length)] = streaming.windows(features_of(streaming, 1, seed=1))
    inputs = {"audio_signal": window[None], "length": np.array([length])} | streaming.initial_state(1)
    inline, shared = (session_runner(open_session(path)) for path in (streamer("cache-aware").online, final))
    assert largest_error(inline(inputs), shared(inputs)) <= 1e-5

    (np.fromfile(sidecar, np.float32) * 2).tofile(sidecar)
    with pytest.raises(InputError, match=r"its weight \S+ differs from the checkpoint's") as raised:
        export_graph("encoder_streaming", checkpoint, online, opset=17, streaming=streaming, weights_of=offline)
    assert_one_sentence(str(raised.value))


def assert_one_sentence(message: str) -> None:
    assert re.fullmatch(r"[^\n]*[a-z0-9]\.", message), message


@pytest.mark.parametrize(
    ("kind", "choice", "message"),
    [
        ("cache-aware-rnnt", {"lookahead": 5}, "set STREAMING_LOOKAHEAD to one of its own: 3, 1, 0"),
        ("cache-aware-rnnt", {"chunk_size": 8}, "choose STREAMING_LOOKAHEAD"),
        ("cache-aware-rnnt", {"cache_size": -1}, "STREAMING_CACHE_SIZE=-1 is negative"),
        ("bpe-tdt", {"lookahead": 3}, "choose STREAMING_CHUNK"),
        ("bpe-tdt", {"chunk_size": 0}, "STREAMING_CHUNK=0 is shorter than the subsampling allows"),
        ("bpe-tdt", {"chunk_size": 4, "cache_drop_size": 4}, "STREAMING_CACHE_DROP_SIZE=4 leaves nothing new"),
    ],
)
def test_refuses(built: ByKind, kind: str, choice: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        plan(Checkpoint(built(kind) / "checkpoint"), **choice)
    assert_one_sentence(str(raised.value))


@pytest.mark.parametrize(
    ("kind", "choice", "size", "message"),
    [
        ("cache-aware-rnnt", {"cache_size": 0}, 4, "STREAMING_CACHE_SIZE=0 would leave nothing"),
        ("cache-aware-rnnt", {"cache_size": 256}, 28, "is more than the 28 encoder frames that the model looks back"),
        ("cache-aware-rnnt", {"cache_size": 13}, 12, "is not a multiple of the chunk of 4 encoder frames"),
        ("cache-aware-rnnt", {"cache_size": 28}, 28, None),
        ("cache-aware-rnnt", {}, 28, None),
        ("bpe-tdt", {}, 256, "its output approximates the offline one"),
    ],
)
def test_warns(
    built: ByKind,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    choice: dict[str, int],
    size: int,
    message: str | None,
) -> None:
    checkpoint = Checkpoint(built(kind) / "checkpoint")
    # Building may import NeMo, which logs things of its own.
    caplog.clear()
    caplog.set_level(logging.WARNING, "transducer")
    assert plan(checkpoint, **choice).facts()["cache_size"] == size
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (message is not None)
    for warning in warnings:
        assert message is not None
        assert message in warning
        assert_one_sentence(warning)


def test_make_describes_the_stream(nemo_file: ByKind, tmp_path: Path) -> None:
    choice = (f"MODEL={nemo_file('cache-aware-rnnt')}", f"OUT={tmp_path}", "STREAMING=1")
    check = tmp_path / "checks/encoder_streaming.onnx.check.json"
    done = make(*choice, "STREAMING_LOOKAHEAD=1", "meta", check)
    assert done.returncode == 0, done.stderr
    assert json.loads(check.read_text())["figures"]["max_abs"] <= 1e-4
    facts = json.loads((tmp_path / "meta/model_meta.json").read_text())["streaming"]
    assert facts == json.loads(metadata(load_graph(tmp_path / "onnx/encoder_streaming.onnx"))["streaming"])
    assert (facts["lookahead_ms"], facts["shift_ms"], facts["att_context_size"]) == (80, 160, [28, 1])

    done = make(*choice, "STREAMING_LOOKAHEAD=7", "encoder_streaming.onnx")
    assert done.returncode == 2
    assert "error: cache-aware-rnnt.nemo was not trained with a look-ahead of 7 encoder frames" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_parakeet_shares_its_weights(nemo_file: ByKind, tmp_path: Path) -> None:
    model = nemo_file("parakeet-tdt-0.6b-v3")
    check = tmp_path / "checks/encoder_streaming.onnx.check.json"
    # Checked by the relative error instead, as large activations ask for.
    choice = ("STREAMING_CHUNK=25", "STREAMING_CACHE_DROP_SIZE=12", "PARITY_MAX_ABS=1")
    done = make(f"MODEL={model}", f"OUT={tmp_path}", *choice, "encoder.onnx", "encoder_streaming.onnx", check)
    assert done.returncode == 0, done.stderr
    assert f"{model.name} was trained on whole utterances" in done.stderr
    assert json.loads(check.read_text())["figures"]["max_relative"] <= 1e-3
    weights = Checkpoint(tmp_path / "checkpoint").weights
    size = sum(tensor.nbytes for name, tensor in weights.items() if name.startswith("encoder."))
    sidecar = tmp_path / "onnx/encoder.onnx.data"
    assert list((tmp_path / "onnx").glob("*.data")) == [sidecar]
    files = (sidecar, tmp_path / "onnx/encoder.onnx", tmp_path / "onnx/encoder_streaming.onnx")
    assert sum(path.stat().st_size for path in files) <= 1.05 * size
