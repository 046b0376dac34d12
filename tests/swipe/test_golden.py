"""The golden cases themselves: what they cover, and that the reference makes them from the checked-in model."""

import gzip
import json
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from conftest import DEMO, ROOT, ByKind, run_worker
from golden import FOLDER, TOLERANCE, golden, require_same_beams, require_same_words, unpacked, words
from swipe.write_golden import Beams, spell_nodes
from transducer.core.cli import sha256_of
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import layout_of
from transducer.swipe.lexicon import Lexicon
from transducer.swipe.recognition import encoder_frames, open_encoder, open_step

STALE = "run `make golden CONFIG=demo-swipe`"


def test_cases_are_of_the_model_that_is_checked_in() -> None:
    assert golden()["meta"]["source"]["sha256"] == sha256_of(DEMO / "demo-swipe.nemo"), STALE


def test_rare_long_short_and_apostrophe_words_are_there_in_5_mb() -> None:
    kinds = Counter(case["kind"] for case in golden()["cases"])
    assert kinds.total() == 200
    assert min(kinds[kind] for kind in ("rare", "long", "short", "apostrophe", "common")) >= 20
    assert sum((FOLDER / name).stat().st_size for name in ("cases.json.gz", golden()["words"])) < 5e6
    # Cases of a model that reads nothing would test nothing. Half of them are of kinds that are hard to read.
    right = sum(case["word"] in [one["word"] for one in case["n_best"][:3]] for case in golden()["cases"])
    assert right >= 160


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(words(), golden()["meta"]["tokens"][:-1])


def test_the_reference_reproduces_every_case(built: ByKind, lexicon: Lexicon) -> None:
    meta, out = golden()["meta"], built(str(DEMO / "demo-swipe.nemo"))
    encode, step = open_encoder(out / "onnx/encoder.onnx"), open_step(out / "onnx/rnnt_step.onnx")
    layout = layout_of(meta["layout"], "cases.json.gz")
    search = BeamSearch(lexicon, meta["blank_id"], (meta["dims"]["L"], meta["dims"]["H"]), **meta["decoding"])
    prefixes = spell_nodes(lexicon, meta["tokens"])
    ahead = dict(zip(prefixes, lexicon.ahead.tolist(), strict=True))

    def rank(prefix: str) -> float:
        return float(meta["decoding"]["prior_weight"] * ahead[prefix])

    for case in golden()["cases"]:
        features = swipe_features(np.array(case["points"]), layout)
        np.testing.assert_allclose(features, unpacked(case["features"]), rtol=0, atol=2e-6)
        frames = encoder_frames(encode, features)
        np.testing.assert_allclose(frames, unpacked(case["encoder_frames"]), rtol=0, atol=TOLERANCE)
        beams = Beams(prefixes)
        found = search.decode(frames, step, 10, beams)
        require_same_words([vars(one) for one in found], case["n_best"])
        require_same_beams(beams.seen, case["beams"], rank)


def test_two_runs_write_the_same_bytes(built: ByKind, tmp_path: Path) -> None:
    out = built(str(DEMO / "demo-swipe.nemo"))
    encoder, step, meta = out / "onnx/encoder.onnx", out / "onnx/rnnt_step.onnx", out / "meta/runtime_meta.json"
    facts = ("--meta", out / "meta/model_meta.json", "--tokens", out / "meta/tokens.txt")
    assert run_worker("package/write_runtime_meta", *facts, "--output", meta) == 0
    with gzip.open(DEMO / "swipe-test/manifest.jsonl.gz", "rt", encoding="utf-8") as stream:
        (tmp_path / "some.jsonl").write_text("".join(islice(stream, 8)), encoding="utf-8")
    (tmp_path / "words.txt").write_text("\n".join(words()[:3000]), encoding="utf-8")
    text = ("--words", tmp_path / "words.txt", "--text", ROOT / "LICENSE")
    assert run_worker("swipe/write_bigrams", *text, "--output", tmp_path / "bigrams.bin") == 0
    lists = ("--lexicon", tmp_path / "words.txt", "--bigrams", tmp_path / "bigrams.bin")
    inputs = ("--manifest", tmp_path / "some.jsonl", *lists)
    for name in ("one", "two"):
        cases = tmp_path / name / "cases.json.gz"
        made = run_worker(
            "swipe/write_golden", "--encoder", encoder, "--step", step, "--meta", meta, *inputs, "--output", cases
        )
        assert made == 0
    for name in ("cases.json.gz", "words.txt.gz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert len(json.loads(gzip.decompress((tmp_path / "one/cases.json.gz").read_bytes()))["cases"]) == 8


def test_a_speech_model_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "meta.json").write_text('{"task": "speech"}', encoding="utf-8")
    graphs = ("--encoder", tmp_path / "e.onnx", "--step", tmp_path / "s.onnx", "--meta", tmp_path / "meta.json")
    lists = ("--manifest", tmp_path / "m.jsonl", "--lexicon", tmp_path / "w.txt", "--bigrams", tmp_path / "b.bin")
    assert run_worker("swipe/write_golden", *graphs, *lists, "--output", tmp_path / "cases.json.gz") == 2
    assert "is of a model for speech; give one of a model for swipe" in capsys.readouterr().err
    assert not (tmp_path / "cases.json.gz").exists()
