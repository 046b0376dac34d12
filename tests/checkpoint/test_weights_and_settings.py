"""Weights in any dtype and form, configs as other tools write them, and settings that no graph can have."""

import collections
import datetime
import io
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import numpy_helper

from checkpoint.test_hostile_files import in_config, in_weights, repack
from conftest import ByKind, run_worker
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cases import Case, bound_of

Capture = pytest.CaptureFixture[str]
Change = Callable[[dict[str, bytes]], None]
LABELS = ["1e5", "on", "null", "1_000", "0x1f", "2026-11-25", "~", "yes", "1:30", "nan", ".5", "- a", "#", "a: b", "é"]


def unpack(model: Path, folder: Path) -> int:
    return run_worker("checkpoint/unpack", "--model", model, "--output", folder / "checkpoint/manifest.json")


def export(folder: Path, graph: str = "joint") -> int:
    given = ("--graph", graph, "--checkpoint", folder / "checkpoint", "--output", folder / f"{graph}.onnx")
    return run_worker("export/export_graph", *given)


def check(folder: Path, graph: str = "joint") -> int:
    given = ("--graph", graph, "--onnx", folder / f"{graph}.onnx", "--checkpoint", folder / "checkpoint")
    return run_worker("export/check", *given, "--output", folder / f"{graph}.json")


def refusal(capsys: Capture, code: int) -> str:
    written = capsys.readouterr().err
    assert code == 2 and "Traceback" not in written, written
    (sentence,) = [line for line in written.splitlines() if line.startswith("error: ")]
    return sentence


@pytest.mark.parametrize(
    "dtypes", [["float16"], ["bfloat16"], ["float64"], ["float32", "float16", "bfloat16", "float64"]]
)
def test_weights_of_any_float_dtype(dtypes: list[str], nemo_file: ByKind, tmp_path: Path) -> None:
    def edit(weights: dict[str, Any]) -> None:
        for number, name in enumerate(weights):
            if weights[name].is_floating_point():
                weights[name] = weights[name].to(getattr(torch, dtypes[number % len(dtypes)]))

    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", in_weights(edit))
    assert unpack(model, tmp_path) == export(tmp_path) == check(tmp_path) == 0
    assert {tensor.dtype for tensor in Checkpoint(tmp_path / "checkpoint").weights.values()} <= {
        torch.float32,
        torch.int64,
    }


def saved(weights: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(weights, stream, **how)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("beside", "how"),
    [
        ({}, {"_use_new_zipfile_serialization": False}),
        ({"path": pathlib.PosixPath("/tmp/x"), "best": np.float64(0.12), "at": datetime.datetime(2026, 11, 25)}, {}),
        ({"array": np.arange(3), "none": None, "set": {1, 2}, "count": collections.Counter("aab")}, {}),
    ],
)
def test_the_older_format_and_harmless_objects_load(
    beside: dict[str, Any], how: dict[str, Any], nemo_file: ByKind, tmp_path: Path
) -> None:
    def change(members: dict[str, bytes]) -> None:
        weights = torch.load(io.BytesIO(members["model_weights.ckpt"]), weights_only=True)
        members["model_weights.ckpt"] = saved({"state_dict": weights, **beside} if beside else weights, **how)

    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", change)
    assert unpack(model, tmp_path) == export(tmp_path) == check(tmp_path) == 0


class Call:
    """Pickles as a call, of what a checkpoint must never have called."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda path: Call(os.mkdir, path), 2),
        # Objects of this module are skipped; it can write files too.
        (lambda path: Call(np.save, path, np.arange(3)), 0),
        (lambda path: None, 0),
    ],
)
def test_nothing_that_is_pickled_runs(
    call: Callable[[str], Any], code: int, nemo_file: ByKind, tmp_path: Path, capsys: Capture
) -> None:
    def change(members: dict[str, bytes]) -> None:
        weights = torch.load(io.BytesIO(members["model_weights.ckpt"]), weights_only=True)
        members["model_weights.ckpt"] = saved({"state_dict": weights, "more": call(str(tmp_path / "escaped"))})

    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", change)
    assert unpack(model, tmp_path) == code, capsys.readouterr().err
    assert not list(tmp_path.glob("escaped*"))


@pytest.mark.parametrize("content", [None, 3, [], {}, {"state_dict": None}, {"state_dict": [1]}])
def test_what_is_not_weights_is_refused(content: Any, nemo_file: ByKind, tmp_path: Path, capsys: Capture) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["model_weights.ckpt"] = saved(content)

    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", change)
    assert "has no tensors by name" in refusal(capsys, unpack(model, tmp_path))


@pytest.mark.parametrize("kind", ["bpe-tdt", "char-rnnt"])
def test_a_training_run_has_its_sizes_filled_in(kind: str, nemo_file: ByKind, tmp_path: Path) -> None:
    """Its config names the vocabulary but not how large that makes the layers, and a stray tokenizer harms nothing."""
    assert unpack(nemo_file(kind), tmp_path) == 0
    folder = tmp_path / "checkpoint"
    config = json.loads((folder / "model_config.yaml").read_text(encoding="utf-8"))
    for section, key in (("joint", "num_classes"), ("decoder", "vocab_size")):
        config[section][key] = -1
    (tmp_path / "run.yaml").write_text(json.dumps(config), encoding="utf-8")
    shutil.copy(folder / "model_weights.ckpt", tmp_path / "run.ckpt")
    (tmp_path / "tokenizer.model").write_bytes(
        next(iter(folder.glob("*tokenizer.model")), folder / "manifest.json").read_bytes()
    )
    assert (
        unpack(tmp_path / "run.ckpt", tmp_path / "again")
        == export(tmp_path / "again")
        == check(tmp_path / "again")
        == 0
    )


def test_labels_that_yaml_takes_for_something_else(nemo_file: ByKind, tmp_path: Path) -> None:
    """In a .ckpt's config as in a .nemo's, in quotes."""
    model = repack(nemo_file("char-rnnt"), tmp_path / "model.nemo", lambda members: None)
    assert unpack(model, tmp_path) == 0
    config = yaml.safe_load((tmp_path / "checkpoint/model_config.yaml").read_text(encoding="utf-8"))
    count = len(config["joint"]["vocabulary"])
    labels = (LABELS + [f"x{number}" for number in range(count)])[:count]
    config["labels"] = config["joint"]["vocabulary"] = labels
    quoted = yaml.safe_dump(config, default_style='"', allow_unicode=True).replace('!!int "', '!!int "')
    (tmp_path / "run.yaml").write_text(quoted, encoding="utf-8")
    shutil.copy(tmp_path / "checkpoint/model_weights.ckpt", tmp_path / "run.ckpt")
    assert unpack(tmp_path / "run.ckpt", tmp_path / "again") == 0
    assert Checkpoint(tmp_path / "again/checkpoint").labels == labels


def test_sections_that_no_graph_needs_are_not_resolved(
    nemo_file: ByKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")

    def edit(config: dict[str, Any]) -> None:
        config |= {
            "exp_manager": {"dir": "${oc.env:UNSET}", "name": "${now:%Y}"},
            "train_ds": {"path": "${oc.env:SECRET}"},
        }

    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", in_config(edit))
    assert unpack(model, tmp_path) == 0
    assert "hunter2" not in (tmp_path / "checkpoint/model_config.yaml").read_text(encoding="utf-8")
    needed = repack(
        model, tmp_path / "needed.nemo", in_config(lambda config: config["encoder"].update(x="${oc.env:SECRET}"))
    )
    sentence = refusal(capsys, unpack(needed, tmp_path / "b"))
    assert "asks for the environment variable SECRET" in sentence and "hunter2" not in sentence


def put(path: str, value: Any) -> Change:
    def edit(config: dict[str, Any]) -> None:
        *parents, key = path.split(".")
        for parent in parents:
            config = config[parent]
        config[key] = value

    return in_config(edit)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("encoder.n_layers", 10_000_000, "encoder.n_layers is 10000000"),
        ("encoder.n_layers", 100_000, "encoder.n_layers is 100000, where its weights are of 2 layers"),
        ("encoder.d_model", 999_999, "encoder.d_model is 999999, where the longest axis"),
        ("encoder.d_model", "wide", "encoder.d_model is 'wide' where a whole number"),
        ("encoder.n_heads", 3, "refuses encoder.n_heads"),
        ("encoder.subsampling", "none", "refuses encoder.subsampling (Not valid sub-sampling: none!)"),
        ("encoder.zork", 1, "refuses encoder.zork"),
        ("decoder.prednet.pred_rnn_layers", None, "decoder.prednet.pred_rnn_layers is None"),
        ("joint.jointnet.activation", "swoosh", "Unsupported activation"),
        ("decoding", [1], "decoding of its config is [1] where settings belong"),
        ("encoder.self_attention_model", "rope", "self_attention_model is rope and only rel_pos"),
        ("decoder.blank_as_pad", False, "blank_as_pad is False"),
        ("decoder.normalization_mode", "layer", "normalization_mode is layer"),
        ("decoder.prednet.rnn_hidden_size", 8, "rnn_hidden_size is 8"),
    ],
)
def test_settings_that_are_refused_are_named(
    path: str, value: Any, words: str, nemo_file: ByKind, tmp_path: Path, capsys: Capture
) -> None:
    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", put(path, value))
    code = unpack(model, tmp_path)
    for graph in ("encoder", "predictor", "joint"):
        code = code or export(tmp_path, graph)
    sentence = refusal(capsys, code)
    assert words in sentence and "model.nemo" in sentence, sentence


@pytest.mark.parametrize(
    ("path", "value", "graph"),
    [("encoder.subsampling_conv_chunking_factor", 4, "encoder"), ("joint.vocabulary", None, "joint")],
)
def test_settings_that_mean_the_same_are_taken(
    path: str, value: Any, graph: str, nemo_file: ByKind, tmp_path: Path
) -> None:
    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", put(path, value))
    assert unpack(model, tmp_path) == export(tmp_path, graph) == check(tmp_path, graph) == 0
    assert len(Checkpoint(tmp_path / "checkpoint").labels) == 48


def test_large_logits_pass_and_a_wrong_graph_does_not(nemo_file: ByKind, tmp_path: Path, capsys: Capture) -> None:
    """Rounding grows with the values; weights that are off by a fifty thousandth are wrong."""

    def edit(weights: dict[str, Any]) -> None:
        for name in ("joint.joint_net.2.weight", "joint.joint_net.2.bias"):
            weights[name] *= 3000

    model = repack(nemo_file("bpe-tdt"), tmp_path / "model.nemo", in_weights(edit))
    assert unpack(model, tmp_path) == export(tmp_path) == check(tmp_path) == 0
    found = json.loads((tmp_path / "joint.json").read_text(encoding="utf-8"))
    assert found["bounds"]["max_abs"] > 3e-4
    graph = onnx.load(tmp_path / "joint.onnx")
    weight = max(graph.graph.initializer, key=lambda tensor: float(np.abs(numpy_helper.to_array(tensor)).max()))
    weight.raw_data = (numpy_helper.to_array(weight) * np.float32(1 + 2e-5)).tobytes()
    onnx.save(graph, tmp_path / "joint.onnx")
    assert check(tmp_path) == 1
    assert "differs from PyTorch" in capsys.readouterr().err


def test_the_bound_has_an_absolute_and_a_relative_part() -> None:
    small = Case({}, {}, max_abs=1e-6, max_relative=1e-6, relative_rms=0)
    large = Case({}, {}, max_abs=1e-4, max_relative=1e-7, relative_rms=0)
    assert bound_of([small], 1e-4) == pytest.approx(1.02e-4)
    assert bound_of([small, large], 1e-4) == pytest.approx(2.1e-3)
