"""A line when something goes wrong with the node, and one when it is over: what `/health` says, in the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
import trio

from step_node.api.status.health import HealthCode, HealthReason

SAID_AFTER_SECONDS: Final = 2.0
"""How long something must be wrong before it is said: what is over sooner is everyday."""

SAID_WHERE_IT_HAPPENS: Final = frozenset(
    {
        HealthCode.FINALITY_BROKEN,
        HealthCode.GENESIS_AHEAD,
        HealthCode.JOURNAL_FAILS,
        HealthCode.NOT_SIGNING,
        HealthCode.SIGNER_AWAY,
        HealthCode.SIGNATURE_REFUSED,
        HealthCode.P2P_KEY_SHARED,
        HealthCode.UPGRADE_NEEDED,
        *(code for code in HealthCode if code.startswith("KEY_")),
    }
)
"""These have lines of their own."""

log = structlog.get_logger("node")


@dataclass(slots=True)
class _Lasting:
    since: float
    is_said: bool = False


class ReasonLog:
    """Told again and again what is wrong. `on_said` is called with the code of each that has come to be said."""

    def __init__(self, on_said: Callable[[HealthCode], None]) -> None:
        self._on_said = on_said
        self._lasting: dict[HealthCode, _Lasting] = {}

    def look(self, reasons: Sequence[HealthReason]) -> None:
        """Take in all that is wrong now."""
        now = trio.current_time()
        by_code = {reason.code: reason for reason in reasons}
        for code, reason in by_code.items():
            lasting = self._lasting.setdefault(code, _Lasting(now))
            if not lasting.is_said and now - lasting.since >= SAID_AFTER_SECONDS:
                lasting.is_said = True
                self._on_said(code)
                if code not in SAID_WHERE_IT_HAPPENS:
                    log.warning("something is wrong", code=code.value, reason=reason.message, **reason.figures)
        for code in self._lasting.keys() - by_code.keys():
            lasting = self._lasting.pop(code)
            if lasting.is_said and code not in SAID_WHERE_IT_HAPPENS:
                log.info("that is over", code=code.value, lasted_seconds=int(now - lasting.since))
