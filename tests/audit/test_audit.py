"""Audits of whole recognisers, and of one that a fault was put into.

Example:
    .venv/bin/python -m pytest tests/audit
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from conftest import DEMO, ByKind, run_worker
from transducer.audit.cases import Clip, audit_tests, sample
from transducer.audit.listeners import NeMo
from transducer.audit.listening import hearings, listen, results, total_of
from transducer.audit.outcome import Outcome, bounds_of
from transducer.checkpoint.nemo_model import restore_model
from transducer.core.checks import Check
from transducer.core.cli import InputError
from transducer.core.shards import Shard
from transducer.report.audits import audits
from transducer.speech.audio import Wave
from transducer.speech.manifest import read_manifest

RATE = 16_000
MANIFEST = DEMO / "validation/manifest.jsonl"
SIZES = ("--manifest", MANIFEST, "--clips", 12, "--minutes", 0.5)
# As configs/demo-tdt.mk has it.
CUT = ("--segment-seconds", 0.5, 8)


def audited(model: Path, reference: Path, *arguments: object, at_most: Sequence[object] = ("2",)) -> int:
    """Run the audit of a built model."""
    bounds = ("--reference", reference, "--max-changed", *at_most)
    return run_worker("audit/recognizer", "--model", model, *SIZES, *CUT, *bounds, *arguments)


@pytest.fixture(scope="module")
def reference(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo's checkpoint hears in PyTorch."""
    output = tmp_path_factory.mktemp("audit") / "audit.checkpoint.check.json"
    model = built(str(DEMO / "demo-tdt.nemo"))
    assert run_worker("audit/checkpoint", "--checkpoint", model / "checkpoint", *SIZES, "--output", output) == 0
    return output


def test_graphs_change_what_pytorch_changes(built: ByKind, reference: Path, tmp_path: Path) -> None:
    output = tmp_path / "checks/audit.fp32.check.json"
    assert audited(built(str(DEMO / "demo-tdt.nemo")), reference, "--output", output) == 0
    check, pytorch = Check.read(output), Check.read(reference)
    exact = ["alone", "in_company", "gain", "leading_silence", "resampling", "sample_shift", "polarity", "codec"]
    assert check.accuracy and pytorch.accuracy
    for test in exact:
        assert check.accuracy[test] == pytorch.accuracy[test] | {"pytorch": pytorch.accuracy[test]}, test
    assert check.accuracy["alone"]["changed"] == 0 and check.accuracy["polarity"]["changed"] == 0
    # The demo is known to mind silence before speech; the example is the recording in which it was heard.
    worst = check.facts["worst"]["leading_silence"]
    wave, _ = soundfile.read(output.parent / worst["file"], dtype="float32")
    assert not wave[: round(float(worst["change"].split()[0]) * RATE)].any()
    assert worst["expected"] != worst["heard"] == worst["pytorch"]
    [audit] = audits(tmp_path)
    assert audit.name == "fp32" and len(audit.rows) == len(check.accuracy)


def test_pytorch_leaves_out_what_is_too_long_for_it(built: ByKind) -> None:
    """By default the validation set is joined into one recording of 12 minutes, which NeMo does not hear."""
    ears = NeMo(restore_model(built("bpe-tdt") / "checkpoint"))
    noise = np.random.default_rng(1).normal(0, 0.1, 331 * RATE).astype(np.float32)
    assert ears.hear([noise]) == [None] and ears.hear([np.zeros(RATE, np.float32)]) == [""]
    long, short = ears.hear([noise, noise[:RATE]])
    assert long is None and short is not None


def test_a_frontend_that_forgets_lengths_is_found(
    built: ByKind, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its statistics are then those of the padding too, so a recording depends on its company."""
    model = built(str(DEMO / "demo-tdt.nemo"))
    graph = onnx.load(model / "onnx/frontend.onnx")
    for node in graph.graph.node:
        node.input[:] = ["all" if name == "length" else name for name in node.input]
    made = [
        helper.make_node("Shape", ["waveform"], ["both"]),
        helper.make_node("Gather", ["both", "second"], ["samples"]),
        helper.make_node("Shape", ["length"], ["rows"]),
        helper.make_node("Expand", ["samples", "rows"], ["all"]),
    ]
    graph.graph.initializer.append(helper.make_tensor("second", TensorProto.INT64, [1], [1]))
    for node in reversed(made):
        graph.graph.node.insert(0, node)
    onnx.save(graph, tmp_path / "frontend.onnx")
    output = tmp_path / "audit.check.json"
    assert audited(model, reference, "--frontend", tmp_path / "frontend.onnx", "--output", output) == 1
    message = capsys.readouterr().err
    assert "alone changes" in message and "AUDIT_MAX_CHANGED allows 2" in message
    assert not output.exists()


def test_streams_do_not_mind_how_they_arrive(streaming: ByKind, tmp_path: Path) -> None:
    model = streaming(str(DEMO / "demo-streaming.nemo"))
    pytorch, output = tmp_path / "audit.checkpoint.check.json", tmp_path / "audit.check.json"
    like = ("--like", model / "meta/model_meta.json")
    assert run_worker("audit/checkpoint", "--checkpoint", model / "checkpoint", *SIZES, *like, "--output", pytorch) == 0
    assert audited(model, pytorch, "--stream", "--output", output, at_most=["100"]) == 0
    accuracy = Check.read(output).accuracy or {}
    assert accuracy["chunk_phase"]["changed"] == accuracy["alone"]["changed"] == accuracy["in_company"]["changed"] == 0


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [(["much"], "has 'much'"), (["101"], "has '101'"), (["2", "gains=3"], "names 'gains', which is not a test")],
)
def test_a_bound_that_is_none(bounds: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        bounds_of(bounds, ["gain", "codec"])


def test_a_reference_of_other_recordings(
    built: ByKind, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = built(str(DEMO / "demo-tdt.nemo")), tmp_path / "audit.check.json"
    assert audited(model, reference, "--minutes", 2, "--output", output) == 2
    assert "is of other recordings" in capsys.readouterr().err


class Parrot:
    """A listener that says how long a recording is, in tenths of a second."""

    def hear(self, waves: Sequence[Wave]) -> list[str | None]:
        return [f"{round(len(wave) / RATE, 1)}" if wave.any() else "" for wave in waves]

    hear_alone = hear

    def hear_pieces(self, wave: Wave, ends: Sequence[int]) -> str:
        return f"{len(ends)} pieces"


def test_each_test_hears_each_clip_once_and_counts_what_changed() -> None:
    clips = [Clip(f"{n}.wav", np.full(RATE * (n + 1) // 10, 0.1, np.float32)) for n in range(30)]
    tests = hearings(clips, RATE, [0.1])
    found = dict(results(tests, listen(Parrot(), tests)))
    assert {len(found[test].cases) for test in ("gain", "codec", "alone")} == {30}
    assert found["gain"].outcome.changed == found["polarity"].outcome.changed == 0
    assert found["leading_silence"].outcome.changed == 30
    assert found["no_speech"].outcome == Outcome(41, 40, 40, 40, 0)
    joined = [clip for case in found["joined_0.1_minutes"].cases for clip in case.clips]
    assert set(joined) == set(range(30))


def test_parts_of_an_audit_hear_what_the_whole_does() -> None:
    clips = [Clip(f"{n}.wav", np.full(RATE * (n + 1) // 10, 0.1, np.float32)) for n in range(12)]
    tests = hearings(clips, RATE, [0.1], streams=True)
    whole = listen(Parrot(), tests)
    merged: list[str | None] = [None] * len(whole)
    for number in range(1, 8):
        merged[number - 1 :: 7] = listen(Parrot(), tests, Shard(number, 7))
    assert merged == whole and len(whole) == total_of(tests)
    assert set(dict(results(tests, whole))["chunk_phase"].texts) != {"1 pieces"}


def test_the_sample_is_spread_over_the_manifest() -> None:
    utterances = read_manifest(MANIFEST)
    names = [clip.name for clip in sample(MANIFEST, 5, RATE)]
    assert [names[0], names[-1]] == [utterances[0]["audio_filepath"].name, utterances[-1]["audio_filepath"].name]
    assert json.dumps([case.change for _, cases in audit_tests(sample(MANIFEST, 5, RATE), RATE, [1]) for case in cases])
    with pytest.raises(InputError, match="AUDIT_CLIPS is 0"):
        sample(MANIFEST, 0, RATE)
