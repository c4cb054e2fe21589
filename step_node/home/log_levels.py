"""Levels of the log: of all parts, and of single ones, as one line of text: `consensus=debug,p2p=warning`.

The same text stands in `config.toml`, in the environment, on the command line and in a request to set levels while the
node runs.
"""

from __future__ import annotations

import difflib
from typing import Final, Literal, TypeAlias, get_args

LogLevelName: TypeAlias = Literal["debug", "info", "warning", "error"]

LEVEL_NAMES: Final[tuple[str, ...]] = get_args(LogLevelName)

OWN_PARTS: Final = frozenset(
    {
        "admin",
        "consensus",
        "evidence",
        "gossip",
        "home",
        "journal",
        "node",
        "operations",
        "p2p",
        "peers",
        "proofs",
        "requests",
        "settlement",
        "snapshot",
        "storage",
        "step_node",
        "sync",
    }
)
"""Parts of the node, by the names of their loggers. What a logger logs with a dot after such a name belongs to it."""

LIBRARY_PARTS: Final = frozenset({"asyncio", "libp2p", "motor", "multiaddr", "py.warnings", "pymongo", "zeroconf"})
"""Libraries that log, by the same token."""

LEVELS_CHARACTERS_MAX: Final = 1_024
"""Of the text; there is no more than a few dozen parts to name."""


def parse_levels(text: str) -> dict[str, LogLevelName]:
    """The level of each part that `text` names; none if it is empty. Raises ValueError with the rule."""
    if len(text) > LEVELS_CHARACTERS_MAX:
        raise ValueError(f"must be at most {LEVELS_CHARACTERS_MAX} characters")
    found: dict[str, LogLevelName] = {}
    for entry in filter(None, (one.strip() for one in text.split(","))):
        part, equals, level = (one.strip() for one in entry.partition("="))
        if not equals:
            raise ValueError('must be parts with levels, as "consensus=debug,p2p=warning"')
        if part not in OWN_PARTS | LIBRARY_PARTS:
            nearest = difflib.get_close_matches(part, sorted(OWN_PARTS | LIBRARY_PARTS), n=1, cutoff=0.0)[0]
            parts = ", ".join(sorted(OWN_PARTS | LIBRARY_PARTS))
            raise ValueError(
                f"no part of the log is called {part[:40]!r}; the nearest is {nearest}, and all are {parts}"
            )
        if part in found:
            raise ValueError(f"names {part} twice")
        found[part] = level_named(level)
    return found


def level_named(name: str) -> LogLevelName:
    """`name` as a level. Raises ValueError with the rule."""
    for level in get_args(LogLevelName):
        if name == level:
            return level  # type: ignore[no-any-return]
    raise ValueError(f"a level is one of {', '.join(LEVEL_NAMES)}, not {name[:40]!r}")


def check_levels(text: str) -> str:
    """`text` itself, if it can be parsed. Raises ValueError with the rule."""
    parse_levels(text)
    return text
