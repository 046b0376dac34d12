"""Classes beyond Conformer, LSTM and one blank: what exports, and what each target says of those it cannot take."""

import json
from pathlib import Path
from typing import Any

import pytest

import checkpoints
from conftest import DEMO, ByKind, lowering_worker, run_worker
from transducer.core.contracts import example
from transducer.runtime.parity import relative_rms
from transducer.runtime.sessions import open_session, session_runner

Capture = pytest.CaptureFixture[str]
# Without squeeze-excitation, with a dilated block, and one whose mask ends where its stride does.
QUARTZ_NET = [
    checkpoints.CONTEXT_NET_STRIDE | {"filters": 24, "repeat": 1, "kernel": [33], "se": False, "residual": False},
    checkpoints.CONTEXT_NET_BLOCK | {"filters": 24, "kernel": [9], "se": False},
    checkpoints.CONTEXT_NET_BLOCK | {"filters": 32, "repeat": 1, "kernel": [5], "dilation": [2], "se": False},
]


@pytest.mark.parametrize(
    ("kind", "encoder"),
    [
        ("transformer-tdt", {"self_attention_model": "abs_pos", "xscaling": True, "feat_out": 24}),
        ("transformer-tdt", {"self_attention_model": None, "subsampling": "stacking_norm", "pre_block_norm": False}),
        ("context-net", {"jasper": QUARTZ_NET, "activation": "relu"}),
        ("lstm", {"bidirectional": False, "subsampling": "striding", "subsampling_conv_channels": 16}),
        ("bpe-rnnt", {"subsampling": "striding", "subsampling_factor": 2, "conv_norm_type": "group_norm8"}),
        ("bpe-rnnt", {"subsampling": "stacking", "subsampling_factor": 16, "conv_norm_type": "layer_norm"}),
        ("bpe-rnnt", {"subsampling": "striding", "subsampling_factor": 4, "use_bias": False, "feat_out": 24}),
        ("bpe-rnnt", {"reduction": "pooling", "reduction_position": 1, "reduction_factor": 2}),
        ("bpe-rnnt", {"reduction": "striding", "reduction_position": -1, "reduction_factor": 2}),
        ("bpe-rnnt", {"conv_context_style": "dcc", "att_context_style": "chunked_limited_with_rc"}),
    ],
)
def test_settings_of_encoders(kind: str, encoder: dict[str, Any], tmp_path: Path) -> None:
    model = checkpoints.save(kind, tmp_path / "model.nemo", **encoder)
    assert run_worker("checkpoint/unpack", "--model", model, "--output", tmp_path / "checkpoint/manifest.json") == 0
    raw, graph = tmp_path / "encoder.raw.onnx", tmp_path / "encoder.onnx"
    of = ("--graph", "encoder", "--checkpoint", tmp_path / "checkpoint")
    assert run_worker("export/export_graph", *of, "--output", raw) == 0
    assert run_worker("export/simplify", "--graph", "encoder", "--input", raw, "--output", graph) == 0
    assert run_worker("export/check", *of, "--onnx", graph, "--output", tmp_path / "check.json") == 0


@pytest.mark.parametrize("subsampling", ["vggnet", "dw_striding_conv1d", "striding_conv1d"])
def test_what_nemo_cannot_run_itself(subsampling: str, tmp_path: Path, capsys: Capture) -> None:
    """NeMo 3.0 builds and saves these, but their forward pass ends in an error."""
    model = checkpoints.save("bpe-rnnt", tmp_path / "model.nemo", subsampling=subsampling, subsampling_factor=4)
    assert run_worker("checkpoint/unpack", "--model", model, "--output", tmp_path / "checkpoint/manifest.json") == 0
    of = ("--graph", "encoder", "--checkpoint", tmp_path / "checkpoint")
    assert run_worker("export/export_graph", *of, "--output", tmp_path / "encoder.raw.onnx") == 2
    assert "NeMo's encoder fails as it is configured" in capsys.readouterr().err


@pytest.mark.parametrize("runtime", ["onnx_asr", "sherpa_onnx", "ort_genai"])
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("stateless-tdt", "a predictor whose state is its last tokens"),
        ("lstm", "a predictor whose states are wider than its output"),
        ("multi-blank", "several blanks"),
        ("prompt-rnnt", "an encoder that takes a prompt"),
        ("multi-talker-rnnt", "an encoder that takes who speaks"),
    ],
)
def test_runtimes_refuse_what_they_cannot_run(
    kind: str, what: str, runtime: str, built: ByKind, tmp_path: Path, capsys: Capture
) -> None:
    out = built(kind)
    graphs = [out / f"onnx/{name}.onnx" for name in ("encoder", "predictor", "joint", "frontend")]
    meta = ("--meta", out / "meta/model_meta.json", "--tokens", out / "meta/tokens.txt")
    package = tmp_path / "package/SHA256SUMS"
    assert run_worker(f"package/for_{runtime}", "--graphs", *graphs, *meta, "--output", package) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("error: ") and what in sentence and sentence.count("\n") == 1
    assert not package.parent.exists()
    assert run_worker("package/write_runtime_meta", *meta, "--output", tmp_path / "runtime_meta.json") == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "graph", "what"),
    [
        ("stateless-tdt", "rnnt_step", "its last tokens"),
        ("lstm", "rnnt_step", "wider than its output"),
        ("multi-blank", "rnnt_step", "several blanks"),
        ("hat", "rnnt_step", "a HAT joint"),
        ("context-net", "encoder", "a ConvASREncoder"),
        ("transformer-tdt", "encoder", "a TransformerEncoder"),
        ("prompt-rnnt", "encoder", "takes a prompt"),
        ("multi-talker-rnnt", "encoder", "takes who speaks"),
    ],
)
def test_lowering_refuses_what_it_does_not_cover(
    kind: str, graph: str, what: str, built: ByKind, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ("--graph", graph, "--checkpoint", built(kind) / "checkpoint", "--output", tmp_path / "model.pte")
    assert run_worker(*lowering_worker("fp32"), *arguments) == 2
    assert what in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind", ["context-net", "lstm", "transformer-tdt", "prompt-rnnt", "multi-talker-rnnt", "global-tokens-rnnt"]
)
def test_every_encoder_has_an_int8_form(kind: str, built: ByKind, tmp_path: Path) -> None:
    """Random weights say nothing of its error; it runs, and is near."""
    graph, integers = built(kind) / "onnx/encoder.onnx", tmp_path / "encoder.int8.onnx"
    assert run_worker("quantize/int8", "--input", graph, "--output", integers) == 0
    dims = json.loads(open_session(graph).get_modelmeta().custom_metadata_map["dims"])
    inputs = example("encoder", dims | {"B": 2, "T": 301})
    expected, found = (session_runner(open_session(path))(inputs)["encoder_output"] for path in (graph, integers))
    assert 0 < relative_rms(expected, found) < 0.2


@pytest.mark.parametrize(
    "kind", ["context-net", "lstm", "transformer-tdt", "stateless-tdt", "hat", "multi-blank", "global-tokens-rnnt"]
)
def test_recordings_are_transcribed_from_the_command_line(kind: str, built: ByKind, capsys: Capture) -> None:
    clips = sorted((DEMO / "validation/audio").glob("*.ogg"))[:3]
    for options in ((), ("--beam", 4), ("--step", built(kind) / "onnx/rnnt_step.onnx")):
        capsys.readouterr()
        assert run_worker("speech/transcribe", "--model", built(kind), "--json", *options, *clips) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("context-net", "which keeps no caches"),
        ("lstm", "an LSTM in both directions"),
        ("transformer-tdt", "which keeps no caches"),
    ],
)
def test_streams_need_caches(kind: str, reason: str, built: ByKind, tmp_path: Path, capsys: Capture) -> None:
    out = built(kind)
    arguments = ("--checkpoint", out / "checkpoint", "--encoder", out / "onnx/encoder.raw.onnx")
    assert run_worker("export/export_streaming", *arguments, "--output", tmp_path / "encoder_streaming.raw.onnx") == 2
    assert reason in capsys.readouterr().err
