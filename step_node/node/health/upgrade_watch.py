"""What rules come next, watched: said in the log when it is agreed on, and again and again if this release is too old.

When the next rules begin is told in heights, which is certain, and in seconds, which is a guess from the time that the
last heights took.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import structlog
import trio

from step_node.api.status.health import HealthCode, HealthReason
from step_node.chain.chain import Chain
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade
from step_node.ledger.rules import RULES, known_versions

SAID_AGAIN_SECONDS: Final = 3_600.0
"""How often a node that is too old says so in its log."""

HEIGHTS_TIMED: Final = 100
"""Heights whose batch times are remembered, to guess when another height will come."""

log = structlog.get_logger("node")


class UpgradeWatch:
    """Told to look every now and then; see the module's docstring."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._seen: ProtocolRecord | None = None
        self._said_at = 0.0
        self._times: deque[tuple[int, int]] = deque(maxlen=HEIGHTS_TIMED)
        """(height, batch time in ms) of the last heights that were seen."""

    def look(self) -> None:
        """Take in how things are now, and say what has changed."""
        head = self._chain.head
        # Not genesis: that is of any time before the first batch.
        if head.chain.height > 0 and (not self._times or self._times[-1][0] < head.chain.height):
            self._times.append((head.chain.height, head.chain.timestamp_ms))
        seen, self._seen = self._seen, head.protocol
        if seen is not None and seen.in_force != head.protocol.in_force:
            log.info("other rules are in force", **_named(head.protocol.in_force))
        agreed = head.protocol.agreed
        was_agreed = None if seen is None else seen.agreed
        if was_agreed is not None and agreed is None and seen is not None and seen.in_force == head.protocol.in_force:
            log.info("an upgrade is cancelled: the rules stay as they are", **_named(was_agreed))
        if agreed is None:
            return
        if agreed.protocol_version in RULES:
            if agreed != was_agreed:
                log.info("the validators have agreed on other rules, which this release knows", **_named(agreed))
        elif agreed != was_agreed or trio.current_time() - self._said_at >= SAID_AGAIN_SECONDS:
            self._said_at = trio.current_time()
            log.warning("this release is too old for what the validators have agreed on", reason=self._sentence(agreed))

    @property
    def reason(self) -> HealthReason | None:
        """That this release is too old for what is agreed on, if it is."""
        agreed = self._chain.head.protocol.agreed
        if agreed is None or agreed.protocol_version in RULES:
            return None
        figures = {
            "protocol_version": agreed.protocol_version,
            "activation_height": agreed.activation_height,
            "heights_left": self._heights_left(agreed),
        }
        seconds = self.seconds_until(agreed)
        return HealthReason(
            HealthCode.UPGRADE_NEEDED,
            self._sentence(agreed),
            figures if seconds is None else figures | {"expected_in_seconds": seconds},
        )

    def seconds_until(self, upgrade: Upgrade) -> int | None:
        """A guess; None before two heights have been seen."""
        if len(self._times) < 2:
            return None
        (first, first_ms), (last, last_ms) = self._times[0], self._times[-1]
        return self._heights_left(upgrade) * (last_ms - first_ms) // (last - first) // 1000

    def _heights_left(self, upgrade: Upgrade) -> int:
        return upgrade.activation_height - 1 - self._chain.head.chain.height

    def _sentence(self, agreed: Upgrade) -> str:
        seconds = self.seconds_until(agreed)
        when = "" if seconds is None else f", about {_duration(seconds)} if they go on as they do"
        release = f"release {agreed.release}" if agreed.release else "a release that knows them"
        return (
            f"the validators have agreed on the rules of protocol version {agreed.protocol_version} from height"
            f" {agreed.activation_height} on (heights left: {self._heights_left(agreed)}{when}); this release knows"
            f" {', '.join(map(str, known_versions()))}, and stops before that height. Install {release} by then"
        )


def _named(upgrade: Upgrade) -> dict[str, object]:
    return {
        "protocol_version": upgrade.protocol_version,
        "from_height": upgrade.activation_height,
        "release": upgrade.release,
    }


def _duration(seconds: int) -> str:
    minutes = seconds // 60
    if minutes < 2:
        return f"{seconds} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
