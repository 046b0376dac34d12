"""frontend.onnx equals NeMo's preprocessor on speech, noise and silence, from 10 ms to 10 minutes."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import torch
from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor
from nemo.collections.asr.parts.preprocessing.features import normalize_batch
from numpy.typing import NDArray

import checkpoint.unpack as unpack_checkpoint
import checkpoints
from conftest import measured
from export.simplify import simplified
from transducer.checkpoint.archive import unpack_nemo
from transducer.checkpoint.checkpoint import CONFIG, WEIGHTS, Checkpoint
from transducer.checkpoint.config import read_config
from transducer.core.cli import InputError, write_json
from transducer.core.onnx_files import interface, load_graph, save_graph
from transducer.export.frontend import Frontend
from transducer.export.modules import load_module
from transducer.export.trace import export_graph
from transducer.pte.frontend import LoweredFrontend
from transducer.runtime.sessions import open_session, session_runner

Floats = NDArray[np.float32]
Features = tuple[NDArray[Any], NDArray[Any]]
Extractor = Callable[[Floats, list[int]], Features]

VALIDATION = Path(__file__).parents[2] / "models/validation"
RATE = 16000
BOUND = 5e-4
FILTERBANK = "preprocessor.featurizer.fb"
# What TensorRT and mobile runtimes have kernels for; no DFT, STFT, If, Loop or Scan.
OPERATORS = {
    "Add", "AveragePool", "Cast", "Clip", "Concat", "Constant", "Conv", "Div", "Gather", "GreaterOrEqual", "Log",
    "MatMul", "Mul", "Pad", "Range", "ReduceSum", "Reshape", "Shape", "Slice", "Sqrt", "Sub", "Unsqueeze", "Where",
}  # fmt: skip
# Number of features and normalisation, as the checkpoints of these kinds have them.
KINDS = {
    "80-per_feature": "bpe-tdt",
    "128-per_feature": "bpe-tdt",
    "80-NA": "cache-aware-rnnt",
    "128-NA": "cache-aware-rnnt",
}


class Built:
    """A checkpoint, its frontend.onnx, and NeMo's preprocessor with the same weights."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = Checkpoint(folder / "checkpoint")
        self.path = folder / "frontend.onnx"
        raw = folder / "frontend.raw.onnx"
        export_graph("frontend", self.checkpoint, raw, opset=17)
        save_graph(simplified(load_graph(raw)), self.path)
        self.runner = session_runner(open_session(self.path))
        self.preprocessor = self.checkpoint.build("preprocessor")

    def onnx(self, waveform: Floats, lengths: list[int]) -> Features:
        found = self.runner({"waveform": waveform, "length": np.array(lengths)})
        return found["audio_signal"], found["length_out"]

    def nemo(self, waveform: Floats, lengths: list[int]) -> Features:
        return run_nemo(self.preprocessor, waveform, lengths)


def run_nemo(preprocessor: Any, waveform: Floats, lengths: list[int]) -> Features:
    signal, frames = preprocessor(input_signal=torch.from_numpy(waveform), length=torch.tensor(lengths))
    return signal.numpy(), frames.numpy()


def unpack(model: Path, folder: Path) -> Path:
    """Unpack a .nemo file as the worker does, and return the folder."""
    folder.mkdir(parents=True)
    unpack_nemo(model, folder)
    checkpoint_config = read_config(folder / CONFIG, model.name)
    write_json(folder / "manifest.json", unpack_checkpoint.manifest_of(folder, model.name, checkpoint_config, "0" * 64))
    return folder


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    made: dict[str, Built] = {}

    def build_once(name: str) -> Built:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            model = checkpoints.save(KINDS[name], folder / "model.nemo", feat_in=int(name.partition("-")[0]))
            unpack(model, folder / "checkpoint")
            made[name] = Built(folder)
        return made[name]

    return build_once


@pytest.fixture(params=list(KINDS))
def built(request: pytest.FixtureRequest, build: Callable[[str], Built]) -> Built:
    return build(request.param)


def clips(count: int) -> list[Floats]:
    """Return clips from all over the validation set."""
    lines = (VALIDATION / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    paths = [json.loads(line)["audio_filepath"] for line in lines[:: len(lines) // count]]
    return [soundfile.read(VALIDATION / path, dtype="float32")[0] for path in paths[:count]]


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Floats:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE), dtype=np.float32)
    return samples * np.float32(level)


def difference(first: Extractor, second: Extractor, waveform: Floats, lengths: list[int] | None = None) -> float:
    """Return the largest difference of two frontends' features, whose frame counts have to be equal."""
    batch = np.atleast_2d(waveform)
    lengths = lengths or [batch.shape[1]] * len(batch)
    (expected, expected_frames), (found, frames) = first(batch, lengths), second(batch, lengths)
    assert frames.tolist() == expected_frames.tolist()
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max(initial=0.0))


def in_float64(built: Built, waveform: Floats) -> NDArray[np.float64]:
    """Return the log-mel features of one waveform [F,frames], not normalised, by NumPy's float64 FFT.

    Pre-emphasis is NeMo's, in float32.
    """
    featurizer = built.preprocessor.featurizer
    emphasised = waveform - np.float32(0.97) * np.concatenate([np.zeros(1, np.float32), waveform[:-1]])
    padded = np.pad(emphasised.astype(np.float64), 256)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[:: RATE // 100][: len(waveform) // 160]
    spectrum = np.fft.rfft(frames * np.pad(featurizer.window.double().numpy(), 56), axis=1)
    return np.log(featurizer.fb[0].double().numpy() @ (np.abs(spectrum) ** 2).T + 2.0**-24)


def test_contract_and_operators(built: Built) -> None:
    model = onnx.load(built.path)
    onnx.checker.check_model(model, full_check=True)
    features = built.preprocessor.featurizer.nfilt
    assert interface(model) == {
        "inputs": [
            {"name": "waveform", "dtype": "float", "shape": ["B", "samples"]},
            {"name": "length", "dtype": "int64", "shape": ["B"]},
        ],
        "outputs": [
            {"name": "audio_signal", "dtype": "float", "shape": ["B", features, "T"]},
            {"name": "length_out", "dtype": "int64", "shape": ["B"]},
        ],
    }
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    assert {node.domain for node in model.graph.node} == {""}


def test_speech_equals_nemo(built: Built) -> None:
    recordings = clips(8)
    recordings += [np.concatenate(recordings)[: 30 * RATE], recordings[0][:1600]]
    assert max(difference(built.nemo, built.onnx, recording) for recording in recordings) <= BOUND


@pytest.mark.parametrize("seconds", [0.1, 1.0, 7.3, 30.0])
def test_noise_equals_nemo(built: Built, seconds: float) -> None:
    assert difference(built.nemo, built.onnx, noise(seconds)) <= BOUND


@pytest.mark.parametrize("level", [1.0, 1e-2, 1e-3])
def test_loud_and_faint_noise_equals_nemo(build: Callable[[str], Built], level: float) -> None:
    built = build("80-per_feature")
    assert difference(built.nemo, built.onnx, noise(3.0, level)) <= BOUND


@pytest.mark.parametrize(("level", "bound"), [(0, BOUND), (-20, BOUND), (-40, BOUND), (-60, 2.5e-2)])
def test_speech_equals_nemo_down_to_a_level(build: Callable[[str], Built], level: int, bound: float) -> None:
    """Peaks of `level` dB of full scale; fainter speech is normalised by what is mostly rounding, ours and NeMo's,
    most of all in the empty bands of a telephone."""
    built = build("80-per_feature")
    for clip in clips(6):
        faint = clip * np.float32(10 ** (level / 20) / np.abs(clip).max())
        assert difference(built.nemo, built.onnx, faint) <= bound
        if level == -60:
            exact = in_float64(built, faint)
            exact = (exact - exact.mean(1, keepdims=True)) / (exact.std(1, ddof=1, keepdims=True) + 1e-5)
            found, nemos = (
                np.abs(extract(faint[None], [len(faint)])[0][0, :, : exact.shape[1]] - exact).max()
                for extract in (built.onnx, built.nemo)
            )
            assert found <= max(nemos, BOUND), "float64 is nearer to the graph"


def test_rounding_is_no_more_than_nemos(build: Callable[[str], Built]) -> None:
    """Over all recordings, as which of two fp32 sums is closer in a single one depends on the processor."""
    built = build("128-NA")
    errors: dict[str, list[NDArray[Any]]] = {"onnx": [], "nemo": []}
    for recording in (*clips(4), noise(30.0, level=1.0)):
        exact = in_float64(built, recording)
        for name, found in errors.items():
            features, _ = getattr(built, name)(recording[None], [len(recording)])
            found.append((features[0, :, : exact.shape[1]] - exact).ravel())
    ours, nemos = (np.concatenate(found) for found in errors.values())
    assert np.abs(ours).max() <= np.abs(nemos).max()
    assert np.sqrt(np.mean(ours**2)) <= np.sqrt(np.mean(nemos**2))


def test_silence(built: Built) -> None:
    silence = np.zeros((1, RATE), np.float32)
    found, _ = built.onnx(silence, [RATE])
    if built.preprocessor.featurizer.normalize == "NA":
        assert difference(built.nemo, built.onnx, silence) <= BOUND
        return
    # NeMo divides the float32 rounding of its mean by 1e-5 here; in float64 its normalisation gives zeros.
    constant = torch.full(found.shape, 2.0**-24, dtype=torch.float64).log()
    expected, _, _ = normalize_batch(constant, torch.tensor([found.shape[2] - 1]), "per_feature")
    assert np.abs(found - expected.numpy()).max() <= BOUND


def test_speech_between_digital_silence_equals_nemo(built: Built) -> None:
    speech = clips(1)[0]
    hush = np.zeros(RATE, np.float32)
    assert difference(built.nemo, built.onnx, np.concatenate([hush, speech, hush, speech])) <= BOUND


def test_one_frame_or_none_equals_nemo(built: Built) -> None:
    waveform = noise(0.05)
    for samples in (1, 100, 159, 160, 161, 319, 320, 480):
        assert difference(built.nemo, built.onnx, waveform[:samples]) <= BOUND
    assert difference(built.nemo, built.onnx, waveform[:320], [0]) <= BOUND


def test_unequal_lengths_in_a_batch(built: Built) -> None:
    recordings = [noise(3.0, seed=1), clips(1)[0][:40000], noise(0.1, seed=2), noise(0.005, seed=3)]
    lengths = [len(recording) for recording in recordings]
    # What lies beyond a row's length must not be heard.
    batch = noise(3.0 * len(recordings), level=10.0).reshape(len(recordings), -1)
    for row, recording in zip(batch, recordings, strict=True):
        row[: len(recording)] = recording
    assert difference(built.nemo, built.onnx, batch, lengths) <= BOUND
    features, frames = built.onnx(batch, lengths)
    for number, recording in enumerate(recordings):
        single, count = built.onnx(recording[None], [len(recording)])
        assert count[0] == frames[number]
        np.testing.assert_allclose(features[number, :, : count[0]], single[0, :, : count[0]], rtol=0, atol=1e-5)
        assert not features[number, :, count[0] :].any()


@pytest.mark.slow
def test_ten_minutes_equal_nemo(built: Built) -> None:
    speech = np.concatenate(clips(240))
    speech = np.tile(speech, 2)[: 600 * RATE]
    assert len(speech) == 600 * RATE
    assert difference(built.nemo, built.onnx, speech) <= BOUND
    assert difference(built.nemo, built.onnx, noise(600.0)) <= BOUND


TEN_MINUTES_ALONE = """
import sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
waveform = numpy.full((1, 9_600_000), 0.1, numpy.float32)
session.run(None, {"waveform": waveform, "length": numpy.array([waveform.size])})
"""


@pytest.mark.slow
def test_ten_minutes_take_little_memory(build: Callable[[str], Built]) -> None:
    _, peak = measured([sys.executable, "-c", TEN_MINUTES_ALONE, build("128-per_feature").path])
    assert peak < 0.72


SETTINGS: list[dict[str, Any]] = [
    {"pad_to": 16, "pad_value": -3.0},
    {"pad_to": 16, "normalize": "NA"},
    {"preemph": None},
    {"log": False, "normalize": None},
    {"log_zero_guard_type": "clamp", "log_zero_guard_value": "eps"},
    {"window": "hamming", "window_size": 0.02, "window_stride": 0.0125},
    {"window": "blackman", "n_fft": 1024, "window_size": 401 / RATE},
    {"sample_rate": 8000, "n_fft": None, "highfreq": 3800, "lowfreq": 100},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings))
def test_settings_equal_nemo(settings: dict[str, Any]) -> None:
    common = {"features": 80, "n_fft": 512, "window_size": 0.025, "pad_to": 0}
    preprocessor = AudioToMelSpectrogramPreprocessor(**{**common, **settings}).eval()
    frontend: torch.nn.Module = Frontend(preprocessor).eval()

    def ours(waveform: Floats, lengths: list[int]) -> Features:
        signal, frames = frontend(torch.from_numpy(waveform), torch.tensor(lengths))
        return signal.numpy(), frames.numpy()

    def nemos(waveform: Floats, lengths: list[int]) -> Features:
        return run_nemo(preprocessor, waveform, lengths)

    batch = noise(4.2).reshape(2, -1)
    lengths = [batch.shape[1], 20000]
    # Without the logarithm a value is as large as the energy, and so is its rounding.
    largest = float(np.abs(nemos(batch, lengths)[0]).max()) if settings.get("log") is False else 1.0
    assert difference(nemos, ours, batch, lengths) <= BOUND * max(largest, 1.0)
    # What ExecuTorch computes is written again, for one utterance at a time.
    frontend = lowered = LoweredFrontend(preprocessor, "").eval()
    for samples in (lowered.window, 20000, batch.shape[1]):
        assert difference(nemos, ours, batch[:1, :samples]) <= BOUND * max(largest, 1.0)


def test_weights_are_the_checkpoints_own(build: Callable[[str], Built], tmp_path: Path) -> None:
    original = build("80-NA")

    def features(name: str, weights: dict[str, Any]) -> NDArray[Any]:
        folder = tmp_path / name / "checkpoint"
        shutil.copytree(original.checkpoint.folder, folder)
        torch.save(weights, folder / WEIGHTS)
        changed = Built(tmp_path / name)
        assert difference(changed.nemo, changed.onnx, noise(1.0)) <= BOUND
        return changed.onnx(noise(1.0)[None], [RATE])[0][:, :, :-1]

    weights = torch.load(original.checkpoint.folder / WEIGHTS, weights_only=True)
    plain = original.onnx(noise(1.0)[None], [RATE])[0][:, :, :-1]
    louder = features("louder", weights | {FILTERBANK: weights[FILTERBANK] * 2.0})
    assert np.median(louder - plain) == pytest.approx(np.log(2.0), abs=1e-3)
    # NeMo computes what a checkpoint leaves out.
    without = {name: weight for name, weight in weights.items() if not name.startswith("preprocessor.")}
    np.testing.assert_array_equal(features("without", without), plain)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("exact_pad", True),
        ("mag_power", 1.0),
        ("frame_splicing", 3),
        ("normalize", "all_features"),
        ("_target_", "nemo.collections.asr.modules.AudioToMFCCPreprocessor"),
    ],
)
def test_unsupported_settings_are_refused(build: Callable[[str], Built], setting: str, value: Any) -> None:
    checkpoint = Checkpoint(build("80-NA").checkpoint.folder)
    checkpoint.config["preprocessor"][setting] = value
    with pytest.raises(InputError) as refusal:
        load_module("frontend", checkpoint)
    sentence = str(refusal.value)
    assert sentence.startswith("model.nemo: ") and sentence.endswith(".") and "\n" not in sentence
    assert str(value).rpartition(".")[2] in sentence
