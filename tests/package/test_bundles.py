"""Packages for products: what is in them, that they decode as the build does, and that no change goes unseen.

Example:
    .venv/bin/python -m pytest tests/test_package_bundles.py
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import zstandard
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from conftest import DEMO, ROOT, ByKind, build_streaming, make, make_project, run_worker, with_sidecar
from transducer.core.cli import sha256_of
from transducer.package.runtime_meta import describe_graphs
from transducer.speech.recognizer import Recognizer
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import layout_of
from transducer.swipe.lexicon import Lexicon, read_words
from transducer.swipe.recognition import encoder_frames, open_encoder, open_step
from transducer.swipe.traces import Trace, read_traces
from transducer.swipe.trie import TrieLexicon

Capture = pytest.CaptureFixture[str]
LABELS = "abcdefghijklmnopqrstuvwxyz'"
SIX_MEGABYTES = 6_000_000


def check(built: Path, *graphs: str) -> None:
    for graph in graphs:
        arguments = ("--graph", graph, "--onnx", built / f"onnx/{graph}.onnx", "--checkpoint", built / "checkpoint")
        limit = 5e-4 if graph == "frontend" else 1e-4
        output = built / f"checks/{graph}.onnx.check.json"
        assert run_worker("export/check", *arguments, "--max-abs", limit, "--output", output) == 0


def write_runtime_meta(built: Path, *more: object) -> int:
    facts = ("--meta", built / "meta/model_meta.json", "--tokens", built / "meta/tokens.txt")
    return run_worker("package/write_runtime_meta", *facts, *more, "--output", built / "meta/runtime_meta.json")


@pytest.fixture(scope="module")
def speech(built: ByKind) -> Path:
    """The build folder of demo-tdt with the checks of its graphs and runtime_meta.json."""
    out = built(str(DEMO / "demo-tdt.nemo"))
    check(out, "frontend", "encoder", "rnnt_step")
    assert write_runtime_meta(out) == 0
    return out


@pytest.fixture(scope="module")
def swipe(built: ByKind) -> Path:
    """The build folder of demo-swipe with checks, the encoder for the web, runtime_meta.json, lexicon and trie."""
    out = built(str(DEMO / "demo-swipe.nemo"))
    check(out, "encoder", "rnnt_step")
    web = out / "ort/encoder.web.int8.onnx"
    assert run_worker("quantize/int8", "--input", out / "onnx/encoder.onnx", "--reduce-range", "--output", web) == 0
    graphs = ("--onnx", web, "--base", out / "onnx/encoder.onnx")
    report = out / "checks/encoder.web.int8.onnx.check.json"
    assert run_worker("quantize/check", "--graph", "encoder", "--variant", "int8", *graphs, "--output", report) == 0
    assert write_runtime_meta(out, "--vocabulary", ROOT / "configs/vocabularies/english.txt") == 0
    assert run_worker("swipe/prepare_lexicons", "--output-dir", out / "lexicons") == 0
    words = ("--lexicon", out / "lexicons/lexicon_full.txt", "--checkpoint", out / "checkpoint")
    assert run_worker("swipe/write_trie", *words, "--output", out / "lexicon/trie.bin") == 0
    return out


SPEECH = {f"{graph}.onnx": f"onnx/{graph}.onnx" for graph in ("encoder", "frontend", "rnnt_step")}
SWIPE_WEB = {"encoder.int8.onnx": "ort/encoder.web.int8.onnx", "rnnt_step.onnx": "onnx/rnnt_step.onnx"}


def package(built: Path, output: Path, graphs: dict[str, str], target: str, *more: object) -> int:
    """Run the package worker on a build folder and return its exit code; bundled where there is more to bundle."""
    listed = [f"{name}={built / path}" for name, path in graphs.items()]
    what = ("--name", "demo", "--kind", "bundled" if more else "dynamic", "--target", target)
    read = ("--runtime-meta", built / "meta/runtime_meta.json", "--meta", built / "meta/model_meta.json")
    meta = (*read, "--checks", built / "checks", "--licence", "Apache-2.0", "--command", "make it")
    return run_worker("package/bundle", *what, *meta, "--graphs", *listed, *more, "--output", output / "SHA256SUMS")


def bundle_swipe(built: Path, output: Path) -> int:
    return package(built, output, SWIPE_WEB, "web", "--trie", built / "lexicon/trie.bin")


@pytest.fixture(scope="module")
def bundled(swipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of demo-swipe for the web, with the full lexicon."""
    folder = tmp_path_factory.mktemp("bundled") / "demo"
    assert bundle_swipe(swipe, folder) == 0
    return folder


def test_bigrams_go_along_if_they_are_of_its_words(swipe: Path, tmp_path: Path, capsys: Capture) -> None:
    text, pairs = tmp_path / "text.txt", tmp_path / "bigrams.bin"
    text.write_text("the end of the day\n", encoding="utf-8")
    words = swipe / "lexicon/words.txt"
    assert run_worker("swipe/write_bigrams", "--words", words, "--text", text, "--output", pairs) == 0
    folder, trie = tmp_path / "demo", ("--trie", swipe / "lexicon/trie.bin")
    assert package(swipe, folder, SWIPE_WEB, "web", *trie, "--bigrams", pairs) == 0
    assert load(folder / "meta/runtime_meta.json")["lexicon"]["bigrams"] == "lexicon/bigrams.bin"
    assert (folder / "lexicon/bigrams.bin").read_bytes() == pairs.read_bytes()
    assert verify(folder) == 0

    small = swipe / "lexicons/lexicon_small.txt"
    assert run_worker("swipe/write_bigrams", "--words", small, "--text", text, "--output", pairs) == 0
    assert package(swipe, tmp_path / "other", SWIPE_WEB, "web", *trie, "--bigrams", pairs) == 2
    assert "bigrams.bin: is of another word list" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.fixture(scope="module")
def desktop(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dynamic package of demo-tdt."""
    folder = tmp_path_factory.mktemp("desktop") / "demo"
    assert package(speech, folder, SPEECH, "desktop") == 0
    return folder


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def verify(folder: Path) -> int:
    return run_worker("package/verify", folder)


def test_runtime_meta_of_a_swipe_model(swipe: Path) -> None:
    meta, facts = load(swipe / "meta/runtime_meta.json"), load(swipe / "meta/model_meta.json")
    assert (meta["format"], meta["task"], meta["model_type"]) == (1, "swipe", "rnnt")
    assert meta["tokens"] == [*LABELS, "<blk>"] and meta["blank_id"] == 27 == meta["dims"]["V"] - 1
    assert meta["characters"] == {letter: number for number, letter in enumerate(LABELS)}
    assert meta["unknown_id"] is None and meta["durations"] == []
    assert meta["featurizer"] == {"version": 1, "frame_seconds": 0.025, "kinematics": 12, "proximity_width": 0.8}
    assert meta["layout"] == load(ROOT / "configs/layouts/qwerty.json")
    assert meta["decoding"] == {
        "beam": 16,
        "threshold": 10.0,
        "prior_weight": 0.5,
        "length_power": 0.0,
        "max_symbols": 10,
    }
    assert meta["dims"] == facts["dims"] and meta["source"] == facts["source"]
    # Which graphs and lexicon there are is known where they are packaged.
    assert not meta.keys() & {"graphs", "lexicon"}


def test_a_search_without_a_threshold(swipe: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "runtime_meta.json"
    facts = ("--meta", swipe / "meta/model_meta.json", "--tokens", swipe / "meta/tokens.txt", "--output", path)
    assert run_worker("package/write_runtime_meta", *facts, "--beam-threshold", "inf") == 0
    assert load(path)["decoding"] == {"beam": 16, "prior_weight": 0.5, "length_power": 0.0, "max_symbols": 10}
    path.unlink()
    assert run_worker("package/write_runtime_meta", *facts, "--beam-threshold", "-1") == 2
    assert "BEAM_THRESHOLD=-1 keeps no prefix; give 0 or more nats" in capsys.readouterr().err
    assert not path.exists()


def test_runtime_meta_of_speech_models(speech: Path, built: ByKind) -> None:
    """Word pieces have no characters and an <unk>; a character model has characters."""
    meta, facts = load(speech / "meta/runtime_meta.json"), load(speech / "meta/model_meta.json")
    assert (meta["task"], meta["model_type"], meta["durations"]) == ("speech", "tdt", [0, 1, 2, 3, 4])
    assert meta["characters"] is None and meta["tokens"][meta["unknown_id"]] == "<unk>"
    for key in ("sample_rate", "window_stride", "frontend", "subsampling_factor", "max_symbols"):
        assert meta[key] == facts[key]
    assert meta["tokens"][meta["blank_id"]] == "<blk>" and not {"layout", "featurizer", "decoding"} & meta.keys()
    letters = built("char-rnnt")
    assert write_runtime_meta(letters) == 0
    assert load(letters / "meta/runtime_meta.json")["characters"][" "] == 0


def test_vocabularies_that_mislead_are_told(
    swipe: Path, tmp_path: Path, log_messages: list[str], capsys: Capture
) -> None:
    """A vocabulary without <blank>, or with it as a label, gets a warning; one of other labels is refused."""
    vocabulary, before = tmp_path / "v.txt", (swipe / "meta/runtime_meta.json").read_bytes()
    vocabulary.write_text("\n".join(LABELS), encoding="utf-8")
    assert write_runtime_meta(swipe, "--vocabulary", vocabulary) == 0
    assert any("lists no <blank>; the blank is label 27" in message for message in log_messages)
    assert (swipe / "meta/runtime_meta.json").read_bytes() == before
    vocabulary.write_text("\n".join(["<blank>", *"'abc"]), encoding="utf-8")
    assert write_runtime_meta(swipe, "--vocabulary", vocabulary) == 2
    assert "its labels are not those of demo-swipe.nemo" in capsys.readouterr().err
    shutil.copytree(swipe / "meta", tmp_path / "m/meta")
    shutil.copytree(swipe / "onnx", tmp_path / "m/onnx")
    tokens = tmp_path / "m/meta/tokens.txt"
    tokens.write_text(tokens.read_text(encoding="utf-8").replace("a 0", "<blank> 0"), encoding="utf-8")
    assert write_runtime_meta(tmp_path / "m") == 0
    assert any(
        "its label 0 is called <blank>" in message and "the blank is label 27" in message for message in log_messages
    )
    assert load(tmp_path / "m/meta/runtime_meta.json")["blank_id"] == 27


def some_traces() -> list[Trace]:
    return read_traces(DEMO / "swipe-test/manifest.jsonl.gz", LABELS)[:20]


def read_swipes(root: Path, lexicon: Lexicon, meta: dict[str, Any], encoder: str) -> list[list[str]]:
    """Return the best words of some traces, as a decoder finds them that knows a folder's metadata only."""
    encode = open_encoder(root / meta["graphs"]["encoder"][encoder]["file"])
    step = open_step(root / meta["graphs"]["rnnt_step"]["fp32"]["file"])
    settings, shape = dict(meta["decoding"]), (meta["dims"]["L"], meta["dims"]["H"])
    search, layout = BeamSearch(lexicon, meta["blank_id"], shape, **settings), layout_of(meta["layout"], "package")
    frames = [encoder_frames(encode, swipe_features(trace.points, layout)) for trace in some_traces()]
    return [[candidate.word for candidate in search.decode(frame, step, 3)] for frame in frames]


def test_a_swipe_package_reads_what_the_build_reads(swipe: Path, bundled: Path) -> None:
    """Its int8 encoder and trie give the words of the fp32 encoder and the word list."""
    meta = load(bundled / "meta/runtime_meta.json")
    packed = TrieLexicon(bundled / meta["lexicon"]["trie"], read_words(bundled / meta["lexicon"]["words"]))
    plain = Lexicon(read_words(swipe / "lexicons/lexicon_full.txt"), LABELS)
    found = read_swipes(bundled, packed, meta, "int8")
    graphs = describe_graphs([swipe / f"onnx/{graph}.onnx" for graph in ("encoder", "rnnt_step")], swipe)
    expected = read_swipes(swipe, plain, load(swipe / "meta/runtime_meta.json") | {"graphs": graphs}, "fp32")
    assert np.mean([a[0] == b[0] for a, b in zip(found, expected, strict=True)]) >= 0.95
    # Of swipes like people's, the first word is right for four of five, and one of three for nearly all.
    assert np.mean([trace.word in words for words, trace in zip(found, some_traces(), strict=True)]) >= 0.8


def test_what_is_in_a_package(bundled: Path, desktop: Path) -> None:
    """Folders by purpose; a dynamic package has no lexicon, and both say so in their metadata."""
    every = {"README.md", "SHA256SUMS", "manifest.json", "sbom.cdx.json"}
    every |= {f"meta/{name}" for name in ("model_meta.json", "runtime_meta.json", "tokens.txt")}
    lexicon = {"lexicon/trie.bin", "lexicon/words.txt"}
    assert files(bundled) == every | lexicon | {"graphs/encoder.int8.onnx", "graphs/rnnt_step.onnx"}
    assert files(desktop) == every | {"meta/tokenizer.model"} | {f"graphs/{name}" for name in SPEECH}
    assert load(bundled / "meta/runtime_meta.json")["lexicon"] == {
        "words": "lexicon/words.txt",
        "trie": "lexicon/trie.bin",
    }
    assert load(desktop / "meta/runtime_meta.json")["lexicon"] is None
    for folder in (bundled, desktop):
        for variants in load(folder / "meta/runtime_meta.json")["graphs"].values():
            for graph in variants.values():
                path = folder / graph["file"]
                assert (graph["sha256"], graph["bytes"]) == (sha256_of(path), path.stat().st_size)


def test_manifest_tells_every_file_and_what_its_check_found(swipe: Path, bundled: Path) -> None:
    manifest = load(bundled / "manifest.json")
    entries = {entry["path"]: entry for entry in manifest["files"]}
    assert entries.keys() == files(bundled) - {"manifest.json", "SHA256SUMS"}
    for path, entry in entries.items():
        assert entry["bytes"] == (bundled / path).stat().st_size and entry["sha256"] == sha256_of(bundled / path)
    encoder, step = entries["graphs/encoder.int8.onnx"], entries["graphs/rnnt_step.onnx"]
    assert (encoder["role"], encoder["source"]) == ("graph", "ort/encoder.web.int8.onnx")
    assert 0 < encoder["check"]["figures"]["relative_rms"] <= encoder["check"]["bounds"]["relative_rms"] == 0.05
    assert step["check"]["figures"]["max_abs"] <= 1e-4 < step["check"]["bounds"]["max_abs"] < 2e-4
    assert step["licence"] == "Apache-2.0" and entries["lexicon/words.txt"]["licence"] == "NOASSERTION"
    assert manifest["checkpoint"]["sha256"] == sha256_of(DEMO / "demo-swipe.nemo")
    assert manifest["versions"]["torch"] == version("torch").partition("+")[0]
    assert manifest["versions"]["onnxruntime"] == version("onnxruntime")
    assert (manifest["command"], manifest["kind"], manifest["target"]) == ("make it", "bundled", "web")
    assert str(swipe) not in (bundled / "manifest.json").read_text(encoding="utf-8")


def test_bill_of_materials_is_cyclonedx(bundled: Path) -> None:
    """The bill is valid by the standard's schema and has every file that there was, with its hash."""
    text = (bundled / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = {part["name"]: part["hashes"][0]["content"] for part in json.loads(text)["components"]}
    assert components.keys() == files(bundled) - {"manifest.json", "SHA256SUMS", "sbom.cdx.json"}
    assert all(digest == sha256_of(bundled / name) for name, digest in components.items())


def test_readme_of_speech_runs_as_it_stands(speech: Path, desktop: Path, tmp_path: Path) -> None:
    """The README's Python lines print what this project's own decoding hears."""
    folder = Path(shutil.copytree(desktop, tmp_path / "demo"))
    clips = [json.loads(line) for line in (DEMO / "validation/manifest.jsonl").read_text("utf-8").splitlines()[:2]]
    [code] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    own = Recognizer(speech)
    for clip in clips:
        samples, rate = soundfile.read(DEMO / "validation" / clip["audio_filepath"], dtype="float32")
        soundfile.write(folder / "speech.wav", samples, rate, subtype="FLOAT")
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == own.transcribe([samples])[0].text


def flipped(folder: Path, path: str) -> None:
    content = bytearray((folder / path).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / path).write_bytes(content)


def removed(folder: Path, path: str) -> None:
    (folder / path).unlink()


@pytest.mark.parametrize("damage", [flipped, removed])
def test_one_byte_and_one_file_are_missed_by_name(
    damage: Callable[[Path, str], None], bundled: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Whatever file it is: the sentence names it, and the exit code is 1."""
    assert verify(bundled) == 0
    for number, path in enumerate(sorted(files(bundled))):
        folder = Path(shutil.copytree(bundled, tmp_path / str(number)))
        damage(folder, path)
        capsys.readouterr()
        assert verify(folder) == 1, path
        [sentence] = capsys.readouterr().err.splitlines()
        assert sentence.startswith("check failed: ") and path in sentence
        shutil.rmtree(folder)


def test_extra_files_are_told_by_name(bundled: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = Path(shutil.copytree(bundled, tmp_path / "demo"))
    (folder / "graphs/.hidden").touch()
    (folder / "lexicon/words.txt").unlink()
    (folder / "lexicon/words.txt").symlink_to(bundled / "lexicon/words.txt")
    assert verify(folder) == 1
    error = capsys.readouterr().err
    assert "graphs/.hidden does not belong to the package" in error and "lexicon/words.txt is not what" in error


def test_changed_checksums_are_seen(bundled: Path, tmp_path: Path, capsys: Capture) -> None:
    """SHA256SUMS made to fit a changed file does not fit the manifest."""
    folder = Path(shutil.copytree(bundled, tmp_path / "demo"))
    flipped(folder, "lexicon/words.txt")
    sums, (old, new) = folder / "SHA256SUMS", (sha256_of(root / "lexicon/words.txt") for root in (bundled, folder))
    sums.write_text(sums.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert verify(folder) == 1
    assert "SHA256SUMS was changed, as it does not list what manifest.json does" in capsys.readouterr().err


def test_what_is_no_package_exits_2(tmp_path: Path, capsys: Capture) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert verify(folder) == 2
        assert re.fullmatch(r"error: .* not a (package|folder); set DIR to .*\.\n", capsys.readouterr().err)


def test_packages_and_archives_are_the_same_bytes_again(swipe: Path, bundled: Path, tmp_path: Path) -> None:
    """Built from a copy of the build at another place: every file, the .zip and the .tar.zst are identical."""
    copy = Path(shutil.copytree(swipe, tmp_path / "another/place", ignore=shutil.ignore_patterns("*.raw.onnx")))
    assert bundle_swipe(copy, tmp_path / "again") == 0
    assert files(tmp_path / "again") == files(bundled)
    for path in files(bundled):
        assert (tmp_path / "again" / path).read_bytes() == (bundled / path).read_bytes(), path
    for form in ("zip", "tar.zst"):
        packed = []
        for folder, place in ((bundled, "x"), (tmp_path / "again", "y")):
            output = tmp_path / place / f"demo.{form}"
            assert run_worker("package/archive", "--package", folder / "SHA256SUMS", "--output", output) == 0
            packed.append(output)
        assert packed[0].read_bytes() == packed[1].read_bytes()
        unpack(packed[0], tmp_path / form)
        assert verify(tmp_path / form / "demo") == 0 and files(tmp_path / form / "demo") == files(bundled)
    assert (tmp_path / "x/demo.zip").stat().st_size <= SIX_MEGABYTES


def unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as content:
            assert content.testzip() is None
            content.extractall(folder)
        return
    with archive.open("rb") as stream:
        raw = zstandard.ZstdDecompressor().stream_reader(stream).read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as content:
        content.extractall(folder, filter="data")


def test_archives_have_a_bound_and_hold_whole_packages(bundled: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "demo.zip"
    package = ("--package", bundled / "SHA256SUMS")
    assert run_worker("package/archive", *package, "--max-bytes", 1000, "--output", output) == 1
    assert re.search(r"has \d+ bytes; the bound is 1000\.", capsys.readouterr().err)
    folder = Path(shutil.copytree(bundled, tmp_path / "demo"))
    removed(folder, "lexicon/trie.bin")
    assert run_worker("package/archive", "--package", folder / "SHA256SUMS", "--output", output) == 1
    assert "lexicon/trie.bin is missing" in capsys.readouterr().err and not output.exists()


def test_sidecars_come_along(speech: Path, tmp_path: Path, capsys: Capture) -> None:
    """Weights beside a graph are packaged with it, listed, and missed when they are gone."""
    built = with_sidecar(speech, tmp_path / "built")
    for part in ("checkpoint", "checks"):
        shutil.copytree(speech / part, built / part)
    check(built, "encoder")
    folder = tmp_path / "package"
    assert package(built, folder, SPEECH, "server") == 0
    entry = load(folder / "meta/runtime_meta.json")["graphs"]["encoder"]["fp32"]
    [sidecar] = entry["sidecars"]
    assert sidecar["file"] == "graphs/encoder.onnx.data" and sidecar["bytes"] > 1 << 20
    onnx.checker.check_model(folder / entry["file"])
    assert {"path": sidecar["file"], "role": "weights"}.items() <= next(
        entry.items() for entry in load(folder / "manifest.json")["files"] if entry["path"] == sidecar["file"]
    )
    (folder / sidecar["file"]).unlink()
    assert verify(folder) == 1
    assert "graphs/encoder.onnx.data is missing" in capsys.readouterr().err


def other_bytes(built: Path) -> None:
    path = built / "onnx/rnnt_step.onnx"
    onnx.save(onnx.load(path), path)
    path.write_bytes(path.read_bytes() + b"\x62\x00")


def edited(path: str, **changes: Any) -> Callable[[Path], None]:
    def edit(built: Path) -> None:
        (built / path).write_text(json.dumps(load(built / path) | changes), encoding="utf-8")

    return edit


def other_checkpoint(built: Path) -> None:
    """Make all metadata that of another checkpoint than the graphs'."""
    for name in ("runtime_meta", "model_meta"):
        edited(f"meta/{name}.json", source={"file": "other.nemo", "sha256": "0" * 64})(built)


STOPS: dict[str, tuple[Callable[[Path], object], str]] = {
    "unchecked": (lambda built: (built / "checks/encoder.onnx.check.json").unlink(), "encoder.onnx is not checked"),
    "failed": (edited("checks/frontend.onnx.check.json", passed=False), "frontend.onnx has not passed its check"),
    "stale": (other_bytes, "rnnt_step.onnx.check.json is of another rnnt_step.onnx than there is now"),
    "missing": (lambda built: (built / "onnx/encoder.onnx").unlink(), "encoder.onnx does not exist; build it first"),
    "of another checkpoint": (other_checkpoint, "encoder.onnx was made from demo-tdt.nemo"),
    "stale metadata": (
        edited("meta/runtime_meta.json", tokens=["a"]),
        "runtime_meta.json is of another model",
    ),
}


@pytest.mark.parametrize("reason", STOPS)
def test_what_is_unchecked_or_stale_is_not_packaged(reason: str, speech: Path, tmp_path: Path, capsys: Capture) -> None:
    """One sentence, exit code 2, and no folder."""
    built = tmp_path / "built"
    for part in ("onnx", "meta", "checks"):
        shutil.copytree(speech / part, built / part, ignore=shutil.ignore_patterns("*.raw.onnx"))
    damage, sentence = STOPS[reason]
    damage(built)
    capsys.readouterr()
    assert package(built, tmp_path / "packages/desktop", SPEECH, "desktop") == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and sentence in error
    assert not (tmp_path / "packages").exists()


def test_assets_are_bundled_and_never_overwrite_each_other(speech: Path, tmp_path: Path, capsys: Capture) -> None:
    for path in ("a/words.txt", "b/Words.txt", "data/x/one.bin", "data/two.bin"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path, encoding="utf-8")
    assets = [tmp_path / "a/words.txt", tmp_path / "data"]
    assert package(speech, tmp_path / "p", SPEECH, "desktop", "--assets", *assets) == 0
    found = {path for path in files(tmp_path / "p") if path.startswith("assets/")}
    assert found == {"assets/words.txt", "assets/data/x/one.bin", "assets/data/two.bin"}
    assert (tmp_path / "p/assets/words.txt").read_text(encoding="utf-8") == "a/words.txt"
    # Names that differ by case only are one file on many disks.
    assert package(speech, tmp_path / "q", SPEECH, "desktop", "--assets", *assets, tmp_path / "b/Words.txt") == 2
    assert "would both be assets/Words.txt in the package; rename one" in capsys.readouterr().err
    assert package(speech, tmp_path / "q", SPEECH, "desktop", "--assets", tmp_path / "none") == 2
    assert "none does not exist; correct BUNDLE_ASSETS" in capsys.readouterr().err
    assert not (tmp_path / "q").exists()


def test_folders_that_are_no_package_are_kept(speech: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "desktop").mkdir()
    (tmp_path / "desktop/mine.txt").write_text("mine")
    assert package(speech, tmp_path / "desktop", SPEECH, "desktop") == 2
    assert "is not a package" in capsys.readouterr().err and (tmp_path / "desktop/mine.txt").read_text() == "mine"


def test_word_pieces_have_no_trie(speech: Path, swipe: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ("--lexicon", swipe / "lexicons/lexicon_small.txt", "--checkpoint", speech / "checkpoint")
    assert run_worker("swipe/write_trie", *words, "--output", tmp_path / "trie.bin") == 2
    assert "its labels are pieces of words" in capsys.readouterr().err


def test_streaming_models_share_weights_in_a_package(built: ByKind, tmp_path: Path) -> None:
    """Both encoders of a cache-aware model are packaged, and load from there."""
    out = built("cache-aware-rnnt")
    build_streaming(out)
    check(out, "frontend", "encoder", "rnnt_step", "encoder_streaming")
    assert write_runtime_meta(out) == 0
    graphs = SPEECH | {"encoder_streaming.onnx": "onnx/encoder_streaming.onnx"}
    assert package(out, tmp_path / "p", graphs, "server") == 0
    meta = load(tmp_path / "p/meta/runtime_meta.json")
    assert meta["graphs"].keys() == {"encoder", "encoder_streaming", "frontend", "rnnt_step"} and meta["streaming"]


def test_android_packages_hold_executorch_files(swipe: Path, tmp_path: Path, capsys: Capture) -> None:
    """A .pte goes in with what tells its inputs, and only if it was made from the same checkpoint."""
    step, checkpoint = swipe / "pte/rnnt_step.pte", ("--checkpoint", swipe / "checkpoint")
    lowered = ("--graph", "rnnt_step", *checkpoint, "--max-frames", 512, "--output", step)
    assert run_worker("pte/lower", *lowered) == 0
    report = swipe / "checks/rnnt_step.pte.check.json"
    assert run_worker("pte/check", "--pte", step, *checkpoint, "--max-abs", 1e-4, "--output", report) == 0
    graphs = {"rnnt_step.pte": "pte/rnnt_step.pte", "rnnt_step.onnx": "onnx/rnnt_step.onnx"}
    folder = tmp_path / "android"
    assert package(swipe, folder, graphs, "android") == 0 and verify(folder) == 0
    assert (folder / "graphs/rnnt_step.json").read_bytes() == step.with_suffix(".json").read_bytes()
    assert load(folder / "meta/runtime_meta.json")["graphs"]["rnnt_step"].keys() == {"fp32", "fp32.pte"}
    entry = next(e for e in load(folder / "manifest.json")["files"] if e["path"] == "graphs/rnnt_step.pte")
    assert entry["check"]["figures"]["delegated_share"] >= 0.9
    assert load(folder / "manifest.json")["versions"]["executorch"] == version("executorch")
    about = load(step.with_suffix(".json"))
    about["facts"]["source"]["sha256"] = "0" * 64
    step.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
    assert package(swipe, folder, graphs, "android") == 2
    assert "rnnt_step.pte was made from demo-swipe.nemo (000000000000)" in capsys.readouterr().err


def test_android_packages_hold_ort_files(swipe: Path, tmp_path: Path, capsys: Capture) -> None:
    """A flatbuffer goes in with a check of its own, that needs the check of the file that it was made from."""
    base, ort = (swipe / f"ort/encoder.web.int8.{kind}" for kind in ("onnx", "ort"))
    optimised = ("--graph", "encoder", "--target", "web", "--input", base, "--output", ort)
    assert run_worker("ort/optimize", *optimised) == 0
    compared = ("--graph", "encoder", "--ort", ort, "--base", base)
    output = swipe / "checks/encoder.web.int8.ort.check.json"
    assert run_worker("ort/check", *compared, "--checks", tmp_path, "--output", output) == 2
    assert "encoder.web.int8.onnx is not checked" in capsys.readouterr().err
    assert run_worker("ort/check", *compared, "--checks", swipe / "checks", "--output", output) == 0
    assert 0 <= load(output)["figures"]["relative_rms"] < 0.05
    graphs = {"encoder.int8.ort": "ort/encoder.web.int8.ort", "rnnt_step.onnx": "onnx/rnnt_step.onnx"}
    assert package(swipe, tmp_path / "p", graphs, "android") == 0 and verify(tmp_path / "p") == 0
    assert load(tmp_path / "p/meta/runtime_meta.json")["graphs"]["encoder"].keys() == {"int8.ort"}


def test_make_packages_from_checks_and_once(tmp_path: Path, swipe: Path) -> None:
    """From nothing, Make plans every check before the package; then it packages once, and again after a check."""
    project, out = make_project(tmp_path), tmp_path / "out"
    (project / "models").symlink_to(DEMO)
    arguments = ["CONFIG=demo-swipe", f"OUT={out}", f"PACKAGE_DIR={tmp_path / 'p'}", "TARGET=web"]
    plan = make(*arguments, "--dry-run", "package-bundled", cwd=project).stdout
    order = (
        "checkpoint/unpack",
        "export/export_graph",
        "quantize/int8",
        "swipe/evaluate",
        "quantize/check",
        "package/bundle",
    )
    assert [plan.index(step) for step in order] == sorted(plan.index(step) for step in order)
    for step in (
        "swipe/prepare_lexicons",
        "swipe/write_trie",
        "package/write_runtime_meta",
        "checks/rnnt_step.onnx.check.json",
    ):
        assert plan.index(step) < plan.index("py/package/bundle.py") < plan.index("package/archive")
    # Take the build for done: stamps as Make writes them, all else touched, and not the packages.
    for part in ("checkpoint", "onnx", "ort", "meta", "checks", "lexicons", "lexicon"):
        shutil.copytree(swipe / part, out / part)
    stamps = [f"{out}/.flags/{name}" for name in re.findall(r"\.flags/([\w.-]+)", plan)]
    assert make(*arguments, *stamps, cwd=project).returncode == 0
    sums = tmp_path / "p/bundled/web/SHA256SUMS"
    touched = re.findall(r"--output (\S+/out/\S+)", plan)
    done = make(*arguments, "--touch", *touched, cwd=project)
    assert done.returncode == 0, done.stderr
    done = make(*arguments, "package-bundled", cwd=project)
    assert done.returncode == 0 and done.stdout.count("PACKAGE") == done.stdout.count("ARCHIVE") == 1, done.stderr
    manifest = load(sums.parent / "manifest.json")
    assert manifest["command"] == "make package-bundled LEXICON=lexicon_full.txt CONFIG=demo-swipe TARGET=web"
    words = next(entry for entry in manifest["files"] if entry["path"] == "lexicon/words.txt")
    assert words["licence"] == "CC-BY-SA-4.0"
    assert "wordfreq by Robyn Speer" in (sums.parent / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "p/demo-swipe-bundled-web.zip").exists()
    assert "Nothing to be done" in make(*arguments, "package-bundled", cwd=project).stdout
    assert make(f"DIR={sums.parent}", "verify-package", cwd=project).returncode == 0
    flipped(sums.parent, "graphs/rnnt_step.onnx")
    done = make(f"DIR={sums.parent}", "verify-package", cwd=project)
    assert done.returncode != 0 and "graphs/rnnt_step.onnx is not what SHA256SUMS says" in done.stderr
    (out / "checks/rnnt_step.onnx.check.json").touch()
    done = make(*arguments, "package-bundled", cwd=project)
    assert "PACKAGE" in done.stdout and make(f"DIR={sums.parent}", "verify-package", cwd=project).returncode == 0


def test_make_tells_wrong_settings_in_one_sentence() -> None:
    for arguments, sentence in (
        (["TARGET=phone", "package-dynamic"], "TARGET is 'phone': set it to one or more of web android desktop server"),
        (["verify-package"], "Set DIR to the folder of a package"),
    ):
        done = make(*arguments)
        assert done.returncode == 2 and sentence in done.stderr
