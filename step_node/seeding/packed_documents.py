"""A chunk's documents for MongoDB as BSON, made by array arithmetic.

All triangles of a level have documents of the same form and length. One of them is encoded by pymongo, with values that
occur nowhere else in it; what is found in their places is replaced by the values of each triangle.
"""

from __future__ import annotations

from struct import pack

import bson
import numpy as np
import numpy.typing as npt
from bson.raw_bson import RawBSONDocument

from step_node.seeding.levels import ChunkOf
from step_node.seeding.triangles import Columns, Record, columns, records

_LONG_MIN = 1 << 31
"""From here on pymongo writes an integer in 64 bits; smaller ones in 32, which is another form."""


def packed_documents(chunk: ChunkOf) -> list[RawBSONDocument]:
    """`record.document()` of each of the chunk's records, byte for byte as pymongo encodes it."""
    found = columns(chunk)
    if found.parents is None or found.parents[-1] < _LONG_MIN:
        return [RawBSONDocument(bson.encode(record.document())) for record in records(chunk)]
    packed = _packed(found, chunk.level)
    size = packed.shape[1]
    whole = packed.tobytes()
    documents = [whole[begin : begin + size] for begin in range(0, len(whole), size)]
    short = int(np.searchsorted(found.parents, _LONG_MIN))
    if short:
        documents[:short] = [bson.encode(record.document()) for record in records(chunk)[:short]]
    return list(map(RawBSONDocument, documents))


def _packed(found: Columns, level: int) -> npt.NDArray[np.uint8]:
    """The documents as rows of bytes."""
    assert found.parents is not None
    places = [0.5 + number for number in range(10)]
    ring = [places[2:4], places[4:6], places[6:8], places[8:]]
    text = "?" * len(found.texts[0])
    template = bson.encode(Record(_LONG_MIN, level, _LONG_MIN + 1, places[:2], ring, text).document())
    positions = found.positions[found.corners[:, [0, 1, 2, 0]]].reshape(-1, 8)
    values: list[tuple[bytes, npt.NDArray[np.generic]]] = [
        (pack("<q", _LONG_MIN), found.numbers.astype("<i8")),
        (pack("<q", _LONG_MIN + 1), found.parents.astype("<i8")),
        (text.encode(), np.array(found.texts, dtype=f"S{len(text)}")),
        *((pack("<d", place), found.centroids[:, axis].astype("<f8")) for axis, place in enumerate(places[:2])),
        *((pack("<d", place), positions[:, axis].astype("<f8")) for axis, place in enumerate(places[2:])),
    ]
    packed = np.tile(np.frombuffer(template, dtype=np.uint8), (len(found.numbers), 1))
    for mark, column in values:
        begin = template.index(mark)
        packed[:, begin : begin + len(mark)] = column.view(np.uint8).reshape(len(column), len(mark))
    return packed
