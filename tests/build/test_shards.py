"""Evaluations in parts, put together in the same check byte for byte.

Example:
    .venv/bin/python -m pytest tests/build/test_shards.py
"""

import gzip
import itertools
import json
from pathlib import Path

import pytest

from conftest import DEMO, ByKind, few_utterances, make, run_worker
from transducer.core.cli import InputError
from transducer.core.shards import Shard, read_shards

PARTS = 3


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten utterances, which three parts share unevenly."""
    return few_utterances(tmp_path_factory.mktemp("shards") / "manifest.jsonl", 10)


def parts(worker: str, folder: Path, *arguments: object) -> list[Path]:
    """Run a worker on each part and return what it wrote."""
    paths = [folder / f"{Path(worker).name}.{number}.json" for number in range(1, PARTS + 1)]
    for number, path in enumerate(paths, 1):
        assert run_worker(worker, *arguments, "--shard", f"{number}/{PARTS}", "--output", path) == 0
    return paths


def test_parts_give_the_check_of_the_whole(built: ByKind, manifest: Path, tmp_path: Path) -> None:
    model = built(str(DEMO / "demo-tdt.nemo"))
    by_nemo = ("--checkpoint", model / "checkpoint", "--manifest", manifest)
    whole, merged = tmp_path / "whole.check.json", tmp_path / "merged.check.json"
    assert run_worker("speech/evaluate_checkpoint", *by_nemo, "--output", whole) == 0
    heard = parts("speech/transcribe_shard_by_nemo", tmp_path, *by_nemo)
    assert run_worker("speech/evaluate_checkpoint", *by_nemo, "--heard", *heard, "--output", merged) == 0
    assert merged.read_bytes() == whole.read_bytes()

    graphs = ("--model", model, "--manifest", manifest)
    judged = (*graphs, "--reference", whole, "--max-wer-delta", 0)
    one, many = tmp_path / "one.check.json", tmp_path / "many.check.json"
    assert run_worker("speech/evaluate", *judged, "--output", one) == 0
    heard = parts("speech/transcribe_shard", tmp_path, *graphs)
    assert run_worker("speech/evaluate", *judged, "--heard", *heard, "--output", many) == 0
    assert many.read_bytes() == one.read_bytes()
    assert many.with_name("many.jsonl").read_bytes() == one.with_name("one.jsonl").read_bytes()


def test_swipes_in_parts_give_the_check_of_the_whole(built: ByKind, tmp_path: Path) -> None:
    model = built(str(DEMO / "demo-swipe.nemo"))
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("the\nand\nyou\nthat\nfor\nthis\nhave\nwith\n")
    traces = tmp_path / "traces.jsonl"
    with gzip.open(DEMO / "swipe-validation/manifest.jsonl.gz", "rt") as stream:
        traces.write_text("".join(itertools.islice(stream, 10)))
    of = ("--manifest", traces, "--lexicon", lexicon, "--beam", 2)
    by_nemo = ("--checkpoint", model / "checkpoint", *of)
    whole, merged = tmp_path / "whole.check.json", tmp_path / "merged.check.json"
    assert run_worker("swipe/evaluate_checkpoint", *by_nemo, "--output", whole) == 0
    heard = parts("swipe/decode_shard_by_nemo", tmp_path, *by_nemo)
    assert run_worker("swipe/evaluate_checkpoint", *by_nemo, "--heard", *heard, "--output", merged) == 0
    assert merged.read_bytes() == whole.read_bytes()

    onnx, meta = model / "onnx", model / "meta/model_meta.json"
    graphs = ("--encoder", onnx / "encoder.onnx", "--step", onnx / "rnnt_step.onnx", "--meta", meta, *of)
    one, many = tmp_path / "one.check.json", tmp_path / "many.check.json"
    assert run_worker("swipe/evaluate", *graphs, "--reference", whole, "--output", one) == 0
    heard = parts("swipe/decode_shard", tmp_path, *graphs)
    assert run_worker("swipe/evaluate", *graphs, "--reference", whole, "--heard", *heard, "--output", many) == 0
    assert many.read_bytes() == one.read_bytes()


def test_audits_in_parts_give_the_check_of_the_whole(built: ByKind, manifest: Path, tmp_path: Path) -> None:
    model = built(str(DEMO / "demo-tdt.nemo"))
    sizes = ("--manifest", manifest, "--clips", 7, "--minutes", 0.3)
    by_nemo = ("--checkpoint", model / "checkpoint", *sizes)
    whole, merged = tmp_path / "whole.check.json", tmp_path / "merged.check.json"
    assert run_worker("audit/checkpoint", *by_nemo, "--output", whole) == 0
    heard = parts("audit/hear_shard_by_nemo", tmp_path, *by_nemo)
    assert run_worker("audit/checkpoint", *by_nemo, "--heard", *heard, "--output", merged) == 0
    assert merged.read_bytes() == whole.read_bytes()

    graphs = ("--model", model, *sizes)
    judged = (*graphs, "--reference", whole, "--max-changed", 100)
    one, many = tmp_path / "one/audit.check.json", tmp_path / "many/audit.check.json"
    assert run_worker("audit/recognizer", *judged, "--output", one) == 0
    heard = parts("audit/hear_shard", tmp_path, *graphs)
    assert run_worker("audit/recognizer", *judged, "--heard", *heard, "--output", many) == 0
    examples = sorted(path.name for path in (one.parent / "audit").iterdir())
    assert many.read_bytes() == one.read_bytes() and examples
    for name in examples:
        assert (many.parent / "audit" / name).read_bytes() == (one.parent / "audit" / name).read_bytes()


def test_an_audit_with_fewer_recordings_than_parts_is_refused(
    built: ByKind, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = built(str(DEMO / "demo-tdt.nemo")), tmp_path / "part.json"
    sizes = ("--manifest", manifest, "--clips", 1, "--minutes", 0.01)
    assert run_worker("audit/hear_shard", "--model", model, *sizes, "--shard", "1/999", "--output", output) == 2
    assert "recordings, too few for 999 shards; set SHARDS to less" in capsys.readouterr().err
    assert not output.exists()


def test_channels_observed_in_parts_give_the_graph_of_the_whole(built: ByKind, manifest: Path, tmp_path: Path) -> None:
    onnx = built(str(DEMO / "demo-tdt.nemo")) / "onnx"
    data = ("--frontend", onnx / "frontend.onnx", "--manifest", manifest, "--batches", 4, "--batch-size", 2)
    graph = ("--graph", "encoder", "--input", onnx / "encoder.onnx", *data)
    whole, merged = tmp_path / "whole.onnx", tmp_path / "merged.onnx"
    assert run_worker("quantize/equalize", *graph, "--output", whole) == 0
    observed = parts("quantize/observe_shard", tmp_path, *graph)
    assert run_worker("quantize/equalize", *graph, "--observed", *observed, "--output", merged) == 0
    assert merged.read_bytes() == whole.read_bytes()
    # What another part has seen would matter.
    few = [*observed[:2], observed[1].with_name("none.json")]
    content = json.loads(observed[2].read_text())
    few[2].write_text(
        json.dumps(content | {"items": [{name: [0.0] * len(values) for name, values in content["items"][0].items()}]})
    )
    assert run_worker("quantize/equalize", *graph, "--observed", *few, "--output", merged) == 0
    assert merged.read_bytes() != whole.read_bytes()


@pytest.mark.slow
def test_layers_measured_in_parts_give_the_file_of_the_whole(built: ByKind, manifest: Path, tmp_path: Path) -> None:
    out = built(str(DEMO / "demo-tdt.nemo"))
    data = ("--frontend", out / "onnx/frontend.onnx", "--manifest", manifest, "--batches", 2, "--batch-size", 2)
    encoder = ("--checkpoint", out / "checkpoint", "--max-frames", 600, *data)
    whole, merged = tmp_path / "whole.pte", tmp_path / "merged.pte"
    assert run_worker("pte/lower_ultra", *encoder, "--output", whole) == 0
    measured = parts("pte/measure_shard", tmp_path, *encoder)
    assert run_worker("pte/lower_ultra", *encoder, "--measured", *measured, "--output", merged) == 0
    assert merged.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_a_part_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="give NUMBER/COUNT"):
        Shard.parse(text)


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    items = list("abcdefg")
    paths = [tmp_path / f"{number}.json" for number in (1, 2, 3)]
    for number, path in enumerate(paths, 1):
        shard = Shard(number, 3)
        shard.write(path, shard.take(items, Path("manifest.jsonl")), len(items))
    assert read_shards(paths, 7) == items
    for wrong, total in ((paths[:2], 7), (paths, 8), ([paths[1], paths[0], paths[2]], 7)):
        with pytest.raises(InputError, match="is not part"):
            read_shards(wrong, total)
    paths[1].write_text("half of a fi")
    with pytest.raises(InputError, match="is not part 2 of 3"):
        read_shards(paths, 7)
    with pytest.raises(InputError, match=r"manifest\.jsonl has 7 items, too few for 8 shards"):
        Shard(1, 8).take(items, Path("manifest.jsonl"))


@pytest.mark.parametrize("shards", ["0", "-1", "two", "1.5", "01"])
def test_shards_that_are_no_number(shards: str) -> None:
    done = make("-n", "evaluate", f"SHARDS={shards}")
    assert done.returncode == 2 and f"SHARDS is '{shards}': give a whole number from 1" in done.stderr


@pytest.mark.parametrize("goal", ["evaluate", "audit"])
def test_a_part_is_made_again_alone(goal: str) -> None:
    done = make("-n", goal, "SHARDS=4")
    assert [done.stdout.count(f"--shard {number}/4 ") for number in (1, 2, 3, 4)] == [2, 2, 2, 2]


@pytest.mark.parametrize("target", ["shards/top1.fp32.1-of-2.json", "arm64/here.encoder.onnx.json"])
def test_whatever_decodes_swipes_waits_for_its_lexicon(target: str, tmp_path: Path) -> None:
    """Under -j no other rule has made it by chance."""
    done = make("-n", "CONFIG=demo-swipe", "SHARDS=2", f"OUT={tmp_path}", f"{tmp_path}/{target}")
    assert done.returncode == 0, done.stderr
    assert 0 < done.stdout.find("swipe/prepare_lexicons.py") < done.stdout.find("swipe/decode_shard.py")
