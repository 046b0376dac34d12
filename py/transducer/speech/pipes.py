"""Audio from pipes, as it arrives: WAV, samples without a header, or whatever libsndfile reads once it is whole.

Example:
    for piece in read_pipe(sys.stdin.buffer, 16000):
        print(len(piece))
"""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import soxr

from transducer.core.cli import InputError
from transducer.speech.audio import MIN_SECONDS, CutError, Wave, decode, require_finite, require_rate, resample
from transducer.speech.containers import HEAD_BYTES, UNKNOWN_SIZE, container, is_cut

NAME = "standard input"
# What WAV says of samples, (format tag, bits), to their type and what full scale is.
TYPES = {(1, 16): ("<i2", 2**15), (1, 32): ("<i4", 2**31), (3, 32): ("<f4", 1)}
EXTENSIBLE = 0xFFFE
CONVERT = "pipe it through `ffmpeg -i - -f wav -`"


class Format(NamedTuple):
    """How samples lie in a pipe: Hz, channels, NumPy type, full scale, and bytes to come or -1 for all."""

    rate: int
    channels: int = 1
    kind: str = "<i2"
    scale: int = 2**15
    size: int = -1


class Recorded:
    """A pipe that keeps what is read from it until it is known whether it has to be read again."""

    def __init__(self, pipe: io.BufferedReader) -> None:
        self._pipe = pipe
        self.content = b""

    def read(self, size: int = -1) -> bytes:
        more = self._pipe.read(size)
        self.content += more
        return more


def read_pipe(pipe: io.BufferedReader, sample_rate: int, raw_rate: int | None = None) -> Iterator[Wave]:
    """Yield samples as they arrive, float32 [samples] at `sample_rate`, channels averaged, until the pipe closes.

    WAV of integers of 16 or 32 bits or of float32 is heard while it arrives; other containers once they are whole.

    Args:
        raw_rate: the pipe holds samples without a header, 16 bit, little-endian, mono, of this rate in Hz.

    Raises: InputError for what is not audio, too little of it, and samples that are not numbers; CutError at the end
    of what ends before its container does.
    """
    if raw_rate is not None:
        yield from _samples(pipe, Format(require_rate(raw_rate, "RATE")), sample_rate)
        return
    recorded = Recorded(pipe)
    head = recorded.read(12)
    if head.startswith(b"RIFF") and head.endswith(b"WAVE"):
        form = _wav_format(recorded)
        if form:
            yield from _samples(pipe, form, sample_rate)
            return
    else:
        _require_readable(head + recorded.read(HEAD_BYTES - len(head)))
    recorded.read()
    content = io.BytesIO(recorded.content)
    yield resample(*decode(content, NAME), sample_rate)
    if is_cut(content):
        raise CutError(NAME)


def _require_readable(head: bytes) -> None:
    """Refuse what no container begins with, and containers that libsndfile does not read."""
    form = container(head)
    if not head:
        raise InputError(f"{NAME} holds 0 s of audio; bring at least {MIN_SECONDS} s.")
    if form is None:
        raise InputError(
            f"{NAME} begins like no known audio; pipe WAV, or for samples without a header (16 bit, mono) give their "
            "rate, as in RATE=16000 or --raw 16000."
        )
    if not form.readable:
        raise InputError(f"{NAME} is {form.name}, which cannot be read; {CONVERT}.")


def _samples(pipe: io.BufferedReader, form: Format, sample_rate: int) -> Iterator[Wave]:
    """Yield the samples of a pipe that has none but these left, at `sample_rate`."""
    resampler = soxr.ResampleStream(form.rate, sample_rate, 1, dtype="float32")
    frame = form.channels * np.dtype(form.kind).itemsize
    samples, left, rest = 0, form.size, b""
    while more := pipe.read1(1 << 16 if left < 0 else min(left, 1 << 16)):
        left -= len(more) if left > 0 else 0
        data = rest + more
        whole = len(data) // frame * frame
        rest = data[whole:]
        channels = np.frombuffer(data[:whole], form.kind).reshape(-1, form.channels).astype(np.float32)
        wave = require_finite(channels.mean(axis=1) / np.float32(form.scale), NAME)
        samples += len(wave)
        yield wave if form.rate == sample_rate else resampler.resample_chunk(wave)
    if samples < MIN_SECONDS * form.rate:
        raise InputError(f"{NAME} holds {samples / form.rate:.3g} s of audio; bring at least {MIN_SECONDS} s.")
    if form.rate != sample_rate:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    if left > 0:
        raise CutError(NAME)


def _wav_format(pipe: Recorded) -> Format | None:
    """Read WAV up to its samples; return how they lie, None for samples that only libsndfile can decode."""
    form = None
    while len(chunk := pipe.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data" and form:
            tag, channels, rate, bits = form
            require_rate(rate, NAME)
            if (tag, bits) not in TYPES or not channels:
                return None
            unknown = size in UNKNOWN_SIZE or size > UNKNOWN_SIZE[1]
            return Format(rate, channels, *TYPES[tag, bits], size=-1 if unknown else size)
        body = pipe.read(size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            tag, channels, rate, bits = struct.unpack("<HHI6xH", body[:16])
            tag = struct.unpack("<H", body[24:26])[0] if tag == EXTENSIBLE and len(body) >= 26 else tag
            form = tag, channels, rate, bits
    raise InputError(f"{NAME} is WAV without a format or samples; pipe the whole of it.")
