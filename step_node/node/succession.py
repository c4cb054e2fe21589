"""The key that takes over from this node's: made ready beforehand, and put in its place at the height where it counts.

The owner names the next key on chain (`rotate-key`), and it takes over at the epoch's end, with the stake. A node that
has it goes on with it by itself: at the border between two heights the one signer is exchanged for the other, each with
the guard and the history of its own key. A key that is not ready by then can be brought later: it is looked for, and
taken at once, since the chain may stand still for want of it. Which key counts, the chain alone says: so a node that is
killed in the middle of this does the same again when it starts.

The chain remembers a replaced key for `unbonding_ms`. Of a node that catches up with more than that, this remembers
what it has passed by; for one that starts later, the store's history of the validators still tells (`heir_in_history`).
Where neither does, since the store began with a snapshot of a later height, nothing says whose successor a key is, and
the operator has to put it in the old one's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio

from step_node.crypto.eip191 import address_of
from step_node.errors import StepNodeError
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.offload import run_blocking
from step_node.signing.signer import Signer
from step_node.storage.interface import PAGE_MAX, Place, StorageReads

HISTORY_PAGES_MAX: Final = 20
"""Of the history of validators, from the latest on; what lies further back is not looked for."""
LOOK_SECONDS: Final = 1.0
"""How often a next key that the chain knows of and that is not here is looked for."""

log = structlog.get_logger("node")


def present_key(own: bytes, records: Sequence[ValidatorRecord]) -> bytes:
    """The address of the key that counts now for whoever had the one of address `own`: it, or what has replaced it."""
    by_address = {record.address: record for record in records}
    seen = {own}
    while (record := by_address.get(own)) is not None and record.state is ValidatorState.ROTATED:
        following = address_of(record.next_public_key) if record.next_public_key else own
        if following in seen:
            break
        seen.add(following)
        own = following
    return own


def next_key(own: bytes, records: Sequence[ValidatorRecord]) -> bytes | None:
    """The address of the key that has taken over from the one of address `own`, or will; None if there is none."""
    present = present_key(own, records)
    if present != own:
        return present
    record = next((one for one in records if one.address == own), None)
    return address_of(record.next_public_key) if record is not None and record.next_public_key else None


async def heir_in_history(own: bytes, records: Sequence[ValidatorRecord], storage: StorageReads) -> bytes | None:
    """The address of the key that has replaced the one of address `own`, where the chain has forgotten that.

    By the store's history: none if the chain knows `own`, or the history does not tell. Raises `StorageUnavailable`.
    """
    known = {record.address for record in records}
    if own in known:
        return None
    latest: dict[bytes, bytes] = {}
    """Of each key what replaced it, if that was the last that has become of it; else nothing."""
    before: Place | None = None
    for _ in range(HISTORY_PAGES_MAX):
        changes = await storage.validator_changes(limit=PAGE_MAX, before=before)
        for change in changes:
            latest.setdefault(change.validator, change.successor)
        if len(changes) < PAGE_MAX:
            break
        before = (changes[-1].height, changes[-1].index)
    heir, seen = own, {own}
    while heir not in known and (following := latest.get(heir)) and following not in seen:
        seen.add(following)
        heir = following
    return None if heir == own else heir


class Succession:
    """Looks for the next key, and hands it over. Lives on the event loop.

    `heir` is the address of the key that has replaced the node's, if the chain has forgotten that. `open_signer` gives
    the signer of the key of an address, None if that is not here; it raises StepNodeError or OSError if it is and
    cannot be used. `keep` puts the files in order, once the key of that address is the present one. Both block.
    """

    def __init__(
        self,
        open_signer: Callable[[bytes], Signer | None],
        *,
        keep: Callable[[bytes], None] = lambda _address: None,
        heir: bytes | None = None,
    ) -> None:
        self._open_signer = open_signer
        self._keep = keep
        self._heir = heir
        self._ready: Signer | None = None
        self._taken: list[Signer] = []
        self._said: str | None = None

    def is_ready(self, address: bytes) -> bool:
        """Whether the key of this address will be taken by itself."""
        return self._ready is not None and self._ready.address == address

    def present(self, own: bytes, records: Sequence[ValidatorRecord]) -> bytes:
        """As `present_key`, also once the chain has forgotten that the key of address `own` was replaced."""
        if self._heir is not None and all(record.address != own for record in records):
            own = self._heir
        present = present_key(own, records)
        if present != own:
            self._heir = present
        return present

    def take(self, own: bytes, records: Sequence[ValidatorRecord]) -> Signer | None:
        """The signer of the key that has replaced the one of address `own`, if it has, and is ready. To be asked at
        every height."""
        present = self.present(own, records)
        if present == own or self._ready is None or self._ready.address != present:
            return None
        signer, self._ready = self._ready, None
        self._taken.append(signer)
        return signer

    async def prepare(self, own: bytes, records: Sequence[ValidatorRecord]) -> None:
        """Have the next key ready, if the chain knows of one and it is here."""
        present = self.present(own, records)
        address = present if present != own else next_key(own, records)
        if address is None or self.is_ready(address):
            return
        try:
            signer = await run_blocking(self._open_signer, address)
        except (StepNodeError, OSError) as error:
            self._say(str(error))
            return
        if signer is None:
            return
        if self._ready is not None:
            self._ready.guard.close()
        self._ready, self._said = signer, None
        log.warning("the next key is here: it takes over by itself at the epoch's end", validator=f"0x{address.hex()}")

    async def kept(self, address: bytes) -> None:
        """Have the key of this address, which has been taken, be the one that the next start finds."""
        try:
            await run_blocking(self._keep, address)
        except OSError as error:
            log.error(
                "the keystore of the present key cannot be put in the old one's place: the next start does it",
                reason=str(error),
            )

    async def run(
        self, own: Callable[[], bytes], records: Callable[[], Sequence[ValidatorRecord]], *, is_late: Callable[[], None]
    ) -> None:
        """Look for it until cancelled. `is_late` is told while it is ready and counts already: no border needs to be
        waited for."""
        while True:
            await self.prepare(own(), records())
            present = self.present(own(), records())
            if present != own() and self.is_ready(present):
                is_late()
            await trio.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """Close the histories of the keys that came later than the first."""
        for signer in (*self._taken, *(() if self._ready is None else (self._ready,))):
            signer.guard.close()

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            log.error("the next key is here and cannot be used", reason=reason)
