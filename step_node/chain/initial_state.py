"""The state that a chain begins with beyond its allocations, as its genesis names it (protocol.md §4, ADR 54).

Accounts, triangles and nonces may be too many for a JSON file. They travel in a file of their own; genesis has their
commitment, whole. Commitments add up, so the state root of height 0 follows from genesis alone: whoever verifies a
receipt, a link or a backup needs no more than before. The file is needed once, to fill a node's store.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from step_node.ledger.commitment import LANES_BYTES, state_root

AMOUNT_USTEP_MAX = 2**53 - 1
"""Amounts are JSON integers, which are exact up to here everywhere (RFC 8785 §3.2.2.3)."""

INITIAL_RECORDS_MAX: Final = 60_000_000
"""Of each kind: as many as a snapshot can hold, so that a chain can begin with no state that nobody could join."""

_Count = Annotated[int, Field(ge=0, le=INITIAL_RECORDS_MAX)]


class InitialState(BaseModel):
    """What there is at height 0, and what all of it together is committed to by.

    `lanes` is the commitment to the records (`ledger.commitment`), `balances_ustep` what the accounts hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    accounts: _Count
    balances_ustep: Annotated[int, Field(ge=0, le=AMOUNT_USTEP_MAX)]
    triangles: _Count
    nonces: _Count
    lanes: Annotated[str, Field(pattern=f"^0x[0-9a-f]{{{2 * LANES_BYTES}}}$")]

    @property
    def lanes_bytes(self) -> bytes:
        """The commitment, 2,048 bytes."""
        return bytes.fromhex(self.lanes[2:])

    @property
    def root(self) -> bytes:
        """SHA-256 of the commitment, for people to compare: 32 bytes. The chain's first state root has more in it."""
        return state_root(self.lanes_bytes)
