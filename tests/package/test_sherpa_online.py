"""The package for sherpa-onnx's online recognizer, loaded and used by sherpa-onnx itself.

Example:
    .venv/bin/python -m pytest tests/test_sherpa_online.py
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sherpa_onnx
import soundfile

from conftest import DEMO, ByKind, run_worker
from transducer.core.error_rates import rate, word_errors
from transducer.runtime.sessions import open_session
from transducer.speech.audio import Wave, read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

VALIDATION = DEMO / "validation/manifest.jsonl"
ESPEAK = DEMO / "validation-espeak-ng/manifest.jsonl"
DEMO_STREAMING = DEMO / "demo-streaming.nemo"
RATE = 16000
# 5 ms, which put sherpa-onnx's feature frames where NeMo has them.
LEAD = np.zeros(80, np.float32)


def clips(count: int, step: int = 1, manifest: Path = VALIDATION) -> list[Wave]:
    return [read_audio(entry["audio_filepath"], RATE) for entry in read_manifest(manifest)[::step][:count]]


def package(built: Path, output: Path) -> int:
    graphs = [built / f"onnx/{name}.onnx" for name in ("encoder_streaming", "predictor", "joint")]
    meta = ["--meta", built / "meta/model_meta.json", "--tokens", built / "meta/tokens.txt"]
    return run_worker(
        "package/for_sherpa_onnx", "--online", "--graphs", *graphs, *meta, "--output", output / "SHA256SUMS"
    )


@pytest.fixture(scope="module")
def packaged(streaming: ByKind, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The build folder of a small streaming model, and its package."""
    built, folder = streaming("cache-aware-rnnt"), tmp_path_factory.mktemp("package") / "sherpa-onnx"
    assert package(built, folder) == 0
    return built, folder


def tail(facts: Any) -> Wave:
    return np.zeros(int((facts["shift_ms"] / 1000 + 0.5) * RATE), np.float32)


def open_sherpa(folder: Path) -> "sherpa_onnx.OnlineRecognizer":
    files = {name: str(folder / f"{name}.onnx") for name in ("encoder", "decoder", "joiner")}
    return sherpa_onnx.OnlineRecognizer.from_transducer(**files, tokens=str(folder / "tokens.txt"), num_threads=1)


def by_sherpa(recognizer: Any, waves: list[Wave], end: Wave) -> list[list[str]]:
    """Return the tokens of waves that arrive in pieces, several streams at a time."""
    streams = [recognizer.create_stream() for _ in waves]
    for stream, wave in zip(streams, waves, strict=True):
        for piece in np.array_split(np.concatenate([LEAD, wave, end]), 7):
            stream.accept_waveform(RATE, piece)
        stream.input_finished()
    while ready := [stream for stream in streams if recognizer.is_ready(stream)]:
        recognizer.decode_streams(ready)
    return [list(recognizer.get_result_all(stream).tokens) for stream in streams]


def by_us(recognizer: LiveRecognizer, waves: list[Wave], end: Wave, folder: Path) -> list[list[str]]:
    """Return the tokens of the same audio by our streaming decoder, spelt as sherpa-onnx spells them."""
    lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    spelt = [line.rpartition(" ")[0].replace("\N{LOWER ONE EIGHTH BLOCK}", " ") for line in lines]
    found = recognizer.transcribe([np.concatenate([wave, end]) for wave in waves])
    return [[spelt[token.id] for token in transcript.tokens] for transcript in found]


def same_tokens(built: Path, folder: Path, waves: list[Wave]) -> float:
    """Return the share of clips in which sherpa-onnx and our streaming decoder find the same tokens."""
    ours = LiveRecognizer(built)
    end = tail(ours.streaming)
    pairs = zip(by_us(ours, waves, end, folder), by_sherpa(open_sherpa(folder), waves, end), strict=True)
    return float(np.mean([mine == theirs for mine, theirs in pairs]))


def test_graph_equals_the_offline_encoder(packaged: tuple[Path, Path]) -> None:
    """Fed as sherpa-onnx feeds it, by position, every state zeros at first, it gives the offline encoder's frames."""
    built, folder = packaged
    session, recognizer = open_session(folder / "encoder.onnx"), Recognizer(built)
    props = session.get_modelmeta().custom_metadata_map
    window, shift = int(props["window_size"]), int(props["chunk_shift"])
    names = [value.name for value in session.get_inputs()]
    features, frames = recognizer.features(clips(2))
    features = features.clip(-15)  # fainter ones sherpa-onnx does not tell from silence
    shortest = int(frames.min()) // shift * shift
    offline = open_session(built / "onnx/encoder.onnx")
    expected, _ = offline.run(None, {"audio_signal": features, "length": frames})
    given = np.log(np.exp(features) - np.float32(2**-24))
    # Rows of a batch that began at different times: sherpa-onnx stacks the states of its streams.
    states: list[list[Any]] = [
        [
            np.zeros([1, *(int(props[f"{cache}_dim{axis}"]) for axis in (1, 2, 3))], np.float32)
            for cache in ("cache_last_channel", "cache_last_time")
        ]
        + [np.zeros(1, np.int64)]
        for _ in range(2)
    ]
    found: list[list[Any]] = [[], []]
    for step in range(shortest // shift + 1):
        rows = [row for row in range(2) if 0 <= (step - row) * shift <= shortest - window]
        signal = np.stack([given[row, :, (step - row) * shift :][:, :window] for row in rows])
        stacked = [np.concatenate(parts) for parts in zip(*(states[row] for row in rows), strict=True)]
        length = np.full(len(rows), window)
        encoded, lengths, *after = session.run(None, dict(zip(names, (signal, length, *stacked), strict=True)))
        assert (lengths == encoded.shape[2]).all()
        for place, row in enumerate(rows):
            states[row] = [state[place : place + 1] for state in after]
            found[row].append(encoded[place])
    for row in range(2):
        frames_of_row = np.concatenate(found[row], axis=1)
        assert frames_of_row.shape[1] * 8 == shortest
        assert np.abs(frames_of_row - expected[row, :, : frames_of_row.shape[1]]).max() <= 1e-4


def test_sherpa_gives_our_tokens(packaged: tuple[Path, Path]) -> None:
    """The real recognizer finds our tokens up to the last chunk, which it leaves out unless it is full."""
    built, folder = packaged
    ours, waves = LiveRecognizer(built), clips(8)
    end = tail(ours.streaming)
    expected, found = by_us(ours, waves, end, folder), by_sherpa(open_sherpa(folder), waves, end)
    assert all(len(mine) >= len(theirs) > 100 for mine, theirs in zip(expected, found, strict=True))
    # A random model makes much of the smallest difference in features; most streams hold none.
    same = [mine[: len(theirs)] == theirs for mine, theirs in zip(expected, found, strict=True)]
    assert np.mean(same) > 0.5


def test_folder_is_whole(packaged: tuple[Path, Path]) -> None:
    _, folder = packaged
    verify = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(verify, cwd=folder, capture_output=True, check=False).returncode == 0
    assert {path.name for path in folder.iterdir()} == {
        "encoder.onnx",
        "decoder.onnx",
        "joiner.onnx",
        "bpe.vocab",
        "tokens.txt",
        "README.md",
        "SHA256SUMS",
    }
    onnx.checker.check_model(folder / "encoder.onnx", full_check=True)


def run_readme(folder: Path, wave: Wave, copy: Path) -> str:
    """Run the README's Python lines as they stand, and return what they print."""
    shutil.copytree(folder, copy)
    soundfile.write(copy / "speech.wav", wave, RATE)
    [code] = re.findall(r"```python\n(.*?)```", (copy / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_readme_command_works(packaged: tuple[Path, Path], tmp_path: Path) -> None:
    built, folder = packaged
    assert run_readme(folder, clips(1)[0], tmp_path / "copy")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert json.loads((built / "meta/model_meta.json").read_text())["source"]["sha256"] in readme


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"model_type": "tdt"}, {}, "is a TDT model, and sherpa-onnx streams RNN-T only"),
    ({}, {"normalize": "per_feature"}, "with normalize 'per_feature', and sherpa-onnx computes them with '' only"),
    ({}, {"highfreq": 7600}, "with highfreq 7600, and sherpa-onnx computes them with 8000 only"),
    ({"tokenizer": "wpe"}, {}, "its tokens are word pieces"),
]


@pytest.mark.parametrize(("facts", "frontend", "reason"), REFUSALS)
def test_refusals(
    packaged: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    facts: dict[str, Any],
    frontend: dict[str, Any],
    reason: str,
) -> None:
    """A model that sherpa-onnx would read wrongly is refused in one sentence, and no folder is left."""
    built, copy = packaged[0], tmp_path / "built"
    (copy / "meta").mkdir(parents=True)
    (copy / "onnx").symlink_to(built / "onnx")
    shutil.copy(built / "meta/tokens.txt", copy / "meta")
    meta = json.loads((built / "meta/model_meta.json").read_text(encoding="utf-8"))
    changed = meta | facts | {"frontend": meta["frontend"] | frontend}
    (copy / "meta/model_meta.json").write_text(json.dumps(changed), encoding="utf-8")
    capsys.readouterr()
    assert package(copy, tmp_path / "packages/sherpa-onnx") == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: lively-cache-aware-rnnt.nemo: ") and reason in sentence
    assert not any((tmp_path / "packages").iterdir())


def demo(streaming: ByKind, folder: Path) -> tuple[Path, Path]:
    built = streaming(str(DEMO_STREAMING))
    assert package(built, folder / "sherpa-onnx") == 0
    return built, folder / "sherpa-onnx"


def test_demo_tokens_are_ours(streaming: ByKind, tmp_path: Path) -> None:
    built, folder = demo(streaming, tmp_path)
    assert same_tokens(built, folder, clips(40, 4, ESPEAK)) >= 0.95
    [wave] = clips(1)
    [ours] = LiveRecognizer(built).transcribe([wave])
    assert ours.text
    assert rate(word_errors([ours.text], [run_readme(folder, wave, tmp_path / "copy")])) < 50


@pytest.mark.slow
def test_all_demo_tokens_are_ours(streaming: ByKind, tmp_path: Path) -> None:
    assert same_tokens(*demo(streaming, tmp_path), clips(480)) >= 0.98
