"""Streams by an offline encoder that hears their last seconds again: beside the same recordings heard whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEMO, ByKind, make
from transducer.core.cli import InputError
from transducer.core.error_rates import rate, word_errors
from transducer.runtime.sessions import open_session
from transducer.speech.audio import Wave, read_audio
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer
from transducer.speech.windows import Buffer, BufferedWindows

DEMO_TDT = str(DEMO / "demo-tdt.nemo")
UTTERANCES = read_manifest(DEMO / "validation/manifest.jsonl")[:48]


def clips(count: int) -> list[Wave]:
    return [read_audio(utterance["audio_filepath"], 16000) for utterance in UTTERANCES[:count]]


def wer(found: list[str]) -> float:
    return rate(word_errors([utterance["text"] for utterance in UTTERANCES[: len(found)]], found))


@pytest.mark.parametrize("kind", ["bpe-tdt", "bpe-rnnt", "stateless-tdt", "context-net"])
def test_windows_are_what_the_encoder_says_of_their_audio(kind: str, built: ByKind) -> None:
    """Each window's new frames are those that the encoder gives for the features from `left` before them on."""
    out = built(kind)
    recognizer = Recognizer(out)
    encoder, features = open_session(out / "onnx/encoder.onnx"), recognizer.features(clips(1))[0]
    unit = int(recognizer.meta["subsampling_factor"])
    seconds = unit * float(recognizer.meta["window_stride"])
    windows = BufferedWindows(encoder, recognizer.meta, Buffer(6 * seconds, 4 * seconds, 2 * seconds))
    left, shift, size = (windows.facts[f"{name}_frames"] for name in ("initial_padding", "shift", "window"))
    assert (left, shift, size) == (6 * unit, 4 * unit, 12 * unit)
    state, total = windows.initial_state(2), features.shape[2]
    for number in range(total // shift):
        start = number * shift - left
        stop = min(start + size, total)
        # The second row rests at first.
        given, length = np.zeros((2, features.shape[1], size), np.float32), stop - start
        given[0, :, max(-start, 0) : length] = features[0, :, max(start, 0) : stop]
        frames, counts, state = windows.encode(given, np.array([length, 0]), state, {})
        heard = features[:, :, max(start, 0) : stop]
        expected, _ = encoder.run(None, {"audio_signal": heard, "length": np.array([heard.shape[2]])})
        first = (number * shift - max(start, 0)) // unit
        assert counts.tolist() == [min(4, expected.shape[2] - first), 0]
        difference = frames[0, :, : counts[0]] - expected[0, :, first : first + counts[0]]
        assert np.abs(difference).max() < 1e-4
    assert state["windows"].tolist() == [total // shift, 0]


def test_a_buffer_longer_than_a_recording_hears_it_whole(built: ByKind) -> None:
    out, waves = built(DEMO_TDT), clips(48)
    whole = [found.text for found in Recognizer(out).transcribe(waves)]
    streamed = [found.text for found in LiveRecognizer(out, buffer=Buffer(0, 20, 0)).transcribe(waves)]
    assert streamed == whole and all(whole)


def test_words_come_while_they_are_spoken_and_as_well(built: ByKind) -> None:
    out, waves = built(DEMO_TDT), clips(48)
    recognizer = LiveRecognizer(out, buffer=Buffer(6, 1, 1))
    whole = [found.text for found in Recognizer(out).transcribe(waves)]
    assert wer([found.text for found in recognizer.transcribe(waves)]) <= wer(whole) + 3
    longest = max(waves, key=len)
    partials = list(recognizer.listen(longest[start : start + 1600] for start in range(0, len(longest), 1600)))
    assert len(partials) > 2 and partials[-1].final
    first: Any = partials[0]
    assert first.lookahead <= 2.1 and first.end < len(longest) / 16000


@pytest.mark.parametrize("buffer", [(1, 0, 1), (-1, 1, 1), (300, 1, 1)])
def test_a_buffer_that_is_none(buffer: tuple[float, float, float], built: ByKind) -> None:
    with pytest.raises(InputError, match="is not one; give the seconds"):
        LiveRecognizer(built("bpe-tdt"), buffer=Buffer(*buffer))


def test_the_command(built: ByKind, tmp_path: Path) -> None:
    done = make("-n", "transcribe", "STREAM=1", "BUFFER=10 2 2", "WAV=a.wav", f"OUT={tmp_path / 'out'}")
    assert done.returncode == 0 and "--stream --buffer 10 2 2" in done.stdout and "encoder.onnx" in done.stdout
    done = make("-n", "transcribe", "STREAM=1", "WAV=a.wav", f"OUT={tmp_path / 'out'}")
    assert done.returncode == 2 and 'BUFFER="10 2 2"' in done.stderr
