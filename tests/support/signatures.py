"""What a key has signed, as the signing histories of the homes that it was in remember it."""

from __future__ import annotations

from collections.abc import Iterable

from step_node.durable.record_log import _read
from step_node.home.paths import NodeHome
from step_node.signing.history import SignedRecord, decode_entry


def signed_in(home: NodeHome, validator: bytes) -> set[SignedRecord]:
    """All that the history of this key (its address) in `home` still has; nothing where there is none."""
    path = home.signing_history(validator)
    if not path.exists():
        return set()
    _, entries, _ = _read(path, path.read_bytes())
    return {entry for entry in map(decode_entry, entries) if isinstance(entry, SignedRecord)}


def contradictions(signed: Iterable[SignedRecord]) -> list[SignedRecord]:
    """Those of which the key has signed another of the same kind, at the same height and in the same round."""
    values: dict[tuple[object, ...], set[bytes]] = {}
    records = list(signed)
    for record in records:
        values.setdefault(_place(record), set()).add(record.value)
    return sorted(record for record in records if len(values[_place(record)]) > 1)


def _place(record: SignedRecord) -> tuple[object, ...]:
    return record.height, record.round, record.kind
