"""ExecuTorch files in ExecuTorch's runtime: numbers beside PyTorch, what is delegated, and what is refused."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx import GraphModule
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, Quantizer

from conftest import DEMO, ByKind, lowering_worker, run_worker
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError
from transducer.core.contracts import example
from transducer.decoding.greedy import Decoder, StepDecoder
from transducer.export.modules import load_module
from transducer.pte.delegation import delegated
from transducer.pte.forms import FORMS, INT8
from transducer.pte.lowering import XNNPACK, lower, quantize, write_pte
from transducer.pte.parts import Part, load_part
from transducer.pte.quantization import Utterance, linear_layers, quantizer_of
from transducer.pte.sensitivity import Sensitivity, errors_alone, smallest
from transducer.runtime.pte import open_pte
from transducer.runtime.sessions import open_session

KIND = "bpe-tdt"
MAX_FRAMES = 600
Lowered = Callable[..., Path]


@pytest.fixture(scope="module")
def lowered(built: ByKind) -> Lowered:
    """Return a function from a form of the encoder (or `step`, or `frontend`) to its file, made once."""

    def of_form(form: str, kind: str = KIND) -> Path:
        out = built(kind)
        graph = {"step": "rnnt_step", "frontend": "frontend"}.get(form, f"encoder.{form}")
        path = out / f"pte/{graph}.pte"
        if not path.exists():
            options = ["--checkpoint", out / "checkpoint", "--max-frames", MAX_FRAMES, "--output", path]
            if form in ("step", "frontend"):
                assert run_worker("pte/lower", "--graph", graph, *options) == 0
            else:
                noise = ["--synthetic-calibration", "--batches", 2, "--batch-size", 2]
                assert run_worker(*lowering_worker(form), *options, *(noise if form in ("int8", "ultra") else [])) == 0
        return path

    return of_form


def manifest_of(path: Path) -> Any:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("form", ["fp32", "xnnpack"])
def test_fp32_forms_equal_pytorch_at_any_length(form: str, built: ByKind, lowered: Lowered) -> None:
    session = open_pte(lowered(form))
    encoder = load_module("encoder", Checkpoint(built(KIND) / "checkpoint"))
    dims = session.facts["dims"]
    for frames in (9, 16, 17, 101, 250, MAX_FRAMES):
        inputs = example("encoder", dims | {"B": 1, "T": frames}, seed=frames)
        found, lengths = session.run(None, inputs)
        with torch.inference_mode():
            expected, expected_lengths = encoder(*(torch.from_numpy(array) for array in inputs.values()))
        assert found.shape == tuple(expected.shape)
        assert np.abs(found - expected.numpy()).max() < 1e-4
        assert lengths.tolist() == expected_lengths.tolist()
        assert lengths.dtype == np.int64


def test_only_the_delegated_form_is_delegated(lowered: Lowered) -> None:
    plain, fast = manifest_of(lowered("fp32")), manifest_of(lowered("xnnpack"))
    assert plain["sha256"] != fast["sha256"]
    assert plain["delegation"]["flops"]["share"] == 0
    assert plain["delegation"]["nodes"]["delegated"] == 0
    assert fast["delegation"]["flops"]["share"] > 0.9
    # The same arithmetic, wherever it is done.
    totals = [sum(found["delegation"]["flops"][part] for part in ("delegated", "others")) for found in (plain, fast)]
    assert totals[0] == totals[1] > 0


def test_a_padded_batch_is_each_utterance_alone(lowered: Lowered) -> None:
    session = open_pte(lowered("xnnpack"))
    inputs = example("encoder", session.facts["dims"] | {"B": 3, "T": 120})
    together, lengths = session.run(None, inputs)
    for row, frames in enumerate(inputs["length"].tolist()):
        alone, length = session.run(
            None, {"audio_signal": inputs["audio_signal"][row : row + 1, :, :frames], "length": np.array([frames])}
        )
        assert np.array_equal(together[row, :, : lengths[row]], alone[0])
        assert length[0] == lengths[row]


def test_quantized_nodes_and_weights_are_counted_right(built: ByKind, lowered: Lowered) -> None:
    manifest = manifest_of(lowered("int8"))
    checkpoint = Checkpoint(built(KIND) / "checkpoint")
    layers, width = checkpoint.config["encoder"]["n_layers"], checkpoint.config["encoder"]["d_model"]
    # Of each layer: four in feed-forward blocks (two gates of the convolution, its last), query, key, value, position,
    # out; and the one that ends subsampling.
    linear = 4 + 3 + 5
    kernels = layers * (4 * 4 * width**2 + 3 * width**2 + 5 * width**2)
    subsampled = checkpoint.weights["encoder.pre_encode.out.weight"].numel()
    assert manifest["weights"]["int8"]["values"] == kernels + subsampled
    assert manifest["weights"]["int8"]["tensors"] == layers * linear + 1
    delegation = manifest["delegation"]
    per_channel = sum(map(sum, (v for k, v in delegation["operators"].items() if "dequantize_per_channel" in k)))
    assert per_channel == layers * linear + 1
    counted = {
        kind: sum(map(sum, (v for k, v in delegation["operators"].items() if f"_{kind}_per" in k)))
        for kind in ("quantize", "dequantize")
    }
    assert counted == {kind: delegation[kind] for kind in ("quantize", "dequantize")}
    assert delegation["dequantize"] > delegation["quantize"] > layers * linear


@pytest.mark.parametrize("form", ["int8", "ultra"])
def test_quantized_forms_are_small_delegated_and_near(
    form: str, built: ByKind, lowered: Lowered, tmp_path: Path
) -> None:
    path, check = lowered(form), tmp_path / "check.json"
    arguments = ("--pte", path, "--checkpoint", built(KIND) / "checkpoint", "--output", check, "--min-delegated", 0.9)
    assert run_worker("pte/check", *arguments, "--max-relative-rms", 0.15, "--base", lowered("fp32")) == 0
    report = json.loads(check.read_text(encoding="utf-8"))
    assert report["figures"]["delegated_share"] > report["bounds"]["delegated_share"] == 0.9
    assert 0 < report["facts"]["deflated_bytes"] < report["facts"]["bytes"] == path.stat().st_size
    assert 0 < report["figures"]["relative_rms"] < report["bounds"]["relative_rms"] == 0.15
    assert run_worker("pte/check", *arguments, "--max-relative-rms", 1e-5) == 1


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run tiny layers on one thread: on a busy machine two wait for each other a hundred times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def utterances_of(part: Part) -> list[Utterance]:
    random = torch.Generator().manual_seed(1)
    return [
        (torch.randn(1, part.facts["dims"]["F"], frames, generator=random), torch.tensor([frames]))
        for frames in (100, 160, 220)
    ]


@pytest.mark.usefixtures("one_thread")
def test_every_form_of_a_layer_is_delegated_and_as_wrong_as_expected(built: ByKind, tmp_path: Path) -> None:
    part, path = load_part("encoder", Checkpoint(built(KIND) / "checkpoint"), MAX_FRAMES), tmp_path / "encoder.int.pte"
    layers, utterances = linear_layers(part.module), utterances_of(part)
    plan = dict(zip(layers, itertools.cycle(FORMS), strict=False))
    sensitivity = Sensitivity(part.module, layers, utterances)
    program = quantize(part, quantizer_of(plan), utterances)
    write_pte(lower(program, part, XNNPACK), part, {"method": "every form"}, path)
    session = open_pte(path)
    wrong = power = 0.0
    for utterance, expected in zip(utterances, sensitivity.expected, strict=True):
        names = (value.name for value in session.get_inputs())
        found, _ = session.run(None, dict(zip(names, (tensor.numpy() for tensor in utterance), strict=True)))
        wrong += float((torch.from_numpy(found) - expected).square().sum())
        power += float(expected.square().sum())
    assert (wrong / power) ** 0.5 == pytest.approx(sensitivity.error(plan), rel=0.2)
    manifest = manifest_of(path)
    assert manifest["delegation"]["flops"]["share"] == 1
    for bits in (4, 8):
        chosen = [layers[name].weight.numel() for name, form in plan.items() if FORMS[form].bits == bits]
        kept = manifest["weights"][f"int{bits}"]
        assert (kept["tensors"], kept["values"], kept["bytes"]) == (len(chosen), sum(chosen), sum(chosen) * bits // 8)


@pytest.mark.usefixtures("one_thread")
def test_the_smallest_plan_within_a_bound_is_chosen(built: ByKind) -> None:
    part = load_part("encoder", Checkpoint(built(KIND) / "checkpoint"), MAX_FRAMES)
    layers = linear_layers(part.module)
    sensitivity = Sensitivity(part.module, layers, utterances_of(part)[:1])

    def size(plan: dict[str, str]) -> int:
        return sum(FORMS[form].bytes(layers[name]) for name, form in plan.items())

    least = sum(min(FORMS[form].bytes(layer) for form in FORMS) for layer in layers.values())
    most = size(dict.fromkeys(layers, INT8))
    errors = errors_alone(sensitivity, list(layers))
    found = [smallest(sensitivity, errors, bound) for bound in (1.0, 0.02, 0.0)]
    assert size(found[0][0]) == least
    assert least < size(found[1][0]) < most == size(found[2][0])
    assert found[0][1] > 0.02 >= found[1][1] > found[2][1] > 0
    assert found[1][1] == sensitivity.error(found[1][0])


class WeightsOnly(Quantizer):
    """Eight bits for the weights of linear layers, nothing for what they are multiplied with."""

    def annotate(self, model: GraphModule) -> GraphModule:
        for node in model.graph.nodes:
            if node.target == torch.ops.aten.linear.default:
                weights = {node.args[1]: FORMS[INT8].settings().weight}
                node.meta["quantization_annotation"] = QuantizationAnnotation(weights, _annotated=True)
        return model

    def validate(self, model: GraphModule) -> None:
        pass


def test_weights_alone_cannot_be_delegated(built: ByKind) -> None:
    """Why weight-only forms are not among those to choose from."""
    part = load_part("rnnt_step", Checkpoint(built(KIND) / "checkpoint"))
    program = quantize(part, WeightsOnly(), [part.inputs])
    found = delegated(lower(program, part, XNNPACK).exported_program())
    assert found["flops"]["share"] == 0 < found["flops"]["others"]


def test_a_step_takes_a_beam_at_once(built: ByKind, lowered: Lowered) -> None:
    session = open_pte(lowered("step"))
    dims = session.facts["dims"]
    inputs = example("rnnt_step", dims | {"B": 16})
    random = np.random.default_rng(1)
    for state in ("h", "c"):
        inputs[state] = random.standard_normal(inputs[state].shape, dtype=np.float32)
    logits, h, c = session.run(None, inputs)
    assert logits.shape == (16, dims["V"] + dims["K"])
    assert h.shape == c.shape == (dims["L"], 16, dims["H"])
    for row in range(16):
        one = {n: a[:, row : row + 1] if n in "hc" else a[row : row + 1] for n, a in inputs.items()}
        found = session.run(None, one)
        for many, alone in zip((logits[row], h[:, row], c[:, row]), found, strict=True):
            assert np.abs(many - alone.reshape(many.shape)).max() < 1e-5
    step: Any = load_module("rnnt_step", Checkpoint(built(KIND) / "checkpoint"))
    step.joint.log_softmax = False
    with torch.inference_mode():
        expected = step(*(torch.from_numpy(array) for array in inputs.values()))
    for ours, reference in zip((logits, h, c), expected, strict=True):
        assert np.abs(ours - reference.numpy()).max() < 1e-5


def test_greedy_decoding_by_the_step_is_that_by_predictor_and_joint(built: ByKind) -> None:
    out = built(str(DEMO / "demo-tdt.nemo"))
    meta = json.loads((out / "meta/model_meta.json").read_text(encoding="utf-8"))
    pair = Decoder(meta, *(open_session(out / f"onnx/{graph}.onnx", threads=1) for graph in ("predictor", "joint")))
    step = StepDecoder(meta, open_session(out / "onnx/rnnt_step.onnx", threads=1))
    frames = np.random.default_rng(0).standard_normal((3, meta["dims"]["D"], 60), dtype=np.float32)
    lengths = np.array([60, 41, 7])
    expected, after = pair.decode(frames, lengths)
    found, state = step.decode(frames, lengths)
    assert any(hypothesis.tokens for hypothesis in expected)
    more = np.random.default_rng(1).standard_normal((3, meta["dims"]["D"], 30), dtype=np.float32)
    expected += pair.decode(more, np.array([30, 0, 30]), after)[0]
    found += step.decode(more, np.array([30, 0, 30]), state)[0]
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens, one.frames, one.durations) == (other.tokens, other.frames, other.durations)


@pytest.mark.parametrize(
    ("frames", "advice"),
    [(8, "give a longer input."), (MAX_FRAMES + 1, "cut the input, or build the file with more PTE_MAX_FRAMES.")],
)
def test_a_length_that_the_file_does_not_take_is_one_sentence(frames: int, advice: str, lowered: Lowered) -> None:
    session = open_pte(lowered("xnnpack"))
    with pytest.raises(
        InputError, match=f"^encoder.xnnpack.pte accepts .* T from 9 to {MAX_FRAMES}, not {frames}; {advice}$"
    ):
        session.run(None, example("encoder", session.facts["dims"] | {"B": 1, "T": frames}))


SETTINGS: list[dict[str, Any]] = [
    {},
    {"pad_to": 16, "pad_value": -3.0, "log_zero_guard_type": "clamp", "log_zero_guard_value": "eps"},
    {"normalize": "NA", "preemph": None, "window_stride": 0.0125},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings) or "usual")
def test_a_frontend_equals_nemos(settings: dict[str, Any], built: ByKind, tmp_path: Path) -> None:
    checkpoint = Checkpoint(built(KIND) / "checkpoint")
    checkpoint.config["preprocessor"] |= settings
    part, path = load_part("frontend", checkpoint, MAX_FRAMES), tmp_path / "frontend.pte"
    write_pte(lower(part.export(), part, XNNPACK), part, {"method": "xnnpack"}, path)
    session, reference = open_pte(path), load_module("frontend", checkpoint, reference=True)
    low, high = session.bounds["samples"]
    hop = round(settings.get("window_stride", 0.01) * 16000)
    assert (low, high) == (400, (MAX_FRAMES + 1) * hop - 1)
    for samples in (low, low + 1, 1600, 16000, 16159, high):
        inputs = example("frontend", {"B": 1, "samples": samples}, seed=samples)
        found, frames = session.run(None, inputs)
        expected = reference(*(torch.from_numpy(array) for array in inputs.values()))
        assert frames.tolist() == expected[1].tolist() == [samples // hop]
        assert found.shape == tuple(expected[0].shape)
        assert np.abs(found - expected[0].numpy()).max() <= 5e-4
    delegation = manifest_of(path)["delegation"]
    assert delegation["flops"]["share"] == 1
    assert delegation["flops"]["delegated"] > 1e7
    with pytest.raises(
        InputError, match=f"accepts waveform with samples from {low} to {high}, not {low - 1}; give a longer"
    ):
        session.run(None, example("frontend", {"B": 1, "samples": low - 1}))


def test_a_frontend_hears_silence_and_batches(built: ByKind, lowered: Lowered) -> None:
    session = open_pte(lowered("frontend"))
    lengths = np.array([16000, 5000])
    waveform = np.random.default_rng(0).standard_normal((2, 16000), dtype=np.float32) * np.float32(0.1)
    found, frames = session.run(None, {"waveform": waveform, "length": lengths})
    padded = {"waveform": np.where(np.arange(16000) < lengths[:, None], waveform, 0), "length": lengths}
    expected, _ = open_session(built(KIND) / "onnx/frontend.onnx").run(None, padded)
    assert frames.tolist() == [100, 31]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 5e-4
    # As float64 has it; NeMo makes values of a mean's rounding.
    silence, _ = session.run(None, {"waveform": np.zeros((1, 16000), np.float32), "length": lengths[:1]})
    assert np.abs(silence).max() <= 5e-4


def test_what_cannot_be_quantized_is_refused_or_fp32(
    built: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "encoder.int8.pte"
    arguments = ("--checkpoint", built(KIND) / "checkpoint", "--max-frames", MAX_FRAMES, "--output", output)
    noise = ("--synthetic-calibration", "--batches", 1, "--batch-size", 1)
    assert run_worker("pte/lower_int8", *arguments) == 2
    assert "nothing to calibrate with; set CALIB_MANIFEST" in capsys.readouterr().err
    assert run_worker("pte/lower_int8", *arguments, *noise, "--exclude", ".") == 2
    sentence = capsys.readouterr().err
    assert "cannot be quantized" in sentence and "FALLBACK_TO_FP32=1" in sentence
    assert not output.exists()
    assert run_worker("pte/lower_int8", *arguments, *noise, "--exclude", ".", "--fallback-to-fp32") == 0
    manifest = manifest_of(output)
    assert "fallback" in manifest["made_with"]
    assert set(manifest["weights"]) & {"int8", "int4"} == set()


def test_a_manifest_without_usable_utterances_is_one_sentence(
    built: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text('{"audio_filepath": "nowhere.wav", "text": "gone"}\n', encoding="utf-8")
    out = built(KIND)
    arguments = ("--checkpoint", out / "checkpoint", "--frontend", out / "onnx/frontend.onnx", "--manifest", manifest)
    assert run_worker("pte/lower_int8", *arguments, "--output", tmp_path / "encoder.int8.pte") == 2
    sentence = capsys.readouterr().err.strip().splitlines()
    assert sentence[-1].startswith("error: ") and str(manifest) in sentence[-1]


def test_a_damaged_file_is_one_sentence(lowered: Lowered, tmp_path: Path) -> None:
    path = lowered("xnnpack")
    damaged = tmp_path / path.name
    damaged.write_bytes(path.read_bytes()[:5000])
    damaged.with_suffix(".json").write_text(path.with_suffix(".json").read_text("utf-8"), "utf-8")
    with pytest.raises(InputError, match="build it again"):
        open_pte(damaged)
