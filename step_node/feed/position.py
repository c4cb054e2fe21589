"""Where somebody who follows the feed has come to: the `id` of each event.

It has two halves. The first is the chain's, the same on every node: all events of the batches below `height` have been
seen, and the first `index` of that batch's. The second is this node's own, for what only it can tell of: the name of
its run, and how many local events of that run have been seen. So a position that one node gave is good on another, and
after a restart, for all that is final.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

POSITION_CHARACTERS_MAX: Final = 80
"""The longest text of a position; a longer one is none."""

POSITION_PATTERN: Final = "^(0|[1-9][0-9]{0,17})[.](0|[1-9][0-9]{0,8})(-([0-9a-f]{8})[.](0|[1-9][0-9]{0,17}))?$"
"""Every position, and nothing else: heights and counts below 10^18, indexes below 10^9."""
POSITION_RULE: Final = "must be the id of an event of this feed"
_FORM = re.compile(POSITION_PATTERN.removesuffix("$"), re.ASCII)


@dataclass(frozen=True, slots=True)
class LocalPosition:
    """The first `seen` local events of the node's run `run` have been seen."""

    run: str
    seen: int


@dataclass(frozen=True, slots=True)
class Position:
    """See the module's docstring. `local` is None where local events are not followed."""

    height: int
    index: int = 0
    local: LocalPosition | None = None

    def __str__(self) -> str:
        local = "" if self.local is None else f"-{self.local.run}.{self.local.seen}"
        return f"{self.height}.{self.index}{local}"


def parse_position(text: str) -> Position:
    """The position with this text. Raises ValueError, its message the rule, for any other text."""
    found = _FORM.fullmatch(text) if len(text) <= POSITION_CHARACTERS_MAX else None
    if found is None:
        raise ValueError(POSITION_RULE)
    height, index, seen = int(found[1]), int(found[2]), int(found[5] or 0)
    return Position(height, index, None if found[4] is None else LocalPosition(found[4], seen))
