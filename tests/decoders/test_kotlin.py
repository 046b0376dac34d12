"""The Kotlin decoder, compiled by the real compiler, against the reference and its golden cases."""

import itertools
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEMO, ByKind, needs, run_worker
from decoders.kotlin_process import SOURCES, Decoder, compile_decoder, install_compiler, kotlinc
from decoders.packages import LEXICON
from golden import bigrams, golden, in_context, require_same_beams, require_same_words, unpacked, words
from swipe.write_golden import spell_nodes
from transducer.core.cli import sha256_of, write_json
from transducer.package.facts import read_facts, read_tokens
from transducer.package.runtime_meta import describe, describe_graphs, role_and_variant
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.keyboard import read_layout
from transducer.swipe.lexicon import NONE, ROOT, Lexicon, log_prior
from transducer.swipe.recognition import open_step
from transducer.swipe.trie import write_trie

pytestmark = needs("java", "javac", "npm")
CASES = golden()["cases"]
META = golden()["meta"]
SEARCH = META["decoding"]
ODD = json.loads((Path(__file__).parents[1] / "golden_features.json").read_text(encoding="utf-8"))
# Graphs as an Android package names them; these are all for ONNX Runtime, which runs them in ExecuTorch's place too.
NAMES = {
    "encoder": ["encoder.onnx", "encoder.xnnpack.pte", "encoder.int8.pte"],
    "rnnt_step": ["rnnt_step.onnx", "rnnt_step.pte"],
}
SWIPE = CASES[0]["points"]
# ExecuTorch's Java classes as an app ships them, for Android and so without a library that runs here.
EXECUTORCH_CLASSES = ("react-native-executorch@0.9.3", "package/android/libs/classes.jar")


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(words(), META["tokens"][:-1])


@pytest.fixture(scope="module")
def package(built: ByKind, lexicon: Lexicon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundled package of the demo model, its graphs once more as what ExecuTorch is to run."""
    out, folder = built(str(DEMO / "demo-swipe.nemo")), tmp_path_factory.mktemp("package")
    (folder / "graphs").mkdir()
    for graph in ("encoder", "rnnt_step"):
        for name in NAMES[graph]:
            shutil.copy(out / f"onnx/{graph}.onnx", folder / "graphs" / name)
    (folder / "lexicon").mkdir()
    (folder / "lexicon/words.txt").write_text("".join(f"{word}\n" for word in lexicon.words), encoding="utf-8")
    write_trie(lexicon, folder / "lexicon/trie.bin")
    meta = describe(read_facts(out / "meta/model_meta.json"), read_tokens(out / "meta/tokens.txt"), decoding())
    meta["graphs"] = describe_graphs((folder / "graphs").iterdir(), folder)
    (folder / "lexicon/bigrams.bin").write_bytes(bigrams())
    meta["lexicon"] = {name: f"lexicon/{file}" for name, file in LEXICON.items()}
    write_json(folder / "meta/runtime_meta.json", meta)
    shutil.copytree(DEMO.parent / "configs/layouts", folder / "layouts")
    write_sums(folder)
    return folder


def write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{sha256_of(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def decoding(**changes: float) -> dict[str, float]:
    return {key: SEARCH[key] for key in ("beam", "threshold", "prior_weight", "length_power")} | changes


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return compile_decoder(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def process(classes: list[Path]) -> Iterator[Decoder]:
    with Decoder(classes) as decoder:
        yield decoder


@pytest.fixture
def decoder(process: Decoder, package: Path) -> Decoder:
    assert process.do("open", package=str(package)) is None
    process.runs.clear()
    process.loads.clear()
    return process


def decode(decoder: Decoder, points: Any, count: int = 10) -> dict[str, Any]:
    return dict(decoder.do("decode", points=points, count=count))


def test_every_golden_case_comes_out_the_same(decoder: Decoder, lexicon: Lexicon) -> None:
    ahead = dict(zip(spell_nodes(lexicon, META["tokens"]), lexicon.ahead.tolist(), strict=True))
    for case in CASES:
        features = decoder.do("features", points=case["points"])
        expected = unpacked(case["features"])
        assert [features["rows"], features["columns"]] == list(expected.shape)
        np.testing.assert_allclose(features["values"], expected.ravel(), rtol=0, atol=2e-6)
        found = decode(decoder, case["points"])
        require_same_words(found["n_best"], case["n_best"])
        require_same_beams(found["beams"], case["beams"], lambda prefix: SEARCH["prior_weight"] * ahead[prefix])
    steps = [shapes for name, shapes in decoder.runs if name == "rnnt_step.onnx"]
    for case in in_context():
        context = case["context"]
        found = decoder.do("decode", points=case["points"], count=10, previous=context["previous"])
        require_same_words(found["n_best"], context["n_best"])
    require_same_words(decode(decoder, case["points"])["n_best"], case["n_best"])
    assert max(shapes["y"] for shapes in steps) == (SEARCH["beam"],)  # one call for all prefixes
    encoders = [name for name, _ in decoder.runs if name == "encoder.onnx"]
    assert len(encoders) == len(CASES) + len(in_context()) + 1


def test_a_second_list_ranks_as_in_python(decoder: Decoder, package: Path, lexicon: Lexicon, tmp_path: Path) -> None:
    """Of a list in reverse order at a lower weight, with words that the first lacks."""
    second = [*reversed(lexicon.words[:3000]), "zorkmid", "qwop"]
    (tmp_path / "second.txt").write_text("\n".join(second), encoding="utf-8")
    assert decoder.do("open", package=str(package)) is None
    assert decoder.do("addAll", words=str(tmp_path / "second.txt"), weight=0.3) > 100
    union = Lexicon.of_lists([(lexicon.words, 1.0), (second, 0.3)], META["tokens"][:-1])
    assert decoder.do("contains", word="zorkmid") and "zorkmid" in union.words
    dims = META["dims"]
    search = BeamSearch(union, META["blank_id"], (dims["L"], dims["H"]), **META["decoding"])
    step = open_step(package / "graphs/rnnt_step.onnx")
    for case in CASES[::25]:
        expected = search.decode(unpacked(case["encoder_frames"]), step, 10)
        n_best = [{"word": one.word, "log_prob": one.log_prob, "score": one.score} for one in expected]
        require_same_words(decoder.do("decode", points=case["points"], count=10)["n_best"], n_best)
    assert decoder.do("addAll", words=str(tmp_path / "second.txt"), weight=0.0)["error"] == "BadLexicon"
    assert decoder.do("open", package=str(package)) is None


def test_a_swipe_is_read_on_the_keyboard_that_it_was_made_on(decoder: Decoder, package: Path) -> None:
    """The word's keys lie elsewhere on Dvorak, so it takes another swipe there."""
    dvorak = read_layout(DEMO.parent / "configs/layouts/dvorak.json")[0]
    corners = dvorak.centres_of("weather") / dvorak.size
    share = np.linspace(0, 1, 8, endpoint=False)[:, None] ** 2 * (3 - 2 * np.linspace(0, 1, 8, endpoint=False)[:, None])
    path = np.concatenate([a + (b - a) * share for a, b in itertools.pairwise(corners)])
    swipe = np.column_stack([path, 16.0 * np.arange(len(path))]).tolist()
    found = {}
    for name in ("dvorak", "qwerty"):
        assert decoder.do("open", package=str(package), layout=name) is None
        found[name] = decoder.do("decode", points=swipe, count=5)["n_best"][0]["word"]
    assert found["dvorak"] == "weather" != found["qwerty"]
    assert decoder.do("open", package=str(package), layout="few")["error"] == "MissingFile"
    assert decoder.do("open", package=str(package)) is None


def test_odd_traces_have_the_features_of_the_reference(decoder: Decoder) -> None:
    for entry in ODD:
        found = decoder.do("features", points=entry["points"], layout=entry["layout"])
        expected = np.array(entry["features"])
        assert found["rows"] == len(expected), entry["name"]
        np.testing.assert_allclose(found["values"], expected.ravel(), rtol=0, atol=2e-6, err_msg=entry["name"])


def test_the_executorch_adapter_gives_the_same(decoder: Decoder, package: Path) -> None:
    assert decoder.do("open", package=str(package), runtime="executorch") is None
    for case in CASES[::20]:
        require_same_words(decode(decoder, case["points"])["n_best"], case["n_best"])
    assert {name for name, _ in decoder.runs} == {"encoder.xnnpack.pte", "rnnt_step.pte"}


@pytest.mark.parametrize(("last", "sentence"), [(10, "too short"), (15_000, "too long")])
def test_a_swipe_that_executorch_does_not_take_is_a_typed_error(
    decoder: Decoder, package: Path, last: int, sentence: str
) -> None:
    swipe = [[0.5, 0.5, 0], [0.6, 0.5, last]]
    assert decoder.do("open", package=str(package), runtime="executorch") is None
    refused(decoder.do("decode", points=swipe, count=5), "BadTrace", sentence, "the encoder takes 3 to 512 frames")
    assert decoder.runs == []


def test_a_word_list_gives_the_same_as_its_trie(decoder: Decoder, package: Path) -> None:
    assert decoder.do("open", package=str(package), words=str(package / "lexicon/words.txt")) is None
    for case in CASES[::10]:
        require_same_words(decode(decoder, case["points"])["n_best"], case["n_best"])


def test_other_settings_do_what_they_do_in_the_reference(decoder: Decoder, package: Path, lexicon: Lexicon) -> None:
    settings = {"beam": 5, "max_symbols": 1, "prior_weight": 0.2, "length_power": 0.7, "threshold": 4.0}
    assert decoder.do("open", package=str(package), search=settings) is None
    search = BeamSearch(lexicon, META["blank_id"], (META["dims"]["L"], META["dims"]["H"]), **settings)  # type: ignore[arg-type]
    step = open_step(package / "graphs/rnnt_step.onnx")
    different = 0
    for case in CASES[::10]:
        expected = [vars(one) for one in search.decode(unpacked(case["encoder_frames"]), step, 10)]
        require_same_words(decode(decoder, case["points"])["n_best"], expected)
        different += [one["word"] for one in expected] != [one["word"] for one in case["n_best"]]
    assert different


def test_a_word_added_is_found_with_its_exact_score_and_gone_when_removed(
    decoder: Decoder, package: Path, tmp_path: Path
) -> None:
    """The lexicon lacks the word of a swipe; the reference's is made again with it, at the end."""
    case = next(case for case in CASES if case["kind"] == "rare" and case["n_best"][0]["word"] == case["word"])
    word, others = case["word"], [word for word in words() if word != case["word"]]
    (tmp_path / "words.txt").write_text("\n".join(others), encoding="utf-8")
    assert decoder.do("open", package=str(package), words=str(tmp_path / "words.txt")) is None
    before = decode(decoder, case["points"])["n_best"]
    assert decoder.do("contains", word=word) is False
    assert word not in [one["word"] for one in before]
    step = open_step(package / "graphs/rnnt_step.onnx")
    for prior in (None, -3.0):
        assert decoder.do("add", word=word, **({} if prior is None else {"prior": prior})) is None
        assert decoder.do("contains", word=word) is True
        expected = with_word(others, word, float(log_prior(np.array([1000]))[0]) if prior is None else prior)
        search = BeamSearch(expected, META["blank_id"], (META["dims"]["L"], META["dims"]["H"]), **SEARCH)
        found = [vars(one) for one in search.decode(unpacked(case["encoder_frames"]), step, 10)]
        require_same_words(decode(decoder, case["points"])["n_best"], found)
        assert found[0]["word"] == word
    assert [decoder.do("remove", word=word) for _ in range(2)] == [True, False]
    assert decoder.do("contains", word=word) is False
    require_same_words(decode(decoder, case["points"])["n_best"], before)


def with_word(others: list[str], word: str, prior: float) -> Lexicon:
    """Return the reference's lexicon of these words and one more, of a given prior."""
    lexicon = Lexicon([*others, word], META["tokens"][:-1])
    lexicon.prior[-1] = prior
    path = [ROOT]
    for letter in word:
        path.append(int(lexicon.children[path[-1], META["characters"][letter]]))
    for node in reversed(path):
        below = lexicon.children[node][lexicon.children[node] != NONE]
        ends = [lexicon.prior[lexicon.word[node]]] if lexicon.word[node] != NONE else []
        lexicon.ahead[node] = max([*ends, *lexicon.ahead[below]])
    return lexicon


def test_a_known_word_gets_its_own_prior_back(decoder: Decoder) -> None:
    case = CASES[0]
    word = case["n_best"][1]["word"]
    assert decoder.do("add", word=word, prior=0.0) is None
    assert decode(decoder, case["points"])["n_best"] != case["n_best"]
    assert decoder.do("remove", word=word) is True
    require_same_words(decode(decoder, case["points"])["n_best"], case["n_best"])


def test_a_package_without_a_lexicon_finds_the_words_of_the_user(
    decoder: Decoder, package: Path, tmp_path: Path
) -> None:
    folder = damaged(package, tmp_path, lexicon=None)
    assert decoder.do("open", package=str(folder)) is None
    case = next(case for case in CASES if case["n_best"][0]["word"] == case["word"])
    assert decode(decoder, case["points"])["n_best"] == []
    for word in ("kotlin", case["word"]):
        assert decoder.do("add", word=word) is None
    assert decode(decoder, case["points"], 1)["n_best"][0]["word"] == case["word"]


def damaged(package: Path, folder: Path, **changes: Any) -> Path:
    """Copy a package with other metadata; a change to None of what must be there leaves it out."""
    shutil.copytree(package, folder / "package")
    path = folder / "package/meta/runtime_meta.json"
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    write_json(
        path, {key: value for key, value in content.items() if value is not None or key in ("lexicon", "unknown_id")}
    )
    write_sums(folder / "package")
    return folder / "package"


def refused(answer: Any, kind: str, *sentence: str) -> None:
    """Require a typed error whose message is one sentence that says what is wrong."""
    assert answer is not None and answer["error"] == kind, answer
    assert answer["message"].endswith(".") and "\n" not in answer["message"]
    for part in sentence:
        assert part in answer["message"]


@pytest.mark.parametrize(
    ("points", "kind", "sentence"),
    [
        ([], "EmptyTrace", "no points"),
        ([[0.5, 0.5, 0]], "SinglePoint", "a tap"),
        ([[0.5, 0.5, 0], ["NaN", 0.5, 10]], "BadTrace", "not a finite number"),
        ([[0.5, 0.5, 0], [0.5, "Infinity", 10]], "BadTrace", "not a finite number"),
        ([[0.5, 0.5, 0], [0.5, 0.5, "NaN"]], "BadTrace", "not a finite number"),
        ([[0.5, 0.5, 0], [1.01, 0.5, 10]], "BadTrace", "outside the letter area"),
        ([[0.5, 0.5, 20], [0.6, 0.5, 10]], "BadTrace", "runs backwards"),
        ([[0.5, 0.5, 0], [0.6, 0.5, 20_001]], "BadTrace", "longer than 20 s"),
    ],
)
def test_a_bad_trace_is_a_typed_error(decoder: Decoder, points: Any, kind: str, sentence: str) -> None:
    refused(decoder.do("decode", points=points, count=5), kind, sentence)


@pytest.mark.parametrize(("word", "sentence"), [("", "empty"), ("naïve", '"ï"'), ("Kotlin", '"K"')])
def test_a_word_that_cannot_be_spelt_is_a_typed_error(decoder: Decoder, word: str, sentence: str) -> None:
    refused(decoder.do("add", word=word), "BadWord", sentence)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "is of format 2 and this decoder reads 1"),
        ({"format": "1"}, "lacks format"),
        ({"task": "speech"}, "for speech"),
        ({"model_type": "tdt"}, "of type tdt"),
        ({"blank_id": 0}, "blank is label 0, which is not the last"),
        ({"featurizer": {**META["featurizer"], "version": 2}}, "features of version 2"),
        ({"featurizer": {**META["featurizer"], "frame_seconds": 0.02}}, "features of frame_seconds 0.02"),
        ({"dims": {**META["dims"], "F": 40}}, "40 features"),
        ({"dims": {"F": 38}}, "lacks dims.D"),
        ({"layout": None}, "lacks layout"),
        ({"decoding": {**META["decoding"], "threshold": -1.0}}, "lacks decoding.threshold or has it in another form"),
    ],
    ids=str,
)
def test_metadata_of_another_kind_is_a_typed_error(
    decoder: Decoder, package: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    refused(decoder.do("open", package=str(damaged(package, tmp_path, **changes))), "BadPackage", sentence)


@pytest.mark.parametrize("content", ["", "{", '{"a": 01}', '{"a": "\n"}', "[1,]", '{"a": 1} x', "[" * 5000, '"\\u12'])
def test_metadata_that_is_no_json_is_a_typed_error(
    decoder: Decoder, package: Path, tmp_path: Path, content: str
) -> None:
    folder = damaged(package, tmp_path)
    (folder / "meta/runtime_meta.json").write_text(content, encoding="utf-8")
    write_sums(folder)
    refused(decoder.do("open", package=str(folder)), "BadPackage", "runtime_meta.json", "is not readable")


@pytest.mark.parametrize(
    "file",
    ["graphs/encoder.onnx", "graphs/rnnt_step.onnx", "meta/runtime_meta.json", "lexicon/trie.bin", "lexicon/words.txt"],
)
def test_a_file_with_one_bit_flipped_is_a_typed_error(
    decoder: Decoder, package: Path, tmp_path: Path, file: str
) -> None:
    path = damaged(package, tmp_path) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(decoder.do("open", package=str(tmp_path / "package")), "HashMismatch", file, "SHA-256")
    assert Path(file).name not in decoder.loads


def test_a_graph_of_another_model_is_a_typed_error(decoder: Decoder, package: Path, tmp_path: Path) -> None:
    """The sums are right, but the metadata is of other graphs."""
    folder = damaged(package, tmp_path)
    shutil.copy(folder / "graphs/rnnt_step.onnx", folder / "graphs/encoder.onnx")
    write_sums(folder)
    refused(decoder.do("open", package=str(folder)), "HashMismatch", "encoder.onnx", "what meta/runtime_meta.json says")


@pytest.mark.parametrize("file", ["meta/runtime_meta.json", "graphs/encoder.onnx", "lexicon/trie.bin", "SHA256SUMS"])
def test_a_missing_file_is_a_typed_error(decoder: Decoder, package: Path, tmp_path: Path, file: str) -> None:
    folder = damaged(package, tmp_path)
    (folder / file).unlink()
    refused(decoder.do("open", package=str(folder)), "MissingFile", file, "is not there")


def test_a_file_that_is_not_listed_is_a_typed_error(decoder: Decoder, package: Path, tmp_path: Path) -> None:
    """Metadata may not lead to files that are not of the package."""
    words = {"words": "../words.txt", "trie": "lexicon/trie.bin"}
    (tmp_path / "words.txt").write_text("word\n", encoding="utf-8")
    answer = decoder.do("open", package=str(damaged(package, tmp_path, lexicon=words)))
    refused(answer, "MissingFile", "../words.txt is not listed")


def test_an_unknown_variant_is_told_with_those_there_are(decoder: Decoder, package: Path) -> None:
    answer = decoder.do("open", package=str(package), variant="int3")
    refused(answer, "BadPackage", "no encoder of variant int3 but fp32, int8.pte, xnnpack.pte")


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [(0, 0, "not of format 1"), (4, 9, "not of format 1"), (8, 1, "bytes"), (24, 0xFF, "tree")],
)
def test_a_damaged_trie_is_a_typed_error(
    decoder: Decoder, package: Path, tmp_path: Path, place: int, value: int, sentence: str
) -> None:
    path = damaged(package, tmp_path) / "lexicon/trie.bin"
    content = bytearray(path.read_bytes())
    content[place] = value
    path.write_bytes(content)
    write_sums(tmp_path / "package")
    refused(decoder.do("open", package=str(tmp_path / "package")), "BadLexicon", sentence)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (0, 1, "not of format 1"),
        (4, 9, "not of format 1"),
        (12, 1, "bytes"),
        (16, 1, "another word list"),
        (20, 9, "pairs"),
    ],
)
def test_damaged_bigrams_are_a_typed_error(
    decoder: Decoder, package: Path, tmp_path: Path, place: int, value: int, sentence: str
) -> None:
    path = damaged(package, tmp_path) / "lexicon/bigrams.bin"
    content = bytearray(path.read_bytes())
    content[place] ^= value
    path.write_bytes(content)
    write_sums(tmp_path / "package")
    refused(decoder.do("open", package=str(tmp_path / "package")), "BadLexicon", sentence)


@pytest.mark.parametrize("runtime", ["onnxruntime", "executorch"])
def test_a_graph_that_a_runtime_refuses_is_a_typed_error(
    decoder: Decoder, package: Path, tmp_path: Path, runtime: str
) -> None:
    """Nonsense with the right hash, and then graphs of the right form in each other's place."""
    folder = damaged(package, tmp_path)
    names = ("encoder.onnx", "rnnt_step.onnx") if runtime == "onnxruntime" else ("encoder.xnnpack.pte", "rnnt_step.pte")
    encoder, step = (folder / "graphs" / name for name in names)
    right = encoder.read_bytes(), step.read_bytes()
    assert answer_with(decoder, folder, runtime, {encoder: right[0], step: right[1]}) is None
    refused(answer_with(decoder, folder, runtime, {encoder: b"nonsense"}), "BadGraph", encoder.name, "cannot be loaded")
    assert answer_with(decoder, folder, runtime, {encoder: right[1], step: right[0]}) is None
    refused(decode(decoder, SWIPE), "BadGraph", "A graph failed")


def answer_with(decoder: Decoder, folder: Path, runtime: str, graphs: dict[Path, bytes]) -> Any:
    """Put content in the place of graphs, with the hashes that it has, and open the package."""
    for path, content in graphs.items():
        path.write_bytes(content)
    path = folder / "meta/runtime_meta.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"graphs": hashes(folder)})
    write_sums(folder)
    decoder.forget_graphs()
    return decoder.do("open", package=str(folder), runtime=runtime)


def hashes(folder: Path) -> dict[str, Any]:
    """Return what metadata says of graphs, whatever is in them."""
    graphs: dict[str, Any] = {}
    for path in sorted((folder / "graphs").glob("*[ex]")):  # .onnx and .pte
        role, variant = role_and_variant(path.name)
        graphs.setdefault(role, {})[variant] = {"file": f"graphs/{path.name}", "sha256": sha256_of(path)}
    return graphs


@pytest.mark.slow
def test_executorch_files_find_the_same_words(decoder: Decoder, package: Path, built: ByKind, tmp_path: Path) -> None:
    """Real .pte files, in ExecuTorch's own runtime."""
    checkpoint = ("--checkpoint", built(str(DEMO / "demo-swipe.nemo")) / "checkpoint")
    folder = damaged(package, tmp_path)
    for graph, name in (("encoder", "encoder.xnnpack.pte"), ("rnnt_step", "rnnt_step.pte")):
        output = folder / "graphs" / name
        assert run_worker("pte/lower", *checkpoint, "--graph", graph, "--max-frames", 512, "--output", output) == 0
    path = folder / "meta/runtime_meta.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"graphs": hashes(folder)})
    write_sums(folder)
    decoder.forget_graphs()
    assert decoder.do("open", package=str(folder), runtime="executorch") is None
    for case in CASES[::4]:
        found = decode(decoder, case["points"])["n_best"]
        require_same_words(found, case["n_best"])
    refused(decode(decoder, [[0.5, 0.5, 0], [0.5, 0.5, 10]]), "BadTrace", "the encoder takes 3 to 512 frames")
    decoder.forget_graphs()


@pytest.mark.slow
def test_the_executorch_adapter_compiles_with_the_classes_that_apps_ship(classes: list[Path], tmp_path: Path) -> None:
    install_compiler()
    name, member = EXECUTORCH_CLASSES
    packed = subprocess.run(["npm", "pack", name], cwd=tmp_path, check=True, capture_output=True, text=True)
    with tarfile.open(tmp_path / packed.stdout.split()[-1]) as archive:
        archive.extract(member, tmp_path, filter="data")
    kotlinc(tmp_path / "out", [classes[0], tmp_path / member], SOURCES / "executorch/src/main/kotlin")
