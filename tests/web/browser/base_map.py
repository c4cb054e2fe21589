"""A small base map for tests: one vector tile in a PMTiles file (version 3), as an operator would add it."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.web.browser.proofs import Spot

LEVEL: Final = 8
EXTENT: Final = 4_096
_HEADER_BYTES: Final = 127
_UNPACKED: Final = 1
_VECTOR_TILES: Final = 1


def write_base_map(path: Path, spot: Spot, place: str) -> None:
    """Land, a lake, a road through the tile, and a place's name, in the one tile that holds the spot."""
    x, y, across, down = _tile_of(spot)
    whole = [(0, 0), (EXTENT, 0), (EXTENT, EXTENT), (0, EXTENT)]
    lake = [(across + dx, down + dy) for dx, dy in ((-60, -60), (-20, -60), (-20, -20), (-60, -20))]
    tile = b"".join(
        (
            _layer("earth", "earth", 3, whole),
            _layer("water", "lake", 3, lake),
            _layer("roads", "highway", 2, [(0, down), (EXTENT, down)]),
            _layer("places", "locality", 1, [(across, down)], name=place),
        )
    )
    directory = b"".join(map(_varint, (1, _tile_id(LEVEL, x, y), 1, len(tile), 1)))
    metadata = b"{}"
    at = _HEADER_BYTES + len(directory)
    header = b"PMTiles\x03" + struct.pack(
        "<11Q",
        *(_HEADER_BYTES, len(directory)),
        *(at, len(metadata)),
        *(at + len(metadata), 0),
        *(at + len(metadata), len(tile)),
        *(1, 1, 1),
    )
    kinds = struct.pack("<6B", 1, _UNPACKED, _UNPACKED, _VECTOR_TILES, 0, LEVEL)
    bounds = struct.pack("<4iB2i", -1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000, 0, 0, 0)
    path.write_bytes(header + kinds + bounds + directory + metadata + tile)


def _tile_of(spot: Spot) -> tuple[int, int, int, int]:
    """Column and row of the tile, and where in it."""
    side = 2**LEVEL
    x = (spot.lon + 180) / 360 * side
    y = (1 - math.asinh(math.tan(math.radians(spot.lat))) / math.pi) / 2 * side
    return int(x), int(y), int(x % 1 * EXTENT), int(y % 1 * EXTENT)


def _tile_id(level: int, x: int, y: int) -> int:
    """Its place on the Hilbert curve of its level, after all coarser levels."""
    found: int = sum(4**coarser for coarser in range(level))
    half = 2**level // 2
    while half:
        right, below = bool(x & half), bool(y & half)
        found += half * half * ((3 * right) ^ below)
        if not below:
            if right:
                x, y = half - 1 - x % half, half - 1 - y % half
            x, y = y, x
        half //= 2
    return found


def _layer(layer: str, kind: str, form: int, points: list[tuple[int, int]], **tags: str) -> bytes:
    """A layer of one feature: 1 a point, 2 a line, 3 an area."""
    texts = {"kind": kind, **tags}
    numbers = [number for index in range(len(texts)) for number in (index, index)]
    feature = _packed(2, numbers) + _number(3, form) + _packed(4, _geometry(form, points))
    return _field(
        3,
        b"".join(
            (
                _number(15, 2),
                _field(1, layer.encode()),
                _field(2, feature),
                *(_field(3, key.encode()) for key in texts),
                *(_field(4, _field(1, text.encode())) for text in texts.values()),
                _number(5, EXTENT),
            )
        ),
    )


def _geometry(form: int, points: list[tuple[int, int]]) -> list[int]:
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip([(0, 0), *points], points, strict=False)]
    zigzags = [(value << 1) ^ (value >> 31) for step in steps for value in step]
    begun = [1 << 3 | 1, *zigzags[:2]]
    if form == 1:
        return begun
    return [*begun, (len(points) - 1) << 3 | 2, *zigzags[2:], *([1 << 3 | 7] if form == 3 else [])]


def _packed(number: int, values: Iterable[int]) -> bytes:
    return _field(number, b"".join(map(_varint, values)))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
