"""Streams transcribed while they are heard, against the offline graphs and through real pipes.

Example:
    .venv/bin/python -m pytest tests/test_live.py
"""

import itertools
import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEMO, ROOT, ByKind, make, run_worker
from transducer.core.error_rates import rate, word_errors
from transducer.export.streaming import Streaming
from transducer.speech.audio import Wave, read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

VALIDATION = DEMO / "validation/manifest.jsonl"
DEMO_STREAMING = DEMO / "demo-streaming.nemo"
RATE = 16000
KINDS = ("cache-aware-rnnt", "cache-aware-tdt")


def clips(count: int) -> list[Wave]:
    return [read_audio(entry["audio_filepath"], RATE) for entry in read_manifest(VALIDATION)[:count]]


def cut(wave: Wave, sizes: tuple[int, ...]) -> Iterator[Wave]:
    """Yield a wave in pieces of these sizes, over and over."""
    start, turn = 0, 0
    while start < len(wave):
        yield wave[start : start + sizes[turn % len(sizes)]]
        start, turn = start + sizes[turn % len(sizes)], turn + 1


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, streaming: ByKind) -> Path:
    return streaming(request.param)


@pytest.mark.parametrize("sizes", [(1000, 37, 9000), (160,)])
def test_features_equal_those_of_the_whole(
    streaming: ByKind, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    """Whatever pieces the audio comes in, the encoder gets the windows of the whole signal's features."""
    recognizer = LiveRecognizer(streaming("cache-aware-rnnt"))
    step, heard = recognizer.step, []

    def spy(windows: Any, lengths: Any, *rest: Any) -> Any:
        heard.append((windows[0], int(lengths[0])))
        return step(windows, lengths, *rest)

    monkeypatch.setattr(recognizer, "step", spy)
    [wave] = clips(1)
    list(recognizer.listen(cut(wave, sizes)))
    features, [frames] = recognizer.features([wave])
    expected = list(Streaming.from_facts(recognizer.meta["streaming"]).windows(features[0, :, :frames]))
    assert [length for _, length in heard] == [length for _, length in expected]
    for (found, length), (window, _) in zip(heard, expected, strict=True):
        assert np.abs(found[:, :length] - window[:, :length]).max() <= 1e-4


def test_streams_equal_offline_decoding(model: Path) -> None:
    """Streams of different lengths, in one batch, give the labels and times of the offline encoder."""
    waves = clips(6)
    streamed = LiveRecognizer(model).transcribe(waves)
    heard = {token.id for transcript in streamed for token in transcript.tokens}
    assert len(heard) > 4 and all(transcript.tokens for transcript in streamed), "too little to show anything"
    for found, expected in zip(streamed, Recognizer(model).transcribe(waves), strict=True):
        assert [token.id for token in found.tokens] == [token.id for token in expected.tokens]
        assert [token.start for token in found.tokens] == pytest.approx([token.start for token in expected.tokens])
        assert found.text == expected.text


def test_partials_tell_when_they_came(model: Path) -> None:
    """Partial results only add, the last is the whole, and each says what it covers and how late it is."""
    recognizer = LiveRecognizer(model)
    [wave] = clips(1)
    *partials, final = recognizer.listen(cut(wave, (800,)))
    assert len(partials) >= 3 and final.final and not any(partial.final for partial in partials)
    assert final.transcript.words == recognizer.transcribe([wave])[0].words
    lookahead = recognizer.streaming["lookahead_ms"] / 1000 + 0.0125
    for before, partial in itertools.pairwise(partials):
        assert partial.transcript.tokens[: len(before.transcript.tokens)] == before.transcript.tokens
        assert before.begin < partial.begin and before.end < partial.end and before.ready < partial.ready
    for partial in partials:
        assert partial.lookahead <= lookahead + 1e-9
        assert partial.compute > 0
        assert partial.latency >= partial.lookahead + partial.compute - 1e-9
        # The last frame of a stream may be centred after its last sample.
        assert all(token.start <= partial.end + 0.08 for token in partial.transcript.tokens)
    assert partials[0].lookahead == pytest.approx(lookahead)
    assert len(wave) / RATE - 0.1 <= final.end <= len(wave) / RATE


@pytest.mark.parametrize("level", [0.0, 0.25, 2**-16])
def test_streams_without_signal_have_no_words(model: Path, level: float) -> None:
    """Zeros, a constant and a converter's last bit are not speech, before it, after it, and alone."""
    recognizer = LiveRecognizer(model)
    nothing = level * np.sign(np.random.default_rng(0).standard_normal(3 * RATE)).astype(np.float32)
    nothing = nothing if level < 0.1 else np.full(3 * RATE, level, np.float32)
    assert recognizer.transcribe([nothing])[0].text == ""
    assert list(recognizer.listen(cut(nothing, (800,))))[-1].transcript.text == ""
    [wave] = clips(1)
    [alone, around] = recognizer.transcribe([wave, np.concatenate([nothing, wave + nothing[0], nothing])])
    assert alone.tokens and around.tokens
    assert around.tokens[0].start >= 2.5
    assert around.tokens[-1].start <= 3 + len(wave) / RATE + 1.5


def test_faint_speech_is_heard(model: Path) -> None:
    """At -60 dB of full scale a stream still has words."""
    [wave] = clips(1)
    assert LiveRecognizer(model).transcribe([wave * np.float32(1e-3 / np.abs(wave).max())])[0].tokens


def test_full_context_model_within_one_chunk_equals_offline(streaming: ByKind) -> None:
    """A model that normalises over the utterance gets what was heard of it: all, where that is one chunk."""
    model = streaming("bpe-tdt")
    wave = clips(1)[0][: 2 * RATE - 400]
    [found] = LiveRecognizer(model).transcribe([wave])
    [expected] = Recognizer(model).transcribe([wave])
    assert found.tokens and [token.id for token in found.tokens] == [token.id for token in expected.tokens]
    [longer] = LiveRecognizer(model).transcribe([np.concatenate(clips(12), dtype=np.float32)])
    assert longer.tokens[-1].start > 20


def start(model: Path, *options: str, raw: bool = True) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "py/speech/transcribe.py", "--stream", "--model", str(model), *options, "-"]
    command[-1:-1] = ["--raw", str(RATE)] if raw else []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def heed_interrupts() -> None:
        # Tests that a shell runs in the background ignore them, and so would what they start.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(command, cwd=ROOT, bufsize=0, preexec_fn=heed_interrupts, **pipes)  # type: ignore[call-overload]


def line_of(process: Any) -> bytes:
    """Read a line that must come while the process's input is still open."""
    assert select.select([process.stdout], [], [], 120)[0], "nothing came out while the pipe was open"
    return bytes(process.stdout.readline())


def test_live_pipe(streaming: ByKind) -> None:
    """Partial results come out while the pipe is open, and its end brings the rest."""
    model = streaming("cache-aware-rnnt")
    [wave] = clips(1)
    samples = (wave * 2**15).astype("<i2").tobytes()
    with start(model, "--json") as process:
        assert process.stdin
        process.stdin.write(samples[: len(samples) // 2])
        first = json.loads(line_of(process))
        assert first["text"] and not first["final"] and first["heard"] <= len(wave) / RATE / 2
        assert first["latency"] >= first["lookahead"] > 0
        process.stdin.write(samples[len(samples) // 2 :])
        process.stdin.close()
        rows = [json.loads(line) for line in process.stdout or ()]
    assert process.returncode == 0
    assert [row["final"] for row in rows] == [False] * (len(rows) - 1) + [True]
    quantized = np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(2**15)
    assert rows[-1]["text"] == LiveRecognizer(model).transcribe([quantized])[0].text
    assert " ".join(word["text"] for word in rows[-1]["words"]).split() == rows[-1]["text"].split()


def test_interrupt_ends_the_stream(streaming: ByKind) -> None:
    """Ctrl-C, which ends a recording program too, brings the final text."""
    with start(streaming("cache-aware-rnnt")) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write((clips(1)[0] * 2**15).astype("<i2").tobytes())
        assert line_of(process).startswith(b"[")
        while select.select([process.stdout], [], [], 2)[0]:
            line_of(process)
        process.send_signal(signal.SIGINT)
        final = process.stdout.read().decode()
        assert b"Traceback" not in process.stderr.read()
        process.stdin.close()
    assert process.returncode == 0
    *_, last = final.splitlines()
    assert last and not last.startswith("[")


def test_several_files(streaming: ByKind, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line says whose it is, and what cannot be read does not keep the others from being done."""
    names = [str(VALIDATION.parent / f"audio/0000{number}.ogg") for number in range(2)]
    model = streaming("cache-aware-rnnt")
    capsys.readouterr()
    assert run_worker("speech/transcribe", "--stream", "--model", model, names[0], "gone.wav", names[1]) == 2
    printed = capsys.readouterr()
    assert sum("gone.wav does not exist" in line for line in printed.err.splitlines()) == 1
    lines = printed.out.splitlines()
    assert {line.partition(": ")[0] for line in lines} == set(names)
    assert [line.partition(": ")[2].startswith("[") for line in lines].count(False) == 2


def test_models_that_cannot_stream_are_refused(
    built: ByKind, streaming: ByKind, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = str(VALIDATION.parent / "audio/00000.ogg")
    cases: list[tuple[Path, list[str], str]] = [
        (built("char-rnnt"), [], "was built without its streaming encoder"),
        (streaming("cache-aware-rnnt"), ["--encoder", "encoder.onnx"], "encoder.onnx is not a streaming encoder"),
        (streaming("cache-aware-rnnt"), ["--encoder", "encoder_streaming.int3.onnx"], "does not exist"),
    ]
    for model, graphs, problem in cases:
        capsys.readouterr()
        options = [model / "onnx" / name if name.endswith(".onnx") else name for name in graphs]
        assert run_worker("speech/transcribe", "--stream", "--model", model, *options, audio) == 2
        [error] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert problem in error and error.endswith(".")


def test_make_refuses_to_stream_by_a_graph_that_is_not_built(tmp_path: Path) -> None:
    for target in ("transcribe", "evaluate"):
        done = make(target, "STREAM=1", f"OUT={tmp_path}", "WAV=a.wav")
        assert done.returncode == 2 and not done.stdout
        [line] = done.stderr.splitlines()
        assert "STREAM=1 needs the streaming encoder, which demo-tdt is built without" in line
    assert not any(tmp_path.iterdir())


def test_evaluation_takes_the_streams_context(streaming: ByKind, tmp_path: Path) -> None:
    """Streams are compared with NeMo's offline decoding under the same attention context."""
    model = streaming("cache-aware-rnnt")
    rows = [
        {"audio_filepath": str(row["audio_filepath"]), "text": row["text"]} for row in read_manifest(VALIDATION)[:4]
    ]
    manifest, reference, check = (tmp_path / name for name in ("m.jsonl", "nemo.check.json", "wer.check.json"))
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    like = ["--like", model / "meta/model_meta.json", "--manifest", manifest, "--output", reference]
    assert run_worker("speech/evaluate_checkpoint", "--checkpoint", model / "checkpoint", *like) == 0
    assert json.loads(reference.read_text())["facts"]["att_context"] == [28, 3]
    options = ["--manifest", manifest, "--reference", reference]
    assert run_worker("speech/evaluate", "--model", model, "--stream", *options, "--output", check) == 0
    result = json.loads(check.read_text())
    assert result["facts"]["streaming"] == {"att_context_size": [28, 3], "lookahead_ms": 240}
    assert result["accuracy"]["same_transcripts"] == 4


def test_streaming_needs_neither_torch_nor_nemo() -> None:
    code = (
        "import sys; sys.path.insert(0, 'py'); import speech.transcribe; "
        "sys.exit(str({'torch', 'nemo', 'sentencepiece'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.slow
def test_demo_streams_as_well_as_it_decodes_offline(tmp_path: Path) -> None:
    """make evaluate STREAM=1: the WER of streams is within half a point of NeMo's, offline in the same context."""
    choice = ("CONFIG=demo-streaming", f"OUT={tmp_path}", "STREAM=1")
    done = make("evaluate", *choice)
    assert done.returncode == 0, done.stderr
    check = json.loads((tmp_path / "checks/wer.encoder_streaming.check.json").read_text("utf-8"))
    assert check["accuracy"]["utterances"] == 480
    assert abs(check["figures"]["wer_delta"]) <= 0.5
    assert make("-q", "evaluate", *choice).returncode == 0
    entry = read_manifest(VALIDATION)[1]
    audio = read_audio(entry["audio_filepath"], RATE)
    raw = (audio * 2**15).astype("<i2").tobytes()
    done = make("transcribe", *choice, "WAV=-", "RATE=16000", "JSON=1", input=raw.decode("latin-1"), encoding="latin-1")
    assert done.returncode == 0, done.stderr
    *partials, final = (json.loads(line) for line in done.stdout.splitlines())
    assert partials and final["final"]
    assert rate(word_errors([entry["text"]], [final["text"]])) < 50
