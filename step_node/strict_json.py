"""What Python's JSON parser lets pass and no document of ours may have: a key that stands twice in one object."""

from __future__ import annotations


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """For `json.loads(…, object_pairs_hook=unique_keys)`. Raises ValueError naming the key."""
    unique: dict[str, object] = {}
    for key, value in pairs:
        if key in unique:
            raise ValueError(f"the key {key[:80]!r} stands twice in one object")
        unique[key] = value
    return unique
