"""What the first bytes of audio say of its container, and whether a file ends before its container does.

Example:
    container(b"\\x1aE\\xdf\\xa3" + bytes(28))  # Container("WebM or Matroska", readable=False)
"""

import io
import re
import struct
from typing import BinaryIO, NamedTuple

from transducer.speech.mp3 import is_frame, mp3_is_cut, with_count

# Bytes that tell every container apart.
HEAD_BYTES = 32
# Programs that write WAV to a pipe do not know its length, and write one of these sizes or one above.
UNKNOWN_SIZE = (0, 0x7F000000)
UNKNOWN_SIZE_64 = 2**63 - 1
# Of an Ogg page: a header of 27 bytes, a table of at most 255 sizes, and as many segments of at most 255 bytes.
OGG_PAGE_BYTES = 27 + 255 + 255 * 255
OGG_LAST_PAGE = 4
# Where samples begin, unless there are pictures before them.
HEADERS_BYTES = 1 << 20


class Container(NamedTuple):
    """A container by name, and whether libsndfile reads it."""

    name: str
    readable: bool


class Chunks(NamedTuple):
    """How a container lays out chunks: where the first begins, the size of an id, the format of a size, whether that
    counts the chunk's header too, what chunks are aligned to, and the id of the samples' chunk."""

    start: int
    id_bytes: int
    size: str
    inclusive: bool
    align: int
    samples: bytes


MP3 = Container("MP3", True)
# As regular expressions from the first byte on.
MAGIC: list[tuple[bytes, Container]] = [
    (rb"RIFF....WAVE|RIFX....WAVE", Container("WAV", True)),
    (rb"RF64....WAVE", Container("RF64", True)),
    (rb"riff.\x91\xcf\x11", Container("W64", True)),
    (rb"FORM....AIF[FC]", Container("AIFF", True)),
    (rb"FORM....(8SVX|16SV)", Container("SVX", True)),
    (rb"caff", Container("CAF", True)),
    (rb"fLaC", Container("FLAC", True)),
    (rb"OggS", Container("Ogg", True)),
    (rb"ID3", MP3),
    (rb"\.snd|dns\.", Container("AU", True)),
    (rb"NIST_1A", Container("NIST Sphere", True)),
    (rb"Creative Voice File", Container("VOC", True)),
    (rb"PVF1", Container("PVF", True)),
    (rb"RIFF....(?s:(?P<kind>.{4}))", Container("RIFF", False)),
    (rb"....ftyp|....moov|....mdat", Container("MP4 or M4A", False)),
    (rb"\x1aE\xdf\xa3", Container("WebM or Matroska", False)),
    (rb"0&\xb2u\x8ef\xcf\x11", Container("WMA or ASF", False)),
    (rb"ADIF|\xff[\xf0\xf1\xf8\xf9]|\x56[\xe0-\xff]", Container("AAC", False)),
    (rb"#!AMR", Container("AMR", False)),
    (rb"FLV\x01", Container("FLV", False)),
    (rb"MAC ", Container("Monkey's Audio", False)),
    (rb"wvpk", Container("WavPack", False)),
    (rb"DSD |FRM8", Container("DSD", False)),
    (rb"\x0b\x77", Container("AC-3", False)),
    (rb"\x00\x00\x01\xba", Container("MPEG video", False)),
]
CHUNKS = {
    b"RIFF": Chunks(12, 4, "<I", False, 2, b"data"),
    b"RIFX": Chunks(12, 4, ">I", False, 2, b"data"),
    b"RF64": Chunks(12, 4, "<I", False, 2, b"data"),
    b"FORM": Chunks(12, 4, ">I", False, 2, b"SSND"),
    b"caff": Chunks(8, 4, ">Q", False, 1, b"data"),
    b"riff": Chunks(40, 16, "<Q", True, 8, b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"),
}


def container(head: bytes) -> Container | None:
    """Return the container of audio by its first HEAD_BYTES bytes, None for what no container begins with."""
    for pattern, form in MAGIC:
        if match := re.match(pattern, head, re.DOTALL):
            kind = match.groupdict().get("kind")
            return form._replace(name=f"RIFF of kind {kind.decode('ascii', 'replace').strip()}") if kind else form
    return MP3 if is_frame(head) else None


def samples_chunk(content: bytes | memoryview) -> tuple[int, int | None]:
    """Return where the samples of a container of chunks begin, and their bytes as its header says.

    The latter is None where the header does not know; the former is -1 where no chunk holds samples.
    """
    layout = CHUNKS[bytes(content[:4])]
    width = struct.calcsize(layout.size)
    at, long_size = layout.start, None
    while at + layout.id_bytes + width <= len(content):
        name = bytes(content[at : at + layout.id_bytes])
        (size,) = struct.unpack(layout.size, content[at + layout.id_bytes : at + layout.id_bytes + width])
        body = at + layout.id_bytes + width
        size -= layout.id_bytes + width if layout.inclusive else 0
        if name == b"ds64" and len(content) >= body + 16:
            (long_size,) = struct.unpack("<Q", content[body + 8 : body + 16])
        if name == layout.samples:
            if long_size is not None:
                return body, long_size
            unknown = size in UNKNOWN_SIZE or size > (UNKNOWN_SIZE[1] if width == 4 else UNKNOWN_SIZE_64)
            return body, None if unknown else size
        at = body + max(size, 0) + -size % layout.align
    return -1, None


def with_size(content: bytes) -> bytes:
    """Return audio whose header does not know its length with that length; else what was given."""
    if container(content[:HEAD_BYTES]) == MP3:
        return with_count(content)
    if content[:4] not in (b"RIFF", b"RIFX"):
        return content
    begin, size = samples_chunk(content)
    if begin < 0 or size is not None:
        return content
    left = min(len(content) - begin, 2**32 - 1)
    return content[: begin - 4] + struct.pack(CHUNKS[content[:4]].size, left) + content[begin:]


def is_cut(stream: BinaryIO) -> bool:
    """Return whether audio ends before its container does, as a download does that was broken off."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    if head[:4] in CHUNKS:
        # Headers come first.
        begin, samples = samples_chunk(stream.read(HEADERS_BYTES))
        return begin >= 0 and samples is not None and begin + samples > size
    if head[:4] == b".snd" and len(head) >= 12:
        begin, samples = struct.unpack(">II", head[4:12])
        return bool(samples != 2**32 - 1 and begin + samples > size)
    if head[:4] == b"OggS":
        stream.seek(max(0, size - 2 * OGG_PAGE_BYTES))
        return ogg_is_cut(stream.read())
    return container(head) == MP3 and mp3_is_cut(stream.read())


def ogg_is_cut(tail: bytes) -> bool:
    """Return whether the last page in the last bytes of an Ogg file is incomplete, or not the last of its stream."""
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27:
        return True
    table = page[27 : 27 + page[26]]
    complete = len(table) == page[26] and len(page) >= 27 + len(table) + sum(table)
    return not (complete and page[5] & OGG_LAST_PAGE)
