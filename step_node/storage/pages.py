"""Which part of a history is asked for, whatever the store."""

from __future__ import annotations

from dataclasses import dataclass

from step_node.storage import checks
from step_node.storage.interface import Place


@dataclass(frozen=True, slots=True)
class Page:
    """At most `limit` entries: before a place, after one, or the newest. Raises `ValueError` for a limit too high."""

    limit: int
    before: Place | None = None
    after: Place | None = None

    def __post_init__(self) -> None:
        checks.require_limit(self.limit)

    @property
    def is_oldest_first(self) -> bool:
        """The direction."""
        return self.after is not None and self.before is None
