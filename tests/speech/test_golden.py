"""The golden cases of speech: what they cover, and that the reference makes them, whole and in pieces."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEMO, ByKind, run_worker
from golden import FOLDER, SPEECH, TOLERANCE, golden, require_same_search, unpacked
from speech.write_golden import listed, watching
from transducer.core.cli import sha256_of
from transducer.decoding.beam_search import BeamSearch
from transducer.decoding.greedy import StepDecoder
from transducer.decoding.phrases import Phrases
from transducer.runtime.sessions import open_session
from transducer.speech.audio import read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.meta import read_meta
from transducer.speech.recognizer import Recognizer
from transducer.speech.steering import Steering
from transducer.speech.transcript import Vocabulary

each_model = pytest.mark.parametrize("name", SPEECH)


@each_model
def test_cases_are_of_the_model_that_is_checked_in(name: str) -> None:
    assert golden(name)["meta"]["source"]["sha256"] == sha256_of(DEMO / f"{name}.nemo"), (
        f"run `make golden CONFIG={name}`"
    )


@each_model
def test_each_search_finds_something_of_its_own_in_3_mb(name: str) -> None:
    content = golden(name)
    cases = [case["searches"] for case in content["cases"]]
    assert len(cases) == 60 and len(content["searches"]["hotwords"]["hotwords"]) == 20
    texts = {search: [case[search]["n_best"][0]["text"] for case in cases] for search in content["searches"]}
    for search, others in (("greedy", texts["beam"]), ("hotwords", texts["beam"])):
        assert sum(one != other for one, other in zip(texts[search], others, strict=True)) >= 5
    # Cases of a model that hears nothing would test nothing.
    heard = zip(texts["hotwords"], [case["text"] for case in content["cases"]], strict=True)
    assert sum(one == other for one, other in heard) >= 30
    assert (FOLDER / f"{name}.json.gz").stat().st_size < 3e6


@each_model
def test_the_reference_hears_and_searches_every_case(built: ByKind, name: str) -> None:
    out, content = built(str(DEMO / f"{name}.nemo")), golden(name)
    recognizer = Recognizer(out)
    decoder = StepDecoder(read_meta(out), open_session(out / "onnx/rnnt_step.onnx", threads=1))
    encoder = open_session(out / "onnx/encoder.onnx", threads=1)
    first, second = (value.name for value in encoder.get_inputs())
    for number, case in enumerate(content["cases"]):
        wave = read_audio(DEMO / "validation" / case["audio"], recognizer.sample_rate)
        features, lengths = recognizer.features([wave])
        assert ("features" in case) == (number % 5 == 0)
        if "features" in case:
            expected = unpacked(case["features"], "float16")
            np.testing.assert_allclose(features[0, :, : lengths[0]], expected, 1e-3, 1e-3)
        encoded, frames = encoder.run(None, {first: features, second: lengths})
        np.testing.assert_allclose(encoded[0, :, : frames[0]].T, unpacked(case["encoder_frames"]), 0, TOLERANCE)
        for search in content["searches"]:
            require_same_search(searched(content, decoder, search, case, [10**6]), case["searches"][search])


@each_model
@pytest.mark.parametrize("sizes", [[1], [5], [3, 16]])
def test_frames_that_come_in_pieces_are_searched_alike(built: ByKind, name: str, sizes: list[int]) -> None:
    out, content = built(str(DEMO / f"{name}.nemo")), golden(name)
    decoder = StepDecoder(read_meta(out), open_session(out / "onnx/rnnt_step.onnx", threads=1))
    for case in content["cases"][::3]:
        for search in content["searches"]:
            require_same_search(searched(content, decoder, search, case, sizes), case["searches"][search])


def searched(content: Any, decoder: StepDecoder, name: str, case: Any, sizes: list[int]) -> dict[str, Any]:
    """Return what a search goes through and finds in a case, whose frames come in pieces of these sizes in turn."""
    search, meta = content["searches"][name], content["meta"]
    vocabulary = Vocabulary(meta["tokens"][: meta["blank_id"]], meta["tokenizer"])
    bias = Phrases(search["hotwords"], vocabulary.spelt) if search["hotwords"] else None
    beam = BeamSearch(decoder, search["beam"], bias, search["threshold"])
    frames, state, steps = unpacked(case["encoder_frames"]), beam.initial_state(1), list[dict[str, Any]]()
    ends = itertools.accumulate(itertools.cycle(sizes), initial=0)
    for start, end in itertools.pairwise(ends):
        piece = frames[start:end]
        if not len(piece):
            break
        state = beam.decode(piece.T[None], np.array([len(piece)]), state, watching(steps))
    return {"steps": steps, "n_best": listed(beam.alternatives(state)[0], vocabulary)}


def test_streams_hear_what_files_do(streaming: ByKind) -> None:
    """The cache-aware encoder, window by window, and a beam search that goes on from each to the next."""
    out, content = streaming(str(DEMO / "demo-streaming.nemo")), golden("demo-streaming")
    live = LiveRecognizer(out, steering=Steering(content["searches"]["beam"]["beam"]))
    cases = content["cases"][::2]
    waves = [read_audio(DEMO / "validation" / case["audio"], live.sample_rate) for case in cases]
    for transcript, case in zip(live.transcribe(waves), cases, strict=True):
        expected: dict[str, float] = {}
        for one in case["searches"]["beam"]["n_best"]:
            expected.setdefault(one["text"], one["score"])
        assert [text for text, _ in transcript.alternatives] == list(expected)
        np.testing.assert_allclose(
            [score for _, score in transcript.alternatives], list(expected.values()), 0, TOLERANCE
        )


def test_two_runs_write_the_same_bytes_and_few_recordings_are_refused(
    built: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, meta = built(str(DEMO / "demo-tdt.nemo")), tmp_path / "runtime_meta.json"
    facts = ("--meta", out / "meta/model_meta.json", "--tokens", out / "meta/tokens.txt")
    assert run_worker("package/write_runtime_meta", *facts, "--output", meta) == 0
    graphs = [item for graph in ("frontend", "encoder") for item in (f"--{graph}", out / f"onnx/{graph}.onnx")]
    inputs = (*graphs, "--step", out / "onnx/rnnt_step.onnx", *facts[:2], "--runtime-meta", meta)
    one, two = tmp_path / "one.json.gz", tmp_path / "two.json.gz"
    for output in (one, two):
        manifest = ("--manifest", DEMO / "validation/manifest.jsonl")
        assert run_worker("speech/write_golden", *inputs, *manifest, "--output", output) == 0
    assert one.read_bytes() == two.read_bytes()
    lines = (DEMO / "validation-espeak-ng/manifest.jsonl").read_text().splitlines()[:119]
    few = tmp_path / "few.jsonl"
    audio = str(DEMO / "validation/audio/00000.ogg")
    few.write_text("".join(f"{json.dumps({**json.loads(line), 'audio_filepath': audio})}\n" for line in lines))
    refused = tmp_path / "refused.json.gz"
    assert run_worker("speech/write_golden", *inputs, "--manifest", few, "--output", refused) == 2
    assert "few.jsonl has 119 recordings; give one of at least 120" in capsys.readouterr().err
    assert not refused.exists()
