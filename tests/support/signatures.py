"""What a key has signed, as the signing histories of the homes that it was in remember it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from step_node.durable.record_log import _read
from step_node.signing.history import SignedRecord, decode_entry


def signed_in(path: Path) -> set[SignedRecord]:
    """All that the file of a signing history still has; nothing where there is none. Its node may run."""
    if not path.exists():
        return set()
    entries = _read(path, path.read_bytes()).records
    return {entry for entry in map(decode_entry, entries) if isinstance(entry, SignedRecord)}


def contradictions(*histories: Iterable[SignedRecord]) -> list[SignedRecord]:
    """Those of which one key has signed another of the same kind, at the same height and in the same round."""
    records = {record for history in histories for record in history}
    values: dict[tuple[object, ...], set[bytes]] = {}
    for record in records:
        values.setdefault(_place(record), set()).add(record.value)
    return sorted(record for record in records if len(values[_place(record)]) > 1)


def _place(record: SignedRecord) -> tuple[object, ...]:
    return record.height, record.round, record.kind
