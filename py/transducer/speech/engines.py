"""Speech synthesisers, by name: espeak-ng and flite, which are programs, and Kokoro, a model that ONNX Runtime runs.

Example:
    engine = open_engine("kokoro", Path("kokoro"))
    wave = engine.speak("call S M I T H", "af_heart", speed=1.1)

Texts are lower case words; a spelled letter is a capital. Samples are float32 at 16 kHz.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
from scipy.signal import resample_poly

from transducer.core.cli import InputError

SAMPLE_RATE = 16_000
KOKORO_RATE = 24_000
# Kokoro-82M v1.0 in int8; see docs/speech.md. Another file would not speak the checked-in clips again.
KOKORO_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"


class Engine(Protocol):
    """What speaks a text in a voice; the same arguments give the same samples."""

    def speak(self, text: str, voice: str, speed: float, pitch: int = 50) -> np.ndarray:
        """Return `text` as float32 [samples] at 16 kHz.

        Args:
            voice: a name of the engine's; see SPEAKERS in corpus.py.
            speed: relative to the engine's usual one.
            pitch: 0 to 99, for espeak-ng only.
        Raises:
            InputError: the engine does not have the voice.
        """


def open_engine(name: str, kokoro: Path | None = None) -> Engine:
    """Return an engine by its name. Raises: InputError where it is not installed."""
    if name == "kokoro":
        if kokoro is None:
            raise InputError("The engine kokoro needs its folder; give --kokoro (docs/speech.md says what it holds).")
        return Kokoro(kokoro)
    return PROGRAMS[name]()


class EspeakNg:
    """espeak-ng; a voice is accent+variant, for example en-us+f2."""

    USUAL_WORDS_A_MINUTE = 175

    def __init__(self) -> None:
        _require("espeak-ng")

    def speak(self, text: str, voice: str, speed: float, pitch: int = 50) -> np.ndarray:
        words_a_minute = str(round(self.USUAL_WORDS_A_MINUTE * speed))
        command = ["espeak-ng", "-v", voice, "-s", words_a_minute, "-p", str(pitch), "--stdout", _for_espeak(text)]
        process = subprocess.run(command, capture_output=True, check=False)
        wav = process.stdout
        if process.returncode or len(wav) <= 44:
            reason = process.stderr.decode(errors="replace").strip() or "it wrote no audio"
            raise InputError(f"espeak-ng failed for voice {voice}: {reason}; version 1.51 is known to work.")
        # The sizes in the header of a streamed WAV are placeholders, so the 44 byte header is read by hand.
        rate = int.from_bytes(wav[24:28], "little")
        return _at_16_khz(np.frombuffer(wav[44:], dtype="<i2").astype(np.float32) / 32768, rate)


class Flite:
    """flite; a voice is one that it has built in, for example slt."""

    def __init__(self) -> None:
        _require("flite")

    def speak(self, text: str, voice: str, speed: float, pitch: int = 50) -> np.ndarray:
        # flite takes an unknown voice for its default without a word.
        known = subprocess.run(["flite", "-lv"], capture_output=True, text=True, check=False).stdout.split()
        if voice not in known:
            raise InputError(f"flite has no voice {voice}; install a build that has it (Debian and Ubuntu: flite).")
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            command = ["flite", "-voice", voice, "--setf", f"duration_stretch={1 / speed:.3f}"]
            process = subprocess.run(
                [*command, "-t", text.replace("rubout", "rub out"), "-o", file.name], capture_output=True, check=False
            )
            if process.returncode:
                raise InputError(f"flite failed for voice {voice}: {process.stderr.decode(errors='replace').strip()}.")
            wave, rate = soundfile.read(file.name, dtype="float32")
        return _at_16_khz(wave, rate)


class Kokoro:
    """Kokoro-82M by ONNX Runtime, with phonemes by espeak-ng.

    A voice is a file of the folder's voices/, or two of one accent as NAME+NAME: their styles' mean is a third speaker.

    Args:
        folder: has model.onnx, vocab.json (`{"vocab": {symbol: id}}`), and voices/NAME.bin (float32 [510, 1, 256], a
            style for each number of tokens).
    Raises:
        InputError: the folder lacks a file, or model.onnx is another one.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        _require("espeak-ng")
        self._folder = folder
        for name in ("model.onnx", "vocab.json", "voices"):
            if not (folder / name).exists():
                raise InputError(f"{folder}: has no {name}; lay the folder out as docs/speech.md says.")
        model = folder / "model.onnx"
        with model.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != KOKORO_SHA256:
            raise InputError(f"{model}: has the SHA-256 {digest[:12]}…, not {KOKORO_SHA256[:12]}…; get it again.")
        self._ids: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # several utterances are spoken at once; and a sum has one order
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._styles: dict[str, np.ndarray] = {}

    def speak(self, text: str, voice: str, speed: float, pitch: int = 50) -> np.ndarray:
        names = voice.split("+")
        tokens = [self._ids[symbol] for symbol in phonemes(text, british=voice.startswith("b")) if symbol in self._ids]
        style = np.mean([self._style(name)[len(tokens) - 1] for name in names], axis=0, dtype=np.float32)
        inputs = {"tokens": np.array([[0, *tokens, 0]]), "style": style, "speed": np.array([speed], np.float32)}
        (wave,) = self._session.run(None, inputs)
        return _at_16_khz(np.ravel(wave), KOKORO_RATE)

    def _style(self, name: str) -> np.ndarray:
        if name not in self._styles:
            path = self._folder / "voices" / f"{name}.bin"
            if not path.is_file():
                raise InputError(f"{path}: the voice is missing; lay the folder out as docs/speech.md says.")
            self._styles[name] = np.fromfile(path, "<f4").reshape(-1, 1, 256)
        return self._styles[name]


# espeak-ng's symbols, as Kokoro was trained on them: diphthongs and affricates are one letter each.
_BOTH = {
    "e^ɪ": "A", "a^ɪ": "I", "a^ʊ": "W", "ɔ^ɪ": "Y", "d^ʒ": "ʤ", "t^ʃ": "ʧ", "ə^l": "ᵊl",  # noqa: RUF001
    "r": "ɹ", "x": "k", "ɬ": "l",
}  # fmt: skip
_AMERICAN = {**_BOTH, "o^ʊ": "O", "ɜː": "ɜɹ", "ɚ": "əɹ", "ː": ""}  # noqa: RUF001
_BRITISH = {**_BOTH, "ə^ʊ": "Q", "o^ʊ": "Q"}


def phonemes(text: str, british: bool) -> str:
    """Return Kokoro's phonemes of a text, with stress marks."""
    accent, symbols = ("en-gb", _BRITISH) if british else ("en-us", _AMERICAN)
    command = ["espeak-ng", "-q", "--ipa=3", "--tie=^", "-v", accent, _for_espeak(text)]
    phones = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    phones = re.sub("|".join(map(re.escape, symbols)), lambda match: symbols[match[0]], phones)
    return " ".join(phones.replace("^", "").split())


def _for_espeak(text: str) -> str:
    """Name what espeak-ng reads wrong: an A in the middle is an article to it."""
    return re.sub(r"\bA\b", "[[eI]]", text).replace("rubout", "rub out")


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise InputError(f"{program} was not found on PATH; install it (Debian and Ubuntu: the package {program}).")


def _at_16_khz(wave: np.ndarray, rate: int) -> np.ndarray:
    divisor = int(np.gcd(SAMPLE_RATE, rate))
    return np.asarray(resample_poly(wave, SAMPLE_RATE // divisor, rate // divisor), dtype=np.float32)


PROGRAMS: dict[str, Callable[[], Engine]] = {"espeak-ng": EspeakNg, "flite": Flite}
ENGINES = ("espeak-ng", "flite", "kokoro")
