"""Decoding with the graphs alone against NeMo's own greedy decoding, and the workers that transcribe and evaluate."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch

import checkpoints
from conftest import DEMO, ROOT, ByKind, make, run_worker
from transducer.core.error_rates import character_errors, interval, rate, word_errors
from transducer.decoding.greedy import Decoder, Hypothesis
from transducer.runtime.loader import open_graph
from transducer.runtime.sessions import open_session
from transducer.speech.audio import read_audio
from transducer.speech.long_audio import cut, join
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer
from transducer.speech.transcript import Token, Vocabulary

VALIDATION = DEMO / "validation/manifest.jsonl"
DEMO_TDT = DEMO / "demo-tdt.nemo"
CHECKPOINT = "checkpoint/manifest.json"
RATE = 16000
# Kinds of tests/checkpoints.py, and other durations for bpe-tdt.
LIVELY: dict[str, list[int] | None] = {
    "bpe-tdt": None,
    "hybrid-tdt": None,
    "char-rnnt": None,
    "bpe-rnnt": None,
    "stateless-tdt": None,
    "hat": None,
    "multi-blank": None,
    "lstm": None,
    "tdt-0-2-5": [0, 2, 5],
    "tdt-3-1": [3, 1],
}


class Case(NamedTuple):
    """Our decoder of a checkpoint, encoder frames, and what NeMo's decoding of the checkpoint hears in them."""

    out: Path
    decoder: Decoder
    encoded: Any
    lengths: Any
    expected: list[Any]


def clips(count: int) -> list[Any]:
    return [read_audio(entry["audio_filepath"], RATE) for entry in read_manifest(VALIDATION)[:count]]


def nemo_model(path: Path) -> Any:
    from nemo.collections.asr.models import ASRModel

    model: Any = ASRModel.restore_from(str(path), map_location="cpu").eval()
    model.preprocessor.featurizer.dither = 0.0
    return model


def nemo_features(model: Any, waves: list[Any]) -> tuple[Any, Any]:
    lengths = torch.tensor([len(wave) for wave in waves])
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(wave) for wave in waves], batch_first=True)
    with torch.inference_mode():
        return model.preprocessor(input_signal=padded, length=lengths)


def nemo_decoding(model: Any, encoded: Any, lengths: Any) -> list[Any]:
    with torch.inference_mode():
        return model.decoding.rnnt_decoder_predictions_tensor(encoded, lengths, return_hypotheses=True)


def decoder_of(out: Path) -> Decoder:
    meta = json.loads((out / "meta/model_meta.json").read_text("utf-8"))
    return Decoder(meta, *(open_session(out / f"onnx/{graph}.onnx", threads=1) for graph in ("predictor", "joint")))


def parts(hypothesis: Hypothesis) -> list[tuple[int, int, int]]:
    return list(zip(hypothesis.tokens, hypothesis.frames, hypothesis.durations, strict=True))


@pytest.fixture(scope="module", params=LIVELY)
def case(request: pytest.FixtureRequest, nemo_file: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A random checkpoint that answers to what it hears, as fresh weights do not: they repeat one token for ever."""
    durations = LIVELY[request.param]
    if durations:
        checkpoints.KINDS[request.param] = checkpoints.KINDS["bpe-tdt"] | {"durations": durations}
    folder = tmp_path_factory.mktemp(request.param)
    model = nemo_model(nemo_file(request.param))
    checkpoints.enliven(model)
    model.save_to(str(folder / "lively.nemo"))
    assert run_worker("checkpoint/unpack", "--model", folder / "lively.nemo", "--output", folder / CHECKPOINT) == 0
    graphs = [folder / f"onnx/{graph}.onnx" for graph in ("predictor", "joint")]
    for path in graphs:
        assert (
            run_worker(
                "export/export_graph", "--graph", path.stem, "--checkpoint", folder / "checkpoint", "--output", path
            )
            == 0
        )
    meta = ["--graphs", *graphs, "--output", folder / "meta/model_meta.json"]
    assert run_worker("export/write_meta", "--checkpoint", folder / "checkpoint", *meta) == 0
    encoded, lengths = torch.randn(8, 32, 40), torch.tensor([40, 1, 17, 39, 0, 25, 3, 8])
    expected = nemo_decoding(model, encoded, lengths)
    return Case(folder, decoder_of(folder), encoded.numpy(), lengths.numpy(), expected)


def test_tokens_and_timestamps_equal_nemo(case: Case) -> None:
    found, _ = case.decoder.decode(case.encoded, case.lengths)
    assert [hypothesis.tokens for hypothesis in found] == [one.y_sequence.tolist() for one in case.expected]
    assert [hypothesis.frames for hypothesis in found] == [list(map(int, one.timestamp)) for one in case.expected]
    heard = {token for hypothesis in found for token in hypothesis.tokens}
    frames = [frame for hypothesis in found for frame in hypothesis.frames]
    assert len(heard) > 10 and len(set(frames)) < len(frames) < 20 * case.lengths.sum(), "too little to show anything"
    assert all(0 < sure <= 1 for hypothesis in found for sure in hypothesis.confidences)


def test_text_equals_nemo(case: Case) -> None:
    meta = json.loads((case.out / "meta/model_meta.json").read_text("utf-8"))
    vocabulary = Vocabulary.read(case.out / "meta/vocab.txt", meta["tokenizer"])
    found, _ = case.decoder.decode(case.encoded, case.lengths)
    for hypothesis, expected in zip(found, case.expected, strict=True):
        transcript = vocabulary.transcript([Token(token, 0, 0, 1) for token in hypothesis.tokens])
        assert transcript.text == expected.text.strip()
        assert " ".join(word.text for word in transcript.words).split() == expected.text.split()


def test_batch_equals_single(case: Case) -> None:
    together, _ = case.decoder.decode(case.encoded, case.lengths)
    for row, length in enumerate(case.lengths):
        [alone], _ = case.decoder.decode(case.encoded[row : row + 1, :, :length], case.lengths[row : row + 1])
        assert parts(alone) == parts(together[row])


@pytest.mark.parametrize("size", [1, 4])
def test_chunks_equal_the_whole(case: Case, size: int) -> None:
    whole, _ = case.decoder.decode(case.encoded, case.lengths)
    heard: list[list[tuple[int, int, int]]] = [[] for _ in whole]
    state = None
    for start in range(0, case.encoded.shape[2], size):
        chunk, lengths = case.encoded[:, :, start : start + size], np.clip(case.lengths - start, 0, size)
        found, state = case.decoder.decode(chunk, lengths, state)
        heard = [before + parts(more) for before, more in zip(heard, found, strict=True)]
    assert heard == [parts(hypothesis) for hypothesis in whole]


def test_wrong_graphs_are_refused(built: ByKind, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tdt, rnnt = built("bpe-tdt"), built("char-rnnt")
    (tdt / "onnx/joint.foreign.onnx").write_bytes((rnnt / "onnx/joint.onnx").read_bytes())
    (tdt / "onnx/joint.damaged.onnx").write_bytes(b"not a graph")
    wav = str(VALIDATION.parent / "audio/00000.ogg")
    for joint, problem in {
        "joint.foreign.onnx": "use the files of one build",
        "joint.damaged.onnx": "cannot be loaded",
        "joint.int8.onnx": "build it with `make joint.int8.onnx`",
    }.items():
        assert run_worker("speech/transcribe", "--model", tdt, "--joint", tdt / "onnx" / joint, wav) == 2
        assert one_sentence(capsys.readouterr().err, problem)


def one_sentence(printed: str, problem: str) -> bool:
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    return len(lines) == 1 and problem in lines[0] and lines[0].endswith(".")


def test_transcription_needs_neither_torch_nor_nemo() -> None:
    code = (
        "import sys; sys.path.insert(0, 'py'); import speech.transcribe, speech.evaluate; "
        "sys.exit(str({'torch', 'nemo', 'sentencepiece'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_bad_audio_is_told_and_the_rest_is_done(
    built: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [wave] = clips(1)
    broken = wave.copy()
    broken[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "three.flac", np.stack([wave, wave, wave], axis=1), RATE)
    soundfile.write(tmp_path / "slow.wav", wave, RATE // 2)
    soundfile.write(tmp_path / "short.wav", wave[:160], RATE)
    soundfile.write(tmp_path / "empty.wav", wave[:0], RATE)
    soundfile.write(tmp_path / "mono.wav", wave, RATE)
    (tmp_path / "text.wav").write_text("no audio")
    names = ["mono.wav", "nan.wav", "text.wav", "short.wav", "empty.wav", "gone.wav", "three.flac", "slow.wav"]
    paths = [tmp_path / name for name in names]
    model = built("bpe-tdt")
    capsys.readouterr()
    assert run_worker("speech/transcribe", "--model", model, "--json", *paths) == 2
    printed = capsys.readouterr()
    problems = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    for name, problem in zip(names[1:6], ["finite", "read as audio", "0.01 s", "0 s", "not exist"], strict=True):
        assert sum(name in line and problem in line for line in problems) == 1
    assert len(problems) == 5
    done = [json.loads(line) for line in printed.out.splitlines()]
    assert [Path(row["audio"]).name for row in done] == ["mono.wav", "three.flac", "slow.wav"]
    assert done[0]["text"] == done[1]["text"]
    for row in done:
        assert " ".join(word["text"] for word in row["words"]).split() == row["text"].split()
        assert all(0 <= word["start"] <= word["end"] and 0 < word["confidence"] <= 1 for word in row["words"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pauses", [True, False])
def test_long_audio_is_cut_in_pauses_and_joined_whole(seed: int, pauses: bool) -> None:
    random = np.random.default_rng(seed)
    wave = [np.zeros(RATE)]
    spoken: list[Token] = []
    at = 1.0
    while at < 120:
        words = random.integers(3, 12)
        spoken += [Token(len(spoken) + word, at + 0.4 * word, at + 0.4 * word + 0.2, 1.0) for word in range(words)]
        pause = random.uniform(0.5, 1.0) if pauses else 0.1
        wave += [random.standard_normal(int(0.4 * words * RATE)) * 0.1, np.zeros(int(pause * RATE))]
        at = sum(map(len, wave)) / RATE
    recording = np.concatenate(wave).astype(np.float32)
    pieces = cut(recording, RATE, shortest=8, longest=20)
    assert all(piece.stop - piece.start <= 20 * RATE for piece in pieces)
    times = np.zeros(len(recording), int)
    for piece in pieces:
        times[piece.start : piece.stop] += 1
    assert times[recording != 0].min() == 1
    if pauses:
        assert times.max() == 1
    heard = []
    for piece in pieces:
        low, high = piece.start / RATE, piece.stop / RATE
        # Emission jitters by a frame from piece to piece, and a word that a piece's end cuts is heard wrongly.
        jitter = random.uniform(-0.08, 0.08)
        if pauses:
            inside = [(token, max(token.start + jitter, low)) for token in spoken if low - 0.01 <= token.start < high]
        else:
            inside = [(token, token.start + jitter) for token in spoken if low <= token.start + jitter < high]
        tokens = [Token(token.id, start - low, start + 0.2 - low, 1.0) for token, start in inside]
        cut_off = [] if pauses or piece is pieces[-1] else [Token(-1, high - low - 0.02, high - low, 0.1)]
        heard.append((piece, tokens + cut_off))
    assert [token.id for token in join(heard, RATE)] == [token.id for token in spoken]


def test_cut_drops_silence_beyond_its_margins_and_no_speech() -> None:
    """A pause is heard in part, an editor's silence not at all, and steady or faint sound is kept."""
    random = np.random.default_rng(0)
    hum = 1e-3 * random.standard_normal(30 * RATE)
    spoken = np.zeros_like(hum)
    for second, level in ((2, 0.1), (8, 0.1), (14, 0.01), (20, 0.1)):
        spoken[second * RATE : (second + 3) * RATE] = level * random.standard_normal(3 * RATE)
    spoken += hum
    spoken[23 * RATE : 26 * RATE] = 0
    pieces = cut(spoken.astype(np.float32), RATE, shortest=2, longest=6)
    parts = [(piece.start / RATE, piece.stop / RATE) for piece in pieces]
    for second in (2, 8, 14, 20):
        assert any(start <= second and second + 3 <= stop for start, stop in parts), f"speech from {second} s is cut"
    assert parts[0][1] == pytest.approx(5.4, abs=0.05)
    assert parts[-2][1] == pytest.approx(23, abs=1e-3) and parts[-1][0] == pytest.approx(26, abs=1e-3)
    assert cut(np.zeros(30 * RATE, np.float32), RATE, shortest=2, longest=6) == []


def test_error_rates_equal_nemo() -> None:
    from nemo.collections.asr.metrics.wer import word_error_rate

    said = ["turn the lights off", "seven", "what time is it in london", "stop"]
    heard = ["turn lights of", "seven seven", "what time is it in london", ""]
    assert rate(word_errors(said, heard)) == pytest.approx(100 * word_error_rate(heard, said))
    assert rate(character_errors(said, heard)) == pytest.approx(100 * word_error_rate(heard, said, use_cer=True))
    low, high = interval(word_errors(said, heard))
    assert low < rate(word_errors(said, heard)) < high
    assert interval(word_errors(said, heard), word_errors(said, heard)) == [0, 0]


def test_evaluation_stands_beside_the_checkpoint(
    built: ByKind, nemo_file: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({"audio_filepath": str(entry["audio_filepath"]), "text": entry["text"]})
        for entry in read_manifest(VALIDATION)[:4]
    ]
    good, bad, empty = (tmp_path / name for name in ("good.jsonl", "bad.jsonl", "empty.wav"))
    soundfile.write(empty, np.zeros(0), RATE)
    good.write_text("\n".join(lines) + "\n")
    bad.write_text("\n".join([*lines, "{", '{"audio_filepath": "gone.ogg", "text": ""}']) + "\n")
    with bad.open("a") as stream:
        stream.write(json.dumps({"audio_filepath": str(empty), "text": "nothing"}) + "\n")

    reference, check = tmp_path / "checkpoint.check.json", tmp_path / "wer.fp32.check.json"
    checkpoint = ["--checkpoint", built("bpe-tdt") / "checkpoint", "--output", reference]
    assert run_worker("speech/evaluate_checkpoint", *checkpoint, "--manifest", bad) == 0
    left_out = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == 3
    options = ["--model", built("bpe-tdt"), "--reference", reference, "--output", check]
    assert run_worker("speech/evaluate", *options, "--manifest", bad) == 2
    printed = capsys.readouterr()
    problems = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    for problem in ("line 5", "line 6", "empty.wav"):
        assert sum(problem in line for line in problems) == 1
    assert "on 4 utterances" in printed.out
    assert not check.exists(), "part of a manifest is not a check of it"

    assert run_worker("speech/evaluate", *options, "--manifest", good) == 0
    result = json.loads(check.read_text("utf-8"))
    assert result["passed"] and result["accuracy"]["utterances"] == 4
    rows = [json.loads(line) for line in check.with_suffix("").with_suffix(".jsonl").read_text("utf-8").splitlines()]
    assert [row["reference"] for row in rows] == [json.loads(line)["text"] for line in lines]
    found = rate(word_errors([row["reference"] for row in rows], [row["onnx"] for row in rows]))
    assert result["accuracy"]["onnx"]["wer"]["points"] == pytest.approx(found, abs=1e-3)
    assert result["accuracy"]["pytorch"]["wer"]["points"] == pytest.approx(
        100 * json.loads(reference.read_text("utf-8"))["accuracy"]["wer"], abs=1e-3
    )

    capsys.readouterr()
    assert run_worker("speech/evaluate", *options, "--manifest", good, "--max-wer-delta", -1000) == 1
    assert "MAX_WER_DELTA allows -1000" in capsys.readouterr().err


def test_parts_of_a_recording_are_heard_alone(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Offset and duration of a NeMo manifest, in NeMo's own decoding and in ours."""
    entries, waves = read_manifest(VALIDATION)[:4], clips(4)
    soundfile.write(tmp_path / "all.wav", np.concatenate(waves), RATE, subtype="FLOAT")
    ends = np.cumsum([len(wave) for wave in waves]) / RATE
    rows = [
        {
            "audio_filepath": "all.wav",
            "offset": end - len(wave) / RATE,
            "duration": len(wave) / RATE,
            "text": one["text"],
        }
        for one, wave, end in zip(entries, waves, ends, strict=True)
    ]
    rows[-1]["duration"] = None
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bad.write_text("".join(json.dumps({**rows[0], "offset": offset}) + "\n" for offset in (0, -1, "x", 1e3)))
    reference, check = tmp_path / "checkpoint.check.json", tmp_path / "wer.fp32.check.json"
    nemo = ["--checkpoint", demo / "checkpoint", "--output", reference]
    ours = ["--model", demo, "--reference", reference, "--output", check]
    assert run_worker("speech/evaluate_checkpoint", *nemo, "--manifest", good) == 0
    assert run_worker("speech/evaluate", *ours, "--manifest", good) == 0
    lines = check.with_suffix("").with_suffix(".jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    alone = [transcript.text for transcript in Recognizer(demo).transcribe(waves)]
    assert [row["onnx"] for row in found] == [row["pytorch"] for row in found] == alone

    capsys.readouterr()
    assert run_worker("speech/evaluate", *ours, "--manifest", bad) == 2
    printed = capsys.readouterr().err
    for problem in ("line 2 has an offset", "line 3 is not", "holds 0 s of audio from its second 1000 on"):
        assert printed.count(problem) == 1


@pytest.fixture(scope="module")
def demo(built: ByKind) -> Path:
    return built(str(DEMO_TDT))


def equal_to_nemo(out: Path, count: int) -> tuple[int, int]:
    """Count the clips on which we agree with NeMo, from its features and from frontend.onnx."""
    model, recognizer = nemo_model(DEMO_TDT), Recognizer(out)
    same = same_with_frontend = 0
    waves = clips(count)
    for start in range(0, len(waves), 32):
        batch = waves[start : start + 32]
        features, lengths = nemo_features(model, batch)
        with torch.inference_mode():
            encoded, frames = model.encoder(audio_signal=features, length=lengths)
        expected = nemo_decoding(model, encoded, frames)
        ours = recognizer.recognize(features.numpy(), lengths.numpy())
        ours_alone = recognizer.recognize(*recognizer.features(batch))
        for one, found, alone in zip(expected, ours, ours_alone, strict=True):
            same += found.tokens == one.y_sequence.tolist() and found.frames == list(map(int, one.timestamp))
            same_with_frontend += alone.tokens == one.y_sequence.tolist()
    return same, same_with_frontend


def test_demo_transcripts_equal_nemo(demo: Path) -> None:
    assert equal_to_nemo(demo, 60) == (60, 60)


@pytest.mark.slow
def test_all_demo_transcripts_equal_nemo(demo: Path) -> None:
    same, same_with_frontend = equal_to_nemo(demo, 480)
    assert same == 480
    assert same_with_frontend >= 0.995 * 480


@pytest.mark.parametrize("pause", [0.3, 0.5])
def test_ten_minutes_are_as_good_as_single_clips(demo: Path, pause: float) -> None:
    entries = read_manifest(VALIDATION)
    waves = clips(len(entries))
    count = int(np.searchsorted(np.cumsum([len(wave) + pause * RATE for wave in waves]), 600 * RATE)) + 1
    recognizer = Recognizer(demo, segment_seconds=(0.5, 8.0))
    silence = np.zeros(int(pause * RATE), np.float32)
    one_by_one = recognizer.transcribe(waves[:count])
    [joined] = recognizer.transcribe([np.concatenate([part for wave in waves[:count] for part in (wave, silence)])])
    said = [entry["text"] for entry in entries[:count]]
    single = rate(word_errors(said, [transcript.text for transcript in one_by_one]))
    assert rate(word_errors([" ".join(said)], [joined.text])) <= max(single + 1, 1.2 * single)
    starts = [word.start for word in joined.words]
    assert starts == sorted(starts)


def test_decoding_is_as_fast_as_onnx_asr(demo: Path, tmp_path: Path) -> None:
    import onnx_asr

    graphs = [demo / f"onnx/{name}.onnx" for name in ("encoder", "predictor", "joint")]
    folder = tmp_path / "onnx-asr"
    meta = ["--meta", demo / "meta/model_meta.json", "--tokens", demo / "meta/tokens.txt"]
    assert run_worker("package/for_onnx_asr", "--graphs", *graphs, *meta, "--output", folder / "SHA256SUMS") == 0
    theirs: Any = onnx_asr.load_model("nemo-conformer-tdt", path=folder, providers=["CPUExecutionProvider"]).asr
    features, lengths = Recognizer(demo).features(clips(60))
    encoded, frames = open_graph(demo / "onnx/encoder.onnx").run(None, {"audio_signal": features, "length": lengths})
    decoder = decoder_of(demo)

    def seconds(decode: Any) -> tuple[float, list[list[int]]]:
        began = time.perf_counter()
        tokens = decode()
        return time.perf_counter() - began, tokens

    pairs = [
        (
            seconds(lambda: [one.tokens for one in decoder.decode(encoded, frames)[0]]),
            seconds(lambda: [list(one[0]) for one in theirs._decoding(encoded.transpose(0, 2, 1), frames)]),
        )
        for _ in range(3)
    ]
    assert pairs[0][0][1] == pairs[0][1][1]
    assert min(ours for (ours, _), _ in pairs) <= min(other for _, (other, _) in pairs)


@pytest.mark.slow
def test_make_transcribes_and_evaluates(tmp_path: Path) -> None:
    out = f"OUT={tmp_path}"
    wav = VALIDATION.parent / "audio/00000.ogg"
    done = make("transcribe", f"WAV={wav} gone.wav", "JSON=1", out)
    assert done.returncode == 2
    assert "gone.wav does not exist" in done.stderr
    heard = json.loads(done.stdout.splitlines()[-1])
    assert heard["words"]
    done = make("evaluate", out)
    assert done.returncode == 0, done.stderr
    check = json.loads((tmp_path / "checks/wer.fp32.check.json").read_text("utf-8"))
    assert check["accuracy"]["utterances"] == 480
    assert abs(check["figures"]["wer_delta"]) < 0.1
    assert make("-q", "evaluate", out).returncode == 0
    done = make("evaluate", out, "ENCODER=encoder.int3.onnx")
    assert done.returncode == 2
    assert "encoder.int3.onnx is not a variant" in done.stderr
