"""What trained models understand through ExecuTorch files, beside ONNX and PyTorch; and the largest architecture."""

import json
import sys
from pathlib import Path

import pytest

from conftest import DEMO, ByKind, lowering_worker, measured, run_worker
from transducer.speech.hearing import hear_files
from transducer.speech.manifest import read_lines, stretch
from transducer.speech.recognizer import Recognizer

pytestmark = pytest.mark.slow

VALIDATION = DEMO / "validation/manifest.jsonl"
TRACES = DEMO / "swipe-validation/manifest.jsonl.gz"
TEST = DEMO / "swipe-test/manifest.jsonl.gz"


def lower(out: Path, form: str, *more: object) -> Path:
    graph = {"step": "rnnt_step", "frontend": "frontend"}.get(form)
    path = out / f"pte/{graph or f'encoder.{form}'}.pte"
    worker = ("pte/lower", "--graph", graph) if graph else lowering_worker(form)
    assert run_worker(*worker, "--checkpoint", out / "checkpoint", *more, "--output", path) == 0
    return path


def test_speech_gives_the_transcripts_of_the_onnx_path(built: ByKind) -> None:
    out = built(str(DEMO / "demo-tdt.nemo"))
    for form in ("frontend", "xnnpack", "step"):
        lower(out, form)
    utterances, _ = read_lines(VALIDATION)
    cut = (0.5, 8.0)
    pte = Recognizer(
        out,
        frontend=out / "pte/frontend.pte",
        encoder=out / "pte/encoder.xnnpack.pte",
        step=out / "pte/rnnt_step.pte",
        segment_seconds=cut,
    )
    onnx = Recognizer(out, segment_seconds=cut)
    found, expected = (list(hear_files(each, map(stretch, utterances))) for each in (pte, onnx))
    same = sum(one.text == other.text for one, other in zip(found, expected, strict=True))  # type: ignore[union-attr]
    assert same >= 0.99 * len(utterances)
    assert any(other.text for other in expected)  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["int8", "ultra"])
def test_quantized_swipes_lose_at_most_a_point(form: str, built: ByKind, tmp_path: Path) -> None:
    out = built(str(DEMO / "demo-swipe.nemo"))
    lexicons = tmp_path / "lexicons"
    assert run_worker("swipe/prepare_lexicons", "--output-dir", lexicons) == 0
    searched = ("--manifest", TEST, "--lexicon", lexicons / "lexicon_full.txt")
    reference, check = tmp_path / "checkpoint.check.json", tmp_path / "top1.check.json"
    checkpoint = ("--checkpoint", out / "checkpoint")
    assert run_worker("swipe/evaluate_checkpoint", *checkpoint, *searched, "--output", reference) == 0
    encoder = lower(out, form, "--max-frames", 512, "--manifest", TRACES)
    graphs = ("--encoder", encoder, "--step", lower(out, "step"), "--meta", out / "meta/model_meta.json")
    bounds = ("--reference", reference, "--max-top1-delta", 1.0)
    assert run_worker("swipe/evaluate", *graphs, *searched, *bounds, "--output", check) == 0
    assert json.loads(check.read_text(encoding="utf-8"))["figures"]["top1_delta"] <= 1.0
    fp32 = lower(out, "fp32", "--max-frames", 512)
    assert encoder.stat().st_size <= {"int8": 0.35, "ultra": 0.30}[form] * fp32.stat().st_size


@pytest.mark.parametrize("kind", ["cache-aware-tdt", "cache-aware-rnnt"])
def test_streams_equal_nemos_own_steps(kind: str, streaming: ByKind, tmp_path: Path) -> None:
    out = streaming(kind)
    path, check = tmp_path / "encoder_streaming.xnnpack.pte", tmp_path / "check.json"
    arguments = ("--checkpoint", out / "checkpoint", "--output")
    meta = ("--graph", "encoder_streaming", "--streaming", out / "meta/model_meta.json")
    assert run_worker("pte/lower", *meta, *arguments, path) == 0
    assert run_worker("pte/check", "--pte", path, "--max-abs", 1e-4, *arguments, check) == 0
    report = json.loads(check.read_text(encoding="utf-8"))
    assert report["figures"]["delegated_share"] > 0.9


def test_the_largest_encoder_is_lowered_to_int8_in_24_gib(nemo_file: ByKind, tmp_path: Path) -> None:
    manifest = tmp_path / "checkpoint/manifest.json"
    model = nemo_file("parakeet-tdt-0.6b-v3")
    assert run_worker("checkpoint/unpack", "--model", model, "--output", manifest) == 0
    output = tmp_path / "encoder.int8.pte"
    worker = (sys.executable, "py/pte/lower_int8.py", "--synthetic-calibration", "--batches", 1, "--batch-size", 1)
    seconds, peak = measured([*worker, "--checkpoint", manifest.parent, "--output", output])
    print(json.dumps({"seconds": seconds, "peak GB": peak, "bytes": output.stat().st_size}))
    assert output.stat().st_size < 0.9e9
    assert peak * 1e9 < 24 * 2**30
