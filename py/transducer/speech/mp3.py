"""Frames of MP3: what a header says, and whether a file holds as many as it says.

Example:
    mp3_is_cut(Path("a.mp3").read_bytes())
"""

import struct
from typing import NamedTuple

# Kilobits a second of layer III by MPEG version 1, and versions 2 and 2.5.
BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Hz by the header's version: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5.
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
LAYER_III = 1


class Frame(NamedTuple):
    """A frame's bytes, header included, and where in it a Xing header would be."""

    size: int
    xing: int


def is_frame(head: bytes) -> bool:
    """Return whether bytes begin with the header of an MPEG audio frame, of any layer."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version in RATES and layer != 0 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3 and head[3] & 3 != 2


def frame(header: bytes) -> Frame | None:
    """Return a frame of layer III by its first 4 bytes; None for what does not begin with a frame of known size."""
    if not is_frame(header) or header[1] >> 1 & 3 != LAYER_III or not header[2] >> 4:
        return None
    version = header[1] >> 3 & 3
    first, mono = version == 3, header[3] >> 6 == 3
    bitrate, rate = BITRATES[first][header[2] >> 4], RATES[version][header[2] >> 2 & 3]
    size = (144 if first else 72) * bitrate * 1000 // rate + (header[2] >> 1 & 1)
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return Frame(size, 4 + side)


class Walk(NamedTuple):
    """Frames of layer III: where the first begins, how many follow, where they end, and how many the first counts."""

    begin: int
    frames: int
    end: int
    counted: int | None


def walk(content: bytes) -> Walk:
    """Follow the frames of an MP3 from its first; `counted` is None where no Xing header counts them."""
    begin = 0
    if content[:3] == b"ID3":
        high, middle, low, last = content[6:10]
        begin = 10 + (high << 21 | middle << 14 | low << 7 | last)
    at, frames, counted = begin, 0, None
    while (header := frame(content[at : at + 4])) is not None:
        if not frames:
            xing = content[at + header.xing : at + header.xing + 12]
            if xing[:4] in (b"Xing", b"Info") and xing[7] & 1:
                (counted,) = struct.unpack(">I", xing[8:])
        at += header.size
        frames += 1
    return Walk(begin, frames, at, counted)


def with_count(content: bytes) -> bytes:
    """Return MP3 with a frame before its first that counts the others, without which libsndfile guesses its length."""
    stream = walk(content)
    first = frame(content[stream.begin : stream.begin + 4])
    if first is None or stream.counted is not None or first.size < first.xing + 12:
        return content
    # With protection off, so that no checksum has to be right.
    header = bytes(
        [content[stream.begin], content[stream.begin + 1] | 1, *content[stream.begin + 2 : stream.begin + 4]]
    )
    counting = (header + bytes(first.xing - 4) + b"Xing" + struct.pack(">II", 1, stream.frames)).ljust(
        first.size, b"\0"
    )
    return content[: stream.begin] + counting + content[stream.begin :]


def mp3_is_cut(content: bytes) -> bool:
    """Return whether the last frame is incomplete, or frames are missing of those that the first one counts."""
    stream = walk(content)
    rest = content[stream.end :]
    incomplete = stream.end > len(content) or (0 < len(rest) < 4 and not b"TAG".startswith(rest))
    # The frame that counts is not counted by most writers.
    return stream.frames > 0 and (incomplete or stream.frames < (stream.counted or 0))
