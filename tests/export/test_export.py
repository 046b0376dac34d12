"""The exported graphs compute what PyTorch computes, for every model class, at any length, and carry their facts."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from omegaconf import OmegaConf

import checkpoints
from conftest import ByKind, run_worker
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe
from transducer.core.contracts import example
from transducer.core.onnx_files import interface, load_graph
from transducer.export.attention_patch import lean_attention
from transducer.export.modules import load_module
from transducer.export.patches import (
    dense_layers,
    folded_batch_norm,
    lean_convolutions,
    no_dropout,
    raw_joint,
)
from transducer.export.positions_patch import computed_positions
from transducer.export.subsampling_patch import lean_masks
from transducer.export.trace import export_graph
from transducer.runtime.sessions import open_session, session_runner

SMALL_KINDS = [kind for kind in checkpoints.KINDS if kind not in ("parakeet-tdt-0.6b-v3", "cache-aware-tdt")]
GRAPHS = ("encoder", "predictor", "joint", "rnnt_step")


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_equals_pytorch(kind: str, graph: str, built: ByKind, tmp_path: Path) -> None:
    out, report = built(kind), tmp_path / "check.json"
    arguments = ["--graph", graph, "--onnx", out / f"onnx/{graph}.onnx", "--checkpoint", out / "checkpoint"]
    assert run_worker("export/check", *arguments, "--output", report) == 0
    found = json.loads(report.read_text())
    assert found["facts"]["checker"] == "valid" and found["figures"]["max_abs"] <= 1e-4
    # Two millionths of the largest value are allowed beside.
    assert 1e-4 < found["bounds"]["max_abs"] < 1.5e-4
    sizes = [case["sizes"] for case in found["cases"]]
    assert {1, 3} <= {size["B"] for size in sizes}
    if graph == "encoder":
        assert min(size["T"] for size in sizes) < 20 and max(size["T"] for size in sizes) > 1000


def test_a_wrong_weight_fails_the_check(built: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = built("bpe-tdt")
    model = onnx.load(out / "onnx/joint.onnx")
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0] += 0.01
    weight.raw_data = values.tobytes()
    broken, report = tmp_path / "joint.onnx", tmp_path / "check.json"
    onnx.save(model, broken)
    arguments = ["--graph", "joint", "--onnx", broken, "--checkpoint", out / "checkpoint", "--output", report]
    assert run_worker("export/check", *arguments) == 1
    sentence = capsys.readouterr().err
    assert str(broken) in sentence and "0.0001" in sentence and not report.exists()


def test_positions_have_no_cliff(built: ByKind) -> None:
    """A table of 5,000 positions ends at 400 s; the graph goes on, equal to PyTorch, and holds no such constant."""
    out = built("bpe-tdt")
    sizes = json.loads((out / "meta/model_meta.json").read_text())["dims"] | {"B": 1, "T": 8 * 5_100}
    inputs = example("encoder", sizes)
    found = session_runner(open_session(out / "onnx/encoder.onnx"))(inputs)["encoder_output"]
    with torch.inference_mode():
        module = load_module("encoder", Checkpoint(out / "checkpoint"))
        expected = module(*(torch.from_numpy(array) for array in inputs.values()))[0].numpy()
    assert found.shape[2] == 5_100
    assert np.abs(found - expected).max() <= 1e-4
    assert max(np.prod(tensor.dims) for tensor in load_graph(out / "onnx/encoder.onnx").graph.initializer) < 100_000


def test_interface_is_the_contract(built: ByKind) -> None:
    out = built("bpe-tdt")
    dims = json.loads((out / "meta/model_meta.json").read_text())["dims"]
    wanted = {
        "encoder": (
            {"audio_signal": ["B", dims["F"], "T"], "length": ["B"]},
            {"encoder_output": ["B", dims["D"], "T_enc"], "encoded_lengths": ["B"]},
        ),
        "predictor": (
            {"y": ["B", "U"], "h": [dims["L"], "B", dims["H"]], "c": [dims["L"], "B", dims["H"]]},
            {"g": ["B", dims["H"], "U"], "h_out": [dims["L"], "B", dims["H"]], "c_out": [dims["L"], "B", dims["H"]]},
        ),
        "joint": (
            {"encoder_output": ["B", dims["D"], "T"], "predictor_output": ["B", dims["H"], "U"]},
            {"joint_output": ["B", "T", "U", dims["V"] + dims["K"]]},
        ),
    }
    for graph, (inputs, outputs) in wanted.items():
        model = load_graph(out / f"onnx/{graph}.onnx")
        found = interface(model)
        assert {value["name"]: value["shape"] for value in found["inputs"]} == inputs, graph
        assert {value["name"]: value["shape"] for value in found["outputs"]} == outputs, graph
        for value in found["inputs"] + found["outputs"]:
            assert value["dtype"] == ("int64" if value["name"] in ("y", "length", "encoded_lengths") else "float")
        assert model.ir_version == 8 and model.opset_import[0].version == 17


def test_joint_gives_raw_logits(built: ByKind) -> None:
    """Log-softmax would make the exponentials of all outputs sum to one; NeMo applies it on a CPU."""
    out = built("bpe-tdt")
    dims = json.loads((out / "meta/model_meta.json").read_text())["dims"]
    runner = session_runner(open_session(out / "onnx/joint.onnx"))
    logits = runner(example("joint", dims | {"B": 1, "T": 3, "U": 2}))["joint_output"]
    assert np.abs(np.exp(logits).sum(-1) - 1).min() > 0.1


def test_fixed_axes(built: ByKind, tmp_path: Path) -> None:
    checkpoint = Checkpoint(built("bpe-tdt") / "checkpoint")
    for graph in GRAPHS:
        path = tmp_path / f"{graph}.onnx"
        export_graph(graph, checkpoint, path, opset=17, fixed=True)
        listed = interface(load_graph(path))
        assert all(isinstance(axis, int) for value in listed["inputs"] for axis in value["shape"]), listed
        arguments = ["--graph", graph, "--onnx", path, "--checkpoint", checkpoint.folder]
        assert run_worker("export/check", *arguments, "--output", tmp_path / "check.json") == 0


def test_patches_are_restored(built: ByKind) -> None:
    checkpoint = Checkpoint(built("bpe-tdt") / "checkpoint")
    encoder, decoder, joint = (checkpoint.build(section) for section in ("encoder", "decoder", "joint"))
    for module, patches in (
        (encoder, (computed_positions, folded_batch_norm, dense_layers)),
        (decoder, (no_dropout,)),
        (joint, (raw_joint, no_dropout, dense_layers)),
    ):
        before, state = repr(module), {name: id(tensor) for name, tensor in module.named_parameters()}
        for patch in patches:
            with patch(module):
                pass
        assert repr(module) == before
        assert {name: id(tensor) for name, tensor in module.named_parameters()} == state
    assert joint.fuse_loss_wer and joint.log_softmax is None


def test_patches_are_equal_in_pytorch(built: ByKind) -> None:
    checkpoint = Checkpoint(built("bpe-tdt") / "checkpoint")
    module = load_module("encoder", checkpoint)
    inputs = [torch.from_numpy(a) for a in example("encoder", {"B": 2, "F": 80, "T": 301}).values()]
    with torch.inference_mode():
        expected = module(*inputs)[0]
        rewrites = (lean_masks, lean_convolutions, lean_attention)
        for patch in (computed_positions, folded_batch_norm, dense_layers, *rewrites):
            with patch(module.encoder):  # type: ignore[arg-type]
                assert torch.allclose(module(*inputs)[0], expected, atol=2e-6), patch.__name__


def test_weights_over_the_limit_go_to_one_sidecar(
    built: ByKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transducer.core.onnx_weights.SIDECAR_ABOVE", 1000)
    out = built("bpe-tdt")
    for graph in GRAPHS:
        raw, final = tmp_path / f"{graph}.raw.onnx", tmp_path / f"{graph}.onnx"
        export_graph(graph, Checkpoint(out / "checkpoint"), raw, opset=17)
        assert run_worker("export/simplify", "--graph", graph, "--input", raw, "--output", final) == 0
        onnx.checker.check_model(final)
        arguments = ["--graph", graph, "--onnx", final, "--checkpoint", out / "checkpoint"]
        assert run_worker("export/check", *arguments, "--output", tmp_path / "check.json") == 0
    assert sorted(path.name for path in tmp_path.glob("*.data")) == [f"{graph}.onnx.data" for graph in sorted(GRAPHS)]


@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_metadata(kind: str, built: ByKind) -> None:
    out = built(kind)
    meta = json.loads((out / "meta/model_meta.json").read_text())
    labels = (out / "meta/vocab.txt").read_text("utf-8").split("\n")[:-1]
    tokens = (out / "meta/tokens.txt").read_text("utf-8").split("\n")[:-1]
    assert meta["blank_id"] == len(labels) == meta["dims"]["V"] - 1
    assert tokens[-1] == f"<blk> {meta['blank_id']}" and tokens[0] == f"{labels[0]} 0"
    assert meta["durations"] == checkpoints.KINDS[kind]["durations"]
    assert meta["model_class"] == checkpoints.KINDS[kind]["model"]
    assert (out / "meta/tokenizer.model").exists() == (meta["model_class"] != "EncDecRNNTModel")
    props = {entry.key: entry.value for entry in load_graph(out / "onnx/encoder.onnx").metadata_props}
    assert json.loads(props["dims"]) == meta["dims"] and json.loads(props["source"]) == meta["source"]
    assert str(out) not in json.dumps(meta) + json.dumps(props)


def test_full_attention_is_limited_on_request(built: ByKind, nemo_file: ByKind, tmp_path: Path) -> None:
    """Hours of audio: the weights of full attention attend to some seconds, as NeMo's own change of attention does."""
    out = tmp_path / "out"
    unpack = ("checkpoint/unpack", "--model", nemo_file("bpe-tdt"), "--output", out / "checkpoint/manifest.json")
    assert run_worker(*unpack, "--att-context", "8,5") == 0
    assert describe(Checkpoint(out / "checkpoint"))["local_attention"] == [8, 5]
    raw, graph = tmp_path / "encoder.raw.onnx", tmp_path / "encoder.onnx"
    assert (
        run_worker("export/export_graph", "--graph", "encoder", "--checkpoint", out / "checkpoint", "--output", raw)
        == 0
    )
    assert run_worker("export/simplify", "--graph", "encoder", "--input", raw, "--output", graph) == 0
    inputs = example("encoder", {"B": 2, "F": 80, "T": 2003})
    found = session_runner(open_session(graph))(inputs)["encoder_output"]
    encoder = Checkpoint(built("bpe-tdt") / "checkpoint").build("encoder")
    full = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.inference_mode():
        unlimited = encoder(**full)[0].numpy()
        encoder._cfg = OmegaConf.create({**checkpoints.ENCODER, "pos_emb_max_len": 5000})  # where NeMo notes the change
        encoder.change_attention_model("rel_pos_local_attn", [8, 5])
        encoder.eval()  # the new layers are in training
        limited, lengths = encoder(**full)
    for row, length in enumerate(lengths):
        assert np.abs(found[row, :, :length] - limited[row, :, :length].numpy()).max() <= 1e-4
        assert np.abs(found[row, :, :length] - unlimited[row, :, :length]).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "context", "words"),
    [
        ("bpe-tdt", "128", "two numbers"),
        ("bpe-tdt", "0,0", "two numbers"),
        ("bpe-tdt", "-1,-1", "two numbers"),
        ("bpe-tdt", "a,b", "two numbers"),
        ("cache-aware-rnnt", "128,128", "cannot limit it"),
        ("local-attention-tdt", "128,128", "cannot limit it"),
    ],
)
def test_attention_that_cannot_be_limited(
    kind: str, context: str, words: str, nemo_file: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "checkpoint/manifest.json"
    unpack = ("checkpoint/unpack", "--model", nemo_file(kind), "--output", output)
    assert run_worker(*unpack, f"--att-context={context}") == 2
    assert words in capsys.readouterr().err
    assert not output.parent.exists()
