"""What Python's JSON parser lets pass and no document of ours may have."""

from __future__ import annotations

import re

# A string without its end counts to the end of the text: looking for one again from each quote would be quadratic.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """For `json.loads(…, object_pairs_hook=unique_keys)`. Raises ValueError naming the key."""
    unique: dict[str, object] = {}
    for key, value in pairs:
        if key in unique:
            raise ValueError(f"the key {key[:80]!r} stands twice in one object")
        unique[key] = value
    return unique


def is_nested_deeper(text: str, levels_max: int) -> bool:
    """Whether arrays and objects stand more than `levels_max` deep in one another.

    To be asked before text from outside is parsed: Python's parser goes as deep as the recursion limit says, and there
    are libraries (eth-account brings one) that raise that limit beyond what the stack holds, which ends the process.
    """
    if text.count("[") + text.count("{") <= levels_max:
        return False  # It cannot be too deep, and this is what bodies look like.
    deepest = depth = 0
    # Without a backslash each quote begins or ends a string, which is what bodies look like too.
    outside = _STRING.sub("", text) if "\\" in text else "".join(text.split('"')[::2])
    for bracket in _BRACKET.findall(outside):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest > levels_max
