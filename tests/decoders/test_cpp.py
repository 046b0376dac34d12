"""The decoder in C++, compiled and run with ExecuTorch's own libraries, against the golden cases and the reference."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import executorch
import numpy as np
import pytest

from conftest import DEMO, ROOT, ByKind, lowering_worker, make, needs, run_worker
from decoders.packages import packaged
from golden import golden, in_context, require_same_words
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.keyboard import read_layout
from transducer.swipe.lexicon import Lexicon
from transducer.swipe.recognition import decode_traces
from transducer.swipe.traces import Trace, read_traces

pytestmark = needs("g++")
SOURCES = ("decode_swipes", "program", "features", "lexicon", "bigrams", "beam_search", "swipe_decoder")
GRAPHS = ("encoder.xnnpack", "rnnt_step")
SWIPE = [[0.1, 0.2, 0], [0.5, 0.2, 150], [0.6, 0.5, 300]]
Meta = dict[str, Any]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("cpp") / "decode_swipes"
    sources = [ROOT / f"decoders/cpp/src/{name}.cpp" for name in SOURCES]
    folder = executorch.__path__[0]
    subprocess.run([ROOT / "scripts/compile_cpp.sh", "g++", sys.executable, folder, output, *sources], check=True)
    return output


@pytest.fixture(scope="module")
def package(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundled package of the demo model with its files for ExecuTorch."""
    out = built(str(DEMO / "demo-swipe.nemo"))
    graphs = {f"{name}.pte": out / f"pte/{name}.pte" for name in GRAPHS}
    options = ("--checkpoint", out / "checkpoint", "--max-frames", 512)
    if not (path := graphs["encoder.xnnpack.pte"]).exists():
        assert run_worker(*lowering_worker("xnnpack"), *options, "--output", path) == 0
    if not (path := graphs["rnnt_step.pte"]).exists():
        assert run_worker("pte/lower", "--graph", "rnnt_step", *options, "--output", path) == 0
    return packaged(out, tmp_path_factory.mktemp("package") / "swipe", graphs, lexicon=True)


def line_of(points: list[list[float]], **more: str) -> str:
    return json.dumps({"points": [dict(zip("xyt", point, strict=True)) for point in points], **more}) + "\n"


def decoded(command: list[Any], lines: list[str]) -> list[dict[str, Any]]:
    """Return what the program says of each line."""
    done = subprocess.run(command, input="".join(lines), capture_output=True, text=True, check=True)
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_golden_cases(program: Path, package: Path) -> None:
    found = decoded([program, package], [line_of(case["points"]) for case in golden()["cases"]])
    for one, case in zip(found, golden()["cases"], strict=True):
        require_same_words(one["words"], case["n_best"])


def test_golden_cases_in_context(program: Path, package: Path) -> None:
    """And what was found after another word changes nothing of what is found without."""
    cases = in_context()
    lines = [
        line_of(case["points"], **more) for case in cases for more in ({"previous": case["context"]["previous"]}, {})
    ]
    found = decoded([program, package], lines)
    for number, case in enumerate(cases):
        require_same_words(found[2 * number]["words"], case["context"]["n_best"])
        require_same_words(found[2 * number + 1]["words"], case["n_best"])


@pytest.mark.slow
@needs("qemu-aarch64-static", "debootstrap", "aarch64-linux-gnu-g++")
def test_golden_cases_on_arm64(package: Path) -> None:
    done = make("cpp-arm64", "CONFIG=demo-swipe")
    assert done.returncode == 0, done.stderr
    command = [ROOT / ".arm64/emulate", ROOT / "out/cpp/arm64/decode_swipes", package]
    found = decoded(command, [line_of(case["points"]) for case in golden()["cases"]])
    for one, case in zip(found, golden()["cases"], strict=True):
        require_same_words(one["words"], case["n_best"])


def test_another_layout(program: Path, package: Path, built: ByKind) -> None:
    """On AZERTY it finds what the reference finds there by the same programs, which is not what it finds on QWERTY."""
    manifest, path = DEMO / "swipe-test/manifest.jsonl.gz", ROOT / "configs/layouts/azerty.json"
    traces = read_traces(manifest)[:12]
    meta = golden()["meta"]
    lexicon = Lexicon((package / "lexicon/words.txt").read_text().splitlines(), meta["tokens"][:-1])
    shape = (meta["dims"]["L"], meta["dims"]["H"])
    search = BeamSearch(lexicon, meta["blank_id"], shape, beam=16, threshold=10.0, prior_weight=0.5)
    own, _ = read_layout(ROOT / "configs/layouts/qwerty.json")
    layout = read_layout(path)[0].arranged(own.keys)
    pte = built(str(DEMO / "demo-swipe.nemo")) / "pte"
    expected = decode_traces(pte / "encoder.xnnpack.pte", pte / "rnnt_step.pte", traces, layout, search)
    lines = [line_of(trace.points.tolist()) for trace in traces]
    found, others = (decoded([program, package, "xnnpack.pte", *more], lines) for more in ([path], []))
    best = [[word["word"] for word in one["words"][:5]] for one in found]
    assert best == expected
    assert best != [[word["word"] for word in one["words"][:5]] for one in others]


def test_the_reference_goes_on_after_a_swipe_that_a_program_does_not_take(
    package: Path, built: ByKind, log_messages: list[str]
) -> None:
    """People's swipes may be of a single frame; an evaluation counts such a one as not found."""
    layout, _ = read_layout(ROOT / "configs/layouts/qwerty.json")
    meta = golden()["meta"]
    lexicon = Lexicon((package / "lexicon/words.txt").read_text().splitlines(), meta["tokens"][:-1])
    search = BeamSearch(lexicon, meta["blank_id"], (meta["dims"]["L"], meta["dims"]["H"]), beam=4)
    first, second = read_traces(DEMO / "swipe-test/manifest.jsonl.gz")[:2]
    short = Trace("it", np.array([[0.1, 0.2, 0.0], [0.5, 0.2, 10.0]]))
    pte = built(str(DEMO / "demo-swipe.nemo")) / "pte"
    found = decode_traces(pte / "encoder.xnnpack.pte", pte / "rnnt_step.pte", [first, short, second], layout, search)
    assert found[1] == [] and [words != [] for words in found] == [True, False, True]
    assert any("1 of 3 traces have no words: encoder.xnnpack.pte accepts" in message for message in log_messages)


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        (line_of([]), "empty-trace", "The trace has no points; give the points of one swipe."),
        (line_of(SWIPE[:1]), "single-point", "The trace is a single point, which is a tap; give two points or more."),
        (line_of([*SWIPE, [1.1, 0.5, 400]]), "bad-trace", "A point lies outside the letter area"),
        (line_of([*SWIPE, [0.5, 0.5, 200]]), "bad-trace", "Time runs backwards in the trace"),
        (line_of([*SWIPE, [0.5, 0.5, 20001]]), "bad-trace", "The trace lasts longer than 20 s"),
        (line_of([*SWIPE, [0.5, 0.5, 14000]]), "bad-trace", "The swipe is too long: the encoder takes 3 to 512 frames"),
        (line_of([[0.1, 0.2, 0], [0.5, 0.2, 10]]), "bad-trace", "The swipe is too short: the encoder takes 3 to 512"),
        (
            '{"points": [{"x": 0.5, "y": 0.5}]}\n',
            "bad-trace",
            "The line is not a JSON object with points of x",
        ),
        ('{"points": [{"x": NaN, "y": 0.5, "t": 0}]}\n', "bad-trace", "The line is not a JSON object"),
        ("\n", "bad-trace", "The line is not a JSON object"),
    ],
)
def test_bad_swipes(program: Path, package: Path, line: str, code: str, sentence: str) -> None:
    """Each is answered on its own line, and the next is decoded."""
    bad, good = decoded([program, package], [line, line_of(SWIPE)])
    assert bad["code"] == code and sentence in bad["error"] and bad["error"].endswith(".")
    assert good["words"]


def with_key_less(meta: Meta) -> None:
    """Make the features those of a keyboard with one key less than the encoder was lowered for."""
    meta["layout"]["rows"][2]["keys"] = meta["layout"]["rows"][2]["keys"][:-1]
    meta["dims"]["F"] -= 1


def with_other_keys(meta: Meta) -> None:
    meta["layout"]["rows"][2]["keys"] += "é"


def changed(change: Callable[[Meta], None]) -> Callable[[Path], None]:
    """Return what changes a package's metadata."""

    def apply(folder: Path) -> None:
        path = folder / "meta/runtime_meta.json"
        meta = json.loads(path.read_text(encoding="utf-8"))
        change(meta)
        path.write_text(json.dumps(meta), encoding="utf-8")

    return apply


def truncated(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (shutil.rmtree, "meta/runtime_meta.json is not there; copy the package again."),
        (changed(lambda meta: meta.update(format=2)), "is of format 2 for swipe, and this decoder reads"),
        (changed(lambda meta: meta.pop("decoding")), "is not what a package has"),
        (changed(lambda meta: meta["featurizer"].update(version=2)), "update one of them."),
        (changed(lambda meta: meta.update(lexicon=None)), "has no lexicon; give a bundled package, not a dynamic one."),
        (changed(with_other_keys), "which do not go together; package the model again."),
        (changed(with_key_less), "takes 38 features and the layout has 37; use graphs and metadata of one"),
        (
            changed(lambda meta: meta["graphs"]["encoder"].clear()),
            "has no encoder in the variant xnnpack.pte",
        ),
        (truncated("meta/runtime_meta.json"), "is not what a package has"),
        (truncated("lexicon/words.txt"), "and the list beside it"),
        (truncated("lexicon/bigrams.bin"), "The bigrams have another size than their header says"),
        (truncated("lexicon/trie.bin"), "has another size than its header says; copy it again."),
        (lambda folder: (folder / "graphs/encoder.xnnpack.pte").write_bytes(b"x" * 999), "cannot be loaded"),
        (
            lambda folder: shutil.copy(folder / "graphs/rnnt_step.pte", folder / "graphs/encoder.xnnpack.pte"),
            "takes 160 features and the layout has 38; use graphs and metadata of one package.",
        ),
    ],
)
def test_bad_packages(
    program: Path, package: Path, tmp_path: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    folder = Path(shutil.copytree(package, tmp_path / "swipe"))
    damage(folder)
    done = subprocess.run([program, folder], input=line_of(SWIPE), capture_output=True, text=True)
    said = done.stderr if done.returncode else json.loads(done.stdout)["error"]
    assert done.returncode == 2 or "error" in done.stdout
    assert sentence in said
    assert said.strip().count("\n") == 0
