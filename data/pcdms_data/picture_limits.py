"""How large an encoded picture is, read from its head, so that a huge one is never decoded.

A file of a few kilobytes can ask for gigabytes of pixels. The size is therefore read before
decoding, and formats whose size is not read here are not decoded at all. Sources: PNG (W3C),
section 11.2.2; JPEG (ITU T.81), annex B; WebP (RFC 9649); headers of GIF89a, BMP, TIFF 6.0, netpbm.
"""

from __future__ import annotations

import re
import struct

from pcdms_data.types import PictureError

LARGEST_PIXELS = 64 * 1024 * 1024
"""Pixels (height x width) that a picture may have: 67,108,864, for example 8192 x 8192."""

FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF or PNM"
"""Formats of pictures that are read."""

_NOT_A_FRAME = frozenset((0xC4, 0xC8, 0xCC))
_PNM = re.compile(rb"P[1-6]\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,9})[\s#]")
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


def check_pixels(content: bytes, where: str) -> tuple[int, int]:
    """Return the size (H, W) that the head of an encoded picture announces.

    Raises PictureError, naming `where`, on a picture of more than `LARGEST_PIXELS` pixels, of no
    pixel, or of a format whose head is not understood.
    """
    size = header_size(content)
    if size is None:
        raise PictureError(f"picture {where} cannot be decoded, expected a {FORMATS} file")
    height, width = size
    if not 0 < height * width <= LARGEST_PIXELS:
        raise PictureError(
            f"picture {where} is {height}x{width}, expected 1 to {LARGEST_PIXELS} pixels"
        )
    return size


def header_size(content: bytes) -> tuple[int, int] | None:
    """Return the size (H, W) that the head of an encoded picture announces, None where it is none.

    `content` is the whole file or its first bytes (64 KiB hold every head in practice).
    """
    try:
        if content[:2] == b"\xff\xd8":
            return _jpeg_size(content)
        if content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", content, 16)
        elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp_size(content)
        elif content[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack_from("<HH", content, 6)
        elif content[:2] == b"BM":
            return _bmp_size(content)
        elif content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff_size(content)
        elif match := _PNM.match(content):
            width, height = int(match[1]), int(match[2])
        else:
            return None
    except (struct.error, IndexError):
        return None
    return height, width


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Walk the segments up to the first frame header; others are skipped by their length."""
    at = 2
    while True:
        if content[at] != 0xFF:
            raise IndexError(at)
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_A_FRAME:
            return (content[at + 5] << 8 | content[at + 6], content[at + 7] << 8 | content[at + 8])
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            raise IndexError(at)
        at += 2 + (content[at + 2] << 8 | content[at + 3])


def _webp_size(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", content, 24)
        return (high_height << 16 | low_height) + 1, (high_width << 16 | low_width) + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", content, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return height & 0x3FFF, width & 0x3FFF
    return None


def _bmp_size(content: bytes) -> tuple[int, int]:
    """Read either header; a negative height says that the rows run from the top."""
    if struct.unpack_from("<I", content, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", content, 18)
    else:
        width, height = struct.unpack_from("<ii", content, 18)
    return abs(height), width


def _tiff_size(content: bytes) -> tuple[int, int] | None:
    """Read width (tag 256) and height (tag 257) of the first directory, plain or BigTIFF."""
    order = "<" if content[:1] == b"I" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    at = struct.unpack_from(f"{order}Q" if big else f"{order}I", content, 8 if big else 4)[0]
    count = struct.unpack_from(f"{order}Q" if big else f"{order}H", content, at)[0]
    at += 8 if big else 2
    found: dict[int, int] = {}
    for entry in range(min(count, 512)):
        place = at + entry * (20 if big else 12)
        tag, kind = struct.unpack_from(f"{order}HH", content, place)
        if tag in (256, 257) and kind in _TIFF_NUMBERS:
            value = place + (12 if big else 8)
            found[tag] = struct.unpack_from(f"{order}{_TIFF_NUMBERS[kind]}", content, value)[0]
    return (found[257], found[256]) if len(found) == 2 else None
