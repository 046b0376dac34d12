"""Audio in pipes and files of every container: what is heard, what is refused, and what is cut."""

import io
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from conftest import DEMO, ROOT, ByKind, run_worker
from transducer.core.cli import InputError
from transducer.speech.audio import CutError, Wave, read_audio, require_whole
from transducer.speech.pipes import read_pipe

CLIP = DEMO / "validation/audio/00000.ogg"
RATE = 16000
READABLE = [
    ("WAV", "PCM_24"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("AU", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("NIST", "PCM_16"),
    ("VOC", "PCM_16"),
]
# First bytes of what libsndfile does not read.
UNREADABLE = {
    "MP4 or M4A": b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42",
    "WebM or Matroska": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81",
    "WMA or ASF": b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel",
    "AAC": b"\xff\xf1\x50\x80\x02\x1f\xfc",
    "AMR": b"#!AMR\n",
    "RIFF of kind AVI": b"RIFF\0\x10\0\0AVI LIST",
    "Monkey's Audio": b"MAC \x96\x0f\0\0",
    "WavPack": b"wvpk\0\x10\0\0",
}


@pytest.fixture(scope="module")
def wave() -> Wave:
    return np.tile(read_audio(CLIP, RATE), 3)


def encoded(wave: Any, rate: int, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, subtype=subtype, format=kind)
    return buffer.getvalue()


def heard_in(content: bytes, raw_rate: int | None = None) -> Wave:
    pieces = list(read_pipe(io.BufferedReader(io.BytesIO(content)), RATE, raw_rate))
    return np.concatenate(pieces)


def test_pipes_hold_wav_of_any_length_or_samples(wave: Wave) -> None:
    whole = encoded(wave, RATE)
    at = whole.index(b"data")
    unknown = [whole[: at + 4] + struct.pack("<I", size) + whole[at + 8 :] for size in (0, 0x7FFFFFFF, 0xFFFFFFFF)]
    for content in [whole, whole + b"LIST\4\0\0\0none", *unknown, whole + b"\0"]:
        found = heard_in(content)
        assert len(found) == len(wave) and np.abs(found - wave).max() <= 2**-15
    raw = heard_in(whole[at + 8 :], RATE)
    assert len(raw) == len(wave) and np.abs(raw - wave).max() <= 2**-15
    assert abs(len(heard_in(whole[at + 8 :], RATE // 2)) - 2 * len(wave)) <= 2
    stereo = soxr.resample(np.stack([wave, 0 * wave], axis=1), RATE, 44100)
    for subtype in ("FLOAT", "PCM_32", "PCM_16"):
        found = heard_in(encoded(stereo, 44100, subtype))
        assert abs(len(found) - len(wave)) <= 2
        assert np.abs(found[2000:20000] - wave[2000:20000] / 2).max() <= 0.02


@pytest.mark.parametrize(("kind", "subtype"), READABLE)
def test_containers_are_decoded_not_taken_for_samples(wave: Wave, kind: str, subtype: str, tmp_path: Path) -> None:
    content = encoded(wave, RATE, subtype, kind)
    path = tmp_path / "audio"
    path.write_bytes(content)
    piped, read = heard_in(content), read_audio(path, RATE)
    assert np.array_equal(piped, read)
    assert abs(len(piped) - len(wave)) < 2000
    size = min(len(wave), len(piped))
    assert np.corrcoef(piped[:size], wave[:size])[0, 1] > 0.9
    require_whole(path)


def test_mp3_with_a_tag_and_without_a_count_is_decoded(wave: Wave, tmp_path: Path) -> None:
    content = encoded(wave, RATE, "MPEG_LAYER_III", "MP3")
    tagged = b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + content
    uncounted = content.replace(b"Xing", b"\0\0\0\0", 1)
    for variant in (tagged, uncounted):
        assert abs(len(heard_in(variant)) - len(wave)) < 3000
        with pytest.raises(CutError):
            heard_in(variant[: len(variant) // 2])


@pytest.mark.parametrize("name", UNREADABLE)
def test_other_containers_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"^standard input is {name}, which cannot be read; pipe it"):
        heard_in(UNREADABLE[name] + bytes(100_000))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds 0 s of audio"),
        (b"\0" * 320, "begins like no known audio.*RATE=16000"),
        (b"<html><body>Not found</body></html>", "begins like no known audio"),
        (encoded(np.zeros(160, np.float32), RATE), "holds 0.01 s of audio"),
        (encoded(np.full(RATE, np.nan), RATE, "FLOAT"), "not finite"),
        (encoded(np.zeros(RATE, np.float32), RATE)[:20], "without a format or samples"),
        (encoded(np.zeros(RATE, np.float32), 1), "says 1 samples a second"),
        (encoded(np.zeros(RATE, np.float32), 1, kind="AIFF"), "says 1 samples a second"),
        (encoded(np.zeros(RATE, np.float32), 2_000_000_000), "says 2000000000 samples a second"),
        (b"fLaC" + bytes(5000), "cannot be read as audio"),
    ],
)
def test_bad_pipes_are_refused(content: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as raised:
        heard_in(content)
    assert re.fullmatch(r"[^\n]*[`A-Za-z0-9]\.", str(raised.value))


@pytest.mark.parametrize("rate", [0, 1, 10**9])
def test_a_file_whose_header_says_an_absurd_rate_is_refused(wave: Wave, rate: int, tmp_path: Path) -> None:
    content = bytearray(encoded(wave, RATE))
    content[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.wav"):
        read_audio(tmp_path / "a.wav", RATE)


def test_wav_of_data_size_0_is_read_from_files_as_from_pipes(wave: Wave, tmp_path: Path) -> None:
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        whole = encoded(wave, RATE, subtype)
        at = whole.index(b"data")
        (tmp_path / "a.wav").write_bytes(whole[: at + 4] + bytes(4) + whole[at + 8 :])
        found = read_audio(tmp_path / "a.wav", RATE)
        assert len(found) == len(wave) and np.abs(found - wave).max() <= 2**-15
        assert len(read_audio(tmp_path / "a.wav", RATE, offset=1)) == len(wave) - RATE


CUT = [pair for pair in READABLE if pair[0] not in ("NIST", "VOC")]


@pytest.mark.parametrize(("kind", "subtype"), CUT)
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_what_is_cut_is_heard_with_a_warning_or_refused(
    wave: Wave, kind: str, subtype: str, share: float, tmp_path: Path
) -> None:
    content = encoded(wave, RATE, subtype, kind)
    cut = content[: int(share * len(content))]
    with pytest.raises(InputError, match=r"ends too early|cannot be read"):
        heard_in(cut)
    (tmp_path / "audio").write_bytes(cut)
    with pytest.raises(InputError, match=r"ends too early|cannot be read"):
        read_audio(tmp_path / "audio", RATE)
        require_whole(tmp_path / "audio")


@pytest.fixture(scope="module")
def model(built: ByKind) -> Path:
    return built("char-rnnt")


def transcribe(model: Path, *arguments: Any) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "py/speech/transcribe.py", "--model", model, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def test_a_cut_file_is_transcribed_and_reported(
    model: Path, wave: Wave, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = encoded(wave, RATE, "VORBIS", "OGG")
    (tmp_path / "cut.ogg").write_bytes(content[: len(content) // 2])
    (tmp_path / "whole.ogg").write_bytes(content)
    capsys.readouterr()
    names = [tmp_path / "cut.ogg", tmp_path / "whole.ogg"]
    assert run_worker("speech/transcribe", "--model", model, "--json", *names) == 2
    printed = capsys.readouterr()
    assert [Path(json.loads(line)["audio"]).name for line in printed.out.splitlines()] == ["cut.ogg", "whole.ogg"]
    [error] = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert "cut.ogg ends too early" in error


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_name_that_is_not_utf8_is_one_of_the_list(
    model: Path, wave: Wave, tmp_path: Path, options: list[str]
) -> None:
    paths = [tmp_path / os.fsdecode(name) for name in (b"a.wav", b"b\xff\xe9.wav", b"gone\xff.wav", b"c.wav")]
    for path in (paths[0], paths[1], paths[3]):
        path.write_bytes(encoded(wave, RATE))
    names = list(map(os.fsencode, paths))
    done = transcribe(model, *options, "--", *names)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith(b"error: ")] != []
    assert b"Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    if options:
        assert [os.fsencode(json.loads(line)["audio"]) for line in lines] == [names[0], names[1], names[3]]
    else:
        assert lines[1].startswith(names[1] + b": ")


def test_what_has_no_signal_has_no_words(model: Path, wave: Wave, tmp_path: Path) -> None:
    """Zeros, a constant, and a converter's last bit, short and long; faint speech is heard."""
    from transducer.speech.recognizer import Recognizer

    recognizer = Recognizer(model)
    last_bit = np.random.default_rng(0).integers(0, 2, 2 * RATE).astype(np.float32) * np.float32(2**-15)
    nothing = [np.zeros(RATE, np.float32), np.full(40 * RATE, 0.5, np.float32), last_bit]
    faint = wave * np.float32(1e-3 / np.abs(wave).max())
    found = recognizer.transcribe([*nothing, faint, wave])
    assert [transcript.text for transcript in found[:3]] == ["", "", ""]
    assert found[3].tokens and found[4].tokens
    long = np.concatenate([np.zeros(20 * RATE, np.float32), wave, np.zeros(20 * RATE, np.float32)])
    assert recognizer.transcribe([long])[0].tokens
