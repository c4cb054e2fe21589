"""A stored batch in a few words: its header, and how much it holds, without a look at what that is.

To decode a full batch takes some 20 ms, and its summary less than one: the proofs are counted and skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgpack

from consensus.wire import FIELDS_MAX
from step_node.batch.batch import Batch, BatchHeader, MalformedBatch, header_hash

_LISTS: Final = ("proofs", "operations", "evidence")


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What a list of batches shows of each."""

    header: BatchHeader
    batch_hash: bytes
    proofs: int
    operations: int
    evidence: int

    @classmethod
    def of(cls, batch: Batch) -> BatchSummary:
        """The summary of a decoded batch."""
        return cls(batch.header, batch.hash, len(batch.proofs), len(batch.operations), len(batch.evidence))


def stored_summary(data: bytes) -> BatchSummary:
    """The summary of the batch in `data`, which this node has judged and stored: its content is not checked again.

    Raises `MalformedBatch` for what is no batch.
    """
    try:
        return _summary(data)
    except (KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise MalformedBatch(f"cannot be summed up: {str(error) or type(error).__name__}") from error


def _summary(data: bytes) -> BatchSummary:
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    header: BatchHeader | None = None
    counts: dict[str, int] = {}
    for _ in range(min(unpacker.read_map_header(), FIELDS_MAX)):
        match unpacker.unpack():
            case "header":
                header = BatchHeader(**unpacker.unpack())
            case "body":
                counts = _lengths(unpacker)
            case _:
                unpacker.skip()
    if header is None:
        raise MalformedBatch("header: is missing")
    return BatchSummary(header, header_hash(header), *(counts[name] for name in _LISTS))


def _lengths(unpacker: msgpack.Unpacker) -> dict[str, int]:
    """How long each list of the body is; nothing in it is built."""
    lengths: dict[str, int] = {}
    for _ in range(min(unpacker.read_map_header(), FIELDS_MAX)):
        name = unpacker.unpack()
        if name not in _LISTS:
            unpacker.skip()
            continue
        lengths[name] = unpacker.read_array_header()
        for _ in range(lengths[name]):
            unpacker.skip()
    return lengths
