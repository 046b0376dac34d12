"""Ogg files that are the same for the same samples: libsndfile draws a stream's serial number by the clock.

Example:
    set_ogg_serial(Path("clip.ogg"), 7)
"""

import struct
from pathlib import Path

_POLYNOMIAL = 0x04C11DB7


def _crc_of_byte(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1) ^ (_POLYNOMIAL if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_CRC = [_crc_of_byte(byte) for byte in range(256)]


def set_ogg_serial(path: Path, serial: int) -> None:
    """Give every page of an Ogg file of one stream this serial number, and its new checksum (RFC 3533, section 6)."""
    data, start = bytearray(path.read_bytes()), 0
    while start < len(data):
        segments = data[start + 26]
        end = start + 27 + segments + sum(data[start + 27 : start + 27 + segments])
        struct.pack_into("<I", data, start + 14, serial)
        struct.pack_into("<I", data, start + 22, 0)
        struct.pack_into("<I", data, start + 22, _checksum(data[start:end]))
        start = end
    path.write_bytes(data)


def _checksum(page: bytearray) -> int:
    value = 0
    for byte in page:
        value = (value << 8) & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
    return value
